//! What rules remember beyond flows: `xbits`, `hostbits`, data sets, thresholds.

#![allow(
    clippy::disallowed_types,
    reason = "the one table that all workers share: hosts are not bound to workers"
)]

use super::dataset::Dataset;
use super::reputation::Reputation;
use super::threshold::Thresholds;
use super::vars::VarId;
use ahash::AHashMap;
use flowtrack_event::{FlowId, FlowKey, Timestamp};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    bits: Mutex<Bits>,
    limits: Mutex<Thresholds>,
    datasets: Mutex<AHashMap<VarId, Dataset>>,
    /// What is known of addresses; fixed while rules run.
    pub reputation: Reputation,
}

/// What could not be remembered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SharedCounters {
    /// Bits.
    pub bits: u64,
    /// Matches that thresholds could not count.
    pub limits: u64,
    /// Values of data sets.
    pub values: u64,
}

#[derive(Default, Debug)]
struct Bits {
    set: AHashMap<(VarId, Whose), Timestamp>,
    dropped: u64,
}

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
        Self { reputation, ..Self::default() }
    }

    /// What data sets hold and lists say, without any memory of traffic.
    #[must_use]
    pub fn again(&self) -> Self {
        let datasets = Mutex::new(lock(&self.datasets).clone());
        Self { datasets, reputation: self.reputation.clone(), ..Self::default() }
    }

    /// Whether a bit is set and not over.
    pub fn has(&self, bit: Bit, now: Timestamp) -> bool {
        let mut bits = lock(&self.bits);
        match bits.set.get(&(bit.name, bit.whose)) {
            Some(until) if *until >= now => true,
            Some(_) => {
                bits.set.remove(&(bit.name, bit.whose));
                false
            }
            None => false,
        }
    }

    /// Sets a bit for so many seconds.
    pub fn set(&self, bit: Bit, now: Timestamp, seconds: u32) {
        let mut bits = lock(&self.bits);
        if bits.set.len() >= CAP {
            bits.set.retain(|_, until| *until >= now);
        }
        if bits.set.len() < CAP {
            let until = now.plus(Duration::from_secs(seconds.into()));
            bits.set.insert((bit.name, bit.whose), until);
        } else {
            bits.dropped += 1;
        }
    }

    /// Clears a bit.
    pub fn unset(&self, bit: Bit) {
        lock(&self.bits).set.remove(&(bit.name, bit.whose));
    }

    /// Works on what thresholds count.
    pub fn limits<T>(&self, work: impl FnOnce(&mut Thresholds) -> T) -> T {
        work(&mut lock(&self.limits))
    }

    /// Works on a data set; `None` where there is none of this name.
    pub fn dataset<T>(&self, name: VarId, work: impl FnOnce(&mut Dataset) -> T) -> Option<T> {
        lock(&self.datasets).get_mut(&name).map(work)
    }

    /// Puts a data set in place of the one of this name.
    pub fn put_dataset(&self, name: VarId, dataset: Dataset) {
        lock(&self.datasets).insert(name, dataset);
    }

    /// What could not be remembered so far.
    pub fn counters(&self) -> SharedCounters {
        SharedCounters {
            bits: lock(&self.bits).dropped,
            limits: lock(&self.limits).overflow,
            values: lock(&self.datasets).values().map(|set| set.dropped).sum(),
        }
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
}
