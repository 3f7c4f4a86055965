//! SYN floods: sessions are begun to be left half open.

use crate::words::{add_flows, at, count, keep_first, list, number, plural, text};
use crate::{About, Detector, Findings, Kind, Networks, Recent};
use flowtrack_event::{
    Activity, Distinct, FlowId, IpProto, Outcomes, Severity, Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "syn_flood",
    summary: "a service, or a host, gets more SYNs than sessions",
    text: "Counts the SYNs that a service gets and the handshakes that complete. More than \
           `per_second` SYNs in a second of which less than `completed_percent` become sessions \
           within two seconds are a flood; for ports of a host taken together it is ten times as \
           many, from many sources. Whether one address sends them or many, none of them is proved \
           to be there: the answer is SYN cookies or a rate limit at the target, not a block.",
    category: "denial of service",
    technique: Some(Technique {
        id: "T1499.001",
        name: "Endpoint Denial of Service: OS Exhaustion Flood",
    }),
    kinds: &[
        Kind { name: "spoofed", sid: 111, summary: "from many addresses, likely spoofed" },
        Kind { name: "one_source", sid: 112, summary: "from one address, or a few" },
    ],
};

/// Thresholds of the SYN flood detector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for it.
    pub enabled: bool,
    /// SYNs that one service gets in a second.
    pub per_second: u64,
    /// Percent of them that complete, below which they are a flood.
    pub completed_percent: u64,
    /// Services and hosts that are watched at once.
    pub max_tracked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, per_second: 100, completed_percent: 10, max_tracked: 4_096 }
    }
}

/// Sources up to which they are called a few.
const FEW: u64 = 4;
/// Floods on ports of a host together need so many times the threshold, and so many sources.
const TOGETHER: u64 = 10;
const TOGETHER_SOURCES: u64 = 50;

/// The detector.
pub struct SynFlood {
    config: Config,
    tracked: Recent<(IpAddr, u16), Track>,
    /// The second that was seen last.
    now: Timestamp,
}

/// What a service got; port 0 is the whole host.
struct Track {
    /// The second that waits to be judged, since sessions complete in the next one too.
    waits: Option<(Timestamp, Outcomes)>,
    sources: Distinct,
    some_sources: Vec<IpAddr>,
    flows: Vec<FlowId>,
    first: Timestamp,
    last_flood: Option<Timestamp>,
    all: u64,
}

/// Seconds without a flood after which another one is a new one.
const QUIET: i64 = 60;

impl SynFlood {
    /// With these thresholds.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        Self {
            tracked: Recent::new(config.max_tracked),
            now: Timestamp::ZERO,
            config: config.clone(),
        }
    }

    /// Judges the seconds before `now`, by what completed up to now.
    fn judge(&mut self, now: Timestamp, findings: &mut Findings) {
        let config = &self.config;
        for (&(target, port), track) in self.tracked.values_mut() {
            let Some((second, outcomes)) = track.waits else { continue };
            if second.secs() >= now.secs() {
                continue;
            }
            track.waits = None;
            let many = if port == 0 { TOGETHER } else { 1 };
            let sources = track.sources.count();
            let is_flood = outcomes.syns >= config.per_second * many
                && outcomes.completed * 100 < outcomes.syns * config.completed_percent
                && (port != 0 || sources >= TOGETHER_SOURCES);
            if is_flood {
                if track.last_flood.is_none_or(|last| second.secs() - last.secs() > QUIET) {
                    (track.first, track.all) = (second, 0);
                }
                track.last_flood = Some(second);
                track.all += outcomes.syns;
                findings.tell(told(target, port, track, now, &outcomes, sources));
            }
            track.sources.clear();
            track.some_sources.clear();
            track.flows.clear();
        }
    }

    fn note(
        &mut self,
        key: (IpAddr, u16),
        second: Timestamp,
        outcomes: &Outcomes,
        sources: &Distinct,
        some_sources: &[IpAddr],
        flows: &[FlowId],
    ) {
        let few = self.config.per_second / 10;
        if outcomes.syns < few && self.tracked.get(&key).is_none_or(|track| track.waits.is_none()) {
            return;
        }
        let track = self.tracked.entry(key, || Track {
            waits: None,
            sources: Distinct::default(),
            some_sources: Vec::new(),
            flows: Vec::new(),
            first: second,
            last_flood: None,
            all: 0,
        });
        track.waits = Some((second, *outcomes));
        track.sources.merge(sources);
        keep_first(&mut track.some_sources, some_sources.iter().copied(), 8);
        add_flows(&mut track.flows, flows.iter().copied());
    }
}

