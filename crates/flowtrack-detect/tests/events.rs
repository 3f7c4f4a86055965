//! Detectors that judge events: each attack is noticed, each look-alike is not, and what they
//! remember has a bound.

use flowtrack_detect::{Config, DetectorSet, Networks};
use flowtrack_event::{
    AppProto, AppRecord, CertificateFacts, Claim, Confidence, ConnState, Detection, Direction,
    Encryption, EndReason, Event, FlowContext, FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord,
    FlowState, IfaceId, IpProto, Latency, LoginEvent, LoginOutcome, MacAddr, Neighbour, Secret,
    Severity, SideRecord, TcpRecord, Timestamp, Transaction, TransactionEvent, Vlans,
};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// Times begin here.
const START: f64 = 1_700_000_000.0;

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_nanos(((START + seconds) * 1e9) as i64)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(src: &str, dst: &str, port: u16) -> FlowKey {
    FlowKey { src: ip(src), dst: ip(dst), src_port: 40_000, dst_port: port, proto: IpProto::TCP }
}

fn context(id: u64, key: FlowKey) -> Arc<FlowContext> {
    Arc::new(FlowContext {
        id: FlowId(id),
        parent: None,
        key,
        vlans: Vlans::default(),
        iface: IfaceId(0),
        start: at(0.0),
    })
}

fn login(
    seconds: f64,
    app: &'static str,
    key: FlowKey,
    user: &str,
    outcome: LoginOutcome,
) -> Event {
    Event::Login(Box::new(LoginEvent {
        ts: at(seconds),
        flow: context(seconds as u64, key),
        app: AppProto(app),
        user: user.into(),
        outcome,
        secret: Secret::Hidden,
    }))
}

/// A session that was opened, said so much each way, and was closed.
fn session(begin: f64, seconds: f64, app: &'static str, key: FlowKey, bytes: (u64, u64)) -> Event {
    let proto = AppProto(app);
    let side = |payload_bytes| SideRecord { packets: 5, payload_bytes, ..SideRecord::default() };
    Event::Flow(Box::new(FlowEvent {
        ts: at(begin + seconds + 1.0),
        phase: FlowPhase::End(EndReason::Timeout),
        record: FlowRecord {
            id: FlowId((begin * 10.0) as u64),
            parent: None,
            tunnel: None,
            key,
            vlans: Vlans::default(),
            iface: IfaceId(0),
            macs: Some((MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]))),
            start: at(begin),
            end: at(begin + seconds),
            to_server: side(bytes.0),
            to_client: side(bytes.1),
            state: FlowState::Closed,
            conn_state: ConnState::Sf,
            history: SmallVec::new(),
            tcp: (key.proto == IpProto::TCP).then(TcpRecord::default),
            icmp: None,
            latency: Latency::default(),
            app: Some(AppRecord {
                proto,
                to_server: None,
                to_client: None,
                original: None,
                expected: None,
                looks_random: false,
                confidence: Confidence::Content,
            }),
            tx_count: 0,
            alerted: false,
            remembered: None,
        },
    }))
}

/// A transaction that answers what it is told to.
#[derive(Default, Debug)]
struct Told {
    protocol: &'static str,
    buffers: Vec<(Direction, &'static str, String)>,
    numbers: Vec<(Direction, &'static str, u64)>,
}

impl Told {
    fn text(&self, name: &str) -> Option<&str> {
        self.buffers.iter().find(|(_, known, _)| *known == name).map(|(.., value)| value.as_str())
    }

    fn seconds(&self, name: &str) -> Option<i64> {
        let found = self.numbers.iter().find(|(_, known, _)| *known == name);
        found.map(|&(.., value)| value as i64)
    }
}

impl Transaction for Told {
    fn encryption(&self) -> Option<Encryption<'_>> {
        let (subject, issuer) = (self.text("tls.cert_subject")?, self.text("tls.cert_issuer")?);
        let certificate = CertificateFacts {
            fingerprint: "",
            subject,
            issuer,
            not_before: self.seconds("tls_cert_notbefore")?,
            not_after: self.seconds("tls_cert_notafter")?,
            is_self_signed: subject == issuer,
            is_for_name: None,
        };
        Some(Encryption { certificate: Some(certificate), ..Encryption::default() })
    }

    fn protocol(&self) -> AppProto {
        AppProto(self.protocol)
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &()
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        for (way, known, value) in &self.buffers {
            if (*way, *known) == (direction, name) {
                visit(value.as_bytes());
            }
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        for (way, known, value) in &self.numbers {
            if (*way, *known) == (direction, name) {
                visit(*value);
            }
        }
    }
}

fn transaction(seconds: f64, key: FlowKey, direction: Direction, told: Told) -> Event {
    Event::Transaction(Box::new(TransactionEvent {
        ts: at(seconds),
        packet: 1,
        flow: context((seconds * 10.0) as u64, key),
        direction,
        tx_id: 0,
        transaction: Arc::new(told),
    }))
}

fn dns_key(client: &str) -> FlowKey {
    FlowKey { proto: IpProto::UDP, ..key(client, "10.0.0.53", 53) }
}

fn question(seconds: f64, client: &str, name: &str, kind: u64) -> Event {
    let told = Told {
        protocol: "dns",
        buffers: vec![(Direction::ToServer, "dns.query", name.into())],
        numbers: vec![(Direction::ToServer, "dns.rrtype", kind)],
    };
    transaction(seconds, dns_key(client), Direction::ToServer, told)
}

fn answer(seconds: f64, client: &str, name: &str, rcode: u64) -> Event {
    let told = Told {
        protocol: "dns",
        buffers: vec![(Direction::ToClient, "dns.queries.rrname", name.into())],
        numbers: vec![(Direction::ToClient, "dns.rcode", rcode)],
    };
    transaction(seconds, dns_key(client), Direction::ToClient, told)
}

fn claim(seconds: f64, claim: Claim, mac: u8, ip_: &str, target: &str) -> Event {
    let mac = MacAddr([2, 0, 0, 0, 0, mac]);
    Event::Neighbour(Box::new(Neighbour {
        ts: at(seconds),
        iface: IfaceId(0),
        vlans: Vlans::default(),
        claim,
        frame_src: mac,
        mac,
        ip: ip(ip_),
        target: ip(target),
    }))
}

/// What detectors say of these events, and how much they forgot.
fn judged(config: &Config, events: &[Event]) -> (Vec<Detection>, u64) {
    let mut set = DetectorSet::new(config, Networks::default());
    let mut out = Vec::new();
    set.ingest(events, &mut out);
    set.finish(&mut out);
    let forgotten = set.stats().forgotten;
    let said = out.into_iter().filter_map(|event| match event {
        Event::Detection(detection) => Some(*detection),
        _ => None,
    });
    (said.collect(), forgotten)
}

/// Kinds that a detector said, with the highest severity of each, in the order of first mention.
fn kinds(detector: &str, events: &[Event]) -> Vec<(&'static str, Severity)> {
    let mut kinds: Vec<(&'static str, Severity)> = Vec::new();
    for said in judged(&Config::default(), events).0 {
        if said.detector != detector {
            continue;
        }
        check(&said);
        match kinds.iter_mut().find(|(kind, _)| *kind == said.kind) {
            Some((_, severity)) => *severity = said.severity.max(*severity),
            None => kinds.push((said.kind, said.severity)),
        }
    }
    kinds
}

/// What every detection must have.
fn check(said: &Detection) {
    assert!(!said.title.is_empty() && !said.explanation.is_empty(), "{said:?}");
    assert!(!said.evidence.is_empty() && said.count > 0 && said.sid > 0, "{said:?}");
    assert!(said.first_seen <= said.ts, "{said:?}");
}

/// Letters that look drawn, the same for the same number.
fn drawn(mut seed: u64, letters: usize) -> String {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..letters)
        .map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(alphabet[(seed >> 59) as usize])
        })
        .collect()
}

