//! What steers the flow table.

use flowtrack_event::{FlowState, IpProto};
use serde::{Deserialize, Serialize};

/// What steers the flow table of one worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Flows tracked at once; beyond, the flow least worth keeping is ended for each new one.
    pub max_flows: u32,
    /// Whether packets of different VLANs are different flows.
    pub use_vlan: bool,
    /// Whether packets of different interfaces are different flows.
    pub use_interface: bool,
    /// Whether a TCP session whose handshake was not seen gets a state of its own instead of
    /// staying `new`.
    pub midstream: bool,
    /// Whether the sender of a SYN-ACK is the responder, even where the SYN was not seen.
    pub reverse_syn_ack: bool,
    /// Whether the table remembers which flows changed since it was last asked; decided by the
    /// program, not a setting.
    #[serde(skip)]
    pub track_changes: bool,
    /// Seconds without a packet after which a flow is over.
    pub timeouts: Timeouts,
    /// The same while the table is nearly full.
    pub emergency_timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            use_vlan: true,
            use_interface: false,
            midstream: false,
            reverse_syn_ack: true,
            track_changes: false,
            timeouts: Timeouts::default(),
            emergency_timeouts: Timeouts::EMERGENCY,
        }
    }
}

/// Idle times by protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// TCP.
    pub tcp: IdleTimes,
    /// UDP.
    pub udp: IdleTimes,
    /// ICMP of both versions.
    pub icmp: IdleTimes,
    /// All other protocols.
    pub other: IdleTimes,
}

impl Timeouts {
    /// What holds while the table is nearly full.
    pub const EMERGENCY: Self = Self {
        tcp: IdleTimes { new: 5, established: 100, closed: 10 },
        udp: IdleTimes { new: 10, established: 100, closed: 10 },
        icmp: IdleTimes { new: 10, established: 100, closed: 10 },
        other: IdleTimes { new: 10, established: 100, closed: 0 },
    };

    /// Seconds that a flow of `proto` in `state` may be idle.
    pub const fn of(&self, proto: IpProto, state: FlowState) -> u32 {
        let times = match proto {
            IpProto::TCP => &self.tcp,
            IpProto::UDP => &self.udp,
            IpProto::ICMP | IpProto::ICMPV6 => &self.icmp,
            _ => &self.other,
        };
        match state {
            FlowState::New => times.new,
            FlowState::Established => times.established,
            FlowState::Closed => times.closed,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp: IdleTimes { new: 60, established: 600, closed: 60 },
            udp: IdleTimes { new: 30, established: 300, closed: 0 },
            icmp: IdleTimes { new: 30, established: 300, closed: 0 },
            other: IdleTimes { new: 30, established: 300, closed: 0 },
        }
    }
}

/// Seconds without a packet after which a flow is over, by its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdleTimes {
    /// Until both sides have spoken.
    pub new: u32,
    /// While it goes on.
    pub established: u32,
    /// After its end.
    pub closed: u32,
}
