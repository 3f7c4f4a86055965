//! DTLS 1.0 to 1.3: TLS over datagrams (RFC 6347, RFC 9147). A connection gives one record.

use super::tls::hello::ServerHello;
use super::tls::pieces::Pieces;
use super::tls::session::{self, Session, message};
use super::tls::{content, record, version};
use crate::{
    Dissector, Field, First, Malformed, Moment, Next, Outcome, Probe, Protocol, Reader, Transport,
    Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction};
use std::sync::LazyLock;

const NAME: AppProto = AppProto("dtls");

/// Messages of one side that are put together at a time.
const PARTIAL_CAP: usize = 8;
/// Longest message put together.
const MESSAGE_CAP: usize = 64 * 1024;
/// Datagrams of a flow that are looked at.
const DATAGRAMS_CAP: u32 = 128;

/// Those of TLS; EVE has none of DTLS.
static FIELDS: LazyLock<Vec<Field>> =
    LazyLock::new(|| record::FIELDS.iter().map(|f| Field { added: true, ..*f }).collect());

/// DTLS.
pub struct Dtls;

impl Protocol for Dtls {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[443, 684, 853, 2055, 4433, 5061, 5684]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let mut rest = first.bytes;
        let Some((record, after)) = Record::read(rest) else { return Probe::No };
        if record.version == version::DTLS_OLD || record.epoch > 0 {
            // Weaker signs: the lengths must add up to the datagram.
            rest = after;
            while !rest.is_empty() {
                let Some((_, after)) = Record::read(rest) else { return Probe::No };
                rest = after;
            }
        }
        match (record.kind, record.epoch) {
            (content::HANDSHAKE, 0) => {
                let kind = record.content.first().copied().unwrap_or(u8::MAX);
                Probe::content(session::is_plain_message(kind))
            }
            (content::ALERT, 0) => Probe::content(record.content.len() == 2),
            (content::CHANGE_CIPHER_SPEC, 0) => Probe::content(record.content == [1]),
            (_, 1..=16) => Probe::Match(Confidence::Heuristic),
            _ => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::new(Reading::new(wants)) as _)
    }

    fn fields(&self) -> &'static [Field] {
        &FIELDS
    }
}

/// A record of up to DTLS 1.2, which DTLS 1.3 has before it encrypts.
struct Record<'a> {
    kind: u8,
    version: u16,
    epoch: u16,
    content: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of a datagram and what follows it.
    fn read(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut r = Reader::new(datagram);
        let kind = r.u8()?;
        let version = r.u16()?;
        let epoch = r.u16()?;
        // The number of the record.
        r.skip(6)?;
        let length = usize::from(r.u16()?);
        let content = r.take(length).filter(|content| !content.is_empty())?;
        let is_ours = (content::CHANGE_CIPHER_SPEC..=content::HEARTBEAT + 1).contains(&kind)
            && matches!(version, version::DTLS_OLD | version::DTLS_1_0 | version::DTLS_1_2);
        is_ours.then_some((Self { kind, version, epoch, content }, r.rest()))
    }
}

/// Reads one connection up to where encryption begins.
struct Reading {
    wants: Wants,
    session: Session,
    sides: [Side; 2],
    datagrams: u32,
    told: bool,
}

/// One direction.
#[derive(Default)]
struct Side {
    partial: Vec<Partial>,
    /// Whether nothing more can be learned from it.
    over: bool,
}

/// A handshake message of which pieces are missing.
struct Partial {
    number: u16,
    kind: u8,
    length: usize,
    pieces: Pieces,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(datagram) = chunk else { return Ok(Next::More) };
        self.datagrams += 1;
        let read = self.datagram(at, direction, datagram, out);
        let is_over = self.datagrams >= DATAGRAMS_CAP || self.sides.iter().all(|side| side.over);
        if is_over || read.is_err() {
            self.tell(at, direction, out);
        }
        read?;
        Ok(if self.told { Next::Done } else { Next::More })
    }

    fn finish(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        self.side(direction).over = true;
        if self.sides.iter().all(|side| side.over) {
            self.tell(at, direction, out);
        }
    }
}

