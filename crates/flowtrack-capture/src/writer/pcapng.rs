//! The pcapng format (draft-ietf-opsawg-pcapng), one section, times to the nanosecond.

use super::{Frame, Output, PacketWriter, SNAPLEN, WriteError};
use crate::Interface;
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
use std::collections::HashMap;
use std::io::{self, Write};

/// What a file says of how it came about; empty texts are left out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Comments {
    /// The program.
    pub application: String,
    /// The machine.
    pub hardware: String,
    /// The operating system.
    pub os: String,
    /// Anything else.
    pub comment: String,
}

/// Writes a pcapng file, little-endian.
///
/// An interface is described before its first packet; one whose packets are of two link types is
/// described twice.
pub struct PcapngWriter<W: Write> {
    out: Output<W>,
    comments: Comments,
    began: bool,
    /// Interfaces as the packets number them.
    declared: Vec<Interface>,
    /// Interfaces as this file numbers them.
    described: HashMap<(IfaceId, LinkType), Described>,
    /// The last one used, which the next packet most likely uses too.
    last: Option<((IfaceId, LinkType), u32)>,
}

/// An interface in the file.
#[derive(Clone, Copy, Debug)]
struct Described {
    number: u32,
    counters: Option<(u64, u64)>,
}

mod block {
    pub const INTERFACE: u32 = 1;
    pub const STATISTICS: u32 = 5;
    pub const ENHANCED_PACKET: u32 = 6;
    pub const SECTION: u32 = 0x0A0D_0D0A;
}

mod option {
    pub const COMMENT: u16 = 1;
    pub const HARDWARE: u16 = 2;
    pub const OS: u16 = 3;
    pub const APPLICATION: u16 = 4;
    pub const IF_NAME: u16 = 2;
    pub const IF_TSRESOL: u16 = 9;
    pub const RECEIVED: u16 = 4;
    pub const DROPPED: u16 = 5;
}

impl<W: Write> PcapngWriter<W> {
    /// Writes to `out`, which needs no buffer of its own.
    pub fn new(out: W, comments: Comments) -> Self {
        Self {
            out: Output::new(out),
            comments,
            began: false,
            declared: Vec::new(),
            described: HashMap::new(),
            last: None,
        }
    }

    /// Says what the interface's counters are at the end: packets received, and dropped ones
    /// among them.
    pub fn count(&mut self, iface: IfaceId, received: u64, dropped: u64) {
        for ((known, _), described) in &mut self.described {
            if *known == iface {
                described.counters = Some((received, dropped));
            }
        }
    }

    /// Writes what must stand in the file before `packet`, so that [`PacketWriter::position`] tells
    /// where the packet itself will.
    pub(crate) fn introduce(&mut self, packet: &RawPacket<'_>) -> Result<(), WriteError> {
        self.begin()?;
        self.number(packet.iface, packet.link)?;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.began {
            return Ok(());
        }
        self.began = true;
        let mut body = Body::default();
        body.u32(0x1A2B_3C4D);
        body.u16(1);
        body.u16(0);
        // The length of the section is not known.
        body.bytes(&[0xFF; 8]);
        for (code, text) in [
            (option::HARDWARE, &self.comments.hardware),
            (option::OS, &self.comments.os),
            (option::APPLICATION, &self.comments.application),
            (option::COMMENT, &self.comments.comment),
        ] {
            body.text(code, text);
        }
        body.end_options();
        self.block(block::SECTION, &body)
    }

    /// The interface's number in the file; describes it if need be.
    fn number(&mut self, iface: IfaceId, link: LinkType) -> io::Result<u32> {
        let key = (iface, link);
        if let Some((last, number)) = self.last
            && last == key
        {
            return Ok(number);
        }
        let number = match self.described.get(&key) {
            Some(described) => described.number,
            None => self.describe(key)?,
        };
        self.last = Some((key, number));
        Ok(number)
    }

