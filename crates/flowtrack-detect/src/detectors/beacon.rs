//! Calls home: flows or requests that repeat with a clock behind them.

use crate::learned::PastCalls;
use crate::words::{is_below, keep_last};
use crate::{About, Detector, Findings, Kind, Learned, Networks, Over, Pace, Recent};
use flowtrack_event::{
    AppProto, Detection, Direction, Event, Evidence, FlowEvent, FlowId, FlowKey, FlowPhase,
    FlowState, IpProto, Severity, Technique, Timestamp, TransactionEvent,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What it is.
pub const ABOUT: About = About {
    name: "beacon",
    summary: "a host calls the same address again and again at regular intervals",
    text: "Looks at when a host of one's own network turns to the same foreign address and port: \
           each flow is a call, and of HTTP each request. The score is from 0 to 1: how regular the \
           intervals are (median absolute deviation and Bowley skewness, which forgive single \
           gaps) for two thirds, how regular the sizes are for one. Time servers, multicast, \
           resolvers, and names of known services that ask for updates by the clock are left alone. Inside one long session of \
           an unknown protocol each burst behind a silence is a call too, as far as the session is \
           told of every second. So is a session of TLS that keeps talking although its client asks \
           for no name and its server shows a single certificate, as malware with a certificate of \
           its own does and public authorities never do: on a port that is not one of TLS medium, \
           else low; and a connection of QUIC to the port of the web that stays open for a minute \
           although its client asks for no name, low: browsers learn from a name that a server speaks \
           QUIC. Severity of all others: low; with 40 calls and a score of 0.95 medium; with 200 \
           and 0.97, to an address without a name, high.",
    category: "command and control",
    technique: Some(Technique { id: "T1071", name: "Application Layer Protocol" }),
    kinds: &[
        Kind { name: "calls", sid: 210, summary: "regular calls of one host to one address" },
        Kind {
            name: "heartbeat",
            sid: 211,
            summary: "regular bursts inside one session of an unknown protocol",
        },
        Kind {
            name: "bare_tls",
            sid: 212,
            summary: "a long encrypted session with an address that has no name, and no public certificate that could be seen",
        },
    ],
};

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for regular calls.
    pub enabled: bool,
    /// Calls before anything is judged.
    pub samples: usize,
    /// Score from which on it is told, 0 to 1.
    pub score: f64,
    /// Shortest median interval in seconds; what is faster is no beacon but a conversation.
    pub min_interval: f64,
    /// Names whose calls are expected, with all below them.
    pub quiet_names: Vec<String>,
    /// Sources with their targets that are remembered.
    pub max_pairs: usize,
    /// Long sessions that are remembered while they go on.
    pub max_sessions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            samples: 20,
            score: 0.9,
            min_interval: 2.0,
            quiet_names: QUIET.iter().map(ToString::to_string).collect(),
            max_pairs: 16_384,
            max_sessions: 8_192,
        }
    }
}

/// What asks by the clock for updates, mail, time and whether there is a network at all.
const QUIET: &[&str] = &[
    "apple.com",
    "archlinux.org",
    "canonical.com",
    "cloudflareclient.com",
    "debian.org",
    "detectportal.firefox.com",
    "digicert.com",
    "dropbox.com",
    "fedoraproject.org",
    "github.com",
    "gnome.org",
    "google.com",
    "googleapis.com",
    "gstatic.com",
    "icloud.com",
    "lencr.org",
    "live.com",
    "microsoft.com",
    "mozilla.com",
    "mozilla.net",
    "mozilla.org",
    "msftconnecttest.com",
    "msftncsi.com",
    "ntp.org",
    "office.com",
    "office365.com",
    "skype.com",
    "slack.com",
    "spotify.com",
    "ubuntu.com",
    "whatsapp.net",
    "windows.com",
    "windowsupdate.com",
    "zoom.us",
];

/// Regular calls.
pub struct Beacons {
    config: Config,
    networks: Arc<Networks>,
    pairs: Recent<Pair, Calls>,
    sessions: Recent<FlowId, Session>,
    /// Sessions of TLS that nobody vouches for.
    bare: Recent<FlowId, Bare>,
    over: Over,
}

/// A session of TLS without a name, whose server shows a single certificate, or one of QUIC without
/// a name.
struct Bare {
    /// Whom the certificate is for; `None` with QUIC, which hides it.
    certificate: Option<String>,
    /// Seconds in which the client said something.
    talks: u64,
    /// Payload of the client that was seen so far.
    bytes: u64,
    pace: Pace,
}

