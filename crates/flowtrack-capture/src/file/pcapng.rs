//! The pcapng format (draft-ietf-opsawg-pcapng): blocks of many kinds in sections.

use super::step::{Broken, Records, Step, number, short};
use crate::Interface;
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};

/// The section that is being read, and the interfaces of all so far.
pub struct Pcapng {
    big_endian: bool,
    /// How the section's interfaces keep time, by their number in the section.
    clocks: Vec<Clock>,
    /// All sections' interfaces; the section's own are the last of them.
    interfaces: Vec<Interface>,
    /// Simple packets have no time; they take that of the packet before.
    last: Timestamp,
}

/// What an interface's packets need to be understood.
#[derive(Clone, Copy, Debug)]
struct Clock {
    link: LinkType,
    resolution: Resolution,
    offset_secs: i64,
    snaplen: u32,
}

/// Length of a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Resolution {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many in a nanosecond.
    PerNano(u64),
    /// A second divided by two to this power.
    Binary(u8),
}

mod block {
    pub const SECTION: u32 = 0x0A0D_0D0A;
    pub const INTERFACE: u32 = 1;
    /// Obsolete, yet in old files.
    pub const PACKET: u32 = 2;
    pub const SIMPLE_PACKET: u32 = 3;
    pub const ENHANCED_PACKET: u32 = 6;
}

impl Pcapng {
    /// What a file begins with.
    pub const MAGIC: [u8; 4] = block::SECTION.to_le_bytes();

    /// Before the first section.
    pub fn new() -> Self {
        Self {
            big_endian: false,
            clocks: Vec::new(),
            interfaces: Vec::new(),
            last: Timestamp::ZERO,
        }
    }

    /// Length of the block that `bytes` begin with.
    #[inline]
    fn block_len(&self, bytes: &[u8]) -> Result<usize, Broken> {
        let len = self.u32(bytes, 4);
        match len {
            ..12 => Err(Broken::new(4, format!("block of {len} bytes, 12 is the least"))),
            _ if len > super::MAX_BLOCK => Err(Broken::new(
                4,
                format!("block of {len} bytes, more than the {} that are read", super::MAX_BLOCK),
            )),
            _ if !len.is_multiple_of(4) => {
                Err(Broken::new(4, format!("block of {len} bytes, not a multiple of 4")))
            }
            _ => Ok(len as usize),
        }
    }

    /// Begins a section. Its version is not looked at: every one so far has the same blocks, and
    /// the lengths of one that has not will tell.
    fn section(&mut self, body: &[u8]) -> Result<(), Broken> {
        if body.len() < 16 {
            return Err(Broken::new(4, "section header too short"));
        }
        self.clocks.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Broken> {
        if body.len() < 8 {
            return Err(Broken::new(4, "interface description too short"));
        }
        if self.interfaces.len() > usize::from(u16::MAX) {
            return Err(Broken::new(0, "more than 65536 interfaces"));
        }
        let link = LinkType(u32::from(self.u16(body, 0)));
        let mut clock = Clock {
            link,
            resolution: Resolution::Nanos(1_000),
            offset_secs: 0,
            snaplen: self.u32(body, 4),
        };
        let mut name = String::new();
        for (code, value) in (Options { big_endian: self.big_endian, bytes: &body[8..] }) {
            match (code, value) {
                (2, _) => name = Self::text(value),
                (9, &[resolution, ..]) => clock.resolution = Resolution::parse(resolution),
                (14, value) => {
                    if let Some(&offset) = value.first_chunk::<8>() {
                        let offset = i64::from_le_bytes(offset);
                        clock.offset_secs =
                            if self.big_endian { offset.swap_bytes() } else { offset };
                    }
                }
                _ => {}
            }
        }
        self.clocks.push(clock);
        self.interfaces.push(Interface { name, link });
        Ok(())
    }

    /// A name as the file gives it, cut where no interface's name is that long.
    fn text(value: &[u8]) -> String {
        let value = value.split(|&b| b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(&value[..value.len().min(256)]).into_owned()
    }

    /// An enhanced packet, or with `obsolete` the older packet block.
    #[inline]
    fn packet<'a>(&mut self, body: &'a [u8], obsolete: bool) -> Result<RawPacket<'a>, Broken> {
        let Some((head, rest)) = body.split_first_chunk::<20>() else {
            return Err(Broken::new(4, "packet block too short"));
        };
        // The older block has a counter of drops behind an interface number of 16 bits.
        let iface = if obsolete { u32::from(self.u16(head, 0)) } else { self.u32(head, 0) };
        let ticks = u64::from(self.u32(head, 4)) << 32 | u64::from(self.u32(head, 8));
        let (captured, wire) = (self.u32(head, 12), self.u32(head, 16));
        let Some(clock) = self.clocks.get(iface as usize) else {
            return Err(Broken::new(8, format!("packet of interface {iface}, never described")));
        };
        let Some(data) = rest.get(..captured as usize) else {
            let what =
                format!("packet of {captured} bytes in a block with room for {}", rest.len());
            return Err(Broken::new(20, what));
        };
        self.last = clock.time(ticks);
        Ok(RawPacket {
            ts: self.last,
            iface: self.iface_id(iface),
            link: clock.link,
            number: 0,
            wire_len: wire.max(captured),
            vlan_tci: None,
            data,
        })
    }

