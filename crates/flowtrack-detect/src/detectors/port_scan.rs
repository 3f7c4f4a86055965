//! Port scans and sweeps: one host asks many ports or many hosts whether they are there.

use crate::words::{add_flows, at, count, keep_first, list, plural, text};
use crate::{About, Detector, DistinctWindow, Findings, Kind, Networks, Recent, Window, lately};
use flowtrack_event::{
    Activity, Claim, Detection, Distinct, Event, Failure, FlowId, IpProto, MacAddr, Neighbour,
    Probe, ProbeKind, Severity, SourceActivity, TargetActivity, Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "port_scan",
    summary: "one source asks many ports or many hosts, and gets no answer",
    text: "Counts attempts that came to nothing: closed (RST, ICMP unreachable), unanswered, or \
           open but not taken. A source that fails at more than `per_second` distinct targets in a \
           second, or at `distinct` ports of a host or hosts on a port in five minutes, or at \
           `slow_distinct` in a day scans. So do pings of `ping_distinct` hosts, answered or not, and \
           ARP requests for `arp_distinct` addresses within ten seconds, and three segments with \
           flags that no session has (FIN, none, or FIN with PSH and URG). A source most of whose connections go well is allowed five times as much. \
           Not counted: traceroute, late answers of services, and attempts at a different port of \
           each host, as peers of file sharing make.",
    category: "reconnaissance",
    technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
    kinds: &[
        Kind { name: "vertical", sid: 101, summary: "many ports of one host" },
        Kind { name: "horizontal", sid: 102, summary: "one port of many hosts" },
        Kind { name: "distributed", sid: 103, summary: "many sources, ports of one host" },
        Kind { name: "slow", sid: 104, summary: "a few ports or hosts an hour, for long" },
        Kind { name: "arp", sid: 105, summary: "which addresses of the link are in use" },
        Kind { name: "ping", sid: 106, summary: "which hosts answer a ping" },
        Kind { name: "odd_flags", sid: 107, summary: "segments that no session has" },
    ],
};

/// Thresholds of the port scan detector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for it.
    pub enabled: bool,
    /// Distinct targets that fail in one second, above which a source scans.
    pub per_second: u64,
    /// Distinct ports of a host, or hosts on a port, that fail in five minutes.
    pub distinct: u64,
    /// The same in 24 hours.
    pub slow_distinct: u64,
    /// Hosts that are sent a ping within ten seconds, whether they answer or not.
    pub ping_distinct: u64,
    /// Addresses asked for by ARP within ten seconds.
    pub arp_distinct: u64,
    /// Pairs of source and target that are remembered, of each kind.
    pub max_tracked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            per_second: 15,
            distinct: 20,
            slow_distinct: 30,
            ping_distinct: 15,
            arp_distinct: 40,
            max_tracked: 16_384,
        }
    }
}

/// Seconds of the fast window.
const FAST: u32 = 300;
/// Seconds within which a link is searched.
const SWEEP: u32 = 12;
/// Seconds of the slow window.
const SLOW: i64 = 86_400;
/// Seconds between two tellings of the same scan.
const AGAIN: i64 = 5;
/// Where most attempts of a source go well, thresholds of windows are times this.
const BUSY: u64 = 5;
/// Distinct sources above which ports of one target that are tried are a flood.
const MAX_TOGETHER: u64 = 256;
/// Segments with flags that no session has, from which on they are told.
const MIN_ODD: u64 = 3;
/// Ports or hosts that evidence names.
const NAMED: usize = 12;

/// The detector.
pub struct PortScan {
    config: Config,
    networks: Arc<Networks>,
    /// Ports of one host that one source tried.
    vertical: Recent<(IpAddr, IpAddr), Track>,
    /// Hosts that one source tried on one port.
    horizontal: Recent<(IpAddr, u16, IpProto), Track>,
    /// Ports of one host that anybody tried.
    targets: Recent<IpAddr, Together>,
    /// How the connections of sources go.
    sources: Recent<IpAddr, Source>,
    /// Segments of a source with flags that no session has.
    odd: Recent<IpAddr, Track>,
    pings: Recent<IpAddr, Pings>,
    arp: Recent<MacAddr, ArpTrack>,
    /// Addresses that somebody claimed to have, and when.
    present: Recent<IpAddr, Timestamp>,
}

