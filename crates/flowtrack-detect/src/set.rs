//! All detectors that are on, and the time that they live in.

use crate::{Config, Findings, Learned, Networks, detectors};
use flowtrack_event::{Activity, DetectorStats, Event, SourceActivity, TargetActivity, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Looks for one kind of attack.
///
/// Whatever it keeps is bounded, because what it sees is hostile. Time is that of events.
pub trait Detector: Send {
    /// Takes an event of a worker. [`Event::Activity`] comes merged, by
    /// [`Detector::on_activity`].
    fn on_event(&mut self, _event: &Event, _findings: &mut Findings) {}

    /// Takes what hosts did in one second, all workers together.
    fn on_activity(&mut self, _activity: &Activity, _findings: &mut Findings) {}

    /// A second of events is over.
    fn on_tick(&mut self, _now: Timestamp, _findings: &mut Findings) {}

    /// Adds what it learned to what outlives the program.
    fn keep(&self, _learned: &mut Learned) {}

    /// Goes on with what was kept.
    fn recall(&mut self, _learned: &Learned) {}

    /// What it had to forget for lack of room.
    fn forgotten(&self) -> u64 {
        0
    }
}

/// All detectors that are on.
///
/// Events of all workers go in, in any order of workers; detections come out. The seconds of
/// workers are merged before detectors see them.
pub struct DetectorSet {
    detectors: Vec<Box<dyn Detector>>,
    findings: Findings,
    workers: usize,
    /// Seconds that not all workers told yet.
    open: BTreeMap<i64, Merged>,
    /// The latest second that was handed to detectors.
    merged: i64,
    now: Timestamp,
}

/// The activity of several workers in the same second.
#[derive(Default)]
struct Merged {
    activity: Activity,
    sources: HashMap<IpAddr, usize>,
    targets: HashMap<IpAddr, usize>,
    parts: usize,
}

/// Seconds that wait for slow workers at most.
const MAX_OPEN: usize = 3;
/// Seconds by which events may lie before the latest without time starting over, as it does where
/// a clock is set back or another file begins.
const MAX_LATE: i64 = 120;

impl DetectorSet {
    /// The detectors that `config` turns on.
    pub fn new(config: &Config, networks: Networks) -> Self {
        let networks = Arc::new(networks);
        let detectors =
            if config.enabled { detectors::build(config, &networks) } else { Vec::new() };
        Self {
            detectors,
            findings: Findings::new(config.max_per_second),
            workers: 1,
            open: BTreeMap::new(),
            merged: i64::MIN,
            now: Timestamp::ZERO,
        }
    }

    /// Waits for so many workers to tell a second, unless a later one comes first.
    pub fn set_workers(&mut self, workers: usize) {
        self.workers = workers.max(1);
    }

    /// What detectors learned, to be given to [`DetectorSet::recall`] of a later set.
    pub fn learned(&self) -> Learned {
        let mut learned = Learned::new();
        self.detectors.iter().for_each(|detector| detector.keep(&mut learned));
        learned
    }

    /// Goes on with what another set learned; to be called before events are shown.
    pub fn recall(&mut self, learned: &Learned) {
        self.detectors.iter_mut().for_each(|detector| detector.recall(learned));
    }

    /// Whether no detector is on.
    pub fn is_empty(&self) -> bool {
        self.detectors.is_empty()
    }

    /// Shows events to all detectors; what they say is added to `out`.
    pub fn ingest(&mut self, events: &[Event], out: &mut Vec<Event>) {
        if self.detectors.is_empty() {
            return;
        }
        for event in events {
            if let Some(ts) = time_of(event) {
                self.advance(ts);
            }
            if let Event::Activity(activity) = event {
                self.take(activity);
            } else {
                for detector in &mut self.detectors {
                    detector.on_event(event, &mut self.findings);
                }
            }
        }
        self.findings.take(out);
    }

    /// Lets time pass where no event does it.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        if self.detectors.is_empty() {
            return;
        }
        self.close_before(now.secs() - 1);
        self.advance(now);
        self.findings.take(out);
    }

    /// Hands over what waits for other workers; nothing comes after it.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        self.close_before(i64::MAX);
        self.advance(self.now.plus(std::time::Duration::from_secs(1)));
        self.findings.take(out);
    }

    /// What was told and what was not.
    pub fn stats(&self) -> DetectorStats {
        DetectorStats {
            told: self.findings.told(),
            repeated: self.findings.repeated(),
            left_out: self.findings.left_out(),
            forgotten: self.detectors.iter().map(|detector| detector.forgotten()).sum(),
        }
    }

    fn advance(&mut self, ts: Timestamp) {
        let is_back = ts.secs() < self.now.secs() - MAX_LATE;
        if ts.secs() <= self.now.secs() && !is_back {
            return;
        }
        if is_back {
            self.close_before(i64::MAX);
            self.merged = i64::MIN;
        }
        self.now = ts;
        for detector in &mut self.detectors {
            detector.on_tick(ts, &mut self.findings);
        }
    }

    fn take(&mut self, activity: &Activity) {
        let second = activity.at.secs();
        // A worker's last word may be about a second that is over; it counts in the next.
        let second = second.max(self.merged.saturating_add(1));
        let merged = self.open.entry(second).or_default();
        merged.add(activity);
        if merged.parts >= self.workers {
            self.close_before(second.saturating_add(1));
        }
        while self.open.len() > MAX_OPEN {
            self.close_first();
        }
    }

    /// Hands the seconds before `second` to the detectors.
    fn close_before(&mut self, second: i64) {
        while self.open.first_key_value().is_some_and(|(&at, _)| at < second) {
            self.close_first();
        }
    }

    fn close_first(&mut self) {
        let Some((second, Merged { mut activity, .. })) = self.open.pop_first() else { return };
        self.merged = second;
        activity.at = Timestamp::from_secs(second);
        for detector in &mut self.detectors {
            detector.on_activity(&activity, &mut self.findings);
        }
    }
}

