//! Events for tests: a small office's minute, and strings that try to break out of any form.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use flowtrack_detect::alerts::{AlertBook, AlertRecord};
use flowtrack_event::{
    AlertEnds, Anomaly, AnomalyLayer, AppProto, AppRecord, BlockEvent, BlockPhase, BookStats,
    CertificateFacts, Confidence, ConnState, DetectStats, Detection, DetectorStats, Direction,
    Encryption, EndReason, Event, Evidence, FileRecord, FileState, FileStoreStats, FlowContext,
    FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, FlowState, Icmp, IfaceId, IpProto, Latency,
    LedgerRow, LinkType, MacAddr, RecordStats, Rtt, Second, Severity, Share, SideRecord, Stats,
    TaggedPacket, TcpRecord, TcpState, Technique, Timestamp, Transaction, TransactionEvent,
    TunnelKind, Vlans,
};
use serde::Serialize;
use serde_json::{Value, json};

/// 2026-01-01T09:00:00Z.
pub const START: i64 = 1_767_258_000;

/// Strings of the wire that try to become markup, a script, a command or a formula.
pub const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; DROP TABLE flows; --",
    "]]></style><svg onload=alert(1)>",
    "=cmd|'/c calc'!A1",
    " +1+1",
    "\t@SUM(A1)",
    "\"-2+3",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "a\r\nb\u{2028}c\u{0}d",
    "\u{202e}txt.exe",
    "{{ 7*7 }}",
    "&lt;already&gt;",
];

pub fn at(secs: i64, micros: i64) -> Timestamp {
    Timestamp::from_micros((START + secs) * 1_000_000 + micros)
}

pub fn key(src: &str, src_port: u16, dst: &str, dst_port: u16, proto: IpProto) -> FlowKey {
    FlowKey { src: ip(src), dst: ip(dst), src_port, dst_port, proto }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn app(name: &'static str) -> AppRecord {
    AppRecord {
        proto: AppProto(name),
        to_server: None,
        to_client: None,
        original: None,
        expected: None,
        confidence: Confidence::Content,
        looks_random: false,
    }
}

/// A TCP flow that went well, with every number set.
pub fn tcp_flow() -> FlowRecord {
    let rtt = |mean: u32| Rtt {
        min_us: mean / 2,
        max_us: mean * 3,
        sum_us: u64::from(mean) * 8,
        count: 8,
    };
    FlowRecord {
        id: FlowId(1_234_567_890_123_456),
        parent: None,
        tunnel: None,
        key: key("192.168.1.10", 49_152, "203.0.113.80", 443, IpProto::TCP),
        vlans: Vlans::default(),
        iface: IfaceId(0),
        macs: Some((MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 0xfe]))),
        start: at(0, 250_000),
        end: at(12, 750_001),
        to_server: SideRecord {
            packets: 20,
            bytes: 2_400,
            ip_bytes: 2_120,
            payload_bytes: 1_050,
            rtt: rtt(18_000),
            ..SideRecord::default()
        },
        to_client: SideRecord {
            packets: 30,
            bytes: 41_000,
            ip_bytes: 40_580,
            payload_bytes: 39_000,
            retransmissions: 2,
            out_of_order: 1,
            lost_segments: 1,
            lost_bytes: 1_448,
            zero_windows: 1,
            rtt: rtt(700),
        },
        state: FlowState::Closed,
        conn_state: ConnState::Sf,
        history: b"ShADadFf".iter().copied().collect(),
        tcp: Some(TcpRecord {
            state: TcpState::Closed,
            flags_to_server: 0x1b,
            flags_to_client: 0x5b,
            gap_to_server: false,
            gap_to_client: true,
            midstream: false,
        }),
        icmp: None,
        latency: Latency {
            handshake_client_us: Some(210),
            handshake_server_us: Some(18_450),
            response_us: Some(21_000),
        },
        app: Some(app("tls")),
        tx_count: 1,
        alerted: false,
        remembered: None,
    }
}

