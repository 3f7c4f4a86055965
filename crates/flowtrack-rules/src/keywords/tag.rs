//! `tag`, which asks for something to be done behind an alert; what expressions captured; and what
//! is not done here.

use super::content::parse_bytes;
use crate::builder::{Builder, Complaint, Keyword, Memory, Usage, Value};
use crate::context::Context;
use crate::signature::Test;
use crate::state::{CapturedFor, TagRequest, TagUnit, Tagged};

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
        doc: "what an expression of a rule captured of the flow (`flowvar`) or of the packet in hand (`pktvar`) has this in it",
        example: r#"alert tcp any any -> any any (content:"b"; flowvar:user,"root"; sid:1;)"#,
        parse: variable,
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

/// What was captured has these bytes in it.
#[derive(Debug)]
struct Holds {
    whom: CapturedFor,
    name: Box<str>,
    bytes: Box<[u8]>,
}

impl Test for Holds {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let text = cx.flow.as_ref().and_then(|flow| flow.vars.text(self.whom, &self.name));
        text.is_some_and(|text| memchr::memmem::find(text, &self.bytes).is_some())
    }

    fn cost(&self) -> u8 {
        3
    }
}

fn variable(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a name and bytes, such as user,\"root\"")?;
    let expected = || Complaint::new("expected a name and bytes, such as user,\"root\"");
    let (name, bytes) = text.split_once(',').ok_or_else(expected)?;
    let (name, bytes) = (name.trim(), bytes.trim());
    let bytes = bytes.strip_prefix('"').unwrap_or(bytes);
    let bytes = bytes.strip_suffix('"').unwrap_or(bytes);
    let bytes = parse_bytes(bytes).map_err(|(_, message)| Complaint::new(message))?;
    if name.is_empty() || bytes.is_empty() {
        return Err(expected());
    }
    let (whom, memory) = match value.keyword {
        "pktvar" => (CapturedFor::Packet, Memory::PktVar),
        _ => (CapturedFor::Flow, Memory::FlowVar),
    };
    builder.usage(memory, Usage::Read);
    builder.packet_test(Holds { whom, name: name.into(), bytes: bytes.into() });
    Ok(())
}
