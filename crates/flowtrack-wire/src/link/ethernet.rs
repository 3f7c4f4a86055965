//! Ethernet II, IEEE 802.3 with LLC and SNAP, and VLAN tags.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::behind,
    decode::{Decoder, Next},
    ethertype,
};

/// LLC service access point of SNAP.
const SAP_SNAP: u8 = 0xaa;

/// LLC service access point of IPv4.
const SAP_IP: u8 = 0x06;

/// LLC control field of an unnumbered information frame.
const UNNUMBERED: u8 = 0x03;

/// SNAP organisation of bridged frames (RFC 1042 uses 0 beside it).
const OUI_BRIDGE_TUNNEL: [u8; 3] = [0x00, 0x00, 0xf8];

impl<'a> Decoder<'a, '_> {
    /// An Ethernet header.
    #[inline]
    pub(crate) fn ethernet(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.ethernet += 1;
        let Some((header, rest)) = data.split_first_chunk::<14>() else {
            self.short(DecodeAnomaly::EthernetPktTooSmall);
            return Next::End;
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        self.keep_macs([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]);
        Next::Ethertype(u16::from_be_bytes([t0, t1]), rest)
    }

    /// An 802.1Q or 802.1ad tag.
    #[inline]
    pub(crate) fn vlan(&mut self, data: &'a [u8]) -> Next<'a> {
        let Some((&[c0, c1, t0, t1], rest)) = data.split_first_chunk::<4>() else {
            self.short(DecodeAnomaly::VlanHeaderTooSmall);
            return Next::End;
        };
        match self.packet.vlans.as_slice().len() {
            0 => self.stats.vlan += 1,
            1 => self.stats.vlan_qinq += 1,
            2 => self.stats.vlan_qinqinq += 1,
            _ => {}
        }
        if !self.packet.vlans.push(u16::from_be_bytes([c0, c1])) {
            self.note(DecodeAnomaly::VlanTooManyLayers);
        }
        Next::Ethertype(u16::from_be_bytes([t0, t1]), rest)
    }

    /// An IEEE 802.2 header, and SNAP where that follows.
    pub(crate) fn llc(&mut self, data: &'a [u8]) -> Next<'a> {
        match *data {
            [SAP_SNAP, SAP_SNAP, UNNUMBERED, o0, o1, o2, t0, t1, ..]
                if [o0, o1, o2] == [0; 3] || [o0, o1, o2] == OUI_BRIDGE_TUNNEL =>
            {
                let kind = u16::from_be_bytes([t0, t1]);
                if kind >= ethertype::SMALLEST {
                    return Next::Ethertype(kind, behind(data, 8));
                }
            }
            [SAP_IP, SAP_IP, UNNUMBERED, ..] => {
                return Next::Ethertype(ethertype::IPV4, behind(data, 3));
            }
            _ => {}
        }
        self.stats.unknown_ethertype += 1;
        Next::End
    }
}
