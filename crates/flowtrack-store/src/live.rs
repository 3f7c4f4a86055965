//! What user interfaces read about now: published once a second, read without a lock.
//!
//! [`LiveView`] belongs to the thread that handles events; [`LiveReader`] is for everybody else.
//! Everything in it is bounded. The totals are exact and never sums of rows; rows that a cap made
//! it forget are counted in [`Evicted`].

mod flows;
mod seconds;
mod talkers;
mod view;

pub(crate) use seconds::largest_shares;
pub use view::{LiveConfig, LiveReader, LiveView};

use flowtrack_event::EncryptionView;
use serde::Serialize;

/// Everything a live screen shows, at one moment.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Snapshot {
    /// Counts up by one each time it is published.
    pub revision: u64,
    /// Seconds since the epoch, in packet time.
    pub at: i64,
    /// Numbers per second, oldest first, at most [`Snapshot::SECONDS`].
    pub seconds: Vec<RatePoint>,
    /// Share of each protocol over the seconds kept, largest first.
    pub protocols: Vec<ProtocolRow>,
    /// Hosts by bytes, largest first.
    pub talkers: Vec<HostRow>,
    /// Flows as they are now, most recently active first.
    pub flows: Vec<FlowRow>,
    /// How much is encrypted, and by what; [`Snapshot::ENCRYPTION`] rows in each list.
    pub encryption: EncryptionView,
    /// Flows tracked now; `flows` may hold fewer.
    pub flows_active: u64,
    /// Totals since the start.
    pub totals: Totals,
    /// What the caps of the live view made it forget; the totals are not touched by that.
    pub evicted: Evicted,
}

impl Snapshot {
    /// Seconds of rates that are kept.
    pub const SECONDS: usize = 300;
    /// Flows that are kept for the live table.
    pub const FLOWS: usize = 5_000;
    /// Rows of each list about encryption.
    pub const ENCRYPTION: usize = 200;
    /// Hosts that are kept.
    pub const HOSTS: usize = 1_000;
}

/// One second of the throughput chart.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct RatePoint {
    /// Seconds since the epoch.
    pub at: i64,
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
    /// Flows that began.
    pub flows_new: u64,
    /// Median round-trip time in microseconds.
    pub rtt_p50_us: Option<u32>,
    /// 95th percentile of the round-trip time in microseconds.
    pub rtt_p95_us: Option<u32>,
    /// 99th percentile of the round-trip time in microseconds.
    pub rtt_p99_us: Option<u32>,
    /// TCP data segments.
    pub tcp_segments: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Segments acknowledged but never seen.
    pub lost: u64,
    /// Bytes by protocol, largest first, at most eight and `other`.
    pub shares: Vec<(String, u64)>,
}

/// One protocol's part.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct ProtocolRow {
    /// Name.
    pub protocol: String,
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
}

/// One host.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct HostRow {
    /// Address.
    pub addr: String,
    /// Host name that the traffic gave it.
    pub name: Option<String>,
    /// Bytes it sent.
    pub bytes_out: u64,
    /// Bytes it received.
    pub bytes_in: u64,
    /// Packets it sent and received.
    pub packets: u64,
    /// Bytes per second now.
    pub rate: u64,
    /// Flows it takes part in now.
    pub flows: u64,
}

/// What the live view had to forget because a table was full.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Evicted {
    /// Living flows, least recently active first.
    pub flows: u64,
    /// Hosts with the least bytes.
    pub hosts: u64,
    /// Names of addresses, least recently seen first.
    pub names: u64,
}

/// One flow of the live table or of history.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct FlowRow {
    /// The run that saw it, as history numbers them; 0 in the live view.
    pub run: u64,
    /// Its name in this run.
    pub id: u64,
    /// Originator's address.
    pub src_ip: String,
    /// Host name that the traffic gave the originator.
    pub src_name: Option<String>,
    /// Originator's port.
    pub src_port: u16,
    /// Responder's address.
    pub dest_ip: String,
    /// Host name that the traffic gave the responder.
    pub dest_name: Option<String>,
    /// Responder's port.
    pub dest_port: u16,
    /// Transport protocol, such as `TCP`.
    pub proto: String,
    /// Application protocol.
    pub app_proto: Option<String>,
    /// Interface.
    pub in_iface: Option<String>,
    /// First VLAN tag.
    pub vlan: Option<u16>,
    /// First packet, microseconds since the epoch.
    pub start_us: i64,
    /// Last packet, microseconds since the epoch.
    pub end_us: i64,
    /// Packets of the originator.
    pub pkts_toserver: u64,
    /// Packets of the responder.
    pub pkts_toclient: u64,
    /// Captured bytes of the originator.
    pub bytes_toserver: u64,
    /// Captured bytes of the responder.
    pub bytes_toclient: u64,
    /// Bytes per second now, both ways; 0 in history.
    pub rate: u64,
    /// `new`, `established` or `closed`.
    pub state: String,
    /// Why it ended; `None` while it lives.
    pub reason: Option<String>,
    /// Zeek's summary.
    pub conn_state: String,
    /// Zeek's history letters.
    pub history: String,
    /// Handshake round-trip time to the responder, microseconds.
    pub rtt_server_us: Option<u32>,
    /// Handshake round-trip time to the originator, microseconds.
    pub rtt_client_us: Option<u32>,
    /// First answer after the first request, microseconds.
    pub response_us: Option<u32>,
    /// Segments sent again, both ways.
    pub retransmissions: u32,
    /// Segments out of order, both ways.
    pub out_of_order: u32,
    /// Segments lost, both ways.
    pub lost: u32,
    /// Windows closed, both ways.
    pub zero_windows: u32,
    /// Name of the flow across tools.
    pub community_id: String,
    /// What was said, in one line.
    pub info: Option<String>,
    /// Whether an alert was raised on it.
    pub alerted: bool,
}

/// Totals since the start.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Totals {
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
    /// Flows begun.
    pub flows: u64,
    /// Packets the kernel dropped.
    pub kernel_drops: u64,
    /// Packets FlowTrack dropped before decoding.
    pub own_drops: u64,
    /// Flow events that a full queue dropped.
    pub events_dropped: u64,
    /// Rows that history could not keep.
    pub store_dropped: u64,
    /// Detections that were too many for one second.
    pub detections_left_out: u64,
    /// Hosts, services and names that detectors had to forget for lack of room.
    pub detectors_forgot: u64,
    /// Reports of alerts folded with those of other hosts, because their rule opened too many.
    pub alerts_crowded: u64,
    /// Changes of alerts that nobody was told or that history had no room for.
    pub alerts_lost: u64,
    /// Things that rules wanted to remember or count, for which there was no room.
    pub rules_forgot: u64,
    /// Whole files that were not stored although they were to be, or before rules had chosen.
    pub files_not_stored: u64,
    /// Anomalies.
    pub anomalies: u64,
}
