//! LDAP (RFC 4511) over TCP, and connectionless LDAP over UDP: each request with its answers.

mod message;

use crate::ber;
use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Reader, Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction};
use message::{Exchange, Message};

const NAME: AppProto = AppProto("ldap");
/// Longest message.
const MESSAGE_CAP: usize = 1 << 20;
/// Requests that may wait for their last answer.
const WAITING_CAP: usize = 256;
/// Name of the request for TLS (RFC 4511 section 4.14).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

const FIELDS: &[Field] = &[
    Field::eve("request.operation", "string", "what was asked"),
    Field::eve("request.message_id", "integer", "number of the request"),
    Field::eve("request.bind_request.version", "integer", "version of the protocol"),
    Field::eve("request.bind_request.name", "string", "who binds"),
    Field::eve("request.bind_request.sasl.mechanism", "string", "way to prove it"),
    Field::eve("request.bind_request.sasl.credentials", "string", "proof"),
    Field::eve("request.search_request.base_object", "string", "where to search"),
    Field::eve("request.search_request.scope", "integer", "how deep"),
    Field::eve("request.search_request.deref_alias", "integer", "how aliases are followed"),
    Field::eve("request.search_request.size_limit", "integer", "most entries wanted"),
    Field::eve("request.search_request.time_limit", "integer", "most seconds to search"),
    Field::eve("request.search_request.types_only", "boolean", "whether values are left out"),
    Field::eve("request.search_request.attributes", "array", "attributes wanted"),
    Field::eve("request.modify_request.object", "string", "entry that is changed"),
    Field::eve("request.modify_request.changes[].operation", "string", "kind of change"),
    Field::eve(
        "request.modify_request.changes[].modification.attribute_type",
        "string",
        "attribute that is changed",
    ),
    Field::eve(
        "request.modify_request.changes[].modification.attribute_values",
        "array",
        "its values",
    ),
    Field::eve("request.add_request.entry", "string", "entry that is added"),
    Field::eve("request.add_request.attributes[].name", "string", "attribute"),
    Field::eve("request.add_request.attributes[].values", "array", "its values"),
    Field::eve("request.del_request.dn", "string", "entry that is deleted"),
    Field::eve("request.mod_dn_request.entry", "string", "entry that is renamed"),
    Field::eve("request.mod_dn_request.new_rdn", "string", "its new name"),
    Field::eve("request.mod_dn_request.delete_old_rdn", "boolean", "whether the old one goes"),
    Field::eve("request.mod_dn_request.new_superior", "string", "its new place"),
    Field::eve("request.compare_request.entry", "string", "entry that is compared"),
    Field::eve(
        "request.compare_request.attribute_value_assertion.description",
        "string",
        "attribute that is compared",
    ),
    Field::eve(
        "request.compare_request.attribute_value_assertion.value",
        "string",
        "value it is compared with",
    ),
    Field::eve("request.extended_request.name", "string", "number of the operation"),
    Field::eve("request.extended_request.value", "string", "its argument"),
    Field::eve("request.abandon_request.message_id", "integer", "request that is given up"),
    Field::eve("responses[].operation", "string", "kind of answer"),
    Field::eve("responses[].message_id", "integer", "number of an answer without request"),
    Field::eve("responses[].search_result_entry.base_object", "string", "entry found"),
    Field::eve("responses[].search_result_entry.attributes[].type", "string", "attribute"),
    Field::eve("responses[].search_result_entry.attributes[].values", "array", "its values"),
    Field::eve("responses[].search_result_done.result_code", "string", "how it ended"),
    Field::eve("responses[].search_result_done.matched_dn", "string", "last entry that was found"),
    Field::eve("responses[].search_result_done.message", "string", "the server's words"),
    Field::eve("responses[].bind_response.result_code", "string", "how it ended"),
    Field::eve("responses[].bind_response.server_sasl_creds", "string", "the server's proof"),
    Field::eve("responses[].modify_response.result_code", "string", "how it ended"),
    Field::eve("responses[].add_response.result_code", "string", "how it ended"),
    Field::eve("responses[].del_response.result_code", "string", "how it ended"),
    Field::eve("responses[].mod_dn_response.result_code", "string", "how it ended"),
    Field::eve("responses[].compare_response.result_code", "string", "how it ended"),
    Field::eve("responses[].extended_response.result_code", "string", "how it ended"),
    Field::eve("responses[].extended_response.name", "string", "number of the operation"),
    Field::eve("responses[].extended_response.value", "string", "its result"),
    Field::eve("responses[].intermediate_response.name", "string", "number of the operation"),
    Field::eve("responses[].intermediate_response.value", "string", "its result so far"),
];

/// LDAP.
pub struct Ldap;

impl Protocol for Ldap {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[389, 3268]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        match looks_like(first.bytes) {
            Some(yes) => Probe::content(yes),
            None if first.udp => Probe::No,
            None => Probe::NeedMore,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        message::KEYWORDS
    }
}

