//! What hosts of the same link say about themselves.

use crate::{IfaceId, MacAddr, Timestamp, Vlans};
use std::net::IpAddr;

/// How an address was claimed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Claim {
    /// An ARP request: who has this address?
    ArpRequest,
    /// An ARP reply, or an announcement.
    ArpReply,
    /// An IPv6 neighbour advertisement.
    Advertisement,
    /// An IPv6 router advertisement.
    Router,
}

/// A host says which link-layer address its IP address has (ARP, RFC 826; neighbour discovery,
/// RFC 4861).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// When.
    pub ts: Timestamp,
    /// Where.
    pub iface: IfaceId,
    /// VLAN tags, outermost first.
    pub vlans: Vlans,
    /// How.
    pub claim: Claim,
    /// The frame's sender.
    pub frame_src: MacAddr,
    /// The link-layer address that is claimed.
    pub mac: MacAddr,
    /// The address that is claimed; unspecified in a probe.
    pub ip: IpAddr,
    /// The address that is asked for, or told.
    pub target: IpAddr,
}
