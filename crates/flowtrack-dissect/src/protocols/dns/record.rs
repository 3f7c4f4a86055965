//! What is logged of a DNS message.

use super::message::{Data, Message, Question, Record, TC, kind_text, rcode_name};
use super::present::present;
use crate::{Field, Keyword, hex};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::time::Duration;

/// The fields of a DNS record.
pub const FIELDS: &[Field] = &[
    Field::eve("version", "integer", "version of this record's form, 3"),
    Field::eve("type", "string", "`request` or `response`"),
    Field::eve("tx_id", "integer", "place of the message in its flow, from 0"),
    Field::eve("id", "integer", "identifier that ties an answer to its question"),
    Field::eve("flags", "string", "header flags as hexadecimal digits"),
    Field::eve("qr", "boolean", "it is an answer"),
    Field::eve("aa", "boolean", "the server is an authority for the name"),
    Field::eve("tc", "boolean", "cut to fit a datagram"),
    Field::eve("rd", "boolean", "recursion is desired"),
    Field::eve("ra", "boolean", "recursion is available"),
    Field::eve("z", "boolean", "the reserved bit is set"),
    Field::eve("opcode", "integer", "kind of query"),
    Field::eve("rcode", "string", "outcome, such as `NXDOMAIN`"),
    Field::eve("queries[].rrname", "string", "name asked for"),
    Field::eve("queries[].rrtype", "string", "type asked for"),
    Field::eve("answers[]", "array", "records of the answer: rrname, rrtype, ttl, rdata"),
    Field::eve("authorities[]", "array", "name servers that would know"),
    Field::eve("additionals[]", "array", "further records, EDNS options included"),
    Field::eve("grouped", "object", "what the answer says, by record type"),
    Field::added("rtt_us", "integer", "microseconds from question to answer"),
];

/// What rules may ask for.
pub const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("dns.query", "name asked for").to_server().multi(),
    Keyword::buffer("dns.queries.rrname", "names of the questions").multi(),
    Keyword::buffer("dns.answers.rrname", "names of the answers").multi(),
    Keyword::buffer("dns.authorities.rrname", "names of the authority section").multi(),
    Keyword::buffer("dns.additionals.rrname", "names of the additional section").multi(),
    Keyword::buffer("dns.response.rrname", "every name in a response").to_client().multi(),
    Keyword::number("dns.opcode", "kind of query"),
    Keyword::number("dns.rcode", "outcome"),
    Keyword::number("dns.rrtype", "types asked for, or answered").multi(),
];