impl Reading {
    fn new(wants: Wants) -> Self {
        Self {
            wants,
            session: Session::new(NAME),
            sides: Default::default(),
            datagrams: 0,
            told: false,
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

    fn datagram(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        datagram: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        /// First bits of a record that DTLS 1.3 encrypted (RFC 9147 section 4).
        const UNIFIED: u8 = 0b001;
        let mut rest = datagram;
        while !rest.is_empty() && !self.told && !self.side(direction).over {
            let Some((record, after)) = Record::read(rest) else {
                if rest.first().is_some_and(|first| first >> 5 == UNIFIED) {
                    self.encrypted(direction);
                }
                return Ok(());
            };
            rest = after;
            if record.epoch > 0 {
                self.encrypted(direction);
                continue;
            }
            match record.kind {
                content::HANDSHAKE => self.handshake(at, direction, record.content, out)?,
                content::CHANGE_CIPHER_SPEC if self.session.begins_to_encrypt(direction) => {
                    self.encrypted(direction);
                }
                content::ALERT => self.alert(at, direction, record.content, out),
                _ => {}
            }
        }
        Ok(())
    }

    /// One side has begun to encrypt; when both have, the handshake is through.
    fn encrypted(&mut self, direction: Direction) {
        self.side(direction).over = true;
        self.session.established = self.sides.iter().all(|side| side.over);
    }

    fn alert(&mut self, at: &Moment<'_>, direction: Direction, body: &[u8], out: &mut Outcome) {
        const FATAL: u8 = 2;
        if let [level, description] = *body {
            self.session.alert = Some(description);
            if level == FATAL {
                self.tell(at, direction, out);
            }
        }
    }

    /// Takes the content of a handshake record: messages and pieces of messages.
    fn handshake(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        content: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(content);
        while !r.is_empty() {
            let (piece, data) =
                Piece::read(&mut r).ok_or(Malformed("INVALID_HANDSHAKE_MESSAGE"))?;
            if piece.length > MESSAGE_CAP {
                return Err(Malformed("HANDSHAKE_INVALID_LENGTH"));
            }
            if data.len() == piece.length {
                self.message(at, direction, piece.kind, data, out)?;
            } else if let Some(whole) = self.side(direction).add(&piece, data) {
                self.message(at, direction, piece.kind, &whole, out)?;
            }
        }
        Ok(())
    }

    fn message(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        kind: u8,
        body: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        self.session.message(kind, body, direction, at, self.wants, out)?;
        let hides = self.session.server.as_ref().is_some_and(ServerHello::hides_certificate);
        if kind == message::SERVER_HELLO && hides {
            self.side(direction).over = true;
        }
        Ok(())
    }
}

/// Where a piece of a handshake message belongs.
struct Piece {
    kind: u8,
    length: usize,
    number: u16,
    offset: u32,
}

impl Piece {
    fn read<'a>(r: &mut Reader<'a>) -> Option<(Self, &'a [u8])> {
        let piece =
            Self { kind: r.u8()?, length: r.u24()? as usize, number: r.u16()?, offset: r.u24()? };
        let size = r.u24()? as usize;
        let data = r.take(size)?;
        (size <= piece.length).then_some((piece, data))
    }
}

impl Side {
    /// Adds a piece; returns the message once it is whole.
    fn add(&mut self, piece: &Piece, data: &[u8]) -> Option<Vec<u8>> {
        let known = self
            .partial
            .iter()
            .position(|p| (p.number, p.kind, p.length) == (piece.number, piece.kind, piece.length));
        let at = known.unwrap_or_else(|| {
            if self.partial.len() >= PARTIAL_CAP {
                self.partial.remove(0);
            }
            self.partial.push(Partial {
                number: piece.number,
                kind: piece.kind,
                length: piece.length,
                pieces: Pieces::default(),
            });
            self.partial.len() - 1
        });
        let partial = self.partial.get_mut(at)?;
        partial.pieces.add(u64::from(piece.offset), data);
        let whole = partial.pieces.ready().get(..partial.length)?.to_vec();
        self.partial.remove(at);
        Some(whole)
    }
}
