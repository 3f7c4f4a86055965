//! Connection floods: one host opens connections faster than it could use them.

use crate::learned::taken_back;
use crate::words::{add_flows, at, count, number, plural};
use crate::{
    About, Baseline, Detector, Findings, Kind, Learned, Minute, Networks, Recent, Window, lately,
};
use flowtrack_event::{
    Activity, FlowId, IpProto, Outcomes, Severity, SourceActivity, Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "connection_flood",
    summary: "one source opens many connections to one service and uses few of them",
    text: "Counts the connections of each source to each service over a minute. More than \
           `per_minute` are a flood where at least half of them come to nothing (refused, not \
           answered, left half open or closed without a byte). Connections that carry data are a \
           flood only where the service is known for long enough (`learn_minutes`) and the source \
           opens `times` as many as any source usually does, and most of all that the service \
           gets.",
    category: "denial of service",
    technique: Some(Technique {
        id: "T1499.002",
        name: "Endpoint Denial of Service: Service Exhaustion Flood",
    }),
    kinds: &[
        Kind { name: "useless", sid: 301, summary: "connections that come to nothing" },
        Kind { name: "unusual", sid: 302, summary: "far more connections than the service gets" },
    ],
};

/// Thresholds of the connection flood detector.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for it.
    pub enabled: bool,
    /// Connections of one source to one service in a minute.
    pub per_minute: u64,
    /// Minutes for which a service is watched before connections that carry data are judged.
    pub learn_minutes: u64,
    /// How many times as many as usual are too many, where they carry data.
    pub times: f64,
    /// Sources and services that are watched at once, each.
    pub max_tracked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, per_minute: 100, learn_minutes: 30, times: 10.0, max_tracked: 8_192 }
    }
}

/// Seconds between two tellings.
const AGAIN: i64 = 5;
/// Seconds over which connections are counted.
const MINUTE: u32 = 60;
/// Minutes that the usual number of connections is learned from.
const MEMORY: u32 = 24 * 60;

type Service = (IpAddr, u16);

/// The detector.
pub struct ConnectionFlood {
    config: Config,
    pairs: Recent<(IpAddr, Service), Pair>,
    services: Recent<Service, Usual>,
    minute: Minute,
}

/// Connections of one source to one service.
struct Pair {
    begun: Window,
    useless: Window,
    refused: Window,
    empty: Window,
    flows: Vec<FlowId>,
    first: Timestamp,
    since: u64,
    proved: Window,
    told: Option<Timestamp>,
}

/// What a service gets.
struct Usual {
    begun: Window,
    /// The most connections of any one source in this minute.
    most: u64,
    /// The same of the minutes before.
    before: Baseline,
}

impl Usual {
    fn new(before: Baseline) -> Self {
        Self { begun: Window::new(MINUTE), most: 0, before }
    }
}

impl ConnectionFlood {
    /// With these thresholds.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        Self {
            pairs: Recent::new(config.max_tracked),
            services: Recent::new(config.max_tracked),
            minute: Minute::new(),
            config: config.clone(),
        }
    }

    fn peer(
        &mut self,
        now: Timestamp,
        source: &SourceActivity,
        service: Service,
        outcomes: &Outcomes,
        findings: &mut Findings,
    ) {
        let useless = outcomes.failed() + outcomes.empty;
        let pair = self.pairs.entry((source.addr, service), || Pair {
            begun: Window::new(MINUTE),
            useless: Window::new(MINUTE),
            refused: Window::new(MINUTE),
            empty: Window::new(MINUTE),
            flows: Vec::new(),
            first: now,
            since: 0,
            proved: Window::new(MINUTE),
            told: None,
        });
        if pair.begun.sum(now) == 0 {
            (pair.first, pair.since) = (now, 0);
            pair.flows.clear();
        }
        pair.begun.add(now, outcomes.begun);
        pair.useless.add(now, useless);
        pair.refused.add(now, outcomes.refused);
        pair.empty.add(now, outcomes.empty);
        pair.since += outcomes.begun;
        pair.proved.add(now, outcomes.proved);
        add_flows(&mut pair.flows, source.flows.iter().copied());
        let begun = pair.begun.sum(now);
        let usual = self.services.entry(service, || Usual::new(Baseline::new(MEMORY)));
        usual.begun.add(now, outcomes.begun);
        usual.most = usual.most.max(begun);
        if begun <= self.config.per_minute || lately(pair.told, now, AGAIN) {
            return;
        }
        let useless = pair.useless.sum(now).min(begun);
        let all = usual.begun.sum(now).max(begun);
        let mean = usual.before.mean();
        let is_useless = useless * 2 >= begun;
        let is_unusual = usual.before.samples() >= self.config.learn_minutes
            && begun as f64 >= mean.max(1.0) * self.config.times
            && usual.before.z(begun as f64, 0.2, 5.0) > 6.0
            && begun * 2 > all;
        if !is_useless && !is_unusual {
            return;
        }
        let kind = if is_useless { "useless" } else { "unusual" };
        let mut told = ABOUT.detection(kind, now);
        told.source = Some(source.addr);
        told.target = Some(service.0);
        told.target_port = Some(service.1);
        told.proto = Some(IpProto::TCP);
        told.first_seen = pair.first;
        told.count = pair.since.max(1);
        told.severity = match begun {
            _ if !is_useless => Severity::Low,
            0..1_000 => Severity::Low,
            1_000..10_000 => Severity::Medium,
            _ => Severity::High,
        };
        let place = at(service.0, service.1);
        told.title = format!("{} floods {place} with connections", source.addr);
        told.explanation = if is_useless {
            format!(
                "It opened {} within a minute, {useless} of which came to nothing. A broken client \
                 that tries again and again looks the same; stop it, or limit connections of one \
                 source at the service.",
                plural(begun, "connection")
            )
        } else {
            format!(
                "It opened {} within a minute; no source usually opens more than {mean:.0}. See \
                 what it asks for, and limit connections of one source at the service.",
                plural(begun, "connection")
            )
        };
        told.evidence = vec![
            count("connections_per_minute", begun),
            count("useless", useless),
            count("refused", pair.refused.sum(now)),
            count("empty", pair.empty.sum(now)),
            number("share_percent", begun as f64 * 100.0 / all.max(1) as f64),
            number("usual_per_minute", mean),
        ];
        told.flows.clone_from(&pair.flows);
        // A few sessions of its own do not prove that it sent what others may send in its name.
        told.source_proved = pair.proved.sum(now) * 2 > begun;
        if findings.tell(told) {
            (pair.since, pair.told) = (0, Some(now));
        }
    }
}

