//! The flow table: what is one flow, when it ends, and what happens when there are too many.

mod support;

use flowtrack_event::{
    ConnState, Direction, EndReason, FlowId, FlowState, Icmp as IcmpRecord, IpProto, TunnelKind,
};
use flowtrack_flow::{Asked, At, Config, FlowIndex, FlowTable, Seed, Seen, Timeouts, Unplaced};
use flowtrack_wire::{Icmp, Network, Packet, Tcp, Transport};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use support::{
    CLIENT, HEADERS, SERVER, Table, at, icmp, iface, packet, packet_between, segment, udp, vlans,
};

fn dns(to_server: bool) -> Packet<'static> {
    let (client, server) = ((CLIENT, 5000), (SERVER, 53));
    if to_server { udp(client, server, 30) } else { udp(server, client, 90) }
}

fn syn(client: u32) -> Packet<'static> {
    let transport = Transport::Tcp(Tcp {
        src: client as u16,
        dst: 80,
        seq: client,
        ack: 0,
        flags: Tcp::SYN,
        window: 1000,
        urgent: 0,
        options: &[],
    });
    let src = Ipv4Addr::from(0x0b00_0000 | client);
    packet_between(src.into(), SERVER.parse().unwrap(), IpProto::TCP, transport, 0)
}

/// Microseconds to the answer that a packet is.
fn took(seen: &Seen) -> Option<u32> {
    seen.response.map(|response| response.micros)
}

#[test]
fn counts_both_ways() {
    let mut table = Table::new(Config::default());
    let first = table.feed(&dns(true), &at(0)).unwrap();
    assert_eq!((first.is_new, first.direction), (true, Direction::ToServer));
    assert_eq!(first.state, FlowState::New);
    let answer = table.feed(&dns(false), &at(20)).unwrap();
    assert_eq!((answer.is_new, answer.direction), (false, Direction::ToClient));
    assert_eq!((answer.state, took(&answer)), (FlowState::Established, Some(20_000)));
    assert_eq!(took(&table.feed(&dns(false), &at(21)).unwrap()), None);
    let (record, reason) = table.finish().pop().unwrap();
    assert_eq!(reason, EndReason::Shutdown);
    assert_eq!((record.key.src_port, record.key.dst_port), (5000, 53));
    let (to_server, to_client) = (record.to_server, record.to_client);
    assert_eq!((to_server.packets, to_client.packets), (1, 2));
    assert_eq!(to_client.bytes, 2 * u64::from(HEADERS + 90));
    assert_eq!(to_client.ip_bytes, 2 * u64::from(HEADERS - 14 + 90));
    assert_eq!(to_client.payload_bytes, 180);
    assert_eq!((record.start, record.end), (at(0).ts, at(21).ts));
    assert_eq!(record.latency.response_us, Some(20_000));
    assert_eq!((record.conn_state, record.history.as_slice()), (ConnState::Sf, &b"Dd"[..]));
}

#[test]
fn reads_roles_from_ports_only_for_zeek() {
    let mut table = Table::new(Config::default());
    table.feed(&dns(false), &at(0)).unwrap();
    let record = table.finish().pop().unwrap().0;
    assert_eq!(record.key.src_port, 53);
    assert_eq!((record.conn_state, record.history.as_slice()), (ConnState::Shr, &b"^d"[..]));
}

#[test]
fn turns_a_flow_round_when_told() {
    let mut table = Table::new(Config::default());
    let index = table.feed(&dns(false), &at(0)).unwrap().index;
    table.table.reverse(index);
    assert_eq!(table.feed(&dns(true), &at(1)).unwrap().direction, Direction::ToServer);
    // The answer is to the request, not to what came before.
    assert_eq!(took(&table.feed(&dns(false), &at(8)).unwrap()), Some(7_000));
    let record = table.finish().pop().unwrap().0;
    assert_eq!(record.key.dst_port, 53);
    assert_eq!((record.to_server.packets, record.to_client.packets), (1, 2));
}