mod brute_force {
    use super::*;
    use LoginOutcome::{Granted, Refused, Unknown};
    use Severity::{Critical, High, Low, Medium};

    const SSH: (&str, &str, u16) = ("203.0.113.7", "10.0.0.5", 22);

    fn tries(count: u64, every: f64, outcome: LoginOutcome) -> Vec<Event> {
        let (src, dst, port) = SSH;
        (0..count)
            .map(|i| login(i as f64 * every, "ssh", key(src, dst, port), "", outcome))
            .collect()
    }

    #[test]
    fn ten_refusals_in_a_minute_are_guessing() {
        assert_eq!(kinds("brute_force", &tries(10, 2.0, Refused)), [("guessing", Medium)]);
        assert_eq!(kinds("brute_force", &tries(60, 1.0, Refused)), [("guessing", High)]);
        let said = judged(&Config::default(), &tries(10, 2.0, Refused)).0;
        assert_eq!(said[0].title, "203.0.113.7 guesses passwords of ssh on 10.0.0.5");
        assert!(said[0].source_proved && !said[0].flows.is_empty());
        assert_eq!((said[0].target_port, said[0].count), (Some(22), 10));
    }

    #[test]
    fn who_mistypes_or_logs_on_often_is_left_alone() {
        let mut admin = tries(3, 5.0, Refused);
        admin.extend([login(16.0, "ssh", key(SSH.0, SSH.1, SSH.2), "", Granted)]);
        assert_eq!(kinds("brute_force", &admin), []);
        assert_eq!(kinds("brute_force", &tries(30, 1.0, Granted)), []);
        assert_eq!(kinds("brute_force", &tries(50, 30.0, Refused)), [], "two a minute");
    }

    #[test]
    fn an_office_behind_one_address_is_left_alone() {
        // Sixty people log on, every third of whom mistypes before.
        let office: Vec<Event> = (0..60)
            .flat_map(|i| {
                let (at, user) = (f64::from(i), format!("user{i}"));
                let key = key("203.0.113.7", "10.0.0.5", 443);
                let mistyped =
                    (i % 3 == 0).then(|| login(at, "http", key, &format!("user{i}"), Refused));
                mistyped.into_iter().chain([login(at + 0.5, "http", key, &user, Granted)])
            })
            .collect();
        assert_eq!(kinds("brute_force", &office), []);
        // An account of one's own does not hide guesses at another.
        let hidden: Vec<Event> = (0..60)
            .flat_map(|i| {
                let key = key("203.0.113.7", "10.0.0.5", 443);
                let at = f64::from(i) * 2.0;
                [
                    login(at, "http", key, "root", Refused),
                    login(at + 1.0, "http", key, "me", Granted),
                ]
            })
            .collect();
        assert_eq!(kinds("brute_force", &hidden), [("guessing", High), ("success", Critical)]);
    }

    #[test]
    fn a_success_behind_refusals_is_critical_and_told_once() {
        let mut events = tries(12, 1.0, Refused);
        events.extend(
            (13..20).map(|i| login(f64::from(i), "ssh", key(SSH.0, SSH.1, SSH.2), "", Granted)),
        );
        assert_eq!(kinds("brute_force", &events), [("guessing", Medium), ("success", Critical)]);
        let said = judged(&Config::default(), &events).0;
        assert_eq!(said.iter().filter(|said| said.kind == "success").count(), 1);
    }

    #[test]
    fn few_tries_on_many_are_spraying() {
        let events: Vec<Event> = (0u8..40)
            .map(|i| {
                let key = key("10.0.0.66", &format!("10.0.1.{i}"), 445);
                login(f64::from(i) * 10.0, "smb", key, &format!("CORP\\user{i}"), Refused)
            })
            .collect();
        assert_eq!(kinds("brute_force", &events), [("spraying", Medium)]);
        // The same user again and again, slowly: neither.
        let events: Vec<Event> = (0..40)
            .map(|i| {
                login(f64::from(i) * 10.0, "smb", key("10.0.0.66", "10.0.1.1", 445), "a", Refused)
            })
            .collect();
        assert_eq!(kinds("brute_force", &events), []);
    }

    #[test]
    fn many_sources_make_a_crowd() {
        let events: Vec<Event> = (0..120)
            .map(|i| {
                let key = key(&format!("203.0.113.{}", i % 40), "10.0.0.5", 22);
                login(f64::from(i) * 0.5, "ssh", key, "", Refused)
            })
            .collect();
        assert_eq!(kinds("brute_force", &events), [("distributed", Medium)]);
    }

