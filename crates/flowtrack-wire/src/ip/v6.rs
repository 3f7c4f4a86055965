//! IPv6 and its extension headers (RFC 8200).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{at_most, be16, be32, behind},
    decode::Decoder,
    ip::{IPV6_HEADER, IpPayload, NO_NEXT_HEADER, Version},
    packet::{Fragment, Ip, Network},
};
use flowtrack_event::IpProto;
use std::net::{IpAddr, Ipv6Addr};

/// Extension headers.
pub(crate) const HOP_BY_HOP: IpProto = IpProto(0);
pub(crate) const ROUTING: IpProto = IpProto(43);
pub(crate) const FRAGMENT: IpProto = IpProto(44);
pub(crate) const DESTINATION_OPTIONS: IpProto = IpProto(60);
pub(crate) const MOBILITY: IpProto = IpProto(135);
pub(crate) const HOST_IDENTITY: IpProto = IpProto(139);
pub(crate) const SHIM6: IpProto = IpProto(140);

/// Extension headers that are followed in one packet; a full Ethernet frame of the shortest ones
/// stays below.
const MAX_EXTENSIONS: usize = 256;

/// The largest packet without a jumbo payload option.
const MAX_PAYLOAD: usize = 0xffff;

/// Option types of hop-by-hop and destination options.
const PAD1: u8 = 0x00;
const PADN: u8 = 0x01;
const ROUTER_ALERT: u8 = 0x05;
const JUMBO_PAYLOAD: u8 = 0xc2;

/// Options that somebody defined (IANA "Destination Options and Hop-by-Hop Options").
const KNOWN_OPTIONS: [u8; 20] = [
    PAD1,
    PADN,
    ROUTER_ALERT,
    JUMBO_PAYLOAD,
    0x04,
    0x07,
    0x08,
    0x0f,
    0x11,
    0x12,
    0x23,
    0x26,
    0x30,
    0x31,
    0x63,
    0x6d,
    0x8a,
    0x8b,
    0xc9,
    0xee,
];

/// What the walk over extension headers found.
struct Extensions<'a> {
    proto: IpProto,
    payload: &'a [u8],
    fragment: Option<Fragment>,
    /// Whether every header up to `payload` was read.
    complete: bool,
}

