//! SNMP v1, v2c (RFC 3416) and v3 (RFC 3412): who reads and sets what on which device.

use crate::ber::{self, Ber, INTEGER, OCTET_STRING, SEQUENCE};
use crate::{Datagram, Datagrams, Dissector, Field, First, Keyword, Moment, Probe, Protocol};
use crate::{Reader, Transport, Wants};
use flowtrack_event::{AppProto, Direction, Transaction, WireText, words};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

const NAME: AppProto = AppProto("snmp");
/// Variables kept of one message.
const VARS_CAP: usize = 256;
/// Numbers of one object identifier that are read (RFC 3416 section 4.1).
const OID_CAP: usize = 128;
/// Longest community or user name kept.
const TEXT_CAP: usize = 255;

const OID: u8 = 0x06;
const IP_ADDRESS: u8 = 0x40;
const TRAP_V1: u8 = 0xa4;
/// Message flag of version 3: what follows is encrypted.
const PRIVATE: u8 = 0x02;

const FIELDS: &[Field] = &[
    Field::eve("version", "integer", "1, 2 (for v2c) or 3"),
    Field::eve("community", "string", "community, which is the password of v1 and v2c"),
    Field::eve("usm", "string", "user of v3"),
    Field::eve("pdu_type", "string", "what is asked, such as `get_request`, or `encrypted`"),
    Field::eve("trap_type", "string", "generic kind of a v1 trap"),
    Field::eve("trap_oid", "string", "what sent a v1 trap"),
    Field::eve("trap_address", "string", "address of what sent a v1 trap"),
    Field::eve("vars[]", "array", "object identifiers asked for or told"),
    Field::added("error", "string", "error that a response tells"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::number("snmp.version", "1, 2 or 3"),
    Keyword::buffer("snmp.community", "community"),
    Keyword::buffer("snmp.usm", "user of version 3"),
    Keyword::number("snmp.pdu_type", "what is asked").named(words::SNMP_PDUS),
    Keyword::number("snmp.trap_type", "generic kind of a v1 trap").named(words::SNMP_TRAPS),
    Keyword::buffer("snmp.trap_oid", "what sent a v1 trap"),
    Keyword::buffer("snmp.trap_address", "address of what sent a v1 trap"),
];

/// SNMP.
pub struct Snmp;

impl Protocol for Snmp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[161, 162]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.has_port(self.ports()) {
            return Probe::content(is_begun(first.bytes).is_some());
        }
        // Scanners show it to name servers, which stay what they are.
        Probe::content(!first.has_port(&[53]) && Message::parse(first.bytes).is_some())
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Datagrams::<Message>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// One message.
#[derive(Default, Debug)]
struct Message {
    direction: Option<Direction>,
    version: u8,
    community: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    pdu: Option<Pdu>,
}

#[derive(Default, Debug)]
struct Pdu {
    tag: u8,
    error: u32,
    trap: Option<Trap>,
    vars: Vec<String>,
}

#[derive(Debug)]
struct Trap {
    generic: u32,
    enterprise: String,
    agent: Option<Ipv4Addr>,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Ber::new(bytes).inside(SEQUENCE)?;
        let mut it = match integer(&mut r)? {
            0 => Self { version: 1, ..Self::default() },
            1 => Self { version: 2, ..Self::default() },
            3 => return Self::parse_v3(r),
            _ => return None,
        };
        it.community = Some(kept(r.value(OCTET_STRING)?));
        it.pdu = Some(Pdu::parse(&mut r)?);
        Some(it)
    }

    fn parse_v3(mut r: Ber<'_>) -> Option<Self> {
        let mut header = r.inside(SEQUENCE)?;
        let (_id, _max_size) = (integer(&mut header)?, integer(&mut header)?);
        let flags = *header.value(OCTET_STRING)?.first()?;
        let model = integer(&mut header)?;
        let mut security = r.inside(OCTET_STRING)?;
        let mut it = Self { version: 3, ..Self::default() };
        if model == 3 {
            // The user-based model (RFC 3414 section 2.4): engine, boots, time, user.
            let mut user = security.inside(SEQUENCE)?;
            user.value(OCTET_STRING)?;
            integer(&mut user)?;
            integer(&mut user)?;
            it.user = Some(kept(user.value(OCTET_STRING)?));
        }
        if flags & PRIVATE == 0 {
            let mut scoped = r.inside(SEQUENCE)?;
            scoped.value(OCTET_STRING)?;
            scoped.value(OCTET_STRING)?;
            it.pdu = Some(Pdu::parse(&mut scoped)?);
        }
        Some(it)
    }
}

/// Whether a message begins as it should, though the rest of it may be malformed or cut.
fn is_begun(bytes: &[u8]) -> Option<()> {
    let mut r = Reader::new(bytes);
    let (SEQUENCE, _) = ber::head(&mut r)? else { return None };
    let (INTEGER, length) = ber::head(&mut r)? else { return None };
    let version = r.take(length).and_then(ber::number)?;
    let wanted = match version {
        0 | 1 => OCTET_STRING,
        3 => SEQUENCE,
        _ => return None,
    };
    (ber::head(&mut r)?.0 == wanted).then_some(())
}