#[test]
fn tells_places_apart() {
    let base = At::default();
    let places = [
        (dns(true), base),
        (Packet { vlans: vlans(&[1]), ..dns(true) }, base),
        (Packet { vlans: vlans(&[1, 2]), ..dns(true) }, base),
        (Packet { vlans: vlans(&[2, 1]), ..dns(true) }, base),
        (Packet { vlans: vlans(&[0]), ..dns(true) }, base),
        (dns(true), At { depth: 1, ..base }),
        (dns(true), At { iface: iface(4), ..base }),
        (udp((CLIENT, 53), (SERVER, 5000), 0), base),
        (udp(("::ffff:10.0.0.1", 5000), ("::ffff:10.0.0.2", 53), 0), base),
    ];
    for (use_vlan, use_interface, want) in
        [(true, true, 9), (true, false, 8), (false, false, 4), (false, true, 5)]
    {
        let mut table = Table::new(Config { use_vlan, use_interface, ..Config::default() });
        for (packet, at) in &places {
            table.feed(packet, at).unwrap();
        }
        assert_eq!(table.table.len(), want, "vlan {use_vlan} interface {use_interface}");
        let kept: HashSet<Vec<u16>> =
            table.finish().iter().map(|(record, _)| record.vlans.as_slice().to_vec()).collect();
        assert_eq!(kept.len(), if use_vlan { 5 } else { 1 });
    }
}

#[test]
fn links_inner_flows_to_outer_ones() {
    let mut table = Table::new(Config::default());
    let outer = table.feed(&packet(CLIENT, SERVER, IpProto::GRE, Transport::Other, 9), &at(0));
    let parent = table.table.get(outer.unwrap().index).unwrap().id();
    let tunnel = Some(TunnelKind::Gre);
    let inside = At { parent: Some(parent), tunnel, depth: 1, ..at(0) };
    table.feed(&dns(true), &inside).unwrap();
    let ended = table.finish();
    let inner = ended.iter().find(|(record, _)| record.parent.is_some()).unwrap();
    assert_eq!((inner.0.parent, inner.0.tunnel), (Some(parent), tunnel));
}

#[test]
fn what_is_no_flow_has_no_key() {
    let table = Table::new(Config::default());
    let none = |packet: &Packet<'_>| table.table.key(packet, &at(0)).is_none();
    assert!(none(&Packet { network: Network::None(Some(0x88cc)), ..dns(true) }));
    assert!(none(&Packet { transport: Transport::None, ..dns(true) }));
    assert!(none(&Packet { malformed: true, ..dns(true) }));
    assert!(!none(&dns(true)));
}

#[test]
fn echo_and_reply_are_one_flow() {
    for (request, reply, src, dst) in [(8, 0, CLIENT, SERVER), (128, 129, "fe80::1", "fe80::2")] {
        let mut table = Table::new(Config::default());
        let (ask, answer) = ((src, dst, request), (dst, src, reply));
        for ((from, to, kind), seq, ms, want) in [
            (ask, 1, 0, None),
            (answer, 1, 7, Some(7_000)),
            (ask, 2, 1_000, None),
            // The answer to another one measures nothing.
            (answer, 1, 1_002, None),
            (answer, 2, 1_009, Some(9_000)),
            // With two on the way, the first is timed,
            (ask, 3, 2_000, None),
            (ask, 4, 2_500, None),
            (answer, 3, 2_600, Some(600_000)),
            (answer, 4, 2_700, None),
            // but not waited for without end.
            (ask, 5, 3_000, None),
            (ask, 6, 6_000, None),
            (answer, 6, 6_001, Some(1_000)),
        ] {
            let seen = table.feed(&icmp(from, to, kind, seq), &at(ms)).unwrap();
            assert_eq!(took(&seen), want, "{kind} {seq} at {ms}");
        }
        let ended = table.finish();
        let [(record, _)] = ended.as_slice() else { panic!("{ended:?}") };
        assert_eq!(record.state, FlowState::Established);
        assert_eq!((record.key.icmp_type(), record.key.dst_port), (request, 77));
        let response = Some((reply, 0));
        assert_eq!(record.icmp, Some(IcmpRecord { request: (request, 0), response }));
        assert_eq!(record.latency.response_us, Some(7_000));
        assert_eq!((record.conn_state, record.history.len()), (ConnState::Oth, 0));
    }
}

#[test]
fn only_an_echo_has_a_latency() {
    // Neighbour solicitation and advertisement, router solicitation and advertisement, time stamps.
    for (request, reply, src, dst) in [
        (135, 136, "fe80::1", "fe80::2"),
        (133, 134, "fe80::1", "fe80::2"),
        (13, 14, CLIENT, SERVER),
    ] {
        let mut table = Table::new(Config::default());
        table.feed(&icmp(src, dst, request, 0), &at(0)).unwrap();
        let seen = table.feed(&icmp(dst, src, reply, 0), &at(29_000)).unwrap();
        assert_eq!((seen.is_new, seen.response), (false, None), "{request}");
        let record = table.finish().pop().unwrap().0;
        assert_eq!(record.latency.response_us, None);
        assert_eq!(record.icmp.unwrap().response, Some((reply, 0)));
    }
}

