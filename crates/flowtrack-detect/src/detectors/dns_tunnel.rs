//! Data hidden in DNS, and names that malware makes up.

use crate::words::{is_below, keep_last, looks_made_up};
use crate::{About, Detector, DistinctWindow, Findings, Kind, Networks, Pace, Recent, Window};
use flowtrack_event::{
    Detection, Direction, Event, Evidence, FlowId, Severity, Technique, Timestamp, TransactionEvent,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What it is.
pub const ABOUT: About = About {
    name: "dns_tunnel",
    summary: "data is carried in DNS names, or names are asked for that a program made up",
    text: "For each client and registrable domain it counts, over five minutes, distinct names, how \
           long the part below the domain is, its entropy and the types that are asked for: a \
           tunnel has many long names of many different letters, or asks for NULL and TXT all the \
           time. For each client it counts distinct registrable domains that do not exist and look \
           made up, which is how malware searches its master (DGA). Reverse lookups, block lists, \
           virus scanners and content networks are left alone. \
           Severity: medium, from five times a threshold on high; domains that do not exist but \
           look like words, low.",
    category: "command and control",
    technique: Some(Technique { id: "T1071.004", name: "Application Layer Protocol: DNS" }),
    kinds: &[
        Kind { name: "tunnel", sid: 220, summary: "many long names below one domain" },
        Kind {
            name: "payload",
            sid: 221,
            summary: "one or few names that carry a command or stolen data",
        },
        Kind { name: "dga", sid: 222, summary: "many made-up domains that do not exist" },
        Kind { name: "nxdomain", sid: 223, summary: "very many domains that do not exist" },
    ],
};

const DGA: Technique =
    Technique { id: "T1568.002", name: "Dynamic Resolution: Domain Generation Algorithms" };
const EXFILTRATION: Technique =
    Technique { id: "T1048.003", name: "Exfiltration Over Unencrypted Non-C2 Protocol" };

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look at what is asked of name servers.
    pub enabled: bool,
    /// Distinct names below one domain that one client asks for in five minutes.
    pub names: u64,
    /// Mean letters of a name in front of its registrable domain.
    pub mean_length: f64,
    /// Mean entropy of these letters, in bits each.
    pub mean_entropy: f64,
    /// Made-up domains that do not exist, of one client in five minutes.
    pub made_up: u64,
    /// Domains of any kind that do not exist, of one client in five minutes.
    pub missing: u64,
    /// Domains below which long names are usual, with all below them.
    pub quiet_domains: Vec<String>,
    /// Clients with their domains that are remembered.
    pub max_domains: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            names: 30,
            mean_length: 24.0,
            mean_entropy: 3.2,
            made_up: 20,
            missing: 150,
            quiet_domains: QUIET.iter().map(ToString::to_string).collect(),
            max_domains: 16_384,
        }
    }
}

/// Reverse lookups, block lists, virus scanners, content networks and clouds.
const QUIET: &[&str] = &[
    "1e100.net",
    "abuseat.org",
    "akadns.net",
    "akamai.net",
    "akamaiedge.net",
    "amazonaws.com",
    "apple.com",
    "arpa",
    "avast.com",
    "avcdn.net",
    "avqs.mcafee.com",
    "azure.com",
    "azureedge.net",
    "barracudabrts.com",
    "barracudacentral.org",
    "bitdefender.net",
    "cloudapp.net",
    "cloudfront.net",
    "dnswl.org",
    "e5.sk",
    "edgekey.net",
    "edgesuite.net",
    "eset.com",
    "fastly.net",
    "gcdn.co",
    "googleusercontent.com",
    "googlevideo.com",
    "invaluement.com",
    "kaspersky-labs.com",
    "kaspersky.com",
    "local",
    "mailspike.net",
    "mcafee.com",
    "mdnsproxy.com",
    "microsoft.com",
    "msedge.net",
    "office.com",
    "rbl.jp",
    "senderbase.org",
    "senderscore.com",
    "sophosxl.com",
    "sophosxl.net",
    "sorbs.net",
    "spamcop.net",
    "spamhaus.net",
    "spamhaus.org",
    "support-intelligence.net",
    "surbl.org",
    "surriel.com",
    "symantec.com",
    "trafficmanager.net",
    "trendmicro.com",
    "uribl.com",
    "windows.net",
];

/// Second labels below which anybody may register, as in `example.co.uk`.
const SHARED: &[&str] =
    &["ac", "co", "com", "edu", "gob", "gov", "gouv", "go", "mil", "ne", "net", "or", "org"];

