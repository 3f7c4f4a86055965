//! IPv4 (RFC 791).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{at_most, behind},
    decode::Decoder,
    ip::{IPV4_HEADER, IpPayload, Version},
    packet::{Fragment, Ip, Network},
};
use flowtrack_event::IpProto;
use std::net::{IpAddr, Ipv4Addr};

/// Bits of the fragment field.
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Authentication headers that are followed in one packet.
const MAX_AUTHENTICATION: usize = 4;

impl<'a> Decoder<'a, '_> {
    /// An IPv4 header; says what to go on with.
    #[inline]
    pub(crate) fn ipv4(&mut self, data: &'a [u8]) -> Option<IpPayload<'a>> {
        self.stats.ipv4 += 1;
        self.network_begins(data);
        let Some(fixed) = data.first_chunk::<IPV4_HEADER>() else {
            self.short(DecodeAnomaly::Ipv4PktTooSmall);
            return None;
        };
        let [version_len, tos, l0, l1, i0, i1, f0, f1, ttl, proto, _, _, addresses @ ..] = *fixed;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        if version_len >> 4 != 4 {
            self.fail(DecodeAnomaly::Ipv4WrongIpVersion);
            return None;
        }
        let header_len = usize::from(version_len & 0x0f) * 4;
        if header_len < IPV4_HEADER {
            self.fail(DecodeAnomaly::Ipv4HlenTooSmall);
            return None;
        }
        let total_len = match usize::from(u16::from_be_bytes([l0, l1])) {
            // Segmentation offload: the card fills the length in, behind the capture.
            0 => self.whole(data),
            told => told,
        };
        if total_len < header_len {
            self.fail(DecodeAnomaly::Ipv4IplenSmallerThanHlen);
            return None;
        }
        let fits = self.fits(total_len, data);
        if fits && self.padding > 0 && total_len > self.whole(data) {
            // No byte is taken from the padding, but its sender meant the packet to be that long.
            self.note(DecodeAnomaly::Ipv4TruncPkt);
        }
        let captured = at_most(data, total_len);
        let fragment_field = u16::from_be_bytes([f0, f1]);
        let fragment = if fragment_field & (MORE_FRAGMENTS | OFFSET) == 0 {
            None
        } else {
            Some(Fragment {
                id: u32::from(u16::from_be_bytes([i0, i1])),
                offset: u32::from(fragment_field & OFFSET) * 8,
                more: fragment_field & MORE_FRAGMENTS != 0,
            })
        };
        let mut header = at_most(captured, header_len);
        let mut payload = behind(captured, header_len);
        let mut proto = IpProto(proto);
        if fits {
            self.cut = total_len - captured.len();
        }
        if header_len > IPV4_HEADER {
            self.ipv4_options(behind(header, IPV4_HEADER));
        }
        let mut readable = fits && header.len() == header_len;
        if proto == IpProto::AH && fragment.is_none() && readable {
            (proto, payload, readable) = self.authentication_headers(payload);
            header = at_most(captured, captured.len() - payload.len());
        }
        self.packet.network = Network::Ip(Ip {
            src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            proto,
            ttl,
            tos,
            header,
            payload,
            total_len: total_len as u32,
            fragment,
        });
        self.packet.payload = payload;
        if !fits {
            self.packet.payload_wire_len = payload.len() as u32;
            self.fail(DecodeAnomaly::Ipv4TruncPkt);
            return None;
        }
        self.packet.payload_wire_len = (payload.len() + self.cut) as u32;
        (fragment.is_none() && readable).then_some(IpPayload {
            version: Version::V4,
            proto,
            data: payload,
        })
    }

    /// Steps over authentication headers (RFC 4302); says what follows and whether all were read.
    #[inline(never)]
    fn authentication_headers(&mut self, mut payload: &'a [u8]) -> (IpProto, &'a [u8], bool) {
        for _ in 0..MAX_AUTHENTICATION {
            let Some((next, rest)) = self.authentication(payload) else {
                self.short(DecodeAnomaly::Ipv4PktTooSmall);
                return (IpProto::AH, payload, false);
            };
            payload = rest;
            if next != IpProto::AH {
                return (next, payload, true);
            }
        }
        self.stats.too_many_layers += 1;
        (IpProto::AH, payload, false)
    }

    /// One authentication header: what follows it, where it ends in the packet.
    pub(crate) fn authentication(&mut self, data: &'a [u8]) -> Option<(IpProto, &'a [u8])> {
        self.stats.ah += 1;
        let &[next, words, r0, r1] = data.first_chunk::<4>()?;
        let rest = data.get((usize::from(words) + 2) * 4..)?;
        if [r0, r1] != [0, 0] {
            self.note(DecodeAnomaly::Ipv6ExthdrAhResNotNull);
        }
        Some((IpProto(next), rest))
    }

    /// Checks the options behind the fixed header.
    #[inline(never)]
    fn ipv4_options(&mut self, mut options: &[u8]) {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        let mut seen = [0_u64; 4];
        while let Some((&kind, rest)) = options.split_first() {
            if kind == END {
                return;
            }
            if kind == NO_OPERATION {
                options = rest;
                continue;
            }
            let Some(&len) = rest.first() else {
                return self.short_note(DecodeAnomaly::Ipv4OptInvalidLen);
            };
            let len = usize::from(len);
            if len < 2 || len > options.len() {
                return self.short_note(DecodeAnomaly::Ipv4OptInvalidLen);
            }
            let content = options.get(2..len).unwrap_or_default();
            if let Some(wrong) = check_option(kind, content) {
                self.note(wrong);
            }
            if let Some(word) = seen.get_mut(usize::from(kind >> 6)) {
                let bit = 1 << (kind & 0x3f);
                if *word & bit != 0 {
                    self.note(DecodeAnomaly::Ipv4OptDuplicate);
                }
                *word |= bit;
            }
            options = behind(options, len);
        }
    }
}

