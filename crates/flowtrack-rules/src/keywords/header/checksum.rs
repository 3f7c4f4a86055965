//! Whether checksums are right.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::signature::Test;
use flowtrack_event::IpProto;
use flowtrack_wire::{Packet, Transport, ipv4_checksum_ok, transport_checksum_ok};

/// A keyword of the family.
macro_rules! checksum {
    ($name:literal, $of:literal, $protocol:literal, $check:expr) => {
        Keyword {
            name: $name,
            aliases: &[],
            doc: concat!("Whether the checksum of ", $of, " is `valid` or `invalid`."),
            example: concat!(
                "alert ",
                $protocol,
                " any any -> any any (",
                $name,
                ":invalid; sid:1;)"
            ),
            parse: |builder, value| parse(builder, value, $check),
        }
    };
}

pub(crate) const KEYWORDS: &[Keyword] = &[
    checksum!("ipv4-csum", "the IPv4 header", "ip", |packet| ipv4_checksum_ok(packet.ip()?)),
    checksum!("tcpv4-csum", "TCP on IPv4", "tcp", |packet| {
        of(packet, true, matches!(packet.transport, Transport::Tcp(_)))
    }),
    checksum!("tcpv6-csum", "TCP on IPv6", "tcp", |packet| {
        of(packet, false, matches!(packet.transport, Transport::Tcp(_)))
    }),
    checksum!("udpv4-csum", "UDP on IPv4", "udp", |packet| {
        of(packet, true, matches!(packet.transport, Transport::Udp(_)))
    }),
    checksum!("udpv6-csum", "UDP on IPv6", "udp", |packet| {
        of(packet, false, matches!(packet.transport, Transport::Udp(_)))
    }),
    checksum!("icmpv4-csum", "ICMP", "icmp", |packet| {
        of(packet, true, matches!(packet.transport, Transport::Icmp(_)))
    }),
    checksum!("icmpv6-csum", "`ICMPv6`", "icmpv6", |packet| {
        of(packet, false, matches!(packet.transport, Transport::Icmp(_)))
    }),
    checksum!("igmp-csum", "IGMP", "igmp", |packet| {
        let ip = packet.ip().filter(|ip| ip.proto == IpProto::IGMP && ip.fragment.is_none())?;
        Some(ones_complement(ip.payload) == 0xffff)
    }),
];

/// Says whether a checksum is right; nothing where there is none, or none that can be verified.
type Check = fn(&Packet<'_>) -> Option<bool>;

#[derive(Debug)]
struct Checksum {
    check: Check,
    valid: bool,
}

impl Test for Checksum {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.and_then(self.check) == Some(self.valid)
    }

    /// Every byte of the packet is read.
    fn cost(&self) -> u8 {
        8
    }
}

fn parse(builder: &mut Builder<'_>, value: &Value<'_>, check: Check) -> Result<(), Complaint> {
    let text = value.needed("valid or invalid")?;
    let valid = match super::unquoted(text).to_ascii_lowercase().as_str() {
        "valid" => true,
        "invalid" => false,
        _ => return Err(Complaint::new("expected valid or invalid")),
    };
    builder.packet_test(Checksum { check, valid });
    Ok(())
}

fn of(packet: &Packet<'_>, is_v4: bool, is_transport: bool) -> Option<bool> {
    let ip = packet.ip()?;
    if is_transport && ip.src.is_ipv4() == is_v4 { transport_checksum_ok(packet) } else { None }
}

/// The Internet checksum of bytes (RFC 1071).
fn ones_complement(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum += rest.first().map_or(0, |last| u64::from(*last) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
