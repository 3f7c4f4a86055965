//! `threshold` and `detection_filter`: how often a rule may speak.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::lang;
use crate::state::{Count, Distinct, Scope, Threshold};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "threshold",
        aliases: &[],
        doc: "tells only the first, every n-th or one of the matches in a period",
        example: r#"alert tcp any any -> any any (content:"a"; threshold:type limit, track by_src, count 1, seconds 60; sid:1;)"#,
        parse: threshold,
    },
    Keyword {
        name: "detection_filter",
        aliases: &[],
        doc: "tells matches only once there were so many in a period; of different ports with \
              `unique_on src_port` or `dst_port`",
        example: r#"alert tcp any any -> any any (content:"a"; detection_filter:track by_dst, count 15, seconds 2; sid:1;)"#,
        parse: detection_filter,
    },
];

impl Threshold {
    /// As it is counted.
    pub(crate) fn of(written: lang::Threshold) -> Result<Self, Complaint> {
        let scope = Scope::of(written.track)
            .ok_or_else(|| Complaint::new("by_either is for suppress alone"))?;
        let count = match written.kind {
            lang::ThresholdKind::Limit => Count::Limit,
            lang::ThresholdKind::Threshold => Count::Threshold,
            lang::ThresholdKind::Both => Count::Both,
            lang::ThresholdKind::Backoff { multiplier } => Count::Backoff { multiplier },
        };
        Ok(Self { count, scope, n: written.count, seconds: written.seconds, distinct: None })
    }
}

impl Scope {
    /// As it is written; `None` for what only `suppress` knows.
    pub(crate) const fn of(track: lang::Track) -> Option<Self> {
        Some(match track {
            lang::Track::Source => Self::Source,
            lang::Track::Destination => Self::Destination,
            lang::Track::Both => Self::Both,
            lang::Track::Rule => Self::Rule,
            lang::Track::Flow => Self::Flow,
            lang::Track::Either => return None,
        })
    }
}

fn threshold(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as type limit, track by_src, count 1, seconds 60")?;
    let threshold = Threshold::of(lang::Threshold::parse(text)?)?;
    if builder.limits.threshold.replace(threshold).is_some() {
        builder.warn("of several thresholds only the last counts");
    }
    Ok(())
}

fn detection_filter(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as track by_dst, count 15, seconds 2")?;
    let (mut scope, mut n, mut seconds, mut distinct) = (None, None, None, None);
    for field in text.split(',').map(str::trim) {
        let (name, word) = field.split_once(' ').unwrap_or((field, ""));
        let word = word.trim();
        let number =
            || word.parse::<u32>().map_err(|_| Complaint::new(format!("\"{word}\" is no number")));
        match name {
            "track" => {
                let track = lang::Track::by_name(word).and_then(Scope::of);
                scope = Some(track.ok_or_else(|| {
                    Complaint::new(format!(
                        "unknown track \"{word}\"; expected by_src, by_dst, by_both, by_rule or by_flow"
                    ))
                })?);
            }
            "unique_on" => {
                distinct = Some(match word {
                    "src_port" => Distinct::SourcePort,
                    "dst_port" => Distinct::DestinationPort,
                    _ => {
                        return Err(Complaint::new(format!(
                            "\"{word}\" is neither src_port nor dst_port"
                        )));
                    }
                });
            }
            "count" => n = Some(number()?),
            "seconds" => seconds = Some(number()?),
            other => {
                return Err(Complaint::new(format!(
                    "unknown field \"{other}\"; expected track, count, seconds or unique_on"
                )));
            }
        }
    }
    let (Some(scope), Some(n), Some(seconds)) = (scope, n, seconds) else {
        return Err(Complaint::new("expected track, count and seconds"));
    };
    builder.limits.filter = Some(Threshold { count: Count::Filter, scope, n, seconds, distinct });
    Ok(())
}
