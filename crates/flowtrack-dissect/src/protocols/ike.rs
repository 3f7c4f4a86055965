//! IKE v1 (RFC 2409 with ISAKMP, RFC 2408) and v2 (RFC 7296): how IPsec tunnels come up.

mod names;
mod payload;

use crate::{Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Probe, Protocol};
use crate::{Reader, Transport, Wants, hex};
use flowtrack_event::{AppProto, Chunk, Direction, FlowKey, Transaction};
use payload::{Attribute, Payloads};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

const NAME: AppProto = AppProto("ike");
/// Bytes of a message's header.
const HEADER: usize = 28;
/// On port 4500 a message stands behind so many zero bytes (RFC 3948).
const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// Flag of version 1: all payloads are encrypted.
const V1_ENCRYPTED: u8 = 0x01;
/// Flag of version 2: sent by the one who began.
const V2_INITIATOR: u8 = 0x08;

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("ike.init_spi", "identifier of the initiator, in hexadecimal").to_server(),
    Keyword::buffer("ike.resp_spi", "identifier of the responder, in hexadecimal").to_client(),
    Keyword::buffer("ike.vendor", "each vendor identifier, in hexadecimal").to_server().multi(),
    Keyword::buffer("ike.key_exchange_payload", "part of the key exchange").multi(),
    Keyword::buffer("ike.nonce_payload", "nonce").multi(),
    Keyword::buffer("ike.chosen_sa_attribute", "what the responder chose, as `alg_hash=2`")
        .to_client()
        .multi(),
    Keyword::number("ike.exchtype", "type of the exchange"),
    Keyword::number("ike.key_exchange_payload_length", "bytes of the key exchange").multi(),
    Keyword::number("ike.nonce_payload_length", "bytes of the nonce").multi(),
];

const FIELDS: &[Field] = &[
    Field::eve("_v", "integer", "version of this record's form, 2"),
    Field::eve("version_major", "integer", "version of the protocol"),
    Field::eve("version_minor", "integer", "lesser version of the protocol"),
    Field::eve("init_spi", "string", "identifier that the initiator chose"),
    Field::eve("resp_spi", "string", "identifier that the responder chose"),
    Field::eve("message_id", "integer", "identifier of the exchange"),
    Field::eve("exchange_type", "integer", "kind of exchange"),
    Field::eve("exchange_type_verbose", "string", "kind of exchange in words"),
    Field::eve("attributes[]", "array", "what the responder chose: key, value, raw"),
    Field::eve("payload[]", "array", "payloads by name, in their order"),
    Field::eve("role", "string", "v2: `initiator` or `responder`"),
    Field::eve("ikev1.doi", "integer", "domain of interpretation, 1 for IPsec"),
    Field::eve("ikev1.encrypted_payloads", "boolean", "payloads are encrypted"),
    Field::eve("ikev1.client.proposals[]", "array", "what the initiator offered"),
    Field::eve("ikev1.client.key_exchange_payload", "string", "the initiator's public value"),
    Field::eve("ikev1.client.key_exchange_payload_length", "integer", "its length"),
    Field::eve("ikev1.client.nonce_payload", "string", "the initiator's nonce"),
    Field::eve("ikev1.client.nonce_payload_length", "integer", "its length"),
    Field::eve("ikev1.server.key_exchange_payload", "string", "the responder's public value"),
    Field::eve("ikev1.server.key_exchange_payload_length", "integer", "its length"),
    Field::eve("ikev1.server.nonce_payload", "string", "the responder's nonce"),
    Field::eve("ikev1.server.nonce_payload_length", "integer", "its length"),
    Field::eve("ikev1.vendor_ids[]", "array", "identifiers of implementations and extensions"),
    Field::eve("ikev2.errors", "integer", "notifications of errors"),
    Field::eve("ikev2.notify[]", "array", "notifications by name"),
];

/// IKE.
pub struct Ike;