/// What one source tried at one target.
#[derive(Debug)]
struct Track {
    /// Distinct ports, or hosts, of the last five minutes.
    fast: DistinctWindow,
    /// Those since `day`.
    slow: Distinct,
    day: Timestamp,
    first: Timestamp,
    last: Timestamp,
    /// Attempts since the last telling, and all.
    since: u64,
    all: u64,
    kinds: [u32; KINDS.len()],
    refused: u64,
    unanswered: u64,
    half_open: u64,
    named: Vec<String>,
    flows: Vec<FlowId>,
    told: Option<Timestamp>,
    /// Whether it was told with a source that is proved.
    proved: bool,
}

/// Hosts that a source sent a ping.
struct Pings {
    hosts: DistinctWindow,
    first: Timestamp,
    told: Option<Timestamp>,
}

struct Source {
    completed: Window,
    failed: Window,
    /// Sessions that completed and carried nothing.
    empty: Window,
}

struct Together {
    ports: DistinctWindow,
    sources: DistinctWindow,
    some_sources: Vec<IpAddr>,
    first: Timestamp,
    flows: Vec<FlowId>,
    /// When one source was found to scan it.
    by_one: Option<Timestamp>,
    told: Option<Timestamp>,
    failed: u64,
}

struct ArpTrack {
    addrs: DistinctWindow,
    first: Timestamp,
    since: u64,
    told: Option<Timestamp>,
    named: Vec<String>,
}

impl Track {
    fn new(now: Timestamp) -> Self {
        Self {
            fast: DistinctWindow::new(FAST),
            slow: Distinct::default(),
            day: now,
            first: now,
            last: now,
            since: 0,
            all: 0,
            kinds: [0; KINDS.len()],
            refused: 0,
            unanswered: 0,
            half_open: 0,
            named: Vec::new(),
            flows: Vec::new(),
            told: None,
            proved: false,
        }
    }

    fn add<T: std::hash::Hash>(
        &mut self,
        now: Timestamp,
        value: &T,
        name: impl FnOnce() -> String,
        probe: &Probe,
    ) {
        if now.secs() - self.day.secs() > SLOW {
            self.slow.clear();
            (self.day, self.first) = (now, now);
        }
        self.fast.insert(now, value);
        if self.slow.insert(value) && self.named.len() < NAMED {
            self.named.push(name());
        }
        self.last = now;
        self.since += 1;
        self.all += 1;
        if let Some(kind) = self.kinds.get_mut(row_of(probe.kind)) {
            *kind = kind.saturating_add(1);
        }
        match probe.failure {
            Failure::Refused => self.refused += 1,
            Failure::Unanswered => self.unanswered += 1,
            Failure::HalfOpen => self.half_open += 1,
        }
        add_flows(&mut self.flows, [probe.flow]);
    }

    /// What it was mostly tried by.
    fn kind(&self) -> ProbeKind {
        KINDS
            .into_iter()
            .zip(self.kinds)
            .max_by_key(|&(_, n)| n)
            .map_or(ProbeKind::Other, |(kind, _)| kind)
    }

    /// A source that is proved only now is told at once: nobody is blocked before.
    fn may_tell(&self, now: Timestamp, proved: bool) -> bool {
        proved && !self.proved || !lately(self.told, now, AGAIN)
    }
}

const KINDS: [ProbeKind; 10] = [
    ProbeKind::Syn,
    ProbeKind::Connect,
    ProbeKind::Fin,
    ProbeKind::Null,
    ProbeKind::Xmas,
    ProbeKind::Ack,
    ProbeKind::Udp,
    ProbeKind::Icmp,
    ProbeKind::Solicitation,
    ProbeKind::Other,
];

