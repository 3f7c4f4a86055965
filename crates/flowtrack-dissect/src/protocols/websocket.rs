//! WebSocket (RFC 6455), as HTTP upgrades to it: each frame is a transaction.
//!
//! The last frame of a message holds the whole message for rules: unmasked, put together, and
//! inflated where it was compressed (RFC 7692).

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Probe, Protocol,
    Text, Transport, Wants,
};
use flate2::{Decompress, FlushDecompress, Status};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Transaction};
use serde::ser::{Serialize, SerializeMap, Serializer};

const NAME: AppProto = AppProto("websocket");

/// Bytes of a message that are kept, and bytes of one that inflating it may give.
const PAYLOAD_CAP: usize = 64 * 1024;
/// A header with the longest length and a mask.
const HEADER_CAP: usize = 14;

const FIN: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const CLOSE: u8 = 8;

const FIELDS: &[Field] = &[
    Field::eve("fin", "boolean", "whether it is the last frame of its message"),
    Field::eve("mask", "integer", "key that the payload was masked with"),
    Field::eve("opcode", "string", "kind of the frame"),
    Field::added("length", "integer", "bytes of the payload as they were sent"),
    Field::added("compressed", "boolean", "whether the message is compressed (RFC 7692)"),
    Field::added("close_code", "integer", "why the connection is closed"),
    Field::added("close_reason", "string", "the same in words"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("websocket.payload", "payload without its mask, the whole message at its end"),
    Keyword::number("websocket.flags", "upper four bits of the first byte: fin 128, comp 64"),
    Keyword::number("websocket.mask", "key that the payload was masked with"),
    Keyword::number("websocket.opcode", "kind of the frame"),
];

/// WebSocket.
pub struct Websocket;

impl Protocol for Websocket {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    /// Two bytes tell little: it is only believed where HTTP said that it comes.
    fn probe(&self, first: &First<'_>) -> Probe {
        if first.expected != Some(NAME) {
            return Probe::No;
        }
        match *first.bytes {
            [] | [_] => Probe::NeedMore,
            [head, _, ..] if head & RESERVED == 0 && opcode_name(head & 0xf).is_some() => {
                Probe::Match(Confidence::Content)
            }
            _ => Probe::No,
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers)
            .then(|| Box::new(Reader { wants, ways: Both::default(), transactions: 0 }) as _)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

struct Reader {
    wants: Wants,
    ways: Both<Way>,
    transactions: u64,
}

/// How far one direction is read.
#[derive(Default)]
struct Way {
    /// The beginning of a header that is not complete.
    header: Vec<u8>,
    /// The frame whose payload is read, and how much of that is still to come.
    frame: Option<(Frame, u64)>,
    /// What the earlier frames of a message brought.
    message: Vec<u8>,
    /// Whether that message is compressed.
    compressed: bool,
    /// Bytes of the message were lost.
    holed: bool,
    /// Goes on from message to message; gone once one could not be inflated.
    inflater: Inflater,
    /// Where frames begin is not known any more.
    lost: bool,
}

#[derive(Default)]
enum Inflater {
    #[default]
    Unused,
    Ready(Box<Decompress>),
    Broken,
}

/// One frame.
#[derive(Debug)]
struct Frame {
    direction: Direction,
    flags: u8,
    opcode: u8,
    mask: Option<u32>,
    length: u64,
    payload: Vec<u8>,
    /// Header and payload as they were sent, for rules, and how long the header is.
    sent: Vec<u8>,
    header_len: usize,
    close: Option<(u16, Text)>,
}

impl Dissector for Reader {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        match chunk {
            Chunk::Gap(n) => self.gap(direction, n, out),
            Chunk::Bytes(bytes) => {
                let mut rest = bytes;
                while !rest.is_empty() && !self.ways.of(direction).lost {
                    rest = self.step(direction, rest, out);
                }
            }
        }
        let Both { to_server, to_client } = &self.ways;
        Ok(if to_server.lost && to_client.lost { Next::Done } else { Next::More })
    }
}

impl Reader {
    /// Reads a header or a piece of a payload; returns what follows.
    fn step<'a>(&mut self, direction: Direction, bytes: &'a [u8], out: &mut Outcome) -> &'a [u8] {
        let keep = self.wants.buffers;
        let way = self.ways.of(direction);
        let Some((frame, left)) = &mut way.frame else {
            let room = HEADER_CAP.saturating_sub(way.header.len());
            let before = way.header.len();
            way.header.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            let Some((mut frame, used)) = Frame::header(direction, &way.header) else { return &[] };
            let header = std::mem::take(&mut way.header);
            if keep {
                frame.sent.extend(header.iter().take(used));
                frame.header_len = used;
            }
            let left = frame.length;
            way.frame = Some((frame, left));
            if left == 0 {
                self.complete(direction, out);
            }
            return bytes.get(used.saturating_sub(before)..).unwrap_or_default();
        };
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        let (piece, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
        if keep || frame.opcode == CLOSE {
            frame.append(piece, frame.length - *left);
        }
        if keep {
            let room = PAYLOAD_CAP.saturating_sub(frame.sent.len());
            frame.sent.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        *left -= n as u64;
        if *left == 0 {
            self.complete(direction, out);
        }
        rest
    }

    /// A hole inside a payload is passed over; behind any other no frame can be found.
    fn gap(&mut self, direction: Direction, n: u64, out: &mut Outcome) {
        let way = self.ways.of(direction);
        let Some((_, left)) = way.frame.as_mut().filter(|(_, left)| n <= *left) else {
            way.lost = true;
            return;
        };
        *left -= n;
        way.holed = true;
        if *left == 0 {
            self.complete(direction, out);
        }
    }

    /// The whole of a frame was read.
    fn complete(&mut self, direction: Direction, out: &mut Outcome) {
        let tx_id = self.transactions;
        let way = self.ways.of(direction);
        let Some((mut frame, _)) = way.frame.take() else { return };
        if frame.length > PAYLOAD_CAP as u64 {
            out.anomaly("skip_end_of_payload", Some(tx_id));
        }
        if frame.is_control() {
            // It may stand between the frames of a message.
            frame.read_close();
        } else {
            way.follow(&mut frame, tx_id, out);
        }
        self.transactions += 1;
        out.transaction(direction, tx_id, frame);
    }
}

impl Way {
    /// Puts the frames of a message together; the last one gets all of it.
    fn follow(&mut self, frame: &mut Frame, tx_id: u64, out: &mut Outcome) {
        if frame.opcode != 0 {
            self.message.clear();
            self.compressed = frame.flags & COMPRESSED != 0;
        }
        let is_last = frame.flags & FIN != 0;
        if !self.message.is_empty() || !is_last {
            let room = PAYLOAD_CAP.saturating_sub(self.message.len());
            if frame.payload.len() > room {
                out.anomaly("reassembly_limit_reached", Some(tx_id));
            }
            self.message.extend(frame.payload.iter().take(room));
        }
        if !is_last {
            return;
        }
        if !self.message.is_empty() {
            frame.payload = std::mem::take(&mut self.message);
        }
        let is_whole = !std::mem::take(&mut self.holed) && frame.payload.len() < PAYLOAD_CAP;
        if self.compressed && !frame.payload.is_empty() {
            let inflated = if is_whole { self.inflater.message(&frame.payload) } else { None };
            match inflated {
                Some(inflated) => frame.payload = inflated,
                // What follows builds on what could not be read.
                None => self.inflater = Inflater::Broken,
            }
        }
    }
}

impl Inflater {
    /// Inflates one message; `None` where that fails or gives too much.
    fn message(&mut self, deflated: &[u8]) -> Option<Vec<u8>> {
        if matches!(self, Self::Unused) {
            *self = Self::Ready(Box::new(Decompress::new(false)));
        }
        let Self::Ready(inflate) = self else { return None };
        let mut inflated = Vec::with_capacity(deflated.len().saturating_mul(4).min(PAYLOAD_CAP));
        // RFC 7692 section 7.2.2: the end of the block was left out.
        for part in [deflated, &[0, 0, 0xff, 0xff]] {
            let mut rest = part;
            loop {
                let before = (inflate.total_in(), inflated.len());
                let room = PAYLOAD_CAP.checked_sub(inflated.len()).filter(|room| *room > 0)?;
                inflated.reserve(room.min(4096));
                let sync = FlushDecompress::Sync;
                let status = inflate.decompress_vec(rest, &mut inflated, sync).ok()?;
                let used = usize::try_from(inflate.total_in() - before.0).ok()?;
                rest = rest.get(used..)?;
                if status == Status::StreamEnd {
                    inflate.reset(false);
                }
                let is_stuck = used == 0 && inflated.len() == before.1;
                if is_stuck || (rest.is_empty() && inflated.len() < inflated.capacity()) {
                    break;
                }
            }
        }
        Some(inflated)
    }
}

impl Frame {
    /// Reads a header; `None` while it is not complete.
    fn header(direction: Direction, bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let (mask, rest) = rest.split_first_chunk::<4>()?;
            (Some(u32::from_be_bytes(*mask)), rest)
        };
        let frame = Self {
            direction,
            flags: first & 0xf0,
            opcode: first & 0xf,
            mask,
            length,
            payload: Vec::new(),
            sent: Vec::new(),
            header_len: 0,
            close: None,
        };
        Some((frame, bytes.len() - rest.len()))
    }

    const fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// Adds the piece of the payload at an offset, without its mask.
    fn append(&mut self, piece: &[u8], offset: u64) {
        let room = PAYLOAD_CAP.saturating_sub(self.payload.len());
        let mut mask = self.mask.unwrap_or(0).to_be_bytes();
        mask.rotate_left((offset % 4) as usize);
        let piece = piece.iter().zip(mask.iter().cycle());
        self.payload.extend(piece.take(room).map(|(byte, key)| byte ^ key));
    }

    fn read_close(&mut self) {
        if self.opcode == CLOSE
            && let Some((code, reason)) = self.payload.split_first_chunk::<2>()
        {
            self.close = Some((u16::from_be_bytes(*code), Text::capped(reason, 123)));
        }
    }

    fn opcode_text(&self) -> String {
        opcode_name(self.opcode).map_or_else(|| format!("unknown-{}", self.opcode), Into::into)
    }
}

const fn opcode_name(opcode: u8) -> Option<&'static str> {
    Some(match opcode {
        0 => "continuation",
        1 => "text",
        2 => "binary",
        CLOSE => "close",
        9 => "ping",
        10 => "pong",
        _ => return None,
    })
}

impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("fin", &(self.flags & FIN != 0))?;
        if let Some(mask) = self.mask {
            map.serialize_entry("mask", &mask)?;
        }
        map.serialize_entry("opcode", &self.opcode_text())?;
        map.serialize_entry("length", &self.length)?;
        if self.flags & COMPRESSED != 0 {
            map.serialize_entry("compressed", &true)?;
        }
        if let Some((code, reason)) = &self.close {
            map.serialize_entry("close_code", code)?;
            if !reason.is_empty() {
                map.serialize_entry("close_reason", reason)?;
            }
        }
        map.end()
    }
}

impl Transaction for Frame {
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
        let (header, data) = self.sent.split_at_checked(self.header_len).unwrap_or_default();
        match name {
            "websocket.payload" => visit(&self.payload),
            "frame.websocket.pdu" if !self.sent.is_empty() => visit(&self.sent),
            "frame.websocket.header" if !header.is_empty() => visit(header),
            "frame.websocket.data" if !data.is_empty() => visit(data),
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            _ if direction != self.direction => {}
            "websocket.flags" => visit(self.flags.into()),
            "websocket.opcode" => visit(self.opcode.into()),
            "websocket.mask" => self.mask.iter().for_each(|&mask| visit(mask.into())),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        match &self.close {
            Some((code, reason)) if reason.is_empty() => format!("close {code}"),
            Some((code, reason)) => format!("close {code} {reason}"),
            None => format!("{}, {} bytes", self.opcode_text(), self.length),
        }
    }
}
