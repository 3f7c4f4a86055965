//! Spikes: the network does far more than it does at this time of day.

use crate::learned::UsualHours;
use crate::words::{number, text};
use crate::{About, Detector, Findings, Kind, Learned, Networks, Seasonal};
use flowtrack_event::{Event, Second, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "spikes",
    summary: "far more traffic, packets, flows or of a protocol than usual at this time of day",
    text: "Learns what is usual from the network itself, in steps of five seconds: bytes, packets, \
           bytes a packet, new flows, and the part of each protocol; an hour of the day by itself \
           once it was seen for long enough, until then all hours together. What is more than \
           `deviations` standard deviations and `times` as much as usual in two steps in a row is \
           told. Nothing is told for the first `learn_minutes`.",
    category: "anomaly",
    technique: None,
    kinds: &[
        Kind { name: "bytes", sid: 501, summary: "throughput" },
        Kind { name: "packets", sid: 502, summary: "packets" },
        Kind { name: "packet_size", sid: 503, summary: "bytes a packet" },
        Kind { name: "flows", sid: 504, summary: "new flows" },
        Kind { name: "protocol", sid: 505, summary: "the part of one protocol" },
    ],
};

/// Thresholds of the spike detector.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for it.
    pub enabled: bool,
    /// Standard deviations above what is usual.
    pub deviations: f64,
    /// Times as much as usual.
    pub times: f64,
    /// Minutes for which it only learns.
    pub learn_minutes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, deviations: 8.0, times: 3.0, learn_minutes: 60 }
    }
}

/// Seconds of a step.
const STEP: i64 = 5;
/// Steps that an hour of the day remembers: those of two weeks.
const MEMORY: u32 = 14 * 720;
/// Steps without traffic that are learned at most, where time jumps.
const MAX_GAP: i64 = 720;
/// Protocols whose part is learned.
const MAX_PROTOCOLS: usize = 32;
/// What the part of a protocol is kept by, in front of its name.
const PROTOCOL: &str = "protocol/";
/// Bytes of a step below which parts of protocols say nothing.
const MIN_BYTES: f64 = 500_000.0;

/// What is learned of the network as a whole, by the names under which it is kept.
const NUMBERS: [&str; 4] = ["bytes", "packets", "packet_size", "flows"];

/// The detector.
pub struct Spikes {
    config: Config,
    step: Option<i64>,
    sum: Sum,
    /// In the order of [`NUMBERS`].
    numbers: [Series; NUMBERS.len()],
    protocols: BTreeMap<&'static str, Series>,
    /// Protocols of an earlier run that were not seen yet, by name.
    past: BTreeMap<String, UsualHours>,
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    packets: u64,
    flows: u64,
    protocols: BTreeMap<&'static str, u64>,
}

/// One number over time.
struct Series {
    usual: Seasonal,
    /// Steps in a row that were a spike.
    row: u32,
    first: Timestamp,
}

/// How a number is judged.
struct Measure {
    kind: &'static str,
    what: String,
    unit: &'static str,
    /// What it has to be at least, and what it strays by at least.
    least: f64,
    /// Times as much as usual; `None` for the configured one.
    times: Option<f64>,
}