    #[test]
    fn short_sessions_are_judged_where_nothing_else_can_be_seen() {
        let rdp = key("203.0.113.7", "10.0.0.5", 3389);
        let attack: Vec<Event> =
            (0..15).map(|i| session(f64::from(i) * 3.0, 1.0, "rdp", rdp, (1_800, 2_000))).collect();
        assert_eq!(kinds("brute_force", &attack), [("short_sessions", Medium)]);
        let work: Vec<Event> = (0..15)
            .map(|i| session(f64::from(i) * 3.0, 600.0, "rdp", rdp, (900_000, 9_000_000)))
            .collect();
        assert_eq!(kinds("brute_force", &work), []);
        let imaps = key("203.0.113.7", "10.0.0.5", 993);
        let guess = |i: u32| (900 + u64::from(i) % 9, 4_000);
        let attack: Vec<Event> =
            (0..25).map(|i| session(f64::from(i) * 2.0, 1.0, "tls", imaps, guess(i))).collect();
        assert_eq!(kinds("brute_force", &attack), [("short_sessions", Medium)]);
        // A program that looks for mail every second says the same every time.
        let poll: Vec<Event> =
            (0..300).map(|i| session(f64::from(i), 0.5, "tls", imaps, (900, 4_000))).collect();
        assert_eq!(kinds("brute_force", &poll), []);
        // However equal passwords are, nobody looks for mail more than once a second.
        let pins: Vec<Event> = (0..300)
            .map(|i| session(f64::from(i) * 0.3, 0.5, "tls", imaps, (900, 4_000)))
            .collect();
        assert_eq!(kinds("brute_force", &pins), [("short_sessions", High)]);
        // A page with many resources.
        let https = key("10.0.0.9", "203.0.113.7", 443);
        let page: Vec<Event> = (0..100)
            .map(|i| session(f64::from(i) * 0.1, 1.0, "tls", https, (900, 4_000)))
            .collect();
        assert_eq!(kinds("brute_force", &page), []);
    }

    #[test]
    fn forms_count_when_they_are_many() {
        let forms = |count: u32, every: f64| -> Vec<Event> {
            let key = key("203.0.113.7", "10.0.0.5", 80);
            (0..count).map(|i| login(f64::from(i) * every, "http", key, "", Unknown)).collect()
        };
        assert_eq!(kinds("brute_force", &forms(40, 1.0)), [("forms", Low)]);
        assert_eq!(kinds("brute_force", &forms(40, 10.0)), []);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.brute_force.max_pairs = 400;
        let events: Vec<Event> = (0..10_000u32)
            .map(|i| {
                let src = format!("203.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255);
                login(f64::from(i) * 0.001, "ssh", key(&src, "10.0.0.5", 22), "", Refused)
            })
            .collect();
        // Pairs, and a quarter of that for sources; the target is one.
        assert_eq!(judged(&config, &events).1, (10_000 - 400) + (10_000 - 100));
    }
}

mod beacon {
    use super::*;

    const KEY: (&str, &str, u16) = ("10.0.0.9", "203.0.113.80", 8443);

    /// Calls every `interval` seconds, each off by up to `jitter` of it.
    fn calls(count: u64, interval: f64, jitter: f64, port: u16, bytes: u64) -> Vec<Event> {
        (0..count)
            .map(|i| {
                let off = ((i * 7_919) % 1_000) as f64 / 1_000.0 - 0.5;
                let key = key(KEY.0, KEY.1, port);
                session(
                    i as f64 * interval + off * jitter * interval,
                    0.2,
                    "tls",
                    key,
                    (bytes, 500),
                )
            })
            .collect()
    }

    #[test]
    fn regular_calls_are_noticed_with_a_histogram() {
        assert_eq!(kinds("beacon", &calls(20, 60.0, 0.0, 8443, 700)), [("calls", Severity::Low)]);
        assert_eq!(
            kinds("beacon", &calls(60, 60.0, 0.1, 8443, 700)),
            [("calls", Severity::Medium)]
        );
        assert_eq!(kinds("beacon", &calls(250, 30.0, 0.0, 8443, 700)), [("calls", Severity::High)]);
        let said = judged(&Config::default(), &calls(20, 60.0, 0.0, 8443, 700)).0;
        assert_eq!(said[0].title, "10.0.0.9 calls 203.0.113.80 every 60 s");
        assert!(said[0].evidence.iter().any(|(name, _)| name == "intervals"));
    }

    #[test]
    fn a_person_a_clock_and_a_stream_are_left_alone() {
        assert_eq!(kinds("beacon", &calls(19, 60.0, 0.0, 8443, 700)), [], "too few");
        // Somebody reads: pauses of all lengths, bursts, pages of all sizes.
        let mut time = 0.0;
        let reading: Vec<Event> = (0..200u64)
            .map(|i| {
                let draw = (i * 48_271 % 2_147_483_647 % 1_000 + 1) as f64 / 1_000.0;
                time += -60.0 * draw.ln();
                session(time, 1.0, "tls", key(KEY.0, KEY.1, 443), (300 + i * 131 % 4_000, 9_000))
            })
            .collect();
        assert_eq!(kinds("beacon", &reading), []);
        let ntp: Vec<Event> = (0..50)
            .map(|i| {
                let key = FlowKey { proto: IpProto::UDP, ..key(KEY.0, KEY.1, 123) };
                session(f64::from(i) * 64.0, 0.1, "ntp", key, (48, 48))
            })
            .collect();
        assert_eq!(kinds("beacon", &ntp), []);
        let inside: Vec<Event> = (0..50)
            .map(|i| session(f64::from(i) * 60.0, 0.1, "tls", key(KEY.0, "10.0.0.1", 443), (9, 9)))
            .collect();
        assert_eq!(kinds("beacon", &inside), [], "monitoring inside");
        assert_eq!(kinds("beacon", &calls(100, 0.2, 0.0, 8443, 700)), [], "a conversation");
    }

    #[test]
    fn known_services_may_ask_by_the_clock() {
        let hello = |name: &str| {
            let told = Told {
                protocol: "tls",
                buffers: vec![(Direction::ToServer, "tls.sni", name.into())],
                ..Told::default()
            };
            transaction(0.0, key(KEY.0, KEY.1, 8443), Direction::ToServer, told)
        };
        let with = |name: &str| {
            let mut events = vec![hello(name)];
            events.extend(calls(60, 60.0, 0.0, 8443, 700));
            kinds("beacon", &events)
        };
        assert_eq!(with("fe2.update.microsoft.com"), []);
        assert_eq!(with("notmicrosoft.com"), [("calls", Severity::Medium)]);
    }

