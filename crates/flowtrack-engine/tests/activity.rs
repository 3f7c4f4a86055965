//! What is told of hosts each second, through the whole packet path.

use flowtrack_engine::{Config, Engine, Output, Seed, Tell};
use flowtrack_event::{Activity, Event, Failure, ProbeKind, SourceActivity, TargetActivity};
use flowtrack_lab::tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};
use flowtrack_lab::{End, Traffic};
use std::net::{IpAddr, Ipv4Addr};

fn activity(traffic: Traffic) -> Vec<Activity> {
    let tell = Tell { activity: true, ..Tell::FLOWS };
    let mut engine = Engine::new(&Config { tell, ..Config::default() }, 0, Seed([1, 2, 3, 4]));
    let mut out = Output::default();
    traffic.play(|packet| engine.process(&[packet], &mut out));
    engine.finish(&mut out);
    out.events
        .into_iter()
        .filter_map(|event| match event {
            Event::Activity(activity) => Some(*activity),
            _ => None,
        })
        .collect()
}

/// A segment of who begins at 100, as both sides do.
fn tcp(traffic: &mut Traffic, micros: i64, src: End, dst: End, flags: u8, payload: &[u8]) {
    segment(traffic, micros, src, dst, flags, 101, payload);
}

/// The same, which acknowledges `ack`.
fn segment(
    traffic: &mut Traffic,
    micros: i64,
    src: End,
    dst: End,
    flags: u8,
    ack: u32,
    payload: &[u8],
) {
    let seq = if flags & SYN != 0 { 100 } else { 101 };
    traffic.tcp(micros, src, dst, flags, (seq, ack), payload);
}

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

fn source(all: &[Activity], addr: [u8; 4]) -> Vec<&SourceActivity> {
    let addr = IpAddr::V4(Ipv4Addr::from(addr));
    all.iter().flat_map(|a| &a.sources).filter(|source| source.addr == addr).collect()
}

fn target(all: &[Activity], addr: [u8; 4]) -> Vec<&TargetActivity> {
    let addr = IpAddr::V4(Ipv4Addr::from(addr));
    all.iter().flat_map(|a| &a.targets).filter(|target| target.addr == addr).collect()
}

#[test]
fn outcomes_are_told_with_their_ports() {
    let mut traffic = Traffic::default();
    // Open and used, open and not taken, closed, and silent.
    tcp(&mut traffic, 0, (A, 1000), (B, 80), SYN, b"");
    tcp(&mut traffic, 10, (B, 80), (A, 1000), SYN | ACK, b"");
    tcp(&mut traffic, 20, (A, 1000), (B, 80), ACK, b"");
    tcp(&mut traffic, 30, (A, 1000), (B, 80), ACK | PSH, b"GET");
    tcp(&mut traffic, 40, (A, 1001), (B, 81), SYN, b"");
    tcp(&mut traffic, 50, (B, 81), (A, 1001), SYN | ACK, b"");
    tcp(&mut traffic, 60, (A, 1001), (B, 81), RST, b"");
    tcp(&mut traffic, 70, (A, 1002), (B, 82), SYN, b"");
    tcp(&mut traffic, 80, (B, 82), (A, 1002), RST | ACK, b"");
    tcp(&mut traffic, 90, (A, 1003), (B, 83), SYN, b"");
    // Time goes on without them.
    for second in 1..5 {
        traffic.udp(second * 1_000_000, ([9; 4], 5), ([8; 4], 53), b"?");
        traffic.udp(second * 1_000_000 + 1, ([8; 4], 53), ([9; 4], 5), b"!");
    }
    let all = activity(traffic);
    let told = source(&all, A);
    assert_eq!(told.len(), 2, "{all:#?}");
    let first = told[0];
    assert_eq!(first.outcomes.begun, 4);
    assert_eq!((first.outcomes.completed, first.outcomes.refused), (1, 1));
    assert_eq!((first.outcomes.half_open, first.outcomes.unanswered), (1, 0));
    assert_eq!(first.outcomes.proved, 1);
    assert_eq!((first.volume.packets_out, first.volume.packets_in), (7, 3));
    let probes: Vec<_> = told
        .iter()
        .flat_map(|source| &source.probes)
        .map(|probe| (probe.port, probe.kind, probe.failure))
        .collect();
    assert_eq!(
        probes,
        [
            (81, ProbeKind::Syn, Failure::HalfOpen),
            (82, ProbeKind::Syn, Failure::Refused),
            (83, ProbeKind::Syn, Failure::Unanswered),
        ]
    );
    // Nobody answered for a second, and then it was said.
    assert_eq!(told[1].outcomes.unanswered, 1);
    assert!(all[1].at.secs() - all[0].at.secs() <= 2);
    let at_b = target(&all, B);
    assert_eq!(at_b[0].outcomes.syns, 4);
    assert_eq!(at_b.iter().map(|b| b.failed_ports.count()).sum::<u64>(), 3);
    assert_eq!(at_b[0].services.len(), 4);
}