impl Protocol for Ike {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[500, 4500]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let bytes = message(first.bytes, first.key);
        let Some((header, _)) = bytes.and_then(Header::read) else { return Probe::No };
        let sane = header.minor == 0
            && match header.major {
                1 => matches!(header.exchange, 1..=6 | 32..=33),
                2 => matches!(header.exchange, 34..=44),
                _ => false,
            };
        // Version 1 left room for exchanges of anybody's own (RFC 2408 section 3.1).
        let own = header.major == 1 && first.has_port(&[500]);
        // In a capture cut short the length cannot be held against the bytes.
        let length = header.length as usize;
        let usual = first.has_port(self.ports()) && (HEADER..=65_535).contains(&length);
        let exact = length == bytes.map_or(0, <[u8]>::len) && header.initiator != [0; 8];
        Probe::content((sane || own) && (exact || usual))
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// The message, which on port 4500 stands behind a marker; what has none there is ESP, or keeps
/// the path open.
fn message<'a>(bytes: &'a [u8], key: &FlowKey) -> Option<&'a [u8]> {
    let translated = key.dst_port == 4500 || key.src_port == 4500;
    if translated { bytes.strip_prefix(&NON_ESP_MARKER) } else { Some(bytes) }
}

#[derive(Clone, Copy, Debug)]
struct Header {
    initiator: [u8; 8],
    responder: [u8; 8],
    next: u8,
    major: u8,
    minor: u8,
    exchange: u8,
    flags: u8,
    id: u32,
    length: u32,
}

impl Header {
    /// Reads it, and answers what follows.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut r = Reader::new(bytes);
        let (initiator, responder) = (r.array()?, r.array()?);
        let (next, version) = (r.u8()?, r.u8()?);
        let header = Self {
            initiator,
            responder,
            next,
            major: version >> 4,
            minor: version & 0x0f,
            exchange: r.u8()?,
            flags: r.u8()?,
            id: r.u32()?,
            length: r.u32()?,
        };
        Some((header, r.rest()))
    }

    /// Whether it certainly comes from the responder.
    fn is_answer(&self) -> bool {
        self.major == 2 && self.flags & V2_INITIATOR == 0
    }
}

/// Reads a flow; what was said in its first messages is told of the later ones too.
#[derive(Default)]
struct Reading {
    transactions: u64,
    doi: Option<u32>,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else { return Ok(Next::More) };
        let Some(bytes) = message(bytes, at.key) else { return Ok(Next::More) };
        let tx_id = self.transactions;
        let Some((header, rest)) = Header::read(bytes) else {
            out.anomaly("malformed_data", None);
            return Ok(Next::More);
        };
        self.transactions += 1;
        let mut payloads = Payloads::default();
        let is_clear = header.major != 1 || header.flags & V1_ENCRYPTED == 0;
        if is_clear && !payloads.read(header.major, header.next, rest) {
            out.anomaly("malformed_data", Some(tx_id));
        }
        self.doi = payloads.doi.or(self.doi);
        let mut direction = direction;
        if tx_id == 0 && direction == Direction::ToServer && header.is_answer() {
            out.reversed = true;
            direction = Direction::ToClient;
        }
        out.transaction(direction, tx_id, Exchange { header, direction, doi: self.doi, payloads });
        Ok(Next::More)
    }
}

/// One message.
#[derive(Debug)]
struct Exchange {
    header: Header,
    direction: Direction,
    doi: Option<u32>,
    payloads: Payloads,
}

impl Exchange {
    fn is_encrypted(&self) -> bool {
        self.header.flags & V1_ENCRYPTED != 0
    }

    /// What is chosen stands in the responder's answer.
    fn chosen(&self) -> &[Attribute] {
        let offered = self.direction == Direction::ToServer;
        if offered { &[] } else { &self.payloads.attributes }
    }

