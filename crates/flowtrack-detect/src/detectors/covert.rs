//! Programs that pretend to be something else, and carriers that hide what they carry.

use crate::words::{keep_last, looks_made_up};
use crate::{About, Detector, Findings, Kind, Networks, Once, Pace, Recent};
use flowtrack_event::{
    Detection, Direction, Event, Evidence, FlowEvent, FlowId, FlowKey, FlowPhase, IpProto,
    Severity, Technique, Timestamp, TransactionEvent,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What it is.
pub const ABOUT: About = About {
    name: "covert",
    summary: "a program pretends to be a browser, or hides what it says in something harmless",
    text: "Looks at single requests of HTTP from one's own network to foreign hosts. A browser always \
           tells the languages and encodings that it takes, so who calls itself one, tells neither, \
           and sends something, is none: low, and medium where it asks an address instead of a name; \
           who only fetches is told of where it asks an address. A name that \
           looks drawn, and data that is sent to an address without a name, are low. Echoes of ICMP \
           come back as long as they were sent; those that do not, carry something else: medium, \
           and high from a megabyte on. Requests are told once a day for each source, target and kind.",
    category: "command and control",
    technique: Some(Technique {
        id: "T1071.001",
        name: "Application Layer Protocol: Web Protocols",
    }),
    kinds: &[
        Kind {
            name: "false_browser",
            sid: 270,
            summary: "a program calls itself a browser and does not speak like one",
        },
        Kind {
            name: "made_up_agent",
            sid: 271,
            summary: "a program calls itself by letters that look drawn",
        },
        Kind {
            name: "nameless_post",
            sid: 272,
            summary: "data is sent to a web server that has an address and no name",
        },
        Kind {
            name: "icmp_tunnel",
            sid: 273,
            summary: "echoes come back other than they were sent",
        },
    ],
};

const MASQUERADING: Technique = Technique { id: "T1036", name: "Masquerading" };
const NON_APPLICATION: Technique =
    Technique { id: "T1095", name: "Non-Application Layer Protocol" };

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for what pretends and hides.
    pub enabled: bool,
    /// Echoes each way before their lengths are judged.
    pub echoes: u64,
    /// Sources with their targets that are remembered.
    pub max_pairs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, echoes: 20, max_pairs: 16_384 }
    }
}

/// What pretends and hides.
pub struct Covert {
    config: Config,
    networks: Arc<Networks>,
    told: Once<(u32, IpAddr, IpAddr)>,
    echoes: Recent<(IpAddr, IpAddr), Echoes>,
    /// Packets and bytes of flows that were counted already.
    counted: Recent<FlowId, [u64; 4]>,
}

/// Echoes between two hosts, over all their flows.
#[derive(Default)]
struct Echoes {
    /// Packets out and back, bytes out and back.
    all: [u64; 4],
    first: Timestamp,
    flows: Vec<FlowId>,
    pace: Pace,
}

/// How long the same thing is not told again.
const DAY: Duration = Duration::from_hours(24);
/// Flows kept as evidence.
const FLOWS: usize = 8;
/// Bytes of echoes from which on they carry much.
const MUCH: u64 = 1_000_000;
/// Letters of a name from which on it can look drawn.
const DRAWN: usize = 16;

impl Covert {
    /// Nothing seen.
    pub fn new(config: &Config, networks: &Arc<Networks>) -> Self {
        Self {
            config: config.clone(),
            networks: Arc::clone(networks),
            told: Once::new(config.max_pairs, DAY),
            echoes: Recent::new(config.max_pairs / 4),
            counted: Recent::new(config.max_pairs),
        }
    }

    fn is_outward(&self, key: &FlowKey) -> bool {
        !self.networks.is_home(key.dst) && Networks::is_host(key.dst) && Networks::is_host(key.src)
    }

    fn request(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let key = &tx.flow.key;
        if tx.transaction.protocol().0 != "http" || !self.is_outward(key) {
            return;
        }
        let has = |buffer: &str| text(tx, buffer).is_some_and(|value| !value.is_empty());
        let agent = text(tx, "http.user_agent").unwrap_or_default();
        let host = text(tx, "http.host").unwrap_or_default();
        let sends = text(tx, "http.method").is_some_and(|method| method == "POST");
        let is_nameless = host.parse::<IpAddr>().is_ok();
        let is_false = is_browser(&agent) && !has("http.accept_lang") && !has("http.accept_enc");
        let (kind, title, severity) = if is_false && (sends || is_nameless) {
            let severity = if sends && is_nameless { Severity::Medium } else { Severity::Low };
            ("false_browser", format!("{} pretends to be a browser", key.src), severity)
        } else if is_drawn(&agent) {
            ("made_up_agent", format!("{} calls itself {agent}", key.src), Severity::Low)
        } else if sends && is_nameless && !has("http.referer") && !has("http.cookie") {
            ("nameless_post", format!("{} sends data to a nameless server", key.src), Severity::Low)
        } else {
            return;
        };
        let detection = ABOUT.detection(kind, tx.ts);
        if !self.told.is_due((detection.sid, key.src, key.dst), tx.ts) {
            return;
        }
        let to = if host.is_empty() || is_nameless { key.dst.to_string() } else { host.clone() };
        findings.tell(Detection {
            title: format!("{title} towards {to}"),
            explanation: "A program that hides among browsers, or that turns to an address nobody \
                          typed, may bring out what it stole or fetch what it runs next. Find out \
                          which program on this host it is; if nobody knows, isolate the host."
                .into(),
            severity,
            technique: if kind == "nameless_post" { ABOUT.technique } else { Some(MASQUERADING) },
            source: Some(key.src),
            target: Some(key.dst),
            target_port: Some(key.dst_port),
            proto: Some(key.proto),
            evidence: vec![
                ("calls itself".into(), Evidence::Text(agent)),
                ("host".into(), Evidence::Text(host)),
                ("asks for".into(), Evidence::Text(text(tx, "http.uri.raw").unwrap_or_default())),
                ("sends data".into(), Evidence::Text(if sends { "yes" } else { "no" }.into())),
            ],
            flows: vec![tx.flow.id],
            source_proved: true,
            ..detection
        });
    }

