//! Volumetric floods: more packets than anybody asked for.

use crate::learned::taken_back;
use crate::words::{add_flows, count, list, number, plural, text};
use crate::{About, Baseline, Detector, Findings, Kind, Learned, Minute, Networks, Recent, lately};
use flowtrack_event::{
    Activity, Detection, FlowId, FromPort, IpProto, Severity, SourceActivity, TargetActivity,
    Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "ddos",
    summary: "a source sends, or a target gets, floods of packets that nobody answers",
    text: "Counts packets on flows that are one-way or not answered. `per_second` of them from one \
           address are a flood, and so are as many towards one host from several. A steady stream \
           of datagrams on few flows, as calls and video are sent, may be `stream_times` as fast. \
           Answers that nobody asked for, from `senders` services or more on a port that is abused \
           for it (DNS, NTP, SSDP, memcached, CLDAP, SNMP and others; SYN-ACKs too), are a \
           reflected attack from `reflected_per_second` on. `per_second` pings are a flood though \
           they are answered. Packets that are answered are a flood where a target is \
           known for long enough (`learn_minutes`) and gets `times` as many of them as it usually \
           does, from `times` as many sources: so does a service that is suddenly famous. Anybody \
           may send such packets in the name of another, so no source is proved.",
    category: "denial of service",
    technique: Some(Technique {
        id: "T1498.001",
        name: "Network Denial of Service: Direct Network Flood",
    }),
    kinds: &[
        Kind { name: "source", sid: 401, summary: "one source floods" },
        Kind { name: "target", sid: 402, summary: "several sources flood one target" },
        Kind {
            name: "reflection",
            sid: 403,
            summary: "services answer what the target never asked",
        },
        Kind {
            name: "unusual",
            sid: 404,
            summary: "a target gets far more, from far more sources, than it usually does",
        },
    ],
};

const REFLECTION: Technique =
    Technique { id: "T1498.002", name: "Network Denial of Service: Reflection Amplification" };

/// Thresholds of the detector of floods.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for it.
    pub enabled: bool,
    /// Packets in a second that nobody answers.
    pub per_second: u64,
    /// How many times as many a steady stream of large datagrams may have.
    pub stream_times: u64,
    /// Answers in a second that nobody asked for.
    pub reflected_per_second: u64,
    /// Services that send them.
    pub senders: u64,
    /// Minutes for which a target is watched before what it answers is judged.
    pub learn_minutes: u64,
    /// How many times as much as usual, from as many times the sources, is too much.
    pub times: u64,
    /// Sources and targets that are watched at once, each.
    pub max_tracked: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            per_second: 1_000,
            stream_times: 20,
            reflected_per_second: 100,
            senders: 5,
            learn_minutes: 30,
            times: 10,
            max_tracked: 4_096,
        }
    }
}

/// Standard deviations above what is usual that are far above.
const DEVIATIONS: f64 = 6.0;
/// Flows of a second up to which packets are a stream.
const STREAM_FLOWS: u64 = 8;
/// Bytes of its packets on average.
const STREAM_SIZE: u64 = 120;
/// Times the threshold up to which packets to ever new targets are a scan and no flood.
const SCAN_TIMES: u64 = 10;
/// Seconds between two tellings.
const AGAIN: i64 = 2;
/// Sources in a second below which a target is not flooded by many.
const MANY: u64 = 20;
/// Minutes that what is usual is learned from.
const MEMORY: u32 = 24 * 60;
/// Seconds without a flood after which another is a new one.
const QUIET: i64 = 60;

/// The detector.
pub struct Ddos {
    config: Config,
    networks: Arc<Networks>,
    sources: Recent<IpAddr, Track>,
    targets: Recent<(IpAddr, &'static str), Track>,
    /// What targets usually get.
    usual: Recent<IpAddr, Usual>,
    minute: Minute,
}

/// What a target usually gets in the busiest second of a minute.
struct Usual {
    packets: Baseline,
    sources: Baseline,
    /// Most packets and sources of a second in this minute.
    most: (u64, u64),
}

/// A flood that goes on.
struct Track {
    first: Timestamp,
    last: Timestamp,
    packets: u64,
    since: u64,
    peak: u64,
    told: Option<Timestamp>,
    flows: Vec<FlowId>,
}

impl Track {
    fn new(now: Timestamp) -> Self {
        let flows = Vec::new();
        Self { first: now, last: now, packets: 0, since: 0, peak: 0, told: None, flows }
    }

