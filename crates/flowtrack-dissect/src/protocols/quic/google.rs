//! The client's hello of Google's QUIC before TLS: a list of tagged values (CHLO).

use crate::{Reader, md5_hex};
use serde::Serialize;

/// Tags of one message.
const TAGS_CAP: usize = 128;
/// Longest value kept.
const VALUE_CAP: usize = 1024;

/// A client's hello.
#[derive(Clone, Default, Debug)]
pub struct Chlo {
    /// Host asked for.
    pub server_name: Option<Vec<u8>>,
    /// What the client calls itself.
    pub user_agent: Option<Vec<u8>>,
    /// Tags in the client's order.
    pub tags: Vec<[u8; 4]>,
}

impl Chlo {
    /// Reads the message at the beginning of the bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        if r.array()? != *b"CHLO" {
            return None;
        }
        let count = usize::from(r.u16_le()?);
        r.skip(2)?;
        let mut index = r.sub(count.checked_mul(8)?)?;
        let values = r.rest();
        let mut hello = Self::default();
        let mut begin = 0;
        while let Some(tag) = index.array::<4>().filter(|_| hello.tags.len() < TAGS_CAP) {
            let end = index.u32_le()? as usize;
            // Padding may go on in a packet that was not seen.
            let value = values.get(begin..end).unwrap_or_default();
            let value = value.get(..VALUE_CAP).unwrap_or(value);
            match &tag {
                b"SNI\0" => hello.server_name = Some(value.to_vec()),
                b"UAID" => hello.user_agent = Some(value.to_vec()),
                _ => {}
            }
            hello.tags.push(tag);
            begin = end;
        }
        Some(hello)
    }

    /// CYU: the tags in their order, as JA3 has extensions.
    pub fn fingerprint(&self, version: u16) -> Cyu {
        let tags: Vec<String> = self
            .tags
            .iter()
            .map(|tag| tag.iter().take_while(|&&b| b != 0).copied().map(char::from).collect())
            .collect();
        let string = format!("{version},{}", tags.join("-"));
        Cyu { hash: md5_hex(string.as_bytes()), string }
    }
}

/// A fingerprint of a client of Google's QUIC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cyu {
    /// MD5 of the string.
    pub hash: String,
    /// Version and tags.
    pub string: String,
}

/// The hello inside the frames of a packet that is not encrypted.
pub fn hello(frames: &[u8], version: u16) -> Option<Chlo> {
    const STREAM: u8 = 0x80;
    const HAS_LENGTH: u8 = 0x20;
    let mut r = Reader::new(frames);
    loop {
        let kind = r.u8()?;
        match kind {
            // PADDING (up to version 36 it fills the packet) and PING.
            0x00 | 0x07 => {}
            STREAM.. => {
                let id_length = usize::from(kind & 3) + 1;
                r.skip(id_length)?;
                let offset_length = match kind >> 2 & 7 {
                    0 => 0,
                    n => usize::from(n) + 1,
                };
                r.skip(offset_length)?;
                let data = if kind & HAS_LENGTH == 0 {
                    r.rest()
                } else {
                    // Numbers became big-endian in version 39.
                    let length = if version < 39 { r.u16_le()? } else { r.u16()? };
                    r.take(usize::from(length))?
                };
                if let Some(hello) = Chlo::read(data) {
                    return Some(hello);
                }
            }
            _ => return None,
        }
    }
}
