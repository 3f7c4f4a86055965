//! What a detector is, for people and for the detections that it makes.

use flowtrack_event::{Detection, Severity, Technique, Timestamp};

/// What a detector is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// Its name, as in the configuration.
    pub name: &'static str,
    /// What it notices, in one line.
    pub summary: &'static str,
    /// How it decides, and what it leaves alone; a paragraph for the reference.
    pub text: &'static str,
    /// Such as `reconnaissance`, `denial of service`, `credential access`.
    pub category: &'static str,
    /// What the attacker does, where ATT&CK has a word for it.
    pub technique: Option<Technique>,
    /// What it tells apart; at least one.
    pub kinds: &'static [Kind],
}

/// One thing that a detector tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Such as `vertical`; empty where there is only one.
    pub name: &'static str,
    /// Its number; unique over all detectors, and it never changes.
    pub sid: u32,
    /// What it means, in one line.
    pub summary: &'static str,
}

impl About {
    /// The kind of this name, or the first one.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name).or(self.kinds.first())
    }

    /// A detection of a kind with everything that is the same for all of them; words, evidence and
    /// ends are the detector's to fill in.
    pub fn detection(&self, kind: &str, now: Timestamp) -> Detection {
        let kind = self.kind(kind);
        Detection {
            ts: now,
            detector: self.name,
            kind: kind.map_or("", |kind| kind.name),
            sid: kind.map_or(0, |kind| kind.sid),
            title: String::new(),
            explanation: String::new(),
            severity: Severity::Low,
            category: self.category,
            technique: self.technique,
            source: None,
            target: None,
            target_port: None,
            proto: None,
            first_seen: now,
            last_seen: now,
            count: 1,
            evidence: Vec::new(),
            flows: Vec::new(),
            source_proved: false,
        }
    }
}
