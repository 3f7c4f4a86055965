//! Fragments: packets cut by IP, put together again (RFC 791, RFC 8200 section 4.5).
//!
//! A packet's fragments are kept until they are all there, whatever their order. What each costs
//! is what was received of it, never what its offsets promise. Where fragments overlap, whose
//! bytes count depends on the end host, so the policy goes by the destination, and every overlap
//! is told. All of it is bounded: packets at once, fragments of one packet, memory, time. Where a
//! bound is reached the oldest packet is given up, since a packet that arrives now is the likelier
//! one to become whole.

mod pieces;
mod policy;
#[cfg(test)]
mod tests;

pub use policy::{FragmentPolicy, HostPolicy, Prefix};

use crate::key::Seed;
use crate::list::{Linked, Links, List};
use ahash::RandomState;
use flowtrack_event::{DefragStats, IfaceId, IpProto, Timestamp, Vlans};
use flowtrack_wire::{Anomalies, DecodeAnomaly, Fragment, Ip, Packet, whole_header};
use hashbrown::HashMap;
use pieces::Pieces;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The longest packet that IP can tell.
const LONGEST: usize = 0xffff;

/// Bytes of fragments that one packet may keep: all of it, and as much again of overlaps.
const KEPT_OF_ONE: usize = 2 * (LONGEST + 1);

/// Emptied buffers that are kept for later packets, and how large they may be.
const SPARES: usize = 32;
const LARGEST_SPARE: usize = 64 * 1024;

/// What steers putting fragments together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefragConfig {
    /// Incomplete packets kept at once; beyond, the oldest is given up.
    pub max_packets: u32,
    /// Fragments of one packet; beyond, it is given up.
    pub max_fragments: u32,
    /// Bytes that incomplete packets may keep; beyond, the oldest are given up.
    pub memory: usize,
    /// Seconds after its first fragment at which an incomplete packet is given up.
    pub timeout: u32,
    /// Whether fragments seen on different interfaces belong to different packets.
    pub use_interface: bool,
    /// Whose bytes count where fragments overlap.
    pub policy: FragmentPolicy,
    /// The same for some destinations; the longest prefix counts.
    pub hosts: Vec<HostPolicy<FragmentPolicy>>,
}

impl Default for DefragConfig {
    fn default() -> Self {
        Self {
            max_packets: 65_536,
            max_fragments: 2048,
            memory: 32 * 1024 * 1024,
            timeout: 60,
            use_interface: false,
            policy: FragmentPolicy::default(),
            hosts: Vec::new(),
        }
    }
}

/// Puts fragments together.
pub struct Defrag {
    config: DefragConfig,
    index: HashMap<Key, u32, RandomState>,
    packets: Vec<Incomplete>,
    free: Vec<u32>,
    /// By the time of their first fragment.
    oldest_first: List,
    /// Bytes that incomplete packets keep.
    memory: usize,
    /// What was wrong with the last fragment.
    noticed: Anomalies,
    spares: Vec<Vec<u8>>,
}

/// A packet put together.
#[derive(Debug)]
pub struct Reassembled {
    data: Vec<u8>,
    link_len: u32,
}

impl Reassembled {
    /// The packet from its IP header on, which says that it is whole.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Bytes before the IP header of the fragment that came last.
    pub fn link_len(&self) -> u32 {
        self.link_len
    }
}

/// Fragments with the same key are of the same packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// IPv4 only: IPv6 fragments may differ in it (RFC 8200).
    proto: IpProto,
    vlans: Vlans,
    iface: Option<IfaceId>,
}

/// A packet of which some fragments are missing.
struct Incomplete {
    key: Key,
    began: Timestamp,
    links: Links,
    policy: FragmentPolicy,
    /// Header of the fragment at offset 0.
    header: Vec<u8>,
    pieces: Pieces,
    fragments: u32,
    has_last: bool,
    /// Nothing more is kept, and it is not put together.
    given_up: bool,
    /// What it costs, as counted in [`Defrag::memory`].
    cost: usize,
}

struct Packets<'a>(&'a mut Vec<Incomplete>);

impl Linked for Packets<'_> {
    fn links(&mut self, packet: u32) -> Option<&mut Links> {
        self.0.get_mut(packet as usize).map(|packet| &mut packet.links)
    }
}