fn row_of(kind: ProbeKind) -> usize {
    KINDS.iter().position(|&k| k == kind).unwrap_or(KINDS.len())
}

const fn proto_of(kind: ProbeKind) -> IpProto {
    match kind {
        ProbeKind::Udp => IpProto::UDP,
        ProbeKind::Icmp => IpProto::ICMP,
        ProbeKind::Solicitation => IpProto::ICMPV6,
        ProbeKind::Other => IpProto(255),
        _ => IpProto::TCP,
    }
}

impl PortScan {
    /// With these thresholds.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        let most = config.max_tracked;
        Self {
            networks: Arc::clone(networks),
            vertical: Recent::new(most),
            horizontal: Recent::new(most),
            targets: Recent::new(most / 4),
            sources: Recent::new(most),
            odd: Recent::new(1_024),
            pings: Recent::new(1_024),
            arp: Recent::new(1_024),
            present: Recent::new(8_192),
            config: config.clone(),
        }
    }

    fn source(&mut self, now: Timestamp, source: &SourceActivity, findings: &mut Findings) {
        if !source.pinged.is_empty() {
            self.pings(now, source, findings);
        }
        let failed = source.outcomes.failed();
        let known = self.sources.entry(source.addr, || Source {
            completed: Window::new(FAST),
            failed: Window::new(FAST),
            empty: Window::new(FAST),
        });
        known.completed.add(now, source.outcomes.completed);
        known.failed.add(now, failed);
        known.empty.add(now, source.outcomes.empty);
        if source.probes.is_empty() {
            return;
        }
        let went_well = known.completed.sum(now) > known.failed.sum(now).saturating_mul(2);
        // Sessions that it opens for nothing prove that it is there, as its other sessions do not:
        // somebody else may probe in the name of whoever works here.
        let empty = known.empty.sum(now);
        let proved = empty > 0;
        // Of a flood of them not every attempt is told one by one.
        let times = failed.div_ceil(source.probes.len() as u64).max(1);
        let is_fast = source.failed_targets.count() > self.config.per_second;
        let mut vertical = Vec::new();
        let mut horizontal = Vec::new();
        for probe in &source.probes {
            if is_traceroute(probe) {
                continue;
            }
            let proto = proto_of(probe.kind);
            if probe.port != 0 || proto == IpProto(255) {
                let key = (source.addr, probe.target);
                let track = self.vertical.entry(key, || Track::new(now));
                track.add(now, &(probe.port, proto.0), || probe.port.to_string(), probe);
                track.since += times - 1;
                track.all += times - 1;
                if !vertical.contains(&key) {
                    vertical.push(key);
                }
            }
            if matches!(probe.kind, ProbeKind::Fin | ProbeKind::Null | ProbeKind::Xmas) {
                self.odd(now, source, probe, findings);
            }
            let key = (source.addr, probe.port, proto);
            let track = self.horizontal.entry(key, || Track::new(now));
            track.add(now, &probe.target, || probe.target.to_string(), probe);
            track.since += times - 1;
            track.all += times - 1;
            if !horizontal.contains(&key) {
                horizontal.push(key);
            }
        }
        let busy = if went_well { BUSY } else { 1 };
        for key in vertical {
            let Some(track) = self.vertical.get_mut(&key) else { continue };
            let Some(found) = judge(&self.config, track, now, proved, is_fast, busy) else {
                continue;
            };
            let distinct = estimate(found.distinct, source, track.since);
            let (kind, words) = if found.is_slow { ("slow", "slowly ") } else { ("vertical", "") };
            let how = how(track, empty);
            let mut told = said(kind, track, now, distinct, source, proved);
            told.target = Some(key.1);
            told.title = format!("{} {words}scans ports of {}", key.0, key.1);
            told.explanation = format!(
                "It tried {} of one host by {how} and got {}. Somebody looks for services to \
                 attack; see whether {} may do so, and what it finds open.",
                plural(distinct, "port"),
                outcome_of(track),
                key.0,
            );
            told.evidence = evidence(track, distinct, "ports", "distinct_ports", how);
            tell(told, track, findings);
            let together = self.targets.entry(key.1, || Together::new(now));
            together.by_one = Some(now);
        }
        for key in horizontal {
            let Some(track) = self.horizontal.get_mut(&key) else { continue };
            let Some(found) = judge(&self.config, track, now, proved, is_fast, busy) else {
                continue;
            };
            let distinct = estimate(found.distinct, source, track.since);
            let (kind, what) = match (key.2, found.is_slow) {
                (IpProto::ICMP, _) => ("ping", "by ping".to_owned()),
                (IpProto::ICMPV6, _) => ("arp", "by neighbour discovery".to_owned()),
                (_, true) => ("slow", format!("for port {}", key.1)),
                (_, false) => ("horizontal", format!("for port {}", key.1)),
            };
            let how = how(track, empty);
            let mut told = said(kind, track, now, distinct, source, proved);
            told.target_port = (key.1 != 0).then_some(key.1);
            told.proto = Some(key.2);
            told.title = format!("{} searches {} {what}", key.0, plural(distinct, "host"));
            told.explanation = format!(
                "It tried {} by {how} and got {}. {}",
                plural(distinct, "host"),
                outcome_of(track),
                if self.networks.is_home(key.0) {
                    "A host of your own that does this without being asked to is often infected; \
                     look at it."
                } else {
                    "Somebody looks for hosts to attack."
                },
            );
            told.evidence = evidence(track, distinct, "hosts", "distinct_hosts", how);
            tell(told, track, findings);
        }
    }

    fn pings(&mut self, now: Timestamp, source: &SourceActivity, findings: &mut Findings) {
        let track = self.pings.entry(source.addr, || Pings {
            hosts: DistinctWindow::new(SWEEP),
            first: now,
            told: None,
        });
        if track.hosts.count(now) == 0 {
            track.first = now;
        }
        track.hosts.merge(now, &source.pinged);
        let distinct = track.hosts.count(now);
        if distinct < self.config.ping_distinct || lately(track.told, now, AGAIN) {
            return;
        }
        let mut told = ABOUT.detection("ping", now);
        told.source = Some(source.addr);
        told.proto = Some(IpProto::ICMP);
        told.first_seen = track.first;
        told.severity = severity(distinct);
        told.count = source.pinged.count().max(1);
        told.flows.clone_from(&source.flows);
        told.title = format!("{} searches {} by ping", source.addr, plural(distinct, "host"));
        told.explanation = String::from(
            "It finds out which hosts there are; after that, ports are scanned. Monitoring does \
             the same: mute it for that host.",
        );
        told.evidence = vec![
            count("distinct_hosts", distinct),
            count("unanswered", source.outcomes.unanswered),
            list("some_hosts", source.peers.iter().map(|peer| peer.target.to_string())),
        ];
        if findings.tell(told) {
            track.told = Some(now);
        }
    }

    fn odd(
        &mut self,
        now: Timestamp,
        source: &SourceActivity,
        probe: &Probe,
        findings: &mut Findings,
    ) {
        let track = self.odd.entry(source.addr, || Track::new(now));
        track.add(now, &(probe.target, probe.port), || at(probe.target, probe.port), probe);
        let distinct = track.fast.count(now);
        if distinct < MIN_ODD || !track.may_tell(now, false) {
            return;
        }
        let how = how(track, 0);
        let mut told = said("odd_flags", track, now, distinct, source, false);
        told.title = format!("{} sends segments that no session has", source.addr);
        told.explanation = format!(
            "It sent {how} to {}. No ordinary program does; scanners do, to get past simple \
             filters and to learn about the system.",
            plural(distinct, "port")
        );
        told.evidence = evidence(track, distinct, "ports", "distinct_ports", how);
        tell(told, track, findings);
    }

    fn target(&mut self, now: Timestamp, target: &TargetActivity, findings: &mut Findings) {
        if target.failed_ports.is_empty() {
            return;
        }
        let known = self.targets.entry(target.addr, || Together::new(now));
        known.ports.merge(now, &target.failed_ports);
        known.sources.merge(now, &target.failed_sources);
        known.failed += target.outcomes.failed();
        keep_first(&mut known.some_sources, target.some_sources.iter().copied(), NAMED);
        add_flows(&mut known.flows, target.flows.iter().copied());
        let (ports, sources) = (known.ports.count(now), known.sources.count(now));
        let by_one = lately(known.by_one, now, i64::from(FAST));
        // Several sources, each of which would be too slow alone; a flood has many more.
        let is_shared = (4..=MAX_TOGETHER).contains(&sources) && sources <= ports;
        if ports < self.config.distinct * 2
            || !is_shared
            || by_one
            || lately(known.told, now, AGAIN)
        {
            return;
        }
        let mut told = ABOUT.detection("distributed", now);
        told.target = Some(target.addr);
        told.first_seen = known.first;
        told.severity = severity(ports).min(Severity::Medium);
        told.count = std::mem::take(&mut known.failed).max(1);
        told.title = format!("{} scan ports of {}", plural(sources, "source"), target.addr);
        told.explanation = format!(
            "Together they tried {} of one host in five minutes, each of them only some. They may \
             be one attacker with many addresses.",
            plural(ports, "port")
        );
        told.evidence = vec![
            count("distinct_ports", ports),
            count("sources", sources),
            list("some_sources", known.some_sources.iter().map(ToString::to_string)),
        ];
        told.flows.clone_from(&known.flows);
        if findings.tell(told) {
            known.told = Some(now);
        }
    }

    fn arp(&mut self, claim: &Neighbour, findings: &mut Findings) {
        let now = claim.ts;
        if !claim.ip.is_unspecified() {
            self.present.entry(claim.ip, || now);
        }
        if claim.claim != Claim::ArpRequest || claim.ip == claim.target {
            return;
        }
        if self.present.get(&claim.target).is_some() {
            return;
        }
        let track = self.arp.entry(claim.mac, || ArpTrack {
            addrs: DistinctWindow::new(SWEEP),
            first: now,
            since: 0,
            told: None,
            named: Vec::new(),
        });
        track.addrs.insert(now, &claim.target);
        track.since += 1;
        if track.named.len() < NAMED {
            track.named.push(claim.target.to_string());
        }
        // The count costs, and nothing can have changed much.
        if !track.since.is_multiple_of(8) || lately(track.told, now, AGAIN) {
            return;
        }
        let distinct = track.addrs.count(now);
        if distinct < self.config.arp_distinct {
            if distinct < 8 {
                track.first = now;
                track.named.clear();
            }
            return;
        }
        let mut told = ABOUT.detection("arp", now);
        told.source = Networks::is_host(claim.ip).then_some(claim.ip);
        told.first_seen = track.first;
        told.severity = if distinct >= 100 { Severity::Medium } else { Severity::Low };
        told.count = std::mem::take(&mut track.since);
        told.title = format!("{} searches its network by ARP", claim.ip);
        told.explanation = format!(
            "It asked for {} within ten seconds that nobody was seen to have. It finds out which \
             hosts there are; after that, ports are scanned.",
            plural(distinct, "address").replace("addresss", "addresses")
        );
        told.evidence = vec![
            count("distinct_hosts", distinct),
            text("mac", claim.mac.to_string()),
            list("some_hosts", track.named.iter().cloned()),
        ];
        if findings.tell(told) {
            track.told = Some(now);
        }
    }
}

