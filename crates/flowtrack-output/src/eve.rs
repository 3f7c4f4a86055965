//! EVE JSON: one event a line, with the field names and types of Suricata 9.
//!
//! What FlowTrack knows beyond that stands beside it under the names in [`ADDITIONS`]; a reader
//! that takes those away is left with plain EVE.

mod additions;
mod alert;
mod detection;
mod flow;
mod json;
mod proto;
mod record;
mod stats;
mod writer;

#[cfg(test)]
mod tests;

use flowtrack_event::{Event, FlowPhase};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

pub use additions::{ADDITIONS, Addition, additions_markdown};
pub(crate) use flow::tunnel_name;
pub(crate) use proto::proto_name;
pub use writer::{EveCounters, EveWriter};

/// What is written, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EveConfig {
    /// Which kinds of event are written.
    pub kinds: EveKinds,
    /// Whether events of a flow carry its Community ID.
    pub community_id: bool,
    /// Seed of the Community ID; the same on all sensors that are to agree.
    pub community_id_seed: u16,
    /// Whether events of one packet carry its place in the capture.
    pub pcap_cnt: bool,
    /// Whether flows carry the Ethernet addresses of their first frame.
    pub ethernet: bool,
    /// Whether times are local; UTC where not.
    pub local_time: bool,
    /// Whether alerts carry the first 4 KiB of what was searched.
    pub alert_payload: bool,
    /// Whether alerts carry their packet.
    pub alert_packet: bool,
}

impl Default for EveConfig {
    fn default() -> Self {
        Self {
            kinds: EveKinds::default(),
            community_id: true,
            community_id_seed: 0,
            pcap_cnt: true,
            ethernet: false,
            local_time: false,
            alert_payload: false,
            alert_packet: false,
        }
    }
}

/// Kinds of event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EveKinds {
    /// Flows, when they end.
    pub flow: bool,
    /// Transactions of all application protocols.
    pub transaction: bool,
    /// Files.
    pub fileinfo: bool,
    /// Alerts, of signatures and of behaviour.
    pub alert: bool,
    /// Packets that signatures ask for behind their alerts (`tag`).
    pub packet: bool,
    /// What became of blocks of the firewall.
    pub block: bool,
    /// Malformed traffic.
    pub anomaly: bool,
    /// Counters.
    pub stats: bool,
}

impl Default for EveKinds {
    fn default() -> Self {
        Self {
            flow: true,
            transaction: true,
            fileinfo: true,
            alert: true,
            packet: true,
            block: true,
            anomaly: true,
            stats: true,
        }
    }
}

/// Turns events into lines of EVE JSON.
#[derive(Debug)]
pub struct EveEncoder {
    config: EveConfig,
    /// Names by [`flowtrack_event::IfaceId`]; an interface without a name is not written.
    interfaces: Vec<String>,
    clock: Clock,
    community: record::CommunityCache,
}

/// Why an event gave no line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// Its kind is not written, or is never written as EVE (flow updates, seconds).
    NotWanted,
    /// Its record has no JSON form.
    Unserialisable,
}

impl EveEncoder {
    /// Writes as `config` says.
    pub fn new(config: EveConfig) -> Self {
        let clock = Clock::new(config.local_time);
        Self { config, interfaces: Vec::new(), clock, community: record::CommunityCache::default() }
    }

    /// Names the interfaces of a live capture, by index.
    #[must_use]
    pub fn with_interfaces(mut self, names: Vec<String>) -> Self {
        self.interfaces = names;
        self
    }

    /// Appends one line with its newline; appends nothing where the event gives none.
    pub fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Skipped> {
        let kinds = &self.config.kinds;
        let wanted = match event {
            Event::Flow(flow) => kinds.flow && matches!(flow.phase, FlowPhase::End(_)),
            Event::Transaction(_) => kinds.transaction,
            Event::File(_) => kinds.fileinfo,
            Event::Alert(_) | Event::Detection(_) => kinds.alert,
            Event::Packet(_) => kinds.packet,
            Event::Block(_) => kinds.block,
            Event::Anomaly(_) => kinds.anomaly,
            Event::Stats(_) => kinds.stats,
            Event::Login(_) | Event::Neighbour(_) | Event::Activity(_) | Event::Second(_) => false,
        };
        if !wanted {
            return Err(Skipped::NotWanted);
        }
        let begin = out.len();
        let complete = match event {
            Event::Flow(flow) => self.flow(flow, out),
            Event::Transaction(tx) => self.transaction(tx, out),
            Event::File(file) => self.file(file, out),
            Event::Alert(alert) => self.alert(alert, out),
            Event::Packet(packet) => self.tagged(packet, out),
            Event::Anomaly(anomaly) => self.anomaly(anomaly, out),
            Event::Stats(stats) => self.stats(stats, out),
            Event::Detection(detection) => self.detection(detection, out),
            Event::Block(block) => self.block(block, out),
            Event::Login(_) | Event::Neighbour(_) | Event::Activity(_) | Event::Second(_) => false,
        };
        if complete {
            out.push(b'\n');
            Ok(())
        } else {
            out.truncate(begin);
            Err(Skipped::Unserialisable)
        }
    }
}
