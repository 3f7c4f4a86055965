//! Detections: behaviour that looks like an attack, noticed without a signature.

use crate::{FlowId, IpProto, Timestamp};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// How urgent an alert is, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now.
    High,
    /// An attack that succeeds, or stops a service.
    Critical,
}

impl Severity {
    /// All, the least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// From the priority of a signature, 1 being the most urgent; the highest is kept for what
    /// behaviour proves.
    pub const fn of_priority(priority: u8) -> Self {
        match priority {
            0 | 1 => Self::High,
            2 => Self::Medium,
            3 => Self::Low,
            _ => Self::Info,
        }
    }

    /// The priority of EVE's `alert.severity`: 1 is the most urgent.
    pub const fn priority(self) -> u8 {
        match self {
            Self::Critical | Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
            Self::Info => 4,
        }
    }
}

/// A technique of MITRE ATT&CK.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Technique {
    /// Identifier, such as `T1046`.
    pub id: &'static str,
    /// Name, such as `Network Service Discovery`.
    pub name: &'static str,
}

/// One piece of evidence.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Evidence {
    /// How many.
    Count(u64),
    /// How much, in the unit that its name says.
    Number(f64),
    /// What.
    Text(String),
    /// Which ones, at most a handful.
    List(Vec<String>),
}

/// As a person reads it; texts may hold anything.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => {
                let text = format!("{number:.2}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(", ")),
        }
    }
}

/// Behaviour that looks like an attack.
///
/// A detector says it again while it goes on, at most once a second for the same source, target
/// and detector; whoever shows it folds these into one alert.
#[derive(Clone, PartialEq, Debug)]
pub struct Detection {
    /// When it was noticed.
    pub ts: Timestamp,
    /// Which detector, such as `port_scan`.
    pub detector: &'static str,
    /// What kind of it, such as `vertical`; empty where there is one kind only.
    pub kind: &'static str,
    /// Number of the detector and its kind, as EVE's `signature_id` with `gid` [`Detection::GID`].
    pub sid: u32,
    /// One line that tells a person what happens, such as `192.0.2.7 scans ports of 10.0.0.5`.
    pub title: String,
    /// What it means and what to do next, in one or two sentences.
    pub explanation: String,
    /// How urgent; grows with evidence.
    pub severity: Severity,
    /// Such as `reconnaissance`, `denial of service`, `credential access`.
    pub category: &'static str,
    /// What the attacker does, where ATT&CK has a word for it.
    pub technique: Option<Technique>,
    /// The attacker, where one is known; `None` for many or spoofed ones.
    pub source: Option<IpAddr>,
    /// The victim, where there is one.
    pub target: Option<IpAddr>,
    /// The service, where there is one.
    pub target_port: Option<u16>,
    /// Transport.
    pub proto: Option<IpProto>,
    /// When it began.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// Occurrences since it was told last: packets, connections or failures, as evidence says.
    pub count: u64,
    /// The numbers, the targets and the times that prove it, under plain names.
    pub evidence: Vec<(Cow<'static, str>, Evidence)>,
    /// Some of its flows.
    pub flows: Vec<FlowId>,
    /// Whether the source is proved to be there: it completed a handshake or answered, so its
    /// address is not spoofed and may be blocked.
    pub source_proved: bool,
}

impl Detection {
    /// EVE's `gid` of detections; that of signatures is 1.
    pub const GID: u32 = 1000;
}
