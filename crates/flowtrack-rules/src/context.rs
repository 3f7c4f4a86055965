//! What conditions of a signature may ask about.

use crate::state::{FlowVars, Shared};
use flowtrack_event::{
    AppRecord, Direction, FileRecord, FlowContext, FlowKey, FlowState, Timestamp, Transaction,
};
use flowtrack_wire::Packet;

/// The moment at which a signature is judged.
pub struct Context<'a> {
    /// Time of the packet.
    pub ts: Timestamp,
    /// Which way the packet, stream chunk or transaction part goes.
    pub direction: Direction,
    /// Sender and receiver of what is judged; `None` without addresses.
    pub key: Option<FlowKey>,
    /// The packet in hand; none when a flow ends without one.
    pub packet: Option<&'a Packet<'a>>,
    /// The packet from its first header on; empty where it was put together from fragments.
    pub frame: &'a [u8],
    /// Whether the payload of the packet is part of a stream, so that conditions on the stream
    /// will see it there.
    pub in_stream: bool,
    /// Whether the payload is known to be encrypted, so that nothing is looked for in it.
    pub is_secret: bool,
    /// Whether it is the first packet of its flow that goes this way, or is on no flow.
    pub is_first: bool,
    /// Whether recognition of the application protocol ended for this way since the last packet.
    pub recognised: bool,
    /// Whether the stream is over, for what waits for an end.
    pub is_last: bool,
    /// What broke TCP, as `stream-event` names it.
    pub stream_events: &'a [&'static str],
    /// What dissectors found odd, as `app-layer-event` names it behind the protocol.
    pub app_events: &'a [&'static str],
    /// The flow, where the packet has one.
    pub flow: Option<FlowScope<'a>>,
    /// The transaction, when one is judged.
    pub tx: Option<TxScope<'a>>,
    /// What outlives flows.
    pub shared: &'a Shared,
    /// Things that were to be remembered beyond the flow and had no room: bits of hosts, matches
    /// that limits count, values of data sets.
    pub forgotten: u64,
}

/// What may be asked of a flow.
pub struct FlowScope<'a> {
    /// Who speaks with whom.
    pub context: &'a FlowContext,
    /// Whether the handshake was seen whole, or both sides have spoken.
    pub established: bool,
    /// How far it has come.
    pub state: FlowState,
    /// What is known of the application protocol; `failed` where recognition gave up.
    pub app: Option<AppRecord>,
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
    /// Files that it carried this way.
    pub files: &'a [FileRecord],
    /// Whether this way of it was judged, without it, while it was still on its way.
    pub was_partial: bool,
}

impl TxScope<'_> {
    /// Stands for the number of a transaction where a frame is judged, which has none: only
    /// signatures about frames look at it.
    pub const FRAME: u64 = u64::MAX - 1;
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("ts", &self.ts)
            .field("direction", &self.direction)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// A context of nothing, to be filled in.
    pub const fn new(ts: Timestamp, direction: Direction, shared: &'a Shared) -> Self {
        Self {
            ts,
            direction,
            key: None,
            packet: None,
            frame: &[],
            in_stream: false,
            is_secret: false,
            is_first: false,
            recognised: false,
            is_last: false,
            stream_events: &[],
            app_events: &[],
            flow: None,
            tx: None,
            shared,
            forgotten: 0,
        }
    }
}

/// What has to be done for a set of signatures; what none of them needs is left undone.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Requirements {
    /// Packets are judged.
    pub packets: bool,
    /// Streams are judged.
    pub streams: bool,
    /// Transactions are judged.
    pub transactions: bool,
    /// Files of transactions are asked for.
    pub files: bool,
    /// Their hashes are.
    pub hashes: bool,
    /// Signatures choose the files that are stored.
    pub file_store: bool,
    /// Frames of protocols are asked for.
    pub frames: bool,
    /// What each side of a flow speaks is told apart.
    pub both_ways: bool,
    /// What breaks TCP is noticed.
    pub stream_events: bool,
    /// Requests are judged before their response is there, because some decide about the flow.
    pub halves: bool,
    /// Packets are recorded behind alerts.
    pub tags: bool,
    /// Those of hosts are.
    pub host_tags: bool,
}

impl Requirements {
    /// What either of two needs.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            packets: self.packets | other.packets,
            streams: self.streams | other.streams,
            transactions: self.transactions | other.transactions,
            files: self.files | other.files,
            hashes: self.hashes | other.hashes,
            file_store: self.file_store | other.file_store,
            frames: self.frames | other.frames,
            both_ways: self.both_ways | other.both_ways,
            halves: self.halves | other.halves,
            tags: self.tags | other.tags,
            host_tags: self.host_tags | other.host_tags,
            stream_events: self.stream_events | other.stream_events,
        }
    }
}