/// A message and when it was asked for.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The message.
    pub message: Message,
    /// Which way it went.
    pub direction: Direction,
    /// Place in its flow, from 0.
    pub tx_id: u64,
    /// From question to answer.
    pub rtt: Option<Duration>,
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        super::NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match name.strip_prefix("dns.") {
            // A request's names alone, as the rules that use it expect.
            Some("query") if self.message.is_response() => {}
            Some("query") => visit_names(&self.message, "queries.rrname", visit),
            Some(rest) => visit_names(&self.message, rest, visit),
            None => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let m = &self.message;
        match name {
            _ if direction != self.direction => {}
            "dns.opcode" => visit(m.opcode().into()),
            "dns.rcode" => visit(m.rcode().into()),
            // What was asked in a request, what was answered in a response.
            "dns.rrtype" if m.is_response() => m.answers.iter().for_each(|r| visit(r.kind.into())),
            "dns.rrtype" => m.questions.iter().for_each(|q| visit(q.kind.into())),
            _ => {}
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        // The name that was asked for is what a person knows, not the last alias.
        let asked = self.message.questions.first().map(|q| &q.name.text);
        for record in &self.message.answers {
            if let Data::Address(ip) = record.data
                && let Ok(name) = std::str::from_utf8(asked.unwrap_or(&record.name.text))
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

/// Visits the names that `.rrname` buffers show; `name` comes without its protocol.
pub fn visit_names(m: &Message, name: &str, visit: &mut dyn FnMut(&[u8])) {
    let mut owners = |records: &[Record]| records.iter().for_each(|r| visit(&r.name.text));
    match name {
        "queries.rrname" => m.questions.iter().for_each(|q| visit(&q.name.text)),
        "answers.rrname" => owners(&m.answers),
        "authorities.rrname" => owners(&m.authorities),
        "additionals.rrname" => owners(&m.additionals),
        "response.rrname" if m.is_response() => {
            m.questions.iter().for_each(|q| visit(&q.name.text));
            for r in m.answers.iter().chain(&m.authorities).chain(&m.additionals) {
                visit(&r.name.text);
                match &r.data {
                    Data::Name(name) => visit(&name.text),
                    Data::Soa(soa) => visit(&soa.mname.text),
                    Data::Srv { target, .. } => visit(&target.text),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// What was asked and answered, for a person.
pub fn summary(m: &Message) -> String {
    let asked = m.questions.first();
    let mut text = match (asked, m.answers.first()) {
        (Some(q), _) => format!("{} {}", kind_text(q.kind), WireText(&q.name.text)),
        (None, Some(r)) => format!("{} {}", kind_text(r.kind), WireText(&r.name.text)),
        (None, None) => String::new(),
    };
    if m.is_response() {
        let rcode = m.rcode();
        // What was asked for rather than the alias that leads there.
        let fits = |r: &&Record| asked.is_none_or(|q| q.kind == r.kind);
        let answer = m.answers.iter().find(fits).or(m.answers.last());
        match answer.and_then(told) {
            Some(answer) if rcode == 0 => text += &format!(" -> {answer}"),
            _ => text += &format!(" -> {}", rcode_text(rcode)),
        }
    }
    text
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let m = &self.message;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &3)?;
        map.serialize_entry("type", if m.is_response() { "response" } else { "request" })?;
        map.serialize_entry("tx_id", &self.tx_id)?;
        map.serialize_entry("id", &m.id)?;
        map.serialize_entry("flags", &format_args!("{:x}", m.flags))?;
        let bits =
            [("qr", 0x8000), ("aa", 0x0400), ("tc", TC), ("rd", 0x0100), ("ra", 0x80), ("z", 0x40)];
        for (name, bit) in bits {
            if m.flags & bit != 0 {
                map.serialize_entry(name, &true)?;
            }
        }
        map.serialize_entry("opcode", &m.opcode())?;
        map.serialize_entry("rcode", &rcode_text(m.rcode()))?;
        if let Some(rtt) = self.rtt {
            map.serialize_entry("rtt_us", &u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX))?;
        }
        if !m.questions.is_empty() {
            map.serialize_entry("queries", &Questions(m))?;
        }
        for (name, section, records) in [
            ("answers", Section::Answers, &m.answers),
            ("authorities", Section::Authorities, &m.authorities),
            ("additionals", Section::Additionals, &m.additionals),
        ] {
            if !records.is_empty() {
                map.serialize_entry(name, &Records(section, records))?;
            }
        }
        if !m.answers.is_empty() {
            let grouped = Grouped(&m.answers);
            if GROUPS.iter().any(|&(kind, _)| grouped.of(kind).next().is_some()) {
                map.serialize_entry("grouped", &grouped)?;
            }
        }
        map.end()
    }
}

struct Questions<'a>(&'a Message);

impl Serialize for Questions<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.questions.iter().map(Asked))
    }
}

struct Asked<'a>(&'a Question);

impl Serialize for Asked<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rrname", &WireText(&self.0.name.text))?;
        if self.0.name.cut {
            map.serialize_entry("rrname_truncated", &true)?;
        }
        map.serialize_entry("rrtype", &kind_text(self.0.kind))?;
        map.end()
    }
}

/// Where a record stands, which decides what EVE tells of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answers,
    Authorities,
    Additionals,
}

struct Records<'a>(Section, &'a [Record]);

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.1.iter().map(|record| Row(self.0, record)))
    }
}

struct Row<'a>(Section, &'a Record);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let &Self(section, record) = self;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("rrname", &WireText(&record.name.text))?;
        if record.name.cut && section == Section::Authorities {
            map.serialize_entry("rrname_truncated", &true)?;
        }
        map.serialize_entry("rrtype", &kind_text(record.kind))?;
        map.serialize_entry("ttl", &record.ttl)?;
        match &record.data {
            Data::Opt(options) => {
                if !options.is_empty() && section == Section::Additionals {
                    map.serialize_entry("opt", &Options(options))?;
                }
            }
            data => {
                if let Some(text) = told(record) {
                    map.serialize_entry("rdata", &text)?;
                } else if let Some((name, value)) = structured(data)
                    && (section == Section::Answers
                        || section == Section::Authorities && name == "soa")
                {
                    map.serialize_entry(name, &value)?;
                }
            }
        }
        map.end()
    }
}

