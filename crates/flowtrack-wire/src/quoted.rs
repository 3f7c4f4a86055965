//! The flow that an ICMP error is about.

use crate::{
    bytes::{be16, behind, chunk},
    ip::{IPV4_HEADER, IPV6_HEADER, v6},
};
use flowtrack_event::{FlowKey, IpProto};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Extension headers that are followed in a quoted packet.
const MAX_EXTENSIONS: usize = 16;

/// Reads the five-tuple of a packet quoted by an ICMP error, in the direction it was sent.
///
/// Quotes are cut short as a rule (RFC 792 asks for eight bytes of the payload), so lengths are
/// not checked. None where the quote is no IP packet, or has ports that it does not show.
pub fn quoted_key(quoted: &[u8]) -> Option<FlowKey> {
    match quoted.first()? >> 4 {
        4 => quoted_ipv4(quoted),
        6 => quoted_ipv6(quoted),
        _ => None,
    }
}

fn quoted_ipv4(quoted: &[u8]) -> Option<FlowKey> {
    let &[version_len, _, _, _, _, _, f0, f1, _, proto, _, _, addresses @ ..] =
        quoted.first_chunk::<IPV4_HEADER>()?;
    let header_len = usize::from(version_len & 0x0f) * 4;
    if header_len < IPV4_HEADER || u16::from_be_bytes([f0, f1]) & 0x1fff != 0 {
        return None;
    }
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    key(
        IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        IpProto(proto),
        behind(quoted, header_len),
    )
}

fn quoted_ipv6(quoted: &[u8]) -> Option<FlowKey> {
    let src = Ipv6Addr::from(chunk::<16>(quoted, 8)?);
    let dst = Ipv6Addr::from(chunk::<16>(quoted, 24)?);
    let mut proto = IpProto(*quoted.get(6)?);
    let mut rest = behind(quoted, IPV6_HEADER);
    for _ in 0..MAX_EXTENSIONS {
        if !v6::is_extension(proto) {
            return key(IpAddr::V6(src), IpAddr::V6(dst), proto, rest);
        }
        if proto == v6::FRAGMENT && be16(rest, 2)? & 0xfff8 != 0 {
            return None;
        }
        let (next, len) = v6::extension(proto, rest)?;
        proto = next;
        rest = behind(rest, len);
    }
    None
}

fn key(src: IpAddr, dst: IpAddr, proto: IpProto, payload: &[u8]) -> Option<FlowKey> {
    let (src_port, dst_port) = match proto {
        IpProto::TCP | IpProto::UDP | IpProto::SCTP => (be16(payload, 0)?, be16(payload, 2)?),
        // Type and code stand as one number, and only an echo has an identifier.
        IpProto::ICMP | IpProto::ICMPV6 => {
            let type_code = be16(payload, 0)?;
            let has_id = matches!(
                (proto, type_code >> 8),
                (IpProto::ICMP, 0 | 8) | (IpProto::ICMPV6, 128 | 129)
            );
            (type_code, if has_id { be16(payload, 4)? } else { 0 })
        }
        _ => (0, 0),
    };
    Some(FlowKey { src, dst, src_port, dst_port, proto })
}
