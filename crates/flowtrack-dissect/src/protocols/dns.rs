//! DNS over UDP and TCP (RFC 1035, EDNS RFC 6891).
//!
//! Every message is a transaction of its own, as in EVE; an answer also tells how long it took.

pub mod message;
mod present;
pub mod record;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Reader, Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Timestamp, Transaction};
use message::{HEADER, Message, Z};
use record::{Exchange, FIELDS, KEYWORDS};
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

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
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

/// Whether a header makes sense; where the port says nothing, the whole message must.
pub fn looks_like(bytes: &[u8], usual: bool) -> bool {
    let Some((flags, counts)) = header(bytes) else { return false };
    // Operation codes end at 6 (DSO, RFC 8490).
    let is_sane = flags >> 11 & 0x0f <= 6 && counts.iter().any(|&n| n > 0);
    if usual {
        return is_sane && counts.iter().all(|&n| n < 1000);
    }
    is_sane
        && has_usual_header(bytes)
        && Message::read(bytes).is_some_and(|m| {
            !m.cut
                && m.questions.iter().all(|q| {
                    message::kind_name(q.kind).is_some() && matches!(q.class, 1 | 3 | 254 | 255)
                })
        })
}

/// Whether a header is that of a usual question or its answer.
fn has_usual_header(bytes: &[u8]) -> bool {
    let Some((flags, [asked, answered, authorities, additionals])) = header(bytes) else {
        return false;
    };
    let is_response = flags & message::QR != 0;
    flags & Z == 0
        && asked == 1
        && (is_response || (answered == 0 && authorities == 0))
        && [answered, authorities, additionals].iter().all(|&n| n <= 64)
}

/// The flags, and how many records each section has.
fn header(bytes: &[u8]) -> Option<(u16, [u16; 4])> {
    let mut r = Reader::new(bytes);
    r.skip(2)?;
    Some((r.u16()?, [r.u16()?, r.u16()?, r.u16()?, r.u16()?]))
}

/// A transaction made of one message.
pub trait Exchanged: Transaction + Sized + 'static {
    /// Last operation code that there is; DSO in DNS (RFC 8490).
    const LAST_OPCODE: u16 = 6;
    /// Port on which it is asked.
    const PORT: u16 = 53;

    /// Makes it; `rtt` is the time since the question that this answers.
    fn new(message: Message, direction: Direction, tx_id: u64, rtt: Option<Duration>) -> Self;
}

impl Exchanged for Exchange {
    fn new(message: Message, direction: Direction, tx_id: u64, rtt: Option<Duration>) -> Self {
        Self { message, direction, tx_id, rtt }
    }
}

/// Whether it is known where in a stream messages begin.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Sync {
    /// It is.
    #[default]
    Found,
    /// Bytes were lost; a message may begin with the next one.
    Behind,
    /// It is not, and nothing more is read.
    Lost,
}

/// Reads a flow of messages: a datagram each, or behind their lengths in a stream.
pub struct Framed<T> {
    pending: [Pending; 2],
    sync: [Sync; 2],
    waiting: Vec<(u16, Timestamp)>,
    transactions: u64,
    exchanged: PhantomData<fn() -> T>,
}