const TXT: u64 = 16;
const NULL: u64 = 10;
/// What iodine asks for where NULL does not pass.
const PRIVATE: u64 = 65_399;
const NXDOMAIN: u64 = 3;

/// Seconds that are looked at.
const SPAN: u32 = 300;
/// Names and flows kept as evidence.
const KEPT: usize = 8;
/// How much more than a threshold is worse.
const WORSE: u64 = 5;
/// Length from which on a single name carries something, if all of it looks random.
const LONG_NAME: usize = 140;
/// Names that carry something, of one client and domain in five minutes.
const LONG_NAMES: u64 = 3;

/// DNS as a tunnel.
pub struct DnsTunnel {
    config: Config,
    domains: Recent<(IpAddr, String), Domain>,
    clients: Recent<IpAddr, Client>,
}

/// What one client asks below one domain.
struct Domain {
    names: DistinctWindow,
    queries: Window,
    /// Letters in front of the domain.
    letters: Window,
    /// Their entropy, in hundredths of a bit, added up.
    entropy: Window,
    odd_types: Window,
    carriers: Window,
    first: Timestamp,
    some: Vec<String>,
    flows: Vec<FlowId>,
    pace: Pace,
}

/// What one client asks for in vain.
struct Client {
    missing: DistinctWindow,
    made_up: DistinctWindow,
    first: Timestamp,
    some: Vec<String>,
    flows: Vec<FlowId>,
    paces: [Pace; 2],
}

