//! Members of a gzip file (RFC 1952), one after the other.

use super::{Decoder, Ran};
use flate2::{Crc, Decompress, FlushDecompress, Status};

pub struct Gzip {
    at: At,
    inflate: Decompress,
    crc: Crc,
    members: u64,
}

/// Which part of a member comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Header,
    Body,
    Trailer,
}

mod flag {
    pub const HEADER_CRC: u8 = 1 << 1;
    pub const EXTRA: u8 = 1 << 2;
    pub const NAME: u8 = 1 << 3;
    pub const COMMENT: u8 = 1 << 4;
}

impl Gzip {
    pub fn new() -> Self {
        Self { at: At::Header, inflate: Decompress::new(false), crc: Crc::new(), members: 0 }
    }

    fn header(&mut self, input: &[u8]) -> Ran {
        // Some writers pad with zeroes, tapes above all.
        let zeros = input.iter().take_while(|&&b| b == 0).count();
        if self.members > 0 && zeros > 0 {
            return Ran { used: zeros, made: 0, damage: None };
        }
        match header_len(input) {
            Ok(None) => Ran { used: 0, made: 0, damage: None },
            Ok(Some(used)) => {
                self.at = At::Body;
                self.inflate.reset(false);
                self.crc.reset();
                Ran { used, made: 0, damage: None }
            }
            Err(what) => Ran { used: 0, made: 0, damage: Some(what.to_owned()) },
        }
    }

    fn body(&mut self, input: &[u8], output: &mut [u8]) -> Ran {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let result = self.inflate.decompress(input, output, FlushDecompress::None);
        let used = (self.inflate.total_in() - before_in) as usize;
        let made = (self.inflate.total_out() - before_out) as usize;
        self.crc.update(&output[..made]);
        let damage = match result {
            Ok(Status::StreamEnd) => {
                self.at = At::Trailer;
                None
            }
            Ok(Status::Ok | Status::BufError) => None,
            Err(_) => Some("data is damaged".to_owned()),
        };
        // The end of a member can come without a byte used or made.
        if damage.is_none() && used == 0 && made == 0 && self.at == At::Trailer {
            return self.trailer(input);
        }
        Ran { used, made, damage }
    }

    fn trailer(&mut self, input: &[u8]) -> Ran {
        let Some(&[c0, c1, c2, c3, n0, n1, n2, n3]) = input.first_chunk::<8>() else {
            return Ran { used: 0, made: 0, damage: None };
        };
        let right = u32::from_le_bytes([c0, c1, c2, c3]) == self.crc.sum()
            && u32::from_le_bytes([n0, n1, n2, n3]) == self.crc.amount();
        self.at = At::Header;
        self.members += 1;
        let damage = (!right).then(|| "checksum is wrong".to_owned());
        Ran { used: 8, made: 0, damage }
    }
}

impl Decoder for Gzip {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Ran {
        match self.at {
            At::Header => self.header(input),
            At::Body => self.body(input, output),
            At::Trailer => self.trailer(input),
        }
    }

    fn may_end(&self) -> bool {
        self.at == At::Header
    }

    fn name(&self) -> &'static str {
        "gzip"
    }
}

/// Length of a member's header; none where there is more to come.
fn header_len(input: &[u8]) -> Result<Option<usize>, &'static str> {
    if !input.starts_with(&[0x1F, 0x8B]) && input.len() >= 2 {
        return Err("something else follows");
    }
    let Some(&[_, _, method, flags, ..]) = input.first_chunk::<10>() else {
        return Ok(None);
    };
    if method != 8 {
        return Err("compression method is not deflate");
    }
    let mut len = 10;
    if flags & flag::EXTRA != 0 {
        let Some(&[low, high]) = input.get(len..).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        len += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [flag::NAME, flag::COMMENT] {
        if flags & text != 0 {
            let rest = input.get(len..).unwrap_or_default();
            let Some(end) = rest.iter().position(|&b| b == 0) else {
                return Ok(None);
            };
            len += end + 1;
        }
    }
    if flags & flag::HEADER_CRC != 0 {
        len += 2;
    }
    Ok((input.len() >= len).then_some(len))
}