    fn is_of_initiator(&self) -> bool {
        match self.header.major {
            1 => self.direction == Direction::ToServer,
            _ => self.header.flags & V2_INITIATOR != 0,
        }
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
        let payloads = &self.payloads;
        match (name, self.direction) {
            ("ike.init_spi", Direction::ToServer) => {
                visit(hex(&self.header.initiator).as_bytes());
            }
            ("ike.resp_spi", Direction::ToClient) => {
                visit(hex(&self.header.responder).as_bytes());
            }
            ("ike.vendor", Direction::ToServer) => {
                payloads.vendors.iter().for_each(|v| visit(hex(v).as_bytes()));
            }
            ("ike.key_exchange_payload", _) => payloads.key.iter().for_each(|k| visit(k)),
            ("ike.nonce_payload", _) => payloads.nonce.iter().for_each(|n| visit(n)),
            ("ike.chosen_sa_attribute", Direction::ToClient) => {
                for a in self.chosen() {
                    visit(format!("{}={}", a.key(), a.value).as_bytes());
                }
            }
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let payloads = &self.payloads;
        match name {
            _ if direction != self.direction => {}
            "ike.exchtype" => visit(self.header.exchange.into()),
            "ike.key_exchange_payload_length" => {
                payloads.key.iter().for_each(|k| visit(k.len() as u64));
            }
            "ike.nonce_payload_length" => {
                payloads.nonce.iter().for_each(|n| visit(n.len() as u64));
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let Header { major, exchange, .. } = self.header;
        let role = if self.is_of_initiator() { "initiator" } else { "responder" };
        match names::exchange(exchange) {
            Some(name) => format!("v{major} {name}, {role}"),
            None => format!("v{major} exchange {exchange}, {role}"),
        }
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let header = &self.header;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("_v", &2)?;
        map.serialize_entry("version_major", &header.major)?;
        map.serialize_entry("version_minor", &header.minor)?;
        map.serialize_entry("init_spi", &hex(&header.initiator))?;
        map.serialize_entry("resp_spi", &hex(&header.responder))?;
        map.serialize_entry("message_id", &header.id)?;
        map.serialize_entry("exchange_type", &header.exchange)?;
        if let Some(name) = names::exchange(header.exchange) {
            map.serialize_entry("exchange_type_verbose", name)?;
        }
        if !self.chosen().is_empty() {
            map.serialize_entry("attributes", self.chosen())?;
        }
        if !self.payloads.names.is_empty() {
            map.serialize_entry("payload", &self.payloads.names)?;
        }
        if header.major == 1 {
            map.serialize_entry("ikev1", &V1(self))?;
        } else {
            let role = if self.is_of_initiator() { "initiator" } else { "responder" };
            map.serialize_entry("role", role)?;
            map.serialize_entry("ikev2", &V2(&self.payloads))?;
        }
        map.end()
    }
}

struct V1<'a>(&'a Exchange);

impl Serialize for V1<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Exchange { payloads, direction, doi, .. } = self.0;
        let mut map = s.serialize_map(None)?;
        if let Some(doi) = doi {
            map.serialize_entry("doi", doi)?;
        }
        map.serialize_entry("encrypted_payloads", &self.0.is_encrypted())?;
        let is_client = *direction == Direction::ToServer;
        let offers = is_client && !payloads.attributes.is_empty();
        if offers || payloads.key.is_some() || payloads.nonce.is_some() {
            let side = Side { payloads, offers };
            map.serialize_entry(if is_client { "client" } else { "server" }, &side)?;
        }
        if !payloads.vendors.is_empty() {
            let vendors: Vec<String> = payloads.vendors.iter().map(|v| hex(v)).collect();
            map.serialize_entry("vendor_ids", &vendors)?;
        }
        map.end()
    }
}

/// What one side told of itself.
struct Side<'a> {
    payloads: &'a Payloads,
    offers: bool,
}

impl Serialize for Side<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(key) = &self.payloads.key {
            map.serialize_entry("key_exchange_payload", &hex(key))?;
            map.serialize_entry("key_exchange_payload_length", &key.len())?;
        }
        if let Some(nonce) = &self.payloads.nonce {
            map.serialize_entry("nonce_payload", &hex(nonce))?;
            map.serialize_entry("nonce_payload_length", &nonce.len())?;
        }
        if self.offers {
            map.serialize_entry("proposals", &self.payloads.attributes)?;
        }
        map.end()
    }
}

struct V2<'a>(&'a Payloads);

impl Serialize for V2<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        // Up to 16383 they are errors (RFC 7296 section 3.10.1).
        let errors = self.0.notifications.iter().filter(|&&kind| kind < 16_384).count();
        map.serialize_entry("errors", &errors)?;
        let notify: Vec<String> =
            self.0.notifications.iter().map(|&kind| names::notification(kind)).collect();
        map.serialize_entry("notify", &notify)?;
        map.end()
    }
}
