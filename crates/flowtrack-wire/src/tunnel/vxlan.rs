//! VXLAN (RFC 7348), its generic extension, and GENEVE (RFC 8926).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind},
    decode::Decoder,
    ethertype,
};
use flowtrack_event::{LinkType, TunnelKind};

/// Length of both headers without options.
const HEADER: usize = 8;

/// Flags of a VXLAN header: it names a network, and it names its payload.
const HAS_NETWORK: u8 = 0x08;
const HAS_PROTOCOL: u8 = 0x04;

impl<'a> Decoder<'a, '_> {
    /// A VXLAN header, where the payload has one.
    pub(crate) fn vxlan(&mut self, payload: &'a [u8]) {
        let Some((&[flags, _, _, protocol, _, _, _, reserved], rest)) =
            payload.split_first_chunk::<HEADER>()
        else {
            return;
        };
        if flags & HAS_NETWORK == 0 || reserved != 0 {
            return;
        }
        let link = if flags & HAS_PROTOCOL == 0 {
            LinkType::ETHERNET
        } else {
            match protocol {
                1 => LinkType::IPV4,
                2 => LinkType::IPV6,
                3 => LinkType::ETHERNET,
                4 => ethertype::to_link(ethertype::NSH),
                5 => ethertype::to_link(ethertype::MPLS_UNICAST),
                _ => return self.note(DecodeAnomaly::VxlanUnknownPayloadType),
            }
        };
        self.stats.vxlan += 1;
        self.carry(TunnelKind::Vxlan, link, rest);
    }

    /// A GENEVE header with its options.
    pub(crate) fn geneve(&mut self, payload: &'a [u8]) {
        let (Some(&first), Some(protocol)) = (payload.first(), be16(payload, 2)) else {
            return self.short_note(DecodeAnomaly::GeneveHeaderTooSmall);
        };
        if first >> 6 != 0 {
            return self.note(DecodeAnomaly::GeneveUnsupportedVersion);
        }
        let len = HEADER + usize::from(first & 0x3f) * 4;
        if !self.fits(len, payload) {
            return self.note(DecodeAnomaly::GeneveHeaderTooSmall);
        }
        self.stats.geneve += 1;
        self.carry(TunnelKind::Geneve, ethertype::to_link(protocol), behind(payload, len));
    }
}
