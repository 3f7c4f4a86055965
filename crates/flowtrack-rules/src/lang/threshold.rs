//! `threshold.config`: how often signatures may speak, and of whom they stay silent.
//!
//! One entry a line, `\` joins lines: `threshold`, `event_filter` (another name of it),
//! `rate_filter` and `suppress`, then `name value` pairs with commas between them.

use super::ast::{Action, Problem, Span};
use super::{Addresses, Variables, did_you_mean, logical_lines};
use crate::Complaint;

/// The entries of a `threshold.config`.
#[derive(Clone, Default, Debug)]
pub struct ThresholdConfig {
    /// In the order of the file.
    pub entries: Vec<ThresholdEntry>,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct ThresholdEntry {
    /// Where it stands.
    pub at: Span,
    /// Generator it is about; 0 for every one.
    pub gid: u32,
    /// Signature it is about; 0 for every one.
    pub sid: u32,
    /// What it says.
    pub rule: ThresholdRule,
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ThresholdRule {
    /// How often a signature alerts.
    Threshold(Threshold),
    /// What becomes of a signature that matches too often.
    RateFilter {
        /// What is counted apart.
        track: Track,
        /// Matches that are too often.
        count: u32,
        /// Within how many seconds.
        seconds: u32,
        /// What is done then.
        new_action: Action,
        /// For how many seconds.
        timeout: u32,
    },
    /// A signature is silent, for these addresses or for all.
    Suppress(Option<(Track, Addresses)>),
}

/// How often a signature alerts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Threshold {
    /// How matches become alerts.
    pub kind: ThresholdKind,
    /// What is counted apart.
    pub track: Track,
    /// How many matches.
    pub count: u32,
    /// Within how many seconds.
    pub seconds: u32,
}

impl Threshold {
    /// Reads `type limit, track by_src, count 1, seconds 60`: what stands behind `threshold:` in a
    /// rule too.
    pub fn parse(text: &str) -> Result<Self, Complaint> {
        let fields = Fields::new(text, 0)?;
        fields.only(&["type", "track", "count", "seconds", "multiplier"])?;
        fields.threshold()
    }
}

/// How matches become alerts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ThresholdKind {
    /// The first `count` matches of each period.
    Limit,
    /// Every `count`th match of a period.
    Threshold,
    /// The `count`th match of each period, once.
    Both,
    /// Match number `count`, then that times the multiplier, and so on; without a period.
    Backoff {
        /// What the distance grows by.
        multiplier: u32,
    },
}

/// What is counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Track {
    /// Each source address.
    Source,
    /// Each destination address.
    Destination,
    /// Each pair of addresses.
    Both,
    /// Nothing: one count for all.
    Rule,
    /// Each flow.
    Flow,
    /// Source or destination; only what is suppressed is so.
    Either,
}

impl Track {
    /// What a word of the language means.
    pub fn by_name(word: &str) -> Option<Self> {
        TRACKS.iter().find(|(known, _)| *known == word).map(|(_, track)| *track)
    }
}

const TRACKS: &[(&str, Track)] = &[
    ("by_src", Track::Source),
    ("by_dst", Track::Destination),
    ("by_both", Track::Both),
    ("by_rule", Track::Rule),
    ("by_flow", Track::Flow),
    ("by_either", Track::Either),
];

impl ThresholdConfig {
    /// Reads a file: its entries, and what of it is none.
    pub fn parse(file: &str, text: &str, variables: &Variables) -> (Self, Vec<Problem>) {
        let mut config = Self::default();
        let mut problems = Vec::new();
        for line in logical_lines(text) {
            match entry(&line.text, variables) {
                Ok((gid, sid, rule)) => {
                    config.entries.push(ThresholdEntry { at: line.span(0), gid, sid, rule });
                }
                Err(complaint) => problems.push(Problem {
                    file: file.into(),
                    at: line.span(complaint.offset as usize),
                    sid: None,
                    keyword: None,
                    message: complaint.message,
                    fatal: true,
                }),
            }
        }
        (config, problems)
    }
}