    #[test]
    fn bursts_of_an_unknown_protocol_inside_one_session_are_a_heartbeat() {
        // Every second the session is told of; it says something every fifth.
        let told = |app: Option<&'static str>| -> Vec<Event> {
            (0..200u64)
                .map(|i| {
                    let bytes = (100 + i / 5 * 40, 0);
                    let key = key(KEY.0, KEY.1, 8219);
                    let Event::Flow(mut flow) = session(0.0, i as f64, "failed", key, bytes) else {
                        unreachable!()
                    };
                    (flow.phase, flow.record.state) = (FlowPhase::Update, FlowState::Established);
                    flow.record.end = at((i / 5 * 5) as f64);
                    flow.record.app = app.and(flow.record.app).map(|record| AppRecord {
                        proto: AppProto(app.unwrap_or_default()),
                        ..record
                    });
                    Event::Flow(flow)
                })
                .collect()
        };
        assert_eq!(kinds("beacon", &told(None)), [("heartbeat", Severity::Medium)]);
        assert_eq!(kinds("beacon", &told(Some("ssh"))), [], "what keeps a terminal open");
    }

    #[test]
    fn a_session_is_a_call_when_it_is_closed_and_once() {
        // The end of a session is told a minute after its closing.
        let told = |closes: usize| -> Vec<Event> {
            let mut events = Vec::new();
            for event in calls(30, 60.0, 0.0, 8443, 700) {
                let Event::Flow(flow) = event else { unreachable!() };
                for _ in 0..closes {
                    let mut closed = flow.clone();
                    closed.phase = FlowPhase::Update;
                    events.push(Event::Flow(closed));
                }
                events.push(Event::Flow(flow));
            }
            events
        };
        let said = |events: &[Event]| {
            let said = judged(&Config::default(), events).0;
            said.iter().map(|d| (d.ts, d.count)).collect::<Vec<_>>()
        };
        assert!(!said(&told(0)).is_empty());
        assert_eq!(said(&told(2)), said(&told(0)));
    }

    #[test]
    fn a_connection_of_quic_to_no_name_is_noticed_where_it_stays_open() {
        let told = |port: u16, name: &str, every: u64, times: u64| -> Vec<Event> {
            let key = FlowKey { proto: IpProto::UDP, ..key(KEY.0, KEY.1, port) };
            let mut buffers = vec![(Direction::ToServer, "ja3.hash", "0123".into())];
            if !name.is_empty() {
                buffers.push((Direction::ToServer, "quic.sni", name.into()));
            }
            let hello = Told { protocol: "quic", buffers, numbers: Vec::new() };
            let mut events = vec![transaction(0.0, key, Direction::ToServer, hello)];
            for time in 1..=times {
                let lasted = (time * every) as f64;
                let Event::Flow(mut flow) = session(0.0, lasted, "quic", key, (time * 33, 90))
                else {
                    unreachable!()
                };
                (flow.phase, flow.record.state) = (FlowPhase::Update, FlowState::Established);
                events.push(Event::Flow(flow));
            }
            events
        };
        // Every 15 seconds, as Merlin does.
        assert_eq!(kinds("beacon", &told(443, "", 15, 12)), [("bare_tls", Severity::Low)]);
        assert_eq!(kinds("beacon", &told(443, "shop.example", 15, 12)), []);
        assert_eq!(kinds("beacon", &told(4001, "", 15, 12)), [], "others speak QUIC to each other");
        assert_eq!(kinds("beacon", &told(443, "", 2, 20)), [], "a page");
    }

    #[test]
    fn a_session_of_tls_that_nobody_vouches_for_is_noticed_while_it_talks() {
        let told = |port: u16, name: &str, chain: u64, seconds: u64| -> Vec<Event> {
            let key = key(KEY.0, KEY.1, port);
            let mut buffers = vec![(Direction::ToClient, "tls.cert_subject", "CN=Server".into())];
            if !name.is_empty() {
                buffers.push((Direction::ToServer, "tls.sni", name.into()));
            }
            let numbers = vec![(Direction::ToClient, "tls.cert_chain_len", chain)];
            let shown = Told { protocol: "tls", buffers, numbers };
            let mut events = vec![transaction(0.0, key, Direction::ToClient, shown)];
            for second in 1..seconds {
                let Event::Flow(mut flow) =
                    session(0.0, second as f64, "tls", key, (second * 40, 90))
                else {
                    unreachable!()
                };
                (flow.phase, flow.record.state) = (FlowPhase::Update, FlowState::Established);
                events.push(Event::Flow(flow));
            }
            events
        };
        assert_eq!(kinds("beacon", &told(4782, "", 1, 60)), [("bare_tls", Severity::Medium)]);
        assert_eq!(kinds("beacon", &told(443, "", 1, 60)), [("bare_tls", Severity::Low)]);
        assert_eq!(kinds("beacon", &told(4782, "game.example.com", 1, 60)), [], "it has a name");
        assert_eq!(kinds("beacon", &told(4782, "", 3, 60)), [], "an authority vouches for it");
        assert_eq!(kinds("beacon", &told(4782, "", 1, 20)), [], "it is over soon");
    }

    #[test]
    fn requests_over_one_connection_are_calls() {
        let events: Vec<Event> = (0..30)
            .map(|i| {
                let told = Told {
                    protocol: "http",
                    buffers: vec![(Direction::ToServer, "http.uri.raw", "/gate.php?id=1".into())],
                    ..Told::default()
                };
                transaction(f64::from(i) * 10.0, key(KEY.0, KEY.1, 80), Direction::ToClient, told)
            })
            .collect();
        assert_eq!(kinds("beacon", &events), [("calls", Severity::Low)]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.beacon.max_pairs = 100;
        let events: Vec<Event> = (0..5_000u32)
            .map(|i| {
                let dst = format!("203.0.{}.{}", i >> 8 & 255, i & 255);
                session(f64::from(i) * 0.01, 0.1, "tls", key("10.0.0.9", &dst, 443), (9, 9))
            })
            .collect();
        let only = Config {
            exfiltration: flowtrack_detect::detectors::exfiltration::Config {
                enabled: false,
                ..Default::default()
            },
            ..config
        };
        assert_eq!(judged(&only, &events).1, 4_900);
    }
}

mod dns_tunnel {
    use super::*;