/// A session that goes on.
#[derive(Default)]
struct Session {
    calls: Calls,
    /// Payload of the source that was seen so far.
    bytes: u64,
    /// Last time that there was more of it.
    last: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    source: IpAddr,
    target: IpAddr,
    port: u16,
    proto: IpProto,
}

#[derive(Default)]
struct Calls {
    /// The last calls by time.
    last: VecDeque<Call>,
    total: u64,
    name: String,
    quiet: bool,
    /// Whether requests are counted, so that flows are not.
    by_request: bool,
    established: bool,
    flows: Vec<FlowId>,
    pace: Pace,
}

#[derive(Clone, Copy)]
struct Call {
    at: Timestamp,
    /// Bytes that the source sent.
    bytes: u64,
}

/// Calls that are kept of a pair.
const KEPT: usize = 128;
/// Pairs and calls of each that outlive the program, and calls below which it is not worth it.
const OUTLIVE: (usize, usize, usize) = (2_048, 64, 3);
/// Flows kept as evidence.
const FLOWS: usize = 8;
/// Longest name kept.
const NAME_CAP: usize = 255;
/// How long a session lasts at least that nobody vouches for.
const BARE_LASTS: Duration = Duration::from_secs(30);
/// The same of QUIC, where servers may be silent for as long as a tab is open.
const BARE_QUIC_LASTS: Duration = Duration::from_mins(1);
/// Ports of protocols over TLS: web, mail, directories, names, chat, calls, VPN.
const TLS_PORTS: &[u16] = &[
    443, 465, 563, 587, 636, 853, 989, 990, 992, 993, 994, 995, 1_194, 3_389, 5_061, 5_222, 5_223,
    5_228, 5_349, 8_443, 9_443,
];
/// Bars of the histogram.
const BARS: usize = 6;
/// How much sizes may differ without being irregular, in bytes.
const SAME_SIZE: f64 = 32.0;

/// How regular calls are.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Score {
    all: f64,
    intervals: f64,
    sizes: f64,
    /// Median interval and its median absolute deviation, in seconds.
    interval: f64,
    jitter: f64,
    /// Median bytes of a call.
    bytes: f64,
}

