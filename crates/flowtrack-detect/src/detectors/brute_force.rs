//! Guessed passwords: refused log-ons, and short sessions of protocols that hide them.

use crate::words::keep_last;
use crate::{
    About, Detector, DistinctWindow, Findings, Kind, Networks, Over, Pace, Recent, Window,
};
use flowtrack_event::{
    AppProto, Detection, Event, Evidence, FlowEvent, FlowId, FlowRecord, FlowState, IpProto,
    LoginEvent, LoginOutcome, Severity, Technique, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What it is.
pub const ABOUT: About = About {
    name: "brute_force",
    summary: "passwords are guessed, or one password is tried on many users and hosts",
    text: "Counts refused log-ons of SSH, FTP, SMTP, POP3, IMAP, HTTP (fields and forms), SMB, \
           Kerberos, LDAP, VNC and PostgreSQL for each source, target and service in a minute. SSH \
           is judged by the sizes of encrypted answers; mail and FTP over TLS by answers that come \
           late, as servers let those wait whose password was wrong, and by how much is said to who \
           was let in; RDP and Telnet by short sessions that repeat, and so mail and FTP where what \
           the client sends differs from one to the next, unlike that of a program that looks for \
           mail. A form is refused if the answer \
           is a form again or leads back to it. A log-on that is granted behind many refused ones is \
           the most urgent. Refusals count only where there are at least twice as many as users who \
           were let in, so that a person who mistypes, programs that log on often, and an office \
           behind one address are left alone. Severity: medium, from five times a threshold on high; forms low, then medium; a \
           success critical.",
    category: "credential access",
    technique: Some(Technique { id: "T1110", name: "Brute Force" }),
    kinds: &[
        Kind {
            name: "guessing",
            sid: 200,
            summary: "one source is refused again and again by one service",
        },
        Kind { name: "success", sid: 201, summary: "behind many refusals the source is let in" },
        Kind {
            name: "spraying",
            sid: 202,
            summary: "one source tries many users or hosts, each a few times",
        },
        Kind { name: "distributed", sid: 203, summary: "many sources are refused by one service" },
        Kind {
            name: "short_sessions",
            sid: 204,
            summary: "encrypted sessions that are too short for more than a refusal",
        },
        Kind { name: "forms", sid: 205, summary: "a form for logging on is sent again and again" },
    ],
};

const SPRAYING: Technique = Technique { id: "T1110.003", name: "Password Spraying" };
const VALID_ACCOUNTS: Technique = Technique { id: "T1078", name: "Valid Accounts" };

/// Thresholds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Look for guessed passwords.
    pub enabled: bool,
    /// Refused log-ons of one source to one service in a minute.
    pub failures: u64,
    /// Users or hosts that refused one source in ten minutes, at most three times each.
    pub spray: u64,
    /// Refused log-ons to one service in a minute, from at least ten sources.
    pub distributed: u64,
    /// Short encrypted sessions of one source to one service in a minute.
    pub short_sessions: u64,
    /// Forms for logging on that one source sends to one host in a minute, where the answers do not
    /// tell how they ended.
    pub forms: u64,
    /// Sources with their targets that are remembered.
    pub max_pairs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            failures: 10,
            spray: 15,
            distributed: 50,
            short_sessions: 20,
            forms: 30,
            max_pairs: 16_384,
        }
    }
}

/// Guessed passwords.
pub struct BruteForce {
    config: Config,
    pairs: Recent<Service, Pair>,
    sources: Recent<IpAddr, Spray>,
    targets: Recent<(IpAddr, u16), Crowd>,
    over: Over,
}

/// Who asks whom for what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Service {
    source: IpAddr,
    target: IpAddr,
    port: u16,
    proto: IpProto,
}

/// One source and one service.
struct Pair {
    app: AppProto,
    /// Refusals in a minute, and in as long as a success behind them counts.
    refused: Window,
    refused_long: Window,
    /// Users that were let in meanwhile.
    granted: DistinctWindow,
    granted_long: DistinctWindow,
    forms: Window,
    short: Window,
    /// Different amounts of bytes that the client of a short session sent.
    sizes: DistinctWindow,
    total: u64,
    first: Timestamp,
    users: Vec<String>,
    flows: Vec<FlowId>,
    paces: [Pace; 4],
}