impl Detector for PortScan {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        if let Event::Neighbour(claim) = event {
            self.arp(claim, findings);
        }
    }

    fn on_activity(&mut self, activity: &Activity, findings: &mut Findings) {
        let now = activity.at;
        // While more sources come than can be counted, those that fail once are a flood, and would
        // only push out what is known of others.
        let is_flooded = activity.left_out > 0;
        for source in &activity.sources {
            if !is_flooded || source.outcomes.failed() > 2 {
                self.source(now, source, findings);
            }
        }
        for target in &activity.targets {
            self.target(now, target, findings);
        }
    }
}

impl Together {
    fn new(now: Timestamp) -> Self {
        Self {
            ports: DistinctWindow::new(FAST),
            sources: DistinctWindow::new(FAST),
            some_sources: Vec::new(),
            first: now,
            flows: Vec::new(),
            by_one: None,
            told: None,
            failed: 0,
        }
    }
}

struct Found {
    distinct: u64,
    is_slow: bool,
}

/// Whether what was tried is a scan; `busy` raises the thresholds of windows.
fn judge(
    config: &Config,
    track: &mut Track,
    now: Timestamp,
    proved: bool,
    is_fast: bool,
    busy: u64,
) -> Option<Found> {
    if !track.may_tell(now, proved) {
        return None;
    }
    let fast = track.fast.count(now);
    let fast_enough = is_fast && fast > config.per_second;
    let distinct = match track.kind() {
        // Bare ACKs are also what is left of sessions that one end forgot.
        ProbeKind::Ack => config.distinct * 3,
        _ => config.distinct,
    };
    // Whom a router looks for by and by says nothing.
    if track.kind() == ProbeKind::Solicitation && !fast_enough {
        return None;
    }
    if fast_enough || fast >= distinct * busy {
        return Some(Found { distinct: fast, is_slow: false });
    }
    let slow = track.slow.count();
    let is_long = track.last.secs() - track.first.secs() > i64::from(FAST);
    (is_long && slow >= config.slow_distinct.max(distinct) * busy)
        .then_some(Found { distinct: slow, is_slow: true })
}

