//! `tag`, which asks for something to be done behind an alert, and what is not done here.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::state::{TagRequest, TagUnit, Tagged};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "tag",
        aliases: &[],
        doc: "records the packets that follow an alert: those of the `session` or of a `host`, a number of `packets` (256 at most, and by default), `bytes` or `seconds`, and for a host whether `src` or `dst` (by default) of the packet is meant",
        example: r#"alert tcp any any -> any any (content:"a"; tag:session,10,packets; sid:1;)"#,
        parse: tag,
    },
    Keyword {
        name: "lua",
        aliases: &["luajit", "luaxform"],
        doc: "runs a script of Lua; such rules are left out, as `luaxform` is",
        example: "alert tcp any any -> any any (lua:script.lua; sid:1;)",
        parse: |_, _| Err(Complaint::skip("needs Lua", "scripts of Lua are not run")),
    },
    Keyword {
        name: "flowvar",
        aliases: &["pktvar"],
        doc: "compares what an expression of another rule captured; such rules are left out",
        example: r#"alert tcp any any -> any any (flowvar:user,"root"; sid:1;)"#,
        parse: |_, _| {
            Err(Complaint::skip(
                "needs captured values",
                "what expressions capture is not kept for other rules",
            ))
        },
    },
];

fn tag(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("session or host, such as session,10,packets")?;
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let (kind, amount, end) = match *fields.as_slice() {
        [kind] => (kind, None, None),
        [kind, count, unit] => (kind, Some((count, unit)), None),
        [kind, count, unit, end] => (kind, Some((count, unit)), Some(end)),
        _ => {
            return Err(Complaint::new(
                "expected session or host, then a number and packets, bytes or seconds, then for a \
                 host src or dst",
            ));
        }
    };
    let kind = kind.to_ascii_lowercase();
    let of = match (kind.as_str(), end) {
        ("session", None) => Tagged::Session,
        ("session", Some("src" | "dst")) => {
            builder.warn("a session has both ends: src or dst changes nothing");
            Tagged::Session
        }
        ("host", None | Some("dst")) => Tagged::Destination,
        ("host", Some("src")) => Tagged::Source,
        ("session" | "host", Some(other)) => {
            return Err(Complaint::new(format!("\"{other}\" is neither src nor dst")));
        }
        (other, _) => {
            return Err(Complaint::new(format!(
                "unknown kind \"{other}\"; expected session or host"
            )));
        }
    };
    let (limit, unit) = match amount {
        None => (TagRequest::MAX_PACKETS, TagUnit::Packets),
        Some((count, unit)) => {
            let unit_is = match unit {
                "packets" => TagUnit::Packets,
                "bytes" => TagUnit::Bytes,
                "seconds" => TagUnit::Seconds,
                other => {
                    return Err(Complaint::new(format!(
                        "\"{other}\" is not known here; expected packets, bytes or seconds"
                    )));
                }
            };
            let limit: u32 = count
                .parse()
                .map_err(|_| Complaint::new(format!("\"{count}\" is no number of {unit}")))?;
            (limit, unit_is)
        }
    };
    let limit = match unit {
        TagUnit::Packets => limit.min(TagRequest::MAX_PACKETS),
        TagUnit::Bytes | TagUnit::Seconds => limit,
    };
    builder.requirements.tags = true;
    builder.requirements.host_tags |= of != Tagged::Session;
    builder.tags.push(TagRequest { of, limit, unit });
    Ok(())
}
