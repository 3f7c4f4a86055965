//! The classic pcap format, version 2.4.

use super::{Frame, Output, PacketWriter, SNAPLEN, WriteError};
use crate::Interface;
use flowtrack_event::{LinkType, RawPacket};
use std::io::{self, Write};

/// How exactly times are written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Precision {
    /// To the microsecond, as every program reads it.
    #[default]
    Micros,
    /// To the nanosecond.
    Nanos,
}

/// Writes a pcap file, little-endian; its link type is that of the first packet.
pub struct PcapWriter<W: Write> {
    out: Output<W>,
    precision: Precision,
    link: Option<LinkType>,
}

impl<W: Write> PcapWriter<W> {
    /// Writes to `out`, which needs no buffer of its own.
    pub fn new(out: W, precision: Precision) -> Self {
        Self { out: Output::new(out), precision, link: None }
    }

    fn header(&mut self, link: LinkType) -> io::Result<()> {
        let magic = match self.precision {
            Precision::Micros => 0xA1B2_C3D4_u32,
            Precision::Nanos => 0xA1B2_3C4D,
        };
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&magic.to_le_bytes());
        header[4..8].copy_from_slice(&[2, 0, 4, 0]);
        header[16..20].copy_from_slice(&SNAPLEN.to_le_bytes());
        header[20..24].copy_from_slice(&link.0.to_le_bytes());
        self.link = Some(link);
        self.out.write(&header)
    }
}

impl<W: Write> PacketWriter for PcapWriter<W> {
    /// The format has no place for them.
    fn declare(&mut self, _: &[Interface]) {}

    fn write(&mut self, packet: &RawPacket<'_>, _: &str) -> Result<(), WriteError> {
        match self.link {
            None => self.header(packet.link)?,
            Some(first) if first != packet.link => {
                return Err(WriteError::MixedLinks { first, other: packet.link });
            }
            Some(_) => {}
        }
        // The format's times go from 1970 to 2106.
        let nanos = packet.ts.nanos().clamp(0, i64::from(u32::MAX) * 1_000_000_000);
        let fraction = match self.precision {
            Precision::Micros => nanos % 1_000_000_000 / 1_000,
            Precision::Nanos => nanos % 1_000_000_000,
        };
        let frame = Frame::new(packet);
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&((nanos / 1_000_000_000) as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(fraction as u32).to_le_bytes());
        header[8..12].copy_from_slice(&frame.len().to_le_bytes());
        header[12..16].copy_from_slice(&frame.wire_len.to_le_bytes());
        self.out.write(&header)?;
        frame.write(&mut self.out)?;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.out.position
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        Ok(self.out.out.flush()?)
    }

    /// A file without a packet gets its header here, as of an Ethernet capture.
    fn finish(&mut self) -> Result<(), WriteError> {
        if self.link.is_none() {
            self.header(LinkType::ETHERNET)?;
        }
        self.flush()
    }
}
