//! Alerts: a signature matched.

use crate::{AppProto, Direction, FileRecord, FlowContext, FlowKey, Timestamp, Transaction};
use std::net::IpAddr;
use std::sync::Arc;

/// What an alert tells about the signature that matched; shared by all its alerts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RuleInfo {
    /// Generator identifier.
    pub gid: u32,
    /// Signature identifier.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// Message.
    pub signature: Arc<str>,
    /// What the class of the signature means, empty where it has none.
    pub category: Arc<str>,
    /// Priority, 1 is the most urgent.
    pub severity: u8,
    /// Metadata, in order; a name may stand several times.
    pub metadata: Vec<(Arc<str>, Arc<str>)>,
    /// Links to further reading.
    pub references: Vec<Arc<str>>,
    /// Which end is the victim.
    pub target: Option<Target>,
    /// Text of the rule.
    pub text: Arc<str>,
}

/// Which end of a signature's packet is the victim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// What would be done with the traffic, were FlowTrack in its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AlertAction {
    /// Let through.
    Allowed,
    /// Dropped or rejected.
    Blocked,
}

impl AlertAction {
    /// The name as EVE writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
        }
    }
}

/// A flow at the moment of an alert.
#[derive(Clone, Debug)]
pub struct AlertFlow {
    /// The flow.
    pub context: Arc<FlowContext>,
    /// Application protocol, once known.
    pub app: Option<AppProto>,
    /// Packets to the server and to the client so far.
    pub packets: [u64; 2],
    /// Bytes of these packets.
    pub bytes: [u64; 2],
}

/// Source and destination of the packet, or of the part of a transaction, that a signature matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AlertEnds {
    /// Who sent it, to whom, over what; `None` without addresses, as for ARP.
    pub key: Option<FlowKey>,
    /// Which way it went in its flow.
    pub direction: Direction,
}

/// A signature matched.
#[derive(Clone, Debug)]
pub struct Alert {
    /// When.
    pub ts: Timestamp,
    /// Place in the capture of the packet, from 1; 0 where a flow ended without one.
    pub packet: u64,
    /// Who sent what matched, to whom.
    pub ends: AlertEnds,
    /// The flow, where there is one.
    pub flow: Option<AlertFlow>,
    /// The signature.
    pub rule: Arc<RuleInfo>,
    /// What would be done.
    pub action: AlertAction,
    /// The transaction that matched, with its number in its flow.
    pub tx: Option<(u64, Arc<dyn Transaction>)>,
    /// Files that this transaction carried.
    pub files: Vec<FileRecord>,
    /// The bytes that were searched, where they are asked for: of a stream or of a packet.
    pub payload: Option<Box<[u8]>>,
    /// Whether these bytes are of a stream.
    pub from_stream: bool,
    /// The frame, where it is asked for.
    pub frame: Option<Box<[u8]>>,
    /// What rules remember of the flow and captured for this alert; nothing where that is nothing.
    pub remembered: Option<Box<Remembered>>,
}

/// What rules remember, by the names that they gave it (EVE `metadata`).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Remembered {
    /// Marks on the flow (`flowbits`).
    pub flowbits: Vec<Arc<str>>,
    /// Numbers of the flow (`flowint`).
    pub flowints: Vec<(Arc<str>, u32)>,
    /// What expressions captured of the flow.
    pub flowvars: Vec<(Arc<str>, Box<[u8]>)>,
    /// What they captured of the packet.
    pub pktvars: Vec<(Arc<str>, Box<[u8]>)>,
    /// What they captured for the alert.
    pub context: Vec<(Arc<str>, Box<[u8]>)>,
}

impl Alert {
    /// The victim and the attacker, where the signature says who is who.
    pub fn target_and_source(&self) -> Option<((IpAddr, u16), (IpAddr, u16))> {
        let key = self.ends.key?;
        let (src, dst) = ((key.src, key.src_port), (key.dst, key.dst_port));
        Some(match self.rule.target? {
            Target::Source => (src, dst),
            Target::Destination => (dst, src),
        })
    }
}