#[test]
fn every_dns_answer_is_paired_with_its_question() {
    const ASK: [&[u8]; 3] = [&[0, 1, 0x01, 0], &[0, 2, 0x01, 0], &[7, 2, 0x01, 0]];
    const ANSWER: [&[u8]; 3] = [&[0, 1, 0x81, 0], &[0, 2, 0x81, 0], &[7, 2, 0x81, 0]];
    let mut table = Table::new(Config::default());
    for (payload, to_server, ms, want) in [
        (ASK[0], true, 0, None),
        (ASK[1], true, 1, None),
        (ANSWER[1], false, 4, None),
        (ANSWER[0], false, 5, Some(5_000)),
        (ASK[2], true, 9_000, None),
        (ANSWER[1], false, 9_001, None),
        // A question is no answer, whoever sends it.
        (ASK[2], false, 9_002, None),
        (ANSWER[2], false, 9_030, Some(30_000)),
    ] {
        let packet = Packet { payload, ..dns(to_server) };
        let seen = table.feed(&packet, &at(ms)).unwrap();
        assert_eq!(took(&seen), want, "at {ms}");
        assert!(seen.response.is_none_or(|response| response.kind == Asked::Dns));
    }
    assert_eq!(table.finish().pop().unwrap().0.latency.response_us, Some(5_000));
}

#[test]
fn icmp_without_answer_keeps_its_direction() {
    let mut table = Table::new(Config::default());
    for (src, dst) in [("fe80::1", "fe80::2"), ("fe80::2", "fe80::1"), ("fe80::1", "fe80::2")] {
        table.feed(&icmp(src, dst, 137, 0), &at(0)).unwrap();
    }
    let ended = table.finish();
    let counts: Vec<u64> = ended.iter().map(|(record, _)| record.to_server.packets).collect();
    assert_eq!(counts, [2, 1]);
}

/// IP header and first eight bytes of a packet from the client to the server.
const QUOTED: &[u8] = &[
    0x45, 0, 0, 58, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0, 53, 0, 38,
    0, 0,
];

