//! What a person is told of one alert, or of what became of one block.

use flowtrack_detect::alerts::{AlertKind, AlertRecord};
use flowtrack_event::{BlockEvent, BlockPhase, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// What a person is told of one alert or block: words and numbers only, cleaned and cut to bounds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Notices of the same key are about the same thing.
    pub key: String,
    /// How urgent.
    #[serde(with = "crate::config::severity")]
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What it means and what to do; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub explanation: String,
    /// Such as `reconnaissance`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Which detector, such as `port_scan`, or the signature's number, such as `1:2019401`.
    pub detector: String,
    /// Who began it, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Whom it is aimed at, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<IpAddr>,
    /// The port aimed at, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// Identifier and name of ATT&CK's technique, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<(String, String)>,
    /// When it began, in microseconds since 1970.
    pub first_seen_us: i64,
    /// When it was seen last, in microseconds since 1970.
    pub last_seen_us: i64,
    /// How often it was seen.
    pub count: u64,
    /// What proves it: a name and a text each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<(String, String)>,
}

impl Notice {
    /// Of an alert of the book.
    pub fn of_record(alert: &AlertRecord) -> Self {
        // `port_scan/vertical`, by the detector's name in routes.
        let detector = match alert.kind {
            AlertKind::Behaviour => alert.name.split('/').next().unwrap_or_default().to_owned(),
            AlertKind::Signature => alert.rule.to_string(),
        };
        Self {
            key: key(&alert.rule.to_string(), alert.source, alert.target, alert.port),
            severity: alert.severity,
            title: clean(&alert.title, MAX_TITLE),
            explanation: clean(&alert.explanation, MAX_EXPLANATION),
            category: clean(&alert.category, MAX_NAME),
            detector: clean(&detector, MAX_NAME),
            source: alert.source,
            target: alert.target,
            target_port: alert.port,
            technique: alert
                .technique
                .as_ref()
                .map(|t| (clean(&t.id, MAX_NAME), clean(&t.name, MAX_NAME))),
            first_seen_us: alert.first_seen.micros(),
            last_seen_us: alert.last_seen.micros(),
            count: alert.occurrences.max(1),
            evidence: alert
                .evidence
                .iter()
                .take(MAX_EVIDENCE)
                .map(|(name, value)| (clean(name, MAX_NAME), clean(&value.to_string(), MAX_VALUE)))
                .collect(),
        }
    }

    /// Of what became of a block: of category [`Notice::BLOCKING`], and by `block_added`,
    /// `block_removed`, `block_refused` and so on in the place of a detector.
    ///
    /// What is done without a person's word is as urgent as what leads to it; what a person did is
    /// told to those who want to hear of it.
    pub fn of_block(event: &BlockEvent) -> Self {
        let BlockEvent { what, .. } = event;
        let lasts = event.until.map(|until| format!(" for {}", length(until.since(event.ts))));
        let lasts = lasts.unwrap_or_default();
        let automatic = event.who != PERSON;
        let (severity, detector, title) = match event.phase {
            BlockPhase::Added => {
                let severity = if automatic { Severity::High } else { Severity::Medium };
                (severity, "block_added", format!("{what} is blocked{lasts}"))
            }
            BlockPhase::Extended => {
                (Severity::Low, "block_extended", format!("{what} is blocked{lasts} from now on"))
            }
            BlockPhase::WouldAdd => {
                (Severity::Low, "block_would_add", format!("{what} would be blocked{lasts}"))
            }
            BlockPhase::Refused => {
                (Severity::Medium, "block_refused", format!("{what} attacks and is not blocked"))
            }
            BlockPhase::Removed => {
                (Severity::Medium, "block_removed", format!("{what} is no longer blocked"))
            }
            BlockPhase::Expired => {
                (Severity::Info, "block_expired", format!("the block of {what} is over"))
            }
            BlockPhase::Failed => {
                (Severity::High, "block_failed", format!("the firewall does not block {what}"))
            }
        };
        // Each block is told, but not why the same one is refused again and again.
        let until = event.until.map_or(0, Timestamp::micros);
        let until = if event.phase == BlockPhase::WouldAdd { 0 } else { until };
        let mut evidence = vec![("wanted by".to_owned(), clean(&event.who, MAX_NAME))];
        if event.packets > 0 {
            evidence.push(("packets stopped".into(), event.packets.to_string()));
            evidence.push(("bytes stopped".into(), event.bytes.to_string()));
        }
        Self {
            key: clean(&format!("{detector}|{what}|{until}"), MAX_TITLE),
            severity,
            title: clean(&title, MAX_TITLE),
            explanation: clean(&event.why, MAX_EXPLANATION),
            category: Self::BLOCKING.into(),
            detector: detector.into(),
            source: what.parse().ok(),
            target: None,
            target_port: None,
            technique: None,
            first_seen_us: event.ts.micros(),
            last_seen_us: event.ts.micros(),
            count: 1,
            evidence,
        }
    }

