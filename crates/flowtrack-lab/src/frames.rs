//! Frames, layer by layer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ethernet around `payload`, filled up to `len` bytes.
pub fn ethernet(ethertype: u16, payload: &[u8], len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(len), 0);
    frame
}

/// A tag in front of `payload`, as what follows the `EtherType` of the tag.
pub fn tagged(tci: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&tci.to_be_bytes()[..], &ethertype.to_be_bytes(), payload].concat()
}

/// An IP header in front of `payload`, with the `EtherType` that announces it.
pub fn ip(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> (u16, Vec<u8>) {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => (0x0800, ipv4(src, dst, proto, 0, payload)),
        (IpAddr::V6(src), IpAddr::V6(dst)) => (0x86dd, ipv6(src, dst, proto, payload)),
        _ => panic!("one address family, please"),
    }
}

/// An IPv4 header in front of `payload`; `fragment` is flags and offset.
pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, proto, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// An IPv6 header in front of `payload`.
pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// A UDP header in front of `payload`.
pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let words = [src, dst, len, 0].map(u16::to_be_bytes);
    [words.as_flattened(), payload].concat()
}
