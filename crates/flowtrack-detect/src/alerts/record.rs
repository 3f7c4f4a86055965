//! One alert, with everything that is kept of it.

use crate::words::keep_last;
use flowtrack_event::{Evidence, IpProto, Severity, Timestamp};
use serde::Serialize;
use serde::ser::Serializer;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Number of an alert, unique in one history.
pub type AlertId = u64;

/// Which rule: generator and signature, as `EVE` numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug, Serialize)]
pub struct RuleId {
    /// Generator; [`flowtrack_event::Detection::GID`] for detectors.
    pub gid: u32,
    /// Signature, or detector and kind.
    pub sid: u32,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.gid, self.sid)
    }
}

/// What raised an alert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A signature matched.
    Signature,
    /// A detector noticed behaviour.
    Behaviour,
}

impl AlertKind {
    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Behaviour => "behaviour",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Signature, Self::Behaviour].into_iter().find(|kind| kind.name() == name)
    }
}

/// How far a person has come with an alert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has looked at it.
    #[default]
    New,
    /// Somebody knows of it.
    Seen,
    /// It is dealt with; the next repeat makes it new again.
    Resolved,
    /// A mute hides it.
    Muted,
}

impl AlertState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::New, Self::Seen, Self::Resolved, Self::Muted];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Seen => "seen",
            Self::Resolved => "resolved",
            Self::Muted => "muted",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A technique of MITRE ATT&CK, as a detector or a rule's metadata names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TechniqueName {
    /// Identifier, such as `T1046`.
    #[serde(serialize_with = "text")]
    pub id: Arc<str>,
    /// Name; may be empty.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
}

/// A flow of a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FlowRef {
    /// The run that saw it, as history numbers them.
    pub run: u64,
    /// Its number there.
    pub id: u64,
}

impl fmt::Display for FlowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.id)
    }
}

impl Serialize for FlowRef {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One alert, with all its repeats.
///
/// Texts of rules and of the wire can hold anything.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlertRecord {
    /// Its number.
    pub id: AlertId,
    /// What raised it.
    pub kind: AlertKind,
    /// Generator and signature.
    #[serde(flatten)]
    pub rule: RuleId,
    /// Name of the rule: its message, or detector and kind such as `port_scan/vertical`.
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// The highest that it had.
    pub severity: Severity,
    /// What kind of trouble.
    #[serde(serialize_with = "text")]
    pub category: Arc<str>,
    /// What the attacker does, where that is known.
    pub technique: Option<TechniqueName>,
    /// One line for a person.
    #[serde(serialize_with = "text")]
    pub title: Arc<str>,
    /// What it means and what to do next.
    #[serde(serialize_with = "text")]
    pub explanation: Arc<str>,
    /// Who does it; `None` for many, or where nobody knows.
    #[serde(rename = "src_ip")]
    pub source: Option<IpAddr>,
    /// Whom it is done to.
    #[serde(rename = "dest_ip")]
    pub target: Option<IpAddr>,
    /// The service.
    #[serde(rename = "dest_port")]
    pub port: Option<u16>,
    /// Transport.
    #[serde(serialize_with = "proto_name")]
    pub proto: Option<IpProto>,
    /// When it began.
    #[serde(rename = "first_us", serialize_with = "micros")]
    pub first_seen: Timestamp,
    /// When it was seen last.
    #[serde(rename = "last_us", serialize_with = "micros")]
    pub last_seen: Timestamp,
    /// Reports folded into it, itself included; exact.
    pub count: u64,
    /// What these reports stand for: packets, connections or failures as evidence says.
    pub occurrences: u64,
    /// Whether it stands for many hosts, because its rule reported too many to tell apart.
    pub many: bool,
    /// The numbers that prove it, under plain names.
    #[serde(serialize_with = "evidence_map")]
    pub evidence: Arc<[(Cow<'static, str>, Evidence)]>,
    /// Some of its flows, the newest last.
    pub flows: Vec<FlowRef>,
    /// Whether the source completed a handshake or answered, so that its address is not spoofed.
    pub source_proved: bool,
    /// How far a person has come with it.
    pub state: AlertState,
    /// The mute that hides it.
    pub muted_by: Option<u64>,
    /// How often it came back after it was resolved.
    pub reopened: u32,
    /// What a person wrote about it.
    #[serde(serialize_with = "text")]
    pub note: Arc<str>,
}

impl AlertRecord {
    /// Flows kept of an alert.
    pub const FLOWS: usize = 8;
    /// Longest note, in bytes.
    pub const NOTE: usize = 2_000;

    /// Who does it to whom, such as `192.0.2.7 -> 10.0.0.5:22`; empty where neither is known.
    pub fn ends(&self) -> String {
        let target = self.target.map(|address| match self.port {
            Some(port) => SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        });
        match (self.source, target) {
            (None, None) => String::new(),
            (Some(source), None) => source.to_string(),
            (None, Some(target)) => format!("many -> {target}"),
            (Some(source), Some(target)) => format!("{source} -> {target}"),
        }
    }

    /// Keeps a flow, the oldest going where there is no room; allocates nothing then.
    pub(super) fn add_flow(&mut self, flow: FlowRef) {
        keep_last(&mut self.flows, flow, Self::FLOWS);
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde calls.
fn micros<S: Serializer>(ts: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_i64(ts.micros())
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)] // The signature that serde calls.
fn proto_name<S: Serializer>(proto: &Option<IpProto>, s: S) -> Result<S::Ok, S::Error> {
    match proto.map(|proto| (proto.name(), proto.0)) {
        None => s.serialize_none(),
        Some((Some("ipv6-icmp"), _)) => s.serialize_str("IPv6-ICMP"),
        Some((Some(name), _)) => s.serialize_str(&name.to_ascii_uppercase()),
        Some((None, number)) => s.collect_str(&number),
    }
}

fn text<S: Serializer>(text: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(text)
}

fn evidence_map<S: Serializer>(
    evidence: &Arc<[(Cow<'static, str>, Evidence)]>,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_map(evidence.iter().map(|(name, value)| (name, value)))
}
