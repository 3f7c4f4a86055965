//! The packet path: frames in, events out.
//!
//! [`Engine`] composes decoding, defragmentation, the flow table, streams and dissectors. It has no
//! thread and no clock: time is what packets say, and the same calls serve a live ring, a file, a
//! test, a fuzzer and a benchmark. One engine belongs to one worker; engines share nothing.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod apps;
mod config;
mod detect;
mod expected;
mod meters;
mod neighbours;
mod path;
mod shard;
mod tag;

#[cfg(test)]
mod tests;

pub use config::{Config, Dissect, Overlap, Shard, Tell};
pub use flowtrack_flow::{Config as FlowConfig, DefragConfig, Seed};

use apps::Apps;
use detect::Judge;
use flowtrack_event::{Event, FlowEvent, FlowPhase, RawPacket, Stats, Timestamp};
use flowtrack_flow::{Defrag, FlowIndex, FlowTable, Rates};
use flowtrack_rules::{Clock, RuleSet, Shared, Spent};
use meters::Meters;
use path::Path;
use std::sync::Arc;
use tag::Labels;

/// The packet path of one worker.
pub struct Engine {
    tell: Tell,
    dissect: Dissect,
    path: Path,
    /// When flows that changed were told last.
    updated: Timestamp,
    changed: Vec<FlowIndex>,
    first: Option<Timestamp>,
    now: Timestamp,
}

/// What the packet path has to say; reused from burst to burst.
#[derive(Default, Debug)]
pub struct Output {
    /// In the order in which things happened.
    pub events: Vec<Event>,
}

impl Engine {
    /// An engine that has seen nothing. `worker` makes flow identifiers unique over all workers of
    /// a run; `seed` makes hashes unpredictable.
    pub fn new(config: &Config, worker: u16, seed: Seed) -> Self {
        let mut flow = config.flow.clone();
        flow.track_changes = config.tell.updates || config.tell.activity;
        Self {
            tell: config.tell,
            dissect: config.dissect.clone(),
            path: Path {
                table: FlowTable::new(flow, worker, seed),
                defrag: Defrag::new(config.defrag.clone(), seed),
                apps: Apps::new(config),
                judge: Judge::new(config.tell),
                labels: Labels::default(),
                rates: config.tell.seconds.then(Rates::default),
                meters: config.tell.activity.then(|| Box::new(Meters::new())),
                metered: Vec::new(),
                stats: Stats::default(),
                shard: config.shard,
                verify_checksums: config.verify_checksums,
                tell: config.tell,
                ended: Vec::new(),
            },
            updated: Timestamp::ZERO,
            changed: Vec::new(),
            first: None,
            now: Timestamp::ZERO,
        }
    }

    /// Judges by these signatures from now on; what flows remember stays. Protocols that were
    /// recognised before are read as they were.
    pub fn set_rules(&mut self, set: Arc<RuleSet>, shared: Arc<Shared>) {
        self.path.judge.set_rules(set, shared);
        self.path.apps.serve(self.path.judge.needs(), &self.dissect);
    }

    /// Begins to count what each signature takes, by this clock.
    pub fn profile_rules(&mut self, clock: Clock) {
        self.path.judge.profile(clock);
    }

    /// What each signature took, in the order of the set; nothing unless it was asked for.
    pub fn rules_spent(&self) -> &[Spent] {
        self.path.judge.spent()
    }

    /// Takes packets in the order in which they were captured.
    pub fn process(&mut self, burst: &[RawPacket<'_>], out: &mut Output) {
        let Some(last) = burst.last() else { return };
        self.first = self.first.or(burst.first().map(|p| p.ts));
        self.path.burst(burst, out);
        self.tick(last.ts, out);
    }

    /// Lets time pass where no packet does it: ends idle flows, tells seconds that are over and
    /// flows that changed.
    pub fn tick(&mut self, now: Timestamp, out: &mut Output) {
        // Files may run backwards; the engine's own time never does.
        if now <= self.now {
            return;
        }
        self.now = now;
        self.path.measure(now, out);
        self.path.expire(now, out);
        if self.tell.updates && now.secs() > self.updated.secs() {
            self.updated = now;
            self.tell_updates(out);
        }
    }

    /// Ends all flows, because what follows has nothing to do with them: a replayed file that
    /// begins again.
    pub fn end_flows(&mut self, out: &mut Output) {
        self.path.end_flows(self.now, out);
    }

    /// Ends all flows and tells the counters; nothing comes after it.
    pub fn finish(&mut self, out: &mut Output) {
        self.path.finish(self.now, out);
        out.events.push(Event::Stats(Box::new(self.stats())));
    }

    /// Counters since the start. Those of the packet source are the caller's to add.
    pub fn stats(&self) -> Stats {
        let mut stats = self.path.stats();
        stats.at = self.now;
        stats.uptime = self.first.map_or(0, |first| self.now.since(first).as_secs());
        stats
    }

    /// Time of the latest packet.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn tell_updates(&mut self, out: &mut Output) {
        let mut changed = std::mem::take(&mut self.changed);
        self.path.take_changed(&mut changed);
        for &index in &changed {
            if let Some(record) = self.path.record(index) {
                let phase = FlowPhase::Update;
                let event = FlowEvent { ts: self.now, phase, record };
                out.events.push(Event::Flow(Box::new(event)));
            }
        }
        self.changed = changed;
    }
}