impl DnsTunnel {
    /// Nothing seen.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        Self {
            config: config.clone(),
            domains: Recent::new(config.max_domains),
            clients: Recent::new(config.max_domains / 4),
        }
    }

    fn message(&mut self, tx: &TransactionEvent, findings: &mut Findings) {
        let transaction = &tx.transaction;
        // What flows carry towards a client are answers.
        let is_request = tx.direction == Direction::ToServer;
        let mut name = None;
        let buffer = if is_request { "dns.query" } else { "dns.queries.rrname" };
        transaction.buffer_towards(tx.direction, buffer, &mut |bytes| {
            if name.is_none() {
                name = std::str::from_utf8(bytes)
                    .ok()
                    .map(|name| name.trim_end_matches('.').to_ascii_lowercase());
            }
        });
        let Some(name) = name else { return };
        let Some((below, domain)) = split(&name) else {
            if is_request {
                self.no_domain(tx, &name, findings);
            }
            return;
        };
        if self.config.quiet_domains.iter().any(|known| is_below(&name, known)) {
            return;
        }
        if is_request {
            let mut kind = 0;
            transaction.number(Direction::ToServer, "dns.rrtype", &mut |number| kind = number);
            self.asked(tx, below, domain, kind, findings);
        } else {
            let mut missing = false;
            transaction.number(Direction::ToClient, "dns.rcode", &mut |code| {
                missing = code == NXDOMAIN;
            });
            if missing {
                self.missed(tx, domain, findings);
            }
        }
    }

    fn asked(
        &mut self,
        tx: &TransactionEvent,
        below: &str,
        domain: &str,
        kind: u64,
        findings: &mut Findings,
    ) {
        let now = tx.ts;
        let client = tx.flow.key.src;
        let letters = below.bytes().filter(|&b| b != b'.').count() as u64;
        let entropy = entropy(below.bytes().filter(|&b| b != b'.'));
        let is_odd = matches!(kind, TXT | NULL | PRIVATE);
        if letters == 0 {
            return;
        }
        let seen = self.domains.entry((client, domain.to_owned()), || Domain::new(now));
        seen.names.insert(now, below);
        seen.queries.add(now, 1);
        seen.letters.add(now, letters);
        seen.entropy.add(now, (entropy * 100.0) as u64);
        seen.odd_types.add(now, u64::from(is_odd));
        let carries = below.len() >= LONG_NAME && entropy >= self.config.mean_entropy;
        seen.carriers.add(now, u64::from(carries));
        seen.pace.add(1);
        keep_last(&mut seen.some, shortened(&format!("{below}.{domain}")), KEPT);
        keep_last(&mut seen.flows, tx.flow.id, KEPT);
        let queries = seen.queries.sum(now).max(1);
        let (length, bits) = (
            seen.letters.sum(now) as f64 / queries as f64,
            seen.entropy.sum(now) as f64 / 100.0 / queries as f64,
        );
        let odd = seen.odd_types.sum(now);
        let carriers = seen.carriers.sum(now);
        let is_long = length >= self.config.mean_length && bits >= self.config.mean_entropy;
        let mostly_odd = odd >= self.config.names && odd * 2 >= queries;
        if queries < self.config.names && carriers < LONG_NAMES {
            return;
        }
        let names = seen.names.count(now);
        let is_tunnel = names >= self.config.names && (is_long || mostly_odd && length >= 8.0);
        if !is_tunnel && carriers < LONG_NAMES {
            return;
        }
        let is_worse =
            names >= self.config.names * WORSE || is_tunnel && seen.letters.sum(now) >= 20_000;
        let severity = if is_tunnel && is_worse { Severity::High } else { Severity::Medium };
        let Some(count) = seen.pace.due(now, severity) else { return };
        let kind = if is_tunnel { "tunnel" } else { "payload" };
        findings.tell(Detection {
            title: if is_tunnel {
                format!("{client} carries data in names below {domain}")
            } else {
                format!("{client} asks for very long names below {domain}")
            },
            explanation: format!(
                "Such names are asked to pass bytes through a name server, not to find a host. Find \
                 out which program does it, and have the resolver refuse {domain}."
            ),
            severity,
            technique: if is_tunnel { ABOUT.technique } else { Some(EXFILTRATION) },
            source: Some(client),
            target: Some(tx.flow.key.dst),
            target_port: Some(tx.flow.key.dst_port),
            proto: Some(tx.flow.key.proto),
            first_seen: seen.first,
            count,
            evidence: vec![
                ("domain".into(), Evidence::Text(shortened(domain))),
                ("names in five minutes".into(), Evidence::Count(names)),
                ("queries in five minutes".into(), Evidence::Count(queries)),
                ("mean length".into(), Evidence::Number((length * 10.0).round() / 10.0)),
                ("mean entropy in bits".into(), Evidence::Number((bits * 100.0).round() / 100.0)),
                ("queries for TXT and NULL".into(), Evidence::Count(odd)),
                ("some names".into(), Evidence::List(seen.some.clone())),
            ],
            flows: seen.flows.clone(),
            ..ABOUT.detection(kind, now)
        });
    }

    /// A name of one label: text is asked of it only by who speaks to a server of their own.
    fn no_domain(&mut self, tx: &TransactionEvent, name: &str, findings: &mut Findings) {
        let now = tx.ts;
        let client = tx.flow.key.src;
        let mut kind = 0;
        tx.transaction.number(Direction::ToServer, "dns.rrtype", &mut |number| kind = number);
        // Top-level domains have texts of their own, but their names are words or short.
        if !matches!(kind, TXT | NULL | PRIVATE) || name.len() < 5 || !has_digits(name) {
            return;
        }
        let seen = self.domains.entry((client, String::new()), || Domain::new(now));
        seen.odd_types.add(now, 1);
        seen.pace.add(1);
        keep_last(&mut seen.some, shortened(name), KEPT);
        let queries = seen.odd_types.sum(now);
        if queries < 2 {
            return;
        }
        let Some(count) = seen.pace.due(now, Severity::Medium) else { return };
        findings.tell(Detection {
            title: format!(
                "{client} asks {} for texts of names that are no domains",
                tx.flow.key.dst
            ),
            explanation: "No name server knows such names; a server made for it answers with \
                          commands. Find out which program asks."
                .into(),
            severity: Severity::Medium,
            source: Some(client),
            target: Some(tx.flow.key.dst),
            target_port: Some(tx.flow.key.dst_port),
            proto: Some(tx.flow.key.proto),
            first_seen: seen.first,
            count,
            evidence: vec![
                ("queries in five minutes".into(), Evidence::Count(queries)),
                ("some names".into(), Evidence::List(seen.some.clone())),
            ],
            flows: vec![tx.flow.id],
            ..ABOUT.detection("payload", now)
        });
    }

    fn missed(&mut self, tx: &TransactionEvent, domain: &str, findings: &mut Findings) {
        let now = tx.ts;
        let address = tx.flow.key.src;
        let label = domain.split('.').next().unwrap_or_default();
        let looks_made_up = looks_made_up(label);
        let client = self.clients.entry(address, || Client {
            missing: DistinctWindow::new(SPAN),
            made_up: DistinctWindow::new(SPAN),
            first: now,
            some: Vec::new(),
            flows: Vec::new(),
            paces: Default::default(),
        });
        client.missing.insert(now, domain);
        let [made_up_pace, missing_pace] = &mut client.paces;
        missing_pace.add(1);
        if looks_made_up {
            client.made_up.insert(now, domain);
            made_up_pace.add(1);
            keep_last(&mut client.some, shortened(domain), KEPT);
            keep_last(&mut client.flows, tx.flow.id, KEPT);
        }
        let (made_up, missing) = (client.made_up.count(now), client.missing.count(now));
        let is_dga = made_up >= self.config.made_up && made_up * 2 >= missing;
        if !is_dga && missing < self.config.missing {
            return;
        }
        let (threshold, pace) = if is_dga {
            (self.config.made_up, made_up_pace)
        } else {
            (self.config.missing, missing_pace)
        };
        let severity = match (is_dga, missing >= threshold * WORSE) {
            (true, true) => Severity::High,
            (true, false) => Severity::Medium,
            (false, _) => Severity::Low,
        };
        let Some(count) = pace.due(now, severity) else { return };
        let kind = if is_dga { "dga" } else { "nxdomain" };
        findings.tell(Detection {
            title: if is_dga {
                format!("{address} asks for {made_up} made-up domains that do not exist")
            } else {
                format!("{address} asks for {missing} domains that do not exist")
            },
            explanation: if is_dga {
                "Malware tries such names until its master has registered one. Look for it on this \
                 host, and at which of the names were answered."
            } else {
                "A wrong search list, a scanner or a crawler does this, and so does malware. Find \
                 out which program asks."
            }
            .into(),
            severity,
            technique: is_dga.then_some(DGA),
            source: Some(address),
            proto: Some(tx.flow.key.proto),
            first_seen: client.first,
            count,
            evidence: vec![
                ("domains in five minutes".into(), Evidence::Count(missing)),
                ("made-up ones".into(), Evidence::Count(made_up)),
                ("some of them".into(), Evidence::List(client.some.clone())),
            ],
            flows: client.flows.clone(),
            ..ABOUT.detection(kind, now)
        });
    }
}