#[test]
fn scans_without_syn_are_told_apart() {
    let mut traffic = Traffic::default();
    for (at, flags) in [0, FIN, FIN | PSH | URG, ACK].into_iter().enumerate() {
        tcp(&mut traffic, at as i64, (A, 4000), (B, 20 + at as u16), flags, b"");
        tcp(&mut traffic, 100 + at as i64, (B, 20 + at as u16), (A, 4000), RST | ACK, b"");
    }
    // What carries data asks nothing.
    tcp(&mut traffic, 50, (A, 4000), (B, 99), ACK | PSH, b"data");
    traffic.udp(5_000_000, ([9; 4], 5), ([8; 4], 53), b"?");
    let all = activity(traffic);
    let kinds: Vec<_> =
        source(&all, A).iter().flat_map(|s| &s.probes).map(|p| (p.port, p.kind)).collect();
    assert_eq!(
        kinds,
        [(20, ProbeKind::Null), (21, ProbeKind::Fin), (22, ProbeKind::Xmas), (23, ProbeKind::Ack)]
    );
}

#[test]
fn answers_that_nobody_asked_for_count_for_who_gets_them() {
    let mut traffic = Traffic::default();
    for n in 0..50_u8 {
        traffic.udp(i64::from(n), ([198, 51, 100, n], 53), (B, 7_000), &[0; 900]);
        tcp(&mut traffic, 100 + i64::from(n), ([203, 0, 113, n], 443), (B, 8_000), SYN | ACK, b"");
        tcp(&mut traffic, 200 + i64::from(n), (B, 8_000), ([203, 0, 113, n], 443), RST, b"");
    }
    traffic.udp(5_000_000, ([9; 4], 5), ([8; 4], 53), b"?");
    let all = activity(traffic);
    let b = target(&all, B)[0];
    let from: Vec<_> = b.from_ports.iter().map(|f| (f.port, f.packets)).collect();
    assert_eq!(from, [(53, 50), (443, 50)]);
    assert!((40..60).contains(&b.from_ports[0].senders.count()));
    assert_eq!(b.one_way, 100);
    // None of it looks like a scan of the one or the other.
    assert_eq!(b.outcomes.failed(), 0);
    assert!(source(&all, B).is_empty());
}

#[test]
fn volume_adds_up_over_seconds_and_ends() {
    let mut traffic = Traffic::default();
    for n in 0..3_000_i64 {
        traffic.udp(n * 1_000, (A, 5_000 + (n % 7) as u16), (B, 9), &[0; 100]);
    }
    let all = activity(traffic);
    let bytes: u64 = source(&all, A).iter().map(|a| a.volume.bytes_out).sum();
    assert_eq!(bytes, 3_000 * 128);
    assert_eq!(all.iter().map(|a| a.packets).sum::<u64>(), 3_000);
    assert_eq!(source(&all, A)[0].one_way, 1_000);
    assert_eq!(target(&all, B)[0].one_way_bytes, 128_000);
    assert_eq!(all.iter().map(|a| a.begun).sum::<u64>(), 7);
}

#[test]
fn a_tunnel_each_of_whose_directions_is_a_flow_is_not_one_way() {
    let mut traffic = Traffic::default();
    for n in 0..3_000_i64 {
        traffic.ip(n * 1_000, A, B, 50, &[[0, 0, 1, 1], [0, 0, 0, n as u8]].concat());
        traffic.ip(n * 1_000 + 500, B, A, 50, &[[0, 0, 2, 2], [0, 0, 0, n as u8]].concat());
    }
    let all = activity(traffic);
    assert!(source(&all, A).iter().all(|a| a.one_way == 0 && a.outcomes.failed() == 0));
    assert_eq!(source(&all, A).iter().map(|a| a.volume.packets_out).sum::<u64>(), 3_000);
}

#[test]
fn who_does_not_get_the_answers_proves_nothing() {
    // One that got the SYN-ACK, one that made up what to acknowledge, one that hangs up unseen.
    for (ack, flags, proved) in
        [(101, ACK, 1), (102, ACK, 0), (1_000_000, ACK, 0), (101, RST | ACK, 0)]
    {
        let mut traffic = Traffic::default();
        for n in 0..3 {
            let (client, server) = ((A, 1_000 + n), (B, 80));
            let begin = i64::from(n) * 1_000;
            tcp(&mut traffic, begin, client, server, SYN, b"");
            tcp(&mut traffic, begin + 10, server, client, SYN | ACK, b"");
            segment(&mut traffic, begin + 20, client, server, flags, ack, b"");
            segment(&mut traffic, begin + 30, client, server, RST | ACK, ack, b"");
        }
        traffic.udp(2_000_000, ([9; 4], 5), ([8; 4], 53), b"?");
        let all = activity(traffic);
        let outcomes = source(&all, A)[0].outcomes;
        assert_eq!((outcomes.proved, outcomes.empty), (3 * proved, 3 * proved), "{ack} {flags}");
    }
}
