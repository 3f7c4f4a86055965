//! Uploads beyond what a host usually sends.

use crate::learned::taken_back;
use crate::words::keep_last;
use crate::{About, Baseline, Detector, Findings, Kind, Learned, Networks, Pace, Recent};
use flowtrack_event::{
    Detection, Event, Evidence, FlowEvent, FlowId, FlowPhase, FlowState, IpProto, Severity,
    Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "exfiltration",
    summary: "a host sends out much more than it used to",
    text: "Adds up the payload that each host of one's own network sends to foreign addresses over \
           flows that it began, in intervals of five minutes, and learns what is usual for that \
           host: mean and mean deviation that single bursts hardly move. What is far above both \
           that and a least amount is told while it goes on. A host that was not watched for long \
           enough is not judged; uploads inside one's own network, such as backups, do not count. \
           Severity: medium; ten times the least amount and far above all that was usual, high.",
    category: "exfiltration",
    technique: Some(Technique { id: "T1048", name: "Exfiltration Over Alternative Protocol" }),
    kinds: &[Kind { name: "", sid: 230, summary: "an upload beyond a host's own past" }],
};

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for unusual uploads.
    pub enabled: bool,
    /// Bytes in an interval below which nothing is unusual.
    pub min_bytes: u64,
    /// Standard deviations above what is usual.
    pub deviations: f64,
    /// Intervals of a host before it is judged.
    pub warm_up: u64,
    /// Seconds of an interval.
    pub interval: u32,
    /// Hosts that are remembered.
    pub max_hosts: usize,
    /// Flows that are remembered while they go on.
    pub max_flows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: 100_000_000,
            deviations: 6.0,
            warm_up: 24,
            interval: 300,
            max_hosts: 4_096,
            max_flows: 65_536,
        }
    }
}

/// Unusual uploads.
pub struct Exfiltration {
    config: Config,
    networks: Arc<Networks>,
    hosts: Recent<IpAddr, Host>,
    /// Payload of flows that was counted already.
    counted: Recent<FlowId, u64>,
}

struct Host {
    usual: Baseline,
    /// Number of the interval that is counted; none before the first.
    interval: Option<i64>,
    bytes: u64,
    began: Timestamp,
    /// Those that got most, with the bytes they got.
    targets: Vec<(IpAddr, u16, u64)>,
    flows: Vec<FlowId>,
    proved: bool,
    pace: Pace,
}

/// Intervals that count most of what is usual: about a day.
const MEMORY: u32 = 288;
/// Share of the mean that a deviation counts for at least.
const SHARE: f64 = 0.5;
/// Targets and flows kept as evidence.
const KEPT: usize = 8;

