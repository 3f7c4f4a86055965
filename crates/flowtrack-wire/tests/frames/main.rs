//! Small frames, byte by byte: what each layer yields, and what each malformed header is called.

mod anomalies;
mod build;
mod checksums;
mod ip;
mod link;
mod quoted;
mod transport;
mod tunnels;

use flowtrack_event::{DecoderStats, IfaceId, IpProto, LinkType, RawPacket, Timestamp};
use flowtrack_wire::{Ip, Packet, Ports, Transport, decode, decode_inner};

/// A frame as captured.
fn raw(link: LinkType, data: &[u8]) -> RawPacket<'_> {
    RawPacket {
        ts: Timestamp::default(),
        iface: IfaceId(0),
        link,
        number: 1,
        wire_len: data.len() as u32,
        vlan_tci: None,
        data,
    }
}

fn decoded(link: LinkType, data: &[u8]) -> (Packet<'_>, DecoderStats) {
    let mut stats = DecoderStats::default();
    let packet = decode(&raw(link, data), &mut stats);
    (packet, stats)
}

fn ethernet(data: &[u8]) -> (Packet<'_>, DecoderStats) {
    decoded(LinkType::ETHERNET, data)
}

fn ip(data: &[u8]) -> (Packet<'_>, DecoderStats) {
    decoded(LinkType::RAW, data)
}

/// What a packet carries, decoded.
fn inner<'a>(outer: &Packet<'a>) -> (Packet<'a>, DecoderStats) {
    let mut stats = DecoderStats::default();
    let inner = outer.inner.expect("it carries a packet");
    let packet = decode_inner(&inner, outer.vlans, &mut stats);
    (packet, stats)
}

/// Names of what is wrong.
fn names(packet: &Packet<'_>) -> Vec<&'static str> {
    packet.anomalies.iter().map(|anomaly| anomaly.name()).collect()
}

/// The small UDP packet of the builders, and nothing wrong with it.
#[track_caller]
fn assert_udp(packet: &Packet<'_>) {
    assert_eq!(names(packet), Vec::<&str>::new());
    assert!(!packet.malformed);
    let found = packet.ip().expect("it is IP");
    assert_eq!(found.proto, IpProto::UDP);
    assert_eq!(ports(packet), Ports { src: 1000, dst: 2000 });
    assert_eq!(packet.payload, b"data");
    assert_eq!(packet.payload_wire_len, 4);
}

#[track_caller]
fn ports(packet: &Packet<'_>) -> Ports {
    match packet.transport {
        Transport::Udp(ports) | Transport::Sctp(ports) => ports,
        ref other => panic!("no ports: {other:?}"),
    }
}

#[track_caller]
fn the_ip<'p, 'a>(packet: &'p Packet<'a>) -> &'p Ip<'a> {
    packet.ip().expect("it is IP")
}