/// One source and all that it asks.
struct Spray {
    users: DistinctWindow,
    hosts: DistinctWindow,
    refused: Window,
    /// Users that were let in meanwhile.
    granted: DistinctWindow,
    first: Timestamp,
    some: Vec<String>,
    flows: Vec<FlowId>,
    pace: Pace,
}

/// One service and all who ask it.
struct Crowd {
    sources: DistinctWindow,
    refused: Window,
    /// Users that were let in meanwhile.
    granted: DistinctWindow,
    first: Timestamp,
    some: Vec<IpAddr>,
    flows: Vec<FlowId>,
    pace: Pace,
}

/// Seconds in which refusals are counted.
const MINUTE: u32 = 60;
/// Seconds in which a success behind refusals counts, and in which spraying is noticed.
const LONG: u32 = 600;
/// Names kept as evidence.
const NAMES: usize = 8;
/// Flows kept as evidence.
const FLOWS: usize = 8;
/// Tries of one user or host above which it is no spraying.
const FEW: u64 = 3;
/// Sources that make a crowd.
const SOURCES: u64 = 10;
/// Different lengths of what is sent in short sessions that make them guesses: passwords of
/// several lengths; a person who mistypes twice beside a program that looks for mail makes three.
const SIZES: u64 = 5;
/// How much more than the threshold is worse.
const WORSE: u64 = 5;

impl BruteForce {
    /// Nothing seen.
    pub fn new(config: &Config, _networks: &Arc<Networks>) -> Self {
        Self {
            config: config.clone(),
            pairs: Recent::new(config.max_pairs),
            sources: Recent::new(config.max_pairs / 4),
            targets: Recent::new(config.max_pairs / 4),
            over: Over::new(config.max_pairs),
        }
    }

    fn login(&mut self, login: &LoginEvent, findings: &mut Findings) {
        let service = Service {
            source: login.flow.key.src,
            target: login.flow.key.dst,
            port: login.flow.key.dst_port,
            proto: login.flow.key.proto,
        };
        match login.outcome {
            LoginOutcome::Granted => self.granted(service, login, findings),
            LoginOutcome::Refused => {
                self.refused(service, login, findings);
                self.spraying(service, login, findings);
                self.crowd(service, login, findings);
            }
            LoginOutcome::Unknown => self.form(service, login, findings),
        }
    }

    fn refused(&mut self, service: Service, login: &LoginEvent, findings: &mut Findings) {
        let now = login.ts;
        let pair = self.pairs.entry(service, || Pair::new(login.app, now));
        pair.saw(login);
        pair.refused.add(now, 1);
        pair.refused_long.add(now, 1);
        pair.total += 1;
        let [pace, ..] = &mut pair.paces;
        pace.add(1);
        let refused = pair.refused.sum(now);
        if refused < self.config.failures || is_usual(refused, &mut pair.granted, now) {
            return;
        }
        let severity = severity(pair.total, self.config.failures);
        if let Some(count) = pace.due(now, severity) {
            findings.tell(Detection {
                title: format!(
                    "{} guesses passwords of {} on {}",
                    service.source, pair.app.0, service.target
                ),
                explanation: format!(
                    "{refused} log-ons were refused within a minute. Find out whether anybody at {} \
                     should log on there; if not, block it, and check that no guess succeeded.",
                    service.source
                ),
                severity,
                count,
                evidence: pair.evidence(service, vec![("refused in a minute".into(), Evidence::Count(refused))]),
                ..pair.detection("guessing", service, now)
            });
        }
    }

    fn granted(&mut self, service: Service, login: &LoginEvent, findings: &mut Findings) {
        let now = login.ts;
        let who = granted_to(login);
        let crowd = self.targets.entry((service.target, service.port), || Crowd::new(now));
        crowd.granted.insert(now, &who);
        if let Some(spray) = self.sources.get_mut(&service.source) {
            spray.granted.insert(now, &who);
        }
        let pair = self.pairs.entry(service, || Pair::new(login.app, now));
        let refused = pair.refused_long.sum(now);
        let is_usual = is_usual(refused, &mut pair.granted_long, now);
        pair.granted.insert(now, &who);
        pair.granted_long.insert(now, &who);
        if refused < self.config.failures || is_usual {
            return;
        }
        pair.saw(login);
        // Told once for these refusals.
        pair.refused_long = Window::new(LONG);
        let mut detection = Detection {
            title: format!(
                "{} got into {} on {} after {refused} refusals",
                service.source, pair.app.0, service.target
            ),
            explanation:
                "A password was probably guessed. Change it, end the session, and look at \
                          what was done in it."
                    .into(),
            severity: Severity::Critical,
            evidence: pair
                .evidence(service, vec![("refused before".into(), Evidence::Count(refused))]),
            technique: Some(VALID_ACCOUNTS),
            ..pair.detection("success", service, now)
        };
        if !login.user.is_empty() {
            detection.evidence.push(("let in as".into(), Evidence::Text(login.user.clone())));
        }
        findings.tell(detection);
    }