impl Defrag {
    /// Nothing kept yet; `seed` makes hashes unpredictable.
    pub fn new(config: DefragConfig, seed: Seed) -> Self {
        let [a, b, c, d] = seed.0;
        Self {
            config,
            index: HashMap::with_hasher(RandomState::with_seeds(a, b, c, d)),
            packets: Vec::new(),
            free: Vec::new(),
            oldest_first: List::default(),
            memory: 0,
            noticed: Anomalies::default(),
            spares: Vec::new(),
        }
    }

    /// Takes a fragment; hands out its packet where that makes it whole.
    ///
    /// What was wrong is in [`Defrag::noticed`] until the next call.
    pub fn insert(
        &mut self,
        ts: Timestamp,
        iface: IfaceId,
        packet: &Packet<'_>,
        stats: &mut DefragStats,
    ) -> Option<Reassembled> {
        self.noticed.clear();
        let ip = packet.ip()?;
        let fragment = ip.fragment?;
        let names = Names::of(ip);
        *names.fragments(stats) += 1;
        let is_cut = packet.payload_wire_len as usize != ip.payload.len();
        if packet.malformed || is_cut {
            return None;
        }
        if ip.payload.is_empty() {
            self.noticed.push(names.ignored);
            return None;
        }
        if ip.header.len() + fragment.offset as usize + ip.payload.len() > LONGEST {
            self.noticed.push(names.too_large);
            return None;
        }
        let key = self.key(ip, &fragment, packet.vlans, iface);
        let number = self.find_or_begin(key, ts, stats)?;
        let whole = self.add(number, ip, &fragment, &names, stats);
        let whole = whole.then(|| self.complete(number, packet.link_len, &names, stats)).flatten();
        self.keep_below_cap(stats);
        stats.memuse = self.memory as u64;
        whole
    }

    /// What was wrong with the last fragment and the packet it belongs to.
    pub fn noticed(&self) -> Anomalies {
        self.noticed
    }

    /// Takes the buffer of a packet back, for the next one.
    pub fn recycle(&mut self, packet: Reassembled) {
        self.keep_spare(packet.data);
    }

    /// Gives up packets whose time is over.
    pub fn expire(&mut self, now: Timestamp, stats: &mut DefragStats) {
        while let Some(oldest) = self.oldest_first.first()
            && self.packets.get(oldest as usize).is_some_and(|p| self.is_over(p, now))
        {
            self.release(oldest);
            stats.timeouts += 1;
        }
        stats.memuse = self.memory as u64;
    }