    #[test]
    fn long_drawn_names_below_one_domain_are_a_tunnel() {
        let tunnel: Vec<Event> = (0..60)
            .map(|i| {
                let name = format!("{}.{}.t.example.org", drawn(i, 50), drawn(i + 999, 30));
                question(i as f64, "10.0.0.9", &name, 10)
            })
            .collect();
        assert_eq!(kinds("dns_tunnel", &tunnel), [("tunnel", Severity::Medium)]);
        let more: Vec<Event> = (0..600)
            .map(|i| {
                let name = format!("{}.t.example.org", drawn(i, 50));
                question(i as f64 * 0.1, "10.0.0.9", &name, 1)
            })
            .collect();
        assert_eq!(kinds("dns_tunnel", &more), [("tunnel", Severity::High)]);
    }

    #[test]
    fn a_few_names_may_carry_something() {
        let events: Vec<Event> = (0..4)
            .map(|i| {
                let name = format!(
                    "{}.{}.{}.x.example.org",
                    drawn(i, 60),
                    drawn(i + 50, 60),
                    drawn(i + 90, 60)
                );
                question(i as f64, "10.0.0.9", &name, 1)
            })
            .collect();
        assert_eq!(kinds("dns_tunnel", &events), [("payload", Severity::Medium)]);
    }

    #[test]
    fn texts_of_names_that_are_no_domains_are_told() {
        let ask = |name: &str, kind: u64| -> Vec<Event> {
            (0..3).map(|i| question(f64::from(i), "10.0.0.9", name, kind)).collect()
        };
        assert_eq!(kinds("dns_tunnel", &ask("1qaz2wsx", 16)), [("payload", Severity::Medium)]);
        assert_eq!(kinds("dns_tunnel", &ask("1qaz2wsx", 1)), [], "a host of that name");
        assert_eq!(kinds("dns_tunnel", &ask("museum", 16)), []);
    }

    #[test]
    fn usual_names_are_left_alone() {
        let hosts: Vec<Event> = (0..200)
            .map(|i| question(f64::from(i), "10.0.0.9", &format!("host{i}.branch.example.org"), 1))
            .collect();
        assert_eq!(kinds("dns_tunnel", &hosts), []);
        for domain in ["in-addr.arpa", "zen.spamhaus.org", "avqs.mcafee.com", "cloudfront.net"] {
            let events: Vec<Event> = (0..200)
                .map(|i| question(i as f64, "10.0.0.9", &format!("{}.{domain}", drawn(i, 40)), 1))
                .collect();
            assert_eq!(kinds("dns_tunnel", &events), [], "{domain}");
        }
        // One long name, asked for again and again.
        let name = format!("{}.example.org", drawn(1, 40));
        let same: Vec<Event> =
            (0..200).map(|i| question(f64::from(i), "10.0.0.9", &name, 1)).collect();
        assert_eq!(kinds("dns_tunnel", &same), []);
    }

    #[test]
    fn made_up_domains_that_do_not_exist_are_dga() {
        let dga: Vec<Event> = (0..40)
            .map(|i| answer(i as f64, "10.0.0.9", &format!("{}.com", drawn(i, 14)), 3))
            .collect();
        assert_eq!(kinds("dns_tunnel", &dga), [("dga", Severity::Medium)]);
        let found: Vec<Event> = (0..40)
            .map(|i| answer(i as f64, "10.0.0.9", &format!("{}.com", drawn(i, 14)), 0))
            .collect();
        assert_eq!(kinds("dns_tunnel", &found), [], "they exist");
    }

    #[test]
    fn a_wrong_search_list_is_no_dga() {
        let words = ["mailserver", "intranet", "printserver", "fileserver", "webcontrol"];
        let names: Vec<Event> = (0..100u32)
            .map(|i| {
                let name = format!("{}.corp.example.org", words[i as usize % words.len()]);
                answer(f64::from(i), "10.0.0.9", &name, 3)
            })
            .collect();
        assert_eq!(kinds("dns_tunnel", &names), []);
        let typed: Vec<Event> = ["facebok", "gogle", "wikipedai", "amazno", "youtub", "microsft"]
            .iter()
            .cycle()
            .take(100)
            .enumerate()
            .map(|(i, word)| answer(i as f64, "10.0.0.9", &format!("{word}.com"), 3))
            .collect();
        assert_eq!(kinds("dns_tunnel", &typed), []);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.dns_tunnel.max_domains = 64;
        let events: Vec<Event> = (0..2_000)
            .map(|i| question(f64::from(i) * 0.01, "10.0.0.9", &format!("a.d{i}.org"), 1))
            .collect();
        assert_eq!(judged(&config, &events).1, 2_000 - 64);
    }
}

mod exfiltration {
    use super::*;

    /// Uploads of so many bytes, one in each interval of five minutes.
    fn uploads(bytes: &[u64], dst: &str) -> Vec<Event> {
        bytes
            .iter()
            .enumerate()
            .map(|(i, &bytes)| {
                let mut key = key("10.0.0.9", dst, 443);
                key.src_port = 1_000 + i as u16;
                session(i as f64 * 300.0, 20.0, "http", key, (bytes, 2_000))
            })
            .collect()
    }

    #[test]
    fn an_upload_beyond_the_past_of_a_host_is_noticed() {
        let mut bytes = vec![2_000_000; 40];
        bytes.push(300_000_000);
        assert_eq!(
            kinds("exfiltration", &uploads(&bytes, "203.0.113.9")),
            [("", Severity::Medium)]
        );
        bytes.push(5_000_000_000);
        assert_eq!(kinds("exfiltration", &uploads(&bytes, "203.0.113.9")), [("", Severity::High)]);
    }