    fn form(&mut self, service: Service, login: &LoginEvent, findings: &mut Findings) {
        let now = login.ts;
        let pair = self.pairs.entry(service, || Pair::new(login.app, now));
        pair.saw(login);
        pair.forms.add(now, 1);
        pair.total += 1;
        let [_, pace, ..] = &mut pair.paces;
        pace.add(1);
        let sent = pair.forms.sum(now);
        if sent < self.config.forms {
            return;
        }
        let severity =
            if sent >= self.config.forms * WORSE { Severity::Medium } else { Severity::Low };
        if let Some(count) = pace.due(now, severity) {
            findings.tell(Detection {
                title: format!(
                    "{} sends forms for logging on to {} again and again",
                    service.source, service.target
                ),
                explanation: format!(
                    "{sent} were sent within a minute; whether they were accepted cannot be seen. \
                     Look into the log of the web server."
                ),
                severity,
                count,
                evidence: pair
                    .evidence(service, vec![("forms in a minute".into(), Evidence::Count(sent))]),
                ..pair.detection("forms", service, now)
            });
        }
    }

    fn spraying(&mut self, service: Service, login: &LoginEvent, findings: &mut Findings) {
        let now = login.ts;
        let spray = self.sources.entry(service.source, || Spray::new(now));
        if !login.user.is_empty() {
            spray.users.insert(now, &login.user);
        }
        spray.hosts.insert(now, &service.target);
        spray.refused.add(now, 1);
        spray.pace.add(1);
        let tried = if login.user.is_empty() {
            service.target.to_string()
        } else {
            format!("{} on {}", login.user, service.target)
        };
        keep_last(&mut spray.some, tried, NAMES);
        keep_last(&mut spray.flows, login.flow.id, FLOWS);
        let refused = spray.refused.sum(now);
        if refused < self.config.spray {
            return;
        }
        let (users, hosts) = (spray.users.count(now), spray.hosts.count(now));
        let breadth = users.max(hosts);
        let is_spray = breadth >= self.config.spray && refused <= breadth.saturating_mul(FEW);
        if !is_spray || is_usual(refused, &mut spray.granted, now) {
            return;
        }
        let severity = severity(breadth, self.config.spray);
        if let Some(count) = spray.pace.due(now, severity) {
            findings.tell(Detection {
                title: format!(
                    "{} tries passwords on {users} users of {hosts} hosts",
                    service.source
                ),
                explanation: "Each is tried a few times only, so that nobody is locked out. Find \
                              out who is at this address; if nobody should be, block it."
                    .into(),
                severity,
                technique: Some(SPRAYING),
                source: Some(service.source),
                proto: Some(service.proto),
                first_seen: spray.first,
                count,
                evidence: vec![
                    ("refused in ten minutes".into(), Evidence::Count(refused)),
                    ("users".into(), Evidence::Count(users)),
                    ("hosts".into(), Evidence::Count(hosts)),
                    ("some of them".into(), Evidence::List(spray.some.clone())),
                ],
                flows: spray.flows.clone(),
                source_proved: is_proved(service),
                ..ABOUT.detection("spraying", now)
            });
        }
    }

