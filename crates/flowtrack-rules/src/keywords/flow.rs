//! Conditions on the flow: `flow`, `flow.age`, `flow.pkts`, `flow.bytes`, `stream_size`.

use super::number::Comparison;
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_event::Direction;

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "flow",
        aliases: &[],
        doc: "which way it goes, whether the connection is established, stream or packets only",
        example: r#"alert tcp any any -> any 80 (flow:established,to_server; content:"GET"; sid:1;)"#,
        parse: flow,
    },
    Keyword {
        name: "flow.age",
        aliases: &[],
        doc: "seconds since the flow began",
        example: "alert ip any any -> any any (flow.age:>3600; sid:1;)",
        parse: |b, v| number(b, v, Of::Age, None),
    },
    Keyword {
        name: "flow.pkts",
        aliases: &[],
        doc: "packets of the flow: `toserver`, `toclient`, `either` or `both`, then a number",
        example: "alert ip any any -> any any (flow.pkts:toclient,>100; sid:1;)",
        parse: |b, v| sided(b, v, Of::Packets),
    },
    Keyword {
        name: "flow.pkts_toserver",
        aliases: &[],
        doc: "packets of the flow to the server",
        example: "alert ip any any -> any any (flow.pkts_toserver:3; sid:1;)",
        parse: |b, v| number(b, v, Of::Packets, Some(Side::Server)),
    },
    Keyword {
        name: "flow.pkts_toclient",
        aliases: &[],
        doc: "packets of the flow to the client",
        example: "alert ip any any -> any any (flow.pkts_toclient:3; sid:1;)",
        parse: |b, v| number(b, v, Of::Packets, Some(Side::Client)),
    },
    Keyword {
        name: "flow.bytes",
        aliases: &[],
        doc: "bytes of the flow: `toserver`, `toclient`, `either` or `both`, then a number",
        example: "alert ip any any -> any any (flow.bytes:both,>1mb; sid:1;)",
        parse: |b, v| sided(b, v, Of::Bytes),
    },
    Keyword {
        name: "flow.bytes_toserver",
        aliases: &[],
        doc: "bytes of the flow to the server",
        example: "alert ip any any -> any any (flow.bytes_toserver:>1000; sid:1;)",
        parse: |b, v| number(b, v, Of::Bytes, Some(Side::Server)),
    },
    Keyword {
        name: "flow.bytes_toclient",
        aliases: &[],
        doc: "bytes of the flow to the client",
        example: "alert ip any any -> any any (flow.bytes_toclient:>1000; sid:1;)",
        parse: |b, v| number(b, v, Of::Bytes, Some(Side::Client)),
    },
    Keyword {
        name: "stream_size",
        aliases: &[],
        doc: "bytes of the stream so far: `server`, `client`, `both` or `either`, comparison, number",
        example: "alert tcp any any -> any any (stream_size:client,>,100; sid:1;)",
        parse: stream_size,
    },
];

/// Whether a packet or transaction belongs to a flow.
#[derive(Debug)]
struct OnFlow;

impl Test for OnFlow {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.flow.is_some()
    }

    fn cost(&self) -> u8 {
        0
    }
}

#[derive(Debug)]
struct Established(bool);

impl Test for Established {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.flow.as_ref().is_some_and(|flow| flow.established == self.0)
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Whether the bytes are of a stream.
#[derive(Debug)]
struct InStream;

impl Test for InStream {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.in_stream
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Whether the packet was put together from fragments.
#[derive(Debug)]
struct Reassembled(bool);

impl Test for Reassembled {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.is_none_or(|_| cx.frame.is_empty() == self.0)
    }

