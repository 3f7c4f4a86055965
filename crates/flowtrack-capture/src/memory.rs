//! Packets that are kept in memory, as a container and as a source.

use crate::batch::{Batch, Handler};
use crate::{Burst, Interface, PacketSource, SourceError};
use flowtrack_event::{CaptureStats, LinkType, RawPacket};
use std::ops::Range;
use std::time::Duration;

/// Copies of packets, one behind the other.
#[derive(Clone, Default, Debug)]
pub struct PacketBuffer {
    bytes: Vec<u8>,
    /// Each packet without its bytes, and where those are.
    packets: Vec<(RawPacket<'static>, Range<usize>)>,
}

impl PacketBuffer {
    /// Without a packet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of `packet`.
    pub fn push(&mut self, packet: &RawPacket<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet.data);
        let RawPacket { ts, iface, link, number, wire_len, vlan_tci, data: _ } = *packet;
        let packet = RawPacket { ts, iface, link, number, wire_len, vlan_tci, data: &[] };
        self.packets.push((packet, start..self.bytes.len()));
    }

    /// The packet at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<RawPacket<'_>> {
        let (packet, place) = self.packets.get(index)?;
        Some(RawPacket { data: &self.bytes[place.clone()], ..*packet })
    }

    /// All packets in order.
    pub fn iter(&self) -> impl Iterator<Item = RawPacket<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Forgets all, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

impl<'a> Extend<RawPacket<'a>> for PacketBuffer {
    fn extend<I: IntoIterator<Item = RawPacket<'a>>>(&mut self, packets: I) {
        packets.into_iter().for_each(|packet| self.push(&packet));
    }
}

impl<'a> FromIterator<RawPacket<'a>> for PacketBuffer {
    fn from_iter<I: IntoIterator<Item = RawPacket<'a>>>(packets: I) -> Self {
        let mut buffer = Self::new();
        buffer.extend(packets);
        buffer
    }
}

/// A source of packets that are in memory already; numbers them from 1.
#[derive(Clone, Debug)]
pub struct MemorySource {
    packets: PacketBuffer,
    interfaces: Vec<Interface>,
    next: usize,
}

impl MemorySource {
    /// Delivers `packets`, of one interface without a name and of the first packet's link type.
    pub fn new(packets: PacketBuffer) -> Self {
        let link = packets.get(0).map_or(LinkType::ETHERNET, |packet| packet.link);
        Self::with_interfaces(packets, vec![Interface { name: String::new(), link }])
    }

    /// Delivers `packets` of `interfaces`.
    pub fn with_interfaces(packets: PacketBuffer, interfaces: Vec<Interface>) -> Self {
        Self { packets, interfaces, next: 0 }
    }
}

impl PacketSource for MemorySource {
    fn next_burst(&mut self, _: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        let mut batch = Batch::new();
        while !batch.is_full()
            && let Some(packet) = self.packets.get(self.next)
        {
            self.next += 1;
            batch.push(RawPacket { number: self.next as u64, ..packet });
        }
        let count = batch.len();
        batch.deliver(f);
        Ok(if count == 0 { Burst::End } else { Burst::Packets(count) })
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn stats(&mut self) -> CaptureStats {
        CaptureStats { kernel_packets: self.next as u64, ..CaptureStats::default() }
    }
}