impl Spikes {
    /// With these thresholds.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        let warm_up = config.learn_minutes * 60 / STEP as u64;
        let series = || Series::new(warm_up);
        Self {
            config: config.clone(),
            step: None,
            sum: Sum::default(),
            numbers: NUMBERS.map(|_| series()),
            protocols: BTreeMap::new(),
            past: BTreeMap::new(),
        }
    }

    fn second(&mut self, second: &Second) {
        self.sum.bytes += second.bytes;
        self.sum.packets += second.packets;
        self.sum.flows += second.flows_new;
        for share in &second.shares {
            let is_known = self.sum.protocols.contains_key(share.protocol);
            if is_known || self.sum.protocols.len() < MAX_PROTOCOLS {
                *self.sum.protocols.entry(share.protocol).or_default() += share.bytes;
            }
        }
    }

    /// Judges the step that is over, and those without traffic after it.
    fn turn(&mut self, step: i64, findings: &mut Findings) {
        let Some(before) = self.step.replace(step) else { return };
        if step <= before {
            // A clock that was set back, or another file.
            self.sum = Sum::default();
            return;
        }
        let sum = std::mem::take(&mut self.sum);
        self.judge(Timestamp::from_secs(before * STEP), &sum, findings);
        for gap in (before + 1..step).take(MAX_GAP as usize) {
            self.judge(Timestamp::from_secs(gap * STEP), &Sum::default(), findings);
        }
    }

    fn judge(&mut self, at: Timestamp, sum: &Sum, findings: &mut Findings) {
        let config = &self.config;
        let per_second = |n: u64| n as f64 / STEP as f64;
        let (bytes, packets) = (sum.bytes as f64, sum.packets as f64);
        let [throughputs, rates, sizes, begun] = &mut self.numbers;
        let mut all = |series: &mut Series, value, measure: Measure| {
            series.take(config, at, value, &measure, findings);
        };
        let measure = |kind, what: &str, unit, least| Measure {
            kind,
            what: what.to_owned(),
            unit,
            least,
            times: None,
        };
        let throughput = per_second(sum.bytes) * 8.0 / 1e6;
        all(throughputs, throughput, measure("bytes", "throughput", "Mbit/s", 5.0));
        let rate = per_second(sum.packets);
        all(rates, rate, measure("packets", "packets", "packets/s", 1_000.0));
        let flows = per_second(sum.flows);
        all(begun, flows, measure("flows", "new flows", "flows/s", 50.0));
        if sum.packets > 100 {
            let size = measure("packet_size", "packet size", "bytes", 400.0);
            let size = Measure { times: Some(2.0), ..size };
            all(sizes, bytes / packets, size);
        }
        if bytes < MIN_BYTES {
            return;
        }
        let warm_up = config.learn_minutes * 60 / STEP as u64;
        for &protocol in sum.protocols.keys() {
            if self.protocols.len() < MAX_PROTOCOLS {
                let past = &mut self.past;
                self.protocols.entry(protocol).or_insert_with(|| {
                    let mut series = Series::new(warm_up);
                    if let Some(usual) = past.remove(protocol) {
                        series.usual.recall(MEMORY, &usual);
                    }
                    series
                });
            }
        }
        for (&protocol, series) in &mut self.protocols {
            let part = sum.protocols.get(protocol).copied().unwrap_or(0) as f64 / bytes * 100.0;
            all(series, part, measure("protocol", protocol, "percent", 30.0));
        }
    }
}

impl Series {
    fn new(warm_up: u64) -> Self {
        Self { usual: Seasonal::new(MEMORY, warm_up), row: 0, first: Timestamp::ZERO }
    }

    fn take(
        &mut self,
        config: &Config,
        at: Timestamp,
        value: f64,
        measure: &Measure,
        findings: &mut Findings,
    ) {
        let usual = self.usual.at(at).copied();
        self.usual.learn(at, value);
        let Some(usual) = usual else { return };
        let z = usual.z(value, 0.1, measure.least / 20.0);
        let times = measure.times.unwrap_or(config.times);
        let is_spike =
            value >= measure.least && z >= config.deviations && value >= usual.mean() * times;
        if !is_spike {
            self.row = 0;
            return;
        }
        if self.row == 0 {
            self.first = at;
        }
        self.row += 1;
        if self.row < 2 {
            return;
        }
        let Measure { kind, what, unit, .. } = measure;
        let mut told = ABOUT.detection(kind, at);
        told.first_seen = self.first;
        told.severity = if z > config.deviations * 4.0 { Severity::Low } else { Severity::Info };
        told.count = u64::from(self.row);
        told.title = if *kind == "protocol" {
            format!("{value:.0} % of the traffic is {what}, usually {:.0} %", usual.mean())
        } else {
            format!("{what} of {value:.0} {unit}, usually {:.0}", usual.mean())
        };
        told.explanation = format!(
            "This is {z:.0} standard deviations above what this network does at this time. A \
             backup or a download looks the same; see who the busiest hosts are."
        );
        told.evidence = vec![
            text("measure", what.clone()),
            number("value", value),
            number("usual", usual.mean()),
            number("deviations", z),
            text("unit", *unit),
        ];
        findings.tell(told);
    }
}