    #[test]
    fn what_is_usual_inside_small_or_not_learned_is_left_alone() {
        let mut bytes = vec![2_000_000; 40];
        bytes.push(300_000_000);
        assert_eq!(kinds("exfiltration", &uploads(&bytes, "10.0.0.20")), [], "a backup inside");
        assert_eq!(kinds("exfiltration", &uploads(&bytes[30..], "203.0.113.9")), [], "too new");
        let mut small = vec![20_000; 40];
        small.push(50_000_000);
        assert_eq!(kinds("exfiltration", &uploads(&small, "203.0.113.9")), [], "little");
        let mut busy = vec![250_000_000; 40];
        busy.push(600_000_000);
        assert_eq!(kinds("exfiltration", &uploads(&busy, "203.0.113.9")), [], "usual");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.exfiltration.max_hosts = 50;
        config.beacon.enabled = false;
        let events: Vec<Event> = (0..1_000u32)
            .map(|i| {
                let src = format!("10.0.{}.{}", i >> 8, i & 255);
                session(f64::from(i) * 0.01, 0.1, "http", key(&src, "203.0.113.9", 443), (9, 9))
            })
            .collect();
        assert_eq!(judged(&config, &events).1, 950);
    }
}

mod layer2 {
    use super::*;
    use Claim::{ArpReply, ArpRequest, Router};

    const GATEWAY: &str = "10.0.0.1";
    const VICTIM: &str = "10.0.0.5";
    const OWN: &str = "10.0.0.66";

    /// The gateway and the victim talk, the attacker is there too.
    fn quiet_link() -> Vec<Event> {
        vec![
            claim(0.0, ArpRequest, 5, VICTIM, GATEWAY),
            claim(0.1, ArpReply, 1, GATEWAY, VICTIM),
            claim(1.0, ArpRequest, 66, OWN, GATEWAY),
            claim(1.1, ArpReply, 1, GATEWAY, OWN),
        ]
    }

    #[test]
    fn forged_answers_are_spoofing() {
        let mut events = quiet_link();
        events.extend((0..5).map(|i| claim(10.0 + f64::from(i), ArpReply, 66, GATEWAY, VICTIM)));
        assert_eq!(kinds("layer2", &events), [("arp_spoofing", Severity::High)]);
        let said = judged(&Config::default(), &events).0;
        assert_eq!(said[0].title, "02:00:00:00:00:42 pretends to be 10.0.0.1");
        assert_eq!((said[0].source, said[0].target), (Some(ip(OWN)), Some(ip(GATEWAY))));
        assert!(!said[0].source_proved);
    }

    #[test]
    fn both_ways_through_a_gateway_are_critical() {
        let mut events = quiet_link();
        // What makes the gateway one: flows from elsewhere come from its Ethernet address.
        let out = (0..4).map(|i| {
            let Event::Flow(mut flow) =
                session(2.0 + f64::from(i), 0.1, "tls", key(VICTIM, "203.0.113.9", 443), (9, 9))
            else {
                unreachable!()
            };
            flow.record.macs = Some((MacAddr([2, 0, 0, 0, 0, 5]), MacAddr([2, 0, 0, 0, 0, 1])));
            Event::Flow(flow)
        });
        events.extend(out);
        for i in 0..6 {
            events.push(claim(10.0 + f64::from(i), ArpReply, 66, GATEWAY, VICTIM));
            events.push(claim(10.5 + f64::from(i), ArpReply, 66, VICTIM, GATEWAY));
        }
        let said = kinds("layer2", &events);
        assert_eq!(said, [("arp_spoofing", Severity::Critical)]);
    }

    #[test]
    fn moves_pairs_of_routers_and_probes_are_left_alone() {
        // An address moves to another host once, which announces it.
        let mut moved = quiet_link();
        moved.extend(
            (0..5).map(|i| claim(10.0 + f64::from(i), ArpReply, 66, "10.0.0.7", "10.0.0.7")),
        );
        moved.push(claim(400.0, ArpReply, 5, "10.0.0.7", "10.0.0.7"));
        moved.push(claim(401.0, ArpReply, 5, "10.0.0.7", "10.0.0.7"));
        assert_eq!(kinds("layer2", &moved), []);
        // Two routers stand in for each other under one Ethernet address of VRRP, and announce it.
        let mut pair = quiet_link();
        for i in 0..10 {
            let Event::Neighbour(mut told) = claim(f64::from(i), ArpReply, 1, GATEWAY, VICTIM)
            else {
                unreachable!()
            };
            told.mac = MacAddr([0, 0, 0x5e, 0, 1, 7]);
            pair.push(Event::Neighbour(told));
        }
        assert_eq!(kinds("layer2", &pair), []);
        // Asking whether an address is free.
        let probes: Vec<Event> =
            (0..5).map(|i| claim(f64::from(i), ArpRequest, 9, "0.0.0.0", VICTIM)).collect();
        assert_eq!(kinds("layer2", &probes), []);
        // Two cards of one host answer whoever asks, each for both addresses.
        let mut cards = vec![
            claim(0.0, ArpReply, 7, "10.0.0.7", VICTIM),
            claim(0.0, ArpReply, 8, "10.0.0.8", VICTIM),
        ];
        for i in 0..2 {
            let time = 1.0 + f64::from(i) * 200.0;
            cards.push(claim(time, ArpRequest, 5, VICTIM, "10.0.0.7"));
            cards.push(claim(time + 0.1, ArpReply, 7, "10.0.0.7", VICTIM));
            cards.push(claim(time + 0.1, ArpReply, 8, "10.0.0.7", VICTIM));
        }
        assert!(!kinds("layer2", &cards).iter().any(|(kind, _)| *kind == "arp_spoofing"));
    }

    #[test]
    fn an_address_that_two_claim_in_turn_is_used_twice() {
        let events: Vec<Event> = (0..8)
            .map(|i| claim(f64::from(i) * 5.0, ArpReply, 7 + i % 2, "10.0.0.7", "10.0.0.7"))
            .collect();
        assert_eq!(kinds("layer2", &events), [("duplicate_address", Severity::Medium)]);
    }

    #[test]
    fn a_new_device_is_told_once_and_not_while_learning() {
        let mut events = quiet_link();
        events.push(claim(4_000.0, ArpRequest, 77, "10.0.0.77", GATEWAY));
        events.push(claim(4_001.0, ArpRequest, 77, "10.0.0.77", GATEWAY));
        assert_eq!(kinds("layer2", &events), [("new_device", Severity::Info)]);
        assert_eq!(judged(&Config::default(), &events).0.len(), 1);
        let mut early = quiet_link();
        early.push(claim(100.0, ArpRequest, 77, "10.0.0.77", GATEWAY));
        assert_eq!(kinds("layer2", &early), []);
    }