    fn simple_packet<'a>(&self, body: &'a [u8]) -> Result<RawPacket<'a>, Broken> {
        let Some((head, rest)) = body.split_first_chunk::<4>() else {
            return Err(Broken::new(4, "simple packet block too short"));
        };
        let Some(clock) = self.clocks.first() else {
            return Err(Broken::new(0, "simple packet without an interface"));
        };
        let wire = self.u32(head, 0);
        let captured = if clock.snaplen == 0 { wire } else { wire.min(clock.snaplen) };
        let data = &rest[..rest.len().min(captured as usize)];
        Ok(RawPacket {
            ts: self.last,
            iface: self.iface_id(0),
            link: clock.link,
            number: 0,
            wire_len: wire,
            vlan_tci: None,
            data,
        })
    }

    /// The number among all sections' interfaces; at most 65535, because no more are accepted.
    fn iface_id(&self, in_section: u32) -> IfaceId {
        IfaceId((self.interfaces.len() - self.clocks.len() + in_section as usize) as u16)
    }

    /// The number at `at`, which must be inside.
    #[inline]
    fn u32(&self, bytes: &[u8], at: usize) -> u32 {
        number([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]], self.big_endian)
    }

    fn u16(&self, bytes: &[u8], at: usize) -> u16 {
        short([bytes[at], bytes[at + 1]], self.big_endian)
    }
}

impl Records for Pcapng {
    #[inline]
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        if bytes.len() < 12 {
            return Step::Need(12);
        }
        let kind = self.u32(bytes, 0);
        if kind == block::SECTION {
            self.big_endian = match bytes[8..12] {
                [0x4D, 0x3C, 0x2B, 0x1A] => false,
                [0x1A, 0x2B, 0x3C, 0x4D] => true,
                _ => {
                    let what = "section header without its magic number";
                    return Step::Broken(Broken::new(8, what).into());
                }
            };
        }
        let len = match self.block_len(bytes) {
            Ok(len) => len,
            Err(broken) => return Step::Broken(broken.into()),
        };
        let Some(whole) = bytes.get(..len) else {
            return Step::Need(len);
        };
        let trailer = self.u32(whole, len - 4);
        if trailer as usize != len {
            let what = format!("block begins with a length of {len} and ends with {trailer}");
            return Step::Broken(Broken::new(len - 4, what).into());
        }
        let body = &whole[8..len - 4];
        let done = match kind {
            block::ENHANCED_PACKET | block::PACKET => {
                self.packet(body, kind == block::PACKET).map(Some)
            }
            block::SIMPLE_PACKET => self.simple_packet(body).map(Some),
            block::SECTION => self.section(body).map(|()| None),
            block::INTERFACE => self.interface(body).map(|()| None),
            _ => Ok(None),
        };
        match done {
            Ok(Some(packet)) => Step::Packet { used: len, packet },
            Ok(None) => Step::Skip(len),
            Err(broken) => Step::Broken(broken.into()),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }
}

impl Clock {
    #[inline]
    fn time(&self, ticks: u64) -> Timestamp {
        let nanos = match self.resolution {
            Resolution::Nanos(each) => ticks.saturating_mul(each),
            Resolution::PerNano(parts) => ticks / parts,
            Resolution::Binary(power) => {
                let nanos = (u128::from(ticks) * 1_000_000_000) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::from_nanos(nanos.saturating_add(self.offset_secs.saturating_mul(1_000_000_000)))
    }
}

impl Resolution {
    /// From the option `if_tsresol`.
    fn parse(value: u8) -> Self {
        match value {
            0x80.. => Self::Binary(value & 0x7F),
            0..=9 => Self::Nanos(10_u64.pow(9 - u32::from(value))),
            // Beyond 10^19 parts, 64 bits of ticks last less than a nanosecond.
            _ => 10_u64.checked_pow(u32::from(value) - 9).map_or(Self::Nanos(0), Self::PerNano),
        }
    }
}

/// The options at the end of a block; ends at the first that does not fit.
struct Options<'a> {
    big_endian: bool,
    bytes: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[c0, c1, l0, l1], rest) = self.bytes.split_first_chunk()?;
        let code = short([c0, c1], self.big_endian);
        let len = usize::from(short([l0, l1], self.big_endian));
        if code == 0 {
            return None;
        }
        let value = rest.get(..len)?;
        self.bytes = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}
