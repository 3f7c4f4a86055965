//! ICMP (RFC 792) and `ICMPv6` (RFC 4443).

use crate::{
    anomaly::DecodeAnomaly,
    decode::Decoder,
    ip::{IPV4_HEADER, IPV6_HEADER},
    packet::{Icmp, Network, Transport},
};

/// Length of the header that all messages share.
const HEADER: usize = 8;

/// Whether an ICMP type quotes the packet that it is about.
pub(crate) const fn is_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// Whether an `ICMPv6` type quotes the packet that it is about.
pub(crate) const fn is_v6_error(kind: u8) -> bool {
    matches!(kind, 1..=4)
}

/// Whether an ICMP type has identifier and sequence number: echo, time stamp, information,
/// address mask, extended echo.
const fn has_id(kind: u8) -> bool {
    matches!(kind, 0 | 8 | 13..=18 | 42 | 43)
}

/// Whether an `ICMPv6` type has identifier and sequence number: echo, extended echo.
const fn has_v6_id(kind: u8) -> bool {
    matches!(kind, 128 | 129 | 160 | 161)
}

impl<'a> Decoder<'a, '_> {
    /// An ICMP message in IPv4.
    pub(crate) fn icmpv4(&mut self, data: &'a [u8]) {
        self.stats.icmpv4 += 1;
        let Some((header, rest)) = data.split_first_chunk::<HEADER>() else {
            return self.unreadable(DecodeAnomaly::Icmpv4PktTooSmall);
        };
        let [kind, code, ..] = *header;
        if let Some(anomaly) = check_type(kind, code) {
            self.note(anomaly);
        }
        let quoted = is_error(kind).then_some(rest);
        self.keep_icmp(*header, has_id(kind), quoted, rest);
        if quoted.is_some() {
            if rest.len() < IPV4_HEADER {
                self.short_note(DecodeAnomaly::Icmpv4Ipv4TruncPkt);
            } else if rest.first().is_some_and(|b| b >> 4 != 4) {
                self.note(DecodeAnomaly::Icmpv4Ipv4UnknownVer);
            }
        }
    }

    /// An `ICMPv6` message in IPv6.
    pub(crate) fn icmpv6(&mut self, data: &'a [u8]) {
        self.stats.icmpv6 += 1;
        let Some((header, rest)) = data.split_first_chunk::<HEADER>() else {
            return self.unreadable(DecodeAnomaly::Icmpv6PktTooSmall);
        };
        let [kind, code, ..] = *header;
        if let Some(anomaly) = check_v6_type(kind, code) {
            self.note(anomaly);
        }
        let hop_limit = match &self.packet.network {
            Network::Ip(ip) => ip.ttl,
            _ => 1,
        };
        if matches!(kind, 130..=132 | 143) && hop_limit != 1 {
            self.note(DecodeAnomaly::Icmpv6MldMessageWithInvalidHl);
        }
        let quoted = is_v6_error(kind).then_some(rest);
        self.keep_icmp(*header, has_v6_id(kind), quoted, rest);
        if quoted.is_some() {
            if rest.len() < IPV6_HEADER {
                self.short_note(DecodeAnomaly::Icmpv6Ipv6TruncPkt);
            } else if rest.first().is_some_and(|b| b >> 4 != 6) {
                self.note(DecodeAnomaly::Icmpv6Ipv6UnknownVersion);
            }
        }
    }

    fn keep_icmp(
        &mut self,
        header: [u8; HEADER],
        has_id: bool,
        quoted: Option<&'a [u8]>,
        rest: &'a [u8],
    ) {
        let [kind, code, _, _, i0, i1, s0, s1] = header;
        let (id, seq) = if has_id {
            (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1]))
        } else {
            (0, 0)
        };
        self.packet.transport = Transport::Icmp(Icmp { kind, code, id, seq, quoted });
        self.packet.payload = rest;
        self.packet.payload_wire_len = (rest.len() + self.cut) as u32;
    }
}

/// What is wrong with type and code of an ICMP message.
fn check_type(kind: u8, code: u8) -> Option<DecodeAnomaly> {
    let known_code = match kind {
        0 | 4 | 8 | 10 | 13..=18 | 42 => code == 0,
        9 => code == 0 || code == 16,
        11 | 30 => code <= 1,
        12 => code <= 2,
        5 | 40 => code <= 3,
        43 => code <= 4,
        3 => code <= 15,
        _ => return Some(DecodeAnomaly::Icmpv4UnknownType),
    };
    (!known_code).then_some(DecodeAnomaly::Icmpv4UnknownCode)
}

/// What is wrong with type and code of an `ICMPv6` message.
fn check_v6_type(kind: u8, code: u8) -> Option<DecodeAnomaly> {
    let known_code = match kind {
        2 | 128..=137 | 141..=149 | 151..=154 | 160 => code == 0,
        3 | 139 | 140 => code <= 2,
        1 => code <= 8,
        4 => code <= 10,
        138 => matches!(code, 0 | 1 | 255),
        // Seamoby, RPL, duplicate address, extended echo reply: codes are the protocol's own.
        150 | 155..=159 | 161 => true,
        100 | 101 | 200 | 201 => return Some(DecodeAnomaly::Icmpv6ExperimentationType),
        5..=99 | 102..=126 => return Some(DecodeAnomaly::Icmpv6UnassignedType),
        _ => return Some(DecodeAnomaly::Icmpv6UnknownType),
    };
    (!known_code).then_some(DecodeAnomaly::Icmpv6UnknownCode)
}