fn icmp_error(src: &str, kind: u8, quoted: Option<&'static [u8]>) -> Packet<'static> {
    let transport = Transport::Icmp(Icmp { kind, code: 3, id: 0, seq: 0, quoted });
    packet(src, CLIENT, IpProto::ICMP, transport, 28)
}

#[test]
fn unreachable_counts_on_the_flow_it_quotes() {
    let mut table = Table::new(Config::default());
    let unreachable = icmp_error(SERVER, 3, Some(QUOTED));
    // Before the flow is known, and where nothing is quoted, it counts nowhere.
    for packet in [&unreachable, &icmp_error(SERVER, 3, None)] {
        let result = table.try_feed(packet, &at(0)).unwrap();
        assert_eq!(result.unwrap_err(), Unplaced::IcmpError);
    }
    let index = table.feed(&dns(true), &at(0)).unwrap().index;
    let seen = table.feed(&unreachable, &at(5)).unwrap();
    assert_eq!((seen.index, seen.is_icmp_error), (index, true));
    assert_eq!((seen.direction, seen.state), (Direction::ToClient, FlowState::New));
    // A router on the way, with another type: noted only.
    let result = table.try_feed(&icmp_error("192.0.2.1", 11, Some(QUOTED)), &at(6)).unwrap();
    assert_eq!(result.unwrap_err().name(), "icmp_error");
    assert_eq!(table.table.get(index).unwrap().icmp_errors(), 2);
    let ended = table.finish();
    let [(record, _)] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((record.to_server.packets, record.to_client.packets), (1, 1));
    assert_eq!((record.conn_state, record.history.as_slice()), (ConnState::S0, &b"D"[..]));
}

#[test]
fn esp_has_a_flow_each_way() {
    let mut table = Table::new(Config::default());
    for (src, dst) in [(CLIENT, SERVER), (SERVER, CLIENT), (CLIENT, SERVER)] {
        table.feed(&packet(src, dst, IpProto::ESP, Transport::Other, 9), &at(0)).unwrap();
    }
    assert_eq!(table.finish().len(), 2);
}

#[test]
fn idle_flows_end_by_protocol_and_state() {
    let established_tcp = [
        segment((CLIENT, 1), (SERVER, 80), Tcp::SYN, (0, 0), 0),
        segment((SERVER, 80), (CLIENT, 1), Tcp::SYN | Tcp::ACK, (50, 1), 0),
        segment((CLIENT, 1), (SERVER, 80), Tcp::ACK, (1, 51), 0),
    ];
    let mut closed_tcp = established_tcp.to_vec();
    closed_tcp.push(segment((SERVER, 80), (CLIENT, 1), Tcp::RST, (51, 0), 0));
    let gre = |src, dst| packet(src, dst, IpProto::GRE, Transport::Other, 0);
    for (packets, seconds) in [
        (&established_tcp[..1], 60),
        (&established_tcp, 600),
        (&closed_tcp, 60),
        (&[dns(true)], 30),
        (&[dns(true), dns(false)], 300),
        (&[icmp(CLIENT, SERVER, 8, 0)], 30),
        (&[icmp(CLIENT, SERVER, 8, 0), icmp(SERVER, CLIENT, 0, 0)], 300),
        (&[gre(CLIENT, SERVER)], 30),
        (&[gre(CLIENT, SERVER), gre(SERVER, CLIENT)], 300),
    ] {
        let idle = seconds * 1_000;
        // The wheel ends it, and not a second before its time.
        let mut table = Table::new(Config::default());
        for packet in packets {
            table.feed(packet, &at(0)).unwrap();
        }
        for second in 0..seconds {
            table.expire(second * 1_000, 64);
        }
        assert_eq!(table.ended.len(), 0, "{seconds} s");
        table.expire(idle + 1_000, 1_000);
        assert_eq!(table.ended.len(), 1, "{seconds} s");
        assert_eq!(table.ended[0].1, EndReason::Timeout);
        assert!(table.table.is_empty());
        // So does a packet that comes too late, before the wheel did.
        let mut table = Table::new(Config::default());
        for packet in packets {
            table.feed(packet, &at(0)).unwrap();
        }
        assert!(!table.feed(&packets[0], &at(idle - 1)).unwrap().is_new, "{seconds} s");
        assert!(table.feed(&packets[0], &at(2 * idle - 1)).unwrap().is_new, "{seconds} s");
        assert_eq!(table.ended[0].1, EndReason::Timeout);
    }
}

#[test]
fn expiry_does_no_more_than_its_budget() {
    let mut table = Table::new(Config::default());
    for client in 0..1_000 {
        table.feed(&syn(client), &at(0)).unwrap();
    }
    let mut calls = 0;
    while !table.table.is_empty() {
        let before = table.ended.len();
        table.expire(3_600_000, 100);
        assert!(table.ended.len() - before <= 100);
        calls += 1;
    }
    // A thousand flows, and at most one round of the wheel.
    assert!((10..=21).contains(&calls), "{calls}");
}

#[test]
fn survives_clocks_that_jump() {
    let mut table = Table::new(Config::default());
    let hour = 3_600_000;
    for ms in [0, 1_000_000 * hour, -300_000 * hour, 5, i64::MAX / 2_000_000, i64::MIN / 1_000_000]
    {
        table.feed(&dns(true), &at(ms)).unwrap();
        table.expire(ms, 100);
    }
    for _ in 0..100 {
        table.expire(2_000_000 * hour, 100);
    }
    let at_most = table.ended.len() + table.table.len();
    assert_eq!(table.finish().len(), at_most);
}

#[test]
fn times_beyond_the_wheel_are_kept() {
    let timeouts = Timeouts {
        udp: flowtrack_flow::IdleTimes { new: 5_000, established: 5_000, closed: 0 },
        ..Timeouts::default()
    };
    let mut table = Table::new(Config { timeouts, ..Config::default() });
    table.feed(&dns(true), &at(0)).unwrap();
    for second in 0..5_000 {
        table.expire(second * 1_000, 8);
    }
    assert_eq!(table.ended.len(), 0);
    for second in 5_000..5_003 {
        table.expire(second * 1_000, 8);
    }
    assert_eq!(table.ended.len(), 1);
}

#[test]
fn a_flood_evicts_no_established_flow() {
    const ESTABLISHED: u16 = 500;
    let mut table = Table::new(Config { max_flows: 5_000, ..Config::default() });
    for port in 0..ESTABLISHED {
        let (client, server) = ((CLIENT, port), (SERVER, 80));
        for packet in [
            segment(client, server, Tcp::SYN, (0, 0), 0),
            segment(server, client, Tcp::SYN | Tcp::ACK, (50, 1), 0),
            segment(client, server, Tcp::ACK, (1, 51), 0),
        ] {
            table.feed(&packet, &at(0)).unwrap();
        }
    }
    for i in 0..300_000_u32 {
        let packet = syn(i.wrapping_mul(2_654_435_761) >> 8);
        table.feed(&packet, &at(i64::from(i / 100))).unwrap();
        if i % 64 == 0 {
            table.expire(i64::from(i / 100), 64);
        }
        if i % 1_000 == 0 {
            table.ended.clear();
        }
    }
    let stats = table.table.stats();
    assert_eq!((stats.evicted_established, stats.memcap), (0, 0));
    assert!(stats.evicted > 200_000, "{}", stats.evicted);
    assert!(table.table.len() <= 5_000);
    let kept = table.table.iter().filter(|flow| flow.state() == FlowState::Established).count();
    assert_eq!(kept, usize::from(ESTABLISHED));
}

#[test]
fn a_full_table_keeps_what_is_busy() {
    let mut table = Table::new(Config { max_flows: 10, ..Config::default() });
    let pair = |port| {
        let (client, server) = ((CLIENT, port), (SERVER, 53));
        [udp(client, server, 0), udp(server, client, 0)]
    };
    for port in 0..10 {
        for packet in pair(port) {
            table.feed(&packet, &at(0)).unwrap();
        }
    }
    // All are established and busy: the newcomer has to go without.
    let result = table.try_feed(&pair(99)[0], &at(1_000)).unwrap();
    assert_eq!(result.unwrap_err(), Unplaced::Full);
    assert_eq!(table.table.stats().memcap, 1);
    // One of them goes on, the others fall silent.
    table.feed(&pair(4)[0], &at(90_000)).unwrap();
    for port in 100..110 {
        for packet in pair(port) {
            table.try_feed(&packet, &at(110_000)).unwrap().ok();
        }
    }
    let ports: HashSet<u16> = table.table.iter().map(|flow| flow.key().src_port).collect();
    assert!(ports.contains(&4), "{ports:?}");
    assert_eq!(table.table.stats().evicted_established, 9);
    assert!(table.ended.iter().all(|(_, reason)| *reason == EndReason::Evicted));
}

#[test]
fn names_are_unique_and_small() {
    let mut names = HashSet::new();
    for worker in [0, 1, u16::MAX] {
        let mut table: FlowTable<()> = FlowTable::new(Config::default(), worker, Seed([1; 4]));
        for client in 0..100 {
            let (packet, at) = (syn(client), at(0));
            let key = table.key(&packet, &at).unwrap();
            let seen = table.update(&key, &packet, &at, &mut |_, _, ()| {}).unwrap();
            let FlowId(name) = table.get(seen.index).unwrap().id();
            assert!(name < 1 << 53);
            assert!(names.insert(name));
        }
    }
}

#[test]
fn remembers_what_changed() {
    let mut table = Table::new(Config { track_changes: true, ..Config::default() });
    let mut changed = Vec::new();
    let mut take = |table: &mut Table| {
        table.table.take_changed(&mut changed);
        changed.len()
    };
    for client in 0..3 {
        table.feed(&syn(client), &at(0)).unwrap();
        table.feed(&syn(client), &at(0)).unwrap();
    }
    assert_eq!((take(&mut table), take(&mut table)), (3, 0));
    table.feed(&syn(1), &at(0)).unwrap();
    assert_eq!(take(&mut table), 1);
    // What ended is gone, what came in its place is new.
    for round in 1..5 {
        table.feed(&syn(100), &at(round * 100_000)).unwrap();
        table.expire(round * 100_000, 2_000);
    }
    assert_eq!(take(&mut table), 1);
}

#[test]
fn keeps_what_the_engine_keeps() {
    let mut table = Table::new(Config::default());
    let index = table.feed(&dns(true), &at(0)).unwrap().index;
    *table.table.app_mut(index).unwrap() = 42;
    assert_eq!(*table.table.get(index).unwrap().app(), 42);
    let mut kept = Vec::new();
    table.table.drain(&mut |_, _, app| kept.push(app));
    assert_eq!(kept, [42]);
    assert!(table.table.get(index).is_none());
    assert!(table.table.app_mut(index).is_none());
    assert!(table.table.record(index).is_none());
    let _: FlowIndex = index;
}
