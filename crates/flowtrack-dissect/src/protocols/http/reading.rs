//! Reads both directions of a connection and puts requests and responses together.

use super::decode::Budget;
use super::exchange::{Exchange, Side as Message};
use super::fields::{Range, filename_of, parameter};
use super::form;
use super::framing::{Chunked, Framing, Told};
use super::head::{EndFinder, HEAD_CAP, Head, Side};
use super::lines::Finder;
use super::multipart::BOUNDARY_CAP;
use super::payload::{KEPT_CAP, Payload, Plan};
use super::{check, is_method};
use crate::{Dissector, Malformed, Moment, Next, Outcome, Wants};
use flowtrack_event::{AppProto, Chunk, Direction, FileState};
use std::collections::VecDeque;

/// Exchanges that may be open at a time.
const OPEN_CAP: usize = 256;
/// Bytes that open exchanges may keep alive.
const WEIGHT_CAP: usize = 1 << 20;
/// Blanks that may stand before the first line of a response.
const BLANK_CAP: usize = 256;
/// Bytes behind a CONNECT that wait for its answer.
const TUNNEL_CAP: usize = 64 * 1024;

/// One connection.
pub(super) struct Reading {
    wants: Wants,
    request: Way,
    response: Way,
    /// Exchanges that are not complete, oldest first.
    open: VecDeque<Exchange>,
    weight: usize,
    transactions: u64,
    budget: Budget,
    ended: [bool; 2],
    /// The request that asked for another protocol.
    upgrading: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How far one direction is read.
struct Way {
    side: Side,
    stage: Stage,
    /// The beginning of a head that is not complete.
    held: Vec<u8>,
    finder: EndFinder,
    /// The same for responses, whose lines end in more ways.
    response_finder: Finder,
    /// The first line of the head was found to be one.
    line_seen: bool,
    /// Bytes were lost: lines are passed over up to one that begins a message.
    lost: bool,
    /// Whether it was told that something stands here that is no message.
    junk_told: bool,
}

enum Stage {
    Head,
    Body {
        framing: Framing,
        payload: Box<Payload>,
    },
    /// The message should have no body; what comes next decides.
    Perhaps(Box<(Framing, Payload)>),
    /// A CONNECT waits for its answer.
    Tunnel,
    /// Nothing that comes is read.
    Ignore,
}

/// What reading a head brought.
enum Turn {
    /// It was cut off; all bytes are held.
    Wait,
    /// So many bytes of the input were used.
    Used(usize),
    /// Another protocol begins behind so many bytes.
    Change(usize, Option<AppProto>),
}

impl Way {
    fn new(side: Side) -> Self {
        Self {
            side,
            stage: Stage::Head,
            held: Vec::new(),
            finder: EndFinder::default(),
            response_finder: Finder::default(),
            line_seen: false,
            lost: false,
            junk_told: false,
        }
    }

    fn next_head(&mut self) {
        self.stage = Stage::Head;
        self.finder = EndFinder::default();
        self.response_finder = Finder::default();
        self.line_seen = false;
        self.held = Vec::new();
    }
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        match chunk {
            Chunk::Gap(n) => {
                self.gap(direction, n, out);
                Ok(Next::More)
            }
            Chunk::Bytes(bytes) => self.bytes(direction, bytes, out),
        }
    }

    fn leaves(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.upgrading)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        self.end_way(direction, out);
        let [requests, responses] = &mut self.ended;
        match direction {
            Direction::ToServer => *requests = true,
            Direction::ToClient => *responses = true,
        }
        if self.ended == [true, true] {
            while let Some(exchange) = self.open.pop_front() {
                self.emit(exchange, direction, out);
            }
        }
    }
}

impl Reading {
    pub(super) fn new(wants: Wants) -> Self {
        Self {
            wants,
            request: Way::new(Side::Request),
            response: Way::new(Side::Response),
            open: VecDeque::new(),
            weight: 0,
            transactions: 0,
            budget: Budget::default(),
            ended: [false; 2],
            upgrading: Vec::new(),
        }
    }

