//! Reads both directions of a connection: frames, and the streams that they belong to.

use super::doh::base64url;
use super::frame::{self, HEADER, Header, LENGTH_USUAL, PREFACE, Setting, flag, kind, setting};
use super::hpack::Decoder;
use super::record::{Exchange, Frames};
use super::stream::{Stream, Tools};
use crate::protocols::http::decode::Budget;
use crate::{Both, Dissector, Malformed, Moment, Next, Outcome, Pending, Reader, Take, Wants};
use flowtrack_event::{Chunk, Direction, FileState, Timestamp};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Streams that may be open at a time.
const STREAMS_CAP: usize = 1024;
/// Bytes that open streams may keep alive.
const WEIGHT_CAP: usize = 4 << 20;
/// Streams that may be open because of nothing but a priority.
const IDLE_CAP: usize = 128;
/// Longest frame that is held, and longest block of fields, in pieces or not.
const HELD_CAP: usize = 100 * 1024;
/// Pieces that a block of fields may come in.
const PIECES_CAP: u32 = 256;
/// Frames about the connection that become transactions.
const CONTROL_CAP: u32 = 8192;
/// Streams that were taken back and may still be answered, as what is on its way cannot be.
const LINGERING_CAP: usize = 64;
/// How long they may.
const LINGERING: Duration = Duration::from_secs(1);
/// Streams of a second that a client may take back before they were answered.
const RESETS_USUAL: u32 = 100;

/// One connection.
pub(super) struct Connection {
    wants: Wants,
    ways: Both<Way>,
    streams: BTreeMap<u32, Stream>,
    /// The highest streams that a client and a server began.
    highest: Both<u32>,
    /// What all of `streams` keep alive.
    weight: usize,
    /// Streams were given up, or their beginning was not seen: not to know one means nothing.
    is_partial: bool,
    transactions: u64,
    controls: u32,
    resets: Resets,
    /// Streams that were taken back while the other side was not done, and when; oldest first.
    lingering: VecDeque<(u32, Timestamp)>,
    budget: Budget,
    decoding: usize,
    ended: Both<bool>,
}

/// How far one direction is read.
#[derive(Default)]
struct Way {
    stage: Stage,
    pending: Pending,
    fields: Decoder,
    /// A block of fields whose end did not come yet.
    block: Option<Block>,
    /// Longest payload that the other side allowed; the usual one where it said nothing.
    longest: Option<u32>,
    /// Names of what was odd about the connection.
    told: SmallVec<[&'static str; 2]>,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    /// Of a client its preface comes first.
    #[default]
    Preface,
    Frames,
    /// Inside the body part of a frame.
    Data {
        stream: u32,
        left: u32,
        padding: u32,
        ends: bool,
    },
    /// Inside a frame that is passed over.
    Skip(u32),
    /// It is not known where a frame begins.
    Lost,
}

/// A block of fields in pieces.
struct Block {
    /// The stream that the frames name.
    on: u32,
    /// The stream that the fields are of: another one where it is promised.
    of: u32,
    ends: bool,
    bytes: Vec<u8>,
    pieces: u32,
}

/// Streams that a client took back in the present second.
#[derive(Default)]
struct Resets {
    since: Option<Timestamp>,
    count: u32,
}

/// A frame that cannot be, by the name of its anomaly.
struct Bad(&'static str);

const BAD_LENGTH: Bad = Bad("invalid_frame_length");
const BAD_DATA: Bad = Bad("invalid_frame_data");

/// What a frame's handler works with.
struct Turn<'a> {
    ts: Timestamp,
    direction: Direction,
    out: &'a mut Outcome,
}

impl Dissector for Connection {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        self.is_partial |= at.midstream;
        self.let_go(LINGERING_CAP, &mut Turn { ts: at.ts, direction, out });
        let mut turn = Turn { ts: at.ts, direction, out };
        match chunk {
            Chunk::Gap(bytes) => self.gap(bytes, &mut turn),
            Chunk::Bytes(bytes) => {
                let mut pending = std::mem::take(&mut self.ways.of(direction).pending);
                let read: Result<(), Malformed> =
                    pending.records(bytes, HEADER + HELD_CAP, |b| Ok(self.step(b, &mut turn)));
                self.ways.of(direction).pending = pending;
                read?;
            }
        }
        Ok(Next::More)
    }