/// How many it really were, where only some of them were told one by one: the source's own count,
/// as far as it went to this target.
fn estimate(distinct: u64, source: &SourceActivity, since: u64) -> u64 {
    if source.probes.len() < SourceActivity::PROBES {
        return distinct;
    }
    distinct.max(source.failed_targets.count().min(since))
}

fn said(
    kind: &str,
    track: &Track,
    now: Timestamp,
    distinct: u64,
    source: &SourceActivity,
    proved: bool,
) -> Detection {
    let mut told = ABOUT.detection(kind, now);
    told.source = Some(source.addr);
    told.proto = Some(proto_of(track.kind()));
    told.first_seen = track.first;
    told.last_seen = track.last;
    told.count = track.since.max(1);
    told.severity = severity(distinct);
    told.flows.clone_from(&track.flows);
    told.source_proved = proved;
    told
}

fn tell(told: Detection, track: &mut Track, findings: &mut Findings) {
    let (ts, proved) = (told.ts, told.source_proved);
    if findings.tell(told) {
        (track.since, track.told, track.proved) = (0, Some(ts), proved);
    }
}

fn severity(distinct: u64) -> Severity {
    match distinct {
        0..50 => Severity::Low,
        50..500 => Severity::Medium,
        _ => Severity::High,
    }
}