    /// Category of what is told of blocks.
    pub const BLOCKING: &'static str = "blocking";

    /// The notice that `flowtrack notify test` sends.
    pub fn test(now: Timestamp) -> Self {
        Self {
            key: "test".into(),
            severity: Severity::Info,
            title: "This is a test of FlowTrack's notifications".into(),
            explanation: "Somebody asked for it; nothing has happened on the network.".into(),
            category: "test".into(),
            detector: "test".into(),
            source: None,
            target: None,
            target_port: None,
            technique: None,
            first_seen_us: now.micros(),
            last_seen_us: now.micros(),
            count: 1,
            evidence: Vec::new(),
        }
    }

    /// Who to whom, such as `192.0.2.7 → 10.0.0.5 port 22`; empty where neither is known.
    pub fn ends(&self) -> String {
        let mut text = String::new();
        if let Some(source) = self.source {
            let _ = write!(text, "{source}");
        }
        if let Some(target) = self.target {
            let _ = write!(text, "{}→ {target}", if text.is_empty() { "" } else { " " });
        }
        if let Some(port) = self.target_port {
            let _ = write!(text, "{}port {port}", if text.is_empty() { "" } else { " " });
        }
        text
    }

    /// Takes in another notice of the same key: counts add up, the newer words count.
    pub fn fold(&mut self, newer: Self) {
        let (first, count) = (self.first_seen_us.min(newer.first_seen_us), self.count);
        let severity = self.severity.max(newer.severity);
        *self = newer;
        self.first_seen_us = first;
        self.count = self.count.saturating_add(count);
        self.severity = severity;
    }
}

fn key(what: &str, source: Option<IpAddr>, target: Option<IpAddr>, port: Option<u16>) -> String {
    let mut key = what.to_owned();
    for address in [source, target] {
        key.push('|');
        if let Some(address) = address {
            let _ = write!(key, "{address}");
        }
    }
    let _ = write!(key, "|{}", port.unwrap_or(0));
    key
}

/// A length of time in its two largest units: `45 s`, `1 h`, `1 h 30 min`, `2 d`.
fn length(time: Duration) -> String {
    let secs = time.as_secs_f64().round() as u64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(unit, _)| secs >= *unit).unwrap_or(units.len() - 1);
    let mut text = format!("{} {}", secs / units[first].0, units[first].1);
    if let Some((unit, name)) = units.get(first + 1) {
        let rest = secs % units[first].0 / unit;
        if rest > 0 {
            let _ = write!(text, " {rest} {name}");
        }
    }
    text
}

/// `text` without control characters and without those that turn its direction, cut to `max`
/// characters: much of it was chosen by whoever sent the traffic.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let harmless = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns { ' ' } else { c }
    };
    cut(&text.chars().take(max + 1).map(harmless).collect::<String>(), max)
}

