//! Flows that other flows announced, such as the data connections of FTP.

use flowtrack_dissect::Expectation;
use flowtrack_event::{FlowKey, IpProto, Timestamp};
use std::time::Duration;

/// How long an announcement holds.
const LIFETIME: Duration = Duration::from_secs(30);
/// Announcements kept; the oldest goes first.
const CAP: usize = 1024;

/// Announcements that wait for their flow.
#[derive(Default)]
pub(crate) struct Expected {
    waiting: Vec<(Timestamp, Expectation)>,
}

impl Expected {
    pub(crate) fn add(&mut self, now: Timestamp, expectation: Expectation) {
        if self.waiting.len() >= CAP {
            self.waiting.remove(0);
        }
        self.waiting.push((now, expectation));
    }

    /// What a new flow was announced to speak. An announcement serves once.
    pub(crate) fn take(&mut self, now: Timestamp, key: &FlowKey) -> Option<Expectation> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting.retain(|(since, _)| now.since(*since) < LIFETIME);
        let is_it = |e: &Expectation| {
            let (ip, port) = e.responder;
            e.udp == (key.proto == IpProto::UDP)
                && (ip, port) == (key.dst, key.dst_port)
                && e.originator.is_none_or(|ip| ip == key.src)
        };
        let at = self.waiting.iter().position(|(_, e)| is_it(e))?;
        Some(self.waiting.remove(at).1)
    }
}
