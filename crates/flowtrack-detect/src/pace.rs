//! How often the same thing is told.

use crate::Recent;
use flowtrack_event::{FlowEvent, FlowId, FlowPhase, FlowState, IpProto, Severity, Timestamp};
use std::hash::Hash;
use std::time::Duration;

/// Tells the same thing at once, again when it got worse, and every ten seconds while it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pace {
    told: Option<(Timestamp, Severity)>,
    pending: u64,
}

impl Pace {
    /// How long the same thing is not told again.
    pub const EVERY: Duration = Duration::from_secs(10);

    /// So many more occurrences.
    pub fn add(&mut self, count: u64) {
        self.pending = self.pending.saturating_add(count);
    }

    /// Whether it is time to tell it, and how many occurrences there were since it was told last.
    pub fn due(&mut self, now: Timestamp, severity: Severity) -> Option<u64> {
        let waits = self.told.is_some_and(|(told, before)| {
            severity <= before && now.since(told) < Self::EVERY && now >= told
        });
        if waits {
            return None;
        }
        self.told = Some((now, severity));
        Some(std::mem::take(&mut self.pending).max(1))
    }
}

/// Whether something was told less than so many seconds ago.
pub(crate) fn lately(told: Option<Timestamp>, now: Timestamp, seconds: i64) -> bool {
    told.is_some_and(|told| now.secs() - told.secs() < seconds)
}

/// Tells each thing once in a while.
#[derive(Debug)]
pub struct Once<K> {
    told: Recent<K, Timestamp>,
    every: Duration,
}

impl<K: Clone + Eq + Hash> Once<K> {
    /// Remembers `capacity` things for `every`.
    pub fn new(capacity: usize, every: Duration) -> Self {
        Self { told: Recent::new(capacity), every }
    }

    /// Whether it is time to tell it; if so, it counts as told.
    pub fn is_due(&mut self, key: K, now: Timestamp) -> bool {
        if let Some(told) = self.told.get_mut(&key) {
            if now.since(*told) < self.every {
                return false;
            }
            *told = now;
            return true;
        }
        self.told.entry(key, || now);
        true
    }

    /// Things that were forgotten for others, and may be told again.
    pub fn evicted(&self) -> u64 {
        self.told.evicted()
    }

    /// Things that are remembered.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

/// Hears that flows are over, each once: a TCP session when it is closed, a minute before it leaves
/// the flow table and its end is told.
#[derive(Debug)]
pub(crate) struct Over(Recent<FlowId, ()>);

impl Over {
    /// Remembers so many sessions from when they close until they end.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Recent::new(capacity))
    }

    /// Whether this is the first word that the flow is over.
    pub(crate) fn is_news(&mut self, flow: &FlowEvent) -> bool {
        let record = &flow.record;
        match flow.phase {
            FlowPhase::Start => false,
            FlowPhase::End(_) => self.0.remove(&record.id).is_none(),
            FlowPhase::Update => {
                let is_closed =
                    record.key.proto == IpProto::TCP && record.state == FlowState::Closed;
                let is_news = is_closed && self.0.get(&record.id).is_none();
                if is_news {
                    self.0.entry(record.id, || ());
                }
                is_news
            }
        }
    }

    /// Sessions that were forgotten, and are over twice.
    pub(crate) fn evicted(&self) -> u64 {
        self.0.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_again_and_what_gets_worse_at_once() {
        let at = Timestamp::from_secs;
        let mut pace = Pace::default();
        pace.add(10);
        assert_eq!(pace.due(at(1), Severity::Medium), Some(10));
        pace.add(5);
        assert_eq!(pace.due(at(5), Severity::Medium), None);
        assert_eq!(pace.due(at(6), Severity::High), Some(5));
        pace.add(2);
        assert_eq!(pace.due(at(15), Severity::High), None);
        assert_eq!(pace.due(at(16), Severity::High), Some(2));
    }

    #[test]
    fn once_is_once_within_its_time() {
        let at = Timestamp::from_secs;
        let mut once = Once::new(2, Duration::from_secs(100));
        assert!(once.is_due(1, at(0)) && !once.is_due(1, at(99)) && once.is_due(1, at(100)));
        assert!(once.is_due(2, at(100)) && once.is_due(3, at(100)));
        assert_eq!((once.len(), once.evicted()), (2, 1));
    }
}
