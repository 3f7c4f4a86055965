//! What IPv4 and IPv6 share: finding the payload and going on by its protocol.

mod v4;
pub(crate) mod v6;

use crate::{
    anomaly::DecodeAnomaly,
    decode::Decoder,
    ethertype,
    packet::{Inner, Transport},
};
use flowtrack_event::{IpProto, LinkType, TunnelKind};

/// Length of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;

/// Length of an IPv6 header without extensions.
pub(crate) const IPV6_HEADER: usize = 40;

/// IPv6 next header that says "nothing follows".
pub(crate) const NO_NEXT_HEADER: IpProto = IpProto(59);

/// MPLS in IP (RFC 4023).
const MPLS_IN_IP: IpProto = IpProto(137);

/// IP protocol numbers that nobody assigned (IANA), 255 being reserved.
const UNASSIGNED: std::ops::RangeInclusive<u8> = 149..=252;

/// Version of the IP header that a transport header follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    V4,
    V6,
}

/// The payload of an IP packet that is no fragment and whose headers were read.
#[derive(Clone, Copy)]
pub(crate) struct IpPayload<'a> {
    version: Version,
    proto: IpProto,
    data: &'a [u8],
}

impl<'a> Decoder<'a, '_> {
    /// Goes on with the payload of an IP packet.
    #[inline]
    pub(crate) fn ip_payload(&mut self, found: IpPayload<'a>) {
        match found.proto {
            IpProto::TCP => self.tcp(found.data),
            IpProto::UDP => self.udp(found.data),
            _ => self.rarer_payload(found),
        }
    }

    /// [`Decoder::ip_payload`] for what is neither TCP nor UDP.
    #[inline(never)]
    fn rarer_payload(&mut self, found: IpPayload<'a>) {
        let IpPayload { version, proto, data: payload } = found;
        self.packet.transport = Transport::Other;
        match proto {
            IpProto::ICMP if version == Version::V4 => self.icmpv4(payload),
            IpProto::ICMP => self.note(DecodeAnomaly::Ipv6Icmpv4),
            IpProto::ICMPV6 if version == Version::V6 => self.icmpv6(payload),
            IpProto::ICMPV6 => self.note(DecodeAnomaly::Ipv4Icmpv6),
            IpProto::SCTP => self.sctp(payload),
            IpProto::IGMP => self.igmp(payload),
            IpProto::GRE => self.gre(payload),
            IpProto::ESP => {
                self.stats.esp += 1;
                if payload.len() < 8 {
                    self.unreadable(DecodeAnomaly::EspPktTooSmall);
                }
            }
            IpProto::IPIP => self.ip_in_ip(version, Version::V4, payload),
            IpProto::IPV6 => self.ip_in_ip(version, Version::V6, payload),
            MPLS_IN_IP => {
                self.carry(TunnelKind::Ip, ethertype::to_link(ethertype::MPLS_UNICAST), payload);
            }
            NO_NEXT_HEADER if version == Version::V6 && !payload.is_empty() => {
                self.note(DecodeAnomaly::Ipv6DataAfterNoneHeader);
            }
            IpProto(number) if UNASSIGNED.contains(&number) || number == u8::MAX => {
                self.note(match version {
                    Version::V4 => DecodeAnomaly::Ipv4UnknownProtocol,
                    Version::V6 => DecodeAnomaly::Ipv6UnknownNextHeader,
                });
            }
            _ => {}
        }
    }

    /// The transport header ends early: there is none then.
    #[cold]
    pub(crate) fn unreadable(&mut self, anomaly: DecodeAnomaly) {
        self.packet.transport = Transport::None;
        self.short(anomaly);
    }

    /// The transport header cannot be: there is none then.
    #[cold]
    pub(crate) fn broken(&mut self, anomaly: DecodeAnomaly) {
        self.packet.transport = Transport::None;
        self.fail(anomaly);
    }

    /// Hands out a packet that this one carries, unless the capture cut all of it.
    pub(crate) fn carry(&mut self, tunnel: TunnelKind, link: LinkType, data: &'a [u8]) {
        if data.is_empty() {
            return;
        }
        self.packet.inner = Some(Inner {
            tunnel,
            link,
            data,
            wire_len: u32::try_from(data.len() + self.cut).unwrap_or(u32::MAX),
        });
    }

    fn ip_in_ip(&mut self, outer: Version, inner: Version, payload: &'a [u8]) {
        let (count, link, least, too_small, wrong_version) = match (outer, inner) {
            (Version::V4, Version::V4) => (
                &mut self.stats.ipv4_in_ipv4,
                LinkType::IPV4,
                IPV4_HEADER,
                DecodeAnomaly::Ipv4PktTooSmall,
                DecodeAnomaly::Ipv4WrongIpVersion,
            ),
            (Version::V4, Version::V6) => (
                &mut self.stats.ipv6_in_ipv4,
                LinkType::IPV6,
                IPV6_HEADER,
                DecodeAnomaly::Ipv6PktTooSmall,
                DecodeAnomaly::Ipv6WrongIpVersion,
            ),
            (Version::V6, Version::V4) => (
                &mut self.stats.ipv4_in_ipv6,
                LinkType::IPV4,
                IPV4_HEADER,
                DecodeAnomaly::Ipv6Ipv4InIpv6TooSmall,
                DecodeAnomaly::Ipv6Ipv4InIpv6WrongVersion,
            ),
            (Version::V6, Version::V6) => (
                &mut self.stats.ipv6_in_ipv6,
                LinkType::IPV6,
                IPV6_HEADER,
                DecodeAnomaly::Ipv6Ipv6InIpv6TooSmall,
                DecodeAnomaly::Ipv6Ipv6InIpv6WrongVersion,
            ),
        };
        *count += 1;
        let nibble = if inner == Version::V4 { 4 } else { 6 };
        if payload.len() < least {
            self.unreadable(too_small);
        } else if payload.first().is_some_and(|b| b >> 4 != nibble) {
            self.broken(wrong_version);
        } else {
            self.carry(TunnelKind::Ip, link, payload);
        }
    }

    /// Notes content that ends early, unless the capture cut it; the packet itself is fine.
    #[cold]
    pub(crate) fn short_note(&mut self, anomaly: DecodeAnomaly) {
        if self.cut == 0 {
            self.note(anomaly);
        }
    }
}