    fn crowd(&mut self, service: Service, login: &LoginEvent, findings: &mut Findings) {
        let now = login.ts;
        let crowd = self.targets.entry((service.target, service.port), || Crowd::new(now));
        crowd.sources.insert(now, &service.source);
        crowd.refused.add(now, 1);
        crowd.pace.add(1);
        keep_last(&mut crowd.some, service.source, NAMES);
        keep_last(&mut crowd.flows, login.flow.id, FLOWS);
        let refused = crowd.refused.sum(now);
        if refused < self.config.distributed {
            return;
        }
        let sources = crowd.sources.count(now);
        if sources < SOURCES || is_usual(refused, &mut crowd.granted, now) {
            return;
        }
        let severity = severity(refused, self.config.distributed);
        if let Some(count) = crowd.pace.due(now, severity) {
            findings.tell(Detection {
                title: format!(
                    "{sources} sources guess passwords of {} on {}",
                    login.app.0, service.target
                ),
                explanation:
                    "Each alone may be below a threshold. Let the service demand keys or a \
                              second factor, or reach it over a VPN only."
                        .into(),
                severity,
                target: Some(service.target),
                target_port: Some(service.port),
                proto: Some(service.proto),
                first_seen: crowd.first,
                count,
                evidence: vec![
                    ("refused in a minute".into(), Evidence::Count(refused)),
                    ("sources".into(), Evidence::Count(sources)),
                    (
                        "some of them".into(),
                        Evidence::List(crowd.some.iter().map(ToString::to_string).collect()),
                    ),
                ],
                flows: crowd.flows.clone(),
                ..ABOUT.detection("distributed", now)
            });
        }
    }

    /// A session of a protocol that hides how logging on went.
    fn session(&mut self, flow: &FlowEvent, findings: &mut Findings) {
        let record = &flow.record;
        let Some(app) = hidden_login(record) else { return };
        if !self.over.is_news(flow) {
            return;
        }
        let now = flow.ts;
        let key = record.key;
        let service =
            Service { source: key.src, target: key.dst, port: key.dst_port, proto: key.proto };
        let pair = self.pairs.entry(service, || Pair::new(app, record.start));
        pair.short.add(record.end, 1);
        pair.sizes.insert(record.end, &record.to_server.payload_bytes);
        pair.total += 1;
        keep_last(&mut pair.flows, record.id, FLOWS);
        let [_, _, pace, _] = &mut pair.paces;
        pace.add(1);
        // Sessions end, and are told, some time after they were begun.
        let sessions = pair.short.sum(record.end);
        let threshold =
            if app.0 == "rdp" { self.config.failures } else { self.config.short_sessions };
        // A program that looks for mail says the same every time, somebody who guesses does not;
        // RDP and Telnet nobody asks by the clock.
        let is_same = matches!(app.0, "imaps" | "pop3s" | "smtps" | "ftps")
            && pair.sizes.count(record.end) < SIZES;
        let least = if is_same { threshold.saturating_mul(WORSE) } else { threshold };
        if sessions < least || is_usual(sessions, &mut pair.granted, record.end) {
            return;
        }
        let severity =
            if pair.total >= threshold * WORSE { Severity::High } else { Severity::Medium };
        if let Some(count) = pace.due(now, severity) {
            findings.tell(Detection {
                title: format!(
                    "{} opens short {} sessions to {} again and again",
                    service.source, app.0, service.target
                ),
                explanation: format!(
                    "{sessions} sessions within a minute were too short for more than a refused \
                     log-on. Look into the log of the service, and block the source if it is not \
                     known there."
                ),
                severity,
                count,
                evidence: pair.evidence(
                    service,
                    vec![("sessions in a minute".into(), Evidence::Count(sessions))],
                ),
                ..pair.detection("short_sessions", service, now)
            });
        }
    }
}

impl Detector for BruteForce {
    fn on_event(&mut self, event: &Event, findings: &mut Findings) {
        match event {
            Event::Login(login) => self.login(login, findings),
            Event::Flow(flow) => self.session(flow, findings),
            _ => {}
        }
    }

    fn forgotten(&self) -> u64 {
        self.pairs.evicted() + self.sources.evicted() + self.targets.evicted() + self.over.evicted()
    }
}

impl Pair {
    fn new(app: AppProto, now: Timestamp) -> Self {
        Self {
            app,
            refused: Window::new(MINUTE),
            refused_long: Window::new(LONG),
            granted: DistinctWindow::new(MINUTE),
            granted_long: DistinctWindow::new(LONG),
            forms: Window::new(MINUTE),
            short: Window::new(MINUTE),
            sizes: DistinctWindow::new(MINUTE),
            total: 0,
            first: now,
            users: Vec::new(),
            flows: Vec::new(),
            paces: Default::default(),
        }
    }

    fn saw(&mut self, login: &LoginEvent) {
        if !login.user.is_empty() {
            keep_last(&mut self.users, login.user.clone(), NAMES);
        }
        keep_last(&mut self.flows, login.flow.id, FLOWS);
    }