    fn describe(&mut self, key: (IfaceId, LinkType)) -> io::Result<u32> {
        let (iface, link) = key;
        let mut body = Body::default();
        // Two bytes is all that the format has; no link type is that large.
        body.u16(link.0 as u16);
        body.u16(0);
        body.u32(SNAPLEN);
        if let Some(interface) = self.declared.get(usize::from(iface.0)) {
            body.text(option::IF_NAME, &interface.name);
        }
        // Nanoseconds.
        body.option(option::IF_TSRESOL, &[9]);
        body.end_options();
        self.block(block::INTERFACE, &body)?;
        let number = self.described.len() as u32;
        self.described.insert(key, Described { number, counters: None });
        Ok(number)
    }

    fn block(&mut self, kind: u32, body: &Body) -> io::Result<()> {
        let len = (body.bytes.len() as u32 + 12).to_le_bytes();
        self.out.write(&kind.to_le_bytes())?;
        self.out.write(&len)?;
        self.out.write(&body.bytes)?;
        self.out.write(&len)
    }
}

impl<W: Write> PacketWriter for PcapngWriter<W> {
    fn declare(&mut self, interfaces: &[Interface]) {
        self.declared = interfaces.to_vec();
    }

    fn write(&mut self, packet: &RawPacket<'_>, comment: &str) -> Result<(), WriteError> {
        self.begin()?;
        let iface = self.number(packet.iface, packet.link)?;
        let mut options = Body::default();
        options.text(option::COMMENT, comment);
        options.end_options();
        let frame = Frame::new(packet);
        let padding = padding(frame.len() as usize);
        let len = 32 + frame.len() + padding.len() as u32 + options.bytes.len() as u32;
        let [high, low] = halves(packet.ts);
        let mut header = [0; 28];
        for (place, field) in header.chunks_exact_mut(4).zip([
            block::ENHANCED_PACKET,
            len,
            iface,
            high,
            low,
            frame.len(),
            frame.wire_len,
        ]) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.out.write(&header)?;
        frame.write(&mut self.out)?;
        self.out.write(padding)?;
        self.out.write(&options.bytes)?;
        self.out.write(&len.to_le_bytes())?;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.out.position
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        Ok(self.out.out.flush()?)
    }

    /// Writes the counters that were told, and flushes.
    fn finish(&mut self) -> Result<(), WriteError> {
        self.begin()?;
        let mut counted: Vec<_> = self.described.values().copied().collect();
        counted.sort_by_key(|described| described.number);
        for Described { number, counters } in counted {
            let Some((received, dropped)) = counters else {
                continue;
            };
            let mut body = Body::default();
            body.u32(number);
            // The time of these counters: that of no packet, so none.
            body.bytes(&[0; 8]);
            body.option(option::RECEIVED, &received.to_le_bytes());
            body.option(option::DROPPED, &dropped.to_le_bytes());
            body.end_options();
            self.block(block::STATISTICS, &body)?;
        }
        self.flush()
    }
}

/// What stands between the two lengths of a block.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    has_options: bool,
}

impl Body {
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn u16(&mut self, n: u16) {
        self.bytes(&n.to_le_bytes());
    }

    fn u32(&mut self, n: u32) {
        self.bytes(&n.to_le_bytes());
    }

    /// Adds an option of at most 65535 bytes.
    fn option(&mut self, code: u16, value: &[u8]) {
        self.has_options = true;
        self.u16(code);
        self.u16(value.len() as u16);
        self.bytes(value);
        self.bytes(padding(value.len()));
    }

    /// Adds a text, cut to what an option can hold; nothing where it is empty.
    fn text(&mut self, code: u16, text: &str) {
        let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
        if !text.is_empty() {
            self.option(code, text.as_bytes());
        }
    }

    fn end_options(&mut self) {
        if self.has_options {
            self.bytes(&[0; 4]);
        }
    }
}

/// What fills up to the next multiple of four.
fn padding(len: usize) -> &'static [u8] {
    &[0; 3][..len.next_multiple_of(4) - len]
}

/// A time as two halves, the upper one first; before 1970 it is 1970.
fn halves(ts: Timestamp) -> [u32; 2] {
    let nanos = ts.nanos().max(0) as u64;
    [(nanos >> 32) as u32, nanos as u32]
}
