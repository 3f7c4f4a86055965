//! Ethertypes that are decoded (IEEE 802 numbers).

use flowtrack_event::LinkType;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const TRANSPARENT_ETHERNET: u16 = 0x6558;
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const PPP: u16 = 0x880b;
pub(crate) const MPLS_UNICAST: u16 = 0x8847;
pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
pub(crate) const PPPOE_DISCOVERY: u16 = 0x8863;
pub(crate) const PPPOE_SESSION: u16 = 0x8864;
pub(crate) const QINQ: u16 = 0x88a8;
pub(crate) const ERSPAN: u16 = 0x88be;
pub(crate) const IEEE8021AH: u16 = 0x88e7;
pub(crate) const DCE: u16 = 0x8903;
pub(crate) const VNTAG: u16 = 0x8926;
pub(crate) const ETAG: u16 = 0x893f;
pub(crate) const NSH: u16 = 0x894f;
pub(crate) const QINQ_OLD: u16 = 0x9100;
pub(crate) const ERSPAN_III: u16 = 0x22eb;

/// The smallest number that is an ethertype; below, the field is a length.
pub(crate) const SMALLEST: u16 = 0x0600;

/// Link types from here on say "ethertype in the low 16 bits"; no capture file can hold one.
const AS_LINK: u32 = 0xffff_0000;

/// The link type of a packet that begins with what `ethertype` says.
pub(crate) const fn to_link(ethertype: u16) -> LinkType {
    match ethertype {
        IPV4 => LinkType::IPV4,
        IPV6 => LinkType::IPV6,
        TRANSPARENT_ETHERNET => LinkType::ETHERNET,
        PPP => LinkType::PPP,
        other => LinkType(AS_LINK | other as u32),
    }
}

/// The ethertype that [`to_link`] put into a link type.
pub(crate) const fn from_link(link: LinkType) -> Option<u16> {
    if link.0 >= AS_LINK { Some(link.0 as u16) } else { None }
}

/// Whether `ethertype` says which header follows.
pub(crate) const fn is_decoded(ethertype: u16) -> bool {
    matches!(
        ethertype,
        IPV4 | ARP
            | TRANSPARENT_ETHERNET
            | VLAN
            | IPV6
            | PPP
            | MPLS_UNICAST
            | MPLS_MULTICAST
            | PPPOE_DISCOVERY
            | PPPOE_SESSION
            | QINQ
            | IEEE8021AH
            | DCE
            | VNTAG
            | ETAG
            | NSH
            | QINQ_OLD
    )
}