/// EDNS options.
pub struct Options<'a>(pub &'a [(u16, Vec<u8>)]);

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry {
            code: u16,
            data: String,
        }
        s.collect_seq(self.0.iter().map(|(code, data)| Entry { code: *code, data: hex(data) }))
    }
}

/// Record types that answers are grouped by.
const GROUPS: [(u16, &str); 11] = [
    (1, "A"),
    (2, "NS"),
    (28, "AAAA"),
    (5, "CNAME"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (10, "NULL"),
    (6, "SOA"),
    (33, "SRV"),
    (44, "SSHFP"),
];

struct Grouped<'a>(&'a [Record]);

impl<'a> Grouped<'a> {
    fn of(&self, kind: u16) -> impl Iterator<Item = &'a Record> + use<'a> {
        self.0.iter().filter(move |r| {
            r.kind == kind && (plain(&r.data).is_some() || structured(&r.data).is_some())
        })
    }
}

impl Serialize for Grouped<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct List<'a>(Vec<&'a Record>);
        impl Serialize for List<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut list = s.serialize_seq(None)?;
                for record in &self.0 {
                    if let Data::Text(strings) = &record.data {
                        for text in strings {
                            list.serialize_element(&WireText(text))?;
                        }
                    } else if let Some(text) = plain(&record.data) {
                        list.serialize_element(&text)?;
                    } else if let Some((_, value)) = structured(&record.data) {
                        list.serialize_element(&value)?;
                    }
                }
                list.end()
            }
        }
        let mut map = s.serialize_map(None)?;
        for (kind, name) in GROUPS {
            let records: Vec<&Record> = self.of(kind).collect();
            if !records.is_empty() {
                map.serialize_entry(name, &List(records))?;
            }
        }
        map.end()
    }
}

/// A record's data as one text, where it has such a form.
pub fn plain(data: &Data) -> Option<String> {
    match data {
        Data::Address(ip) => Some(ip.to_string()),
        Data::Name(name) => Some(WireText(&name.text).to_string()),
        Data::Text(strings) => strings.first().map(|text| WireText(text).to_string()),
        Data::Null(bytes) => Some(WireText(bytes).to_string()),
        _ => None,
    }
}

/// A record's data as one text, also where only its type gives it a form.
fn told(record: &Record) -> Option<String> {
    match &record.data {
        Data::Other(bytes) => present(record.kind, bytes),
        data => plain(data),
    }
}

/// A record's data as an object, with the key it stands under.
pub fn structured(data: &Data) -> Option<(&'static str, Structured<'_>)> {
    let name = match data {
        Data::Soa(_) => "soa",
        Data::Srv { .. } => "srv",
        Data::Sshfp { .. } => "sshfp",
        _ => return None,
    };
    Some((name, Structured(data)))
}

/// A record's data as an object.
pub struct Structured<'a>(&'a Data);

impl Serialize for Structured<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self.0 {
            Data::Soa(soa) => {
                map.serialize_entry("mname", &WireText(&soa.mname.text))?;
                map.serialize_entry("rname", &WireText(&soa.rname.text))?;
                let names = ["serial", "refresh", "retry", "expire", "minimum"];
                for (name, number) in names.into_iter().zip(soa.numbers) {
                    map.serialize_entry(name, &number)?;
                }
            }
            Data::Srv { priority, weight, port, target } => {
                map.serialize_entry("priority", priority)?;
                map.serialize_entry("weight", weight)?;
                map.serialize_entry("port", port)?;
                map.serialize_entry("name", &WireText(&target.text))?;
            }
            Data::Sshfp { algorithm, kind, fingerprint } => {
                map.serialize_entry("fingerprint", &colons(fingerprint))?;
                map.serialize_entry("algo", algorithm)?;
                map.serialize_entry("type", kind)?;
            }
            _ => {}
        }
        map.end()
    }
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|b| hex(&[*b])).collect::<Vec<_>>().join(":")
}

fn rcode_text(rcode: u16) -> String {
    rcode_name(rcode).map_or_else(|| format!("RCODE{rcode}"), str::to_owned)
}