impl Merged {
    fn add(&mut self, activity: &Activity) {
        self.parts += 1;
        let all = &mut self.activity;
        all.packets += activity.packets;
        all.bytes += activity.bytes;
        all.begun += activity.begun;
        all.left_out += activity.left_out;
        for source in &activity.sources {
            match self.sources.get(&source.addr).and_then(|&at| all.sources.get_mut(at)) {
                Some(known) => merge_source(known, source),
                None => {
                    self.sources.insert(source.addr, all.sources.len());
                    all.sources.push(source.clone());
                }
            }
        }
        for target in &activity.targets {
            match self.targets.get(&target.addr).and_then(|&at| all.targets.get_mut(at)) {
                Some(known) => merge_target(known, target),
                None => {
                    self.targets.insert(target.addr, all.targets.len());
                    all.targets.push(target.clone());
                }
            }
        }
    }
}

fn merge_source(a: &mut SourceActivity, b: &SourceActivity) {
    a.outcomes.merge(&b.outcomes);
    a.volume.merge(&b.volume);
    a.one_way += b.one_way;
    a.failed_targets.merge(&b.failed_targets);
    a.pinged.merge(&b.pinged);
    extend(&mut a.probes, &b.probes, SourceActivity::PROBES);
    extend(&mut a.flows, &b.flows, SourceActivity::FLOWS);
    for peer in &b.peers {
        let same = |p: &&mut flowtrack_event::PeerActivity| {
            (p.target, p.port, p.proto) == (peer.target, peer.port, peer.proto)
        };
        match a.peers.iter_mut().find(same) {
            Some(known) => known.outcomes.merge(&peer.outcomes),
            None => a.peers.push(*peer),
        }
    }
    a.peers.sort_by_key(|peer| std::cmp::Reverse(peer.outcomes.begun));
    a.peers.truncate(SourceActivity::PEERS);
}

