//! Flows: who talks to whom, how it goes, and when it is over.
//!
//! [`FlowTable`] takes decoded packets and keeps what is known of each flow; [`stream`] puts the
//! bytes of a TCP session in order; [`Rates`] counts what happens per second. All of it is pure:
//! time is the packets' time, and whatever ends comes out of a call.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod config;
mod defrag;
mod flow;
mod index;
mod key;
mod latency;
mod list;
mod rates;
mod slab;
pub mod stream;
mod table;
mod tcp;
mod wheel;
mod zeek;

pub use config::{Config, IdleTimes, Timeouts};
pub use defrag::{Defrag, DefragConfig, FragmentPolicy, HostPolicy, Prefix, Reassembled};
pub use flow::Flow;
pub use key::{PacketKey, Seed};
pub use latency::{Asked, Response};
pub use rates::Rates;
pub use table::{Ended, FlowIndex, FlowTable, Seen, Unplaced};
pub use tcp::{Segment, TcpFacts};

use flowtrack_event::{FlowId, IfaceId, Timestamp, TunnelKind};

/// Where and when a packet was seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct At {
    /// When it was captured.
    pub ts: Timestamp,
    /// Where it was captured.
    pub iface: IfaceId,
    /// The flow whose tunnel carried it.
    pub parent: Option<FlowId>,
    /// What carried it.
    pub tunnel: Option<TunnelKind>,
    /// Tunnels around it; packets of different depth are of different flows.
    pub depth: u8,
    /// Whether its transport checksum was verified and is wrong.
    pub bad_checksum: bool,
}

impl At {
    /// A packet that nothing carried and whose checksum is not known to be wrong.
    pub const fn of(ts: Timestamp, iface: IfaceId) -> Self {
        Self { ts, iface, parent: None, tunnel: None, depth: 0, bad_checksum: false }
    }
}
