//! Between whom a packet was, as the index keeps it.

use std::net::IpAddr;

use flowtrack_event::{DecoderStats, FlowKey, RawPacket};
use flowtrack_wire::{Network, Packet, Transport, decode, decode_inner, quoted_key};

/// Both ends of a packet in an order that does not depend on its direction, and its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// The lower end, then the higher. Ports are 0 for a protocol without, and in a fragment.
    pub ends: [(IpAddr, u16); 2],
    /// IP protocol; 0 for ARP.
    pub proto: u8,
    /// Whether this is a fragment, which does not tell its ports.
    pub fragment: bool,
}

impl Key {
    fn new(a: (IpAddr, u16), b: (IpAddr, u16), proto: u8, fragment: bool) -> Self {
        Self { ends: if a <= b { [a, b] } else { [b, a] }, proto, fragment }
    }

    /// Whether one end is this host.
    pub fn has_host(&self, host: IpAddr) -> bool {
        self.ends.iter().any(|(addr, _)| *addr == host)
    }

    /// Whether a packet of this key may belong to the flow. For protocols without ports that is
    /// every packet of the protocol between the two hosts; and any fragment of them.
    pub fn may_be_of(&self, flow: &FlowKey) -> bool {
        let wanted = Self::of_flow(flow);
        let addresses = |key: &Self| key.ends.map(|(address, _)| address);
        self.proto == wanted.proto
            && addresses(self) == addresses(&wanted)
            && (self.fragment || self.ends == wanted.ends)
    }

    fn of_flow(flow: &FlowKey) -> Self {
        let ports = if flow.has_ports() { [flow.src_port, flow.dst_port] } else { [0, 0] };
        Self::new((flow.src, ports[0]), (flow.dst, ports[1]), flow.proto.0, false)
    }
}

/// Hands `each` the keys of a packet: its own, those of the packets inside it where it is a
/// tunnel, and that of the packet quoted where it is an ICMP error.
pub fn keys_of(raw: &RawPacket<'_>, mut each: impl FnMut(Key)) {
    let mut stats = DecoderStats::default();
    let mut packet = decode(raw, &mut stats);
    for _ in 0..MAX_TUNNELS {
        if let Some(key) = own_key(&packet) {
            each(key);
        }
        if let Transport::Icmp(icmp) = packet.transport
            && let Some(flow) = icmp.quoted.and_then(quoted_key)
        {
            each(Key::of_flow(&flow));
        }
        let Some(inner) = packet.inner else { break };
        packet = decode_inner(&inner, packet.vlans, &mut stats);
    }
}

fn own_key(packet: &Packet<'_>) -> Option<Key> {
    match &packet.network {
        Network::Ip(ip) => {
            let (src_port, dst_port) = match packet.transport {
                Transport::Tcp(tcp) => (tcp.src, tcp.dst),
                Transport::Udp(ports) | Transport::Sctp(ports) => (ports.src, ports.dst),
                _ => (0, 0),
            };
            let fragment = ip.fragment.is_some();
            Some(Key::new((ip.src, src_port), (ip.dst, dst_port), ip.proto.0, fragment))
        }
        Network::Arp(arp) => {
            let ends = [arp.sender_ip, arp.target_ip].map(|ip| (IpAddr::V4(ip), 0));
            Some(Key::new(ends[0], ends[1], 0, false))
        }
        Network::None(_) => None,
    }
}

/// Packets inside packets that are looked at.
const MAX_TUNNELS: usize = 4;
