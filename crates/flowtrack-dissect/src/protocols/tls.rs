//! TLS 1.0 to 1.3 and the SSL before it over TCP (RFC 8446, RFC 5246, RFC 6101).
//!
//! Reading ends when both sides have begun to encrypt; where people log on by mail or FTP, the turns
//! that follow are timed. A connection gives one record.

pub mod alert;
mod attempts;
mod certificate;
pub mod cipher;
pub mod fingerprint;
pub mod group;
pub mod hello;
pub mod pieces;
pub mod record;
pub mod session;
mod ssl2;
mod time;
pub mod version;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Take, Transport, Wants,
};
use attempts::Attempts;
use flowtrack_event::{AppProto, Chunk, Confidence, Direction};
use hello::ServerHello;
use session::{Session, message};

/// The name of the protocol.
pub const NAME: AppProto = AppProto("tls");

/// Content of a record (RFC 8446 section 5.1).
pub mod content {
    /// What follows is encrypted.
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    /// An alert.
    pub const ALERT: u8 = 21;
    /// Messages of the handshake.
    pub const HANDSHAKE: u8 = 22;
    /// Anything, encrypted.
    pub const APPLICATION_DATA: u8 = 23;
    /// Heartbeat (RFC 6520).
    pub const HEARTBEAT: u8 = 24;
}

/// Bytes before the content of a record.
const HEADER: usize = 5;
/// Type and length before the payload of a heartbeat.
const HEARTBEAT_HEADER: usize = 3;
/// Longest content of a record; RFC 5246 section 6.2.3 lets encryption add 2048 bytes.
const RECORD_CAP: usize = (1 << 14) + 2048;
/// Longest handshake message put together; RFC 8446 would allow 16 MiB.
const MESSAGE_CAP: usize = 128 * 1024;
/// Bytes before the body of a handshake message.
const MESSAGE_HEADER: usize = 4;

/// TLS.
pub struct Tls;

impl Protocol for Tls {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 8443]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let bytes = first.bytes;
        match bytes.first() {
            None => Probe::NeedMore,
            Some(content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT) => probe_record(bytes),
            Some(_) => ssl2::probe(bytes),
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::new(Reading::new(wants)) as _)
    }

    fn fields(&self) -> &'static [Field] {
        record::FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        record::KEYWORDS
    }
}

/// Whether bytes begin with a record that a connection can begin with, or go on with where its
/// beginning was missed.
fn probe_record(bytes: &[u8]) -> Probe {
    let Some((&[kind, major, minor, l0, l1], body)) = bytes.split_first_chunk::<HEADER>() else {
        let is_ours = bytes.get(1).is_none_or(|&major| major == 3)
            && bytes.get(2).is_none_or(|&minor| minor <= 4);
        return if is_ours { Probe::NeedMore } else { Probe::No };
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if major != 3 || minor > 4 {
        return Probe::No;
    }
    if length == 0 || length > RECORD_CAP {
        // Three bytes say what it is, though a length that cannot be keeps it from being read.
        let may_be = matches!(kind, content::HANDSHAKE) && minor < 4;
        return if may_be { Probe::Match(Confidence::Heuristic) } else { Probe::No };
    }
    match kind {
        content::HANDSHAKE => match *body {
            [] => Probe::NeedMore,
            [kind @ (message::CLIENT_HELLO | message::SERVER_HELLO), ref rest @ ..] => {
                // Length of three bytes, then the version.
                match rest {
                    [high, _, _, major, ..] => {
                        let is_hello = *high <= 1 && matches!(major, 3 | 0x7e | 0x7f);
                        if is_hello && (kind == message::SERVER_HELLO || *major == 3) {
                            Probe::Match(Confidence::Content)
                        } else {
                            Probe::Match(Confidence::Heuristic)
                        }
                    }
                    _ => Probe::NeedMore,
                }
            }
            // Another message, or one that is encrypted.
            [..] => Probe::Match(Confidence::Heuristic),
        },
        content::CHANGE_CIPHER_SPEC => match body.first() {
            None => Probe::NeedMore,
            Some(&value) => Probe::content(length == 1 && value == 1),
        },
        content::ALERT if length == 2 => match body.first() {
            None => Probe::NeedMore,
            Some(&level) => Probe::content(matches!(level, 1 | 2)),
        },
        // Encrypted, in the middle of a connection.
        content::APPLICATION_DATA | content::ALERT => Probe::Match(Confidence::Heuristic),
        _ => Probe::No,
    }
}

/// Reads one connection up to where encryption begins.
struct Reading {
    wants: Wants,
    session: Session,
    sides: [Side; 2],
    told: bool,
    /// What is said behind the handshake, where people log on.
    attempts: Option<Attempts>,
}

/// One direction.
#[derive(Default)]
struct Side {
    pending: Pending,
    /// Beginning of a handshake message that goes on in the next record.
    messages: Pending,
    /// Bytes of a record that are passed over.
    skip: usize,
    /// Whether its first record was read.
    begun: bool,
    /// Whether nothing more can be learned from it: encrypted, lost or ended.
    over: bool,
}

/// What a record means for the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// More records matter.
    Read,
    /// All that can be known is known.
    Tell,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        if let Some(attempts) = &mut self.attempts {
            let goes_on = match chunk {
                Chunk::Bytes(bytes) => attempts.add(at.ts, direction, bytes.len(), out),
                Chunk::Gap(_) => false,
            };
            if !goes_on {
                self.attempts = None;
            }
            return Ok(if goes_on { Next::More } else { Next::Done });
        }
        let read = match chunk {
            Chunk::Bytes(bytes) => self.bytes(at, direction, bytes, out),
            Chunk::Gap(_) => {
                // Where the next record begins cannot be known.
                let side = self.side(direction);
                *side = Side { over: true, ..Side::default() };
                Ok(())
            }
        };
        if let Err(malformed) = read {
            self.tell(at, direction, out);
            return Err(malformed);
        }
        if self.told || self.sides.iter().all(|side| side.over) {
            if out.wants_logins && self.session.established {
                self.attempts = Attempts::of(at, self.session.from);
            }
            self.tell(at, direction, out);
            return Ok(if self.attempts.is_some() { Next::More } else { Next::Done });
        }
        Ok(Next::More)
    }

    fn finish(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if let Some(attempts) = self.attempts.take() {
            attempts.finish(out);
        }
        self.side(direction).over = true;
        if self.sides.iter().all(|side| side.over) {
            self.tell(at, direction, out);
        }
    }

    fn changed_from(&mut self, protocol: AppProto) {
        self.session.from = Some(protocol);
    }
}