    fn evidence(
        &self,
        service: Service,
        first: Vec<(std::borrow::Cow<'static, str>, Evidence)>,
    ) -> Vec<(std::borrow::Cow<'static, str>, Evidence)> {
        let mut evidence = first;
        evidence.push(("attempts since the beginning".into(), Evidence::Count(self.total)));
        let named = format!("{} on port {}", self.app.0, service.port);
        evidence.push(("service".into(), Evidence::Text(named)));
        if !self.users.is_empty() {
            evidence.push(("users tried last".into(), Evidence::List(self.users.clone())));
        }
        evidence
    }

    fn detection(&self, kind: &str, service: Service, now: Timestamp) -> Detection {
        Detection {
            source: Some(service.source),
            target: Some(service.target),
            target_port: Some(service.port),
            proto: Some(service.proto),
            first_seen: self.first,
            flows: self.flows.clone(),
            source_proved: is_proved(service),
            ..ABOUT.detection(kind, now)
        }
    }
}

impl Spray {
    fn new(now: Timestamp) -> Self {
        Self {
            users: DistinctWindow::new(LONG),
            hosts: DistinctWindow::new(LONG),
            refused: Window::new(LONG),
            granted: DistinctWindow::new(LONG),
            first: now,
            some: Vec::new(),
            flows: Vec::new(),
            pace: Pace::default(),
        }
    }
}

impl Crowd {
    fn new(now: Timestamp) -> Self {
        Self {
            sources: DistinctWindow::new(MINUTE * 5),
            refused: Window::new(MINUTE),
            granted: DistinctWindow::new(MINUTE),
            first: now,
            some: Vec::new(),
            flows: Vec::new(),
            pace: Pace::default(),
        }
    }
}

/// Whether so many refusals are no more than the mistakes of those who were let in: about one each.
fn is_usual(refused: u64, granted: &mut DistinctWindow, now: Timestamp) -> bool {
    refused < granted.count(now).saturating_mul(2)
}

/// Who was let in: one who logs on again and again is one, so that an attacker gains nothing by an
/// account of his own; where nobody says who, each flow is another.
fn granted_to(login: &LoginEvent) -> (&str, FlowId) {
    let flow = if login.user.is_empty() { login.flow.id } else { FlowId(0) };
    (&login.user, flow)
}

/// Whether the source cannot be another's address: an answer over TCP needs a whole handshake.
fn is_proved(service: Service) -> bool {
    service.proto == IpProto::TCP
}

fn severity(seen: u64, threshold: u64) -> Severity {
    if seen >= threshold.saturating_mul(WORSE) { Severity::High } else { Severity::Medium }
}

/// The protocol of a session that hides its log-on and was too short for more than a refusal.
fn hidden_login(record: &FlowRecord) -> Option<AppProto> {
    /// Longest session.
    const LONGEST: Duration = Duration::from_secs(20);
    let app = record.app?;
    let is_whole = record.state != FlowState::New
        && record.tcp.is_some_and(|tcp| !tcp.midstream)
        && record.end.since(record.start) <= LONGEST;
    if !is_whole {
        return None;
    }
    let (out, back) = (record.to_server.payload_bytes, record.to_client.payload_bytes);
    let name = app.original.unwrap_or(app.proto).0;
    let (named, least, most_out, most_back) = match (name, record.key.dst_port) {
        // A handshake of TLS and one of CredSSP.
        ("rdp", _) => ("rdp", 400, 4_000, 5_000),
        ("telnet", _) => ("telnet", 8, 400, 3_000),
        // A handshake of TLS, a greeting and one or two commands; a mail is longer.
        ("imap", _) | ("tls", 993) => ("imaps", 300, 1_500, 9_000),
        ("pop3", _) | ("tls", 995) => ("pop3s", 300, 1_500, 9_000),
        ("smtp", 465 | 587) | ("tls", 465) => ("smtps", 300, 1_100, 9_000),
        ("ftp", _) | ("tls", 990) => ("ftps", 300, 1_500, 9_000),
        _ => return None,
    };
    // In the clear the log-on itself was seen.
    if app.original.is_none() && matches!(name, "imap" | "pop3" | "smtp" | "ftp") {
        return None;
    }
    ((least..=most_out).contains(&out) && (1..=most_back).contains(&back))
        .then_some(AppProto(named))
}