    const fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    fn bytes(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        if direction == Direction::ToClient {
            self.settle_request(out);
        }
        let mut used = 0;
        // Each turn uses up bytes or moves on to another stage.
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            match &mut self.way(direction).stage {
                Stage::Ignore => break,
                Stage::Tunnel => {
                    let held = &mut self.way(direction).held;
                    let room = TUNNEL_CAP.saturating_sub(held.len());
                    held.extend_from_slice(rest.get(..room).unwrap_or(rest));
                    break;
                }
                Stage::Body { .. } => used += self.body(direction, rest, out),
                Stage::Perhaps(_) => match self.perhaps(direction, rest, out) {
                    Some(n) => used += n,
                    None => break,
                },
                Stage::Head => match self.head(direction, rest, out)? {
                    Turn::Wait => break,
                    Turn::Used(n) => used += n,
                    Turn::Change(n, to) => {
                        self.flush(direction, out);
                        return Ok(Next::Change { consumed: used + n, to });
                    }
                },
            }
        }
        Ok(Next::More)
    }

    /// Reads on in a head; `rest` is what follows the bytes held.
    fn head(
        &mut self,
        direction: Direction,
        rest: &[u8],
        out: &mut Outcome,
    ) -> Result<Turn, Malformed> {
        let way = self.way(direction);
        let mut rest = rest;
        let mut skipped = 0;
        if way.held.is_empty() {
            // Line ends before a message are passed over.
            skipped = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            rest = rest.get(skipped..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Turn::Used(skipped));
            }
        }
        let mut held = std::mem::take(&mut way.held);
        let before = held.len();
        let seen: &[u8] = if before == 0 {
            rest
        } else {
            held.extend_from_slice(rest);
            &held
        };
        let end = match self.head_end(direction, seen, before, out) {
            Found::Head(end) => end,
            Found::Skip(n) => {
                if direction == Direction::ToServer {
                    self.unexpected_body(seen.get(..n).unwrap_or_default(), out);
                }
                let way = self.way(direction);
                way.next_head();
                return Ok(Turn::Used(skipped + n.saturating_sub(before)));
            }
            Found::Body => {
                // A body without a head: held bytes are the beginning of it.
                self.headless(out);
                if before > 0 {
                    let held = held.get(..before).unwrap_or_default();
                    let _ = self.body(direction, held, out);
                }
                return Ok(Turn::Used(skipped));
            }
            Found::More if seen.len() > HEAD_CAP => {
                let name = match direction {
                    Direction::ToServer => "request_field_too_long",
                    Direction::ToClient => "response_field_too_long",
                };
                self.flush(direction, out);
                return Err(Malformed(name));
            }
            Found::More => {
                let held = if before == 0 { rest.to_vec() } else { held };
                self.way(direction).held = held;
                return Ok(Turn::Wait);
            }
        };
        let head = Head::read(seen.get(..end).unwrap_or_default(), self.way(direction).side);
        let used = skipped + end.saturating_sub(before);
        self.way(direction).next_head();
        self.way(direction).lost = false;
        Ok(match direction {
            Direction::ToServer => {
                self.request(head, out);
                Turn::Used(used)
            }
            Direction::ToClient => match self.response(head, out) {
                Some(to) => Turn::Change(used, to),
                None => Turn::Used(used),
            },
        })
    }

    /// Looks for the end of the head at the front of `seen`, of which the first `before` bytes were
    /// looked at already.
    fn head_end(
        &mut self,
        direction: Direction,
        seen: &[u8],
        before: usize,
        out: &mut Outcome,
    ) -> Found {
        let first_of_all = self.transactions == 0;
        let waits = self.open.iter().any(|exchange| !exchange.response.done);
        let asked = self.open.back().is_some_and(|exchange| exchange.request.done);
        let way = self.way(direction);
        if !way.line_seen {
            // The last byte may have ended a line of which the next one decides what it is.
            let from = before.saturating_sub(1);
            let fresh = seen.get(from..).unwrap_or_default();
            let line_end = memchr::memchr(b'\n', fresh).map(|end| from + end);
            let line = seen.get(..line_end.unwrap_or(seen.len())).unwrap_or_default();
            let is_message = match way.side {
                Side::Response => match starts_like_response(line, line_end.is_some()) {
                    None => return Found::More,
                    Some(is_message) => is_message,
                },
                Side::Request => {
                    if line_end.is_none() {
                        return Found::More;
                    }
                    (first_of_all && !way.lost) || is_request_line(line)
                }
            };
            if !is_message {
                if way.side == Side::Response && waits && !way.lost {
                    let after = line_end.map(|end| (end, seen.get(end + 1)));
                    return match after {
                        // A line of no meaning before the first one is passed over.
                        Some((_, None)) => Found::More,
                        Some((end, Some(b'H'))) => Found::Skip(end + 1),
                        Some((end, _)) if line.trim_ascii_end().len() <= 2 => Found::Skip(end + 1),
                        _ => Found::Body,
                    };
                }
                let Some(end) = line_end else {
                    // What is passed over need not be held.
                    return if seen.len() > HEAD_CAP {
                        Found::Skip(seen.len())
                    } else {
                        Found::More
                    };
                };
                // Behind a request it is told with that.
                let is_body = way.side == Side::Request && asked;
                if !is_body && !std::mem::replace(&mut way.junk_told, true) && !way.lost {
                    out.anomaly(
                        match direction {
                            Direction::ToServer => "request_body_unexpected",
                            Direction::ToClient => "unable_to_match_response_to_request",
                        },
                        None,
                    );
                }
                return Found::Skip(end + 1);
            }
            if line_end.is_none() {
                return Found::More;
            }
            way.line_seen = true;
        }
        if direction == Direction::ToServer
            && let Some(found) = old_request(seen)
        {
            return found;
        }
        let end = match way.side {
            Side::Request => way.finder.find(seen),
            Side::Response => way.response_finder.find(seen),
        };
        end.map_or(Found::More, Found::Head)
    }

    /// A request of HTTP/0.9 has no more than its line: where a response comes, it was whole.
    fn settle_request(&mut self, out: &mut Outcome) {
        let way = &mut self.request;
        if !matches!(way.stage, Stage::Head) {
            return;
        }
        if !way.line_seen {
            // What has no line end by the time of the answer is no request.
            let held = std::mem::take(&mut way.held);
            if self.unexpected_body(&held, out) {
                self.request.next_head();
            } else {
                self.request.held = held;
            }
            return;
        }
        let line = way.held.split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
        if has_version(line) {
            return;
        }
        let head = Head::read(line, Side::Request);
        way.next_head();
        self.request(head, out);
    }

    /// What follows a request that told of no body, and is no request, is its body all the same;
    /// says whether there was such a request.
    fn unexpected_body(&mut self, bytes: &[u8], out: &mut Outcome) -> bool {
        if self.request.lost || bytes.is_empty() {
            return false;
        }
        let Some(exchange) = self.open.back_mut().filter(|exchange| exchange.request.done) else {
            return false;
        };
        let body = &mut exchange.request.body;
        if body.length == 0 {
            out.anomaly("request_body_unexpected", Some(exchange.tx_id));
        }
        body.length = body.length.saturating_add(bytes.len() as u64);
        if self.wants.buffers {
            let room = KEPT_CAP.saturating_sub(body.kept.len());
            let kept = bytes.get(..room).unwrap_or(bytes);
            body.kept.extend_from_slice(kept);
            self.weight += kept.len();
        }
        true
    }

    /// A request's head is there.
    fn request(&mut self, head: Head, out: &mut Outcome) {
        let tx_id = self.next_id();
        for name in &head.odd {
            out.anomaly(name, Some(tx_id));
        }
        check::request(&head, &mut |name| out.anomaly(name, Some(tx_id)));
        let told = Told::by(&head);
        check::framing(&told, &head, Side::Request, &mut |name| out.anomaly(name, Some(tx_id)));
        let framing = match told {
            Told { chunked: true, .. } => Some(Framing::Chunked(Chunked::default())),
            Told { length: Some(length), .. } if length > 0 => Some(Framing::Length(length)),
            _ => None,
        };
        let is_old = head.third().is_empty() && head.raw_fields().is_empty();
        let mut exchange = Exchange { tx_id, ..Exchange::default() };
        let mut stage = Stage::Head;
        if head.first() == b"CONNECT" {
            stage = Stage::Tunnel;
        } else if let Some(framing) = framing {
            let payload = Box::new(self.request_payload(&head, tx_id, out));
            stage = Stage::Body { framing, payload };
        } else if is_old {
            stage = Stage::Ignore;
        }
        exchange.request.done = !matches!(stage, Stage::Body { .. });
        exchange.request.head = Some(head);
        self.request.stage = stage;
        if exchange.request.done {
            out.half(Direction::ToServer, tx_id, || {
                let request = exchange.request.clone();
                Exchange { tx_id, request, ..Exchange::default() }
            });
        }
        self.push(exchange, Direction::ToServer, out);
    }

    fn request_payload(&self, head: &Head, tx_id: u64, out: &mut Outcome) -> Payload {
        let content_type = head.get("content-type").unwrap_or_default();
        let is_form =
            content_type.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart"));
        let boundary = parameter(&content_type, "boundary")
            .filter(|b| is_form && !b.is_empty() && b.len() <= BOUNDARY_CAP);
        let path = super::uri::file_path(head.second());
        let is_upload = matches!(head.first(), b"POST" | b"PUT");
        let disposition = head.get("content-disposition");
        let named = disposition.as_ref().and_then(|value| filename_of(value));
        let encoding = head.get("content-encoding");
        let plan = Plan {
            wants: self.wants,
            tx_id,
            direction: Direction::ToServer,
            encoding: encoding.as_deref(),
            filename: is_upload.then(|| named.as_deref().unwrap_or(&path)),
            range: None,
            boundary: boundary.as_deref().filter(|_| head.first() == b"POST"),
            keep: if out.wants_logins && form::is_for_login(head.first(), head.second()) {
                form::SENT
            } else {
                0
            },
        };
        Payload::new(&plan, out)
    }

    /// A response's head is there; answers a change of protocol.
    #[allow(
        clippy::option_option,
        reason = "as `Next::Change` has it: whether, and to what if known"
    )]
    fn response(&mut self, head: Head, out: &mut Outcome) -> Option<Option<AppProto>> {
        let tx_id = self.answered(out);
        for name in &head.odd {
            out.anomaly(name, Some(tx_id));
        }
        check::response(&head, &mut |name| out.anomaly(name, Some(tx_id)));
        let told = Told::by(&head);
        check::framing(&told, &head, Side::Response, &mut |name| out.anomaly(name, Some(tx_id)));
        let status = head.status().unwrap_or_default();
        let framing = match told {
            Told { chunked: true, .. } => Framing::Chunked(Chunked::default()),
            // Of a length with something behind it nobody knows what it means.
            Told { length: Some(length), junk_after: false, .. } => Framing::Length(length),
            _ => Framing::UntilEnd,
        };
        let exchange = self.open.iter_mut().find(|exchange| !exchange.response.done)?;
        if status / 100 == 1 && status != 101 {
            // Another response follows to the same request (RFC 9110 section 15.2).
            if status == 100 && exchange.response.head.replace(head).is_some() {
                out.anomaly("100_continue_already_seen", Some(tx_id));
            }
            return None;
        }
        let is_connect = exchange.is_connect();
        let is_head = exchange.method() == b"HEAD";
        let change = match status {
            101 => Some(upgrade(&head)),
            200..=299 if is_connect => Some(None),
            _ => None,
        };
        if change.flatten().is_some()
            && let Some(asked) = &exchange.request.head
        {
            self.upgrading = as_fields(asked);
        }
        let forbidden = matches!(status, 204 | 304) || change.is_some();
        let perhaps = matches!(status, 204 | 304)
            && change.is_none()
            && (told.coded || told.length.is_some_and(|length| length > 0));
        let has_body = !is_head && !framing.is_done() && (!forbidden || perhaps);
        let stage = if has_body {
            let payload = self.response_payload(&head, tx_id, out);
            if perhaps {
                Stage::Perhaps(Box::new((framing, payload)))
            } else {
                Stage::Body { framing, payload: Box::new(payload) }
            }
        } else {
            Stage::Head
        };
        if let Some(exchange) = self.open.iter_mut().find(|exchange| !exchange.response.done) {
            exchange.response.done = !has_body;
            exchange.response.head = Some(head);
        }
        if is_connect && change.is_none() {
            self.resume_requests(out);
        }
        self.response.stage = stage;
        self.settle(Direction::ToClient, out);
        change
    }

    fn response_payload(&self, head: &Head, tx_id: u64, out: &mut Outcome) -> Payload {
        let exchange = self.open.iter().find(|exchange| !exchange.response.done);
        let asked = exchange.and_then(|e| e.request.head.as_ref());
        let method = asked.map_or(&b""[..], Head::first);
        let target = asked.map_or(&b""[..], Head::second);
        let path = super::uri::file_path(target);
        let disposition = head.get("content-disposition");
        let named = disposition.as_ref().and_then(|value| filename_of(value));
        let range = head
            .get("content-range")
            .filter(|_| head.status() == Some(206))
            .and_then(|value| Range::of(&value)?.bounds);
        let encoding = head.get("content-encoding");
        let plan = Plan {
            wants: self.wants,
            tx_id,
            direction: Direction::ToClient,
            encoding: encoding.as_deref(),
            filename: Some(named.as_deref().unwrap_or(&path)),
            range,
            boundary: None,
            keep: if out.wants_logins && form::is_for_login(method, target) {
                form::ANSWER
            } else {
                0
            },
        };
        Payload::new(&plan, out)
    }

    /// A response that has no head: all that comes is its body.
    fn headless(&mut self, out: &mut Outcome) {
        let tx_id = self.answered(out);
        let empty = Head::read(b"", Side::Response);
        let payload = Box::new(self.response_payload(&empty, tx_id, out));
        self.response.stage = Stage::Body { framing: Framing::UntilEnd, payload };
    }

    /// The transaction that a response belongs to; one of its own where no request was seen.
    fn answered(&mut self, out: &mut Outcome) -> u64 {
        if let Some(exchange) = self.open.iter().find(|exchange| !exchange.response.done) {
            return exchange.tx_id;
        }
        let tx_id = self.next_id();
        if tx_id > 0 {
            out.anomaly("unable_to_match_response_to_request", Some(tx_id));
        }
        let mut exchange = Exchange { tx_id, ..Exchange::default() };
        exchange.request.done = true;
        self.push(exchange, Direction::ToClient, out);
        tx_id
    }

    /// Reads on in a body; answers how many bytes belonged to it.
    fn body(&mut self, direction: Direction, bytes: &[u8], out: &mut Outcome) -> usize {
        let Self { request, response, budget, open, .. } = self;
        let way = match direction {
            Direction::ToServer => request,
            Direction::ToClient => response,
        };
        let Stage::Body { framing, payload } = &mut way.stage else { return 0 };
        let fed = framing.feed(bytes, &mut |b| payload.data(b, budget, out));
        let message = current(open, direction);
        let tx_id = message.map(|(tx_id, message)| {
            message.framed = message.framed.saturating_add(fed.length);
            tx_id
        });
        if fed.invalid_chunk {
            out.anomaly(
                match direction {
                    Direction::ToServer => "invalid_request_chunk_len",
                    Direction::ToClient => "invalid_response_chunk_len",
                },
                tx_id,
            );
        }
        if fed.extension {
            out.anomaly(
                match direction {
                    Direction::ToServer => "request_chunk_extension",
                    Direction::ToClient => "response_chunk_extension",
                },
                tx_id,
            );
        }
        if fed.done {
            self.end_body(direction, FileState::Closed, out);
        }
        fed.used
    }

    /// Decides whether bytes behind a head that allows no body are one; `None` to wait for more.
    fn perhaps(&mut self, direction: Direction, rest: &[u8], out: &mut Outcome) -> Option<usize> {
        let way = self.way(direction);
        let mut seen = way.held.clone();
        seen.extend_from_slice(rest);
        let Some(is_message) = starts_like_response(&seen, seen.contains(&b'\n')) else {
            way.held = seen;
            return None;
        };
        let held = std::mem::take(&mut way.held);
        let Stage::Perhaps(inner) = std::mem::replace(&mut way.stage, Stage::Head) else {
            return Some(0);
        };
        let (framing, payload) = *inner;
        way.stage = Stage::Body { framing, payload: Box::new(payload) };
        if is_message {
            self.end_body(direction, FileState::Closed, out);
            self.way(direction).held = held;
            return Some(0);
        }
        let tx_id = current(&mut self.open, direction).map(|(tx_id, _)| tx_id);
        out.anomaly("response_body_unexpected", tx_id);
        let _ = self.body(direction, &held, out);
        Some(0)
    }

    /// The body of a direction ended.
    fn end_body(&mut self, direction: Direction, state: FileState, out: &mut Outcome) {
        let way = self.way(direction);
        let stage = std::mem::replace(&mut way.stage, Stage::Head);
        way.next_head();
        let payload = match stage {
            Stage::Body { payload, .. } => *payload,
            Stage::Perhaps(inner) => inner.1,
            _ => return,
        };
        let left = payload.finish(state, &self.budget, out);
        self.weight += left.kept.len();
        if let Some((tx_id, message)) = current(&mut self.open, direction) {
            message.body = left;
            message.done = true;
            if direction == Direction::ToServer {
                let request =
                    || Exchange { tx_id, request: message.clone(), ..Exchange::default() };
                out.half(direction, tx_id, request);
            }
        }
        self.settle(direction, out);
    }

    /// Bytes of one direction were never seen.
    fn gap(&mut self, direction: Direction, bytes: u64, out: &mut Outcome) {
        let way = self.way(direction);
        match &mut way.stage {
            Stage::Body { framing, payload } => {
                let inside = framing.gap(bytes);
                payload.gap(inside);
                let beyond = inside < bytes;
                if beyond {
                    way.lost = true;
                    self.end_body(direction, FileState::Truncated, out);
                } else if framing.is_done() {
                    self.end_body(direction, FileState::Closed, out);
                }
            }
            Stage::Perhaps(_) => {
                way.lost = true;
                self.end_body(direction, FileState::Truncated, out);
            }
            Stage::Head => {
                if way.line_seen {
                    self.cut_head(direction, out);
                }
                let way = self.way(direction);
                way.next_head();
                way.lost = true;
            }
            Stage::Tunnel | Stage::Ignore => {}
        }
    }

    /// A head was cut off: what is there of it is read.
    fn cut_head(&mut self, direction: Direction, out: &mut Outcome) {
        let way = self.way(direction);
        let held = std::mem::take(&mut way.held);
        let Some(end) = memchr::memrchr(b'\n', &held) else { return };
        let head = Head::read(held.get(..=end).unwrap_or_default(), way.side);
        match direction {
            Direction::ToServer => self.request(head, out),
            Direction::ToClient => {
                self.response(head, out);
            }
        }
        match &self.way(direction).stage {
            Stage::Body { .. } | Stage::Perhaps(_) => {
                self.end_body(direction, FileState::Truncated, out);
            }
            _ => {}
        }
    }

    /// One direction ended.
    fn end_way(&mut self, direction: Direction, out: &mut Outcome) {
        let way = self.way(direction);
        match &way.stage {
            Stage::Body { framing, .. } => {
                let whole = framing.ends_with_stream();
                let state = if whole { FileState::Closed } else { FileState::Truncated };
                self.end_body(direction, state, out);
            }
            Stage::Perhaps(_) => self.end_body(direction, FileState::Closed, out),
            Stage::Head if way.line_seen => self.cut_head(direction, out),
            Stage::Head if direction == Direction::ToServer => {
                let held = std::mem::take(&mut self.request.held);
                self.unexpected_body(&held, out);
            }
            Stage::Head | Stage::Tunnel | Stage::Ignore => {}
        }
        self.way(direction).stage = Stage::Ignore;
    }

    /// A CONNECT was refused: what the client sent behind it are requests.
    fn resume_requests(&mut self, out: &mut Outcome) {
        if !matches!(self.request.stage, Stage::Tunnel) {
            return;
        }
        let held = std::mem::take(&mut self.request.held);
        self.request.next_head();
        if !held.is_empty() {
            let _ = self.bytes(Direction::ToServer, &held, out);
        }
    }

    const fn next_id(&mut self) -> u64 {
        let id = self.transactions;
        self.transactions += 1;
        id
    }

    fn push(&mut self, exchange: Exchange, direction: Direction, out: &mut Outcome) {
        self.weight += weight(&exchange);
        self.open.push_back(exchange);
        while self.open.len() > OPEN_CAP || (self.weight > WEIGHT_CAP && self.open.len() > 1) {
            let Some(oldest) = self.open.pop_front() else { break };
            self.emit(oldest, direction, out);
        }
    }

    /// Reports what is complete, in order.
    fn settle(&mut self, direction: Direction, out: &mut Outcome) {
        while self.open.front().is_some_and(|e| e.request.done && e.response.done) {
            if let Some(exchange) = self.open.pop_front() {
                self.emit(exchange, direction, out);
            }
        }
    }

    fn flush(&mut self, direction: Direction, out: &mut Outcome) {
        for way in [Direction::ToServer, Direction::ToClient] {
            self.end_way(way, out);
        }
        while let Some(exchange) = self.open.pop_front() {
            self.emit(exchange, direction, out);
        }
    }

    fn emit(&mut self, exchange: Exchange, direction: Direction, out: &mut Outcome) {
        self.weight = self.weight.saturating_sub(weight(&exchange));
        if out.wants_logins {
            exchange.login(out);
        }
        out.transaction(direction, exchange.tx_id, exchange);
    }
}