impl Beacons {
    /// Nothing seen.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        Self {
            config: config.clone(),
            networks: Arc::clone(networks),
            pairs: Recent::new(config.max_pairs),
            sessions: Recent::new(config.max_sessions),
            bare: Recent::new(config.max_sessions),
            over: Over::new(config.max_pairs * 4),
        }
    }

    /// The pair that a flow belongs to, where its calls are worth a look.
    fn pair(&self, key: &FlowKey) -> Option<Pair> {
        // Where one's own addresses are public and not configured, nobody is at home.
        let is_outward = !self.networks.is_home(key.dst)
            && Networks::is_host(key.dst)
            && Networks::is_host(key.src);
        let is_usual = matches!(key.proto, IpProto::UDP) && matches!(key.dst_port, 53 | 123 | 3478);
        let has_ports = matches!(key.proto, IpProto::TCP | IpProto::UDP);
        (is_outward && has_ports && !is_usual && !self.networks.is_resolver(key.dst)).then_some(
            Pair { source: key.src, target: key.dst, port: key.dst_port, proto: key.proto },
        )
    }

    fn flow(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        // What nobody answered is the business of scans.
        if record.state == FlowState::New && record.to_client.packets == 0 {
            return;
        }
        let Some(pair) = self.pair(&record.key) else { return };
        if !self.over.is_news(flow) {
            return;
        }
        let calls = self.pairs.entry(pair, Calls::default);
        if calls.by_request {
            return;
        }
        calls.established |= record.key.proto == IpProto::TCP && record.state != FlowState::New;
        calls.add(record.start, record.to_server.payload_bytes, record.id);
        self.judge(pair, flow.ts, findings);
    }

    /// Begins to watch a session that nobody vouches for.
    fn handshake(&mut self, tx: &TransactionEvent) {
        let key = &tx.flow.key;
        if self.pair(key).is_none() {
            return;
        }
        let certificate = if key.proto == IpProto::TCP {
            let mut chain = 0;
            tx.transaction.number(Direction::ToClient, "tls.cert_chain_len", &mut |n| chain = n);
            if chain != 1 {
                return;
            }
            Some(name_of(tx, Direction::ToClient, "tls.cert_subject"))
        } else if tx.direction == Direction::ToServer
            && key.dst_port == 443
            && !name_of(tx, Direction::ToServer, "ja3.hash").is_empty()
        {
            // The hello of a client.
            None
        } else {
            return;
        };
        self.bare.entry(tx.flow.id, || Bare {
            certificate,
            talks: 0,
            bytes: 0,
            pace: Pace::default(),
        });
    }

    /// A session of TLS that nobody vouches for goes on.
    fn bare(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        let Some(bare) = self.bare.get_mut(&record.id) else { return };
        let key = record.key;
        let sent = record.to_server.payload_bytes;
        if sent <= bare.bytes {
            return;
        }
        bare.bytes = sent;
        bare.talks += 1;
        bare.pace.add(1);
        let lasted = record.end.since(record.start);
        let samples = self.config.samples as u64;
        let (talks, lasts) = match bare.certificate {
            Some(_) => (samples, BARE_LASTS),
            None => (samples / 2, BARE_QUIC_LASTS),
        };
        if bare.talks < talks || lasted < lasts {
            return;
        }
        let severity =
            if TLS_PORTS.contains(&key.dst_port) { Severity::Low } else { Severity::Medium };
        let Some(count) = bare.pace.due(flow.ts, severity) else { return };
        findings.tell(Detection {
            title: format!(
                "{} keeps talking to {} port {} in a session that nobody vouches for",
                key.src, key.dst, key.dst_port
            ),
            explanation: format!(
                "It turned to an address without a name{}. Remote control by malware looks like \
                 this, and so do some appliances and VPNs; find out which program it is.",
                match bare.certificate {
                    Some(_) => " and got a certificate of no public authority",
                    None => " by QUIC, as no browser does",
                }
            ),
            severity,
            source: Some(key.src),
            target: Some(key.dst),
            target_port: Some(key.dst_port),
            proto: Some(key.proto),
            first_seen: record.start,
            count,
            evidence: vec![
                (
                    "certificate".into(),
                    Evidence::Text(bare.certificate.clone().unwrap_or_else(|| "hidden".into())),
                ),
                ("seconds".into(), Evidence::Count(lasted.as_secs())),
                ("seconds in which it talked".into(), Evidence::Count(bare.talks)),
                ("bytes sent".into(), Evidence::Count(sent)),
                ("bytes received".into(), Evidence::Count(record.to_client.payload_bytes)),
            ],
            flows: vec![record.id],
            source_proved: true,
            ..ABOUT.detection("bare_tls", flow.ts)
        });
    }

    /// A session that goes on: what its source says behind a silence is a call.
    fn session(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        let is_unknown = record.app.is_none_or(|app| app.proto == AppProto::FAILED);
        if !is_unknown || record.key.proto != IpProto::TCP || record.state == FlowState::New {
            return;
        }
        let Some(pair) = self.pair(&record.key) else { return };
        let sent = record.to_server.payload_bytes;
        let session = self.sessions.entry(record.id, Session::default);
        let more = sent.saturating_sub(session.bytes);
        if more == 0 {
            return;
        }
        let silent = record.end.since(session.last).as_secs_f64();
        session.bytes = sent;
        session.last = record.end;
        session.calls.established = true;
        if silent >= self.config.min_interval {
            session.calls.add(record.end, more, record.id);
        } else if let Some(call) = session.calls.last.back_mut() {
            call.bytes = call.bytes.saturating_add(more);
        }
        let detection = detection(&self.config, "heartbeat", pair, &mut session.calls, flow.ts);
        if let Some(detection) = detection {
            findings.tell(detection);
        }
    }

    fn request(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let protocol = tx.transaction.protocol().0;
        let buffer = match protocol {
            "http" => "http.host",
            "tls" => "tls.sni",
            "quic" => "quic.sni",
            _ => return,
        };
        let Some(pair) = self.pair(&tx.flow.key) else { return };
        let name = name_of(tx, Direction::ToServer, buffer).to_ascii_lowercase();
        if name.is_empty() && protocol != "http" {
            self.handshake(tx);
        }
        let quiet = self.config.quiet_names.iter().any(|known| is_below(&name, known));
        let calls = self.pairs.entry(pair, Calls::default);
        if !name.is_empty() {
            calls.quiet |= quiet;
            calls.name = name;
        }
        if protocol == "http" {
            if !std::mem::replace(&mut calls.by_request, true) {
                calls.last.clear();
                calls.total = 0;
            }
            calls.established = true;
            let mut bytes = 0;
            tx.transaction.buffer_towards(Direction::ToServer, "http.uri.raw", &mut |uri| {
                bytes = uri.len() as u64;
            });
            calls.add(tx.ts, bytes, tx.flow.id);
            self.judge(pair, tx.ts, findings);
        }
    }

    fn judge(&mut self, pair: Pair, now: Timestamp, findings: &mut Findings) {
        let Some(calls) = self.pairs.get_mut(&pair) else { return };
        if let Some(detection) = detection(&self.config, "calls", pair, calls, now) {
            findings.tell(detection);
        }
    }
}

