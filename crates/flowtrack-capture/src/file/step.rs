//! How a format hands over what it finds in a stretch of bytes.

use crate::Interface;
use flowtrack_event::RawPacket;

/// A format that packets are read from, one step at a time.
pub trait Records {
    /// Reads what `bytes` begin with; the next call begins behind what this one used.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Step<'a>;

    /// Interfaces declared so far.
    fn interfaces(&self) -> &[Interface];
}

/// What a stretch of bytes begins with.
pub enum Step<'a> {
    /// A packet, without its number.
    Packet { used: usize, packet: RawPacket<'a> },
    /// Something that is no packet.
    Skip(usize),
    /// The beginning of something that has so many bytes at least.
    Need(usize),
    /// Something that cannot be; apart, so that packets are handed over in registers.
    Broken(Box<Broken>),
}

/// Damage, so many bytes behind where the step began.
#[derive(Debug)]
pub struct Broken {
    pub at: usize,
    pub what: String,
}

impl Broken {
    pub fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A number of 32 bits in the file's order of bytes.
#[inline]
pub fn number(bytes: [u8; 4], big_endian: bool) -> u32 {
    let n = u32::from_le_bytes(bytes);
    if big_endian { n.swap_bytes() } else { n }
}

/// A number of 16 bits in the file's order of bytes.
#[inline]
pub fn short(bytes: [u8; 2], big_endian: bool) -> u16 {
    let n = u16::from_le_bytes(bytes);
    if big_endian { n.swap_bytes() } else { n }
}
