//! LLMNR (RFC 4795): names of the local link, which Windows asks for where DNS knows none.

use super::dns::message::{CNAME, Data, HEADER, Message, NS, PTR, Record, kind_text};
use super::dns::record::{Options, plain, structured, summary, visit_names};
use super::dns::{Exchanged, Framed, first_message};
use super::mdns::Asked;
use crate::{Dissector, Field, First, Keyword, Probe, Protocol, Transport, Wants};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::time::Duration;

const NAME: AppProto = AppProto("llmnr");

const FIELDS: &[Field] = &[
    Field::eve("type", "string", "`request` or `response`"),
    Field::eve("tx_id", "integer", "place of the message in its flow, from 0"),
    Field::eve("id", "integer", "identifier that ties an answer to its question"),
    Field::eve("flags[]", "array", "header flags that are set: c (conflict), tc, t (tentative)"),
    Field::eve("opcode", "integer", "kind of query"),
    Field::eve("queries[].rrname", "string", "name asked for"),
    Field::eve("queries[].rrname_truncated", "boolean", "the name was too long to be kept"),
    Field::eve("queries[].rrtype", "string", "type asked for"),
    Field::eve("answers[]", "array", "records of the answer: rrname, rrtype, ttl and their data"),
    Field::eve("authorities[]", "array", "records of the authority section"),
    Field::eve("additionals[]", "array", "further records"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("llmnr.queries.rrname", "names of the questions").multi(),
    Keyword::buffer("llmnr.answers.rrname", "names of the answers").multi(),
    Keyword::buffer("llmnr.authorities.rrname", "names of the authority section").multi(),
    Keyword::buffer("llmnr.additionals.rrname", "names of the additional section").multi(),
    Keyword::buffer("llmnr.response.rrname", "every name in a response").multi(),
];

/// Header bits and their names (RFC 4795 section 2.1.1).
const FLAGS: [(u16, &str); 3] = [(0x0400, "c"), (0x0200, "tc"), (0x0100, "t")];

/// LLMNR.
pub struct Llmnr;

impl Protocol for Llmnr {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[5355]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if !first.has_port(self.ports()) {
            return Probe::No;
        }
        match first_message(first) {
            Ok(message) => Probe::content(looks_like(message)),
            Err(probe) => probe,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Framed::<Exchange>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// Whether a message asks or answers one question; other operation codes are an anomaly, not
/// another protocol.
fn looks_like(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return false };
    // One question, and not more records than a message holds.
    matches!(header, [_, _, _, _, 0, 1, 0, _, 0, _, 0, _])
}

/// One message.
#[derive(Debug)]
struct Exchange {
    message: Message,
    direction: Direction,
    tx_id: u64,
}

impl Exchanged for Exchange {
    /// Section 2.1.1: it is the only code there is.
    const LAST_OPCODE: u16 = 0;
    const PORT: u16 = 5355;

    fn new(message: Message, direction: Direction, tx_id: u64, _rtt: Option<Duration>) -> Self {
        Self { message, direction, tx_id }
    }
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if let Some(rest) = name.strip_prefix("llmnr.") {
            visit_names(&self.message, rest, visit);
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        for record in &self.message.answers {
            if let Data::Address(ip) = record.data
                && let Ok(name) = std::str::from_utf8(&record.name.text)
                && !name.is_empty()
            {
                visit(ip, name);
            }
        }
    }

    fn summary(&self) -> String {
        summary(&self.message)
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let m = &self.message;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", if m.is_response() { "response" } else { "request" })?;
        map.serialize_entry("tx_id", &self.tx_id)?;
        map.serialize_entry("id", &m.id)?;
        let flags: Vec<&str> =
            FLAGS.iter().filter(|(bit, _)| m.flags & bit != 0).map(|&(_, name)| name).collect();
        map.serialize_entry("flags", &flags)?;
        map.serialize_entry("opcode", &m.opcode())?;
        if !m.questions.is_empty() {
            let rows: Vec<Asked<'_>> = m.questions.iter().map(Asked).collect();
            map.serialize_entry("queries", &rows)?;
        }
        for (name, records, structures) in [
            ("answers", &m.answers, &["soa", "srv", "sshfp"][..]),
            ("authorities", &m.authorities, &["soa"][..]),
            ("additionals", &m.additionals, &["opt"][..]),
        ] {
            if !records.is_empty() {
                let rows: Vec<Row<'_>> =
                    records.iter().map(|record| Row { record, structures }).collect();
                map.serialize_entry(name, &rows)?;
            }
        }
        map.end()
    }
}

struct Row<'a> {
    record: &'a Record,
    /// Which objects EVE knows in its section.
    structures: &'static [&'static str],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rrname", &WireText(&record.name.text))?;
        if record.name.cut {
            map.serialize_entry("rrname_truncated", &true)?;
        }
        map.serialize_entry("rrtype", &kind_text(record.kind).to_ascii_lowercase())?;
        map.serialize_entry("ttl", &record.ttl)?;
        match &record.data {
            Data::Address(ip) => {
                map.serialize_entry(if ip.is_ipv4() { "a" } else { "aaaa" }, ip)?;
            }
            Data::Name(name) => {
                let key = match record.kind {
                    NS => "ns",
                    CNAME => "cname",
                    PTR => "ptr",
                    _ => "mx",
                };
                map.serialize_entry(key, &WireText(&name.text))?;
            }
            Data::Text(strings) if !strings.is_empty() => {
                let strings: Vec<_> = strings.iter().map(|text| WireText(text)).collect();
                map.serialize_entry("txt", &strings)?;
            }
            data @ Data::Null(_) => map.serialize_entry("null", &plain(data))?,
            Data::Opt(options) if !options.is_empty() && self.structures.contains(&"opt") => {
                map.serialize_entry("opt", &Options(options))?;
            }
            Data::Other(bytes) => map.serialize_entry("unknown", &WireText(bytes))?,
            data => {
                if let Some((name, value)) = structured(data)
                    && self.structures.contains(&name)
                {
                    map.serialize_entry(name, &value)?;
                }
            }
        }
        map.end()
    }
}