fn how(track: &Track, empty: u64) -> &'static str {
    match track.kind() {
        ProbeKind::Syn | ProbeKind::Connect if track.half_open > 0 => "half-open SYNs",
        ProbeKind::Syn | ProbeKind::Connect if empty > 0 => "connecting and hanging up",
        ProbeKind::Syn | ProbeKind::Connect => "SYNs",
        ProbeKind::Fin => "FINs without a session",
        ProbeKind::Null => "segments without a flag",
        ProbeKind::Xmas => "segments with FIN, PSH and URG",
        ProbeKind::Ack => "ACKs without a session",
        ProbeKind::Udp => "UDP datagrams",
        ProbeKind::Icmp => "ICMP requests",
        ProbeKind::Solicitation => "neighbour solicitations",
        ProbeKind::Other => "packets of several IP protocols",
    }
}

fn outcome_of(track: &Track) -> &'static str {
    let Track { refused, unanswered, half_open, .. } = *track;
    if half_open >= refused.max(unanswered) {
        "answers that it did not take"
    } else if refused >= unanswered {
        "refusals"
    } else {
        "no answer"
    }
}

fn evidence(
    track: &Track,
    distinct: u64,
    named: &'static str,
    name: &'static str,
    how: &str,
) -> Vec<crate::words::Row> {
    vec![
        count(name, distinct),
        count("attempts", track.all),
        count("refused", track.refused),
        count("unanswered", track.unanswered),
        count("open_and_not_taken", track.half_open),
        text("by", how),
        list(if named == "ports" { "some_ports" } else { "some_hosts" }, track.named.clone()),
    ]
}