/// Identifiers and rule of one line.
fn entry(text: &str, variables: &Variables) -> Result<(u32, u32, ThresholdRule), Complaint> {
    let (word, offset, rest) = split_word(text);
    let fields = Fields::new(rest, offset)?;
    let gid = fields.number("gen_id")?;
    let sid = fields.number("sig_id")?;
    let rule = match word {
        "threshold" | "event_filter" => {
            fields.only(&[
                "gen_id",
                "sig_id",
                "type",
                "track",
                "count",
                "seconds",
                "multiplier",
            ])?;
            ThresholdRule::Threshold(fields.threshold()?)
        }
        "rate_filter" => {
            fields.only(&[
                "gen_id",
                "sig_id",
                "track",
                "count",
                "seconds",
                "new_action",
                "timeout",
            ])?;
            let action = fields.needed("new_action")?;
            ThresholdRule::RateFilter {
                track: fields.track(&["by_src", "by_dst", "by_both", "by_rule", "by_flow"])?,
                count: fields.number("count")?,
                seconds: fields.number("seconds")?,
                new_action: Action::by_name(action.value).ok_or_else(|| {
                    action.complaint("expected alert, drop, pass or reject as new_action")
                })?,
                timeout: fields.number("timeout")?,
            }
        }
        "suppress" => {
            fields.only(&["gen_id", "sig_id", "track", "ip"])?;
            match (fields.find("track"), fields.find("ip")) {
                (None, None) => ThresholdRule::Suppress(None),
                (Some(_), Some(ip)) => {
                    let track = fields.track(&["by_src", "by_dst", "by_either"])?;
                    let addresses = variables.addresses(ip.value).map_err(|c| Complaint {
                        offset: c
                            .offset
                            .saturating_add(u32::try_from(ip.at_value).unwrap_or(u32::MAX)),
                        ..c
                    })?;
                    ThresholdRule::Suppress(Some((track, addresses)))
                }
                (Some(track), None) => return Err(track.complaint("track needs an ip behind it")),
                (None, Some(ip)) => return Err(ip.complaint("ip needs a track before it")),
            }
        }
        other => {
            let near =
                did_you_mean(other, ["threshold", "event_filter", "rate_filter", "suppress"]);
            return Err(Complaint::new(format!("unknown entry \"{other}\"{near}")));
        }
    };
    Ok((gid, sid, rule))
}

/// `name value` pairs with commas between them.
struct Fields<'a>(Vec<Field<'a>>);

/// One pair.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    value: &'a str,
    at: usize,
    at_value: usize,
}

impl Field<'_> {
    fn complaint(&self, message: impl Into<String>) -> Complaint {
        let at = u32::try_from(self.at).unwrap_or(u32::MAX);
        Complaint { offset: at, ..Complaint::new(message) }
    }
}

impl<'a> Fields<'a> {
    /// Reads pairs that begin `offset` bytes into the text that complaints are about. Commas in
    /// brackets belong to a list of addresses.
    fn new(text: &'a str, offset: usize) -> Result<Self, Complaint> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        let (mut start, mut depth) = (0, 0u32);
        let bytes = text.bytes().map(Some).chain([None]);
        for (at, byte) in bytes.enumerate() {
            match byte {
                Some(b'[') => depth += 1,
                Some(b']') => depth = depth.saturating_sub(1),
                Some(b',') | None if depth == 0 || byte.is_none() => {
                    let pair = text.get(start..at).unwrap_or_default();
                    let (name, behind, value) = split_word(pair);
                    let at_name = offset + start + pair.len() - pair.trim_start().len();
                    let blanks = value.len() - value.trim_start().len();
                    let at_value = offset + start + behind + blanks;
                    let field = Field { name, value: value.trim(), at: at_name, at_value };
                    if name.is_empty() {
                        return Err(field.complaint("expected a name and a value"));
                    }
                    if fields.iter().any(|known| known.name == name) {
                        return Err(field.complaint(format!("{name} stands there twice")));
                    }
                    fields.push(field);
                    start = at + 1;
                }
                _ => {}
            }
        }
        Ok(Self(fields))
    }

