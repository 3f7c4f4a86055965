//! Writing captures that other programs open.

mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

pub use pcap::{PcapWriter, Precision};
pub use pcapng::{Comments, PcapngWriter};

use crate::Interface;
use flowtrack_event::{LinkType, RawPacket};
use std::io::{self, BufWriter, Write};

/// A capture file that is being written.
pub trait PacketWriter {
    /// Tells the interfaces that packets name; needed only for those that appear from then on.
    fn declare(&mut self, interfaces: &[Interface]);

    /// Adds a packet, with `comment` where that is not empty and the format has room for it.
    ///
    /// # Errors
    /// See [`WriteError`]; after one the file may end inside this packet.
    fn write(&mut self, packet: &RawPacket<'_>, comment: &str) -> Result<(), WriteError>;

    /// Bytes written so far; where the next packet begins.
    fn position(&self) -> u64;

    /// Hands what is buffered to the operating system.
    fn flush(&mut self) -> Result<(), WriteError>;

    /// Writes what belongs at the end, and flushes.
    fn finish(&mut self) -> Result<(), WriteError>;
}

/// Why a packet was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A pcap file has one link type for all packets.
    #[error(
        "a pcap file holds one link type, this one {} and the next packet {}; write pcapng instead",
        first.0,
        other.0
    )]
    MixedLinks {
        /// That of the file.
        first: LinkType,
        /// That of the packet.
        other: LinkType,
    },
    /// The operating system refused.
    #[error("cannot write the capture: {0}")]
    Io(#[from] io::Error),
}

/// What tcpdump announces, larger than any frame.
const SNAPLEN: u32 = 262_144;

/// Counts what goes through to a buffered writer.
struct Output<W: Write> {
    out: BufWriter<W>,
    position: u64,
}

impl<W: Write> Output<W> {
    /// Large enough that a system call is rare at any rate.
    const BUFFER: usize = 256 * 1024;

    fn new(out: W) -> Self {
        Self { out: BufWriter::with_capacity(Self::BUFFER, out), position: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// The bytes of a packet as they are written: with the VLAN tag, which the network card took out,
/// back at its place.
struct Frame<'a> {
    addresses: &'a [u8],
    tag: [u8; 4],
    tag_len: usize,
    rest: &'a [u8],
    wire_len: u32,
}

impl<'a> Frame<'a> {
    fn new(packet: &RawPacket<'a>) -> Self {
        let whole = Self {
            addresses: &[],
            tag: [0; 4],
            tag_len: 0,
            rest: packet.data,
            wire_len: packet.wire_len,
        };
        let Some(tci) = packet.vlan_tci.filter(|_| packet.link == LinkType::ETHERNET) else {
            return whole;
        };
        let Some((addresses, rest)) = packet.data.split_at_checked(12) else {
            return whole;
        };
        let [high, low] = tci.to_be_bytes();
        let wire_len = packet.wire_len.saturating_add(4);
        Self { addresses, tag: [0x81, 0x00, high, low], tag_len: 4, rest, wire_len }
    }

    fn len(&self) -> u32 {
        (self.addresses.len() + self.tag_len + self.rest.len()) as u32
    }

    fn write<W: Write>(&self, out: &mut Output<W>) -> io::Result<()> {
        out.write(self.addresses)?;
        out.write(&self.tag[..self.tag_len])?;
        out.write(self.rest)
    }
}