    #[test]
    fn a_second_server_of_addresses_is_told() {
        let offer = |seconds: f64, server: &str| {
            let told = Told {
                protocol: "dhcp",
                numbers: vec![(Direction::ToServer, "dhcp.leasetime", 3_600)],
                ..Told::default()
            };
            let key =
                FlowKey { src_port: 67, proto: IpProto::UDP, ..key(server, "255.255.255.255", 68) };
            transaction(seconds, key, Direction::ToServer, told)
        };
        let one: Vec<Event> = (0..9).map(|i| offer(f64::from(i), GATEWAY)).collect();
        assert_eq!(kinds("layer2", &one), []);
        let two = [offer(0.0, GATEWAY), offer(9.0, OWN), offer(10.0, OWN)];
        assert_eq!(kinds("layer2", &two), [("rogue_dhcp", Severity::Medium)]);
        let mut config = Config::default();
        config.layer2.dhcp_servers = vec![ip(GATEWAY)];
        let said = judged(&config, &[offer(0.0, OWN)]).0;
        assert_eq!((said.len(), said[0].severity), (1, Severity::High));
        config.layer2.dhcp_servers.push(ip(OWN));
        assert_eq!(judged(&config, &two).0.len(), 0);
    }

    #[test]
    fn a_second_router_is_told() {
        let one = claim(0.0, Router, 1, "fe80::1", "ff02::1");
        let two = claim(9.0, Router, 66, "fe80::66", "ff02::1");
        let again = claim(10.0, Router, 1, "fe80::1", "ff02::1");
        assert_eq!(kinds("layer2", &[one, again]), []);
        let one = claim(0.0, Router, 1, "fe80::1", "ff02::1");
        assert_eq!(kinds("layer2", &[one, two]), [("rogue_router", Severity::Medium)]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.layer2.max_addresses = 100;
        let events: Vec<Event> = (0..5_000u32)
            .map(|i| {
                let address = format!("10.0.{}.{}", i >> 8, i & 255);
                claim(f64::from(i) * 0.001, ArpReply, 7, &address, "10.9.9.9")
            })
            .collect();
        assert_eq!(judged(&config, &events).1, 4_900);
    }
}

mod hygiene {
    use super::*;

    fn certificate(seconds: f64, from: i64, to: i64, subject: &str, issuer: &str) -> Event {
        let to_client = Direction::ToClient;
        let told = Told {
            protocol: "tls",
            buffers: vec![
                (to_client, "tls.cert_subject", subject.into()),
                (to_client, "tls.cert_issuer", issuer.into()),
            ],
            numbers: vec![
                (to_client, "tls_cert_notbefore", (START as i64 + from) as u64),
                (to_client, "tls_cert_notafter", (START as i64 + to) as u64),
            ],
        };
        transaction(seconds, key("10.0.0.9", "203.0.113.9", 443), to_client, told)
    }

    #[test]
    fn certificates_are_judged_by_time_and_signer() {
        let judge = |event: Event| kinds("hygiene", &[event]);
        let (low, info) = (Severity::Low, Severity::Info);
        assert_eq!(
            judge(certificate(0.0, -900, -100, "CN=a", "CN=ca")),
            [("expired_certificate", low)]
        );
        assert_eq!(
            judge(certificate(0.0, 900, 9_000, "CN=a", "CN=ca")),
            [("early_certificate", low)]
        );
        assert_eq!(
            judge(certificate(0.0, -900, 900, "CN=a", "CN=a")),
            [("self_signed_certificate", info)]
        );
        assert_eq!(judge(certificate(0.0, -900, 900, "CN=a", "CN=ca")), []);
    }

    fn tls(version: u64, cipher: &str) -> Event {
        let to_client = Direction::ToClient;
        let told = Told {
            protocol: "tls",
            buffers: vec![(to_client, "tls.cipher", cipher.into())],
            numbers: vec![(to_client, "tls.version", version)],
        };
        transaction(0.0, key("10.0.0.9", "203.0.113.9", 443), to_client, told)
    }

    #[test]
    fn old_versions_and_weak_ciphers_are_told() {
        let good = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        assert_eq!(kinds("hygiene", &[tls(0x0301, good)]), [("old_tls", Severity::Info)]);
        assert_eq!(kinds("hygiene", &[tls(0x0300, good)]), [("old_tls", Severity::Low)]);
        assert_eq!(kinds("hygiene", &[tls(0x0303, good)]), []);
        assert_eq!(kinds("hygiene", &[tls(0x0304, "TLS_AES_128_GCM_SHA256")]), []);
        for weak in
            ["TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_RSA_WITH_NULL_SHA"]
        {
            assert_eq!(kinds("hygiene", &[tls(0x0303, weak)]), [("weak_cipher", Severity::Low)]);
        }
    }

    #[test]
    fn passwords_in_the_clear_are_told_once() {
        let ftp = key("10.0.0.9", "203.0.113.9", 21);
        let with = |secret: Secret| -> Vec<Event> {
            (0..5)
                .map(|i| {
                    let Event::Login(mut told) =
                        login(f64::from(i), "ftp", ftp, "alice", LoginOutcome::Granted)
                    else {
                        unreachable!()
                    };
                    told.secret = secret;
                    Event::Login(told)
                })
                .collect()
        };
        assert_eq!(
            kinds("hygiene", &with(Secret::Readable)),
            [("clear_text_login", Severity::Low)]
        );
        assert_eq!(judged(&Config::default(), &with(Secret::Readable)).0.len(), 1);
        assert_eq!(kinds("hygiene", &with(Secret::Hidden)), []);
        assert_eq!(kinds("hygiene", &with(Secret::None)), [], "anonymous");
        let telnet = session(0.0, 9.0, "telnet", key("10.0.0.9", "10.0.0.5", 23), (900, 900));
        assert_eq!(kinds("hygiene", &[telnet]), [("clear_text_login", Severity::Low)]);
        let inside = session(0.0, 9.0, "telnet", key("127.0.0.1", "127.0.0.1", 23), (900, 900));
        assert_eq!(kinds("hygiene", &[inside]), []);
    }