/// What stands at the front of a direction that waits for a head.
enum Found {
    /// A head of so many bytes.
    Head(usize),
    /// Not enough to say.
    More,
    /// So many bytes that are no message.
    Skip(usize),
    /// A body without a head.
    Body,
}

/// The message of a direction that is being read, with its transaction.
fn current(open: &mut VecDeque<Exchange>, direction: Direction) -> Option<(u64, &mut Message)> {
    open.iter_mut()
        .map(|exchange| match direction {
            Direction::ToServer => (exchange.tx_id, &mut exchange.request),
            Direction::ToClient => (exchange.tx_id, &mut exchange.response),
        })
        .find(|(_, message)| !message.done)
}

fn weight(exchange: &Exchange) -> usize {
    exchange.request.weight() + exchange.response.weight()
}

/// Whether a line begins a response; `None` while it may.
fn starts_like_response(line: &[u8], whole: bool) -> Option<bool> {
    const BEGINNING: &[u8] = b"HTTP";
    let line = line.get(..BLANK_CAP + BEGINNING.len()).unwrap_or(line).trim_ascii_start();
    if line.is_empty() && !whole {
        return None;
    }
    let n = line.len().min(BEGINNING.len());
    let same =
        line.get(..n).zip(BEGINNING.get(..n)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    match (same, n == BEGINNING.len()) {
        (true, false) if !whole => None,
        (same, full) => Some(same && full),
    }
}

/// Whether a line asks for something: by a method that is known, or by naming its protocol.
fn is_request_line(line: &[u8]) -> bool {
    let method = line.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
    is_method(method) || (has_version(line) && method.iter().all(|&b| super::head::is_token(b)))
}

/// Whether the last word of a line is a version.
fn has_version(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let last = line.rsplit(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
    last.len() < line.len() && last.get(..5).is_some_and(|b| b.eq_ignore_ascii_case(b"HTTP/"))
}

/// Decides about a request line without a version: of HTTP/0.9 it is all there is, unless what
/// follows looks like fields. `None` where the line has a version.
fn old_request(seen: &[u8]) -> Option<Found> {
    let end = memchr::memchr(b'\n', seen)?;
    if has_version(seen.get(..end)?) {
        return None;
    }
    let rest = seen.get(end + 1..)?;
    let Some(next) = memchr::memchr(b'\n', rest) else { return Some(Found::More) };
    let line = rest.get(..next)?;
    if line.trim_ascii().is_empty() {
        return Some(Found::Head(end + 1 + next + 1));
    }
    if memchr::memchr(b':', line).is_some() { None } else { Some(Found::Head(end + 1)) }
}

/// A request as fields alone, as HTTP/2 writes it.
fn as_fields(head: &Head) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = vec![
        (b":method".to_vec(), head.first().to_vec()),
        (b":path".to_vec(), head.second().to_vec()),
    ];
    fields.extend(head.fields().map(|f| (f.name.to_ascii_lowercase(), f.value.into_owned())));
    fields
}

/// What an upgrade leads to.
fn upgrade(head: &Head) -> Option<AppProto> {
    let to = head.get("upgrade")?.to_ascii_lowercase();
    match to.as_slice() {
        b"websocket" => Some(AppProto("websocket")),
        b"h2c" => Some(AppProto("http2")),
        _ => None,
    }
}