    fn find(&self, name: &str) -> Option<Field<'a>> {
        self.0.iter().copied().find(|field| field.name == name)
    }

    fn needed(&self, name: &str) -> Result<Field<'a>, Complaint> {
        self.find(name).ok_or_else(|| Complaint::new(format!("{name} is missing")))
    }

    fn number(&self, name: &str) -> Result<u32, Complaint> {
        let field = self.needed(name)?;
        field.value.parse().map_err(|_| field.complaint(format!("expected a number as {name}")))
    }

    fn track(&self, allowed: &[&str]) -> Result<Track, Complaint> {
        let field = self.needed("track")?;
        match Track::by_name(field.value) {
            Some(track) if allowed.contains(&field.value) => Ok(track),
            _ => {
                let near = did_you_mean(field.value, allowed.iter().copied());
                Err(field.complaint(format!("expected {} as track{near}", allowed.join(", "))))
            }
        }
    }

    /// Complains of names other than these.
    fn only(&self, names: &[&str]) -> Result<(), Complaint> {
        match self.0.iter().find(|field| !names.contains(&field.name)) {
            None => Ok(()),
            Some(field) => {
                let near = did_you_mean(field.name, names.iter().copied());
                Err(field.complaint(format!("unknown name \"{}\"{near}", field.name)))
            }
        }
    }

    /// How often a signature alerts: `type`, `track`, `count`, and `seconds` or `multiplier`.
    fn threshold(&self) -> Result<Threshold, Complaint> {
        let kind = self.needed("type")?;
        let track = self.track(&["by_src", "by_dst", "by_both", "by_rule", "by_flow"])?;
        let count = self.number("count")?;
        let (kind, seconds) = match kind.value {
            "limit" => (ThresholdKind::Limit, self.number("seconds")?),
            "threshold" => (ThresholdKind::Threshold, self.number("seconds")?),
            "both" => (ThresholdKind::Both, self.number("seconds")?),
            "backoff" if track == Track::Flow => {
                (ThresholdKind::Backoff { multiplier: self.number("multiplier")? }, 0)
            }
            "backoff" => return Err(kind.complaint("backoff counts by_flow")),
            _ => return Err(kind.complaint("expected limit, threshold, both or backoff as type")),
        };
        if count == 0 {
            return Err(self.needed("count")?.complaint("expected a count of 1 or more"));
        }
        Ok(Threshold { kind, track, count, seconds })
    }
}

/// First word, where what follows begins, and that.
fn split_word(text: &str) -> (&str, usize, &str) {
    let start = text.len() - text.trim_start().len();
    let trimmed = text.trim_start();
    let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
    let word = trimmed.get(..end).unwrap_or_default();
    (word, start + end, trimmed.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (ThresholdConfig, Vec<String>) {
        let (config, problems) = ThresholdConfig::parse("t", text, &Variables::default());
        (config, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_entries_of_the_field() {
        let (config, problems) = parse(
            "# comment\nthreshold gen_id 1, sig_id 7, type both, track by_flow, count 5, seconds 60\n\
             event_filter gen_id 0,sig_id 0,type limit,track by_src,count 1,seconds 60\n\
             rate_filter gen_id 1, sig_id 7, track by_rule, count 1, \\\n seconds 60, new_action drop, timeout 1000\n\
             suppress gen_id 1, sig_id 7\n\
             suppress gen_id 1, sig_id 7, track by_either, ip [10.0.0.0/8, !10.1.0.0/16]\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(config.entries.len(), 5);
        assert_eq!(
            config.entries[0].rule,
            ThresholdRule::Threshold(Threshold {
                kind: ThresholdKind::Both,
                track: Track::Flow,
                count: 5,
                seconds: 60
            })
        );
        assert!(matches!(
            config.entries[2].rule,
            ThresholdRule::RateFilter { new_action: Action::Drop, timeout: 1000, .. }
        ));
        assert_eq!(config.entries[3].rule, ThresholdRule::Suppress(None));
        let ThresholdRule::Suppress(Some((Track::Either, addresses))) = &config.entries[4].rule
        else {
            panic!("{:?}", config.entries[4])
        };
        assert!(addresses.contains("10.2.0.1".parse().unwrap()));
        assert!(!addresses.contains("10.1.0.1".parse().unwrap()));
    }

    #[test]
    fn mistakes_say_where() {
        let wrong = |text| parse(text).1.join("\n");
        assert_eq!(
            wrong("\nsupress gen_id 1, sig_id 2"),
            "t:2:1: unknown entry \"supress\"; did you mean \"suppress\"?"
        );
        assert_eq!(
            wrong("suppress gen_id 1, sig_id 2, track by_srk, ip 1.1.1.1"),
            "t:1:30: expected by_src, by_dst, by_either as track; did you mean \"by_src\"?"
        );
        assert_eq!(
            wrong("suppress gen_id 1, sig_id 2, track by_src, ip 1.1.1.1111"),
            "t:1:47: \"1.1.1.1111\" is no address: expected any, 192.0.2.1, 192.0.2.0/24, \
             192.0.2.1-192.0.2.9, the same for IPv6, a list in brackets or a $VARIABLE"
        );
        assert_eq!(wrong("suppress gen_id 1"), "t:1:1: sig_id is missing");
        assert_eq!(
            wrong("threshold gen_id 1, sig_id 1, type x, track by_src, count 1, seconds 1"),
            "t:1:31: expected limit, threshold, both or backoff as type"
        );
    }
}
