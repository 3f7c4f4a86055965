//! A filter means the same in memory and in SQLite.

mod support;

use flowtrack_event::{
    AppProto, AppRecord, Confidence, EndReason, FlowPhase, FlowRecord, FlowState, IpProto,
    Timestamp,
};
use flowtrack_filter::{FIELDS, Filter};
use flowtrack_store::history::{HistoryConfig, Query};
use flowtrack_store::{History as _, SqliteHistory};
use proptest::prelude::*;
use std::net::IpAddr;
use support::{flow, record, transaction};

const ADDRESSES: [&str; 8] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.1",
    "192.0.2.7",
    "255.255.255.255",
    "2001:db8::1",
    "::1",
    "::ffff:10.0.0.1",
];
const NAMES: [&str; 5] = ["www.example.org", "WWW.EXAMPLE.COM", "50%_off", "über.example", "a\\b"];
const LINES: [&str; 4] = ["GET /Index.html 200", "A example.org", "ÄÖ % _ * ?", "x"];
const PORTS: [u16; 5] = [0, 53, 80, 443, 65_535];

/// Flows that agree in many of their values, so that filters divide them.
fn any_flow() -> impl Strategy<Value = (FlowRecord, Option<usize>, Option<usize>, FlowPhase)> {
    let index = |n: usize| 0..n;
    (
        (index(8), index(8), index(5), index(5), index(5)),
        (0_u64..4, 0_u64..3, 0_i64..5, 0_u64..20_000_000, index(3)),
        (
            prop::option::of(index(5)),
            prop::option::of(index(4)),
            prop::option::of(0_u16..3),
            prop::option::of(index(3)),
            prop::option::of(0_u32..3),
        ),
        (any::<bool>(), prop::option::of(index(3))),
    )
        .prop_map(|(ends, counts, maybe, rest)| {
            let (src, dst, sport, dport, proto) = ends;
            let (packets, retrans, start, long, state) = counts;
            let (name, line, vlan, app, rtt) = maybe;
            let (alerted, end) = rest;
            let address = |i: usize| ADDRESSES[i].parse::<IpAddr>().unwrap();
            let mut r = record(packets, Timestamp::from_secs(1_772_366_398 + start));
            r.key.src = address(src);
            r.key.dst = address(dst);
            r.key.src_port = PORTS[sport];
            r.key.dst_port = PORTS[dport];
            r.key.proto =
                [IpProto::TCP, IpProto::UDP, IpProto::ICMP, IpProto::ICMPV6, IpProto(99)][proto];
            // Past the first checkpoint, so that living flows have rows too.
            r.end = r.start.plus(std::time::Duration::from_micros(31_000_000 + long));
            r.to_server.packets = packets;
            r.to_server.bytes = packets * 1_000;
            r.to_client.packets = retrans;
            r.to_client.bytes = retrans * 1_500;
            r.to_client.retransmissions = retrans as u32;
            r.state = [FlowState::New, FlowState::Established, FlowState::Closed][state];
            r.latency.handshake_server_us = rtt.map(|n| n * 100_000);
            r.alerted = alerted;
            if let Some(vlan) = vlan {
                r.vlans.push(vlan);
            }
            r.app = app.map(|i| AppRecord {
                proto: AppProto(["tls", "dns", "HTTP"][i]),
                to_server: None,
                to_client: None,
                original: None,
                expected: None,
                confidence: Confidence::Content,
                looks_random: false,
            });
            let reasons = [EndReason::Timeout, EndReason::Evicted, EndReason::Shutdown];
            let phase = end.map_or(FlowPhase::Update, |i| FlowPhase::End(reasons[i]));
            (r, name, line, phase)
        })
}

