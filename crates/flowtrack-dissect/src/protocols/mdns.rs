//! Multicast DNS (RFC 6762): how devices on a network find each other and their services.

use super::dns::message::{Data, Message, Question, Record, kind_text};
use super::dns::record::{structured, summary, visit_names};
use super::dns::{Exchanged, Framed, looks_like};
use crate::{Dissector, Field, First, Keyword, Probe, Protocol, Transport, Wants};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::time::Duration;

const NAME: AppProto = AppProto("mdns");

const FIELDS: &[Field] = &[
    Field::eve("type", "string", "`request` or `response`"),
    Field::eve("id", "integer", "identifier, mostly 0"),
    Field::eve("flags[]", "array", "header flags that are set: aa, tc, rd, ra, z, ad, cd"),
    Field::eve("opcode", "integer", "kind of query"),
    Field::eve("rcode", "integer", "outcome of an answer"),
    Field::eve("queries[].rrname", "string", "name asked for"),
    Field::eve("queries[].rrname_truncated", "boolean", "the name was too long to be kept"),
    Field::eve("queries[].rrtype", "string", "type asked for"),
    Field::eve("answers[].rrname", "string", "whose record it is"),
    Field::eve("answers[].rrname_truncated", "boolean", "the name was too long to be kept"),
    Field::eve("answers[].ptr", "string", "name that a PTR record points to"),
    Field::eve("answers[].txt[]", "array", "strings of a TXT record"),
    Field::added("answers[].a", "string", "IPv4 address of the name"),
    Field::added("answers[].aaaa", "string", "IPv6 address of the name"),
    Field::added("answers[].srv", "object", "priority, weight, port and host of a service"),
    Field::eve("authorities[].rrname", "string", "name whose record is about to be claimed"),
    Field::eve("authorities[].rrname_truncated", "boolean", "the name was too long to be kept"),
    Field::eve("additionals[].rrname", "string", "whose record it is"),
    Field::eve("additionals[].rrname_truncated", "boolean", "the name was too long to be kept"),
    Field::eve("additionals[].ptr", "string", "name that a PTR record points to"),
    Field::eve("additionals[].txt[]", "array", "strings of a TXT record"),
    Field::added("additionals[].a", "string", "IPv4 address of the name"),
    Field::added("additionals[].aaaa", "string", "IPv6 address of the name"),
    Field::added("additionals[].srv", "object", "priority, weight, port and host of a service"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("mdns.queries.rrname", "names of the questions").multi(),
    Keyword::buffer("mdns.answers.rrname", "names of the answers").multi(),
    Keyword::buffer("mdns.authorities.rrname", "names of the authority section").multi(),
    Keyword::buffer("mdns.additionals.rrname", "names of the additional section").multi(),
    Keyword::buffer("mdns.response.rrname", "every name in a response").multi(),
];

/// Header bits and their names.
const FLAGS: [(u16, &str); 7] = [
    (0x0400, "aa"),
    (0x0200, "tc"),
    (0x0100, "rd"),
    (0x0080, "ra"),
    (0x0040, "z"),
    (0x0020, "ad"),
    (0x0010, "cd"),
];

/// Multicast DNS.
pub struct Mdns;

impl Protocol for Mdns {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[5353]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let is_mine = first.has_port(self.ports()) && !first.has_port(&[53]);
        Probe::content(is_mine && looks_like(first.bytes, true))
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Framed::<Announcement>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// One message.
#[derive(Debug)]
struct Announcement(Message, Direction);

impl Exchanged for Announcement {
    fn new(message: Message, way: Direction, _tx_id: u64, _rtt: Option<Duration>) -> Self {
        Self(message, way)
    }
}

impl Transaction for Announcement {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.1)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if let Some(rest) = name.strip_prefix("mdns.") {
            visit_names(&self.0, rest, visit);
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        for record in self.0.answers.iter().chain(&self.0.additionals) {
            if let Data::Address(ip) = record.data
                && let Ok(name) = std::str::from_utf8(&record.name.text)
                && !name.is_empty()
            {
                visit(ip, name);
            }
        }
    }

    fn summary(&self) -> String {
        summary(&self.0)
    }
}

impl Serialize for Announcement {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let m = &self.0;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", if m.is_response() { "response" } else { "request" })?;
        map.serialize_entry("id", &m.id)?;
        let flags: Vec<&str> =
            FLAGS.iter().filter(|(bit, _)| m.flags & bit != 0).map(|&(_, name)| name).collect();
        map.serialize_entry("flags", &flags)?;
        map.serialize_entry("opcode", &m.opcode())?;
        if m.is_response() {
            map.serialize_entry("rcode", &m.rcode())?;
        }
        if !m.questions.is_empty() {
            let rows: Vec<Asked<'_>> = m.questions.iter().map(Asked).collect();
            map.serialize_entry("queries", &rows)?;
        }
        for (name, told, records) in [
            ("answers", true, &m.answers),
            ("authorities", false, &m.authorities),
            ("additionals", true, &m.additionals),
        ] {
            if !records.is_empty() {
                let rows: Vec<Row<'_>> =
                    records.iter().map(|record| Row { record, told }).collect();
                map.serialize_entry(name, &rows)?;
            }
        }
        map.end()
    }
}

/// A question; its type is written in lower case.
pub struct Asked<'a>(pub &'a Question);

impl Serialize for Asked<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rrname", &WireText(&self.0.name.text))?;
        if self.0.name.cut {
            map.serialize_entry("rrname_truncated", &true)?;
        }
        map.serialize_entry("rrtype", &kind_text(self.0.kind).to_ascii_lowercase())?;
        map.end()
    }
}

struct Row<'a> {
    record: &'a Record,
    /// Whether more than its name is told.
    told: bool,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rrname", &WireText(&self.record.name.text))?;
        if self.record.name.cut {
            map.serialize_entry("rrname_truncated", &true)?;
        }
        match &self.record.data {
            _ if !self.told => {}
            Data::Name(name) if self.record.kind == super::dns::message::PTR => {
                map.serialize_entry("ptr", &WireText(&name.text))?;
            }
            Data::Text(strings) if !strings.is_empty() => {
                let strings: Vec<_> = strings.iter().map(|text| WireText(text)).collect();
                map.serialize_entry("txt", &strings)?;
            }
            Data::Address(ip) => {
                map.serialize_entry(if ip.is_ipv4() { "a" } else { "aaaa" }, ip)?;
            }
            data @ Data::Srv { .. } => {
                if let Some((name, value)) = structured(data) {
                    map.serialize_entry(name, &value)?;
                }
            }
            _ => {}
        }
        map.end()
    }
}
