//! TCP sessions, segment by segment: what the flow record says about them in the end.

mod support;

use flowtrack_event::{ConnState, EndReason, FlowRecord, FlowState, TcpState};
use flowtrack_flow::{Config, Segment};
use support::{Table, record_of, session};

/// Initial sequence numbers: ordinary ones, and ones that wrap inside the session.
const ISNS: [(u32, u32); 3] =
    [(1_000, 500_000), (u32::MAX - 3, u32::MAX - 20), (u32::MAX, u32::MAX - 101)];

fn story(record: &FlowRecord) -> String {
    format!(
        "{} {} {} {}",
        record.state.name(),
        record.tcp.unwrap().state.name(),
        record.conn_state.name(),
        String::from_utf8_lossy(&record.history),
    )
}

/// State, TCP state, `conn_state` and history, whatever the sequence numbers are.
fn check(script: &str, want: &str) {
    for isns in ISNS {
        assert_eq!(story(&record_of(script, isns)), want, "{isns:?} {script}");
    }
}

const HANDSHAKE: &str = "
    0  > S  0
    10 < SA 0 1
    15 > A  1 1";

#[test]
fn tells_how_sessions_go() {
    for (script, want) in [
        ("0 > S 0", "new syn_sent S0 S"),
        ("0 > S 0 \n 10 < SA 0 1", "new syn_recv S1 Sh"),
        ("0 > S 0 \n 10 < RA 0 1", "closed closed REJ Sr"),
        // Nobody believes a RST that acknowledges something else.
        ("0 > S 0 \n 10 < RA 0 7", "new syn_sent REJ Sr"),
        ("0 > S 0 \n 10 < SA 0 1 \n 20 > R 1", "closed closed RSTO ShR"),
        ("0 > S 0 \n 9 > F 1", "new syn_sent SH SF"),
        ("0 > S 0 \n 9 > R 1", "new syn_sent RSTOS0 SR"),
        ("0 > A 5 7 +10 \n 1 < A 7 15 +20", "new none OTH Dd"),
        ("0 > SF 0", "new syn_sent SH Q"),
        ("0 > FR 0", "new none RSTOS0 I"),
        // A SYN twice is one letter, one with another number too.
        ("0 > S 0 \n 1000 > S 0 \n 3000 > S 0", "new syn_sent S0 S"),
    ] {
        check(script, want);
    }
}

#[test]
fn tells_how_established_sessions_end() {
    for (rest, want) in [
        ("", "established established S1 ShA"),
        ("20 > A 1 1 +100 \n 30 < A 1 101 +50", "established established S1 ShADd"),
        (
            "20 > A 1 1 +9 \n 30 < A 1 10 +5 \n 40 > FA 10 6 \n 50 < FA 6 11 \n 60 > A 11 7",
            "closed closed SF ShADdFf",
        ),
        ("20 < FA 1 1 \n 30 > A 1 2 \n 40 > FA 1 2 \n 50 < A 2 2", "closed closed SF ShAfFa"),
        ("20 > FA 1 1", "established close_wait S2 ShAF"),
        ("20 < FA 1 1", "established fin_wait1 S3 ShAf"),
        ("20 < FA 1 1 \n 30 > A 1 2", "established fin_wait2 S3 ShAf"),
        ("20 > A 1 1 +10 \n 30 < R 1", "closed closed RSTR ShADr"),
        ("20 > A 1 1 +10 \n 30 > R 11", "closed closed RSTO ShADR"),
        // Out of the window: Zeek takes it, an end host does not.
        ("20 > A 1 1 +10 \n 30 < R 9999999", "established established RSTR ShADr"),
        ("20 > FA 1 1 \n 30 < A 1 2 \n 40 > R 2", "closed closed RSTO ShAFaR"),
    ] {
        check(&format!("{HANDSHAKE}\n{rest}"), want);
    }
}

#[test]
fn takes_the_sender_of_a_syn_ack_for_the_responder() {
    let script = "0 < SA 0 1 \n 5 > A 1 1 +10";
    let record = record_of(script, ISNS[0]);
    assert_eq!(record.key.dst_port, 80);
    assert_eq!((record.to_server.packets, record.to_client.packets), (1, 1));
    // Port 80 tells Zeek the same.
    assert_eq!(story(&record), "new none S1 ^hD");
    let mut table =
        Table::new(Config { reverse_syn_ack: false, midstream: true, ..Config::default() });
    for (packet, at) in session(script, ISNS[0]) {
        table.feed(&packet, &at).unwrap();
    }
    let record = &table.finish()[0].0;
    assert_eq!((record.key.src_port, record.state), (80, FlowState::Established));
}