/// At most `max` characters, with an ellipsis where some are missing.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Who wants a block where a person does.
const PERSON: &str = "admin";
const MAX_TITLE: usize = 200;
const MAX_EXPLANATION: usize = 600;
const MAX_NAME: usize = 60;
const MAX_VALUE: usize = 200;
const MAX_EVIDENCE: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_detect::alerts::{AlertBook, Config};
    use flowtrack_event::{Detection, Evidence, Technique};

    #[test]
    fn text_of_strangers_is_cleaned_and_cut() {
        assert_eq!(clean("a\r\nBcc: x\u{202e}b", 50), "a  Bcc: x b");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
    }

    #[test]
    fn an_alert_of_the_book_is_told_whole() {
        let mut book = AlertBook::new(Config::default());
        book.detection(&Detection {
            ts: Timestamp::from_secs(7),
            detector: "port_scan",
            kind: "vertical",
            sid: 101,
            title: "192.0.2.7 scans\nports".into(),
            explanation: "Look at it.".into(),
            severity: Severity::High,
            category: "reconnaissance",
            technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
            source: Some([192, 0, 2, 7].into()),
            target: Some([10, 0, 0, 5].into()),
            target_port: None,
            proto: None,
            first_seen: Timestamp::from_secs(5),
            last_seen: Timestamp::from_secs(7),
            count: 40,
            evidence: vec![("ports".into(), Evidence::Count(40))],
            flows: Vec::new(),
            source_proved: false,
        });
        let changes = book.drain(10);
        assert!(changes[0].change.is_news());
        let notice = Notice::of_record(&changes[0].alert);
        assert_eq!(
            (notice.title.as_str(), notice.detector.as_str()),
            ("192.0.2.7 scans ports", "port_scan")
        );
        assert_eq!((notice.severity, notice.count), (Severity::High, 40));
        assert_eq!((notice.first_seen_us, notice.last_seen_us), (5_000_000, 7_000_000));
        assert_eq!(notice.technique.unwrap().0, "T1046");
        assert!(
            notice.evidence.contains(&("ports".to_owned(), "40".to_owned())),
            "{:?}",
            notice.evidence
        );
    }

    #[test]
    fn blocks_are_told_by_what_became_of_them() {
        let block = |phase, who: &str| BlockEvent {
            ts: Timestamp::from_secs(100),
            phase,
            what: "192.0.2.7".into(),
            who: who.into(),
            why: "192.0.2.7 scans\nports".into(),
            until: Some(Timestamp::from_secs(3_700)),
            packets: 7,
            bytes: 420,
        };
        let notice = Notice::of_block(&block(BlockPhase::Added, "port_scan"));
        assert_eq!((notice.severity, notice.detector.as_str()), (Severity::High, "block_added"));
        assert_eq!(notice.title, "192.0.2.7 is blocked for 1 h");
        assert_eq!(notice.explanation, "192.0.2.7 scans ports");
        assert_eq!((notice.source, &*notice.category), ("192.0.2.7".parse().ok(), "blocking"));
        assert!(notice.evidence.contains(&("packets stopped".into(), "7".into())));
        let by_hand = Notice::of_block(&block(BlockPhase::Added, "admin"));
        assert_eq!(by_hand.severity, Severity::Medium);
        let gone = Notice::of_block(&block(BlockPhase::Removed, "port_scan"));
        assert_eq!(
            (&*gone.title, gone.severity),
            ("192.0.2.7 is no longer blocked", Severity::Medium)
        );
        // The next block of the same address is news, the next refusal is not.
        let later = BlockEvent {
            ts: Timestamp::from_secs(200),
            until: Some(Timestamp::from_secs(7_400)),
            ..block(BlockPhase::Added, "port_scan")
        };
        assert_ne!(Notice::of_block(&later).key, notice.key);
        let refused = BlockEvent { until: None, ..block(BlockPhase::Refused, "port_scan") };
        let again = BlockEvent { ts: Timestamp::from_secs(900), ..refused.clone() };
        assert_eq!(Notice::of_block(&refused).key, Notice::of_block(&again).key);
    }

    #[test]
    fn lengths_of_time_are_short() {
        let texts = [0.4, 45.0, 60.0, 3_600.0, 5_400.0, 172_800.0, 90_061.0];
        assert_eq!(
            texts.map(|secs| length(Duration::from_secs_f64(secs))),
            ["0 s", "45 s", "1 min", "1 h", "1 h 30 min", "2 d", "1 d 1 h"]
        );
    }

    #[test]
    fn folding_adds_up() {
        let mut one = Notice { count: 3, last_seen_us: 5, ..Notice::test(Timestamp::ZERO) };
        one.severity = Severity::High;
        one.fold(Notice { count: 2, first_seen_us: 9, last_seen_us: 10, ..one.clone() });
        assert_eq!((one.count, one.first_seen_us, one.last_seen_us), (5, 0, 10));
        assert_eq!(one.severity, Severity::High);
    }
}