impl Detector for ConnectionFlood {
    fn on_activity(&mut self, activity: &Activity, findings: &mut Findings) {
        for source in &activity.sources {
            for peer in source.peers.iter().filter(|peer| peer.proto == IpProto::TCP) {
                let service = (peer.target, peer.port);
                let is_known = self.pairs.get(&(source.addr, service)).is_some();
                // One connection is not worth remembering while there are more than can be.
                if is_known || peer.outcomes.begun > 1 || activity.left_out == 0 {
                    self.peer(activity.at, source, service, &peer.outcomes, findings);
                }
            }
        }
    }

    fn keep(&self, learned: &mut Learned) {
        let services = self.services.iter().filter(|(_, usual)| usual.before.samples() > 0);
        learned
            .services
            .extend(services.map(|(&(addr, port), usual)| (addr, port, usual.before.usual())));
    }

    fn recall(&mut self, learned: &Learned) {
        let room = self.config.max_tracked;
        for (addr, port, usual) in taken_back(&learned.services, room) {
            let before = Baseline::recalled(MEMORY, usual);
            self.services.entry((addr, port), || Usual::new(before));
        }
    }

    fn on_tick(&mut self, now: Timestamp, _findings: &mut Findings) {
        if !self.minute.turns(now) {
            return;
        }
        for (_, usual) in self.services.values_mut() {
            usual.before.learn(usual.most as f64);
            usual.most = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::testing::{Play, host};

    fn detector() -> ConnectionFlood {
        ConnectionFlood::new(&Config::default(), &Arc::default())
    }

    fn connects(play: &mut Play, second: i64, begun: u64, completed: u64, empty: u64) {
        play.second(second, |now| {
            now.peer(
                "10.0.0.9",
                "10.0.0.5",
                80,
                Outcomes {
                    begun,
                    completed,
                    proved: completed,
                    refused: begun - completed,
                    empty,
                    ..Outcomes::default()
                },
            );
        });
    }

    #[test]
    fn connections_that_come_to_nothing_are_a_flood() {
        for (completed, empty) in [(0, 0), (10, 10)] {
            let mut play = Play::new(detector());
            for second in 0..15 {
                connects(&mut play, second, 10, completed, empty);
            }
            let told = play.told();
            assert_eq!(told[0].kind, "useless");
            assert_eq!(told[0].source, Some(host("10.0.0.9")));
            assert_eq!(told[0].source_proved, completed > 0);
        }
    }

    #[test]
    fn a_page_with_a_hundred_resources_and_a_busy_proxy_are_none() {
        let mut play = Play::new(detector());
        connects(&mut play, 0, 101, 101, 0);
        for second in 100..400 {
            connects(&mut play, second, 500, 495, 3);
        }
        assert!(play.told().is_empty());
    }

    #[test]
    fn a_few_refusals_are_none() {
        let mut play = Play::new(detector());
        for second in 0..300 {
            connects(&mut play, second, 1, 0, 0);
        }
        assert!(play.told().is_empty());
    }

    #[test]
    fn what_a_known_service_never_gets_is_unusual() {
        let mut play = Play::new(detector());
        for minute in 0..60 {
            connects(&mut play, minute * 60, 10 + (minute % 3) as u64, 10, 0);
            play.tick(minute * 60 + 30);
        }
        assert!(play.told().is_empty());
        for second in 3_600..3_620 {
            connects(&mut play, second, 100, 100, 0);
        }
        assert_eq!(play.told()[0].kind, "unusual");
    }
}
