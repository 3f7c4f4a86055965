//! `tag`, which asks for something to be done behind an alert, and what is not done here.

use crate::builder::{Builder, Complaint, Keyword, Value};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "tag",
        aliases: &[],
        doc: "asks for the packets that follow: `session` or `host`, a number, its unit",
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

fn tag(_: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.text.unwrap_or("session");
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let (kind, rest) =
        fields.split_first().ok_or_else(|| Complaint::new("expected session or host"))?;
    if !matches!(*kind, "session" | "host") {
        return Err(Complaint::new(format!("unknown kind \"{kind}\"; expected session or host")));
    }
    for pair in rest.chunks(2) {
        match pair {
            [number, unit @ ("seconds" | "packets" | "bytes")] => {
                number
                    .parse::<u32>()
                    .map_err(|_| Complaint::new(format!("\"{number}\" is no number of {unit}")))?;
            }
            ["src" | "dst"] => {}
            [end @ ("src" | "dst"), _] => {
                return Err(Complaint::new(format!("{end} comes last")));
            }
            other => {
                return Err(Complaint::new(format!(
                    "\"{}\" is not known here; expected a number and seconds, packets or bytes",
                    other.join(",")
                )));
            }
        }
    }
    Ok(())
}
