//! Verifying checksums, for those who ask: most captures hold packets whose checksums the
//! sending card filled in later.

use crate::{
    bytes::{at_most, be16, behind, chunk},
    ip::{IPV6_HEADER, v6},
    packet::{Ip, Packet, Transport},
};
use flowtrack_event::IpProto;
use std::net::IpAddr;

/// Whether no checksum of the packet is wrong; what cannot be verified is not wrong.
pub fn checksum_ok(packet: &Packet<'_>) -> bool {
    packet.ip().and_then(ipv4_checksum_ok) != Some(false)
        && transport_checksum_ok(packet) != Some(false)
}

/// Whether the checksum of an IPv4 header is right; none for IPv6, and where the header is cut.
pub fn ipv4_checksum_ok(ip: &Ip<'_>) -> Option<bool> {
    if !ip.src.is_ipv4() {
        return None;
    }
    let header_len = usize::from(ip.header.first()? & 0x0f) * 4;
    Some(fold(sum(ip.header.get(..header_len)?)) == 0xffff)
}

/// Whether the checksum of TCP, UDP, SCTP, ICMP or `ICMPv6` is right.
///
/// None where there is no such header, where the capture cut the packet, where UDP has no
/// checksum, and where a routing header hides the last destination.
pub fn transport_checksum_ok(packet: &Packet<'_>) -> Option<bool> {
    let ip = packet.ip()?;
    if packet.payload.len() != packet.payload_wire_len as usize {
        return None;
    }
    let segment = ip.payload;
    match packet.transport {
        Transport::Tcp(_) => Some(fold(pseudo_header(ip, segment.len())? + sum(segment)) == 0xffff),
        Transport::Udp(_) => {
            if be16(segment, 6)? == 0 && ip.src.is_ipv4() {
                return None;
            }
            let told = usize::from(be16(segment, 4)?);
            let segment = if told == 0 { segment } else { at_most(segment, told) };
            Some(fold(pseudo_header(ip, segment.len())? + sum(segment)) == 0xffff)
        }
        Transport::Icmp(_) if ip.src.is_ipv4() => Some(fold(sum(segment)) == 0xffff),
        Transport::Icmp(_) => {
            Some(fold(pseudo_header(ip, segment.len())? + sum(segment)) == 0xffff)
        }
        Transport::Sctp(_) => {
            let told = u32::from_le_bytes(chunk(segment, 8)?);
            let crc = crc32c(!0, at_most(segment, 8));
            let crc = crc32c(crc, &[0; 4]);
            Some(!crc32c(crc, behind(segment, 12)) == told)
        }
        Transport::None | Transport::Other => None,
    }
}

/// Sum of the pseudo header that TCP, UDP and `ICMPv6` include (RFC 9293, RFC 8200).
fn pseudo_header(ip: &Ip<'_>, len: usize) -> Option<u64> {
    let addresses = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) if !is_source_routed(ip) => {
            sum(&src.octets()) + sum(&dst.octets())
        }
        _ => return None,
    };
    Some(addresses + u64::from(ip.proto.0) + len as u64)
}

/// Whether a routing header says that the destination of the header is not the last one.
fn is_source_routed(ip: &Ip<'_>) -> bool {
    let mut proto = ip.header.get(6).map_or(IpProto(0), |next| IpProto(*next));
    let mut rest = behind(ip.header, IPV6_HEADER);
    while !rest.is_empty() && v6::is_extension(proto) {
        if proto == v6::ROUTING && rest.get(3).is_some_and(|left| *left > 0) {
            return true;
        }
        let Some((next, len)) = v6::extension(proto, rest) else {
            return false;
        };
        proto = next;
        rest = behind(rest, len);
    }
    false
}

/// The checksum to write over `data` whose checksum field is zero.
pub(crate) fn internet_checksum(data: &[u8]) -> u16 {
    !(fold(sum(data)) as u16)
}

/// Sum of the 16-bit words (RFC 1071), an odd last byte padded with zero.
fn sum(data: &[u8]) -> u64 {
    let words = data.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |b| u64::from(*b) << 8);
    let even: u64 = words
        .map(|word| word.first_chunk::<2>().map_or(0, |w| u64::from(u16::from_be_bytes(*w))))
        .sum();
    even + odd
}

/// Folds a sum into 16 bits.
fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// CRC-32C of one byte for each value (RFC 9260, appendix A).
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler evaluates it, and the loop ends before 256"
)]
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Carries a CRC-32C on over `data`.
fn crc32c(crc: u32, data: &[u8]) -> u32 {
    data.iter().fold(crc, |crc, byte| {
        let at = usize::from((crc as u8) ^ byte);
        (crc >> 8) ^ CRC32C.get(at).copied().unwrap_or_default()
    })
}