/// A UDP flow of one question and one answer.
pub fn udp_flow() -> FlowRecord {
    FlowRecord {
        id: FlowId(2),
        key: key("192.168.1.10", 53_124, "192.168.1.1", 53, IpProto::UDP),
        start: at(0, 100_000),
        end: at(0, 112_000),
        to_server: SideRecord {
            packets: 1,
            bytes: 75,
            ip_bytes: 61,
            payload_bytes: 33,
            ..SideRecord::default()
        },
        to_client: SideRecord {
            packets: 1,
            bytes: 91,
            ip_bytes: 77,
            payload_bytes: 49,
            ..SideRecord::default()
        },
        state: FlowState::Established,
        conn_state: ConnState::Sf,
        history: b"Dd".iter().copied().collect(),
        tcp: None,
        latency: Latency { response_us: Some(12_000), ..Latency::default() },
        app: Some(app("dns")),
        ..tcp_flow()
    }
}

/// An echo inside a VXLAN tunnel over IPv6, on two VLANs.
pub fn icmp_flow() -> FlowRecord {
    let mut vlans = Vlans::default();
    vlans.push(10);
    vlans.push(200);
    FlowRecord {
        id: FlowId(3),
        parent: Some(FlowId(7)),
        tunnel: Some(TunnelKind::Vxlan),
        key: key("2001:db8::1", 128 << 8, "2001:db8::2", 77, IpProto::ICMPV6),
        vlans,
        start: at(3, 0),
        end: at(3, 4_200),
        to_server: SideRecord {
            packets: 1,
            bytes: 118,
            ip_bytes: 104,
            payload_bytes: 56,
            ..SideRecord::default()
        },
        to_client: SideRecord {
            packets: 1,
            bytes: 118,
            ip_bytes: 104,
            payload_bytes: 56,
            ..SideRecord::default()
        },
        state: FlowState::Established,
        conn_state: ConnState::Oth,
        history: smallvec::SmallVec::new(),
        tcp: None,
        icmp: Some(Icmp { request: (128, 0), response: Some((129, 0)) }),
        latency: Latency { response_us: Some(4_200), ..Latency::default() },
        app: None,
        tx_count: 0,
        ..tcp_flow()
    }
}

pub fn ended(record: FlowRecord, reason: EndReason) -> Event {
    let ts = record.end;
    Event::Flow(Box::new(FlowEvent { ts, phase: FlowPhase::End(reason), record }))
}

pub fn context(flow: &FlowRecord) -> FlowContext {
    FlowContext {
        id: flow.id,
        parent: flow.parent,
        key: flow.key,
        vlans: flow.vlans,
        iface: flow.iface,
        start: flow.start,
    }
}

/// A transaction with any record.
#[derive(Debug)]
pub struct Sample {
    pub protocol: AppProto,
    pub record: Value,
    pub names: Vec<(IpAddr, String)>,
}

impl Transaction for Sample {
    fn protocol(&self) -> AppProto {
        self.protocol
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &self.record
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        for (addr, name) in &self.names {
            visit(*addr, name);
        }
    }

