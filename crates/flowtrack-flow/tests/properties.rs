//! What holds for every sequence of packets.

mod support;

use flowtrack_event::{FlowRecord, IpProto, Timestamp};
use flowtrack_flow::{At, Config};
use flowtrack_wire::{Icmp, Network, Packet, Ports, Tcp, Transport};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use support::{Table, packet_between, vlans};

fn address() -> impl Strategy<Value = (u8, bool)> {
    (0..4_u8, any::<bool>())
}

fn transport() -> impl Strategy<Value = Transport<'static>> {
    let port = || 1..4_u16;
    let tcp = (port(), port(), any::<u8>(), numbers(), numbers(), 0..3_u16).prop_map(
        |(src, dst, flags, seq, ack, window)| {
            let options: &[u8] = &[3, 3, 15];
            Transport::Tcp(Tcp { src, dst, seq, ack, flags, window, urgent: 0, options })
        },
    );
    prop_oneof![
        6 => tcp,
        1 => (port(), port()).prop_map(|(src, dst)| Transport::Udp(Ports { src, dst })),
        1 => (port(), port()).prop_map(|(src, dst)| Transport::Sctp(Ports { src, dst })),
        1 => (0..20_u8, any::<bool>(), 0..2_u16).prop_map(|(kind, quotes, seq)| {
            let quoted: &[u8] = &[0x45; 40];
            let quoted = quotes.then_some(quoted);
            Transport::Icmp(Icmp { kind: kind * 8, code: 0, id: 1, seq, quoted })
        }),
        1 => Just(Transport::Other),
        1 => Just(Transport::None),
    ]
}

/// Sequence numbers near each other, around the wrap, or anything.
fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![0..50_u32, (u32::MAX - 50)..=u32::MAX, any::<u32>()]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..2_000_000_000_000_i64, 1 => any::<i64>()]
}

fn packet() -> impl Strategy<Value = (Packet<'static>, At)> {
    let place = (prop::collection::vec(0..2_u16, 0..3), 0..2_u8, any::<bool>());
    (address(), address(), transport(), 0..2_000_u32, time(), place).prop_map(
        |((src, v6), (dst, _), transport, payload, nanos, (tags, depth, bad_checksum))| {
            let proto = match transport {
                Transport::Tcp(_) => IpProto::TCP,
                Transport::Udp(_) => IpProto::UDP,
                Transport::Sctp(_) => IpProto::SCTP,
                Transport::Icmp(_) if v6 => IpProto::ICMPV6,
                Transport::Icmp(_) => IpProto::ICMP,
                Transport::Other if payload % 2 == 0 => IpProto::ESP,
                _ => IpProto::GRE,
            };
            let (src, dst) = (to_ip(src, v6), to_ip(dst, v6));
            let packet = packet_between(src, dst, proto, transport, payload);
            let ts = Timestamp::from_nanos(nanos);
            (
                Packet { vlans: vlans(&tags), ..packet },
                At { ts, depth, bad_checksum, ..At::default() },
            )
        },
    )
}

fn to_ip(host: u8, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]).into()
    } else {
        Ipv4Addr::new(10, 0, 0, host).into()
    }
}

/// The same packet as if the other end had sent it.
fn swapped(packet: &Packet<'static>) -> Packet<'static> {
    let mut packet = packet.clone();
    if let Network::Ip(ip) = &mut packet.network {
        std::mem::swap(&mut ip.src, &mut ip.dst);
    }
    match &mut packet.transport {
        Transport::Tcp(tcp) => std::mem::swap(&mut tcp.src, &mut tcp.dst),
        Transport::Udp(ports) | Transport::Sctp(ports) => {
            std::mem::swap(&mut ports.src, &mut ports.dst);
        }
        _ => {}
    }
    packet
}

/// All that a record says except who is who.
fn counts(record: &FlowRecord) -> (u64, u64, u64, u64, u32) {
    let (to_server, to_client) = (&record.to_server, &record.to_client);
    (
        to_server.packets,
        to_client.packets,
        to_server.payload_bytes,
        to_client.payload_bytes,
        to_server.retransmissions,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every packet is on exactly one flow or was refused, to the byte, however small the table is
    /// and whatever the clock does.
    #[test]
    fn the_ledger_balances(
        packets in prop::collection::vec(packet(), 1..200),
        max_flows in 1..40_u32,
        midstream in any::<bool>(),
        reverse_syn_ack in any::<bool>(),
    ) {
        let config = Config {
            max_flows,
            midstream,
            reverse_syn_ack,
            track_changes: true,
            ..Config::default()
        };
        let mut table = Table::new(config);
        let (mut fed, mut bytes) = (0_u64, 0_u64);
        let mut changed = Vec::new();
        for (i, (packet, at)) in packets.iter().enumerate() {
            if table.feed(packet, at).is_some() {
                fed += 1;
                bytes += u64::from(packet.len);
            }
            prop_assert!(table.table.len() <= max_flows as usize);
            if i % 16 == 0 {
                let ended = &mut table.ended;
                table.table.expire(at.ts, 50, &mut |record, reason, _| ended.push((record, reason)));
                table.table.take_changed(&mut changed);
                prop_assert!(changed.len() <= table.table.len());
            }
        }
        let stats = table.table.stats();
        let ended = table.finish();
        prop_assert_eq!(stats.total, ended.len() as u64);
        let sum = |f: fn(&FlowRecord) -> u64| ended.iter().map(|(record, _)| f(record)).sum::<u64>();
        prop_assert_eq!(sum(|record| record.to_server.packets + record.to_client.packets), fed);
        prop_assert_eq!(sum(|record| record.to_server.bytes + record.to_client.bytes), bytes);
    }

    /// Which end stands where in the key changes nothing but the names.
    #[test]
    fn directions_are_symmetric(packets in prop::collection::vec(packet(), 1..60)) {
        // Of ICMP, the type says which way it goes; it is not swapped with the addresses.
        let packets: Vec<_> = packets
            .into_iter()
            .filter(|(packet, _)| match packet.transport {
                Transport::Icmp(_) => false,
                Transport::Other => packet.ip().is_some_and(|ip| ip.proto != IpProto::ESP),
                _ => packet.ip().is_some_and(|ip| ip.src != ip.dst),
            })
            .collect();
        let (mut one, mut other) = (Table::new(Config::default()), Table::new(Config::default()));
        for (packet, at) in &packets {
            let there = one.feed(packet, at);
            let back = other.feed(&swapped(packet), at);
            prop_assert_eq!(there, back);
        }
        let (one, other) = (one.finish(), other.finish());
        prop_assert_eq!(one.len(), other.len());
        for ((there, _), (back, _)) in one.iter().zip(&other) {
            prop_assert_eq!(there.key, back.key.reversed());
            prop_assert_eq!(counts(there), counts(back));
            prop_assert_eq!(there.state, back.state);
            prop_assert_eq!(there.tcp, back.tcp);
        }
    }
}
