//! Which share of the traffic a packet belongs to.

use crate::Shard;
use flowtrack_wire::{Network, Packet};
use std::net::IpAddr;

impl Shard {
    /// Whether a frame, by its outermost addresses, is of this share.
    pub(crate) fn has(self, packet: &Packet<'_>) -> bool {
        let pair = match &packet.network {
            Network::Ip(ip) => fold(ip.src) ^ fold(ip.dst),
            _ => return self.index == 0,
        };
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
