//! What tests of detectors play to them.

use crate::{Detector, Findings};
use flowtrack_event::{
    Activity, Detection, Event, IpProto, Outcomes, PeerActivity, Probe, ServiceActivity,
    SourceActivity, TargetActivity, Timestamp,
};
use std::net::IpAddr;

/// An address as text.
pub(crate) type Host<'a> = &'a str;

/// The address of a text.
pub(crate) fn host(text: Host<'_>) -> IpAddr {
    text.parse().unwrap()
}

/// A detector and what it said.
pub(crate) struct Play {
    detector: Box<dyn Detector>,
    findings: Findings,
    now: i64,
    told: Vec<Detection>,
}

impl Play {
    pub(crate) fn new(detector: impl Detector + 'static) -> Self {
        let findings = Findings::new(1_000);
        Self { detector: Box::new(detector), findings, now: i64::MIN, told: Vec::new() }
    }

    /// Plays what hosts did in one second.
    pub(crate) fn second(&mut self, at: i64, fill: impl FnOnce(&mut NowSecond)) {
        self.tick(at);
        let mut now = NowSecond(Activity { at: Timestamp::from_secs(at), ..Activity::default() });
        fill(&mut now);
        self.detector.on_activity(&now.0, &mut self.findings);
        self.take();
    }

    pub(crate) fn event(&mut self, event: &Event) {
        let at = match event {
            Event::Second(second) => second.at.secs(),
            Event::Neighbour(claim) => claim.ts.secs(),
            Event::Flow(flow) => flow.ts.secs(),
            _ => self.now,
        };
        self.tick(at);
        self.detector.on_event(event, &mut self.findings);
        self.take();
    }

    pub(crate) fn tick(&mut self, at: i64) {
        if at > self.now {
            self.now = at;
            self.detector.on_tick(Timestamp::from_secs(at), &mut self.findings);
            self.take();
        }
    }

    /// All it said so far.
    pub(crate) fn told(&self) -> &[Detection] {
        &self.told
    }

    fn take(&mut self) {
        let mut events = Vec::new();
        self.findings.take(&mut events);
        for event in events {
            let Event::Detection(detection) = event else { continue };
            assert!(!detection.title.is_empty() && !detection.explanation.is_empty());
            assert!(!detection.evidence.is_empty() && detection.sid != 0);
            self.told.push(*detection);
        }
    }
}

/// A second that is filled.
pub(crate) struct NowSecond(pub(crate) Activity);

impl NowSecond {
    pub(crate) fn source(&mut self, addr: Host<'_>) -> &mut SourceActivity {
        let addr = host(addr);
        let sources = &mut self.0.sources;
        let at = sources.iter().position(|s| s.addr == addr).unwrap_or_else(|| {
            sources.push(SourceActivity::new(addr));
            sources.len() - 1
        });
        &mut sources[at]
    }

    pub(crate) fn target(&mut self, addr: Host<'_>) -> &mut TargetActivity {
        let addr = host(addr);
        let targets = &mut self.0.targets;
        let at = targets.iter().position(|t| t.addr == addr).unwrap_or_else(|| {
            targets.push(TargetActivity::new(addr));
            targets.len() - 1
        });
        &mut targets[at]
    }

    /// Flows of a source that came to nothing.
    pub(crate) fn fails(&mut self, source: Host<'_>, probes: impl IntoIterator<Item = Probe>) {
        let source = self.source(source);
        for probe in probes {
            match probe.failure {
                flowtrack_event::Failure::Refused => source.outcomes.refused += 1,
                flowtrack_event::Failure::Unanswered => source.outcomes.unanswered += 1,
                flowtrack_event::Failure::HalfOpen => source.outcomes.half_open += 1,
            }
            source.outcomes.begun += 1;
            source.failed_targets.insert(&(probe.target, probe.port));
            if source.probes.len() < SourceActivity::PROBES {
                source.probes.push(probe);
            }
        }
    }

    /// The same, seen from the target.
    pub(crate) fn failed_at(&mut self, target: Host<'_>, source: Host<'_>, port: u16) {
        let target = self.target(target);
        target.outcomes.refused += 1;
        target.failed_ports.insert(&(port, 6_u8));
        target.failed_sources.insert(&host(source));
        target.some_sources.push(host(source));
    }

    /// SYNs that a service got.
    pub(crate) fn syns(
        &mut self,
        target: Host<'_>,
        port: u16,
        syns: u64,
        completed: u64,
        sources: u64,
    ) {
        let outcomes = Outcomes { begun: syns, syns, completed, ..Outcomes::default() };
        let target = self.target(target);
        target.outcomes.merge(&outcomes);
        let mut service = ServiceActivity {
            port,
            proto: IpProto::TCP,
            outcomes,
            sources: flowtrack_event::Distinct::default(),
        };
        for n in 0..sources {
            let addr = IpAddr::from((0xc000_0201 + n as u32).to_be_bytes());
            service.sources.insert(&addr);
            target.sources.insert(&addr);
            if target.some_sources.len() < TargetActivity::SOURCES {
                target.some_sources.push(addr);
            }
        }
        target.services.push(service);
    }

    /// Connections of a source to a service.
    pub(crate) fn peer(
        &mut self,
        source: Host<'_>,
        target: Host<'_>,
        port: u16,
        outcomes: Outcomes,
    ) {
        let source = self.source(source);
        source.outcomes.merge(&outcomes);
        let target = host(target);
        source.peers.push(PeerActivity { target, port, proto: IpProto::TCP, outcomes });
    }
}
