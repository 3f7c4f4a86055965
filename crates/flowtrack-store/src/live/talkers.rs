//! Hosts by bytes, in bounded memory.

use super::HostRow;
use crate::heavy::drop_lighter_half;
use crate::names::Names;
use ahash::RandomState;
use flowtrack_event::{FlowKey, FlowRecord, Timestamp};
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::net::IpAddr;

/// Counts per host.
///
/// When there are too many hosts, the lighter half goes at once, and whoever comes new is ranked
/// as if it had the weight of the heaviest that went. So a heavy host is never lost to many light
/// ones, and a flood of new addresses costs no more per address than any packet. Only bytes really
/// counted are shown: a host that went and came again shows less than it had, never more.
pub(crate) struct Talkers {
    hosts: HashMap<IpAddr, Host, RandomState>,
    capacity: usize,
    /// Weight of the heaviest host that went.
    floor: u64,
    entered: u64,
    evicted: u64,
    /// When the last two pictures were taken, latest first.
    pictures: [Timestamp; 2],
}

/// The entries of a flow's hosts on which it is counted; 0 for none.
///
/// A flow that ends is taken only from the entry that counted it, not from a later entry of the
/// same address.
#[derive(Clone, Copy, Default)]
pub(crate) struct Entries {
    src: u64,
    dst: u64,
}

/// What a flow had since it was last heard of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Delta {
    bytes_out: u64,
    bytes_back: u64,
    packets: u64,
}

impl Delta {
    /// From what was known of a flow to what is known now.
    pub fn between(before: Option<&FlowRecord>, now: &FlowRecord) -> Self {
        let (out, back) = before.map(|b| (b.to_server, b.to_client)).unwrap_or_default();
        let packets = |a: u64, b: u64| a.saturating_add(b);
        Self {
            bytes_out: now.to_server.bytes.saturating_sub(out.bytes),
            bytes_back: now.to_client.bytes.saturating_sub(back.bytes),
            packets: packets(now.to_server.packets, now.to_client.packets)
                .saturating_sub(packets(out.packets, back.packets)),
        }
    }
}

#[derive(Default)]
struct Host {
    bytes_out: u64,
    bytes_in: u64,
    packets: u64,
    flows: u64,
    entry: u64,
    /// Weight it may have had before this entry, at most.
    floor: u64,
    /// Bytes at the last two pictures, latest first.
    marks: [u64; 2],
}

impl Host {
    fn bytes(&self) -> u64 {
        self.bytes_out.saturating_add(self.bytes_in)
    }

    fn weight(&self) -> u64 {
        self.floor.saturating_add(self.bytes())
    }
}

impl Talkers {
    pub fn new(capacity: usize) -> Self {
        Self {
            hosts: HashMap::default(),
            capacity: capacity.max(2),
            floor: 0,
            entered: 0,
            evicted: 0,
            pictures: [Timestamp::ZERO; 2],
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    /// Hosts that went.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Adds what is new on a flow to its hosts, and the flow itself where it is not yet counted.
    pub fn credit(&mut self, key: &FlowKey, delta: &Delta, entries: &mut Entries) {
        let Delta { bytes_out, bytes_back, .. } = *delta;
        entries.src = self.add(key.src, bytes_out, bytes_back, delta.packets, entries.src);
        if key.src != key.dst {
            entries.dst = self.add(key.dst, bytes_back, bytes_out, delta.packets, entries.dst);
        }
    }

    /// Takes a flow that is over from its hosts.
    pub fn end(&mut self, key: &FlowKey, entries: Entries) {
        for (address, entry) in [(key.src, entries.src), (key.dst, entries.dst)] {
            if let Some(host) = self.hosts.get_mut(&address).filter(|host| host.entry == entry) {
                host.flows = host.flows.saturating_sub(1);
            }
        }
    }

    fn add(&mut self, host: IpAddr, out: u64, back: u64, packets: u64, entry: u64) -> u64 {
        if self.hosts.len() >= self.capacity && !self.hosts.contains_key(&host) {
            let before = self.hosts.len();
            self.floor = self.floor.max(drop_lighter_half(&mut self.hosts, Host::weight));
            self.evicted += (before - self.hosts.len()) as u64;
        }
        let host = self.hosts.entry(host).or_insert_with(|| {
            self.entered += 1;
            Host { entry: self.entered, floor: self.floor, ..Host::default() }
        });
        host.bytes_out = host.bytes_out.saturating_add(out);
        host.bytes_in = host.bytes_in.saturating_add(back);
        host.packets = host.packets.saturating_add(packets);
        host.flows += u64::from(host.entry != entry);
        host.entry
    }

    /// The heaviest hosts; this is a picture, from which the next rates are reckoned.
    pub fn top(&mut self, n: usize, now: Timestamp, names: &Names) -> Vec<HostRow> {
        let [_, since] = self.pictures;
        // Over two pictures, because flows speak up at any moment of their second.
        let passed = now.since(since).as_micros();
        let mut heaviest: Vec<_> = self.hosts.iter_mut().collect();
        if heaviest.len() > n {
            heaviest.select_nth_unstable_by_key(n, |(_, host)| Reverse(host.bytes()));
        }
        let mut rows: Vec<_> = heaviest[..n.min(heaviest.len())]
            .iter()
            .map(|(address, host)| HostRow {
                addr: address.to_string(),
                name: names.of_address(**address).map(str::to_owned),
                bytes_out: host.bytes_out,
                bytes_in: host.bytes_in,
                packets: host.packets,
                rate: rate(host.bytes().saturating_sub(host.marks[1]), passed),
                flows: host.flows,
            })
            .collect();
        for (_, host) in heaviest {
            host.marks = [host.bytes(), host.marks[0]];
        }
        self.pictures = [now, self.pictures[0]];
        rows.sort_by(|a, b| {
            let bytes = |row: &HostRow| row.bytes_out.saturating_add(row.bytes_in);
            bytes(b).cmp(&bytes(a)).then_with(|| a.addr.cmp(&b.addr))
        });
        rows
    }
}

/// Bytes per second; the first pictures have no time to divide by and say 0.
fn rate(bytes: u64, micros: u128) -> u64 {
    (u128::from(bytes) * 1_000_000)
        .checked_div(micros)
        .map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}
