//! One message to one channel: a notice, several, or a test; and its words.

use crate::notice::{Notice, cut};
use flowtrack_event::{Severity, Timestamp};
use jiff::tz::TimeZone;
use std::fmt::Write as _;

/// Why a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Something has happened.
    Alert,
    /// What was collected for a while.
    Digest,
    /// Somebody tests the channel.
    Test,
}

impl Reason {
    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// One message to one channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Tells it from others; the same when the same is sent again.
    pub id: String,
    /// Why it is sent.
    pub reason: Reason,
    /// What it tells, the most urgent first; never empty.
    pub notices: Vec<Notice>,
    /// Further notices that are only counted.
    pub more: u64,
    /// Name of the machine that saw it.
    pub sensor: String,
    /// When it is sent.
    pub at: Timestamp,
    /// The time zone of the times in it.
    pub zone: TimeZone,
}

impl Message {
    /// A message that tests a channel.
    pub fn test(sensor: &str, at: Timestamp, zone: TimeZone) -> Self {
        Self {
            id: format!("test-{}", at.micros()),
            reason: Reason::Test,
            notices: vec![Notice::test(at)],
            more: 0,
            sensor: sensor.to_owned(),
            at,
            zone,
        }
    }

    /// How urgent the most urgent is.
    pub fn severity(&self) -> Severity {
        self.notices.iter().map(|notice| notice.severity).max().unwrap_or_default()
    }

    /// How many notices it tells of.
    pub fn total(&self) -> u64 {
        self.notices.len() as u64 + self.more
    }

    /// The one notice, where there is one only.
    pub fn single(&self) -> Option<&Notice> {
        match &self.notices[..] {
            [notice] if self.more == 0 => Some(notice),
            _ => None,
        }
    }

    /// One line, such as `[high] 192.0.2.7 scans ports of 10.0.0.5`.
    pub fn subject(&self) -> String {
        match (self.single(), self.notices.first()) {
            (Some(notice), _) if self.reason == Reason::Test => notice.title.clone(),
            (Some(notice), _) => format!("[{}] {}", notice.severity.name(), notice.title),
            (None, Some(worst)) => {
                format!("[{}] {} alerts: {}", self.severity().name(), self.total(), worst.title)
            }
            (None, None) => String::new(),
        }
    }

    /// The line that counts what is not shown, such as `and 37 more`.
    pub fn rest(&self) -> Option<String> {
        (self.more > 0).then(|| format!("and {} more", self.more))
    }

    /// Where and when it was seen.
    pub fn footer(&self) -> String {
        format!("FlowTrack on {}, {}", self.sensor, self.time(self.at.micros()))
    }