/// Whether the median interval is surely too short, which costs nothing to find out: half of all
/// intervals are at most twice the mean.
fn is_too_fast(config: &Config, calls: &Calls) -> bool {
    let (Some(first), Some(last)) = (calls.last.front(), calls.last.back()) else { return true };
    let intervals = calls.last.len().saturating_sub(1).max(1) as f64;
    2.0 * last.at.since(first.at).as_secs_f64() / intervals < config.min_interval
}

/// What is told of calls, if they are regular and it is time to tell it.
fn detection(
    config: &Config,
    kind: &str,
    pair: Pair,
    calls: &mut Calls,
    now: Timestamp,
) -> Option<Detection> {
    if calls.quiet || calls.last.len() < config.samples || is_too_fast(config, calls) {
        return None;
    }
    let score = score(&calls.last)?;
    if score.all < config.score || score.interval < config.min_interval {
        return None;
    }
    let severity = if score.all >= 0.97 && calls.total >= 200 && calls.name.is_empty() {
        Severity::High
    } else if score.all >= 0.95 && calls.total >= 40 {
        Severity::Medium
    } else {
        Severity::Low
    };
    let count = calls.pace.due(now, severity)?;
    let target = match &calls.name[..] {
        "" => pair.target.to_string(),
        name => format!("{name} ({})", pair.target),
    };
    let mut evidence = vec![
        ("calls".into(), Evidence::Count(calls.total)),
        ("score".into(), Evidence::Number(rounded(score.all))),
        ("score of intervals".into(), Evidence::Number(rounded(score.intervals))),
        ("score of sizes".into(), Evidence::Number(rounded(score.sizes))),
        ("median interval in seconds".into(), Evidence::Number(rounded(score.interval))),
        ("median deviation in seconds".into(), Evidence::Number(rounded(score.jitter))),
        ("median bytes sent".into(), Evidence::Number(rounded(score.bytes))),
        ("intervals".into(), Evidence::List(histogram(&calls.last))),
    ];
    if !calls.name.is_empty() {
        evidence.push(("name".into(), Evidence::Text(calls.name.clone())));
    }
    Some(Detection {
        title: format!("{} calls {target} every {:.0} s", pair.source, score.interval),
        explanation: "Such calls come from programs, not from people: updates, monitoring, or \
                          malware that waits for commands. Find out which program it is; if nobody \
                          knows, isolate the host."
            .into(),
        severity,
        source: Some(pair.source),
        target: Some(pair.target),
        target_port: Some(pair.port),
        proto: Some(pair.proto),
        first_seen: calls.last.front().map_or(now, |call| call.at),
        count,
        evidence,
        flows: calls.flows.clone(),
        source_proved: calls.established,
        ..ABOUT.detection(kind, now)
    })
}

impl Detector for Beacons {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            Event::Transaction(tx) => self.request(tx, findings),
            Event::Flow(flow) => match flow.phase {
                FlowPhase::Start => {}
                FlowPhase::Update if flow.record.state == FlowState::Closed => {
                    self.flow(flow, findings);
                }
                FlowPhase::Update => {
                    self.session(flow, findings);
                    self.bare(flow, findings);
                }
                FlowPhase::End(_) => {
                    self.sessions.remove(&flow.record.id);
                    self.bare.remove(&flow.record.id);
                    self.flow(flow, findings);
                }
            },
            _ => {}
        }
    }

    fn keep(&self, learned: &mut Learned) {
        let (pairs, most, least) = OUTLIVE;
        let pairs = self.pairs.iter().filter(|(_, calls)| calls.last.len() >= least).take(pairs);
        learned.calls.extend(pairs.map(|(pair, calls)| {
            PastCalls {
                source: pair.source,
                target: pair.target,
                port: pair.port,
                proto: pair.proto.0,
                name: calls.name.clone(),
                is_quiet: calls.quiet,
                by_request: calls.by_request,
                is_established: calls.established,
                total: calls.total,
                last: calls
                    .last
                    .iter()
                    .skip(calls.last.len().saturating_sub(most))
                    .map(|call| (call.at.micros(), call.bytes))
                    .collect(),
            }
        }));
    }

    fn recall(&mut self, learned: &Learned) {
        let (pairs, most, _) = OUTLIVE;
        for past in learned.calls.iter().take(pairs).rev() {
            let PastCalls { source, target, port, .. } = *past;
            let pair = Pair { source, target, port, proto: past.proto() };
            self.pairs.entry(pair, || Calls {
                last: past.last(most).into_iter().map(|(at, bytes)| Call { at, bytes }).collect(),
                total: past.total,
                name: past.name.chars().take(NAME_CAP).collect(),
                quiet: past.is_quiet,
                by_request: past.by_request,
                established: past.is_established,
                ..Calls::default()
            });
        }
    }

    fn forgotten(&self) -> u64 {
        self.pairs.evicted() + self.sessions.evicted() + self.bare.evicted() + self.over.evicted()
    }
}

