//! MPLS label stacks (RFC 3032) and what they carry, which only its first bytes tell.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind},
    decode::{Decoder, Next},
    ethertype,
};

/// Labels with a meaning of their own (RFC 3032, RFC 7274).
const EXPLICIT_NULL_IPV4: u32 = 0;
const ROUTER_ALERT: u32 = 1;
const EXPLICIT_NULL_IPV6: u32 = 2;
const IMPLICIT_NULL: u32 = 3;
const LAST_RESERVED: u32 = 15;

/// Reserved labels that may stand at the bottom: entropy indicator, flow indicator, generic
/// associated channel, OAM alert, extension.
const KNOWN_RESERVED: [u32; 5] = [7, 8, 13, 14, 15];

impl<'a> Decoder<'a, '_> {
    /// A label stack.
    pub(crate) fn mpls(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.mpls += 1;
        let mut rest = data;
        let label = loop {
            let Some((entry, behind)) = rest.split_first_chunk::<4>() else {
                self.short(DecodeAnomaly::MplsHeaderTooSmall);
                return Next::End;
            };
            rest = behind;
            let entry = u32::from_be_bytes(*entry);
            if entry & 0x100 != 0 {
                break entry >> 12;
            }
        };
        match label {
            EXPLICIT_NULL_IPV4 => return Next::Ethertype(ethertype::IPV4, rest),
            EXPLICIT_NULL_IPV6 => return Next::Ethertype(ethertype::IPV6, rest),
            ROUTER_ALERT => self.note(DecodeAnomaly::MplsBadLabelRouterAlert),
            IMPLICIT_NULL => self.note(DecodeAnomaly::MplsBadLabelImplicitNull),
            4..=LAST_RESERVED if !KNOWN_RESERVED.contains(&label) => {
                self.note(DecodeAnomaly::MplsBadLabelReserved);
            }
            _ => {}
        }
        self.mpls_payload(rest)
    }

    /// Guesses by the first nibble, as routers do (RFC 4928).
    fn mpls_payload(&mut self, data: &'a [u8]) -> Next<'a> {
        match data.first().map(|b| b >> 4) {
            Some(4) => Next::Ethertype(ethertype::IPV4, data),
            Some(6) => Next::Ethertype(ethertype::IPV6, data),
            // A control word, or a pseudowire without one whose first address begins with 0.
            Some(0) if !is_ethernet(behind(data, 4)) && is_ethernet(data) => Next::Ethernet(data),
            Some(0) => Next::Ethernet(behind(data, 4)),
            Some(_) if is_ethernet(data) => Next::Ethernet(data),
            Some(_) => {
                self.note(DecodeAnomaly::MplsUnknownPayloadType);
                Next::End
            }
            None => {
                self.short(DecodeAnomaly::MplsHeaderTooSmall);
                Next::End
            }
        }
    }
}

/// Whether an Ethernet header at the start would lead to something that is decoded.
fn is_ethernet(data: &[u8]) -> bool {
    be16(data, 12).is_some_and(ethertype::is_decoded)
}