    /// The whole as plain text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(notice) = self.single() {
            let _ = writeln!(text, "{}", self.subject());
            if !notice.explanation.is_empty() {
                let _ = writeln!(text, "\n{}", notice.explanation);
            }
            text.push('\n');
            for (name, value) in self.facts(notice) {
                let _ = writeln!(text, "{name}: {value}");
            }
        } else {
            let _ = writeln!(text, "{} alerts\n", self.total());
            for notice in &self.notices {
                let _ = writeln!(text, "{}", self.line(notice));
            }
            if let Some(rest) = self.rest() {
                let _ = writeln!(text, "{rest}");
            }
        }
        let _ = write!(text, "\n{}", self.footer());
        text
    }

    /// One notice in one line.
    pub fn line(&self, notice: &Notice) -> String {
        let count = if notice.count > 1 { format!(" ({}x)", notice.count) } else { String::new() };
        format!(
            "{} [{}] {}{count}",
            self.time(notice.last_seen_us),
            notice.severity.name(),
            notice.title
        )
    }

    /// What is known of a notice, as names and values.
    pub fn facts(&self, notice: &Notice) -> Vec<(String, String)> {
        let mut facts: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: String| {
            if !value.is_empty() {
                facts.push((name.to_owned(), value));
            }
        };
        add("who", notice.ends());
        let single = notice.first_seen_us == notice.last_seen_us;
        let first = if single { String::new() } else { self.time(notice.first_seen_us) };
        add("since", first);
        add(if single { "when" } else { "until" }, self.time(notice.last_seen_us));
        add("count", if notice.count > 1 { notice.count.to_string() } else { String::new() });
        add("category", notice.category.clone());
        add("detector", notice.detector.clone());
        if let Some((id, name)) = &notice.technique {
            add("technique", format!("{id} {name}").trim_end().to_owned());
        }
        for (name, value) in &notice.evidence {
            add(&name.replace('_', " "), value.clone());
        }
        facts
    }

    /// The whole in few words, at most `max` characters.
    pub fn brief(&self, max: usize) -> String {
        let more = self.rest().map(|rest| format!(" ({rest})")).unwrap_or_default();
        let tail = format!("{more} -- {}", self.sensor);
        let room = max.saturating_sub(tail.chars().count());
        match self.single() {
            Some(_) => cut(&self.subject(), room) + &tail,
            None => {
                let lines: Vec<String> = self
                    .notices
                    .iter()
                    .map(|notice| format!("[{}] {}", notice.severity.name(), notice.title))
                    .collect();
                cut(&lines.join("; "), room) + &tail
            }
        }
    }

    /// A time of day for people, with its offset.
    pub fn time(&self, micros: i64) -> String {
        let Ok(time) = jiff::Timestamp::from_microsecond(micros) else { return String::new() };
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message of so many notices, for tests of channels.
    pub(crate) fn sample(notices: usize, more: u64) -> Message {
        let at = Timestamp::from_secs(1_795_000_000);
        let notice = |n: usize| Notice {
            key: format!("port_scan|{n}"),
            severity: Severity::High,
            title: format!("192.0.2.7 scans ports of 10.0.0.{n} <b>&"),
            explanation: "It looks for services. Block it if it is not yours.".into(),
            category: "reconnaissance".into(),
            detector: "port_scan".into(),
            source: Some("192.0.2.7".parse().unwrap()),
            target: Some(format!("10.0.0.{n}").parse().unwrap()),
            target_port: Some(22),
            technique: Some(("T1046".into(), "Network Service Discovery".into())),
            first_seen_us: at.micros() - 5_000_000,
            last_seen_us: at.micros(),
            count: 320,
            evidence: vec![("ports".into(), "22, 80, 443".into())],
        };
        Message {
            id: "17-3".into(),
            reason: Reason::Alert,
            notices: (1..=notices).map(notice).collect(),
            more,
            sensor: "gate".into(),
            at,
            zone: TimeZone::UTC,
        }
    }

    #[test]
    fn one_notice_is_told_in_full() {
        let text = sample(1, 0).text();
        let want = "[high] 192.0.2.7 scans ports of 10.0.0.1 <b>&\n\n\
                    It looks for services. Block it if it is not yours.\n\n\
                    who: 192.0.2.7 → 10.0.0.1 port 22\n\
                    since: 2026-11-18 11:06:35 +00:00\n\
                    until: 2026-11-18 11:06:40 +00:00\n\
                    count: 320\n\
                    category: reconnaissance\n\
                    detector: port_scan\n\
                    technique: T1046 Network Service Discovery\n\
                    ports: 22, 80, 443\n\n\
                    FlowTrack on gate, 2026-11-18 11:06:40 +00:00";
        assert_eq!(text, want);
    }

    #[test]
    fn many_are_told_in_lines_and_the_rest_is_counted() {
        let message = sample(2, 37);
        let text = message.text();
        assert!(text.starts_with("39 alerts\n\n"), "{text}");
        assert!(text.contains("[high] 192.0.2.7 scans ports of 10.0.0.2 <b>& (320x)\nand 37 more"));
        assert!(message.subject().starts_with("[high] 39 alerts: 192.0.2.7"));
        assert!(message.brief(100).chars().count() <= 100);
        assert!(message.brief(100).ends_with("(and 37 more) -- gate"), "{}", message.brief(100));
    }
}