    fn flow(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        /// Echo requests of ICMP and ICMPv6.
        const ECHO: [(IpProto, u8); 2] = [(IpProto::ICMP, 8), (IpProto::ICMPV6, 128)];
        let record = &flow.record;
        let key = record.key;
        let is_echo =
            ECHO.iter().any(|&(proto, kind)| key.proto == proto && key.icmp_type() == kind);
        if !is_echo || flow.phase == FlowPhase::Start {
            return;
        }
        let (out, back) = (&record.to_server, &record.to_client);
        let counts = [out.packets, back.packets, out.payload_bytes, back.payload_bytes];
        let before = match flow.phase {
            FlowPhase::End(_) => self.counted.remove(&record.id).unwrap_or_default(),
            FlowPhase::Start | FlowPhase::Update => {
                std::mem::replace(self.counted.entry(record.id, Default::default), counts)
            }
        };
        let echoes = self
            .echoes
            .entry((key.src, key.dst), || Echoes { first: record.start, ..Echoes::default() });
        keep_last(&mut echoes.flows, record.id, FLOWS);
        for ((sum, now), before) in echoes.all.iter_mut().zip(counts).zip(before) {
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        let [sent, returned, bytes_out, bytes_back] = echoes.all;
        // What was lost, such as echoes too long for the way, says nothing.
        let is_answered = sent.abs_diff(returned) * 10 <= sent;
        if sent.min(returned) < self.config.echoes || !is_answered {
            return;
        }
        let (each_out, each_back) =
            (bytes_out as f64 / sent as f64, bytes_back as f64 / returned as f64);
        // A tenth, for what is still on its way.
        if (each_out - each_back).abs() <= each_out.max(each_back) * 0.1 + 4.0 {
            return;
        }
        let severity =
            if bytes_out + bytes_back >= MUCH { Severity::High } else { Severity::Medium };
        echoes.pace.add(1);
        let Some(count) = echoes.pace.due(flow.ts, severity) else { return };
        findings.tell(Detection {
            title: format!("{} and {} carry data in echoes", key.src, key.dst),
            explanation: "A ping comes back as it was sent. These do not, so both sides speak through \
                          them, past the firewall. Find out which program it is, and let only echoes of \
                          usual length pass."
                .into(),
            severity,
            technique: Some(NON_APPLICATION),
            source: Some(key.src),
            target: Some(key.dst),
            proto: Some(key.proto),
            first_seen: echoes.first,
            count,
            evidence: vec![
                ("echoes sent".into(), Evidence::Count(sent)),
                ("echoes returned".into(), Evidence::Count(returned)),
                ("bytes of each sent".into(), Evidence::Number(each_out.round())),
                ("bytes of each returned".into(), Evidence::Number(each_back.round())),
            ],
            flows: echoes.flows.clone(),
            ..ABOUT.detection("icmp_tunnel", flow.ts)
        });
    }
}

impl Detector for Covert {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            Event::Transaction(tx) => self.request(tx, findings),
            Event::Flow(flow) => self.flow(flow, findings),
            _ => {}
        }
    }

    fn forgotten(&self) -> u64 {
        self.told.evicted() + self.echoes.evicted() + self.counted.evicted()
    }
}

/// The first value of a buffer of the request, at most 200 characters of it.
fn text(tx: &TransactionEvent, name: &str) -> Option<String> {
    const CAP: usize = 200;
    let mut found = None;
    tx.transaction.buffer_towards(Direction::ToServer, name, &mut |bytes| {
        found.get_or_insert_with(|| String::from_utf8_lossy(bytes).chars().take(CAP).collect());
    });
    found
}

/// Whether this is what browsers of desktops call themselves; on telephones many programs do.
fn is_browser(agent: &str) -> bool {
    agent.starts_with("Mozilla/")
        && ["Windows NT", "Macintosh", "X11;"].iter().any(|system| agent.contains(system))
        && ["Firefox/", "Chrome/", "Safari/", "MSIE ", "Trident/"].iter().any(|b| agent.contains(b))
}

/// Whether a name looks drawn: one long word with capitals in the middle of it that make no words.
fn is_drawn(agent: &str) -> bool {
    let letters = agent.as_bytes();
    let is_word = letters.len() >= DRAWN && letters.iter().all(u8::is_ascii_alphanumeric);
    let capitals = letters.iter().skip(1).filter(|b| b.is_ascii_uppercase()).count();
    is_word && capitals * 5 >= letters.len() && looks_made_up(&agent.to_ascii_lowercase())
}