/// Whether an attempt looks like one of traceroute, which counts up a port for each hop.
const fn is_traceroute(probe: &Probe) -> bool {
    matches!(probe.kind, ProbeKind::Udp) && matches!(probe.port, 33_434..=33_625)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::testing::{Host, Play, host};

    fn detector() -> PortScan {
        PortScan::new(&Config::default(), &Arc::default())
    }

    fn probe(target: Host, port: u16, kind: ProbeKind, failure: Failure) -> Probe {
        Probe { target: host(target), port, kind, failure, flow: FlowId(u64::from(port)) }
    }

    #[test]
    fn a_fast_scan_of_ports_is_noticed_in_its_first_second() {
        let mut play = Play::new(detector());
        let ports = 1..=1_000;
        play.second(1, |now| {
            now.fails(
                "10.0.0.9",
                ports.clone().map(|port| probe("10.0.0.5", port, ProbeKind::Syn, Failure::Refused)),
            );
        });
        let told = play.told();
        assert_eq!(told.len(), 1, "{told:#?}");
        let scan = &told[0];
        assert_eq!(
            (scan.kind, scan.source, scan.target),
            ("vertical", Some(host("10.0.0.9")), Some(host("10.0.0.5")))
        );
        assert!(scan.severity >= Severity::Medium);
        assert_eq!(scan.title, "10.0.0.9 scans ports of 10.0.0.5");
        assert!(scan.count >= 900, "{}", scan.count);
    }

    #[test]
    fn twenty_ports_in_five_minutes_are_a_scan_and_nineteen_are_none() {
        for (ports, kinds) in [(19, 0), (20, 1)] {
            let mut play = Play::new(detector());
            for n in 0..ports {
                play.second(i64::from(n) * 10, |now| {
                    now.fails(
                        "10.0.0.9",
                        [probe("10.0.0.5", 100 + n as u16, ProbeKind::Syn, Failure::Unanswered)],
                    );
                });
            }
            assert_eq!(play.told().len(), kinds, "{ports}");
        }
    }

    #[test]
    fn a_slow_scan_is_noticed_over_hours() {
        let mut play = Play::new(detector());
        for n in 0..60_u16 {
            play.second(i64::from(n) * 1_200, |now| {
                now.fails(
                    "10.0.0.9",
                    [probe("10.0.0.5", 1_000 + n, ProbeKind::Syn, Failure::Refused)],
                );
            });
        }
        let told = play.told();
        assert_eq!(told.first().map(|scan| scan.kind), Some("slow"));
        assert!(told.iter().all(|scan| scan.kind == "slow"));
    }

    #[test]
    fn hosts_on_a_port_are_a_sweep() {
        let mut play = Play::new(detector());
        for n in 0..25_u8 {
            let target = format!("10.0.1.{n}");
            play.second(i64::from(n), |now| {
                now.fails("10.0.0.9", [probe(&target, 445, ProbeKind::Syn, Failure::Unanswered)]);
            });
        }
        let told = play.told();
        assert_eq!((told[0].kind, told[0].target_port), ("horizontal", Some(445)));
    }

    #[test]
    fn pings_of_many_hosts_are_a_sweep() {
        let mut play = Play::new(detector());
        for second in 0..20 {
            play.second(second, |now| {
                now.source("10.0.0.8").pinged.insert(&second);
            });
        }
        assert!(play.told().is_empty());
        play.second(30, |now| {
            for n in 0..30 {
                now.source("10.0.0.9").pinged.insert(&n);
            }
        });
        assert_eq!(play.told()[0].kind, "ping");
    }

    #[test]
    fn three_segments_that_no_session_has_are_told() {
        let mut play = Play::new(detector());
        for (n, kind) in [ProbeKind::Fin, ProbeKind::Null, ProbeKind::Xmas].into_iter().enumerate()
        {
            assert!(play.told().is_empty());
            play.second(n as i64 * 8, |now| {
                now.fails(
                    "10.0.0.9",
                    [probe("10.0.0.5", 3_390 + n as u16, kind, Failure::Refused)],
                );
            });
        }
        assert_eq!(play.told()[0].kind, "odd_flags");
    }

    #[test]
    fn peers_of_file_sharing_are_none() {
        let mut play = Play::new(detector());
        for n in 0..200_u16 {
            let target = format!("203.0.{}.{}", n / 200, n % 200);
            play.second(i64::from(n), |now| {
                now.fails(
                    "10.0.0.9",
                    [probe(&target, 10_000 + n * 17, ProbeKind::Udp, Failure::Unanswered)],
                );
            });
        }
        assert!(play.told().is_empty());
    }

    #[test]
    fn a_resolver_some_of_whose_questions_are_lost_is_none() {
        let mut play = Play::new(detector());
        for n in 0..600_u16 {
            let target = format!("198.51.{}.{}", n / 200, n % 200);
            play.second(i64::from(n), |now| {
                now.source("10.0.0.9").outcomes.completed += 20;
                if n % 5 == 0 {
                    now.fails(
                        "10.0.0.9",
                        [probe(&target, 53, ProbeKind::Udp, Failure::Unanswered)],
                    );
                }
            });
        }
        assert!(play.told().is_empty());
    }

    #[test]
    fn traceroute_and_one_dead_service_are_none() {
        let mut play = Play::new(detector());
        for n in 0..90_u16 {
            play.second(i64::from(n / 3), |now| {
                now.fails(
                    "10.0.0.9",
                    [
                        probe("198.51.100.1", 33_434 + n, ProbeKind::Udp, Failure::Refused),
                        probe("10.0.0.5", 5_432, ProbeKind::Syn, Failure::Refused),
                    ],
                );
            });
        }
        assert!(play.told().is_empty());
    }

    #[test]
    fn many_sources_that_share_the_ports_are_noticed_together() {
        let mut play = Play::new(detector());
        for n in 0..60_u16 {
            let source = format!("203.0.113.{}", n % 10);
            play.second(i64::from(n), |now| {
                now.fails(
                    &source,
                    [probe("10.0.0.5", 1_000 + n, ProbeKind::Syn, Failure::Refused)],
                );
                now.failed_at("10.0.0.5", &source, 1_000 + n);
            });
        }
        let told = play.told();
        assert_eq!(told[0].kind, "distributed");
        assert_eq!(told[0].source, None);
    }

    #[test]
    fn asking_a_whole_link_is_noticed_and_a_router_is_not() {
        let ask = |at: i64, mac: u8, n: u8| Neighbour {
            ts: Timestamp::from_micros(at),
            iface: flowtrack_event::IfaceId(0),
            vlans: flowtrack_event::Vlans::default(),
            claim: Claim::ArpRequest,
            frame_src: MacAddr([2, 0, 0, 0, 0, mac]),
            mac: MacAddr([2, 0, 0, 0, 0, mac]),
            ip: host("10.0.0.9"),
            target: IpAddr::from([10, 0, 0, n]),
        };
        let mut play = Play::new(detector());
        for n in 1..250 {
            play.event(&Event::Neighbour(Box::new(ask(i64::from(n) * 10_000, 1, n))));
        }
        assert_eq!(play.told()[0].kind, "arp");
        let mut play = Play::new(detector());
        for n in 1..250 {
            play.event(&Event::Neighbour(Box::new(ask(i64::from(n) * 2_000_000, 1, n))));
        }
        assert!(play.told().is_empty());
    }
}
