//! What detectors say, with a bound.

use flowtrack_event::{Detection, Event, Severity, Timestamp};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Takes detections: at most one a second for the same detector, kind, source and target, and at
/// most so many a second together, as many again of those that are urgent; the rest is counted,
/// repeats and what was too much apart.
#[derive(Debug)]
pub struct Findings {
    max_per_second: u32,
    second: i64,
    told: u32,
    recent: VecDeque<Key>,
    ready: Vec<Event>,
    counted: u64,
    repeated: u64,
    left_out: u64,
}

/// Seconds that a detection may be late without time starting over.
const MAX_LATE: i64 = 120;
/// Detections of one second that are told apart.
const MAX_RECENT: usize = 1024;

type Key = (u32, Option<IpAddr>, Option<IpAddr>, Option<u16>);

impl Findings {
    pub(crate) fn new(max_per_second: u32) -> Self {
        Self {
            max_per_second,
            second: i64::MIN / 2,
            told: 0,
            recent: VecDeque::new(),
            ready: Vec::new(),
            counted: 0,
            repeated: 0,
            left_out: 0,
        }
    }

    /// Says a detection; `false` where it was only counted.
    pub fn tell(&mut self, detection: Detection) -> bool {
        self.advance(detection.ts);
        let Detection { sid, source, target, target_port, .. } = detection;
        let key = (sid, source, target, target_port);
        let room = match detection.severity {
            // What is urgent finds room, however much is said of the rest.
            Severity::High | Severity::Critical => self.max_per_second.saturating_mul(2),
            Severity::Info | Severity::Low | Severity::Medium => self.max_per_second,
        };
        if self.recent.contains(&key) {
            self.repeated += 1;
            return false;
        }
        if self.told >= room {
            self.left_out += 1;
            return false;
        }
        if self.recent.len() < MAX_RECENT {
            self.recent.push_back(key);
        }
        self.told += 1;
        self.counted += 1;
        self.ready.push(Event::Detection(Box::new(detection)));
        true
    }

    /// Moves what was said to `out`.
    pub(crate) fn take(&mut self, out: &mut Vec<Event>) {
        out.append(&mut self.ready);
    }

    pub(crate) fn told(&self) -> u64 {
        self.counted
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    fn advance(&mut self, now: Timestamp) {
        // Detectors speak of this second and of the one before, in turn.
        if now.secs() > self.second || now.secs() < self.second - MAX_LATE {
            self.second = now.secs();
            self.told = 0;
            self.recent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{About, Kind};

    const ABOUT: About = About {
        name: "test",
        summary: "",
        text: "",
        category: "test",
        technique: None,
        kinds: &[Kind { name: "", sid: 1, summary: "" }],
    };

    fn detection(second: i64, host: u8) -> Detection {
        let source = Some(IpAddr::from([10, 0, 0, host]));
        Detection { source, ..ABOUT.detection("", Timestamp::from_secs(second)) }
    }

    #[test]
    fn repeats_and_floods_are_counted() {
        let mut findings = Findings::new(3);
        assert!(findings.tell(detection(1, 1)));
        assert!(!findings.tell(detection(1, 1)));
        assert!(findings.tell(detection(1, 2)));
        assert!(findings.tell(detection(1, 3)));
        assert!(!findings.tell(detection(1, 4)));
        assert!(findings.tell(Detection { severity: Severity::High, ..detection(1, 5) }));
        assert!(findings.tell(detection(2, 1)));
        // Looking back does not make room anew.
        assert!(!findings.tell(detection(1, 1)));
        let counts = (findings.told(), findings.repeated(), findings.left_out());
        assert_eq!(counts, (5, 2, 1));
        let mut out = Vec::new();
        findings.take(&mut out);
        assert_eq!(out.len(), 5);
    }
}