/// What is wrong with one option, given what stands behind its type and length.
fn check_option(kind: u8, content: &[u8]) -> Option<DecodeAnomaly> {
    const RECORD_ROUTE: u8 = 7;
    const TIMESTAMP: u8 = 68;
    const SECURITY: u8 = 130;
    const LOOSE_ROUTE: u8 = 131;
    const EXTENDED_SECURITY: u8 = 133;
    const COMMERCIAL_SECURITY: u8 = 134;
    const STREAM: u8 = 136;
    const STRICT_ROUTE: u8 = 137;
    const ROUTER_ALERT: u8 = 148;
    match (kind, content) {
        (RECORD_ROUTE | LOOSE_ROUTE | STRICT_ROUTE, [pointer, addresses @ ..]) => {
            if addresses.len() % 4 != 0 {
                Some(DecodeAnomaly::Ipv4OptInvalidLen)
            } else if *pointer < 4
                || usize::from(*pointer) > addresses.len() + 4
                || pointer % 4 != 0
            {
                Some(DecodeAnomaly::Ipv4OptMalformed)
            } else {
                None
            }
        }
        (TIMESTAMP, [pointer, flags, ..]) => {
            // Time stamps alone, with addresses, or with prespecified addresses.
            let known = matches!(flags & 0x0f, 0 | 1 | 3);
            (*pointer < 5 || !known).then_some(DecodeAnomaly::Ipv4OptMalformed)
        }
        (STREAM | ROUTER_ALERT, [_, _])
        | (SECURITY | EXTENDED_SECURITY | COMMERCIAL_SECURITY, [_, ..]) => None,
        (
            RECORD_ROUTE | LOOSE_ROUTE | STRICT_ROUTE | TIMESTAMP | STREAM | ROUTER_ALERT
            | SECURITY | EXTENDED_SECURITY | COMMERCIAL_SECURITY,
            _,
        ) => Some(DecodeAnomaly::Ipv4OptInvalidLen),
        _ => Some(DecodeAnomaly::Ipv4OptUnknown),
    }
}
