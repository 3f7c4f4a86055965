//! MQTT 3.1, 3.1.1 and 5.0.
//!
//! A transaction is a message with what answers it: a publication with its acknowledgements, a
//! subscription with its grant.

mod message;
mod record;

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Reader, Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction};
use message::{Body, Kind, Message};
use record::{Exchange, FIELDS, KEYWORDS};

const NAME: AppProto = AppProto("mqtt");
const PORTS: &[u16] = &[1883];
/// Longest message read whole; the rest of a longer one is passed over.
const MESSAGE_CAP: usize = 64 * 1024;
/// Exchanges that wait for their end.
const WAITING_CAP: usize = 256;

/// Bytes of a message that are kept as they were sent.
const SENT_CAP: usize = 16 * 1024;

/// MQTT.
pub struct Mqtt;

impl Protocol for Mqtt {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let mut r = Reader::new(first.bytes);
        let Some(header) = r.u8() else { return Probe::NeedMore };
        if header == 0x10 {
            return probe_connect(&mut r);
        }
        if !first.has_port(PORTS) {
            return Probe::No;
        }
        // A flow that was joined late: a message whose flags and length are as they must be.
        match (Kind::of(header >> 4), length(&mut r)) {
            (Some(kind), Ok(Some(n))) if kind.allows(header & 0x0f, n) => {
                Probe::Match(Confidence::Heuristic)
            }
            (Some(_), Ok(None)) => Probe::NeedMore,
            _ => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers)
            .then(|| Box::new(Reading { wants, ..Reading::default() }) as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// `CONNECT` names its protocol.
fn probe_connect(r: &mut Reader<'_>) -> Probe {
    match length(r) {
        Ok(Some(n)) if n >= 10 => {}
        Ok(None) => return Probe::NeedMore,
        _ => return Probe::No,
    }
    let names = [&b"\x00\x04MQTT"[..], b"\x00\x06MQIsdp"].map(|name| Probe::prefix(r.rest(), name));
    if names.contains(&Probe::Match(Confidence::Content)) {
        Probe::Match(Confidence::Content)
    } else if names.contains(&Probe::NeedMore) {
        Probe::NeedMore
    } else {
        Probe::No
    }
}

/// The length of a message: up to four bytes with seven bits each. `Ok(None)` wants more bytes.
fn length(r: &mut Reader<'_>) -> Result<Option<usize>, Malformed> {
    let mut value = 0usize;
    for shift in [0, 7, 14, 21] {
        let Some(byte) = r.u8() else { return Ok(None) };
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Err(Malformed("malformed_traffic"))
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    sides: Both<Side>,
    /// Of `CONNECT`; 0 while it was not seen.
    version: u8,
    /// `CONNECT` was missed, its answer seen.
    missed: bool,
    waiting: Vec<Exchange>,
    tx_id: u64,
}

#[derive(Default)]
struct Side {
    pending: Pending,
    /// Bytes of a message that is too long and passed over.
    skip: usize,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(mut bytes) = chunk else {
            // Where a message begins behind a hole cannot be known.
            return Ok(Next::Done);
        };
        let mut side = std::mem::take(self.sides.of(direction));
        let skipped = side.skip.min(bytes.len());
        side.skip -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        let Side { pending, skip } = &mut side;
        pending.records(bytes, MESSAGE_CAP + 5, |b| {
            let mut r = Reader::new(b);
            let Some(header) = r.u8() else { return Ok(Take::Need(2)) };
            let Some(n) = length(&mut r)? else { return Ok(Take::Need(b.len() + 1)) };
            let (head, kept) = (r.position(), n.min(MESSAGE_CAP));
            let Some(body) = r.take(kept) else { return Ok(Take::Need(head + kept)) };
            let Some(kind) = Kind::of(header >> 4) else {
                return Err(Malformed("malformed_traffic"));
            };
            if header >> 1 & 3 == 3 {
                out.anomaly("invalid_qos_level", Some(self.tx_id));
            }
            let message = Message::read(kind, header, body, n - kept, self.version);
            match message {
                Some(mut message) => {
                    if self.wants.buffers {
                        message.sent =
                            b.get(..(head + kept).min(SENT_CAP)).unwrap_or_default().to_vec();
                        message.header_len = head;
                    }
                    self.message(at, direction, message, out);
                }
                None => out.anomaly("malformed_traffic", Some(self.tx_id)),
            }
            let present = b.len().saturating_sub(head);
            *skip = n.saturating_sub(present);
            Ok(Take::Used(head + n.min(present)))
        })?;
        *self.sides.of(direction) = side;
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            for exchange in std::mem::take(&mut self.waiting) {
                out.transaction(direction, exchange.tx_id, exchange);
            }
        }
    }
}

impl Reading {
    fn message(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        message: Message,
        out: &mut Outcome,
    ) {
        if let Body::Connect { protocol_version, .. } = &message.body {
            if self.version != 0 {
                out.anomaly("double_connect", Some(self.tx_id));
            }
            self.version = *protocol_version;
        }
        let kind = message.kind;
        let is_strange = self.version == 0 && !at.midstream && !self.missed;
        if is_strange && kind == Kind::Connack {
            // What follows is of a session that began unseen.
            self.missed = true;
            out.anomaly("missing_connect", Some(self.tx_id));
        } else if is_strange {
            out.anomaly("unintroduced_message", Some(self.tx_id));
        }
        if kind.begins() {
            let exchange = Exchange::new(self.tx_id, direction, message);
            self.tx_id += 1;
            if exchange.is_alone() {
                out.transaction(direction, exchange.tx_id, exchange);
                return;
            }
            if self.waiting.len() >= WAITING_CAP {
                out.anomaly("too_many_transactions", Some(exchange.tx_id));
                let oldest = self.waiting.remove(0);
                out.transaction(direction, oldest.tx_id, oldest);
            }
            self.waiting.push(exchange);
            return;
        }
        let Some(found) = self.waiting.iter().position(|e| e.expects(&message, direction)) else {
            if !self.missed {
                out.anomaly(kind.missing(), Some(self.tx_id));
            }
            let exchange = Exchange::new(self.tx_id, direction, message);
            self.tx_id += 1;
            out.transaction(direction, exchange.tx_id, exchange);
            return;
        };
        let Some(exchange) = self.waiting.get_mut(found) else { return };
        exchange.messages.push(message);
        if kind.ends() {
            let exchange = self.waiting.remove(found);
            out.transaction(direction, exchange.tx_id, exchange);
        }
    }
}