/// Filters of all fields and operators, with values that occur.
fn any_filter() -> impl Strategy<Value = String> {
    let compare = (prop::sample::select(FIELDS), 0..10_usize, 0..12_usize, 0..12_usize).prop_map(
        |(field, op, a, b)| {
            let values = values(field.name);
            let (a, b) = (&values[a % values.len()], &values[b % values.len()]);
            match op {
                0 | 1 => format!("{} = {a}", field.name),
                2 => format!("{} != {a}", field.name),
                3 => format!("{} in ({a}, {b})", field.name),
                4 => format!("{} not in ({a}, {b})", field.name),
                5 => format!("{} contains {a}", field.name),
                6 => format!("{} ~ {a}", field.name),
                7 => format!("{} !~ \"*{}\"", field.name, b.trim_matches('"')),
                8 => format!("{} >= {a}", field.name),
                _ => format!("{} < {b}", field.name),
            }
        },
    );
    let bare = prop::sample::select(vec![
        "10.0.0.0/24",
        "443",
        "tcp",
        "example",
        "*.example.*",
        "\"%\"",
        "_",
        "10.0.0.1:443",
        "alerted",
        "80-443",
        "\"\\\\\"",
        "x",
        "::/0",
    ]);
    let leaf = prop_oneof![4 => compare, 1 => bare.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

fn values(field: &str) -> Vec<String> {
    let texts =
        |texts: &[&str]| texts.iter().map(|t| format!("\"{}\"", t.replace('\\', "\\\\"))).collect();
    match field {
        "src_ip" | "dest_ip" => {
            let mut all: Vec<String> = ADDRESSES.map(str::to_owned).to_vec();
            all.extend([
                "10.0.0.0/23".into(),
                "::/0".into(),
                "0.0.0.0/0".into(),
                "::ffff:0:0/96".into(),
            ]);
            all
        }
        "host" => {
            let mut all: Vec<String> = ADDRESSES.map(str::to_owned).to_vec();
            all.extend(["10.0.0.0/8".into(), "www.example.com".into()]);
            all
        }
        "port" | "src_port" | "dest_port" => {
            ["0", "53", "80", "443", "65535", "80-443"].map(str::to_owned).to_vec()
        }
        "name" | "src_name" | "dest_name" => {
            texts(&["www.example.org", "*EXAMPLE*", "50%_off", "%", "über*", "a\\b", "?\\?", ""])
        }
        "info" => texts(&["get /index.html 200", "A*", "*%*", "_", "äö", "ÄÖ", "?", "x"]),
        "app_proto" => texts(&["tls", "DNS", "http", "*t*", ""]),
        "proto" => ["tcp", "udp", "1", "58", "icmp6", "99"].map(str::to_owned).to_vec(),
        "state" => ["new", "established", "CLOSED"].map(str::to_owned).to_vec(),
        "reason" => ["timeout", "forced", "shutdown", "interrupted"].map(str::to_owned).to_vec(),
        "conn_state" => ["sf", "S0"].map(str::to_owned).to_vec(),
        "history" => texts(&["ShADadFf", "s*", "x"]),
        "in_iface" => texts(&["eth0", "eth1"]),
        "duration" | "rtt_server" | "rtt_client" | "response" => {
            ["0", "100ms", "300us", "31s", "40s"].map(str::to_owned).to_vec()
        }
        "start" | "end" => ["2026-03-01", "2026-03-01T12:00", "2026-03-01T12:00:00", "2026-02-28"]
            .map(str::to_owned)
            .to_vec(),
        "alerted" => ["true", "no"].map(str::to_owned).to_vec(),
        "community_id" => texts(&["1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:*", "*a*"]),
        _ => ["0", "1", "2", "1000", "2500"].map(str::to_owned).to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_database_agree(
        flows in prop::collection::vec(any_flow(), 1..40),
        filters in prop::collection::vec(any_filter(), 20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let mut history = SqliteHistory::open(&path, HistoryConfig::default()).unwrap();
        history.set_interfaces(vec!["eth0".into()]);
        for (n, (mut record, name, line, phase)) in flows.into_iter().enumerate() {
            record.id.0 = n as u64;
            let name = name.map_or("", |i| NAMES[i]);
            let line = line.map_or("", |i| LINES[i]);
            history.append(&[transaction(&record, name, line), flow(record, phase)]).unwrap();
        }
        let all = history.query(&Query { limit: 100, ..Query::default() }).unwrap().rows;
        let mut asked = 0;
        for text in filters {
            // Not every operator goes with every field.
            let Ok(filter) = Filter::parse(&text) else { continue };
            asked += 1;
            let in_memory: Vec<_> = all.iter().filter(|row| filter.matches(*row)).collect();
            let query = Query { filter, limit: 100, ..Query::default() };
            let in_database = history.query(&query).unwrap().rows;
            prop_assert_eq!(in_memory, in_database.iter().collect::<Vec<_>>(), "{}", text);
        }
        prop_assert!(asked > 0);
    }
}
