//! ERSPAN types II and III: mirrored Ethernet frames behind a header that names their VLAN.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::behind,
    decode::{Decoder, Next},
};

/// Lengths of the headers, and of the subheader that type III may have.
const TYPE_II: usize = 8;
const TYPE_III: usize = 12;
const SUBHEADER: usize = 8;

/// Versions in the headers of types II and III.
const TYPE_II_VERSION: u8 = 1;
const TYPE_III_VERSION: u8 = 2;

impl<'a> Decoder<'a, '_> {
    /// An ERSPAN header of type II.
    pub(crate) fn erspan_ii(&mut self, data: &'a [u8]) -> Next<'a> {
        let Some(&[b0, b1, ..]) = data.first_chunk::<TYPE_II>() else {
            self.short(DecodeAnomaly::ErspanHeaderTooSmall);
            return Next::End;
        };
        self.mirrored(TYPE_II_VERSION, [b0, b1], behind(data, TYPE_II))
    }

    /// An ERSPAN header of type III.
    pub(crate) fn erspan_iii(&mut self, data: &'a [u8]) -> Next<'a> {
        let Some(&[b0, b1, .., last]) = data.first_chunk::<TYPE_III>() else {
            self.short(DecodeAnomaly::ErspanHeaderTooSmall);
            return Next::End;
        };
        let len = if last & 1 == 0 { TYPE_III } else { TYPE_III + SUBHEADER };
        self.mirrored(TYPE_III_VERSION, [b0, b1], behind(data, len))
    }

    /// What follows a header that begins with version and VLAN.
    fn mirrored(&mut self, version: u8, version_vlan: [u8; 2], data: &'a [u8]) -> Next<'a> {
        let version_vlan = u16::from_be_bytes(version_vlan);
        if (version_vlan >> 12) as u8 != version {
            self.fail(DecodeAnomaly::ErspanUnsupportedVersion);
            return Next::End;
        }
        self.stats.erspan += 1;
        if version_vlan & 0x0fff != 0 && !self.packet.vlans.push(version_vlan) {
            self.note(DecodeAnomaly::VlanTooManyLayers);
        }
        Next::Ethernet(data)
    }
}
