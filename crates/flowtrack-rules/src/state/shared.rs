//! What rules remember beyond flows: `xbits`, `hostbits`, data sets, thresholds.

#![allow(
    clippy::disallowed_types,
    reason = "the one table that all workers share: hosts are not bound to workers"
)]

use super::dataset::Dataset;
use super::reputation::{Countries, Reputation};
use super::tags::{TagRequest, Tagged, TaggedHosts};
use super::threshold::Thresholds;
use super::vars::VarId;
use ahash::AHashMap;
use flowtrack_event::{FlowId, FlowKey, Timestamp};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whose bit it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Track {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
    /// That of two hosts.
    Pair,
    /// That of a transaction.
    Transaction,
}

/// Bits kept; beyond, those that are over go, and else nothing is set.
const CAP: usize = 262_144;

/// What rules remember beyond flows; shared by all workers, bounded.
#[derive(Default, Debug)]
pub struct Shared {
    memory: Arc<Memory>,
    /// What is known of addresses; fixed while rules run.
    pub reputation: Arc<Reputation>,
    countries: Option<Arc<dyn Countries>>,
    turn: Option<Box<dyn Turn>>,
}

/// Keeps the order of packets where several workers share the packets of one capture: without it a
/// limit that hosts of different workers fill would speak of whichever worker came first.
pub trait Turn: Send + Sync + std::fmt::Debug {
    /// The packet that is judged next, by its place in the capture; 0 where flows end without one.
    fn at(&self, number: u64);

    /// Returns once every other worker is behind what comes before that packet.
    fn wait(&self);
}

#[derive(Default, Debug)]
struct Memory {
    bits: Mutex<Bits>,
    limits: Mutex<Thresholds>,
    datasets: Mutex<AHashMap<VarId, Dataset>>,
    tagged: Mutex<TaggedHosts>,
    /// Whether there are any of them, so that packets need not ask.
    is_tagged: AtomicBool,
}

type Bits = AHashMap<(VarId, Whose), Timestamp>;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Whose {
    Host(IpAddr),
    Pair(IpAddr, IpAddr),
    Transaction(FlowId, u64),
}

/// A bit of hosts or of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bit {
    name: VarId,
    whose: Whose,
}

impl Bit {
    /// Whether two workers may ask for it: packets between two hosts are one worker's.
    const fn crosses(&self) -> bool {
        matches!(self.whose, Whose::Host(_))
    }

    /// The bit that belongs to the ends of a packet, or to a transaction; `None` where these are
    /// not there.
    pub fn of(
        name: VarId,
        track: Track,
        key: Option<&FlowKey>,
        tx: Option<(FlowId, u64)>,
    ) -> Option<Self> {
        let whose = match track {
            Track::Source => Whose::Host(key?.src),
            Track::Destination => Whose::Host(key?.dst),
            Track::Pair => {
                let key = key?;
                Whose::Pair(key.src.min(key.dst), key.src.max(key.dst))
            }
            Track::Transaction => {
                let (flow, tx) = tx?;
                Whose::Transaction(flow, tx)
            }
        };
        Some(Self { name, whose })
    }
}

impl Shared {
    /// With what is known of addresses.
    pub fn with_reputation(reputation: Reputation) -> Self {
        Self { reputation: Arc::new(reputation), ..Self::default() }
    }

    /// The same memory, with what is known of addresses now.
    #[must_use]
    pub fn knowing(&self, reputation: Reputation, countries: Option<Arc<dyn Countries>>) -> Self {
        Self { reputation: Arc::new(reputation), countries, ..self.alike() }
    }

    /// Where addresses are, where a database says so.
    pub fn countries(&self) -> Option<&dyn Countries> {
        self.countries.as_deref()
    }

    /// What data sets hold and lists say, without any memory of traffic.
    #[must_use]
    pub fn again(&self) -> Self {
        let datasets = Mutex::new(lock(&self.memory.datasets).clone());
        let memory = Arc::new(Memory { datasets, ..Memory::default() });
        Self { memory, ..self.alike() }
    }

    /// The same memory, for a worker that uses it in its turn.
    #[must_use]
    pub fn in_turn(&self, turn: Box<dyn Turn>) -> Self {
        Self { turn: Some(turn), ..self.alike() }
    }