    fn cost(&self) -> u8 {
        0
    }
}

const OPTIONS: &[&str] = &[
    "to_server",
    "to_client",
    "from_server",
    "from_client",
    "established",
    "not_established",
    "stateless",
    "only_stream",
    "no_stream",
    "only_frag",
    "no_frag",
];

fn flow(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as established,to_server")?;
    for (offset, option) in fields(text) {
        match option.to_ascii_lowercase().as_str() {
            "to_server" | "from_client" => builder.direction(Direction::ToServer)?,
            "to_client" | "from_server" => builder.direction(Direction::ToClient)?,
            "established" => builder.test(Established(true)),
            "not_established" => builder.test(Established(false)),
            "stateless" => {}
            "only_stream" => {
                builder.needs(Needs::Stream);
                builder.test(InStream);
            }
            "no_stream" => builder.needs(Needs::Packet),
            "only_frag" => builder.test(Reassembled(true)),
            "no_frag" => builder.test(Reassembled(false)),
            _ => {
                let near = did_you_mean(option, OPTIONS.iter().copied());
                return Err(Complaint::at(offset, format!("unknown option \"{option}\"{near}")));
            }
        }
    }
    builder.flow_test(OnFlow);
    Ok(())
}

/// Fields between commas, with their offsets.
fn fields(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(',').map(move |field| {
        let offset = at + (field.len() - field.trim_start().len());
        at += field.len() + 1;
        (offset, field.trim())
    })
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Age,
    Packets,
    Bytes,
    Stream,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Server,
    Client,
    Either,
    Both,
}

#[derive(Debug)]
struct Number {
    of: Of,
    side: Side,
    must: Comparison,
}

impl Test for Number {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(flow) = &cx.flow else { return false };
        let [server, client] = match self.of {
            Of::Age => {
                let age = cx.ts.since(flow.context.start).as_secs();
                return self.must.holds(age);
            }
            Of::Packets => flow.packets,
            Of::Bytes => flow.bytes,
            // The SYN has a number of its own.
            Of::Stream => flow.stream_bytes.map(|bytes| bytes.saturating_add(1)),
        };
        let holds = |number| self.must.holds(number);
        match self.side {
            Side::Server => holds(server),
            Side::Client => holds(client),
            Side::Either => holds(server) || holds(client),
            Side::Both if matches!(self.of, Of::Stream) => holds(server) && holds(client),
            Side::Both => holds(server.saturating_add(client)),
        }
    }
}

fn number(
    builder: &mut Builder<'_>,
    value: &Value<'_>,
    of: Of,
    side: Option<Side>,
) -> Result<(), Complaint> {
    let must = Comparison::parse(value.needed("a number, such as >10")?, u64::MAX)?;
    builder.test(Number { of, side: side.unwrap_or(Side::Both), must });
    Ok(())
}

fn sided(builder: &mut Builder<'_>, value: &Value<'_>, of: Of) -> Result<(), Complaint> {
    let text = value.needed("such as toserver,>10")?;
    let (side, must) = text
        .split_once(',')
        .ok_or_else(|| Complaint::new("expected a direction, a comma and a number"))?;
    let side = match side.trim() {
        "toserver" => Side::Server,
        "toclient" => Side::Client,
        "either" => Side::Either,
        "both" => Side::Both,
        other => {
            return Err(Complaint::new(format!(
                "unknown direction \"{other}\"; expected toserver, toclient, either or both"
            )));
        }
    };
    builder.test(Number { of, side, must: Comparison::parse(must, u64::MAX)? });
    Ok(())
}

fn stream_size(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as client,>,100")?;
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [side, sign, number] = parts.as_slice() else {
        return Err(Complaint::new("expected a side, a comparison and a number: client,>,100"));
    };
    let side = match *side {
        // What a side sent goes to the other one.
        "client" => Side::Server,
        "server" => Side::Client,
        "either" => Side::Either,
        "both" => Side::Both,
        other => {
            return Err(Complaint::new(format!(
                "unknown side \"{other}\"; expected server, client, both or either"
            )));
        }
    };
    let must = Comparison::parse(&format!("{sign}{number}"), u64::from(u32::MAX))?;
    builder.test(Number { of: Of::Stream, side, must });
    Ok(())
}