fn merge_target(a: &mut TargetActivity, b: &TargetActivity) {
    a.outcomes.merge(&b.outcomes);
    a.volume.merge(&b.volume);
    a.one_way += b.one_way;
    a.one_way_bytes += b.one_way_bytes;
    for (mine, theirs) in a.by_proto.iter_mut().zip(b.by_proto) {
        *mine += theirs;
    }
    a.sources.merge(&b.sources);
    a.failed_ports.merge(&b.failed_ports);
    a.failed_sources.merge(&b.failed_sources);
    extend(&mut a.some_sources, &b.some_sources, TargetActivity::SOURCES);
    extend(&mut a.flows, &b.flows, TargetActivity::FLOWS);
    for service in &b.services {
        match a.services.iter_mut().find(|s| (s.port, s.proto) == (service.port, service.proto)) {
            Some(known) => {
                known.outcomes.merge(&service.outcomes);
                known.sources.merge(&service.sources);
            }
            None => a.services.push(service.clone()),
        }
    }
    a.services.sort_by_key(|service| std::cmp::Reverse(service.outcomes.syns));
    a.services.truncate(TargetActivity::SERVICES);
    for from in &b.from_ports {
        match a.from_ports.iter_mut().find(|f| (f.port, f.proto) == (from.port, from.proto)) {
            Some(known) => {
                known.packets += from.packets;
                known.bytes += from.bytes;
                known.senders.merge(&from.senders);
            }
            None => a.from_ports.push(from.clone()),
        }
    }
    a.from_ports.sort_by_key(|from| std::cmp::Reverse(from.bytes));
    a.from_ports.truncate(TargetActivity::FROM_PORTS);
}

fn extend<T: Copy>(a: &mut Vec<T>, b: &[T], most: usize) {
    let room = most.saturating_sub(a.len());
    a.extend(b.iter().take(room));
}

/// When an event happened; none for counters.
fn time_of(event: &Event) -> Option<Timestamp> {
    Some(match event {
        Event::Flow(flow) => flow.ts,
        Event::Transaction(tx) => tx.ts,
        Event::File(_) | Event::Stats(_) => return None,
        Event::Alert(alert) => alert.ts,
        Event::Packet(packet) => packet.ts,
        Event::Detection(detection) => detection.ts,
        Event::Block(block) => block.ts,
        Event::Login(login) => login.ts,
        Event::Neighbour(neighbour) => neighbour.ts,
        Event::Anomaly(anomaly) => anomaly.ts,
        Event::Activity(activity) => activity.at,
        Event::Second(second) => second.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{Detection, Distinct, Failure, FlowId, Probe, ProbeKind};

    /// What a worker saw: a source that failed at these ports.
    fn part(second: i64, ports: std::ops::Range<u16>) -> Event {
        let (addr, target) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 5]));
        let mut source = SourceActivity::new(addr);
        source.failed_targets = Distinct::default();
        for port in ports {
            source.outcomes.refused += 1;
            source.failed_targets.insert(&(target, port));
            let (kind, failure) = (ProbeKind::Syn, Failure::Refused);
            source.probes.push(Probe { target, port, kind, failure, flow: FlowId(port.into()) });
        }
        let at = Timestamp::from_secs(second);
        Event::Activity(Box::new(Activity { at, sources: vec![source], ..Activity::default() }))
    }

    fn told(events: &[Event]) -> Vec<&Detection> {
        events
            .iter()
            .filter_map(|event| match event {
                Event::Detection(detection) => Some(&**detection),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_workers_saw_of_a_second_counts_together() {
        let mut set = DetectorSet::new(&Config::default(), Networks::default());
        set.set_workers(2);
        let mut out = Vec::new();
        // Neither is a scan by itself.
        set.ingest(&[part(100, 1..13)], &mut out);
        assert!(told(&out).is_empty());
        set.ingest(&[part(100, 13..25)], &mut out);
        assert_eq!(told(&out)[0].detector, "port_scan");
        assert_eq!(set.stats().told, 1);
    }

    #[test]
    fn a_worker_that_says_nothing_is_not_waited_for() {
        let mut set = DetectorSet::new(&Config::default(), Networks::default());
        set.set_workers(4);
        let mut out = Vec::new();
        set.ingest(&[part(100, 1..30)], &mut out);
        set.tick(Timestamp::from_secs(101), &mut out);
        assert!(told(&out).is_empty());
        set.tick(Timestamp::from_secs(102), &mut out);
        assert_eq!(told(&out).len(), 1);
        // What comes too late counts in the next second, and nothing is counted twice.
        set.ingest(&[part(100, 1..3)], &mut out);
        set.finish(&mut out);
        assert_eq!(told(&out).len(), 1);
    }

    #[test]
    fn nothing_is_asked_where_it_is_off() {
        let config = Config { enabled: false, ..Config::default() };
        let mut set = DetectorSet::new(&config, Networks::default());
        assert!(set.is_empty());
        let mut out = Vec::new();
        set.ingest(&[part(100, 1..100)], &mut out);
        set.finish(&mut out);
        assert!(out.is_empty());
    }
}