impl Detector for Spikes {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        if let Event::Second(second) = event {
            if self.step.is_none() {
                self.turn(second.at.secs().div_euclid(STEP), findings);
            }
            self.second(second);
        }
    }

    fn keep(&self, learned: &mut Learned) {
        for (name, series) in NUMBERS.into_iter().zip(&self.numbers) {
            learned.network.insert(name.to_owned(), series.usual.usual());
        }
        for (&protocol, series) in &self.protocols {
            learned.network.insert(format!("{PROTOCOL}{protocol}"), series.usual.usual());
        }
        for (protocol, usual) in &self.past {
            learned.network.insert(format!("{PROTOCOL}{protocol}"), usual.clone());
        }
    }

    fn recall(&mut self, learned: &Learned) {
        for (name, series) in NUMBERS.into_iter().zip(&mut self.numbers) {
            if let Some(usual) = learned.network.get(name) {
                series.usual.recall(MEMORY, usual);
            }
        }
        let protocols = learned.network.iter().filter_map(|(name, usual)| {
            Some((name.strip_prefix(PROTOCOL)?.to_owned(), usual.clone()))
        });
        self.past = protocols.take(MAX_PROTOCOLS).collect();
    }

    fn on_tick(&mut self, now: Timestamp, findings: &mut Findings) {
        // Workers tell a second when it is over, and not all of them at once.
        let step = (now.secs() - 2).div_euclid(STEP);
        if self.step.is_some_and(|before| before != step) {
            self.turn(step, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::testing::Play;
    use flowtrack_event::Share;

    fn second(at: i64, bytes: u64, protocol: &'static str) -> Event {
        let packets = bytes / 1_000;
        Event::Second(Box::new(Second {
            at: Timestamp::from_secs(at),
            bytes,
            packets,
            flows_new: 10,
            shares: vec![
                Share { protocol: "tls", packets: 1, bytes: 100_000 },
                Share { protocol, packets, bytes: bytes - 100_000 },
            ],
            ..Second::default()
        }))
    }

    fn detector() -> Spikes {
        Spikes::new(&Config::default(), &Arc::default())
    }

    #[test]
    fn what_is_far_more_than_usual_is_told_once_it_was_learned() {
        let mut play = Play::new(detector());
        // Before anything is learned, nothing is told.
        for at in 0..60 {
            play.event(&second(at, if at > 30 { 90_000_000 } else { 1_000_000 }, "http"));
        }
        assert!(play.told().is_empty());
        for at in 60..2 * 3_600 {
            play.event(&second(at, 1_000_000 + (at % 17) as u64 * 20_000, "http"));
        }
        assert!(play.told().is_empty(), "{:#?}", play.told().first());
        for at in 7_200..7_230 {
            play.event(&second(at, 60_000_000, "http"));
        }
        let kinds: Vec<_> = play.told().iter().map(|told| told.kind).collect();
        assert!(kinds.contains(&"bytes") && kinds.contains(&"packets"), "{kinds:?}");
        assert!(play.told().iter().all(|told| told.severity <= Severity::Low));
        assert!(play.told()[0].ts.secs() - 7_200 <= 10);
    }

    #[test]
    fn a_protocol_that_takes_over_is_told() {
        let mut play = Play::new(detector());
        for at in 0..3 * 3_600 {
            play.event(&second(at, 1_000_000, if at < 2 * 3_600 { "http" } else { "ntp" }));
        }
        // It has to be known to be unusual, so it was there before, a little.
        let mut play2 = Play::new(detector());
        for at in 0..2 * 3_600 {
            play2.event(&second(at, 1_000_000, if at % 50 == 0 { "ntp" } else { "http" }));
        }
        for at in 7_200..7_230 {
            play2.event(&second(at, 1_000_000, "ntp"));
        }
        assert!(
            play2.told().iter().any(|told| told.title.contains("is ntp")),
            "{:#?}",
            play2.told()
        );
    }
}
