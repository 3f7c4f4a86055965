//! Teredo: IPv6 in UDP in IPv4 (RFC 4380).

use crate::{
    bytes::{be16, behind, chunk},
    decode::Decoder,
    ip::IPV6_HEADER,
};
use flowtrack_event::{LinkType, TunnelKind};

/// Length of the authentication indication without client identifier and value.
const AUTHENTICATION: usize = 13;

/// Length of the origin indication.
const ORIGIN: usize = 8;

/// Prefix of Teredo addresses, `2001::/32`.
const PREFIX: [u8; 4] = [0x20, 0x01, 0x00, 0x00];

impl<'a> Decoder<'a, '_> {
    /// What is sent to or from a Teredo port, where it can be nothing else: an IPv6 packet of
    /// exactly the right length with a Teredo or link-local address.
    pub(crate) fn teredo(&mut self, payload: &'a [u8]) {
        let Some(packet) = behind_indications(payload) else {
            return;
        };
        let (Some(payload_len), Some(src), Some(dst)) =
            (be16(packet, 4), chunk::<16>(packet, 8), chunk::<16>(packet, 24))
        else {
            return;
        };
        let is_ipv6 = packet.first().is_some_and(|b| b >> 4 == 6);
        let fills = IPV6_HEADER + usize::from(payload_len) == packet.len() + self.cut;
        if is_ipv6 && fills && (belongs(src) || belongs(dst)) {
            self.stats.teredo += 1;
            self.carry(TunnelKind::Teredo, LinkType::IPV6, packet);
        }
    }
}

/// What follows the authentication and the origin indication, each of which may be there once.
fn behind_indications(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload;
    if let [0x00, 0x01, identifier_len, value_len, ..] = *rest {
        rest = rest.get(AUTHENTICATION + usize::from(identifier_len) + usize::from(value_len)..)?;
    }
    if let [0x00, 0x00, ..] = *rest {
        rest = behind(rest, ORIGIN);
    }
    Some(rest)
}

/// Whether an address is one that Teredo clients have: their own, or link-local.
fn belongs(address: [u8; 16]) -> bool {
    let [a, b, ..] = address;
    address.starts_with(&PREFIX) || (a == 0xfe && b & 0xc0 == 0x80)
}
