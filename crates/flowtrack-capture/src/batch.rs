//! A burst that is being put together on the stack.

use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp, Verdict};

/// What a worker calls back with; see [`crate::PacketSource::next_burst`].
pub type Handler<'h> = dyn FnMut(&[RawPacket<'_>], &mut [Verdict]) + 'h;

/// Packets in a burst: enough to share the cost of a call, few enough that their headers stay in
/// the first-level cache.
pub const BURST: usize = 64;

/// Up to [`BURST`] packets, borrowed.
pub struct Batch<'a> {
    packets: [RawPacket<'a>; BURST],
    len: usize,
}

impl<'a> Batch<'a> {
    /// [`BURST`], where a batch is at hand.
    pub const CAPACITY: usize = BURST;

    const EMPTY: RawPacket<'static> = RawPacket {
        ts: Timestamp::ZERO,
        iface: IfaceId(0),
        link: LinkType::NULL,
        number: 0,
        wire_len: 0,
        vlan_tci: None,
        data: &[],
    };

    pub fn new() -> Self {
        Self { packets: [Self::EMPTY; BURST], len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_full(&self) -> bool {
        self.len == BURST
    }

    /// Adds a packet; there must be room.
    pub fn push(&mut self, packet: RawPacket<'a>) {
        self.packets[self.len] = packet;
        self.len += 1;
    }

    /// Hands the packets to `f` and forgets them; answers with their verdicts.
    pub fn deliver(&mut self, f: &mut Handler<'_>) -> [Verdict; BURST] {
        let mut verdicts = [Verdict::Accept; BURST];
        if self.len > 0 {
            f(&self.packets[..self.len], &mut verdicts[..self.len]);
        }
        self.len = 0;
        verdicts
    }
}
