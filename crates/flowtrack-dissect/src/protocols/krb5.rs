//! Kerberos 5 (RFC 4120) over UDP and TCP: tickets asked for, given and refused.

mod message;

use crate::ber;
use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Reader, Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction, Secret};
use message::Message;

const NAME: AppProto = AppProto("krb5");
/// Length of what stands before a message over TCP.
const RECORD_MARK: usize = 4;
/// Longest message; tickets with many groups reach some tens of kilobytes.
const MESSAGE_CAP: usize = 256 * 1024;

const FIELDS: &[Field] = &[
    Field::eve("msg_type", "string", "type of the message"),
    Field::eve("cname", "string", "name of the client"),
    Field::eve("realm", "string", "realm"),
    Field::eve("sname", "string", "name of the service"),
    Field::eve("encryption", "string", "encryption of the answer"),
    Field::eve("weak_encryption", "boolean", "whether that encryption is weak"),
    Field::eve("ticket_encryption", "string", "encryption of the ticket"),
    Field::eve("ticket_weak_encryption", "boolean", "whether that encryption is weak"),
    Field::eve("error_code", "string", "why the request was refused"),
    Field::eve("failed_request", "string", "type of the request that was refused"),
];

/// Kerberos.
pub struct Krb5;

impl Protocol for Krb5 {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[88]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.udp {
            return Probe::content(looks_like(first.bytes) == Some(true));
        }
        let mut r = Reader::new(first.bytes);
        match r.u32() {
            Some(length) if !(10..=MESSAGE_CAP as u32).contains(&length) => Probe::No,
            Some(_) => looks_like(r.rest()).map_or(Probe::NeedMore, Probe::content),
            None if first.bytes.first().is_none_or(|&b| b == 0) => Probe::NeedMore,
            None => Probe::No,
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
    // Requests, replies, application messages and errors.
    if bytes.first().is_some_and(|tag| !matches!(tag, 0x6a..=0x6f | 0x74..=0x76 | 0x7e)) {
        return Some(false);
    }
    let more = |r: &Reader<'_>| (r.rest().len() >= ber::HEAD_CAP).then_some(false);
    let Some((tag, _)) = ber::head(&mut r) else { return more(&r) };
    let Some((inner, _)) = ber::head(&mut r) else { return more(&r) };
    if inner != ber::SEQUENCE {
        return Some(false);
    }
    // The version is the first field, but the second (and numbered so) of requests to a KDC.
    let version = r.array::<5>()?;
    let field = if matches!(tag, 0x6a | 0x6c) { 0xa1 } else { 0xa0 };
    Some(version == [field, 3, ber::INTEGER, 1, 5])
}

#[derive(Default)]
struct Reading {
    sides: [Pending; 2],
    told: u64,
    /// Type of the last request, which an error refuses.
    asked: Option<u8>,
    /// For whom.
    user: Vec<u8>,
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
            if !self.message(direction, bytes, out) {
                out.anomaly("malformed_data", None);
            }
            return Ok(Next::More);
        }
        let [to_server, to_client] = &mut self.sides;
        let mut pending = std::mem::take(match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        });
        pending.records(bytes, RECORD_MARK + MESSAGE_CAP, |b| {
            let mut r = Reader::new(b);
            let Some(length) = r.u32() else { return Ok(Take::Need(RECORD_MARK)) };
            let whole = RECORD_MARK.saturating_add(length as usize);
            let Some(message) = r.take(length as usize) else { return Ok(Take::Need(whole)) };
            if !self.message(direction, message, out) {
                return Err(Malformed("malformed_data"));
            }
            Ok(Take::Used(whole))
        })?;
        if let Some(side) = self.sides.get_mut(usize::from(direction == Direction::ToClient)) {
            *side = pending;
        }
        Ok(Next::More)
    }
}

impl Reading {
    fn message(&mut self, direction: Direction, bytes: &[u8], out: &mut Outcome) -> bool {
        let Some(mut message) = Message::parse(bytes) else { return false };
        message.goes(direction);
        if message.is_request() {
            self.asked = Some(message.kind());
            self.user = message.client();
        }
        message.answers(self.asked);
        if let Some(outcome) = message.login() {
            out.login(&self.user, outcome, Secret::Hidden);
        }
        out.transaction(direction, self.told, message);
        self.told += 1;
        true
    }
}
