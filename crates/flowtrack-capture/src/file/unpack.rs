//! Files packed with gzip (RFC 1952) or Zstandard (RFC 8878).
//!
//! The decoders are driven by hand so that what precedes damage is never lost: the ready-made
//! readers of both libraries throw away what the failing call had already unpacked.

mod gzip;
mod zstandard;

use super::raw::Raw;
use gzip::Gzip;
use std::io::{self, Read};
use zstandard::Zstandard;

/// A packed file, read as what is in it.
pub struct Unpacked {
    raw: Raw,
    decoder: Box<dyn Decoder>,
    /// Packed bytes; those in `start..end` are still to be unpacked.
    input: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    damage: Option<String>,
}

/// A format of packed files, any number of them one after the other.
trait Decoder: Send {
    /// Unpacks some of `input` into `output`.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Ran;

    /// Whether the input may end here.
    fn may_end(&self) -> bool;

    /// Name for messages.
    fn name(&self) -> &'static str;
}

/// What a call of a decoder did; nothing at all where it needs more input.
struct Ran {
    used: usize,
    made: usize,
    /// Why it is over, behind what was made.
    damage: Option<String>,
}

impl Unpacked {
    /// Packed bytes read at a time.
    const INPUT: usize = 256 * 1024;

    /// Takes over a file that begins with `head` if that is the beginning of a packed one.
    pub fn new(raw: Raw, head: &[u8]) -> Result<Self, Raw> {
        let decoder: Box<dyn Decoder> = match head {
            [0x1F, 0x8B, ..] => Box::new(Gzip::new()),
            // A frame, or one to be skipped, which parallel packers put first.
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => {
                Box::new(Zstandard::new())
            }
            _ => return Err(raw),
        };
        let mut input = vec![0; Self::INPUT.max(head.len())];
        input[..head.len()].copy_from_slice(head);
        let end = head.len();
        Ok(Self { raw, decoder, input, start: 0, end, ended: false, damage: None })
    }

    /// The file below.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The file below.
    pub fn raw_mut(&mut self) -> &mut Raw {
        &mut self.raw
    }

    /// Reads more packed bytes behind those that the decoder left.
    fn refill(&mut self) -> io::Result<()> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.input.len() {
            self.damage = Some(format!("{} header is far too long", self.decoder.name()));
            return Ok(());
        }
        let n = self.raw.read(&mut self.input[self.end..])?;
        self.end += n;
        self.ended = n == 0;
        Ok(())
    }
}

impl Read for Unpacked {
    /// Fails with [`io::ErrorKind::InvalidData`] at damage.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(damage) = &self.damage {
                return Err(io::Error::new(io::ErrorKind::InvalidData, damage.clone()));
            }
            let ran = self.decoder.run(&self.input[self.start..self.end], into);
            self.start += ran.used;
            self.damage = ran.damage.map(|what| format!("{}: {what}", self.decoder.name()));
            if ran.made > 0 {
                return Ok(ran.made);
            }
            if self.damage.is_some() || ran.used > 0 {
                continue;
            }
            if !self.ended {
                self.refill()?;
            } else if self.start == self.end && self.decoder.may_end() {
                return Ok(0);
            } else {
                self.damage = Some(format!("{} data is cut off", self.decoder.name()));
            }
        }
    }
}
