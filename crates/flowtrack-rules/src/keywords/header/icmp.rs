//! Headers of ICMP, `ICMPv6` and IGMP.

use super::{be8, be32, buffer, carrier, number};
use crate::builder::Keyword;
use flowtrack_event::IpProto;
use flowtrack_wire::{Icmp, Packet, Transport};

/// Length of the header that all messages of ICMP share.
const HEADER: usize = 8;

/// `ICMPv6` "packet too big".
const TOO_BIG: u8 = 2;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "itype",
        aliases: &[],
        doc: "Type of ICMP or `ICMPv6`.",
        example: "alert icmp any any -> any any (itype:8; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| Some(u64::from(icmp(packet)?.kind)))
        },
    },
    Keyword {
        name: "icode",
        aliases: &[],
        doc: "Code of ICMP or `ICMPv6`.",
        example: "alert icmp any any -> any any (itype:3; icode:>9; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| Some(u64::from(icmp(packet)?.code)))
        },
    },
    Keyword {
        name: "icmp_id",
        aliases: &[],
        doc: "Identifier of an echo and its like.",
        example: "alert icmp any any -> any any (icmp_id:512; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| Some(u64::from(echo(packet)?.id)))
        },
    },
    Keyword {
        name: "icmp_seq",
        aliases: &[],
        doc: "Sequence number of an echo and its like.",
        example: "alert icmp any any -> any any (icmp_seq:1; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 65_535, |packet| Some(u64::from(echo(packet)?.seq)))
        },
    },
    Keyword {
        name: "icmpv4.hdr",
        aliases: &[],
        doc: "The header of ICMP.",
        example: "alert icmp any any -> any any (icmpv4.hdr; content:\"|08 00|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "icmpv4.hdr", |packet, visit| {
                header(packet, IpProto::ICMP, visit);
            })
        },
    },
    Keyword {
        name: "icmpv6.hdr",
        aliases: &[],
        doc: "The header of `ICMPv6`.",
        example: "alert icmpv6 any any -> any any (icmpv6.hdr; content:\"|80 00|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "icmpv6.hdr", |packet, visit| {
                header(packet, IpProto::ICMPV6, visit);
            })
        },
    },
    Keyword {
        name: "icmpv6.mtu",
        aliases: &[],
        doc: "Largest packet that \"packet too big\" of `ICMPv6` tells.",
        example: "alert icmpv6 any any -> any any (icmpv6.mtu:<1280; sid:1;)",
        parse: |builder, value| {
            number(builder, value, u64::from(u32::MAX), |packet| {
                let ip = carrier(packet, IpProto::ICMPV6)?;
                icmp(packet).filter(|icmp| icmp.kind == TOO_BIG)?;
                be32(ip.payload, 4)
            })
        },
    },
    Keyword {
        name: "igmp.type",
        aliases: &[],
        doc: "Type of IGMP.",
        example: "alert igmp any any -> any any (igmp.type:0x11; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| be8(carrier(packet, IpProto::IGMP)?.payload, 0))
        },
    },
    Keyword {
        name: "igmp.hdr",
        aliases: &[],
        doc: "The message of IGMP.",
        example: "alert igmp any any -> any any (igmp.hdr; content:\"|11|\"; startswith; sid:1;)",
        parse: |builder, value| {
            buffer(builder, value, "igmp.hdr", |packet, visit| {
                if let Some(ip) = carrier(packet, IpProto::IGMP) {
                    visit(ip.payload);
                }
            })
        },
    },
];

fn icmp<'a, 'p>(packet: &'a Packet<'p>) -> Option<&'a Icmp<'p>> {
    match &packet.transport {
        Transport::Icmp(icmp) => Some(icmp),
        _ => None,
    }
}

/// The header where it has identifier and sequence number.
fn echo<'a, 'p>(packet: &'a Packet<'p>) -> Option<&'a Icmp<'p>> {
    let is_v4 = packet.ip()?.src.is_ipv4();
    icmp(packet).filter(|icmp| match icmp.kind {
        0 | 8 | 13..=18 => is_v4,
        128 | 129 => !is_v4,
        _ => false,
    })
}

fn header(packet: &Packet<'_>, proto: IpProto, visit: &mut dyn FnMut(&[u8])) {
    if let Some(ip) = carrier(packet, proto)
        && let Some(header) = ip.payload.get(..HEADER)
    {
        visit(header);
    }
}
