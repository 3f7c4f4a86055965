//! Community ID 1.0: one name for a flow across tools.

use crate::FlowKey;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use std::net::IpAddr;

/// The Community ID (version 1) of a flow, such as `1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=`.
///
/// The lower endpoint comes first, except for ICMP types without a counterpart, which keep their
/// direction. Tunnels and ESP are hashed with their ports as zeros, as Suricata does, so that its
/// events can be joined; other protocols without ports by their addresses alone.
pub fn community_id(key: &FlowKey, seed: u16) -> String {
    let proto = key.proto.0;
    let (mut sport, mut dport) = (key.src_port, key.dst_port);
    let mut has_ports = matches!(proto, 4 | 6 | 17 | 41 | 50 | 132);
    if proto == 50 {
        // Of the security parameter index, Suricata takes the lower half.
        dport = 0;
    }
    let mut one_way = false;
    if matches!(proto, 1 | 58) {
        let (kind, code) = (key.icmp_type(), key.icmp_code());
        has_ports = true;
        sport = u16::from(kind);
        match icmp_counterpart(proto, kind) {
            Some(other) => dport = u16::from(other),
            None => {
                // Suricata leaves the code of ICMPv6 out, and orders the endpoints all the same.
                dport = if proto == 1 { u16::from(code) } else { 0 };
                one_way = proto == 1;
            }
        }
    }
    let (mut src, mut dst) = (key.src, key.dst);
    if !one_way && (dst, dport) < (src, sport) {
        std::mem::swap(&mut src, &mut dst);
        std::mem::swap(&mut sport, &mut dport);
    }
    let mut sha = Sha1::new();
    sha.update(seed.to_be_bytes());
    for addr in [src, dst] {
        match addr {
            IpAddr::V4(a) => sha.update(a.octets()),
            IpAddr::V6(a) => sha.update(a.octets()),
        }
    }
    sha.update([proto, 0]);
    if has_ports {
        sha.update(sport.to_be_bytes());
        sha.update(dport.to_be_bytes());
    }
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    BASE64_STANDARD.encode_string(sha.finalize(), &mut id);
    id
}

/// The message type that answers `kind`, where there is one (request and reply pairs).
fn icmp_counterpart(proto: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = if proto == 1 {
        &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)]
    } else {
        &[(128, 129), (133, 134), (135, 136), (130, 131), (144, 145), (139, 140)]
    };
    pairs.iter().find_map(|&(a, b)| match kind {
        k if k == a => Some(b),
        k if k == b => Some(a),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IpProto;

    fn key(src: &str, sport: u16, dst: &str, dport: u16, proto: u8) -> FlowKey {
        FlowKey {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_port: sport,
            dst_port: dport,
            proto: IpProto(proto),
        }
    }

    #[test]
    fn is_the_same_both_ways() {
        let there = community_id(&key("128.232.110.120", 34855, "66.35.250.204", 80, 6), 0);
        let back = community_id(&key("66.35.250.204", 80, "128.232.110.120", 34855, 6), 0);
        assert_eq!(there, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(there, back);
    }

    #[test]
    fn keeps_the_direction_of_icmp_without_an_answer() {
        let there = community_id(&key("192.168.0.89", 3 << 8, "192.168.0.1", 1, 1), 0);
        let back = community_id(&key("192.168.0.1", 3 << 8, "192.168.0.89", 1, 1), 0);
        assert_ne!(there, back);
    }
}