    fn inherits(&mut self, at: &Moment<'_>, left: &[(Vec<u8>, Vec<u8>)], out: &mut Outcome) {
        if !left.is_empty() {
            self.upgraded(left, at.ts, out);
        }
    }

    fn finish(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        let mut turn = Turn { ts: at.ts, direction, out };
        *self.ended.of(direction) = true;
        let open: Vec<u32> = self.streams.keys().copied().collect();
        for &id in &open {
            self.with(id, &mut turn, |stream, tools| {
                stream.end(direction, FileState::Truncated, tools);
            });
        }
        if self.ended.to_server && self.ended.to_client {
            for id in open {
                self.close(id, &mut turn);
            }
        }
    }
}

impl Connection {
    pub(super) fn new(wants: Wants) -> Self {
        let mut ways = Both::<Way>::default();
        ways.to_client.stage = Stage::Frames;
        Self {
            wants,
            ways,
            streams: BTreeMap::new(),
            highest: Both::default(),
            weight: 0,
            is_partial: false,
            transactions: 0,
            controls: 0,
            resets: Resets::default(),
            lingering: VecDeque::new(),
            budget: Budget::default(),
            decoding: 0,
            ended: Both::default(),
        }
    }

    /// HTTP/1 came before: its request is that of the first stream (RFC 7540 section 3.2).
    fn upgraded(&mut self, request: &[(Vec<u8>, Vec<u8>)], ts: Timestamp, out: &mut Outcome) {
        let direction = Direction::ToServer;
        let mut turn = Turn { ts, direction, out };
        if let Some((_, told)) = request.iter().find(|(name, _)| name == b"http2-settings") {
            match base64url(told) {
                Some(payload) if payload.len().is_multiple_of(6) => {
                    let settings = self.settings(&payload, direction);
                    self.control(kind::SETTINGS, &mut turn, |frames| frames.settings = settings);
                }
                _ => self.odd("invalid_http1_settings", &mut turn),
            }
        }
        self.begin(1, &mut turn);
        self.with(1, &mut turn, |stream, tools| {
            stream.inherit(request, tools);
            stream.end(direction, FileState::Closed, tools);
        });
    }

