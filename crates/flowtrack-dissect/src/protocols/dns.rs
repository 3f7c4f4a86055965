//! DNS over UDP and TCP (RFC 1035, EDNS RFC 6891).
//!
//! Every message is a transaction of its own, as in EVE; an answer also tells how long it took.

pub mod message;
pub mod record;

use crate::{
    Dissector, Field, First, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol, Take,
    Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Timestamp, Transaction};
use message::{HEADER, Message, Z};
use record::{Exchange, FIELDS};
use std::marker::PhantomData;
use std::time::Duration;

const NAME: AppProto = AppProto("dns");
/// Questions that wait for their answer.
const WAITING_CAP: usize = 64;
/// Longest message; its length over TCP has two bytes.
const MESSAGE_CAP: usize = 2 + 65_535;

/// DNS.
pub struct Dns;

impl Protocol for Dns {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[53]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let usual = first.has_port(self.ports());
        if !usual && first.has_port(&[5353, 5355, 137]) {
            return Probe::No;
        }
        let message = match first_message(first) {
            Ok(message) => message,
            Err(probe) => return probe,
        };
        if !looks_like(message, usual) {
            return Probe::No;
        }
        Probe::Match(if usual { Confidence::Content } else { Confidence::Heuristic })
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Framed::<Exchange>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }
}

/// The first message of a flow, or as much of it as is there; of a stream, behind its length.
pub fn first_message<'a>(first: &First<'a>) -> Result<&'a [u8], Probe> {
    if first.udp {
        return Ok(first.bytes);
    }
    let (length, rest) = first.bytes.split_first_chunk::<2>().ok_or(Probe::NeedMore)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length < HEADER {
        return Err(Probe::No);
    }
    match rest.get(..length) {
        Some(message) => Ok(message),
        None if rest.len() < HEADER => Err(Probe::NeedMore),
        None => Ok(rest),
    }
}

/// Whether a header makes sense; stricter where the port says nothing.
pub fn looks_like(bytes: &[u8], usual: bool) -> bool {
    let Some([_, _, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1]) = bytes.first_chunk::<HEADER>() else {
        return false;
    };
    let flags = u16::from_be_bytes([*f0, *f1]);
    let counts = [[*q0, *q1], [*a0, *a1], [*n0, *n1], [*r0, *r1]].map(u16::from_be_bytes);
    let [asked, answered, authorities, additionals] = counts;
    let opcode = flags >> 11 & 0x0f;
    // Operation codes end at 6 (DSO, RFC 8490).
    let sane = opcode <= 6 && counts.iter().any(|&n| n > 0);
    if usual {
        return sane && counts.iter().all(|&n| n < 1000);
    }
    let is_response = flags & message::QR != 0;
    sane && flags & Z == 0
        && asked == 1
        && (is_response || (answered == 0 && authorities == 0))
        && answered <= 64
        && authorities <= 64
        && additionals <= 64
        && Message::read(bytes).is_some_and(|m| {
            !m.cut
                && m.questions.iter().all(|q| {
                    message::kind_name(q.kind).is_some() && matches!(q.class, 1 | 3 | 254 | 255)
                })
        })
}

/// A transaction made of one message.
pub trait Exchanged: Transaction + Sized + 'static {
    /// Last operation code that there is; DSO in DNS (RFC 8490).
    const LAST_OPCODE: u16 = 6;

    /// Makes it; `rtt` is the time since the question that this answers.
    fn new(message: Message, tx_id: u64, rtt: Option<Duration>) -> Self;
}

impl Exchanged for Exchange {
    fn new(message: Message, tx_id: u64, rtt: Option<Duration>) -> Self {
        Self { message, tx_id, rtt }
    }
}

/// Reads a flow of messages: a datagram each, or behind their lengths in a stream.
pub struct Framed<T> {
    pending: [Pending; 2],
    waiting: Vec<(u16, Timestamp)>,
    transactions: u64,
    exchanged: PhantomData<fn() -> T>,
}

impl<T: Exchanged> Framed<T> {
    /// A reader of one flow.
    pub fn boxed() -> Box<dyn Dissector> {
        Box::new(Self {
            pending: Default::default(),
            waiting: Vec::new(),
            transactions: 0,
            exchanged: PhantomData::<fn() -> T>,
        })
    }
}

impl<T: Exchanged> Dissector for Framed<T> {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            // Where a message begins behind a hole cannot be known.
            return Ok(Next::Done);
        };
        if at.is_udp() {
            self.message(at, direction, bytes, out);
            return Ok(Next::More);
        }
        let side = match direction {
            Direction::ToServer => 0,
            Direction::ToClient => 1,
        };
        let mut pending = self.pending.get_mut(side).map(std::mem::take).unwrap_or_default();
        pending.records(bytes, MESSAGE_CAP, |b| -> Result<Take, Malformed> {
            let Some((length, rest)) = b.split_first_chunk::<2>() else {
                return Ok(Take::Need(2));
            };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = rest.get(..length) else { return Ok(Take::Need(2 + length)) };
            if !looks_like(message, true) {
                return Err(Malformed("malformed_data"));
            }
            self.message(at, direction, message, out);
            Ok(Take::Used(2 + length))
        })?;
        if let Some(held) = self.pending.get_mut(side) {
            *held = pending;
        }
        Ok(Next::More)
    }
}

impl<T: Exchanged> Framed<T> {
    fn message(&mut self, at: &Moment<'_>, direction: Direction, bytes: &[u8], out: &mut Outcome) {
        let tx_id = self.transactions;
        let Some(message) = Message::read(bytes) else {
            out.anomaly("malformed_data", Some(tx_id));
            return;
        };
        self.transactions += 1;
        let mut rtt = None;
        if message.is_response() {
            if let Some(asked) = self.waiting.iter().position(|&(id, _)| id == message.id) {
                rtt = Some(at.ts.since(self.waiting.remove(asked).1));
            }
        } else {
            if self.waiting.len() >= WAITING_CAP {
                self.waiting.remove(0);
            }
            self.waiting.push((message.id, at.ts));
        }
        for (raised, name) in [
            (message.cut, "malformed_data"),
            (message.flags & Z != 0, "z_flag_set"),
            (message.opcode() > T::LAST_OPCODE, "invalid_opcode"),
        ] {
            if raised {
                out.anomaly(name, Some(tx_id));
            }
        }
        out.transaction(direction, tx_id, T::new(message, tx_id, rtt));
    }
}
