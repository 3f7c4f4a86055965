//! Which share of the traffic a packet belongs to.

use crate::Shard;
use flowtrack_wire::{Icmp, Network, Packet, Transport, quoted_key};
use std::net::IpAddr;

impl Shard {
    /// Whether a frame, by its outermost addresses, is of this share.
    pub(crate) fn has(self, packet: &Packet<'_>) -> bool {
        let Network::Ip(ip) = &packet.network else { return self.index == 0 };
        let pair = match packet.transport {
            // An ICMPv4 error counts on the flow that it is about.
            Transport::Icmp(Icmp { quoted: Some(quoted), .. }) if ip.src.is_ipv4() => {
                quoted_key(quoted).map(|key| (key.src, key.dst))
            }
            _ => None,
        };
        let (a, b) = pair.unwrap_or((ip.src, ip.dst));
        let pair = fold(a) ^ fold(b);
        // The product spreads neighbouring addresses over all shares.
        let spread = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        spread % u64::from(self.count.max(1)) == u64::from(self.index)
    }
}

fn fold(addr: IpAddr) -> u64 {
    match addr {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    }
}
