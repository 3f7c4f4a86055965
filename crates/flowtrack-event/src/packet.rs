//! What a packet source hands to the packet path.

use crate::Timestamp;

/// Index into the list of interfaces that the running capture, or file, declared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct IfaceId(pub u16);

/// The link layer of a frame, as its number in the registry of tcpdump.org (`LINKTYPE_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: four bytes of address family in the capturing host's order.
    pub const NULL: Self = Self(0);
    /// IEEE 802.3 Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without HDLC framing (RFC 1662).
    pub const PPP: Self = Self(9);
    /// Raw IP as some systems number it.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP as other systems number it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing (RFC 1662).
    pub const PPP_HDLC: Self = Self(50);
    /// PPP over Ethernet, from the PPPoE header on (RFC 2516).
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP; the version nibble tells which.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11 without a preceding radio header.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: four bytes of address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture.
    pub const LINUX_SLL: Self = Self(113);
    /// IEEE 802.11 after a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// One captured frame, borrowed from the ring or the read buffer; never copied on the packet path.
#[derive(Clone, Copy, Debug)]
pub struct RawPacket<'a> {
    /// When it was captured.
    pub ts: Timestamp,
    /// Where it was captured.
    pub iface: IfaceId,
    /// How `data` begins.
    pub link: LinkType,
    /// Place in its file or capture, from 1 (EVE `pcap_cnt`).
    pub number: u64,
    /// Length on the wire in bytes; larger than `data` where the capture cut it.
    pub wire_len: u32,
    /// VLAN tag that the network card took out of the frame (802.1Q TCI).
    pub vlan_tci: Option<u16>,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// What an inline source shall do with a packet; passive sources ignore it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Verdict {
    /// Let it through.
    #[default]
    Accept,
    /// Discard it.
    Drop,
}