impl<'a> Decoder<'a, '_> {
    /// An IPv6 header and its extensions; says what to go on with.
    #[inline]
    pub(crate) fn ipv6(&mut self, data: &'a [u8]) -> Option<IpPayload<'a>> {
        self.stats.ipv6 += 1;
        self.network_begins(data);
        let Some((fixed, rest)) = data.split_first_chunk::<IPV6_HEADER>() else {
            self.short(DecodeAnomaly::Ipv6PktTooSmall);
            return None;
        };
        let [b0, b1, _, _, l0, l1, next, ttl, addresses @ ..] = *fixed;
        if b0 >> 4 != 6 {
            self.fail(DecodeAnomaly::Ipv6WrongIpVersion);
            return None;
        }
        let next = IpProto(next);
        let payload_len = match usize::from(u16::from_be_bytes([l0, l1])) {
            0 => self.missing_payload_len(next, rest),
            told => told,
        };
        let fits = self.fits(payload_len, rest);
        if fits && self.padding > 0 && payload_len > self.whole(rest) {
            self.note(DecodeAnomaly::Ipv6TruncPkt);
        }
        let captured = at_most(rest, payload_len);
        if fits {
            self.cut = payload_len - captured.len();
        }
        let found = if is_extension(next) {
            self.extensions(next, captured)
        } else {
            Extensions { proto: next, payload: captured, fragment: None, complete: true }
        };
        let header_len = IPV6_HEADER + captured.len() - found.payload.len();
        let (src, dst) = split_addresses(&addresses);
        self.packet.network = Network::Ip(Ip {
            src,
            dst,
            proto: found.proto,
            ttl,
            tos: (b0 << 4) | (b1 >> 4),
            header: at_most(data, header_len),
            payload: found.payload,
            total_len: (IPV6_HEADER + payload_len) as u32,
            fragment: found.fragment,
        });
        self.packet.payload = found.payload;
        if !fits {
            self.packet.payload_wire_len = found.payload.len() as u32;
            self.fail(DecodeAnomaly::Ipv6TruncPkt);
            return None;
        }
        self.packet.payload_wire_len = (found.payload.len() + self.cut) as u32;
        (found.fragment.is_none() && found.complete).then_some(IpPayload {
            version: Version::V6,
            proto: found.proto,
            data: found.payload,
        })
    }

    /// The payload length where the header says 0: a jumbo payload, or segmentation offload.
    #[cold]
    fn missing_payload_len(&self, next: IpProto, rest: &[u8]) -> usize {
        let whole = self.whole(rest);
        let jumbo = next == HOP_BY_HOP && rest.get(2) == Some(&JUMBO_PAYLOAD);
        match be32(rest, 4) {
            Some(told) if jumbo => told as usize,
            // Padding of a short frame is shorter than a TCP header.
            _ if whole > MAX_PAYLOAD || (next == IpProto::TCP && whole >= 20) => whole,
            _ => 0,
        }
    }

    /// Walks over extension headers up to the transport header, or to the first fragment header
    /// of a packet that is not whole.
    #[inline(never)]
    fn extensions(&mut self, first: IpProto, data: &'a [u8]) -> Extensions<'a> {
        let mut seen = Seen::default();
        let mut found = Extensions { proto: first, payload: data, fragment: None, complete: true };
        for _ in 0..MAX_EXTENSIONS {
            if !is_extension(found.proto) {
                return found;
            }
            if let Some(again) = seen.add(found.proto) {
                self.note(again);
            }
            let Some((next, len)) = extension(found.proto, found.payload) else {
                self.short(DecodeAnomaly::Ipv6TruncExthdr);
                found.complete = false;
                return found;
            };
            let header = at_most(found.payload, len);
            let rest = behind(found.payload, len);
            match found.proto {
                HOP_BY_HOP | DESTINATION_OPTIONS => {
                    self.ipv6_options(found.proto == HOP_BY_HOP, behind(header, 2));
                }
                ROUTING if header.get(2) == Some(&0) => self.note(DecodeAnomaly::Ipv6RhType0),
                IpProto::AH => {
                    self.authentication(found.payload);
                }
                FRAGMENT => {
                    found.fragment = self.fragment_header(header, rest);
                }
                _ => {}
            }
            found.proto = next;
            found.payload = rest;
            if found.fragment.is_some() {
                return found;
            }
            // Less than two bytes are no header at all.
            if rest.len() < 2 && next != NO_NEXT_HEADER {
                self.short(DecodeAnomaly::Ipv6TruncExthdr);
                found.complete = false;
                return found;
            }
        }
        self.note(DecodeAnomaly::Ipv6TooManyExthdrs);
        found.complete = false;
        found
    }

    /// A fragment header; none where the packet is whole in spite of it (RFC 6946).
    fn fragment_header(&mut self, header: &[u8], rest: &[u8]) -> Option<Fragment> {
        let field = be16(header, 2)?;
        let id = be32(header, 4)?;
        if header.get(1) != Some(&0) || field & 0x06 != 0 {
            self.note(DecodeAnomaly::Ipv6FhNonZeroReservedField);
        }
        let (offset, more) = (u32::from(field & 0xfff8), field & 1 != 0);
        if offset == 0 && !more {
            self.note(DecodeAnomaly::Ipv6ExthdrUselessFh);
            return None;
        }
        if more && !(rest.len() + self.cut).is_multiple_of(8) {
            self.fail(DecodeAnomaly::Ipv6FragInvalidLength);
        }
        Some(Fragment { id, offset, more })
    }

    /// Checks hop-by-hop or destination options.
    fn ipv6_options(&mut self, hop_by_hop: bool, mut options: &[u8]) {
        let mut only_padding = true;
        while let Some((&kind, rest)) = options.split_first() {
            if kind == PAD1 {
                options = rest;
                continue;
            }
            let len = match rest.first() {
                Some(&len) if usize::from(len) < rest.len() => usize::from(len),
                _ => return self.note(DecodeAnomaly::Ipv6ExthdrInvalidOptlen),
            };
            match kind {
                // At the end it fills the header up, as in every multicast listener report.
                PADN if len == 0 && rest.len() > 1 => self.note(DecodeAnomaly::Ipv6ZeroLenPadn),
                PADN => {}
                _ => only_padding = false,
            }
            if (kind == ROUTER_ALERT && len != 2) || (kind == JUMBO_PAYLOAD && len != 4) {
                self.note(DecodeAnomaly::Ipv6ExthdrInvalidOptlen);
            }
            if !KNOWN_OPTIONS.contains(&kind) {
                self.note(if hop_by_hop {
                    DecodeAnomaly::Ipv6HopoptsUnknownOpt
                } else {
                    DecodeAnomaly::Ipv6DstoptsUnknownOpt
                });
            }
            options = behind(options, 2 + len);
        }
        if only_padding {
            self.note(if hop_by_hop {
                DecodeAnomaly::Ipv6HopoptsOnlyPadding
            } else {
                DecodeAnomaly::Ipv6DstoptsOnlyPadding
            });
        }
    }
}

/// Whether a next header is an extension that is stepped over.
pub(crate) const fn is_extension(proto: IpProto) -> bool {
    matches!(
        proto,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | IpProto::AH
            | DESTINATION_OPTIONS
            | MOBILITY
            | HOST_IDENTITY
            | SHIM6
    )
}

/// What follows the extension header at the start of `data`, and the header's length; none where
/// it does not fit.
pub(crate) fn extension(proto: IpProto, data: &[u8]) -> Option<(IpProto, usize)> {
    let &[next, units] = data.first_chunk::<2>()?;
    let len = match proto {
        FRAGMENT => 8,
        IpProto::AH => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    (len <= data.len()).then_some((IpProto(next), len))
}

fn split_addresses(addresses: &[u8; 32]) -> (IpAddr, IpAddr) {
    let (src, dst) = addresses.split_at(16);
    let address = |bytes: &[u8]| {
        IpAddr::V6(bytes.first_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |b| Ipv6Addr::from(*b)))
    };
    (address(src), address(dst))
}

/// Which extension headers a packet had so far.
#[derive(Default)]
struct Seen {
    hop_by_hop: u16,
    routing: u16,
    fragment: u16,
    authentication: u16,
    destination: u16,
}

impl Seen {
    /// Counts one more; says what is wrong with that.
    fn add(&mut self, proto: IpProto) -> Option<DecodeAnomaly> {
        let (count, most, anomaly) = match proto {
            HOP_BY_HOP => (&mut self.hop_by_hop, 1, DecodeAnomaly::Ipv6ExthdrDuplHh),
            ROUTING => (&mut self.routing, 1, DecodeAnomaly::Ipv6ExthdrDuplRh),
            FRAGMENT => (&mut self.fragment, 1, DecodeAnomaly::Ipv6ExthdrDuplFh),
            IpProto::AH => (&mut self.authentication, 1, DecodeAnomaly::Ipv6ExthdrDuplAh),
            // One before the routing header and one before the transport header.
            DESTINATION_OPTIONS => (&mut self.destination, 2, DecodeAnomaly::Ipv6ExthdrDuplDh),
            _ => return None,
        };
        *count += 1;
        (*count > most).then_some(anomaly)
    }
}