fn told(
    target: IpAddr,
    port: u16,
    track: &Track,
    now: Timestamp,
    outcomes: &Outcomes,
    sources: u64,
) -> flowtrack_event::Detection {
    let is_few = sources <= FEW;
    let mut told = ABOUT.detection(if is_few { "one_source" } else { "spoofed" }, now);
    let share = outcomes.completed as f64 * 100.0 / outcomes.syns.max(1) as f64;
    told.source = (sources == 1).then(|| track.some_sources.first().copied()).flatten();
    told.target = Some(target);
    told.target_port = (port != 0).then_some(port);
    told.proto = Some(IpProto::TCP);
    told.first_seen = track.first;
    told.count = outcomes.syns;
    told.severity = match outcomes.syns {
        0..1_000 => Severity::Medium,
        1_000..50_000 => Severity::High,
        _ => Severity::Critical,
    };
    // Many clients, each of which tries a few times and is refused: so does a service look that is
    // down.
    let is_down = outcomes.refused * 2 > outcomes.syns && outcomes.syns < sources * 10;
    if is_down {
        told.severity = Severity::Medium;
    }
    let from = match told.source {
        Some(source) => format!("from {source}"),
        None if is_few => format!("from {}", plural(sources, "source")),
        None => format!("from about {sources} addresses, likely spoofed"),
    };
    told.title = format!("SYN flood against {} {from}", at(target, port));
    told.explanation = format!(
        "{} SYNs came in a second and {share:.0} % became sessions. {}",
        outcomes.syns,
        if is_down {
            "The target refuses them: see whether the service is down. If it is not wanted, drop \
             its SYNs at the edge."
        } else {
            "A SYN proves nothing about who sent it, so turn on SYN cookies or limit the rate of \
             SYNs at the target instead of blocking addresses."
        }
    );
    told.evidence = vec![
        count("syns_per_second", outcomes.syns),
        number("completed_percent", share),
        count("refused", outcomes.refused),
        count("unanswered", outcomes.unanswered),
        count("half_open", outcomes.half_open),
        count("sources", sources),
        count("syns_in_all", track.all),
        list("some_sources", track.some_sources.iter().map(ToString::to_string)),
        text("answer", "SYN cookies or a rate limit at the target"),
    ];
    told.flows.clone_from(&track.flows);
    told
}

impl Detector for SynFlood {
    fn on_activity(&mut self, activity: &Activity, findings: &mut Findings) {
        let second = activity.at;
        self.now = second;
        // What completes now may have begun in the second before.
        for target in &activity.targets {
            for service in &target.services {
                if let Some(track) = self.tracked.get_mut(&(target.addr, service.port))
                    && let Some((before, outcomes)) = &mut track.waits
                    && before.secs() < second.secs()
                {
                    outcomes.completed += service.outcomes.completed;
                    outcomes.refused += service.outcomes.refused;
                    outcomes.unanswered += service.outcomes.unanswered;
                    outcomes.half_open += service.outcomes.half_open;
                }
            }
            if let Some(track) = self.tracked.get_mut(&(target.addr, 0))
                && let Some((before, outcomes)) = &mut track.waits
                && before.secs() < second.secs()
            {
                outcomes.completed += target.outcomes.completed;
            }
        }
        self.judge(second, findings);
        for target in &activity.targets {
            let (some, flows) = (&target.some_sources, &target.flows);
            let mut in_one = 0;
            for service in target.services.iter().filter(|s| s.proto == IpProto::TCP) {
                let key = (target.addr, service.port);
                in_one = in_one.max(service.outcomes.syns);
                self.note(key, second, &service.outcomes, &service.sources, some, flows);
            }
            // Where one service gets most of them, that one is told.
            if in_one * 2 < target.outcomes.syns {
                let key = (target.addr, 0);
                self.note(key, second, &target.outcomes, &target.sources, some, flows);
            }
        }
    }

    fn on_tick(&mut self, now: Timestamp, findings: &mut Findings) {
        // Where nothing comes any more, what waits is judged by itself.
        if now.secs() > self.now.secs() + 2 {
            self.judge(now, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::testing::{Play, host};

    fn detector() -> SynFlood {
        SynFlood::new(&Config::default(), &Arc::default())
    }

    fn flood(play: &mut Play, second: i64, syns: u64, completed: u64, sources: u64) {
        play.second(second, |now| {
            now.syns("10.0.0.5", 80, syns, completed, sources);
        });
    }

    #[test]
    fn a_flood_from_one_source_is_named() {
        let mut play = Play::new(detector());
        flood(&mut play, 1, 5_000, 0, 1);
        flood(&mut play, 2, 5_000, 0, 1);
        play.second(3, |_| {});
        let told = play.told();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].kind, told[0].target_port), ("one_source", Some(80)));
        assert_eq!(told[0].source, Some(host("192.0.2.1")));
        assert_eq!(told[0].severity, Severity::High);
        assert!(!told[0].source_proved);
    }

    #[test]
    fn a_spoofed_flood_names_no_source() {
        let mut play = Play::new(detector());
        flood(&mut play, 1, 100_000, 10, 100_000);
        play.second(2, |_| {});
        let told = play.told();
        assert_eq!((told[0].kind, told[0].source), ("spoofed", None));
        assert_eq!(told[0].severity, Severity::Critical);
    }

    #[test]
    fn it_is_told_when_nothing_comes_any_more() {
        let mut play = Play::new(detector());
        flood(&mut play, 1, 500, 0, 1);
        play.tick(5);
        assert_eq!(play.told().len(), 1);
    }

    #[test]
    fn a_busy_server_is_none() {
        let mut play = Play::new(detector());
        for second in 0..30 {
            flood(&mut play, second, 3_000, 2_900, 500);
        }
        // A burst whose handshakes complete in the next second.
        flood(&mut play, 40, 400, 0, 400);
        play.second(41, |now| now.syns("10.0.0.5", 80, 0, 390, 0));
        play.second(42, |_| {});
        assert!(play.told().is_empty(), "{:#?}", play.told());
    }

    #[test]
    fn few_are_none() {
        let mut play = Play::new(detector());
        for second in 0..10 {
            flood(&mut play, second, 99, 0, 1);
        }
        assert!(play.told().is_empty());
    }
}