    fn summary(&self) -> String {
        self.names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// A handshake of TLS, `days` into the 90 of its certificate.
#[derive(Debug)]
pub struct Handshake {
    pub version: &'static str,
    pub cipher: &'static str,
    pub host: &'static str,
    pub days: i64,
}

impl Transaction for Handshake {
    fn protocol(&self) -> AppProto {
        AppProto("tls")
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &self.host
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        let not_before = at(0, 0).secs() - self.days * 86_400;
        Some(Encryption {
            version: Some(self.version.into()),
            cipher: Some(self.cipher.into()),
            client: Some("t13d1516h2_8daaf6152771_b186095e22b6"),
            server_name: Some(self.host.into()),
            certificate: Some(CertificateFacts {
                fingerprint: self.host,
                subject: "CN=www.example.org",
                issuer: "C=US, O=An Authority, CN=R3",
                not_before,
                not_after: not_before + 90 * 86_400,
                is_self_signed: false,
                is_for_name: Some(true),
            }),
            has_ech: self.days == 1,
        })
    }
}

/// A record that refuses to be written.
#[derive(Debug)]
pub struct Broken;

impl Serialize for Broken {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

impl Transaction for Broken {
    fn protocol(&self) -> AppProto {
        AppProto("dns")
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }
}

pub fn transaction(flow: &FlowRecord, what: impl Transaction + 'static) -> Event {
    Event::Transaction(Box::new(TransactionEvent {
        ts: flow.end,
        packet: 12,
        flow: Arc::new(context(flow)),
        direction: Direction::ToClient,
        tx_id: 0,
        transaction: Arc::new(what),
    }))
}

pub fn dns() -> Sample {
    Sample {
        protocol: AppProto("dns"),
        record: json!({
            "version": 3, "type": "response", "id": 4242, "flags": "8180", "qr": true, "rd": true,
            "ra": true, "opcode": 0, "rcode": "NOERROR", "rtt_us": 12_000,
            "queries": [{"rrname": "www.example.org", "rrtype": "A"}],
            "answers": [{"rrname": "www.example.org", "rrtype": "A", "ttl": 300, "rdata": "203.0.113.80"}],
        }),
        names: vec![(ip("203.0.113.80"), "www.example.org".to_owned())],
    }
}

/// A transaction whose strings try to break out.
pub fn hostile() -> Sample {
    Sample {
        protocol: AppProto("http"),
        record: json!({
            "hostname": HOSTILE[0], "url": HOSTILE[1], "http_user_agent": HOSTILE.concat(),
            "http_method": "GET", "protocol": "HTTP/1.1", "status": 200, "length": 17,
        }),
        names: vec![
            (ip("203.0.113.80"), HOSTILE[0].to_owned()),
            (ip("192.168.1.1"), HOSTILE[8].to_owned()),
            (ip("192.168.1.10"), HOSTILE[10].to_owned()),
        ],
    }
}

pub fn file() -> Event {
    let flow = tcp_flow();
    Event::File(Box::new(FileRecord {
        ts: at(5, 1),
        flow: context(&flow),
        direction: Direction::ToClient,
        app: AppProto("http"),
        tx_id: 3,
        filename: b"/down/a\xff\"<b>.exe".to_vec(),
        start: Some(100),
        end: Some(1_123),
        size: 1_024,
        magic: Some("application/x-dosexec"),
        description: None,
        state: FileState::Closed,
        gaps: false,
        md5: Some([0x0f; 16]),
        sha1: Some([0xa0; 20]),
        sha256: Some([0xff; 32]),
        content: None,
        wanted: true,
        stored: false,
        file_id: None,
    }))
}

pub fn anomalies() -> Vec<Event> {
    let flow = Some(context(&tcp_flow()));
    let anomaly = |layer, name, app, packet, flow| {
        Event::Anomaly(Box::new(Anomaly {
            ts: at(1, 2),
            layer,
            name,
            app,
            packet,
            flow,
            tx_id: None,
        }))
    };
    vec![
        anomaly(AnomalyLayer::Decode, "ipv4.trunc_pkt", None, 5, None),
        anomaly(AnomalyLayer::Stream, "stream.pkt_broken_ack", None, 6, flow.clone()),
        anomaly(AnomalyLayer::Applayer, "http.invalid_status", Some(AppProto("http")), 7, flow),
    ]
}

/// Counters with a value of its own in every field that `minute` does not explain.
pub fn stats() -> Stats {
    let mut stats = Stats { at: at(59, 999_999), uptime: 60, ..Stats::default() };
    stats.capture.kernel_packets = 120;
    stats.capture.kernel_drops = 1;
    stats.decoder.pkts = 113;
    stats.decoder.bytes = 44_300;
    stats.decoder.ethernet = 113;
    stats.decoder.arp = 10;
    stats.decoder.ieee80211 = 1;
    stats.decoder.max_pkt_size = 1_514;
    stats.flow.total = 3;
    stats.flow.tcp = 1;
    stats.tcp.sessions = 1;
    stats.tcp.retransmissions = 2;
    stats.defrag.ipv4_fragments = 4;
    stats.defrag.ipv4_reassembled = 2;
    stats.recorder = Some(RecordStats { packets: 110, bytes: 44_000, ..RecordStats::default() });
    stats.file_store =
        Some(FileStoreStats { stored: 2, bytes: 1_024, ..FileStoreStats::default() });
    stats.detect = Some(DetectStats { alert: 1, ..DetectStats::default() });
    stats.alerts = Some(BookStats {
        reports: 12,
        opened: 3,
        folded: 9,
        crowded: 2,
        open: 3,
        ..BookStats::default()
    });
    stats.detectors = Some(DetectorStats { told: 2, repeated: 5, left_out: 40, forgotten: 3 });
    stats.ledger.seen = LedgerRow { packets: 113, bytes: 44_300 };
    stats.ledger.on_flows = LedgerRow { packets: 103, bytes: 43_700 };
    stats.ledger.rest.insert("arp", LedgerRow { packets: 10, bytes: 600 });
    stats.ledger.synthetic = LedgerRow { packets: 2, bytes: 236 };
    stats.anomalies.insert("ipv4.trunc_pkt", 3);
    stats.anomalies.insert("udp.len_invalid", 1);
    stats.anomalies.insert("stream.pkt_broken_ack", 2);
    stats.anomalies.insert("http.invalid_status", 1);
    stats.anomalies.insert("ieee80211.pkt_too_small", 1);
    stats.app_flows.insert("tls", 1);
    stats.app_flows.insert("dns", 1);
    stats.app_transactions.insert("dns", 1);
    stats.app_transactions.insert("http", 1);
    stats.unknown_links.insert(249, 2);
    stats
}

/// What the book of alerts makes of these events.
pub fn findings(events: &[Event]) -> Vec<Arc<AlertRecord>> {
    let mut book = AlertBook::new(flowtrack_detect::alerts::Config::default());
    book.take(events);
    book.drain(usize::MAX).into_iter().map(|change| change.alert).collect()
}

/// A scan, with a name that would like to be markup.
pub fn detection() -> Event {
    Event::Detection(Box::new(Detection {
        ts: at(30, 500_000),
        detector: "port_scan",
        kind: "vertical",
        sid: 101,
        title: "192.168.1.66 scans ports of 192.168.1.10 <b>".to_owned(),
        explanation: "One host tries many ports of another: it looks for a way in.".to_owned(),
        severity: Severity::High,
        category: "reconnaissance",
        technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
        source: Some(ip("192.168.1.66")),
        target: Some(ip("192.168.1.10")),
        target_port: None,
        proto: Some(IpProto::TCP),
        first_seen: at(29, 0),
        last_seen: at(30, 400_000),
        count: 120,
        evidence: vec![
            ("ports".into(), Evidence::Count(100)),
            ("rate per second".into(), Evidence::Number(85.5)),
            ("some ports".into(), Evidence::List(vec!["22".to_owned(), "80".to_owned()])),
        ],
        flows: vec![FlowId(101), FlowId(102)],
        source_proved: true,
    }))
}

/// A packet that a signature asked for.
pub fn tagged() -> Event {
    let flow = udp_flow();
    Event::Packet(Box::new(TaggedPacket {
        ts: at(30, 5),
        packet: 12,
        ends: AlertEnds { key: Some(flow.key.reversed()), direction: Direction::ToClient },
        flow: Some(Arc::new(context(&flow))),
        link: LinkType::ETHERNET,
        frame: (*b"some frame").into(),
    }))
}

/// The block that follows.
pub fn block() -> Event {
    Event::Block(Box::new(BlockEvent {
        ts: at(31, 0),
        phase: BlockPhase::Added,
        what: "192.168.1.66".to_owned(),
        who: "port_scan".to_owned(),
        why: "192.168.1.66 scans ports".to_owned(),
        until: Some(at(59, 0)),
        packets: 0,
        bytes: 0,
    }))
}

/// One of every kind of event that EVE has.
pub fn one_of_each() -> Vec<Event> {
    let mut events = vec![
        ended(tcp_flow(), EndReason::Timeout),
        ended(udp_flow(), EndReason::Shutdown),
        ended(icmp_flow(), EndReason::Evicted),
        transaction(&udp_flow(), dns()),
        transaction(&tcp_flow(), hostile()),
        file(),
    ];
    events.extend(anomalies());
    events.push(tagged());
    events.push(detection());
    events.push(block());
    events.push(Event::Stats(Box::new(stats())));
    events
}

/// A minute of an office: traffic that swells and ebbs, some hosts, one slow server, some loss.
pub fn office() -> Vec<Event> {
    let mut events = vec![transaction(&udp_flow(), dns())];
    let mut on_flows = LedgerRow::default();
    let apps = [("tls", 443), ("http", 80), ("ssh", 22), ("smb", 445), ("smtp", 25)];
    for n in 0_u32..200 {
        let (name, port) = apps[(n * n * 3 % 7 % 5) as usize];
        let mut flow = tcp_flow();
        flow.id = FlowId(100 + u64::from(n));
        flow.key.src = ip(&format!("192.168.1.{}", 10 + n * 7 % 23));
        flow.key.dst = ip(&format!("203.0.113.{}", 80 + n * n % 9));
        flow.key.dst_port = port;
        flow.key.src_port = 40_000 + n as u16;
        flow.start = at(i64::from(n % 50), i64::from(n) * 977);
        flow.end = at(i64::from(n % 50 + 9), 0);
        flow.to_client.bytes = 9_000 + u64::from(n) * u64::from(n) * 25;
        flow.to_client.packets = flow.to_client.bytes / 900;
        flow.latency.handshake_server_us = Some(4_000 + n * n * 9);
        flow.conn_state = match n % 10 {
            0 => ConnState::S0,
            1 => ConnState::Rej,
            2 => ConnState::Rsto,
            _ => ConnState::Sf,
        };
        flow.app = Some(app(name));
        if name == "tls" {
            let (version, cipher, host, days) = match n % 5 {
                0 => ("TLSv1", "TLS_RSA_WITH_RC4_128_SHA", "old.example.org", 400),
                1 => ("TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "www.example.org", 1),
                _ => ("TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "www.example.com", 60),
            };
            events.push(transaction(&flow, Handshake { version, cipher, host, days }));
        }
        if n % 20 == 7 && name != "tls" {
            flow.app = Some(AppRecord { looks_random: n % 40 == 7, ..app("failed") });
        }
        on_flows.packets += flow.to_server.packets + flow.to_client.packets;
        on_flows.bytes += flow.to_server.bytes + flow.to_client.bytes;
        events.push(ended(flow, EndReason::Timeout));
    }
    events.push(ended(udp_flow(), EndReason::Timeout));
    events.push(ended(icmp_flow(), EndReason::Timeout));
    events.extend(anomalies());
    events.extend([detection(), detection()]);
    on_flows.packets += 2;
    on_flows.bytes += 166;
    // What is on flows is spread over the minute, most of it in the middle; ARP comes evenly.
    let arp = LedgerRow { packets: 120, bytes: 7_200 };
    let weight = |n: i64| (32 - (n - 30).abs()) as u64;
    let weights: u64 = (0..60).map(weight).sum();
    let mut left = on_flows;
    for n in 0_i64..60 {
        let part = |whole: u64| if n == 59 { u64::MAX } else { whole * weight(n) / weights };
        let packets = part(on_flows.packets).min(left.packets);
        let bytes = part(on_flows.bytes).min(left.bytes);
        left = LedgerRow { packets: left.packets - packets, bytes: left.bytes - bytes };
        let mut second = Second {
            at: at(n, 0),
            packets: packets + 2,
            bytes: bytes + 120,
            flows_new: 3,
            tcp_data_segments: packets * 2 / 3,
            tcp_retransmissions: if n % 11 == 3 { weight(n) } else { n as u64 % 3 },
            tcp_out_of_order: u64::from(n % 17 == 5),
            tcp_lost: u64::from(n % 23 == 9),
            ..Second::default()
        };
        for i in 0..20 {
            second.rtt.record(700 + weight(n) as u32 * 150 * (i % 7 + 1));
            second.response.record(4_000 + i * 900);
            second.dns.record(4_000 + i * 900);
            second.echo.record(9_000 + i * 40);
        }
        let part = |percent: u64| bytes * percent / 100;
        let (http, smb, ssh) = (part(15 + n as u64 % 7), part(12), part(3));
        let share = |protocol, bytes: u64| Share { protocol, packets: bytes / 900, bytes };
        let rest = bytes - http - smb - ssh;
        second.shares = vec![share("arp", 120), share("http", http), share("smb", smb)];
        second.shares.extend([share("ssh", ssh), share("tls", rest)]);
        events.push(Event::Second(Box::new(second)));
    }
    let seen =
        LedgerRow { packets: on_flows.packets + arp.packets, bytes: on_flows.bytes + arp.bytes };
    let mut stats = stats();
    stats.decoder.pkts = seen.packets;
    stats.decoder.bytes = seen.bytes;
    stats.ledger.seen = seen;
    stats.ledger.on_flows = on_flows;
    stats.ledger.rest.insert("arp", arp);
    events.push(Event::Stats(Box::new(stats)));
    events
}

/// Compares with a file beside the tests; `UPDATE_EXPECT=1` writes it instead.
pub fn expect_file(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_EXPECT=1 writes it", path.display()));
    assert!(
        expected == actual,
        "{} differs; UPDATE_EXPECT=1 accepts this:\n{actual}",
        path.display()
    );
}
