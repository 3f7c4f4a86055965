//! The words of the program: what a packet source hands in and what the packet path hands out.
//!
//! Everything above speaks in these types, so nothing here does work: no parsing, no I/O, no
//! clock. Traffic that is wrong is data here ([`Anomaly`]), never an error.

mod activity;
mod alert;
mod anomaly;
mod app;
mod block;
mod chunk;
mod community_id;
mod detection;
mod distinct;
pub mod encryption;
mod file;
mod flow;
mod hex;
mod login;
mod neighbour;
mod packet;
mod rate;
mod recent;
mod stats;
mod tagged;
mod text;
mod time;
mod top;
mod transaction;
pub mod words;

pub use activity::{
    Activity, Failure, FromPort, Outcomes, PeerActivity, Probe, ProbeKind, ServiceActivity,
    SourceActivity, TargetActivity, Volume,
};
pub use alert::{Alert, AlertAction, AlertEnds, AlertFlow, Remembered, RuleInfo, Target};
pub use anomaly::{Anomaly, AnomalyLayer};
pub use app::{AppProto, AppRecord, Confidence};
pub use block::{BlockEvent, BlockPhase};
pub use chunk::Chunk;
pub use community_id::community_id;
pub use detection::{Detection, Evidence, Severity, Technique};
pub use distinct::Distinct;
pub use encryption::{CertificateFacts, Encryption, EncryptionBook, EncryptionView};
pub use file::{FileContent, FileLimits, FileRecord, FileState};
pub use flow::{
    ConnState, Direction, EndReason, FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, FlowState,
    Icmp, IpProto, Latency, MacAddr, Rtt, SideRecord, TcpRecord, TcpState, TunnelKind, Vlans,
};
pub use hex::{hex, hex_digits};
pub use login::{LoginEvent, LoginOutcome, Secret};
pub use neighbour::{Claim, Neighbour};
pub use packet::{IfaceId, LinkType, RawPacket, Verdict};
pub use rate::{Durations, Histogram, Second, Share};
pub use recent::Recent;
pub use stats::{
    BookStats, CaptureStats, DecoderStats, DefragStats, DetectStats, DetectorStats, FileStoreStats,
    FlowStats, Ledger, LedgerRow, RecordStats, Stats, TcpStats,
};
pub use tagged::TaggedPacket;
pub use text::WireText;
pub use time::Timestamp;
pub use top::{TopTable, Weight};
pub use transaction::{FlowContext, Transaction, TransactionEvent};

/// Something the packet path noticed; the unit that detectors, stores and sinks consume.
#[derive(Debug)]
pub enum Event {
    /// A flow began, went on or ended.
    Flow(Box<FlowEvent>),
    /// An application exchange is complete.
    Transaction(Box<TransactionEvent>),
    /// A file carried by a flow is complete, or as complete as it will get.
    File(Box<FileRecord>),
    /// A signature matched.
    Alert(Box<Alert>),
    /// A packet that a signature asked to be recorded behind its alert.
    Packet(Box<TaggedPacket>),
    /// Behaviour that looks like an attack.
    Detection(Box<Detection>),
    /// Something happened to a block of the firewall.
    Block(Box<BlockEvent>),
    /// Somebody tried to log on.
    Login(Box<LoginEvent>),
    /// A host claims an address of its link.
    Neighbour(Box<Neighbour>),
    /// Traffic that breaks its own protocol.
    Anomaly(Box<Anomaly>),
    /// What hosts did in one second.
    Activity(Box<Activity>),
    /// One second of traffic in numbers.
    Second(Box<Second>),
    /// Counters since the start.
    Stats(Box<Stats>),
}
