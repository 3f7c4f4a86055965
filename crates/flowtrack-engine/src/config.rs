//! What steers the packet path.

use flowtrack_dissect::Wants;
use flowtrack_event::FileLimits;
use flowtrack_flow::stream::{OverlapPolicy, StreamLimits};
use flowtrack_flow::{Config as FlowConfig, DefragConfig, HostPolicy};
use serde::{Deserialize, Serialize};

/// What steers the packet path.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    /// The flow table.
    pub flow: FlowConfig,
    /// Fragments.
    pub defrag: DefragConfig,
    /// Streams and application protocols.
    pub dissect: Dissect,
    /// Believe no packet whose checksum is wrong: it is counted, on its flow where that is known,
    /// and changes nothing else.
    pub verify_checksums: bool,
    /// What is told.
    pub tell: Tell,
    /// The share of the traffic that this engine works on; `None` for all of it.
    pub shard: Option<Shard>,
}

/// Streams and application protocols.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dissect {
    /// Recognise application protocols at all.
    pub enabled: bool,
    /// Bytes of each direction that are read; beyond, a stream is only counted.
    pub depth: u64,
    /// Bytes that one direction may keep behind holes.
    pub stream_bytes: usize,
    /// Bytes that all streams of a worker may keep behind holes.
    pub memory: usize,
    /// Whose bytes win where segments overlap.
    pub overlap: Overlap,
    /// The same for some receivers; the longest prefix counts.
    pub hosts: Vec<HostPolicy<Overlap>>,
    /// Compute MD5, SHA-1 and SHA-256 of files.
    pub hashes: bool,
    /// Hand over the bytes of whole files as well; not a setting, but for whoever stores them.
    #[serde(skip)]
    pub contents: Option<FileLimits>,
    /// Whether all files are stored, although signatures choose some.
    #[serde(skip)]
    pub stores_all: bool,
}

impl Default for Dissect {
    fn default() -> Self {
        let limits = StreamLimits::default();
        Self {
            enabled: true,
            depth: 1024 * 1024,
            stream_bytes: limits.stream_bytes,
            memory: limits.total_bytes,
            overlap: Overlap::Bsd,
            hosts: Vec::new(),
            hashes: false,
            contents: None,
            stores_all: false,
        }
    }
}

impl Dissect {
    pub(crate) fn limits(&self) -> StreamLimits {
        StreamLimits {
            stream_bytes: self.stream_bytes,
            total_bytes: self.memory,
            ..StreamLimits::default()
        }
    }

    pub(crate) fn wants(&self, tell: Tell) -> Wants {
        Wants {
            records: tell.transactions || tell.logins,
            buffers: false,
            files: tell.files,
            hashes: self.hashes && tell.files,
            contents: self.contents.filter(|_| tell.files),
        }
    }
}

/// Name of an overlap policy, as it is configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// What came first stays.
    First,
    /// What came last stays.
    Last,
    /// As BSD, and Windows before Vista.
    Bsd,
    /// As Linux.
    Linux,
    /// As Solaris.
    Solaris,
    /// As Windows since Vista: what came first stays.
    Windows,
}

impl From<Overlap> for OverlapPolicy {
    fn from(name: Overlap) -> Self {
        match name {
            Overlap::First | Overlap::Windows => Self::First,
            Overlap::Last => Self::Last,
            Overlap::Bsd => Self::Bsd,
            Overlap::Linux => Self::Linux,
            Overlap::Solaris => Self::Solaris,
        }
    }
}

/// Which events are told; what nobody reads is not made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tell {
    /// Flows as they begin.
    pub starts: bool,
    /// Flows that changed, once a second.
    pub updates: bool,
    /// Flows as they end.
    pub ends: bool,
    /// Application exchanges.
    pub transactions: bool,
    /// Attempts to log on.
    pub logins: bool,
    /// What hosts of a link say of their addresses (ARP, IPv6 neighbour discovery).
    pub neighbours: bool,
    /// Files.
    pub files: bool,
    /// What is malformed; it is counted in any case.
    pub anomalies: bool,
    /// Numbers of each second.
    pub seconds: bool,
    /// What hosts did, once a second.
    pub activity: bool,
    /// With alerts, the first 4 KiB of what was searched: of the stream where that matched, else
    /// of the packet.
    pub alert_payload: bool,
    /// With alerts, the packet from its first header on.
    pub alert_packet: bool,
    /// Packets that signatures ask for behind their alerts (`tag`).
    pub tagged: bool,
}

impl Tell {
    /// Everything that is logged of a file.
    pub const LOGS: Self = Self {
        starts: false,
        updates: false,
        ends: true,
        transactions: true,
        logins: false,
        neighbours: false,
        files: true,
        anomalies: true,
        seconds: false,
        activity: false,
        alert_payload: false,
        alert_packet: false,
        tagged: false,
    };

    /// Everything that a live screen shows.
    pub const LIVE: Self = Self { starts: true, updates: true, seconds: true, ..Self::LOGS };

    /// With everything that detectors look at.
    #[must_use]
    pub const fn for_detectors(self) -> Self {
        Self {
            updates: true,
            ends: true,
            transactions: true,
            logins: true,
            neighbours: true,
            seconds: true,
            activity: true,
            ..self
        }
    }

    /// Only how flows ended.
    pub const FLOWS: Self = Self {
        starts: false,
        updates: false,
        ends: true,
        transactions: false,
        logins: false,
        neighbours: false,
        files: false,
        anomalies: false,
        seconds: false,
        activity: false,
        alert_payload: false,
        alert_packet: false,
        tagged: false,
    };
}

/// One of several equal shares of the traffic.
///
/// All packets between two addresses are of one share, so a flow, its fragments, its tunnels and
/// the flows that it announces never part. Packets without addresses are of share 0. What goes one
/// way through one tunnel and the other way through another (6to4 relays) is two flows, one in each
/// share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which share, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}
