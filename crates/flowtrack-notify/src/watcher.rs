//! Turns what the program says into notices, fast enough for a flood.

use crate::notice::Notice;
use crate::notifier::Notifier;
use flowtrack_event::{Alert, Detection, Event, Timestamp};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Watches events for what people are to be told.
///
/// The same alert is told at most once a second; what comes in between is added up first, so that
/// a million alerts of one attack cost no more than counting them.
pub struct Watcher {
    notifier: Arc<Notifier>,
    hasher: RandomState,
    /// What was told in this second, and how often it came since.
    told: HashMap<u64, u64>,
    since: Timestamp,
}

impl Watcher {
    /// A watcher that tells this notifier.
    pub fn new(notifier: Arc<Notifier>) -> Self {
        Self { notifier, hasher: RandomState::new(), told: HashMap::new(), since: Timestamp::ZERO }
    }

    /// Looks at some events.
    pub fn watch(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Alert(alert) => self.alert(alert),
                Event::Detection(detection) => self.detection(detection),
                _ => {}
            }
        }
    }

    fn alert(&mut self, alert: &Alert) {
        let key = alert.ends.key.map(|key| (key.src, key.dst, key.dst_port));
        let hash = self.hasher.hash_one((alert.rule.gid, alert.rule.sid, key));
        if let Some(missed) = self.first(alert.ts, hash) {
            let mut notice = Notice::of_alert(alert);
            notice.count += missed;
            self.notifier.tell(notice);
        }
    }

    fn detection(&mut self, detection: &Detection) {
        let who = (detection.source, detection.target, detection.target_port);
        let what = (detection.sid, detection.severity.priority(), detection.severity.name());
        let hash = self.hasher.hash_one((what, who));
        if let Some(missed) = self.first(detection.ts, hash) {
            let mut notice = Notice::of_detection(detection);
            notice.count = notice.count.saturating_add(missed);
            self.notifier.tell(notice);
        }
    }

    /// `Some` with what was missed before, where this is the first of its second.
    fn first(&mut self, now: Timestamp, hash: u64) -> Option<u64> {
        if now.since(self.since) >= SECOND || now < self.since {
            self.since = now;
            // What came again since is told with the next of its kind, where that comes within a
            // second; the rest is forgotten.
            self.told.retain(|_, missed| *missed > 0 && *missed & OPEN == 0);
            self.told.values_mut().for_each(|missed| *missed |= OPEN);
        }
        if let Some(missed) = self.told.get_mut(&hash) {
            if *missed & OPEN != 0 {
                return Some(std::mem::take(missed) & !OPEN);
            }
            *missed += 1;
            return None;
        }
        if self.told.len() >= MAX_TOLD {
            self.notifier.lose(1);
            return None;
        }
        self.told.insert(hash, 0);
        Some(0)
    }
}

/// Marks what may be told again.
const OPEN: u64 = 1 << 63;
const SECOND: Duration = Duration::from_secs(1);
/// Different alerts that are told in one second; more are only counted.
const MAX_TOLD: usize = 4096;