    /// Takes what stands at the front of a direction.
    fn step(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Take {
        match self.ways.of(turn.direction).stage {
            Stage::Preface => self.preface(bytes, turn),
            Stage::Lost => self.search(bytes, turn),
            Stage::Skip(left) => {
                let n = bytes.len().min(left as usize);
                let left = left - n as u32;
                self.ways.of(turn.direction).stage =
                    if left == 0 { Stage::Frames } else { Stage::Skip(left) };
                Take::Used(n)
            }
            Stage::Data { stream, left, padding, ends } => {
                let n = bytes.len().min(left as usize);
                let bytes = bytes.get(..n).unwrap_or_default();
                let direction = turn.direction;
                self.with(stream, turn, |stream, tools| stream.data(direction, bytes, tools));
                self.passed(Stage::Data { stream, left: left - n as u32, padding, ends }, turn);
                Take::Used(n)
            }
            Stage::Frames => self.frame(bytes, turn),
        }
    }

    fn preface(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Take {
        let n = bytes.len().min(PREFACE.len());
        let is_preface = bytes.get(..n) == PREFACE.get(..n);
        if is_preface && n < PREFACE.len() {
            return Take::Need(PREFACE.len());
        }
        if is_preface {
            self.ways.of(turn.direction).stage = Stage::Frames;
            return Take::Used(n);
        }
        if !self.is_partial {
            self.odd("invalid_client_magic", turn);
        }
        self.lost(turn.direction);
        self.search(bytes, turn)
    }

    /// Looks for the next byte at which a frame begins.
    fn search(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Take {
        if bytes.len() < HEADER {
            return Take::Need(HEADER);
        }
        let begins = |window: &[u8]| {
            Header::read(window).is_some_and(|header| self.is_likely(&header, turn.direction))
        };
        match bytes.windows(HEADER).position(begins) {
            None => Take::Used(bytes.len() - (HEADER - 1)),
            Some(0) => {
                self.ways.of(turn.direction).stage = Stage::Frames;
                self.frame(bytes, turn)
            }
            Some(at) => Take::Used(at),
        }
    }

    /// Whether a header is one that this connection may show here.
    fn is_likely(&self, header: &Header, direction: Direction) -> bool {
        let id = header.stream;
        let highest = self.highest.to_server;
        let is_new = direction == Direction::ToServer
            && header.kind == kind::HEADERS
            && !id.is_multiple_of(2)
            && id > highest
            && id - highest < 4096;
        // Where nothing was seen yet, any low stream of a client may be open.
        let is_unseen = highest == 0 && !id.is_multiple_of(2) && id < 1 << 20;
        header.is_usual() && (id == 0 || is_new || is_unseen || self.streams.contains_key(&id))
    }

    /// It is not known any more where frames begin, nor what the table of fields holds.
    fn lost(&mut self, direction: Direction) {
        let way = self.ways.of(direction);
        way.stage = Stage::Lost;
        way.fields.lose();
        way.block = None;
        self.is_partial = true;
    }

    /// Takes the frame at the front, or only its header where the rest is not held.
    fn frame(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Take {
        let Some(header) = Header::read(bytes) else { return Take::Need(HEADER) };
        let longest = self.ways.of(turn.direction).longest.unwrap_or(LENGTH_USUAL);
        let is_long = header.length > longest;
        if header.kind > kind::LAST {
            // Unknown kinds are passed over (RFC 9113 section 5.5), yet not at any length.
            if is_long {
                self.odd("invalid_frame_header", turn);
                self.lost(turn.direction);
                return Take::Used(1);
            }
            return self.skip(&header, turn.direction);
        }
        if header.kind == kind::DATA {
            return self.data(&header, bytes, is_long, turn);
        }
        if is_long {
            self.odd("long_frame_data", turn);
        }
        if header.has_wrong_length() {
            self.odd(BAD_LENGTH.0, turn);
            return self.skip(&header, turn.direction);
        }
        if header.length as usize > HELD_CAP {
            return self.skip(&header, turn.direction);
        }
        let Some(payload) = bytes.get(HEADER..header.whole()) else {
            return Take::Need(header.whole());
        };
        if let Err(Bad(name)) = self.whole_frame(&header, payload, turn) {
            self.odd(name, turn);
        }
        Take::Used(header.whole())
    }

    /// Passes over a frame.
    fn skip(&mut self, header: &Header, direction: Direction) -> Take {
        let way = self.ways.of(direction);
        if header.has_fields() {
            way.fields.lose();
            way.block = None;
            self.is_partial = true;
        }
        if header.length > 0 {
            way.stage = Stage::Skip(header.length);
        }
        Take::Used(HEADER)
    }

    /// A frame of a body: its bytes are taken as they come.
    fn data(&mut self, header: &Header, bytes: &[u8], is_long: bool, turn: &mut Turn<'_>) -> Take {
        let direction = turn.direction;
        if header.stream == 0 {
            self.odd("data_stream_zero", turn);
            return self.skip(header, direction);
        }
        let is_padded = header.has(flag::PADDED) && header.length > 0;
        let padding = match bytes.get(HEADER) {
            None if is_padded => return Take::Need(HEADER + 1),
            Some(&padding) if is_padded => u32::from(padding),
            _ => 0,
        };
        let content = header.length - u32::from(is_padded);
        if padding > content || (header.has(flag::PADDED) && header.length == 0) {
            self.odd(BAD_DATA.0, turn);
            return self.skip(header, direction);
        }
        let id = header.stream;
        if !self.streams.contains_key(&id) && self.is_partial {
            self.begin(id, turn);
        }
        let is_open = self.with(id, turn, |stream, tools| {
            let is_open = !stream.is_done(direction);
            if is_long {
                stream.note("long_frame_data", tools.out);
            }
            if is_open {
                stream.exchange.side(direction).frames.saw(kind::DATA);
            } else {
                stream.note("stream_id_reuse", tools.out);
            }
            is_open
        });
        if is_open != Some(true) {
            if is_open.is_none() {
                self.odd("stream_id_reuse", turn);
            }
            return self.skip(header, direction);
        }
        let ends = header.has(flag::END_STREAM);
        self.passed(Stage::Data { stream: id, left: content - padding, padding, ends }, turn);
        Take::Used(HEADER + usize::from(is_padded))
    }

    /// Moves on inside the frame of a body.
    fn passed(&mut self, stage: Stage, turn: &mut Turn<'_>) {
        let direction = turn.direction;
        let Stage::Data { stream, left: 0, padding, ends } = stage else {
            self.ways.of(direction).stage = stage;
            return;
        };
        self.ways.of(direction).stage =
            if padding > 0 { Stage::Skip(padding) } else { Stage::Frames };
        if ends {
            self.end(stream, direction, turn);
        }
        self.relieve(turn);
    }

    /// A frame that is held whole.
    fn whole_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Bad> {
        let mut r = Reader::new(payload);
        match header.kind {
            kind::HEADERS => self.headers(header, payload, turn)?,
            kind::PUSH_PROMISE => self.push_promise(header, payload, turn)?,
            kind::CONTINUATION => self.continuation(header, payload, turn)?,
            // That they were understood says nothing of its own, yet it is counted.
            kind::SETTINGS if header.has(flag::ACK) && payload.is_empty() => {
                self.next_id();
            }
            kind::SETTINGS => {
                let settings = self.settings(payload, turn.direction);
                self.control(kind::SETTINGS, turn, |frames| frames.settings = settings);
            }
            kind::GOAWAY => {
                let code = r.skip(4).and_then(|()| r.u32()).ok_or(BAD_DATA)?;
                self.control(kind::GOAWAY, turn, |frames| frames.error(code));
            }
            kind::RST_STREAM => {
                let code = r.u32().ok_or(BAD_DATA)?;
                self.reset(header.stream, code, turn)?;
            }
            kind::WINDOW_UPDATE => {
                let by = r.u32().ok_or(BAD_DATA)? & 0x7fff_ffff;
                if header.stream == 0 {
                    self.control(kind::WINDOW_UPDATE, turn, |frames| frames.window(by));
                } else {
                    self.about(header, turn, |frames| frames.window(by));
                }
            }
            kind::PRIORITY => {
                let weight = r.skip(4).and_then(|()| r.u8()).ok_or(BAD_DATA)?;
                let id = header.stream;
                let is_idle = id > self.highest.to_server && self.streams.len() < IDLE_CAP;
                if is_idle && id != 0 && !self.streams.contains_key(&id) {
                    self.insert(id, turn);
                }
                self.about(header, turn, |frames| frames.priority(weight));
            }
            _ => self.control(header.kind, turn, |_| {}),
        }
        Ok(())
    }

    /// Settings hold for what the other side sends.
    fn settings(&mut self, payload: &[u8], direction: Direction) -> Vec<Setting> {
        let settings = frame::settings(payload);
        for setting in settings.iter().filter(|setting| setting.id == setting::MAX_FRAME_SIZE) {
            let longest = &mut self.ways.of(direction.opposite()).longest;
            *longest = Some(setting.value.max(longest.unwrap_or(LENGTH_USUAL)));
        }
        settings
    }

    /// The beginning of a block of fields.
    fn headers(&mut self, header: &Header, payload: &[u8], turn: &mut Turn<'_>) -> Result<(), Bad> {
        if header.stream == 0 {
            self.ways.of(turn.direction).fields.lose();
            return Err(BAD_DATA);
        }
        let mut rest = without_padding(header, payload).ok_or(BAD_DATA)?;
        let mut weight = None;
        if header.has(flag::PRIORITY) {
            let (priority, fields) = rest.split_first_chunk::<5>().ok_or(BAD_DATA)?;
            weight = Some(priority[4]);
            rest = fields;
        }
        let (id, direction) = (header.stream, turn.direction);
        self.open(id, turn);
        self.with(id, turn, |stream, tools| {
            let frames = &mut stream.exchange.side(direction).frames;
            frames.saw(kind::HEADERS);
            if let Some(weight) = weight {
                frames.priority(weight);
            }
            if stream.is_done(direction) {
                stream.note("stream_id_reuse", tools.out);
            }
        });
        let ends = header.has(flag::END_STREAM);
        self.fields(header, Block { on: id, of: id, ends, bytes: rest.to_vec(), pieces: 1 }, turn);
        Ok(())
    }

    /// The server sends what nobody asked for: here is the request that it answers.
    fn push_promise(
        &mut self,
        header: &Header,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Bad> {
        let rest = without_padding(header, payload).ok_or(BAD_DATA)?;
        let (promised, rest) = rest.split_first_chunk::<4>().ok_or(BAD_DATA)?;
        let id = u32::from_be_bytes(*promised) & 0x7fff_ffff;
        if id == 0 || header.stream == 0 {
            self.ways.of(turn.direction).fields.lose();
            return Err(BAD_DATA);
        }
        self.open(id, turn);
        let direction = turn.direction;
        self.with(id, turn, |stream, _| {
            stream.exchange.side(direction).frames.saw(kind::PUSH_PROMISE);
        });
        let block =
            Block { on: header.stream, of: id, ends: true, bytes: rest.to_vec(), pieces: 1 };
        self.fields(header, block, turn);
        Ok(())
    }

    fn continuation(
        &mut self,
        header: &Header,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Bad> {
        let way = self.ways.of(turn.direction);
        let Some(mut block) = way.block.take().filter(|block| block.on == header.stream) else {
            way.fields.lose();
            // Behind a hole, or behind a block that was given up, it is no surprise.
            return if self.is_partial { Ok(()) } else { Err(BAD_DATA) };
        };
        block.pieces += 1;
        if block.bytes.len() + payload.len() > HELD_CAP || block.pieces > PIECES_CAP {
            way.fields.lose();
            self.is_partial = true;
            return Err(Bad("reassembly_limit_reached"));
        }
        block.bytes.extend_from_slice(payload);
        self.fields(header, block, turn);
        Ok(())
    }

    /// Reads a block of fields where it is whole, and keeps it where it is not.
    fn fields(&mut self, header: &Header, block: Block, turn: &mut Turn<'_>) {
        let direction = turn.direction;
        if !header.has(flag::END_HEADERS) {
            self.ways.of(direction).block = Some(block);
            return;
        }
        // A promise tells the request, though the server sends it.
        let of = if block.of == block.on { direction } else { Direction::ToServer };
        let mut decoder = std::mem::take(&mut self.ways.of(direction).fields);
        let read = self.with(block.of, turn, |stream, tools| {
            stream.head(of, &block.bytes, &mut decoder, tools);
        });
        if read.is_none() {
            // The stream was given up meanwhile; its fields still change the table.
            let _ = decoder.decode(&block.bytes, &mut super::hpack::List::default());
        }
        self.ways.of(direction).fields = decoder;
        if block.ends {
            self.end(block.of, of, turn);
        }
        self.relieve(turn);
    }

    /// A frame about one stream.
    fn about(&mut self, header: &Header, turn: &mut Turn<'_>, tell: impl FnOnce(&mut Frames)) {
        let direction = turn.direction;
        self.with(header.stream, turn, |stream, _| {
            let frames = &mut stream.exchange.side(direction).frames;
            frames.saw(header.kind);
            tell(frames);
        });
    }

    /// A frame about the connection is a transaction of its own.
    fn control(&mut self, kind: u8, turn: &mut Turn<'_>, tell: impl FnOnce(&mut Frames)) {
        self.controls += 1;
        if self.controls > CONTROL_CAP {
            self.controls = CONTROL_CAP;
            self.odd("too_many_frames", turn);
            return;
        }
        let mut exchange = Exchange { tx_id: self.next_id(), ..Exchange::default() };
        let frames = &mut exchange.side(turn.direction).frames;
        frames.saw(kind);
        tell(frames);
        self.emit(exchange, turn);
    }

    /// A stream is taken back. What the other side sent before it knew may still come.
    fn reset(&mut self, id: u32, code: u32, turn: &mut Turn<'_>) -> Result<(), Bad> {
        if id == 0 {
            return Err(BAD_DATA);
        }
        let direction = turn.direction;
        let known = self.with(id, turn, |stream, tools| {
            let frames = &mut stream.exchange.side(direction).frames;
            frames.saw(kind::RST_STREAM);
            frames.error(code);
            stream.end(direction, FileState::Truncated, tools);
            (stream.is_answered(), stream.is_over())
        });
        let (was_answered, is_over) = known.unzip();
        match is_over {
            Some(true) => self.close(id, turn),
            Some(false) => self.lingering.push_back((id, turn.ts)),
            None => {}
        }
        self.let_go(LINGERING_CAP, turn);
        if was_answered == Some(false) && direction == Direction::ToServer {
            self.resets.count += 1;
            if self.resets.since.is_none_or(|since| turn.ts.since(since).as_secs() >= 1) {
                self.resets = Resets { since: Some(turn.ts), count: 1 };
            }
            if self.resets.count > RESETS_USUAL {
                self.odd("rapid_reset", turn);
            }
        }
        Ok(())
    }

    /// Closes the streams that lingered too long, and the oldest of those that are too many.
    fn let_go(&mut self, most: usize, turn: &mut Turn<'_>) {
        while let Some(&(id, since)) = self.lingering.front()
            && (self.lingering.len() > most || turn.ts.since(since) > LINGERING)
        {
            self.lingering.pop_front();
            self.cut(id, turn);
        }
    }

    /// Sees to it that a stream is there that fields are about to come for.
    fn open(&mut self, id: u32, turn: &mut Turn<'_>) {
        let is_known = self.streams.contains_key(&id);
        if is_known {
            let highest = self.highest_like(id);
            *highest = id.max(*highest);
            return;
        }
        // Streams are numbered upwards; only a client begins them by itself, a server by promise.
        let is_new = id > *self.highest_like(id)
            && (id.is_multiple_of(2) == (turn.direction == Direction::ToClient));
        let is_partial = self.is_partial;
        self.begin(id, turn);
        if !is_new && !is_partial {
            self.with(id, turn, |stream, tools| stream.note("stream_id_reuse", tools.out));
        }
    }

    /// The highest stream of those that the same side begins.
    const fn highest_like(&mut self, id: u32) -> &mut u32 {
        if id.is_multiple_of(2) { &mut self.highest.to_client } else { &mut self.highest.to_server }
    }

    /// A stream begins.
    fn begin(&mut self, id: u32, turn: &mut Turn<'_>) {
        let highest = self.highest_like(id);
        *highest = id.max(*highest);
        self.insert(id, turn);
    }

    fn insert(&mut self, id: u32, turn: &mut Turn<'_>) {
        if self.streams.len() >= STREAMS_CAP {
            self.odd("too_many_streams", turn);
            self.give_up_oldest(turn);
        }
        let stream = Stream::new(id, self.next_id());
        self.weight += stream.weight();
        self.streams.insert(id, stream);
    }

    /// Works on a stream, where it is there.
    fn with<T>(
        &mut self,
        id: u32,
        turn: &mut Turn<'_>,
        work: impl FnOnce(&mut Stream, &mut Tools<'_>) -> T,
    ) -> Option<T> {
        let stream = self.streams.get_mut(&id)?;
        let before = stream.weight();
        let mut tools = Tools {
            wants: self.wants,
            at: turn.ts,
            budget: &self.budget,
            decoding: &mut self.decoding,
            out: turn.out,
        };
        let done = work(stream, &mut tools);
        self.weight = (self.weight + stream.weight()).saturating_sub(before);
        Some(done)
    }

    /// One direction of a stream said its last.
    fn end(&mut self, id: u32, direction: Direction, turn: &mut Turn<'_>) {
        let is_over = self.with(id, turn, |stream, tools| {
            stream.end(direction, FileState::Closed, tools);
            stream.is_over()
        });
        if is_over == Some(true) {
            self.close(id, turn);
        }
    }

    /// Gives up the oldest streams while they keep too much alive.
    fn relieve(&mut self, turn: &mut Turn<'_>) {
        while self.weight > WEIGHT_CAP && self.streams.len() > 1 {
            self.give_up_oldest(turn);
        }
    }

    fn give_up_oldest(&mut self, turn: &mut Turn<'_>) {
        self.is_partial = true;
        if let Some(id) = self.streams.keys().next().copied() {
            self.cut(id, turn);
        }
    }

    /// A stream is over before both sides are done.
    fn cut(&mut self, id: u32, turn: &mut Turn<'_>) {
        self.with(id, turn, |stream, tools| {
            for direction in [Direction::ToServer, Direction::ToClient] {
                stream.end(direction, FileState::Truncated, tools);
            }
        });
        self.close(id, turn);
    }

    /// A stream is over.
    fn close(&mut self, id: u32, turn: &mut Turn<'_>) {
        if let Some(stream) = self.streams.remove(&id) {
            self.weight = self.weight.saturating_sub(stream.weight());
            self.emit(stream.exchange, turn);
        }
    }

    fn emit(&self, exchange: Exchange, turn: &mut Turn<'_>) {
        use flowtrack_event::Transaction as _;
        if self.wants.buffers || exchange.is_recorded() {
            turn.out.transaction(turn.direction, exchange.tx_id, exchange);
        }
    }

    /// Something is odd about the connection; it is told once.
    fn odd(&mut self, name: &'static str, turn: &mut Turn<'_>) {
        let told = &mut self.ways.of(turn.direction).told;
        if told.contains(&name) {
            return;
        }
        told.push(name);
        let exchange = Exchange { tx_id: self.next_id(), ..Exchange::default() };
        turn.out.anomaly(name, Some(exchange.tx_id));
        self.emit(exchange, turn);
    }

    const fn next_id(&mut self) -> u64 {
        let id = self.transactions;
        self.transactions += 1;
        id
    }

    /// Bytes of one direction were never seen.
    fn gap(&mut self, bytes: u64, turn: &mut Turn<'_>) {
        let direction = turn.direction;
        let way = self.ways.of(direction);
        let held = way.pending.take();
        match way.stage {
            Stage::Data { stream, left, padding, ends } => {
                let inside = bytes.min(left.into());
                self.with(stream, turn, |stream, tools| stream.gap(direction, inside, tools));
                let left = left - inside as u32;
                self.passed(Stage::Data { stream, left, padding, ends }, turn);
                self.missed(bytes - inside, direction);
            }
            Stage::Frames => {
                let header = Header::read(&held);
                if header.as_ref().is_some_and(Header::has_fields) {
                    way.fields.lose();
                    way.block = None;
                    self.is_partial = true;
                }
                let way = self.ways.of(direction);
                match header.map(|header| header.whole().saturating_sub(held.len())) {
                    Some(left) if left > 0 => {
                        way.stage = Stage::Skip(left as u32);
                        self.missed(bytes, direction);
                    }
                    _ => self.lost(direction),
                }
            }
            Stage::Skip(_) => self.missed(bytes, direction),
            Stage::Preface | Stage::Lost => self.lost(direction),
        }
    }

    /// Bytes are missing where nothing but what is passed over may be.
    fn missed(&mut self, bytes: u64, direction: Direction) {
        let way = self.ways.of(direction);
        match way.stage {
            _ if bytes == 0 => {}
            Stage::Skip(left) if bytes < u64::from(left) => {
                way.stage = Stage::Skip(left - bytes as u32);
            }
            Stage::Skip(left) if bytes == u64::from(left) => way.stage = Stage::Frames,
            _ => self.lost(direction),
        }
    }
}

/// A payload without its padding.
fn without_padding<'a>(header: &Header, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !header.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

#[cfg(test)]
mod tests;