impl Detector for DnsTunnel {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        if let Event::Transaction(tx) = event
            && matches!(tx.transaction.protocol().0, "dns" | "doh2")
        {
            self.message(tx, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.domains.evicted() + self.clients.evicted()
    }
}

impl Domain {
    fn new(now: Timestamp) -> Self {
        Self {
            names: DistinctWindow::new(SPAN),
            queries: Window::new(SPAN),
            letters: Window::new(SPAN),
            entropy: Window::new(SPAN),
            odd_types: Window::new(SPAN),
            carriers: Window::new(SPAN),
            first: now,
            some: Vec::new(),
            flows: Vec::new(),
            pace: Pace::default(),
        }
    }
}

/// A name as what stands in front of its registrable domain, and that domain; `None` for a name of
/// one label. Which domains anybody may register below is known by rule of thumb: it is enough to
/// keep the domains of different owners apart.
fn split(name: &str) -> Option<(&str, &str)> {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (last, second) = (dots.next()?, dots.next());
    let top = name.get(last + 1..)?;
    let label = name.get(second.map_or(0, |at| at + 1)..last)?;
    let start = if top.len() == 2 && SHARED.contains(&label) {
        match (second, dots.next()) {
            (Some(_), Some(third)) => third + 1,
            (Some(_), None) | (None, _) => 0,
        }
    } else {
        second.map_or(0, |at| at + 1)
    };
    let domain = name.get(start..)?;
    Some((name.get(..start.saturating_sub(1)).unwrap_or_default(), domain))
}

/// Bits that each letter carries (Shannon).
fn entropy(letters: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0u32; 256];
    let mut all = 0u32;
    for letter in letters {
        if let Some(count) = counts.get_mut(usize::from(letter)) {
            *count += 1;
            all += 1;
        }
    }
    let all = f64::from(all);
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = f64::from(count) / all;
            -share * share.log2()
        })
        .sum()
}

fn has_digits(name: &str) -> bool {
    name.bytes().any(|b| b.is_ascii_digit()) && !name.starts_with("xn--")
}

fn shortened(name: &str) -> String {
    const CAP: usize = 120;
    match name.char_indices().nth(CAP) {
        Some((at, _)) => format!("{}...", name.get(..at).unwrap_or_default()),
        None => name.to_owned(),
    }
}