    /// Counts a second of it; says whether to tell.
    fn goes_on(&mut self, now: Timestamp, packets: u64, flows: &[FlowId]) -> bool {
        if now.secs() - self.last.secs() > QUIET {
            *self = Self::new(now);
        }
        self.last = now;
        self.packets += packets;
        self.since += packets;
        self.peak = self.peak.max(packets);
        add_flows(&mut self.flows, flows.iter().copied());
        !lately(self.told, now, AGAIN)
    }

    fn was_told(&mut self, now: Timestamp) {
        (self.since, self.told) = (0, Some(now));
    }
}

impl Ddos {
    /// With these thresholds.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        Self {
            networks: Arc::clone(networks),
            sources: Recent::new(config.max_tracked),
            targets: Recent::new(config.max_tracked),
            usual: Recent::new(config.max_tracked),
            minute: Minute::new(),
            config: config.clone(),
        }
    }

    fn source(&mut self, now: Timestamp, source: &SourceActivity, findings: &mut Findings) {
        let size = source.volume.bytes_out / source.volume.packets_out.max(1);
        let flows = source.outcomes.begun;
        let failed = source.outcomes.failed();
        let limit = self.limit(size, flows, failed);
        if source.one_way < limit || source.one_way * 2 < source.volume.packets_out {
            return;
        }
        // Who asks each port once scans, and is told so.
        let is_scan = source.failed_targets.count() * 4 > source.one_way;
        if is_scan && source.one_way < self.config.per_second * SCAN_TIMES {
            return;
        }
        let track = self.sources.entry(source.addr, || Track::new(now));
        if !track.goes_on(now, source.one_way, &source.flows) {
            return;
        }
        let first = source.peers.first();
        let one_target =
            first.filter(|first| source.peers.iter().all(|peer| peer.target == first.target));
        let mut told = ABOUT.detection("source", now);
        told.source = Some(source.addr);
        told.target = one_target.map(|peer| peer.target);
        told.target_port = one_target
            .filter(|_| source.peers.len() == 1 && first.is_some_and(|p| p.port != 0))
            .map(|peer| peer.port);
        told.proto = first.map(|peer| peer.proto);
        fill(&mut told, track);
        let over = first.and_then(|peer| peer.proto.name()).unwrap_or("ip").to_uppercase();
        told.severity = severity(source.one_way).min(Severity::High);
        told.title = match told.target {
            Some(target) => format!("{} floods {target} with packets", source.addr),
            None => format!("{} floods with packets", source.addr),
        };
        told.explanation = format!(
            "It sent {} of {over} in a second that nobody answered. {}",
            plural(source.one_way, "packet"),
            if self.networks.is_home(source.addr) {
                "If this is one of your hosts and not a test, it attacks others or is broken: \
                 disconnect it."
            } else {
                "Limit or drop it as far upstream as you can; the address may be spoofed."
            }
        );
        told.evidence = vec![
            count("packets_per_second", source.one_way),
            count("bytes_per_second", source.volume.bytes_out),
            count("peak_packets_per_second", track.peak),
            count("packets_in_all", track.packets),
            count("packet_size", size),
            count("new_flows_per_second", flows),
            count("refused", source.outcomes.refused),
            text("protocol", over),
        ];
        if findings.tell(told) {
            track.was_told(now);
        }
    }

    fn target(&mut self, now: Timestamp, target: &TargetActivity, findings: &mut Findings) {
        let usual = self.usual.entry(target.addr, Usual::default);
        let (packets, from) = usual.most;
        usual.most = (packets.max(target.volume.packets_in), from.max(target.sources.count()));
        let mut reflected = 0;
        for from in &target.from_ports {
            if from.packets >= self.config.reflected_per_second
                && from.senders.count() >= self.config.senders
            {
                reflected += from.packets;
                self.reflection(now, target, from, findings);
            }
        }
        self.pings(now, target, findings);
        let rest = target.one_way.saturating_sub(reflected);
        let sources = target.sources.count();
        let size = target.volume.bytes_in / target.volume.packets_in.max(1);
        let limit = self.limit(size, target.outcomes.begun, target.outcomes.failed());
        let is_one_way = rest * 2 >= target.volume.packets_in;
        // One source is told as a source.
        if rest < limit || sources < 2 || !is_one_way {
            if reflected == 0 {
                self.unusual(now, target, findings);
            }
            return;
        }
        let track = self.targets.entry((target.addr, "target"), || Track::new(now));
        if !track.goes_on(now, rest, &target.flows) {
            return;
        }
        let mut told = ABOUT.detection("target", now);
        told.target = Some(target.addr);
        fill(&mut told, track);
        let (over, proto) = main_protocol(target);
        told.proto = proto;
        told.severity = severity(rest);
        told.title = format!("{over} flood against {} from {sources} sources", target.addr);
        told.explanation = format!(
            "{} in a second were not answered. The sources may be spoofed, so filter by what the \
             packets have in common, or ask your provider to.",
            plural(rest, "packet")
        );
        told.evidence = vec![
            count("packets_per_second", rest),
            count("bytes_per_second", target.one_way_bytes),
            count("peak_packets_per_second", track.peak),
            count("packets_in_all", track.packets),
            count("packet_size", size),
            count("sources", sources),
            text("protocol", over),
            list("some_sources", target.some_sources.iter().map(ToString::to_string)),
        ];
        if findings.tell(told) {
            track.was_told(now);
        }
    }

    /// What is answered is judged by what the target usually gets.
    fn unusual(&mut self, now: Timestamp, target: &TargetActivity, findings: &mut Findings) {
        let (packets, sources) = (target.volume.packets_in, target.sources.count());
        if packets < self.config.per_second || sources < MANY {
            return;
        }
        let Some(usual) = self.usual.get(&target.addr) else { return };
        let times = self.config.times as f64;
        let is_far_above = |usual: &Baseline, value: u64| {
            let value = value as f64;
            value >= usual.mean().max(1.0) * times && usual.z(value, 0.2, 1.0) > DEVIATIONS
        };
        let is_known = usual.packets.samples() >= self.config.learn_minutes;
        if !is_known
            || !is_far_above(&usual.packets, packets)
            || !is_far_above(&usual.sources, sources)
        {
            return;
        }
        let (usual_packets, usual_sources) = (usual.packets.mean(), usual.sources.mean());
        let track = self.targets.entry((target.addr, "unusual"), || Track::new(now));
        if !track.goes_on(now, packets, &target.flows) {
            return;
        }
        let mut told = ABOUT.detection("unusual", now);
        told.target = Some(target.addr);
        fill(&mut told, track);
        let (over, proto) = main_protocol(target);
        told.proto = proto;
        told.severity = severity(packets).min(Severity::Medium);
        told.title = format!("{} gets far more than usual from {sources} sources", target.addr);
        told.explanation = format!(
            "It got {} of {over} in a second; {usual_packets:.0} from {usual_sources:.0} sources \
             are usual in the busiest second of a minute. If nobody announced it to the world, \
             limit what one source may ask, and see what the requests have in common.",
            plural(packets, "packet")
        );
        told.evidence = vec![
            count("packets_per_second", packets),
            count("bytes_per_second", target.volume.bytes_in),
            number("usual_packets_per_second", usual_packets),
            count("sources", sources),
            number("usual_sources", usual_sources),
            count("peak_packets_per_second", track.peak),
            text("protocol", over),
            list("some_sources", target.some_sources.iter().map(ToString::to_string)),
        ];
        if findings.tell(told) {
            track.was_told(now);
        }
    }

    /// Pings are answered, and still a flood.
    fn pings(&mut self, now: Timestamp, target: &TargetActivity, findings: &mut Findings) {
        let [_, _, packets, _] = target.by_proto;
        // What is not answered is told as any other flood.
        if packets < self.config.per_second || target.one_way * 2 >= packets {
            return;
        }
        let track = self.targets.entry((target.addr, "ping"), || Track::new(now));
        if !track.goes_on(now, packets, &target.flows) {
            return;
        }
        let sources = target.sources.count();
        let one = target.some_sources.first().copied().filter(|_| sources == 1);
        let mut told = ABOUT.detection(if one.is_some() { "source" } else { "target" }, now);
        told.source = one;
        told.target = Some(target.addr);
        told.proto = Some(IpProto::ICMP);
        fill(&mut told, track);
        told.severity = severity(packets).min(Severity::High);
        told.title = match one {
            Some(one) => format!("{one} floods {} with pings", target.addr),
            None => format!("ping flood against {} from {sources} sources", target.addr),
        };
        told.explanation = format!(
            "It got {} of ICMP in a second. Limit the rate of ICMP that it answers.",
            plural(packets, "packet")
        );
        told.evidence = vec![
            count("packets_per_second", packets),
            count("peak_packets_per_second", track.peak),
            count("packets_in_all", track.packets),
            count("sources", sources),
            text("protocol", "ICMP"),
        ];
        if findings.tell(told) {
            track.was_told(now);
        }
    }

    fn reflection(
        &mut self,
        now: Timestamp,
        target: &TargetActivity,
        from: &FromPort,
        findings: &mut Findings,
    ) {
        let service = service_name(from);
        let track = self.targets.entry((target.addr, service), || Track::new(now));
        if !track.goes_on(now, from.packets, &target.flows) {
            return;
        }
        let senders = from.senders.count();
        let size = from.bytes / from.packets.max(1);
        let mut told = ABOUT.detection("reflection", now);
        told.technique = Some(REFLECTION);
        told.target = Some(target.addr);
        told.proto = Some(from.proto);
        fill(&mut told, track);
        // Amplified traffic is large, and fills a line with fewer packets.
        told.severity = severity(from.packets.max(from.bytes / 200)).max(Severity::Medium);
        told.title = format!("{service} reflection attack against {}", target.addr);
        told.explanation = format!(
            "{} sent it {} in a second that it never asked for. Somebody asks them in its name; \
             block {} from port {} on the way to it, and ask your provider to. The senders are \
             abused, not attackers.",
            plural(senders, "host"),
            plural(from.packets, "packet"),
            if from.proto == IpProto::TCP { "SYN-ACKs" } else { "UDP" },
            from.port
        );
        told.evidence = vec![
            text("service", service),
            count("source_port", u64::from(from.port)),
            count("packets_per_second", from.packets),
            count("bytes_per_second", from.bytes),
            number("megabits_per_second", from.bytes as f64 * 8.0 / 1e6),
            count("packet_size", size),
            count("senders", senders),
            count("packets_in_all", track.packets),
            list("some_senders", target.some_sources.iter().map(ToString::to_string)),
        ];
        if findings.tell(told) {
            track.was_told(now);
        }
    }

    /// Packets from which on they are a flood.
    fn limit(&self, size: u64, flows: u64, failed: u64) -> u64 {
        let is_stream = size >= STREAM_SIZE && flows <= STREAM_FLOWS && failed <= STREAM_FLOWS;
        self.config.per_second * if is_stream { self.config.stream_times } else { 1 }
    }
}

