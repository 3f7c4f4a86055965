//! Frames of Initial packets (RFC 9000 section 19): those with handshake bytes are read, the rest
//! is passed over.

use super::packet::varint;
use crate::Reader;

/// Frames are not what the standard lets stand in an Initial packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// A piece of the handshake.
#[derive(Clone, Copy, Debug)]
pub struct Crypto<'a> {
    /// Its place in the stream.
    pub offset: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Shows the pieces of the handshake that a packet carries.
pub fn read<'a>(frames: &'a [u8], mut take: impl FnMut(Crypto<'a>)) -> Result<(), Invalid> {
    let mut r = Reader::new(frames);
    while let Some(kind) = r.u8() {
        match kind {
            // PADDING and PING.
            0x00 | 0x01 => {}
            0x02 | 0x03 => acknowledgement(&mut r, kind == 0x03).ok_or(Invalid)?,
            // CRYPTO, which Google's versions 50 and 51 give another number.
            0x06 | 0x08 => take(crypto(&mut r).ok_or(Invalid)?),
            // CONNECTION_CLOSE ends what is said.
            0x1c | 0x1d => break,
            _ => return Err(Invalid),
        }
    }
    Ok(())
}

fn crypto<'a>(r: &mut Reader<'a>) -> Option<Crypto<'a>> {
    let offset = varint(r)?;
    let length = varint(r)?;
    Some(Crypto { offset, data: r.take(usize::try_from(length).ok()?)? })
}

/// Passes over an ACK frame; its ranges are as many as bytes allow.
fn acknowledgement(r: &mut Reader<'_>, has_counts: bool) -> Option<()> {
    let _largest = varint(r)?;
    let _delay = varint(r)?;
    let ranges = varint(r)?;
    let _first = varint(r)?;
    for _ in 0..ranges {
        varint(r)?;
        varint(r)?;
    }
    for _ in 0..if has_counts { 3 } else { 0 } {
        varint(r)?;
    }
    Some(())
}