impl Pdu {
    fn parse(r: &mut Ber<'_>) -> Option<Self> {
        let (tag, content) = r.next()?;
        let mut r = Ber::new(content);
        if !(0xa0..=0xa8).contains(&tag) {
            return None;
        }
        let mut it = Self { tag, ..Self::default() };
        if tag == TRAP_V1 {
            let enterprise = oid(r.value(OID)?);
            let agent = r.value(IP_ADDRESS)?.first_chunk::<4>().map(|ip| Ipv4Addr::from(*ip));
            let generic = integer(&mut r)?;
            let (_specific, _time) = (integer(&mut r)?, r.next()?);
            it.trap = Some(Trap { generic, enterprise, agent });
        } else {
            let (_id, error) = (integer(&mut r)?, integer(&mut r)?);
            integer(&mut r)?;
            // GetBulk has other numbers here.
            it.error = if tag == 0xa5 { 0 } else { error };
        }
        let mut list = r.inside(SEQUENCE)?;
        while it.vars.len() < VARS_CAP && !list.is_empty() {
            let mut var = list.inside(SEQUENCE)?;
            it.vars.push(oid(var.value(OID)?));
        }
        Some(it)
    }

    fn name(&self) -> &'static str {
        match self.tag {
            0xa0 => "get_request",
            0xa1 => "get_next_request",
            0xa2 => "response",
            0xa3 => "set_request",
            TRAP_V1 => "trap_v1",
            0xa5 => "get_bulk_request",
            0xa6 => "inform_request",
            0xa7 => "trap_v2",
            _ => "report",
        }
    }
}

fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes.get(..TEXT_CAP).unwrap_or(bytes).to_vec()
}

/// The next value as a number; negative ones come out large.
fn integer(r: &mut Ber<'_>) -> Option<u32> {
    r.number(INTEGER)
}

/// An object identifier with dots.
fn oid(content: &[u8]) -> String {
    let mut text = String::new();
    let mut number: u64 = 0;
    let mut parts = 0;
    for &byte in content {
        number = number.saturating_mul(128).saturating_add(u64::from(byte & 0x7f));
        if byte & 0x80 != 0 {
            continue;
        }
        let _ = if parts == 0 {
            // The first two numbers share a byte.
            let first = (number / 40).min(2);
            write!(text, "{first}.{}", number - first * 40)
        } else {
            write!(text, ".{number}")
        };
        number = 0;
        parts += 1;
        if parts >= OID_CAP {
            break;
        }
    }
    text
}

impl Datagram for Message {
    fn read(_: &Moment<'_>, direction: Direction, bytes: &[u8]) -> Option<Self> {
        let direction = Some(direction);
        Self::parse(bytes).map(|message| Self { direction, ..message })
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        self.direction
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let trap = self.pdu.as_ref().and_then(|pdu| pdu.trap.as_ref());
        match name {
            "snmp.community" => self.community.iter().for_each(|c| visit(c)),
            "snmp.usm" => self.user.iter().for_each(|u| visit(u)),
            "snmp.trap_oid" => trap.iter().for_each(|t| visit(t.enterprise.as_bytes())),
            "snmp.trap_address" => {
                let agent = trap.and_then(|t| t.agent);
                agent.iter().for_each(|ip| visit(ip.to_string().as_bytes()));
            }
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let pdu = self.pdu.as_ref();
        match name {
            _ if self.direction != Some(direction) => {}
            "snmp.version" => visit(self.version.into()),
            "snmp.pdu_type" => pdu.iter().for_each(|pdu| visit((pdu.tag & 0x1f).into())),
            "snmp.trap_type" => {
                let trap = pdu.and_then(|pdu| pdu.trap.as_ref());
                trap.iter().for_each(|trap| visit(trap.generic.into()));
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let Some(pdu) = &self.pdu else { return "encrypted".into() };
        match pdu.vars.first() {
            Some(var) if pdu.vars.len() == 1 => format!("{} {var}", pdu.name()),
            Some(var) => format!("{} {var} and {} more", pdu.name(), pdu.vars.len() - 1),
            None => pdu.name().into(),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &self.version)?;
        if let Some(pdu) = &self.pdu {
            map.serialize_entry("pdu_type", pdu.name())?;
            if pdu.error != 0 {
                map.serialize_entry("error", &error_name(pdu.error))?;
            }
            if let Some(trap) = &pdu.trap {
                map.serialize_entry("trap_type", &trap_name(trap.generic))?;
                map.serialize_entry("trap_oid", &trap.enterprise)?;
                if let Some(agent) = trap.agent {
                    map.serialize_entry("trap_address", &agent)?;
                }
            }
            if !pdu.vars.is_empty() {
                map.serialize_entry("vars", &pdu.vars)?;
            }
        } else {
            map.serialize_entry("pdu_type", "encrypted")?;
        }
        if let Some(community) = &self.community {
            map.serialize_entry("community", &WireText(community))?;
        }
        if let Some(user) = &self.user {
            map.serialize_entry("usm", &WireText(user))?;
        }
        map.end()
    }
}

/// RFC 1157 section 4.1.6.
fn trap_name(generic: u32) -> &'static str {
    match generic {
        0 => "coldStart",
        1 => "warmStart",
        2 => "linkDown",
        3 => "linkUp",
        4 => "authenticationFailure",
        5 => "egpNeighborLoss",
        6 => "enterpriseSpecific",
        _ => "unknown",
    }
}

/// RFC 3416 section 3.
fn error_name(error: u32) -> &'static str {
    const NAMES: [&str; 18] = [
        "tooBig",
        "noSuchName",
        "badValue",
        "readOnly",
        "genErr",
        "noAccess",
        "wrongType",
        "wrongLength",
        "wrongEncoding",
        "wrongValue",
        "noCreation",
        "inconsistentValue",
        "resourceUnavailable",
        "commitFailed",
        "undoFailed",
        "authorizationError",
        "notWritable",
        "inconsistentName",
    ];
    let place = usize::try_from(error).unwrap_or(0).wrapping_sub(1);
    NAMES.get(place).copied().unwrap_or("unknown")
}
