//! What conditions of a signature may ask about.

use flowtrack_event::{AppProto, Direction, FlowContext, Timestamp, Transaction};
use flowtrack_wire::Packet;

/// The moment at which a signature is judged.
pub struct Context<'a> {
    /// Time of the packet.
    pub ts: Timestamp,
    /// Which way the packet, stream chunk or transaction part goes.
    pub direction: Direction,
    /// The packet in hand; none when a flow ends without one.
    pub packet: Option<&'a Packet<'a>>,
    /// The flow, where the packet has one.
    pub flow: Option<FlowScope<'a>>,
    /// The transaction, when one is judged.
    pub tx: Option<TxScope<'a>>,
    /// What outlives flows.
    pub shared: &'a Shared,
}

/// What may be asked of a flow.
pub struct FlowScope<'a> {
    /// Who speaks with whom.
    pub context: &'a FlowContext,
    /// Whether the handshake was seen whole, or both sides have spoken.
    pub established: bool,
    /// The application protocol, once known.
    pub app: Option<AppProto>,
    /// Whether recognition has ended, with or without a name.
    pub app_decided: bool,
    /// Frames to the server and to the client.
    pub packets: [u64; 2],
    /// Bytes of these frames.
    pub bytes: [u64; 2],
    /// Bytes of the stream seen so far to the server and to the client (`stream_size`).
    pub stream_bytes: [u64; 2],
    /// What rules remember about it.
    pub vars: &'a mut FlowVars,
}

/// A transaction that is judged.
#[derive(Clone, Copy)]
pub struct TxScope<'a> {
    /// Counted from 0 in its flow.
    pub id: u64,
    /// What was said.
    pub transaction: &'a dyn Transaction,
}

/// What rules remember about a flow (`flowbits`, `flowint`); bounded.
#[derive(Clone, Default, Debug)]
pub struct FlowVars {}

/// What rules remember beyond flows (`xbits`, `hostbits`, data sets); shared by all workers,
/// bounded.
#[derive(Default, Debug)]
pub struct Shared {}