impl Reading {
    fn new(wants: Wants) -> Self {
        Self {
            wants,
            session: Session::new(NAME),
            sides: Default::default(),
            told: false,
            attempts: None,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        direction.of_mut(&mut self.sides)
    }

    /// Reports the connection once, with what is known.
    fn tell(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.told, true) || self.session.is_silent() {
            return;
        }
        let mut session = std::mem::replace(&mut self.session, Session::new(NAME));
        session.at = at.ts;
        out.transaction(direction, 0, session);
    }

    fn bytes(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        bytes: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        let mut pending = std::mem::take(&mut self.side(direction).pending);
        let mut tell = false;
        pending.records(bytes, HEADER + RECORD_CAP, |b| -> Result<Take, Malformed> {
            let side = self.side(direction);
            if side.over || tell {
                return Ok(Take::Used(b.len()));
            }
            if side.skip > 0 {
                let skipped = side.skip.min(b.len());
                side.skip -= skipped;
                return Ok(Take::Used(skipped));
            }
            let (take, then) = self.record(at, direction, b, out)?;
            tell = then == Then::Tell;
            Ok(take)
        })?;
        self.side(direction).pending = pending;
        if tell {
            self.tell(at, direction, out);
        }
        Ok(())
    }

    /// Reads one record, which may be incomplete.
    fn record(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        b: &[u8],
        out: &mut Outcome,
    ) -> Result<(Take, Then), Malformed> {
        let Some((&[kind, major, minor, l0, l1], rest)) = b.split_first_chunk::<HEADER>() else {
            return Ok((Take::Need(HEADER), Then::Read));
        };
        if !self.side(direction).begun && ssl2::is_record(b) {
            return self.ssl2_record(at, direction, b, out);
        }
        if !(content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT).contains(&kind) {
            return Err(Malformed("INVALID_RECORD_TYPE"));
        }
        if major != 3 || minor > 4 {
            return Err(Malformed("INVALID_RECORD_VERSION"));
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length > RECORD_CAP {
            return Err(Malformed("INVALID_RECORD_LENGTH"));
        }
        if kind == content::APPLICATION_DATA {
            let side = self.side(direction);
            side.begun = true;
            side.skip = length;
            return Ok((Take::Used(HEADER), self.application_data(direction, length)));
        }
        if kind == content::HEARTBEAT {
            let Some(&[_, l0, l1]) = rest.first_chunk::<HEARTBEAT_HEADER>() else {
                return Ok((Take::Need(HEADER + HEARTBEAT_HEADER), Then::Read));
            };
            // RFC 6520 section 4: an answer to more than was sent would leak memory (Heartbleed).
            if usize::from(u16::from_be_bytes([l0, l1])) + HEARTBEAT_HEADER > length {
                out.anomaly("OVERFLOW_HEARTBEAT_MESSAGE", Some(0));
            }
            self.side(direction).skip = length;
            return Ok((Take::Used(HEADER), Then::Read));
        }
        let Some(body) = rest.get(..length) else {
            return Ok((Take::Need(HEADER + length), Then::Read));
        };
        self.side(direction).begun = true;
        let then = match kind {
            content::HANDSHAKE => {
                self.handshake(at, direction, body, out)?;
                Then::Read
            }
            content::CHANGE_CIPHER_SPEC => self.change_cipher_spec(direction),
            content::ALERT => self.alert(direction, body),
            _ => Then::Read,
        };
        Ok((Take::Used(HEADER + length), then))
    }

    /// Takes the content of a handshake record: whole messages, ends and beginnings of others.
    fn handshake(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        content: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        let mut messages = std::mem::take(&mut self.side(direction).messages);
        messages.records(
            content,
            MESSAGE_HEADER + MESSAGE_CAP,
            |b| -> Result<Take, Malformed> {
                if self.side(direction).over {
                    return Ok(Take::Used(b.len()));
                }
                let Some((&[kind, l0, l1, l2], rest)) = b.split_first_chunk::<MESSAGE_HEADER>()
                else {
                    return Ok(Take::Need(MESSAGE_HEADER));
                };
                if !session::is_plain_message(kind) {
                    return Err(Malformed("INVALID_HANDSHAKE_MESSAGE"));
                }
                let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
                if length > MESSAGE_CAP {
                    return Err(Malformed("HANDSHAKE_INVALID_LENGTH"));
                }
                let Some(body) = rest.get(..length) else {
                    return Ok(Take::Need(MESSAGE_HEADER + length));
                };
                self.session.message(kind, body, direction, at, self.wants, out)?;
                if kind == message::CLIENT_HELLO {
                    out.half(direction, 0, || self.session.clone());
                }
                let hides =
                    self.session.server.as_ref().is_some_and(ServerHello::hides_certificate);
                self.side(direction).over = kind == message::SERVER_HELLO && hides;
                Ok(Take::Used(MESSAGE_HEADER + length))
            },
        )?;
        self.side(direction).messages = messages;
        Ok(())
    }

    /// Everything this side sends from here on may be encrypted.
    fn change_cipher_spec(&mut self, direction: Direction) -> Then {
        if self.session.begins_to_encrypt(direction) {
            self.encrypted(direction)
        } else {
            Then::Read
        }
    }

    /// Encrypted content, which may also be the end of the handshake of TLS 1.3.
    fn application_data(&mut self, direction: Direction, length: usize) -> Then {
        /// An encrypted Finished is at least so long; an alert is shorter.
        const FINISHED: usize = 4 + 32 + 1 + 16;
        if self.session.is_silent() {
            // The beginning was missed: there is nothing to wait for.
            return Then::Tell;
        }
        let is_early = self.session.is_client(direction) && self.session.server.is_none();
        if is_early && !self.session.keys_exchanged {
            return Then::Read;
        }
        if self.session.server.as_ref().is_some_and(ServerHello::hides_certificate) {
            // Before it may stand an empty certificate or the end of early data.
            if length >= FINISHED {
                self.session.established = true;
                self.side(direction).over = true;
            }
            return Then::Read;
        }
        self.encrypted(direction)
    }

    /// One side has begun to encrypt; when both have, the handshake is through.
    fn encrypted(&mut self, direction: Direction) -> Then {
        self.side(direction).over = true;
        self.session.established = self.sides.iter().all(|side| side.over);
        Then::Read
    }

    fn alert(&mut self, direction: Direction, body: &[u8]) -> Then {
        const FATAL: u8 = 2;
        match *body {
            [level, description] => {
                self.session.alert = Some(description);
                if level == FATAL { Then::Tell } else { Then::Read }
            }
            // Encrypted.
            _ => {
                self.side(direction).over = true;
                Then::Read
            }
        }
    }

    fn ssl2_record(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        b: &[u8],
        out: &mut Outcome,
    ) -> Result<(Take, Then), Malformed> {
        let (length, body) = match ssl2::record(b) {
            Ok(record) => record,
            Err(need) => return Ok((Take::Need(need), Then::Read)),
        };
        self.side(direction).begun = true;
        let then = match ssl2::read(&mut self.session, body, direction, at, self.wants, out) {
            Some(ssl2::Found::ClientHello) => Then::Read,
            Some(ssl2::Found::ServerHello) => Then::Tell,
            None => return Err(Malformed("INVALID_SSL_RECORD")),
        };
        Ok((Take::Used(length), then))
    }
}