    /// The same memory, out of turn.
    fn alike(&self) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            reputation: Arc::clone(&self.reputation),
            countries: self.countries.clone(),
            turn: None,
        }
    }

    /// Says which packet is judged next, by its place in the capture; 0 where a flow ends without
    /// one.
    #[inline]
    pub fn at(&self, number: u64) {
        if let Some(turn) = &self.turn {
            turn.at(number);
        }
    }

    fn wait(&self) {
        if let Some(turn) = &self.turn {
            turn.wait();
        }
    }

    fn bits(&self, bit: &Bit) -> MutexGuard<'_, Bits> {
        if bit.crosses() {
            self.wait();
        }
        lock(&self.memory.bits)
    }

    /// Whether a bit is set and not over.
    pub fn has(&self, bit: Bit, now: Timestamp) -> bool {
        let mut bits = self.bits(&bit);
        match bits.get(&(bit.name, bit.whose)) {
            Some(until) if *until >= now => true,
            Some(_) => {
                bits.remove(&(bit.name, bit.whose));
                false
            }
            None => false,
        }
    }

    /// Sets a bit for so many seconds; says whether there was room.
    pub fn set(&self, bit: Bit, now: Timestamp, seconds: u32) -> bool {
        let mut bits = self.bits(&bit);
        let key = (bit.name, bit.whose);
        if bits.len() >= CAP && !bits.contains_key(&key) {
            bits.retain(|_, until| *until >= now);
            if bits.len() >= CAP {
                return false;
            }
        }
        bits.insert(key, now.plus(Duration::from_secs(seconds.into())));
        true
    }

    /// Clears a bit.
    pub fn unset(&self, bit: Bit) {
        self.bits(&bit).remove(&(bit.name, bit.whose));
    }

    /// Works on what thresholds count; `crosses` where hosts of other workers are counted too.
    pub fn limits<T>(&self, crosses: bool, work: impl FnOnce(&mut Thresholds) -> T) -> T {
        if crosses {
            self.wait();
        }
        work(&mut lock(&self.memory.limits))
    }

    /// Works on a data set; `None` where there is none of this name.
    pub fn dataset<T>(&self, name: VarId, work: impl FnOnce(&mut Dataset) -> T) -> Option<T> {
        self.wait();
        lock(&self.memory.datasets).get_mut(&name).map(work)
    }

    /// Puts data sets in place of those of the same names; what rules added to these is kept. Of
    /// the others those that `is_named` does not know are forgotten.
    pub fn put_datasets(
        &self,
        fresh: impl IntoIterator<Item = (VarId, Dataset)>,
        is_named: impl Fn(VarId) -> bool,
    ) {
        let mut datasets = lock(&self.memory.datasets);
        for (name, mut dataset) in fresh {
            if let Some(before) = datasets.get(&name) {
                dataset.keep_added(before);
            }
            datasets.insert(name, dataset);
        }
        datasets.retain(|name, _| is_named(*name));
    }

    /// Begins to record what one end of a packet sends and gets; says whether there was room.
    pub fn tag(
        &self,
        rule: (u32, u32),
        request: TagRequest,
        key: &FlowKey,
        now: Timestamp,
    ) -> bool {
        let host = match request.of {
            Tagged::Session => return true,
            Tagged::Source => key.src,
            Tagged::Destination => key.dst,
        };
        self.wait();
        let mut tagged = lock(&self.memory.tagged);
        let has_room = tagged.add(host, rule, request, now);
        self.memory.is_tagged.store(!tagged.is_empty(), Ordering::Release);
        has_room
    }

    /// Counts a packet of so many bytes for its hosts; says whether it is to be recorded.
    pub fn is_tagged(&self, key: &FlowKey, now: Timestamp, bytes: u32) -> bool {
        self.wait();
        if !self.memory.is_tagged.load(Ordering::Acquire) {
            return false;
        }
        let mut tagged = lock(&self.memory.tagged);
        let is_wanted = tagged.meet([key.src, key.dst], now, bytes);
        self.memory.is_tagged.store(!tagged.is_empty(), Ordering::Release);
        is_wanted
    }
}

/// A worker that panicked left nothing half done here: every change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::IpProto;

    #[test]
    fn bits_belong_to_their_hosts_and_end() {
        let shared = Shared::default();
        let key = FlowKey {
            src: [10, 0, 0, 1].into(),
            dst: [10, 0, 0, 2].into(),
            src_port: 1,
            dst_port: 2,
            proto: IpProto::TCP,
        };
        let back = key.reversed();
        let name = VarId::of("seen");
        let bit = |track, key: &FlowKey| Bit::of(name, track, Some(key), None).unwrap();
        let now = Timestamp::from_secs(100);
        shared.set(bit(Track::Source, &key), now, 30);
        assert!(shared.has(bit(Track::Destination, &back), now));
        assert!(!shared.has(bit(Track::Source, &back), now));
        shared.set(bit(Track::Pair, &key), now, 30);
        assert!(shared.has(bit(Track::Pair, &back), now));
        assert!(!shared.has(bit(Track::Source, &key), Timestamp::from_secs(131)));
        shared.unset(bit(Track::Pair, &back));
        assert!(!shared.has(bit(Track::Pair, &key), now));
    }

    #[test]
    fn bits_have_a_bound_and_one_that_is_set_stays_so() {
        let shared = Shared::default();
        let bit = |n: u32| Bit { name: VarId::of("b"), whose: Whose::Host(n.to_be_bytes().into()) };
        let now = Timestamp::from_secs(100);
        let kept = (0..CAP as u32 + 3).filter(|n| shared.set(bit(*n), now, 30)).count();
        assert_eq!(kept, CAP);
        // What is there already has room, and so has anything once the others are over.
        assert!(shared.set(bit(7), now, 60));
        assert!(!shared.set(bit(u32::MAX), now, 30));
        assert!(shared.set(bit(u32::MAX), Timestamp::from_secs(140), 30));
        assert!(shared.has(bit(7), Timestamp::from_secs(140)));
    }
}