impl Calls {
    /// One more call; flows are told in the order in which they end, not in which they began.
    fn add(&mut self, at: Timestamp, bytes: u64, flow: FlowId) {
        self.total += 1;
        self.pace.add(1);
        keep_last(&mut self.flows, flow, FLOWS);
        let place = self.last.iter().rposition(|call| call.at <= at).map_or(0, |place| place + 1);
        self.last.insert(place, Call { at, bytes });
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }
}

/// The first value of a buffer, so much of it as is kept.
fn name_of(tx: &TransactionEvent, direction: Direction, buffer: &str) -> String {
    let mut name = String::new();
    tx.transaction.buffer_towards(direction, buffer, &mut |bytes| {
        if name.is_empty() {
            name = String::from_utf8_lossy(bytes.get(..NAME_CAP).unwrap_or(bytes)).into_owned();
        }
    });
    name
}

/// How regular calls are; `None` for too few.
fn score(calls: &VecDeque<Call>) -> Option<Score> {
    let mut intervals = intervals(calls);
    let mut sizes: Vec<f64> = calls.iter().map(|call| call.bytes as f64).collect();
    let (interval, jitter, by_time) = regularity(&mut intervals, 0.0)?;
    let (bytes, _, by_size) = regularity(&mut sizes, SAME_SIZE)?;
    // A handful of calls at once and a long silence are regular by the median, not to a person.
    let span = calls.back()?.at.since(calls.front()?.at).as_secs_f64();
    let expected = interval * intervals.len() as f64;
    let steady = if span > 0.0 { (expected / span).min(1.0) } else { 0.0 };
    let by_time = by_time * steady.sqrt();
    let all = (2.0 * by_time + by_size) / 3.0;
    Some(Score { all, intervals: by_time, sizes: by_size, interval, jitter, bytes })
}

fn intervals(calls: &VecDeque<Call>) -> Vec<f64> {
    calls.iter().zip(calls.iter().skip(1)).map(|(a, b)| b.at.since(a.at).as_secs_f64()).collect()
}

/// Median, median absolute deviation and how regular values are, 0 to 1: half by the deviation as a
/// share of the median, half by the skewness of the quartiles (Bowley), as RITA scores beacons.
/// A deviation up to `same` is none.
fn regularity(values: &mut [f64], same: f64) -> Option<(f64, f64, f64)> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (values.len().checked_sub(1)? as f64 * share).round() as usize;
        values.get(place).copied()
    };
    let (q1, q2, q3) = (at(0.25)?, at(0.5)?, at(0.75)?);
    let mut off: Vec<f64> = values.iter().map(|value| (value - q2).abs()).collect();
    off.sort_by(f64::total_cmp);
    let deviation = off.get(off.len() / 2).copied()?;
    let spread = q3 - q1;
    let skew = if spread > same.max(q2 * 0.02) { (q1 + q3 - 2.0 * q2) / spread } else { 0.0 };
    let by_deviation = if deviation <= same {
        1.0
    } else if q2 > 0.0 {
        (1.0 - deviation / q2).max(0.0)
    } else {
        0.0
    };
    Some((q2, deviation, f64::midpoint(by_deviation, 1.0 - skew.abs())))
}

/// Intervals in bars of equal width, the fullest first: `58-60 s: 14`.
fn histogram(calls: &VecDeque<Call>) -> Vec<String> {
    let intervals = intervals(calls);
    let least = intervals.iter().copied().fold(f64::INFINITY, f64::min);
    let most = intervals.iter().copied().fold(0.0, f64::max);
    let width = ((most - least) / BARS as f64).max(0.1);
    let mut bars = [0u32; BARS];
    for interval in intervals {
        let bar = ((interval - least) / width) as usize;
        if let Some(bar) = bars.get_mut(bar.min(BARS - 1)) {
            *bar += 1;
        }
    }
    let shown = bars.iter().enumerate().filter(|(_, count)| **count > 0);
    shown
        .map(|(i, count)| {
            let from = least + width * i as f64;
            format!("{from:.1}-{:.1} s: {count}", from + width)
        })
        .collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