    /// Incomplete packets kept now.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no incomplete packet is kept.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn key(&self, ip: &Ip<'_>, fragment: &Fragment, vlans: Vlans, iface: IfaceId) -> Key {
        Key {
            src: ip.src,
            dst: ip.dst,
            id: fragment.id,
            proto: if ip.src.is_ipv4() { ip.proto } else { IpProto::default() },
            vlans,
            iface: self.config.use_interface.then_some(iface),
        }
    }

    fn is_over(&self, packet: &Incomplete, now: Timestamp) -> bool {
        now.since(packet.began) > Duration::from_secs(u64::from(self.config.timeout))
    }

    /// The packet that a fragment belongs to; an identification used again after the time-out
    /// begins a new one.
    fn find_or_begin(&mut self, key: Key, ts: Timestamp, stats: &mut DefragStats) -> Option<u32> {
        if let Some(&number) = self.index.get(&key) {
            let packet = self.packets.get(number as usize)?;
            if !self.is_over(packet, ts) {
                return Some(number);
            }
            self.release(number);
            stats.timeouts += 1;
        }
        if self.index.len() >= self.config.max_packets.max(1) as usize
            && let Some(oldest) = self.oldest_first.first()
        {
            self.release(oldest);
            stats.max_trackers_reached += 1;
        }
        let packet = Incomplete {
            key,
            began: ts,
            links: Links::default(),
            policy: self.config.policy_for(key.dst),
            header: Vec::new(),
            pieces: Pieces::new(self.spares.pop().unwrap_or_default()),
            fragments: 0,
            has_last: false,
            given_up: false,
            cost: 0,
        };
        let number = self.place(packet)?;
        self.index.insert(key, number);
        self.oldest_first.push(number, &mut Packets(&mut self.packets));
        Some(number)
    }

    fn place(&mut self, packet: Incomplete) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            *self.packets.get_mut(number as usize)? = packet;
            return Some(number);
        }
        let number = u32::try_from(self.packets.len()).ok()?;
        self.packets.push(packet);
        Some(number)
    }

    /// Adds a fragment to its packet; says whether that is whole now.
    fn add(
        &mut self,
        number: u32,
        ip: &Ip<'_>,
        fragment: &Fragment,
        names: &Names,
        stats: &mut DefragStats,
    ) -> bool {
        let Some(packet) = self.packets.get_mut(number as usize) else { return false };
        if packet.given_up {
            self.noticed.push(names.ignored);
            return false;
        }
        packet.fragments += 1;
        let room = packet.pieces.kept() + ip.payload.len() <= KEPT_OF_ONE;
        if packet.fragments > self.config.max_fragments || !room {
            packet.given_up = true;
            packet.header = Vec::new();
            packet.pieces = Pieces::default();
            stats.max_frags_reached += 1;
            self.noticed.push(names.ignored);
        } else {
            if fragment.offset == 0 && packet.header.is_empty() {
                packet.header.extend_from_slice(ip.header);
            }
            packet.has_last |= !fragment.more;
            let overlap = packet.pieces.add(fragment.offset, ip.payload, packet.policy);
            if overlap.any {
                stats.overlaps += 1;
                self.noticed.push(names.overlap);
            }
            if overlap.differs {
                self.noticed.push(names.overlap_differs);
            }
        }
        let cost = size_of::<Incomplete>() + packet.header.capacity() + packet.pieces.cost();
        self.memory = self.memory + cost - packet.cost;
        packet.cost = cost;
        packet.has_last && packet.pieces.has_no_hole()
    }

    /// Takes a packet out and writes it down whole.
    fn complete(
        &mut self,
        number: u32,
        link_len: u32,
        names: &Names,
        stats: &mut DefragStats,
    ) -> Option<Reassembled> {
        let mut data = self.spares.pop().unwrap_or_default();
        let packet = self.packets.get(number as usize)?;
        let fits = whole_header(&packet.header, packet.pieces.end(), &mut data);
        if fits {
            packet.pieces.write(&mut data);
        }
        self.release(number);
        if !fits {
            self.noticed.push(names.too_large);
            self.keep_spare(data);
            return None;
        }
        *names.reassembled(stats) += 1;
        Some(Reassembled { data, link_len })
    }

    /// Gives up the oldest packets until the memory cap holds.
    fn keep_below_cap(&mut self, stats: &mut DefragStats) {
        while self.memory > self.config.memory
            && let Some(oldest) = self.oldest_first.first()
        {
            self.release(oldest);
            stats.max_frags_reached += 1;
        }
    }

    fn release(&mut self, number: u32) {
        self.oldest_first.remove(number, &mut Packets(&mut self.packets));
        let Some(packet) = self.packets.get_mut(number as usize) else { return };
        self.index.remove(&packet.key);
        self.memory -= std::mem::take(&mut packet.cost);
        packet.header = Vec::new();
        let pieces = std::mem::take(&mut packet.pieces);
        self.free.push(number);
        self.keep_spare(pieces.into_buffer());
    }

    fn keep_spare(&mut self, mut buffer: Vec<u8>) {
        if self.spares.len() < SPARES && (1..=LARGEST_SPARE).contains(&buffer.capacity()) {
            buffer.clear();
            self.spares.push(buffer);
        }
    }
}

/// What is counted and told differs by IP version.
struct Names {
    is_v4: bool,
    ignored: DecodeAnomaly,
    too_large: DecodeAnomaly,
    overlap: DecodeAnomaly,
    overlap_differs: DecodeAnomaly,
}

impl Names {
    fn of(ip: &Ip<'_>) -> Self {
        if ip.src.is_ipv4() {
            Self {
                is_v4: true,
                ignored: DecodeAnomaly::Ipv4FragIgnored,
                too_large: DecodeAnomaly::Ipv4FragPktTooLarge,
                overlap: DecodeAnomaly::Ipv4FragOverlap,
                overlap_differs: DecodeAnomaly::Ipv4FragOverlapDiffers,
            }
        } else {
            Self {
                is_v4: false,
                ignored: DecodeAnomaly::Ipv6FragIgnored,
                too_large: DecodeAnomaly::Ipv6FragPktTooLarge,
                overlap: DecodeAnomaly::Ipv6FragOverlap,
                overlap_differs: DecodeAnomaly::Ipv6FragOverlapDiffers,
            }
        }
    }

    fn fragments<'s>(&self, stats: &'s mut DefragStats) -> &'s mut u64 {
        if self.is_v4 { &mut stats.ipv4_fragments } else { &mut stats.ipv6_fragments }
    }

    fn reassembled<'s>(&self, stats: &'s mut DefragStats) -> &'s mut u64 {
        if self.is_v4 { &mut stats.ipv4_reassembled } else { &mut stats.ipv6_reassembled }
    }
}