/// Whether a message begins here; `None` while too little is there to tell.
fn looks_like(bytes: &[u8]) -> Option<bool> {
    let mut r = Reader::new(bytes);
    if bytes.first().is_some_and(|&tag| tag != ber::SEQUENCE) {
        return Some(false);
    }
    let more = |r: &Reader<'_>| (r.rest().len() >= ber::HEAD_CAP).then_some(false);
    let Some((_, length)) = ber::head(&mut r) else { return more(&r) };
    let start = r.position();
    let Some((id_tag, id_length)) = ber::head(&mut r) else { return more(&r) };
    if id_tag != ber::INTEGER || !(1..=4).contains(&id_length) {
        return Some(false);
    }
    r.skip(id_length)?;
    if r.rest().first().is_some_and(|&op| form_of(op).is_none()) {
        return Some(false);
    }
    let Some((operation, op_length)) = ber::head(&mut r) else { return more(&r) };
    let head = r.position() - start;
    if head.saturating_add(op_length) > length {
        return Some(false);
    }
    match form_of(operation)? {
        Form::Empty => Some(op_length == 0),
        Form::Bytes => Some(op_length > 0 && op_length < 1024),
        Form::First(_) if op_length == 0 => Some(false),
        Form::First(tag) => r.rest().first().map(|&found| found == tag),
    }
}

/// What an operation consists of.
enum Form {
    Empty,
    Bytes,
    /// A sequence that begins with this tag.
    First(u8),
}

fn form_of(operation: u8) -> Option<Form> {
    Some(match operation {
        message::BIND_REQUEST => Form::First(ber::INTEGER),
        message::UNBIND_REQUEST => Form::Empty,
        // Results begin with their code.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => Form::First(ber::ENUMERATED),
        // Search, entry, modify, add, modify DN, compare, reference: a name first.
        0x63 | 0x64 | 0x66 | 0x68 | 0x6c | 0x6e | 0x73 => Form::First(ber::OCTET_STRING),
        // Delete and abandon are what they name.
        0x4a | 0x50 => Form::Bytes,
        0x77 | 0x79 => Form::First(0x80),
        _ => return None,
    })
}

#[derive(Default)]
struct Reading {
    sides: [Pending; 2],
    waiting: Vec<(u64, Exchange)>,
    begun: u64,
    ended: bool,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else { return Ok(Next::Done) };
        if at.is_udp() {
            match Message::parse(bytes) {
                Some(message) => {
                    self.message(direction, message, out);
                }
                None => out.anomaly("invalid_data", None),
            }
            return Ok(Next::More);
        }
        let slot = usize::from(direction == Direction::ToClient);
        let Some(pending) = self.sides.get_mut(slot) else { return Ok(Next::Done) };
        let mut pending = std::mem::take(pending);
        let earlier = pending.len();
        let (mut read, mut secured) = (0, false);
        let done = pending.records::<Malformed>(bytes, MESSAGE_CAP, |b| {
            if secured {
                return Ok(Take::Used(b.len()));
            }
            let mut r = Reader::new(b);
            let Some((tag, length)) = ber::head(&mut r) else {
                return if b.len() < ber::HEAD_CAP {
                    Ok(Take::Need(b.len() + 1))
                } else {
                    Err(Malformed("invalid_data"))
                };
            };
            // Behind a bind by SASL messages may be wrapped, and cannot be read.
            if tag != ber::SEQUENCE {
                return Err(Malformed("invalid_data"));
            }
            let whole = r.position().saturating_add(length);
            let Some(bytes) = b.get(..whole) else { return Ok(Take::Need(whole)) };
            let message = Message::parse(bytes).ok_or(Malformed("invalid_data"))?;
            secured = self.message(direction, message, out);
            read += whole;
            Ok(Take::Used(whole))
        });
        if done.is_err() || secured {
            // Nothing that follows can be read.
            self.end(direction, out);
        }
        done?;
        if secured {
            let consumed = read.saturating_sub(earlier).min(bytes.len());
            return Ok(Next::Change { consumed, to: Some(AppProto("tls")) });
        }
        if let Some(side) = self.sides.get_mut(slot) {
            *side = pending;
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            self.end(direction, out);
        }
    }
}

impl Reading {
    /// What waits will get no answer.
    fn end(&mut self, direction: Direction, out: &mut Outcome) {
        for (tx, exchange) in std::mem::take(&mut self.waiting) {
            out.transaction(direction, tx, exchange);
        }
    }

    /// Takes a message; answers whether TLS begins behind it.
    fn message(&mut self, direction: Direction, message: Message, out: &mut Outcome) -> bool {
        if message.is_request() {
            let exchange = Exchange::of(message);
            let tx = self.begun;
            self.begun += 1;
            if !exchange.awaits_answer() {
                out.transaction(direction, tx, exchange);
                return false;
            }
            if self.waiting.len() >= WAITING_CAP {
                let (oldest, exchange) = self.waiting.remove(0);
                out.transaction(direction, oldest, exchange);
            }
            self.waiting.push((tx, exchange));
            return false;
        }
        let last = message.is_last();
        let asked = self.waiting.iter().position(|(_, e)| e.message_id() == Some(message.id));
        let Some(at) = asked else {
            let mut exchange = Exchange::default();
            exchange.answer(message);
            out.transaction(direction, self.begun, exchange);
            self.begun += 1;
            return false;
        };
        let Some((_, exchange)) = self.waiting.get_mut(at) else { return false };
        let secured = exchange.is_extended(START_TLS) && message.succeeded();
        exchange.answer(message);
        if last {
            let (tx, exchange) = self.waiting.remove(at);
            if out.wants_logins {
                exchange.login(out);
            }
            out.transaction(direction, tx, exchange);
        }
        secured
    }
}