impl Default for Usual {
    fn default() -> Self {
        Self::new(Baseline::new(MEMORY), Baseline::new(MEMORY))
    }
}

impl Usual {
    const fn new(packets: Baseline, sources: Baseline) -> Self {
        Self { packets, sources, most: (0, 0) }
    }
}

fn fill(told: &mut Detection, track: &Track) {
    told.first_seen = track.first;
    told.last_seen = track.last;
    told.count = track.since.max(1);
    told.flows.clone_from(&track.flows);
}

fn severity(packets: u64) -> Severity {
    match packets {
        0..10_000 => Severity::Medium,
        10_000..200_000 => Severity::High,
        _ => Severity::Critical,
    }
}

/// The transport of most packets.
fn main_protocol(target: &TargetActivity) -> (&'static str, Option<IpProto>) {
    let names = [
        ("TCP", Some(IpProto::TCP)),
        ("UDP", Some(IpProto::UDP)),
        ("ICMP", Some(IpProto::ICMP)),
        ("IP", None),
    ];
    names
        .into_iter()
        .zip(target.by_proto)
        .max_by_key(|&(_, packets)| packets)
        .map_or(("IP", None), |(name, _)| name)
}

fn service_name(from: &FromPort) -> &'static str {
    if from.proto == IpProto::TCP {
        return "TCP SYN-ACK";
    }
    match from.port {
        17 => "QOTD",
        19 => "chargen",
        53 => "DNS",
        69 => "TFTP",
        111 => "portmap",
        123 => "NTP",
        137 => "NetBIOS",
        161 => "SNMP",
        177 => "XDMCP",
        389 => "CLDAP",
        520 => "RIP",
        623 => "IPMI",
        1_434 => "MS SQL",
        1_604 => "Citrix",
        1_900 => "SSDP",
        3_283 => "Apple Remote Desktop",
        3_478 => "STUN",
        3_702 => "WS-Discovery",
        5_060 => "SIP",
        5_093 => "Sentinel",
        5_353 => "mDNS",
        5_683 => "CoAP",
        6_881 => "BitTorrent",
        10_001 => "Ubiquiti discovery",
        11_211 => "memcached",
        27_015 => "Source engine",
        32_414 => "Plex",
        37_810 => "DVR discovery",
        _ => "UDP",
    }
}

