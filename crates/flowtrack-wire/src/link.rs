//! Link layers: how a frame begins, by its link type, and what an ethertype leads to.

mod arp;
mod ethernet;
mod mpls;
mod nsh;
mod ppp;
mod wlan;

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind, chunk},
    decode::{Decoder, Next},
    ethertype,
};
use flowtrack_event::LinkType;

/// Address family of IPv4 in a loopback header, the same everywhere.
const AF_INET: u32 = 2;

/// Address families of IPv6: Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];

/// `ARPHRD_ETHER`, the device type of Ethernet in Linux cooked headers.
const ARPHRD_ETHER: u16 = 1;

impl<'a> Decoder<'a, '_> {
    /// Reads what stands before the first ethertype of a frame that is not Ethernet.
    #[inline(never)]
    pub(crate) fn first_header(&mut self, link: LinkType, data: &'a [u8]) -> Next<'a> {
        match link {
            LinkType::ETHERNET => Next::Ethernet(data),
            // Files that say IPv4 and hold IPv6 exist, so the packet itself is asked.
            LinkType::RAW
            | LinkType::RAW_BSD
            | LinkType::RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6 => {
                self.stats.raw += 1;
                Next::Ip(data)
            }
            LinkType::NULL | LinkType::LOOP => self.loopback(data),
            LinkType::LINUX_SLL => self.sll(data),
            LinkType::LINUX_SLL2 => self.sll2(data),
            LinkType::PPP => Next::Ppp(data),
            LinkType::PPP_HDLC => match data {
                [0x0f | 0x8f, 0x00, ..] => self.chdlc(data),
                _ => Next::Ppp(data),
            },
            LinkType::PPP_ETHER => self.pppoe(data),
            LinkType::C_HDLC => self.chdlc(data),
            LinkType::IEEE802_11 => self.wlan(data),
            LinkType::IEEE802_11_RADIOTAP => self.radiotap(data),
            other => {
                if let Some(ethertype) = ethertype::from_link(other) {
                    return Next::Ethertype(ethertype, data);
                }
                self.stats.unknown_link += 1;
                Next::End
            }
        }
    }

    /// Reads what an ethertype other than IP says.
    pub(crate) fn ethertype(&mut self, kind: u16, data: &'a [u8]) -> Next<'a> {
        match kind {
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => self.vlan(data),
            ethertype::ARP => self.arp(data),
            ethertype::TRANSPARENT_ETHERNET => Next::Ethernet(data),
            ethertype::PPP => Next::Ppp(data),
            ethertype::MPLS_UNICAST | ethertype::MPLS_MULTICAST => self.mpls(data),
            ethertype::PPPOE_DISCOVERY | ethertype::PPPOE_SESSION => self.pppoe(data),
            ethertype::IEEE8021AH => self.provider_backbone(data),
            ethertype::DCE => self.fabric_path(data),
            ethertype::VNTAG => self.tagged(data, 4, DecodeAnomaly::VntagHeaderTooSmall),
            ethertype::ETAG => self.tagged(data, 6, DecodeAnomaly::EtagHeaderTooSmall),
            ethertype::NSH => self.nsh(data),
            ethertype::ERSPAN => self.erspan_ii(data),
            ethertype::ERSPAN_III => self.erspan_iii(data),
            other if other < ethertype::SMALLEST => Next::Llc(data),
            other => {
                self.stats.unknown_ethertype += 1;
                self.no_network(Some(other));
                Next::End
            }
        }
    }

    /// BSD loopback: four bytes of address family, in the order of whichever host captured.
    fn loopback(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.null += 1;
        let Some((family, rest)) = data.split_first_chunk::<4>() else {
            self.short(DecodeAnomaly::LtnullPktTooSmall);
            return Next::End;
        };
        let little = u32::from_le_bytes(*family);
        let family = if little > 0xffff { little.swap_bytes() } else { little };
        if family == AF_INET {
            Next::Ethertype(ethertype::IPV4, rest)
        } else if AF_INET6.contains(&family) {
            Next::Ethertype(ethertype::IPV6, rest)
        } else {
            self.note(DecodeAnomaly::LtnullUnsupportedType);
            Next::End
        }
    }

    /// Linux cooked capture.
    fn sll(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.sll += 1;
        let Some((header, rest)) = data.split_first_chunk::<16>() else {
            self.short(DecodeAnomaly::SllPktTooSmall);
            return Next::End;
        };
        let [_, _, d0, d1, a0, a1, mac @ .., _, _, p0, p1] = *header;
        let device = u16::from_be_bytes([d0, d1]);
        if device == ARPHRD_ETHER && [a0, a1] == [0, 6] {
            self.keep_macs(mac, [0; 6]);
        }
        Next::Ethertype(u16::from_be_bytes([p0, p1]), rest)
    }

    /// Linux cooked capture, version 2.
    fn sll2(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.sll2 += 1;
        let Some((header, rest)) = data.split_first_chunk::<20>() else {
            self.short(DecodeAnomaly::Sll2PktTooSmall);
            return Next::End;
        };
        let [p0, p1, _, _, _, _, _, _, d0, d1, _, address_len, mac @ .., _, _] = *header;
        let device = u16::from_be_bytes([d0, d1]);
        if device == ARPHRD_ETHER && address_len == 6 {
            self.keep_macs(mac, [0; 6]);
        }
        Next::Ethertype(u16::from_be_bytes([p0, p1]), rest)
    }

    /// Cisco HDLC: address, control, ethertype.
    fn chdlc(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.chdlc += 1;
        let Some(kind) = be16(data, 2) else {
            self.short(DecodeAnomaly::ChdlcPktTooSmall);
            return Next::End;
        };
        if kind < ethertype::SMALLEST {
            self.no_network(Some(kind));
            return Next::End;
        }
        Next::Ethertype(kind, behind(data, 4))
    }

    /// A tag of `len` bytes with an ethertype behind it.
    fn tagged(&mut self, data: &'a [u8], len: usize, short: DecodeAnomaly) -> Next<'a> {
        match be16(data, len) {
            Some(kind) => Next::Ethertype(kind, behind(data, len + 2)),
            None => {
                self.short(short);
                Next::End
            }
        }
    }

    /// Provider backbone bridge (802.1ah): a service tag, then an Ethernet header.
    fn provider_backbone(&mut self, data: &'a [u8]) -> Next<'a> {
        if chunk::<4>(data, 0).is_none() {
            self.short(DecodeAnomaly::Ieee8021ahHeaderTooSmall);
            return Next::End;
        }
        Next::Ethernet(behind(data, 4))
    }

    /// Cisco `FabricPath`: a tag of two bytes, then an Ethernet header.
    fn fabric_path(&mut self, data: &'a [u8]) -> Next<'a> {
        if be16(data, 0).is_none() {
            self.short(DecodeAnomaly::DcePktTooSmall);
            return Next::End;
        }
        Next::Ethernet(behind(data, 2))
    }
}