impl Exfiltration {
    /// Nothing seen.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        Self {
            config: config.clone(),
            networks: Arc::clone(networks),
            hosts: Recent::new(config.max_hosts),
            counted: Recent::new(config.max_flows),
        }
    }

    fn flow(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        let key = &record.key;
        let is_upload = self.networks.is_home(key.src)
            && !self.networks.is_home(key.dst)
            && Networks::is_host(key.dst);
        if !is_upload {
            return;
        }
        let sent = record.to_server.payload_bytes;
        let before = match flow.phase {
            FlowPhase::End(_) => self.counted.remove(&record.id).unwrap_or(0),
            FlowPhase::Start | FlowPhase::Update => {
                std::mem::replace(self.counted.entry(record.id, || 0), sent)
            }
        };
        let more = sent.saturating_sub(before);
        let (now, interval) = (flow.ts, flow.ts.secs().div_euclid(self.interval()));
        let host = self.hosts.entry(key.src, || Host::new(Baseline::new(MEMORY)));
        host.advance(now, interval);
        if more == 0 {
            return;
        }
        host.bytes = host.bytes.saturating_add(more);
        host.proved |= key.proto == IpProto::TCP && record.state != FlowState::New;
        host.saw(key.dst, key.dst_port, more, record.id);
        self.judge(key.src, now, findings);
    }

    fn interval(&self) -> i64 {
        i64::from(self.config.interval.max(1))
    }

    fn judge(&mut self, source: IpAddr, now: Timestamp, findings: &mut Findings) {
        let Config { min_bytes, deviations, warm_up, interval, .. } = self.config;
        let Some(host) = self.hosts.get_mut(&source) else { return };
        if host.bytes < min_bytes || host.usual.samples() < warm_up {
            return;
        }
        let bytes = host.bytes as f64;
        // A tenth of the least amount is no deviation worth the word.
        let z = host.usual.z(bytes, SHARE, min_bytes as f64 / 10.0);
        if z < deviations {
            return;
        }
        let is_huge = host.bytes >= min_bytes.saturating_mul(10) && z >= deviations * 5.0;
        let severity = if is_huge { Severity::High } else { Severity::Medium };
        host.pace.add(1);
        let Some(count) = host.pace.due(now, severity) else { return };
        let to = host.targets.first();
        let targets = host
            .targets
            .iter()
            .map(|(ip, port, bytes)| format!("{ip} port {port}: {}", megabytes(*bytes)))
            .collect();
        findings.tell(Detection {
            title: format!(
                "{source} sent out {} in {} s, usual are {}",
                megabytes(host.bytes),
                now.since(host.began).as_secs(),
                megabytes(host.usual.mean() as u64)
            ),
            explanation: format!(
                "This is {z:.0} standard deviations above what this host sends in {interval} s. \
                 Find out which program sends to the addresses below; a new backup or a shared \
                 video is harmless, data that nobody knows of is not."
            ),
            severity,
            source: Some(source),
            target: to.map(|to| to.0),
            target_port: to.map(|to| to.1),
            first_seen: host.began,
            count,
            evidence: vec![
                ("bytes sent out".into(), Evidence::Count(host.bytes)),
                ("usual bytes".into(), Evidence::Count(host.usual.mean() as u64)),
                ("standard deviations".into(), Evidence::Number((z * 10.0).round() / 10.0)),
                ("intervals learned".into(), Evidence::Count(host.usual.samples())),
                ("to".into(), Evidence::List(targets)),
            ],
            flows: host.flows.clone(),
            source_proved: host.proved,
            ..ABOUT.detection("", now)
        });
    }
}

impl Detector for Exfiltration {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        if let Event::Flow(flow) = event {
            self.flow(flow, findings);
        }
    }

    fn keep(&self, learned: &mut Learned) {
        let hosts = self.hosts.iter().map(|(&addr, host)| (addr, host.usual.usual()));
        learned.uploads.extend(hosts);
    }

    fn recall(&mut self, learned: &Learned) {
        for (addr, usual) in taken_back(&learned.uploads, self.config.max_hosts) {
            self.hosts.entry(addr, || Host::new(Baseline::recalled(MEMORY, usual)));
        }
    }

    fn forgotten(&self) -> u64 {
        self.hosts.evicted() + self.counted.evicted()
    }
}

impl Host {
    fn new(usual: Baseline) -> Self {
        Self {
            usual,
            interval: None,
            bytes: 0,
            began: Timestamp::ZERO,
            targets: Vec::new(),
            flows: Vec::new(),
            proved: false,
            pace: Pace::default(),
        }
    }

    /// Learns the intervals that are over.
    fn advance(&mut self, now: Timestamp, interval: i64) {
        if let Some(before) = self.interval {
            if interval <= before {
                return;
            }
            self.usual.learn(self.bytes as f64);
            let silent = (interval - before - 1).min(i64::from(MEMORY));
            for _ in 0..silent {
                self.usual.learn(0.0);
            }
        }
        self.interval = Some(interval);
        self.bytes = 0;
        self.began = now;
        self.targets.clear();
        self.flows.clear();
    }

    fn saw(&mut self, target: IpAddr, port: u16, bytes: u64, flow: FlowId) {
        match self.targets.iter_mut().find(|known| (known.0, known.1) == (target, port)) {
            Some(known) => known.2 = known.2.saturating_add(bytes),
            None => {
                if self.targets.len() >= KEPT {
                    self.targets.pop();
                }
                self.targets.push((target, port, bytes));
            }
        }
        self.targets.sort_by_key(|known| std::cmp::Reverse(known.2));
        keep_last(&mut self.flows, flow, KEPT);
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