    fn ssh(protocol: &str, software: &str) -> Vec<(&'static str, Severity)> {
        let to_client = Direction::ToClient;
        let told = Told {
            protocol: "ssh",
            buffers: vec![
                (to_client, "ssh.proto", protocol.into()),
                (to_client, "ssh.software", software.into()),
            ],
            ..Told::default()
        };
        kinds("hygiene", &[transaction(0.0, key("10.0.0.9", "10.0.0.5", 22), to_client, told)])
    }

    #[test]
    fn old_ssh_is_told() {
        assert_eq!(ssh("1.5", "OpenSSH_3.4"), [("old_ssh", Severity::Low)]);
        assert_eq!(ssh("2.0", "OpenSSH_5.9p1"), [("old_ssh", Severity::Low)]);
        assert_eq!(ssh("2.0", "dropbear_2014.63"), [("old_ssh", Severity::Low)]);
        assert_eq!(ssh("2.0", "OpenSSH_9.2p1"), []);
        assert_eq!(ssh("2.0", "OpenSSH_10.0"), []);
        assert_eq!(ssh("1.99", "Cisco-1.25"), []);
    }

    #[test]
    fn protocols_on_the_ports_of_others_are_told() {
        let on = |app: &'static str, port: u16| {
            kinds(
                "hygiene",
                &[session(0.0, 9.0, app, key("10.0.0.9", "203.0.113.9", port), (900, 900))],
            )
        };
        assert_eq!(on("ssh", 443), [("wrong_port", Severity::Low)]);
        assert_eq!(on("bittorrent", 80), [("wrong_port", Severity::Info)]);
        for (app, port) in [("tls", 443), ("http", 8080), ("websocket", 80), ("ssh", 2222)] {
            assert_eq!(on(app, port), [], "{app} on {port}");
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut config = Config::default();
        config.hygiene.max_remembered = 100;
        config.beacon.enabled = false;
        config.exfiltration.enabled = false;
        let events: Vec<Event> = (0..1_000u32)
            .map(|i| {
                let dst = format!("203.0.{}.{}", i >> 8, i & 255);
                session(f64::from(i), 1.0, "ssh", key("10.0.0.9", &dst, 443), (900, 900))
            })
            .collect();
        assert_eq!(judged(&config, &events).1, 900);
    }
}

mod covert {
    use super::*;
    use Severity::{Low, Medium};

    const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; rv:99.0) Gecko/20100101 Firefox/99.0";
    const OUTSIDE: &str = "203.0.113.80";

    /// A request with these fields, by the names of their buffers.
    fn request(method: &str, host: &str, agent: &str, more: &[(&'static str, &str)]) -> Vec<Event> {
        let way = Direction::ToServer;
        let mut buffers = vec![
            (way, "http.method", method.to_owned()),
            (way, "http.host", host.to_owned()),
            (way, "http.user_agent", agent.to_owned()),
            (way, "http.uri.raw", "/gate".to_owned()),
        ];
        buffers.extend(more.iter().map(|&(name, value)| (way, name, value.to_owned())));
        let said = Told { protocol: "http", buffers, numbers: Vec::new() };
        vec![transaction(1.0, key("10.0.0.9", OUTSIDE, 80), way, said)]
    }

    #[test]
    fn who_calls_itself_a_browser_has_to_speak_like_one() {
        let languages = [("http.accept_lang", "en"), ("http.accept_enc", "gzip")];
        let told = |method, host, more| kinds("covert", &request(method, host, FIREFOX, more));
        assert_eq!(told("POST", "shop.example", &[]), [("false_browser", Low)]);
        assert_eq!(told("POST", OUTSIDE, &[]), [("false_browser", Medium)]);
        assert_eq!(told("GET", OUTSIDE, &[]), [("false_browser", Low)]);
        assert_eq!(told("GET", "shop.example", &[]), []);
        assert_eq!(told("POST", "shop.example", &languages), []);
        assert_eq!(told("POST", "shop.example", &languages[1..]), []);
        // Programs on telephones call themselves so by custom.
        let phone = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/99.0 Mobile";
        assert_eq!(kinds("covert", &request("POST", "shop.example", phone, &[])), []);
        // Once a day for the same two.
        let mut twice = request("POST", OUTSIDE, FIREFOX, &[]);
        twice.extend(request("POST", OUTSIDE, FIREFOX, &[]));
        let said = judged(&Config::default(), &twice).0;
        assert_eq!(said.len(), 1);
        assert!(said[0].source_proved && said[0].title.ends_with("towards 203.0.113.80"));
    }

    #[test]
    fn names_that_look_drawn_are_told_from_those_that_people_give() {
        let told = |agent| kinds("covert", &request("GET", "shop.example", agent, &[]));
        for drawn in ["vBKbaQgjyvRRbcgfvlsc", "pwtyyEKzNtGatwnJjmCcBLbOveCVpc"] {
            assert_eq!(told(drawn), [("made_up_agent", Low)], "{drawn}");
        }
        for given in [
            "",
            "curl/8.4.0",
            "MicroMessenger",
            "NetSupportManager",
            "AppleCoreMedia",
            "UPnPClientXML",
        ] {
            assert_eq!(told(given), [], "{given}");
        }
    }

    #[test]
    fn data_for_an_address_without_a_name_is_noticed() {
        let told = |method, host, more| kinds("covert", &request(method, host, "Client/1.3", more));
        assert_eq!(told("POST", OUTSIDE, &[]), [("nameless_post", Low)]);
        assert_eq!(told("GET", OUTSIDE, &[]), []);
        assert_eq!(told("POST", "shop.example", &[]), []);
        // Somebody is logged on there, or came from a page.
        assert_eq!(told("POST", OUTSIDE, &[("http.cookie", "id=1")]), []);
        // A printer in one's own network.
        let mut inside = request("POST", "10.0.0.7", "CUPS/2.4", &[]);
        let Event::Transaction(tx) = &mut inside[0] else { unreachable!() };
        tx.flow = context(1, key("10.0.0.9", "10.0.0.7", 631));
        assert_eq!(kinds("covert", &inside), []);
    }
}
