use super::*;
use crate::keywords::understand;
use crate::lang::{Headers, Variables, parse_rules};
use crate::state::{FlowVars, Shared};
use crate::{FlowScope, TxScope};
use flowtrack_event::{
    AppProto, AppRecord, Confidence, FlowContext, FlowId, FlowKey, FlowState, IfaceId, IpProto,
    Timestamp, Transaction, Vlans,
};
use flowtrack_wire::{Ip, Network, Packet, Ports, Tcp, Transport};

/// A transaction that holds buffers: name, direction, value.
#[derive(Debug)]
struct Said(&'static str, Vec<(&'static str, Direction, &'static [u8])>);

impl Transaction for Said {
    fn protocol(&self) -> AppProto {
        AppProto(self.0)
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &()
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        for (known, way, value) in &self.1 {
            if *known == name && *way == direction {
                visit(value);
            }
        }
    }
}

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

fn set(rules: &[&str]) -> RuleSet {
    let (rules, problems) = parse_rules("test", &rules.join("\n"));
    assert_eq!(problems, []);
    let mut headers = Headers::new(Variables::default());
    let understood = rules.iter().map(|rule| {
        understand(rule, &mut headers)
            .unwrap_or_else(|error| panic!("{}: {error:?}", rule.text))
            .signature
    });
    RuleSet::compile(understood.collect())
}

/// A flow from 10.0.0.1:4000 to 192.0.2.1:80, and what is judged on it.
struct Bench {
    set: RuleSet,
    inspector: Inspector,
    vars: FlowVars,
    shared: Shared,
    context: FlowContext,
    app: Option<&'static str>,
    proto: u8,
    in_stream: bool,
}

impl Bench {
    fn new(rules: &[&str]) -> Self {
        let key = FlowKey {
            src: [10, 0, 0, 1].into(),
            dst: [192, 0, 2, 1].into(),
            src_port: 4000,
            dst_port: 80,
            proto: IpProto(6),
        };
        let context = FlowContext {
            id: FlowId(1),
            parent: None,
            key,
            vlans: Vlans::default(),
            iface: IfaceId(0),
            start: Timestamp::ZERO,
        };
        Self {
            set: set(rules),
            inspector: Inspector::default(),
            vars: FlowVars::default(),
            shared: Shared::default(),
            context,
            app: None,
            proto: 6,
            in_stream: true,
        }
    }

    /// The identifiers of what matches.
    fn judge(
        &mut self,
        direction: Direction,
        payload: &[u8],
        tx: Option<&dyn Transaction>,
        judge: impl FnOnce(&mut Inspector, &RuleSet, &mut Context<'_>, &mut Vec<Hit>),
    ) -> Vec<u32> {
        let mut key = self.context.key;
        key.proto = IpProto(self.proto);
        if direction == DOWN {
            key = key.reversed();
        }
        let transport = if self.proto == 6 {
            Transport::Tcp(Tcp {
                src: key.src_port,
                dst: key.dst_port,
                seq: 0,
                ack: 0,
                flags: Tcp::ACK,
                window: 0,
                urgent: 0,
                options: &[],
            })
        } else {
            Transport::Udp(Ports { src: key.src_port, dst: key.dst_port })
        };
        let packet = Packet {
            network: Network::Ip(Ip {
                src: key.src,
                dst: key.dst,
                proto: key.proto,
                ttl: 64,
                tos: 0,
                header: &[],
                payload,
                total_len: 40,
                fragment: None,
            }),
            transport,
            payload,
            ..Packet::default()
        };
        let app = self.app.map(|name| AppRecord {
            proto: AppProto(name),
            to_server: None,
            to_client: None,
            original: None,
            expected: None,
            confidence: Confidence::Content,
            looks_random: false,
        });
        let mut cx = Context::new(Timestamp::ZERO, direction, &self.shared);
        cx.key = Some(key);
        cx.packet = Some(&packet);
        cx.in_stream = self.in_stream && self.proto == 6;
        cx.tx =
            tx.map(|transaction| TxScope { id: 0, transaction, files: &[], was_partial: false });
        cx.flow = Some(FlowScope {
            context: &self.context,
            established: true,
            state: FlowState::Established,
            app,
            packets: [1, 1],
            bytes: [0, 0],
            stream_bytes: [0, 0],
            vars: &mut self.vars,
        });
        let mut hits = Vec::new();
        judge(&mut self.inspector, &self.set, &mut cx, &mut hits);
        hits.iter().map(|hit| self.set.get(hit.signature).unwrap().sid()).collect()
    }

    fn packet(&mut self, direction: Direction, payload: &[u8]) -> Vec<u32> {
        self.judge(direction, payload, None, |inspector, set, cx, hits| {
            inspector.packet(set, cx, payload, hits);
        })
    }

    fn stream(&mut self, direction: Direction, bytes: &[u8], offset: u64) -> Vec<u32> {
        self.judge(direction, &[], None, |inspector, set, cx, hits| {
            inspector.stream(set, cx, Window { bytes, offset }, hits);
        })
    }

    fn transaction(&mut self, direction: Direction, said: &Said) -> Vec<u32> {
        self.judge(direction, &[], Some(said), Inspector::transaction)
    }
}

#[test]
fn what_is_judged_on_packets_on_streams_and_on_both() {
    let mut bench = Bench::new(&[
        r#"alert tcp any any -> any any (content:"abcd"; sid:1;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; depth:4; sid:2;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; dsize:4; sid:3;)"#,
        r#"alert tcp-pkt any any -> any any (content:"abcd"; sid:4;)"#,
        r#"alert tcp-stream any any -> any any (content:"abcd"; depth:4; sid:5;)"#,
        r#"alert udp any any -> any any (content:"abcd"; sid:6;)"#,
        r#"alert ip any any -> any any (content:"abcd"; sid:7;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; startswith; sid:8;)"#,
    ]);
    assert_eq!(bench.packet(UP, b"abcd"), [2, 3, 4, 8]);
    assert_eq!(bench.stream(UP, b"abcd", 0), [1, 2, 5, 7, 8]);
    assert_eq!(bench.stream(UP, b"abcd", 10), [1, 7]);
    // What is part of no stream is judged as if it were one.
    bench.in_stream = false;
    assert_eq!(bench.packet(UP, b"abcd"), [1, 2, 3, 4, 5, 7, 8]);
    bench.proto = 17;
    assert_eq!(bench.packet(UP, b"abcd"), [6, 7]);
}

#[test]
fn a_packet_does_not_repeat_what_its_stream_hit() {
    let mut bench =
        Bench::new(&[r#"alert tcp any any -> any any (content:"abcd"; depth:4; sid:1;)"#]);
    let found = bench.judge(UP, b"abcd", None, |inspector, set, cx, hits| {
        inspector.stream(set, cx, Window { bytes: b"abcd", offset: 0 }, hits);
        inspector.packet(set, cx, b"abcd", hits);
    });
    assert_eq!(found, [1]);
}

#[test]
fn directions_addresses_and_ports() {
    let mut bench = Bench::new(&[
        r#"alert tcp any any -> any any (flow:to_server; content:"abcd"; sid:1;)"#,
        r#"alert tcp any any -> any any (flow:to_client; content:"abcd"; sid:2;)"#,
        r#"alert tcp 10.0.0.0/8 any -> any 80 (content:"abcd"; sid:3;)"#,
        r#"alert tcp any 80 -> 10.0.0.0/8 any (content:"abcd"; sid:4;)"#,
        r#"alert tcp any any <> any 80 (content:"abcd"; sid:5;)"#,
        r#"alert tcp any any -> any 443 (content:"abcd"; sid:6;)"#,
    ]);
    assert_eq!(bench.stream(UP, b"abcd", 0), [1, 3, 5]);
    assert_eq!(bench.stream(DOWN, b"abcd", 0), [2, 4, 5]);
}

#[test]
fn transactions_are_judged_by_direction() {
    let mut bench = Bench::new(&[
        r#"alert http any any -> any any (http.uri; content:"/evil"; sid:1;)"#,
        r#"alert http any any -> any any (http.stat_code; content:"200"; sid:2;)"#,
        r#"alert http any any -> any any (http.header; content:"X-A"; sid:3;)"#,
        r#"alert http any any => any any (http.uri; content:"/evil"; http.stat_code; content:"200"; sid:4;)"#,
        r#"alert dns any any -> any any (dns.query; content:"evil"; sid:5;)"#,
        r#"alert tls any any -> any any (tls.sni; content:"evil"; sid:6;)"#,
        r#"alert http any any -> any any (http.referer; absent; http.uri; content:"/evil"; sid:7;)"#,
        r#"alert http any any -> any any (content:"/EVIL"; nocase; http_uri; content:!"x"; http_uri; sid:8;)"#,
    ]);
    bench.app = Some("http");
    let said = Said(
        "http",
        vec![
            ("http.uri", UP, b"/evil"),
            ("http.header", UP, b"X-A: 1\r\n"),
            ("http.header", DOWN, b"X-A: 2\r\n"),
            ("http.stat_code", DOWN, b"200"),
        ],
    );
    assert_eq!(bench.transaction(UP, &said), [1, 3, 7, 8]);
    assert_eq!(bench.transaction(DOWN, &said), [2, 3, 4]);
    let dns = Said("dns", vec![("dns.query", UP, b"an.evil.example")]);
    assert_eq!(bench.transaction(UP, &dns), [5]);
}

#[test]
fn each_value_of_a_buffer_is_searched_on_its_own() {
    let mut bench = Bench::new(&[
        r#"alert dns any any -> any any (dns.query; content:"first"; content:"second"; sid:1;)"#,
        r#"alert dns any any -> any any (dns.query; content:"first"; dns.query; content:"second"; sid:2;)"#,
        r#"alert dns any any -> any any (dns.query; dotprefix; content:".first."; startswith; sid:3;)"#,
        r#"alert dns any any -> any any (dns.query; bsize:13; content:"second"; sid:4;)"#,
    ]);
    let said = Said(
        "dns",
        vec![("dns.query", UP, b"first.example"), ("dns.query", UP, b"second.nowhere")],
    );
    assert_eq!(bench.transaction(UP, &said), [2, 3]);
}

#[test]
fn payload_and_transaction_of_one_signature() {
    let mut bench = Bench::new(&[
        r#"alert http any any -> any any (content:"abcd"; http.uri; content:"/evil"; sid:1;)"#,
        r#"alert http any any -> any any (content:"abcd"; sid:2;)"#,
    ]);
    let said = Said("http", vec![("http.uri", UP, b"/evil")]);
    assert_eq!(bench.transaction(UP, &said), []);
    assert_eq!(bench.stream(UP, b"abcd", 0), [], "no HTTP yet");
    bench.app = Some("http");
    assert_eq!(bench.stream(UP, b"abcd", 0), [2]);
    assert_eq!(bench.transaction(UP, &said), [1]);
}

#[test]
fn what_writes_is_judged_before_what_reads() {
    let mut bench = Bench::new(&[
        r#"alert tcp any any -> any any (content:"abcd"; flowbits:isset,a; sid:1;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; flowbits:set,a; sid:2;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; priority:2; sid:3;)"#,
        r#"alert tcp any any -> any any (content:"abcd"; priority:1; sid:4;)"#,
        r#"pass tcp any any -> any any (content:"abcd"; priority:4; sid:5;)"#,
    ]);
    assert_eq!(bench.stream(UP, b"abcd", 0), [5, 2, 1, 4, 3]);
}

#[test]
fn a_mark_awakens_those_without_a_pattern() {
    let mut bench = Bench::new(&[
        "alert tcp any any -> any any (content:\"one\"; flowbits:set,x; sid:1;)",
        "alert tcp any any -> any any (flowbits:isset,x; flowbits:set,y; dsize:>1; sid:2;)",
        "alert tcp any any -> any any (flowbits:isset,y; dsize:>2; sid:3;)",
        "alert tcp any any -> any any (flowbits:isset,z; dsize:>2; sid:4;)",
    ]);
    bench.in_stream = false;
    assert_eq!(bench.packet(UP, b"two"), []);
    assert_eq!(bench.packet(UP, b"one"), [1, 2, 3], "in the same packet");
    assert_eq!(bench.packet(DOWN, b"two"), [2, 3], "and in later ones");
    assert_eq!(bench.packet(DOWN, b"12"), [2]);
}

#[test]
fn the_part_about_the_payload_is_of_its_own_addresses() {
    let rule = |sid: u32, to: &str, header: &str| {
        format!(
            "alert http any any -> {to} any (flow:to_server; content:!\"x\"; \
             http.uri; content:\"{header}\"; sid:{sid};)"
        )
    };
    let rules = [rule(1, "192.0.2.1", "a"), rule(2, "192.0.2.2", "a"), rule(3, "192.0.2.1", "b")];
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    let mut bench = Bench::new(&rules);
    bench.app = Some("http");
    let said = Said("http", vec![("http.uri", UP, b"a")]);
    assert_eq!(bench.stream(UP, b"x", 0), []);
    assert_eq!(bench.transaction(UP, &said), [], "its payload is not there");
    assert_eq!(bench.stream(UP, b"y", 1), []);
    assert_eq!(bench.transaction(UP, &said), [1]);
}

#[test]
fn without_a_pattern_everything_is_judged() {
    let mut bench = Bench::new(&[
        r#"alert tcp any any -> any any (pcre:"/^a.c/"; sid:1;)"#,
        r#"alert tcp any any -> any any (content:!"x"; sid:2;)"#,
        r#"alert http any any -> any any (http.uri; pcre:"/e.il/"; sid:3;)"#,
    ]);
    assert_eq!(bench.stream(UP, b"abcd", 0), [1, 2]);
    assert_eq!(bench.transaction(UP, &Said("http", vec![("http.uri", UP, b"/evil")])), [3]);
    assert_eq!(bench.inspector.counters().hits, 3);
}

proptest::proptest! {
    /// The groups find what judging every signature finds.
    #[test]
    fn nothing_is_lost_to_the_groups(
        contents in proptest::collection::vec(("[ab]{1,6}", proptest::bool::ANY, proptest::bool::ANY), 1..12),
        text in "[abAB]{0,40}",
    ) {
        let rules: Vec<String> = contents
            .iter()
            .enumerate()
            .map(|(at, (content, nocase, negated))| {
                let (no, case) = (if *negated { "!" } else { "" }, if *nocase { "nocase;" } else { "" });
                format!("alert tcp any any -> any any (content:{no}\"{content}\"; {case} sid:{};)", at + 1)
            })
            .collect();
        let mut bench = Bench::new(&rules.iter().map(String::as_str).collect::<Vec<_>>());
        let mut found = bench.stream(UP, text.as_bytes(), 0);
        found.sort_unstable();
        let expected: Vec<u32> = (1u32..)
            .zip(&contents)
            .filter(|(_, (content, nocase, negated))| {
                let there = if *nocase {
                    text.to_ascii_lowercase().contains(content)
                } else {
                    text.contains(content.as_str())
                };
                there != *negated
            })
            .map(|(sid, _)| sid)
            .collect();
        proptest::prop_assert_eq!(found, expected);
    }
}
