//! What makes the responder think of blocking: a detection or an alert, in a few words.

use std::net::IpAddr;

use flowtrack_event::{Alert, Detection, Event, IpProto, Severity};

/// An attack that was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// The attacker, where one is known.
    pub source: Option<IpAddr>,
    /// The victim.
    pub target: Option<IpAddr>,
    /// The attacked service.
    pub target_port: Option<u16>,
    /// Whether it comes over TCP.
    pub is_tcp: bool,
    /// Whether the source is proved to be there.
    pub source_proved: bool,
    /// Name of the detector; `rules` for a signature.
    pub detector: &'static str,
    /// Number of the signature or detector.
    pub sid: u32,
    /// Category.
    pub category: String,
    /// How urgent it is.
    pub severity: Severity,
    /// What happens, in one line.
    pub title: String,
}

impl Trigger {
    /// The trigger in an event, if it is one.
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Detection(detection) => Some(Self::of_detection(detection)),
            Event::Alert(alert) => Self::of_alert(alert),
            _ => None,
        }
    }

    /// Who wanted the block that this leads to.
    pub fn who(&self) -> String {
        if self.detector == RULES { format!("sid:{}", self.sid) } else { self.detector.to_owned() }
    }

    fn of_detection(detection: &Detection) -> Self {
        Self {
            source: detection.source,
            target: detection.target,
            target_port: detection.target_port,
            is_tcp: detection.proto == Some(IpProto::TCP),
            source_proved: detection.source_proved,
            detector: detection.detector,
            sid: detection.sid,
            category: detection.category.to_owned(),
            severity: detection.severity,
            title: detection.title.clone(),
        }
    }

    /// The attacker is whom the signature says, else who sent what matched.
    ///
    /// Bytes of a TCP stream and transactions in it are judged once the receiver acknowledged them,
    /// so whoever sent them completed the handshake; a single packet proves nothing, nor does any
    /// datagram.
    fn of_alert(alert: &Alert) -> Option<Self> {
        let key = alert.ends.key?;
        let (target, source) =
            alert.target_and_source().unwrap_or(((key.dst, key.dst_port), (key.src, key.src_port)));
        let is_tcp = key.proto == IpProto::TCP;
        Some(Self {
            source: Some(source.0),
            target: Some(target.0),
            target_port: key.has_ports().then_some(target.1),
            is_tcp,
            source_proved: is_tcp && (alert.from_stream || alert.tx.is_some()),
            detector: RULES,
            sid: alert.rule.sid,
            category: alert.rule.category.to_string(),
            severity: Severity::of_priority(alert.rule.severity),
            title: alert.rule.signature.to_string(),
        })
    }
}

/// What signatures are called among detectors.
pub(crate) const RULES: &str = "rules";
