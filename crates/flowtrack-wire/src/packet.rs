//! One decoded packet: what the rest of the packet path needs from all its headers.

use crate::anomaly::Anomalies;
use crate::transport::sctp;
use flowtrack_event::{IpProto, LinkType, MacAddr, TunnelKind, Vlans};
use std::net::IpAddr;

/// A frame, or a packet found inside one, with its headers read.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// Captured bytes: of the whole frame, or of an inner packet from its first header on.
    pub len: u32,
    /// Bytes before the network header: link layer, tags and labels.
    pub link_len: u32,
    /// Source and destination of the Ethernet, SLL or 802.11 header.
    pub macs: Option<(MacAddr, MacAddr)>,
    /// VLAN tags, outermost first.
    pub vlans: Vlans,
    /// Network layer.
    pub network: Network<'a>,
    /// Transport layer; [`Transport::None`] for a fragment.
    pub transport: Transport<'a>,
    /// Transport payload as captured, without padding behind the IP length.
    pub payload: &'a [u8],
    /// Length of the payload as the IP header tells it; larger than `payload` where the capture
    /// cut the frame.
    pub payload_wire_len: u32,
    /// What this packet carries, where it is a tunnel.
    pub inner: Option<Inner<'a>>,
    /// Whether a header is so wrong that the packet belongs to no flow; `anomalies` says why.
    pub malformed: bool,
    /// What is wrong, each thing once.
    pub anomalies: Anomalies,
}

impl Default for Packet<'_> {
    /// A packet of which nothing is read yet.
    fn default() -> Self {
        Self {
            len: 0,
            link_len: 0,
            macs: None,
            vlans: Vlans::default(),
            network: Network::None(None),
            transport: Transport::None,
            payload: &[],
            payload_wire_len: 0,
            inner: None,
            malformed: false,
            anomalies: Anomalies::default(),
        }
    }
}

impl<'a> Packet<'a> {
    /// What programs sent: the payload, or of SCTP the data of the first chunk that has any.
    #[inline]
    pub fn user_data(&self) -> &'a [u8] {
        match self.transport {
            Transport::Sctp(_) => sctp::user_data(self.payload).unwrap_or(self.payload),
            _ => self.payload,
        }
    }

    /// Forgets what was read, for a packet of `len` bytes.
    #[inline]
    pub(crate) fn reset(&mut self, len: usize) {
        self.len = u32::try_from(len).unwrap_or(u32::MAX);
        self.link_len = 0;
        self.macs = None;
        self.vlans = Vlans::default();
        self.network = Network::None(None);
        self.transport = Transport::None;
        self.payload = &[];
        self.payload_wire_len = 0;
        self.inner = None;
        self.malformed = false;
        self.anomalies.clear();
    }

    /// The IP header, where there is one.
    pub fn ip(&self) -> Option<&Ip<'a>> {
        match &self.network {
            Network::Ip(ip) => Some(ip),
            _ => None,
        }
    }
}

/// The network layer of a packet.
#[derive(Clone, Debug)]
pub enum Network<'a> {
    /// None that is decoded; the ethertype where there is one.
    None(Option<u16>),
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// IPv4 (RFC 791) or IPv6 (RFC 8200).
    Ip(Ip<'a>),
}

/// An ARP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender hardware address.
    pub sender_mac: MacAddr,
    /// Sender protocol address.
    pub sender_ip: std::net::Ipv4Addr,
    /// Target hardware address.
    pub target_mac: MacAddr,
    /// Target protocol address.
    pub target_ip: std::net::Ipv4Addr,
}

/// An IP header with its options or extension headers.
#[derive(Clone, Debug)]
pub struct Ip<'a> {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol of the payload, behind all IPv6 extension headers.
    pub proto: IpProto,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Header with options or extension headers, as captured.
    pub header: &'a [u8],
    /// What follows the header, as captured, without padding behind the IP length.
    pub payload: &'a [u8],
    /// Whole packet by its header, in bytes (total length; 40 + payload length for IPv6).
    pub total_len: u32,
    /// Set where this is a fragment.
    pub fragment: Option<Fragment>,
}

/// Place of a fragment in its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Identification.
    pub id: u32,
    /// First byte of the fragment in the reassembled payload.
    pub offset: u32,
    /// Whether more fragments follow.
    pub more: bool,
}

/// The transport layer of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Transport<'a> {
    /// None: no IP, a fragment, or a header that cannot be read.
    None,
    /// TCP (RFC 9293).
    Tcp(Tcp<'a>),
    /// UDP (RFC 768).
    Udp(Ports),
    /// SCTP (RFC 9260).
    Sctp(Ports),
    /// ICMPv4 (RFC 792) or ICMPv6 (RFC 4443), told apart by the IP version.
    Icmp(Icmp<'a>),
    /// A protocol without ports, or one that is not decoded.
    Other,
}

/// Ports of UDP and SCTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

/// A TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp<'a> {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// CWR ECE URG ACK PSH RST SYN FIN, as in the header.
    pub flags: u8,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options as captured.
    pub options: &'a [u8],
}

impl Tcp<'_> {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
    /// URG.
    pub const URG: u8 = 0x20;
    /// ECE.
    pub const ECE: u8 = 0x40;
    /// CWR.
    pub const CWR: u8 = 0x80;

    /// Whether any flag of `mask` is set.
    pub const fn has(&self, mask: u8) -> bool {
        self.flags & mask != 0
    }
}

/// An ICMP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier of an echo and its like; 0 for other types.
    pub id: u16,
    /// Sequence number of an echo and its like; 0 for other types.
    pub seq: u16,
    /// The packet that an error message quotes, from its IP header on.
    pub quoted: Option<&'a [u8]>,
}

/// A packet inside a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner<'a> {
    /// How it is carried.
    pub tunnel: TunnelKind,
    /// How `data` begins: [`LinkType::ETHERNET`], [`LinkType::IPV4`], [`LinkType::IPV6`],
    /// [`LinkType::PPP`], or a number of this crate's own for an ethertype without a link type.
    pub link: LinkType,
    /// The inner packet, as captured.
    pub data: &'a [u8],
    /// Its length on the wire; larger than `data` where the capture cut it.
    pub wire_len: u32,
}