#[test]
fn a_late_syn_turns_the_flow_round() {
    let mut table = Table::new(Config::default());
    let script = "0 < A 1 1 +10 \n 5 > S 0 \n 6 < SA 0 1 \n 7 > A 1 1";
    let mut seen = Vec::new();
    for (packet, at) in session(script, ISNS[0]) {
        seen.push(table.feed(&packet, &at).unwrap());
    }
    assert_eq!(
        seen.iter().map(|seen| seen.reversed).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    let record = &table.finish()[0].0;
    assert_eq!((record.key.dst_port, record.state), (80, FlowState::Established));
    assert_eq!((record.to_server.packets, record.to_client.packets), (2, 2));
}

#[test]
fn measures_round_trips() {
    let record = record_of(
        &format!(
            "{HANDSHAKE}
            100 > A 1 1 +10
            130 < A 1 11
            135 < A 1 11 +500
            137 > A 11 501"
        ),
        ISNS[1],
    );
    let latency = record.latency;
    assert_eq!(latency.handshake_server_us, Some(10_000));
    assert_eq!(latency.handshake_client_us, Some(5_000));
    assert_eq!(latency.response_us, Some(35_000));
    let rtt = record.to_server.rtt;
    assert_eq!((rtt.count, rtt.min_us, rtt.max_us, rtt.sum_us), (2, 10_000, 30_000, 40_000));
    let rtt = record.to_client.rtt;
    assert_eq!((rtt.count, rtt.min_us, rtt.max_us), (2, 2_000, 5_000));
}

#[test]
fn measures_nothing_by_what_was_sent_twice() {
    let record = record_of("0 > S 0 \n 1000 > S 0 \n 1010 < SA 0 1 \n 1012 > A 1 1", ISNS[0]);
    assert_eq!(record.latency.handshake_server_us, None);
    assert_eq!(record.latency.handshake_client_us, Some(2_000));
    assert_eq!((record.to_server.retransmissions, record.to_server.rtt.count), (1, 0));
}

#[test]
fn counts_loss() {
    for (rest, want) in [
        // Sent again.
        ("20 > A 1 1 +10 \n 300 > A 1 1 +10", "retr 1 ooo 0 lost 0/0 payload 10"),
        // The first try was not seen, but it took a round trip.
        (
            "20 > A 11 1 +10 \n 21 > A 21 1 +10 \n 300 > A 1 1 +10",
            "retr 1 ooo 0 lost 0/0 payload 30",
        ),
        // Overtaken on the way.
        ("20 > A 11 1 +10 \n 21 > A 1 1 +10", "retr 0 ooo 1 lost 0/0 payload 20"),
        // Never seen, but acknowledged.
        ("20 > A 11 1 +10 \n 21 > A 31 1 +10 \n 30 < A 1 41", "retr 0 ooo 0 lost 2/20 payload 20"),
        ("30 < A 1 41", "retr 0 ooo 0 lost 1/40 payload 0"),
        // More than a window cannot have been on its way.
        ("30 < A 1 900000001", "retr 0 ooo 0 lost 1/65535 payload 0"),
        ("20 > A 900000001 1 +10 \n 30 < A 1 900000011", "retr 0 ooo 0 lost 1/65535 payload 10"),
        // Captured after its acknowledgement.
        ("30 < A 1 11 \n 31 > A 1 1 +10", "retr 0 ooo 1 lost 0/0 payload 10"),
        // Keep-alives, with and without a byte.
        (
            "20 > A 1 1 +10 \n 30 < A 1 11 \n 9000 > A 10 1 \n 9000 > A 10 1 +1",
            "retr 0 ooo 0 lost 0/0 payload 10",
        ),
        // Part of it is new.
        ("20 > A 1 1 +10 \n 21 > A 6 1 +10", "retr 0 ooo 0 lost 0/0 payload 15"),
        ("20 > A 1 1 +10 \n 21 > FA 11 1 \n 900 > FA 11 1", "retr 1 ooo 0 lost 0/0 payload 10"),
    ] {
        for isns in ISNS {
            let side = record_of(&format!("{HANDSHAKE}\n{rest}"), isns).to_server;
            let got = format!(
                "retr {} ooo {} lost {}/{} payload {}",
                side.retransmissions,
                side.out_of_order,
                side.lost_segments,
                side.lost_bytes,
                side.payload_bytes,
            );
            assert_eq!(got, want, "{isns:?} {rest}");
        }
    }
}

#[test]
fn writes_what_zeek_counts() {
    let again = "300 > A 1 1 +10\n".repeat(10);
    check(&format!("{HANDSHAKE}\n20 > A 1 1 +10\n{again}"), "established established S1 ShADTT");
    let closed = "30 < A 1 1 w0\n".repeat(10);
    check(&format!("{HANDSHAKE}\n{closed}"), "established established S1 ShAaww");
    check(&format!("{HANDSHAKE}\n30 < A 1 41"), "established established S1 ShAaG");
}

#[test]
fn a_window_closes_once() {
    let record = record_of(
        &format!("{HANDSHAKE}\n20 < A 1 1 w0\n21 < A 1 1 w0\n22 < A 1 1\n23 < A 1 1 w0"),
        ISNS[0],
    );
    assert_eq!((record.to_client.zero_windows, record.to_server.zero_windows), (2, 0));
}

#[test]
fn tells_the_place_of_each_segment() {
    let mut table = Table::new(Config::default());
    let script = format!(
        "{HANDSHAKE}
        20 > A 1 1 +10
        21 > A 21 1 +10
        22 > A 11 1 +10
        23 > A 11 1 +10
        24 > A 30 1 +1
        25 < A 1 31
        26 < A 1 31 +7"
    );
    let mut places = Vec::new();
    for (packet, at) in session(&script, ISNS[2]) {
        let facts = table.feed(&packet, &at).unwrap().tcp.unwrap();
        places.push((facts.segment, facts.new_bytes));
    }
    assert_eq!(
        places[3..],
        [
            (Segment::InOrder, 10),
            (Segment::Ahead, 10),
            (Segment::OutOfOrder, 10),
            (Segment::Retransmission, 0),
            (Segment::KeepAlive, 0),
            (Segment::Empty, 0),
            (Segment::InOrder, 7),
        ]
    );
    let stats = table.table.tcp_stats();
    assert_eq!((stats.syn, stats.synack, stats.sessions), (1, 1, 1));
    assert_eq!((stats.retransmissions, stats.out_of_order), (1, 1));
}

#[test]
fn the_same_ports_again_are_another_flow() {
    let first = format!("{HANDSHAKE}\n20 > FA 1 1\n30 < FA 1 2\n40 > A 2 2");
    let mut table = Table::new(Config::default());
    for (packet, at) in session(&first, (100, 200)) {
        table.feed(&packet, &at).unwrap();
    }
    // The same SYN again belongs to the old one.
    let again = session("1000 > S 0", (100, 200));
    assert!(!table.feed(&again[0].0, &again[0].1).unwrap().is_new);
    let next = session("2000 > S 0", (7_000, 0));
    assert!(table.feed(&next[0].0, &next[0].1).unwrap().is_new);
    let (record, reason) = &table.ended[0];
    assert_eq!((record.to_server.packets, *reason), (5, EndReason::TcpReuse));
    assert_eq!(table.table.stats().tcp_reuse, 1);
    // In the middle of a session it is no new one.
    let mut table = Table::new(Config::default());
    for (packet, at) in session(HANDSHAKE, (100, 200)).iter().chain(&next) {
        table.feed(packet, at).unwrap();
    }
    assert_eq!(table.finish().len(), 1);
}

#[test]
fn a_handshake_behind_the_end_of_another_session_is_another_flow() {
    let count = |before: &str, isns| {
        let mut table = Table::new(Config::default());
        for (packet, at) in session(before, (100, 200)).iter().chain(&session(HANDSHAKE, isns)) {
            table.feed(packet, at).unwrap();
        }
        table.finish().len()
    };
    let end = "0 > A 500 600\n1 < FA 600 500";
    assert_eq!(count(end, (7_000, 8_000)), 2);
    assert_eq!(count("0 < R 600", (7_000, 8_000)), 2);
    // Its own segments that a capture put before the SYN.
    assert_eq!(count("0 < SA 0 1", (100, 200)), 1);
    assert_eq!(count("0 > A 1 1", (100, 200)), 1);
}

#[test]
fn believes_no_segment_with_a_wrong_checksum() {
    let mut table = Table::new(Config::default());
    let script = format!("{HANDSHAKE}\n20 > R 1");
    for (packet, mut at) in session(&script, ISNS[0]) {
        at.bad_checksum = at.ts == support::millis(20);
        let seen = table.feed(&packet, &at).unwrap();
        assert_eq!(seen.tcp.is_none(), at.bad_checksum);
    }
    assert_eq!(table.table.tcp_stats().invalid_checksum, 1);
    let record = &table.finish()[0].0;
    assert_eq!((record.to_server.packets, record.conn_state), (3, ConnState::S1));
    assert_eq!(story(record), "established established S1 ShAC");
    assert_eq!(record.tcp.unwrap().state, TcpState::Established);
}