impl Detector for Ddos {
    fn on_activity(&mut self, activity: &Activity, findings: &mut Findings) {
        for source in &activity.sources {
            self.source(activity.at, source, findings);
        }
        for target in &activity.targets {
            self.target(activity.at, target, findings);
        }
    }

    fn on_tick(&mut self, now: Timestamp, _findings: &mut Findings) {
        if !self.minute.turns(now) {
            return;
        }
        for (_, usual) in self.usual.values_mut() {
            let (packets, sources) = std::mem::take(&mut usual.most);
            usual.packets.learn(packets as f64);
            usual.sources.learn(sources as f64);
        }
    }

    fn keep(&self, learned: &mut Learned) {
        let known = self.usual.iter().filter(|(_, usual)| usual.packets.samples() > 0);
        learned.targets.extend(
            known.map(|(&addr, usual)| (addr, [usual.packets.usual(), usual.sources.usual()])),
        );
    }

    fn recall(&mut self, learned: &Learned) {
        let room = self.config.max_tracked;
        for (addr, [packets, sources]) in taken_back(&learned.targets, room) {
            let recalled = |usual| Baseline::recalled(MEMORY, usual);
            self.usual.entry(addr, || Usual::new(recalled(packets), recalled(sources)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::testing::{Play, host};

    fn detector() -> Ddos {
        Ddos::new(&Config::default(), &Arc::default())
    }

    #[test]
    fn a_thousand_unanswered_packets_a_second_from_one_address_are_a_flood() {
        for (packets, told) in [(999, 0), (1_000, 1)] {
            let mut play = Play::new(detector());
            play.second(1, |now| {
                let source = now.source("203.0.113.9");
                source.volume.packets_out = packets;
                source.volume.bytes_out = packets * 60;
                source.one_way = packets;
                source.outcomes.begun = packets;
            });
            assert_eq!(play.told().len(), told, "{packets}");
        }
    }

    #[test]
    fn a_download_a_backup_and_a_video_stream_are_none() {
        let mut play = Play::new(detector());
        for second in 0..60 {
            play.second(second, |now| {
                // Answered, however fast.
                let download = now.source("10.0.0.9");
                download.volume.packets_out = 40_000;
                download.volume.packets_in = 80_000;
                // One-way video of 30 Mbit/s on two flows.
                let video = now.source("10.0.0.8");
                video.volume.packets_out = 2_800;
                video.volume.bytes_out = 2_800 * 1_370;
                video.one_way = 2_800;
                let screen = now.target("10.0.0.7");
                screen.volume.packets_in = 2_800;
                screen.volume.bytes_in = 2_800 * 1_370;
                screen.one_way = 2_800;
                screen.sources.insert(&host("10.0.0.8"));
            });
        }
        assert!(play.told().is_empty(), "{:#?}", play.told());
    }

    #[test]
    fn answered_pings_are_a_flood_and_a_scan_is_none() {
        let mut play = Play::new(detector());
        play.second(1, |now| {
            let scan = now.source("10.0.0.9");
            scan.volume.packets_out = 2_000;
            scan.one_way = 2_000;
            scan.outcomes.begun = 2_000;
            for port in 0..2_000 {
                scan.failed_targets.insert(&port);
            }
        });
        assert!(play.told().is_empty());
        play.second(2, |now| {
            let target = now.target("10.0.0.5");
            target.by_proto = [0, 0, 5_000, 0];
            target.volume.packets_in = 5_000;
            target.sources.insert(&host("10.0.0.9"));
            target.some_sources.push(host("10.0.0.9"));
        });
        assert_eq!(
            (play.told()[0].kind, play.told()[0].source),
            ("source", Some(host("10.0.0.9")))
        );
    }

    #[test]
    fn many_sources_against_one_target_are_told_of_the_target() {
        let mut play = Play::new(detector());
        play.second(1, |now| {
            let target = now.target("10.0.0.5");
            target.volume.packets_in = 300_000;
            target.volume.bytes_in = 300_000 * 60;
            target.one_way = 300_000;
            target.outcomes.begun = 300_000;
            target.by_proto = [0, 300_000, 0, 0];
            for n in 0..5_000_u32 {
                target.sources.insert(&n);
            }
        });
        let told = play.told();
        assert_eq!((told[0].kind, told[0].source), ("target", None));
        assert_eq!(told[0].severity, Severity::Critical);
        assert!(told[0].title.starts_with("UDP flood against 10.0.0.5"), "{}", told[0].title);
    }

    /// A second of a server that answers.
    fn serves(play: &mut Play, second: i64, packets: u64, sources: u64) {
        play.second(second, |now| {
            let server = now.target("10.0.0.5");
            server.volume.packets_in = packets;
            server.volume.packets_out = packets;
            server.by_proto = [packets, 0, 0, 0];
            for n in 0..sources {
                server.sources.insert(&n);
            }
        });
    }

    #[test]
    fn far_more_than_a_server_ever_got_from_far_more_sources_is_told() {
        for (minutes, packets, sources, kinds) in [
            (40, 20_000, 2_000, &["unusual"][..]),
            (10, 20_000, 2_000, &[]),
            (40, 20_000, 40, &[]),
            (40, 900, 900, &[]),
        ] {
            let mut play = Play::new(detector());
            for minute in 0..minutes {
                serves(&mut play, minute * 60, 300 + minute as u64 % 7 * 10, 30);
            }
            serves(&mut play, minutes * 60, packets, sources);
            let told: Vec<_> = play.told().iter().map(|told| told.kind).collect();
            assert_eq!(told, kinds, "{minutes} {packets} {sources}");
        }
    }

    #[test]
    fn answers_that_nobody_asked_for_are_a_reflection() {
        for (port, proto, name) in [
            (53, IpProto::UDP, "DNS"),
            (123, IpProto::UDP, "NTP"),
            (1_900, IpProto::UDP, "SSDP"),
            (11_211, IpProto::UDP, "memcached"),
            (389, IpProto::UDP, "CLDAP"),
            (443, IpProto::TCP, "TCP SYN-ACK"),
        ] {
            for (senders, kinds) in [(2_u32, 0), (40, 1)] {
                let mut play = Play::new(detector());
                play.second(1, |now| {
                    let target = now.target("10.0.0.5");
                    target.volume.packets_in = 500;
                    target.one_way = 500;
                    let mut from = FromPort {
                        port,
                        proto,
                        packets: 500,
                        bytes: 500 * 1_400,
                        senders: flowtrack_event::Distinct::default(),
                    };
                    (0..senders).for_each(|n| {
                        from.senders.insert(&n);
                    });
                    target.from_ports.push(from);
                });
                let told = play.told();
                assert_eq!(told.len(), kinds, "{name} {senders}");
                if let Some(told) = told.first() {
                    assert_eq!(told.title, format!("{name} reflection attack against 10.0.0.5"));
                }
            }
        }
    }
}
