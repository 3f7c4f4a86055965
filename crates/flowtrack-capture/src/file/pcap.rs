//! The classic pcap format (draft-ietf-opsawg-pcap): a header, then packets one after the other.

use super::step::{Broken, Records, Step, number, short};
use crate::Interface;
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};

/// What a pcap file said of itself.
pub struct Pcap {
    big_endian: bool,
    /// Nanoseconds in the smaller unit of a time stamp.
    nanos_per_tick: u32,
    record_header: usize,
    lengths: Lengths,
    max_packet: u32,
    interface: [Interface; 1],
}

/// Which of a packet's two lengths comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// Version 2.3 was written both ways: the captured one is not the larger.
    SmallerIsCaptured,
}

impl Pcap {
    /// Bytes of the header at the beginning of a file.
    pub const HEADER: usize = 24;

    /// How many bytes of a packet are believed where the file does not announce more: what
    /// tcpdump captures at most.
    const MAX_PACKET: u32 = 256 * 1024;

    /// Whether a file that begins so is one.
    pub fn recognises(magic: [u8; 4]) -> bool {
        Variant::of(magic).is_some()
    }

    /// Reads the header.
    pub fn parse(header: &[u8; Self::HEADER]) -> Result<Self, Broken> {
        let field = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let Some(variant) = Variant::of(field(0)) else {
            return Err(Broken::new(0, "not a pcap file"));
        };
        let half = |at: usize| short([header[at], header[at + 1]], variant.big_endian);
        let (major, minor) = (half(4), half(6));
        let lengths = match (major, minor) {
            (2, 0..=2) | (543, 0) => Lengths::WireFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => {
                let what = format!("pcap version {major}.{minor} is not known, 2.4 is usual");
                return Err(Broken::new(4, what));
            }
        };
        let snaplen = number(field(16), variant.big_endian);
        // The upper bits tell of a frame check sequence.
        let link = LinkType(number(field(20), variant.big_endian) & 0x03FF_FFFF);
        Ok(Self {
            big_endian: variant.big_endian,
            nanos_per_tick: variant.nanos_per_tick,
            record_header: variant.record_header,
            lengths,
            max_packet: snaplen.clamp(Self::MAX_PACKET, super::MAX_BLOCK),
            interface: [Interface { name: String::new(), link }],
        })
    }

    #[cold]
    fn too_long(&self, captured: u32) -> Broken {
        let most = self.max_packet;
        let what =
            format!("packet of {captured} bytes, more than the {most} that a packet can have here");
        Broken::new(0, what)
    }
}

impl Records for Pcap {
    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let Some(header) = bytes.first_chunk::<16>() else {
            return Step::Need(self.record_header);
        };
        let field = |at: usize| {
            number([header[at], header[at + 1], header[at + 2], header[at + 3]], self.big_endian)
        };
        let (first, second) = (field(8), field(12));
        let (captured, wire) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        };
        if captured > self.max_packet {
            return Step::Broken(self.too_long(captured).into());
        }
        let end = self.record_header + captured as usize;
        let Some(data) = bytes.get(self.record_header..end) else {
            return Step::Need(end);
        };
        // Below 2^62 + 2^62, so that nothing overflows.
        let nanos = i64::from(field(0)) * 1_000_000_000
            + i64::from(field(4)) * i64::from(self.nanos_per_tick);
        Step::Packet {
            used: end,
            packet: RawPacket {
                ts: Timestamp::from_nanos(nanos),
                iface: IfaceId(0),
                link: self.interface[0].link,
                number: 0,
                wire_len: wire.max(captured),
                vlan_tci: None,
                data,
            },
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interface
    }
}

/// What the first four bytes of a file tell.
struct Variant {
    big_endian: bool,
    nanos_per_tick: u32,
    record_header: usize,
}

impl Variant {
    fn of(magic: [u8; 4]) -> Option<Self> {
        let known = |big_endian| {
            let (nanos_per_tick, record_header) = match number(magic, big_endian) {
                0xA1B2_C3D4 => (1_000, 16),
                0xA1B2_3C4D => (1, 16),
                // Kuznetzov's: the interface, protocol and packet type follow the lengths.
                0xA1B2_CD34 => (1_000, 24),
                _ => return None,
            };
            Some(Self { big_endian, nanos_per_tick, record_header })
        };
        known(false).or_else(|| known(true))
    }
}