impl<T: Exchanged> Framed<T> {
    /// A reader of one flow.
    pub fn boxed() -> Box<dyn Dissector> {
        Box::new(Self {
            pending: Default::default(),
            sync: Default::default(),
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
        let side = match direction {
            Direction::ToServer => 0,
            Direction::ToClient => 1,
        };
        let mut pending = self.pending.get_mut(side).map(std::mem::take).unwrap_or_default();
        let mut sync = self.sync.get(side).copied().unwrap_or_default();
        match chunk {
            Chunk::Gap(_) => {
                pending.take();
                sync = if sync == Sync::Lost { sync } else { Sync::Behind };
            }
            Chunk::Bytes(bytes) if at.is_udp() => self.message(at, direction, bytes, out),
            Chunk::Bytes(_) if sync == Sync::Lost => {}
            Chunk::Bytes(bytes) => {
                pending.records(bytes, MESSAGE_CAP, |b| {
                    self.record(at, direction, b, &mut sync, out)
                })?;
            }
        }
        if let Some(held) = self.sync.get_mut(side) {
            *held = sync;
        }
        if let Some(held) = self.pending.get_mut(side) {
            *held = pending;
        }
        Ok(Next::More)
    }
}

impl<T: Exchanged> Framed<T> {
    /// Takes the message at the front of a stream.
    fn record(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        bytes: &[u8],
        sync: &mut Sync,
        out: &mut Outcome,
    ) -> Result<Take, Malformed> {
        let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
            return Ok(Take::Need(2));
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if *sync == Sync::Behind {
            if rest.len() < HEADER {
                return Ok(Take::Need(2 + HEADER));
            }
            let begins = length > HEADER && has_usual_header(rest);
            *sync = if begins { Sync::Found } else { Sync::Lost };
        }
        if *sync == Sync::Lost {
            return Ok(Take::Used(bytes.len()));
        }
        let Some(message) = rest.get(..length) else { return Ok(Take::Need(2 + length)) };
        if !looks_like(message, true) {
            return Err(Malformed("malformed_data"));
        }
        self.message(at, direction, message, out);
        Ok(Take::Used(2 + length))
    }

    /// Whether an answer as first message means that the question was missed. From DNS's port to
    /// another it may as well be reflected to a victim, who asked nothing.
    fn answers_first(at: &Moment<'_>) -> bool {
        at.is_udp() && at.key.src_port == T::PORT && (T::PORT != 53 || at.key.dst_port == 53)
    }

    fn message(
        &mut self,
        at: &Moment<'_>,
        mut direction: Direction,
        bytes: &[u8],
        out: &mut Outcome,
    ) {
        let tx_id = self.transactions;
        let Some(message) = Message::read(bytes) else {
            out.anomaly("malformed_data", Some(tx_id));
            return;
        };
        self.transactions += 1;
        if tx_id == 0
            && message.is_response()
            && direction == Direction::ToServer
            && Self::answers_first(at)
        {
            out.reversed = true;
            direction = Direction::ToClient;
        }
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
        out.transaction(direction, tx_id, T::new(message, direction, tx_id, rtt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{FlowKey, IpProto};

    /// What comes of an answer as first message between these ports.
    fn first_answer(src_port: u16, dst_port: u16) -> (bool, Direction) {
        let key = FlowKey {
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            src_port,
            dst_port,
            proto: IpProto::UDP,
        };
        let at = Moment { ts: Timestamp::from_secs(1), packet: 1, key: &key, midstream: false };
        let answer = b"\0\x07\x81\x80\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        let mut out = Outcome::default();
        Framed::<Exchange>::boxed()
            .feed(&at, Direction::ToServer, Chunk::Bytes(answer), &mut out)
            .unwrap();
        (out.reversed, out.transactions[0].direction)
    }

    #[test]
    fn a_flow_that_begins_with_an_answer_is_turned_round() {
        assert_eq!(first_answer(53, 53), (true, Direction::ToClient));
        assert_eq!(first_answer(4000, 53), (false, Direction::ToServer));
        // As reflected to a victim.
        assert_eq!(first_answer(53, 4000), (false, Direction::ToServer));
    }

    #[test]
    fn headers_are_looked_at_harder_away_from_the_usual_port() {
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        assert!(looks_like(question, false));
        // Of a class that is not used, cut short, and with no question.
        let mut strange = *question;
        strange[18] = 9;
        assert!(looks_like(&strange, true) && !looks_like(&strange, false));
        assert!(!looks_like(&question[..15], false));
        assert!(!looks_like(&[0; HEADER], true));
    }
}
