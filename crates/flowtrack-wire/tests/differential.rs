//! Well-formed frames mean the same to another decoder.

use etherparse::{LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, VlanSlice};
use flowtrack_event::{DecoderStats, IfaceId, LinkType, MacAddr, RawPacket, Timestamp};
use flowtrack_wire::{Packet, Transport, decode};
use proptest::prelude::*;
use std::net::IpAddr;

/// What a frame is made of.
#[derive(Clone, Debug)]
struct Recipe {
    macs: ([u8; 6], [u8; 6]),
    vlans: Vec<u16>,
    is_v6: bool,
    addresses: ([u8; 16], [u8; 16]),
    ttl: u8,
    transport: u8,
    ports: (u16, u16),
    numbers: (u32, u32),
    window: u16,
    payload: Vec<u8>,
}

fn any_recipe() -> impl Strategy<Value = Recipe> {
    (
        any::<([u8; 6], [u8; 6])>(),
        prop::collection::vec(0..4096_u16, 0..3),
        any::<(bool, ([u8; 16], [u8; 16]), u8, u8)>(),
        any::<((u16, u16), (u32, u32), u16)>(),
        prop::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(
            |(
                macs,
                vlans,
                (is_v6, addresses, ttl, transport),
                (ports, numbers, window),
                payload,
            )| {
                Recipe {
                    macs,
                    vlans,
                    is_v6,
                    addresses,
                    ttl,
                    transport,
                    ports,
                    numbers,
                    window,
                    payload,
                }
            },
        )
}

fn frame(recipe: &Recipe) -> Vec<u8> {
    let vlan = |id: u16| id.try_into().expect("identifiers have 12 bits");
    let ethernet = PacketBuilder::ethernet2(recipe.macs.0, recipe.macs.1);
    let (src, dst) = recipe.addresses;
    let [a, b, c, d, ..] = src;
    let [e, f, g, h, ..] = dst;
    let (short_src, short_dst) = ([a, b, c, d], [e, f, g, h]);
    let ttl = recipe.ttl;
    let ip = match (&recipe.vlans[..], recipe.is_v6) {
        ([], false) => ethernet.ipv4(short_src, short_dst, ttl),
        ([], true) => ethernet.ipv6(src, dst, ttl),
        ([id], false) => ethernet.single_vlan(vlan(*id)).ipv4(short_src, short_dst, ttl),
        ([id], true) => ethernet.single_vlan(vlan(*id)).ipv6(src, dst, ttl),
        ([outer, inner, ..], false) => {
            ethernet.double_vlan(vlan(*outer), vlan(*inner)).ipv4(short_src, short_dst, ttl)
        }
        ([outer, inner, ..], true) => {
            ethernet.double_vlan(vlan(*outer), vlan(*inner)).ipv6(src, dst, ttl)
        }
    };
    let mut out = Vec::new();
    let written = match recipe.transport % 4 {
        0 => ip
            .tcp(recipe.ports.0, recipe.ports.1, recipe.numbers.0, recipe.window)
            .ack(recipe.numbers.1)
            .write(&mut out, &recipe.payload),
        1 => ip.udp(recipe.ports.0, recipe.ports.1).write(&mut out, &recipe.payload),
        2 if recipe.is_v6 => {
            ip.icmpv6_echo_request(recipe.ports.0, recipe.ports.1).write(&mut out, &recipe.payload)
        }
        _ => {
            ip.icmpv4_echo_request(recipe.ports.0, recipe.ports.1).write(&mut out, &recipe.payload)
        }
    };
    written.expect("a small packet fits");
    out
}

#[track_caller]
fn compare(ours: &Packet<'_>, theirs: &SlicedPacket<'_>) {
    let link = theirs.link.as_ref().and_then(LinkSlice::to_header).expect("it has a link layer");
    let ethernet = link.ethernet2().expect("it is Ethernet");
    assert_eq!(ours.macs, Some((MacAddr(ethernet.source), MacAddr(ethernet.destination))));
    let vlans: Vec<u16> = match theirs.vlan() {
        None => vec![],
        Some(VlanSlice::SingleVlan(tag)) => vec![tag.vlan_identifier().value()],
        Some(VlanSlice::DoubleVlan(tags)) => {
            vec![tags.outer.vlan_identifier().value(), tags.inner.vlan_identifier().value()]
        }
    };
    assert_eq!(ours.vlans.as_slice(), vlans);
    let ip = ours.ip().expect("it is IP");
    match theirs.net.as_ref().expect("it is IP") {
        NetSlice::Ipv4(slice) => {
            let header = slice.header();
            assert_eq!(
                (ip.src, ip.dst),
                (IpAddr::from(header.source()), header.destination().into())
            );
            assert_eq!((ip.ttl, ip.proto.0), (header.ttl(), header.protocol().0));
            assert_eq!(ip.total_len, u32::from(header.total_len()));
            assert_eq!((ip.header, ip.payload), (header.slice(), slice.payload().payload));
        }
        NetSlice::Ipv6(slice) => {
            let header = slice.header();
            assert_eq!(
                (ip.src, ip.dst),
                (IpAddr::from(header.source()), header.destination().into())
            );
            assert_eq!((ip.ttl, ip.proto.0), (header.hop_limit(), slice.payload().ip_number.0));
            assert_eq!((ip.header, ip.payload), (header.slice(), slice.payload().payload));
        }
        NetSlice::Arp(_) => panic!("no ARP was written"),
    }
    match (ours.transport, theirs.transport.as_ref().expect("it has a transport layer")) {
        (Transport::Tcp(tcp), TransportSlice::Tcp(slice)) => {
            assert_eq!((tcp.src, tcp.dst), (slice.source_port(), slice.destination_port()));
            assert_eq!(
                (tcp.seq, tcp.ack),
                (slice.sequence_number(), slice.acknowledgment_number())
            );
            assert_eq!((tcp.window, tcp.options), (slice.window_size(), slice.options()));
            assert_eq!(tcp.has(flowtrack_wire::Tcp::ACK), slice.ack());
            assert_eq!(ours.payload, slice.payload());
        }
        (Transport::Udp(ports), TransportSlice::Udp(slice)) => {
            assert_eq!((ports.src, ports.dst), (slice.source_port(), slice.destination_port()));
            assert_eq!(ours.payload, slice.payload());
        }
        (Transport::Icmp(icmp), TransportSlice::Icmpv4(slice)) => {
            assert_eq!((icmp.kind, icmp.code), (slice.type_u8(), slice.code_u8()));
            assert_eq!(ours.payload, slice.payload());
        }
        (Transport::Icmp(icmp), TransportSlice::Icmpv6(slice)) => {
            assert_eq!((icmp.kind, icmp.code), (slice.type_u8(), slice.code_u8()));
            assert_eq!(ours.payload, slice.payload());
        }
        (Transport::Other, TransportSlice::Icmpv4(_)) => assert!(ip.src.is_ipv6()),
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn frames_mean_the_same(recipe in any_recipe()) {
        let data = frame(&recipe);
        let raw = RawPacket {
            ts: Timestamp::default(),
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number: 1,
            wire_len: data.len() as u32,
            vlan_tci: None,
            data: &data,
        };
        let ours = decode(&raw, &mut DecoderStats::default());
        prop_assert!(!ours.malformed);
        compare(&ours, &SlicedPacket::from_ethernet(&data).expect("another program wrote it"));
    }
}
