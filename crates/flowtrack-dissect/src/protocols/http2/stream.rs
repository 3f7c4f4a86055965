//! One stream: a request, its response, and how far both are read.

use super::doh;
use super::hpack::Decoder;
use super::record::{Exchange, Side};
use crate::protocols::dns::message::Message;
use crate::protocols::dns::record::Exchange as DnsExchange;
use crate::protocols::http::decode::Budget;
use crate::protocols::http::fields::{Range, filename_of, parameter};
use crate::protocols::http::multipart::BOUNDARY_CAP;
use crate::protocols::http::payload::{Payload, Plan};
use crate::protocols::http::uri::{file_path, host_and_port};
use crate::{Outcome, Wants};
use flowtrack_event::{Direction, FileState, Timestamp};
use smallvec::SmallVec;

/// Bodies of a connection that are decoded at a time.
const DECODING_CAP: usize = 16;
/// Names of what was odd that are told of a stream.
const ODD_CAP: usize = 16;

/// What a stream works with that belongs to its connection.
pub(super) struct Tools<'a> {
    pub(super) wants: Wants,
    pub(super) at: Timestamp,
    pub(super) budget: &'a Budget,
    /// Bodies that are being decoded.
    pub(super) decoding: &'a mut usize,
    pub(super) out: &'a mut Outcome,
}

/// A stream that is not over.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) exchange: Exchange,
    request: Progress,
    response: Progress,
    /// When the request was whole.
    asked: Option<Timestamp>,
    /// Names of what was odd.
    odd: SmallVec<[&'static str; 1]>,
}

/// How far one direction is read.
#[derive(Default)]
struct Progress {
    head: Head,
    done: bool,
    payload: Option<Box<Payload>>,
    is_decoded: bool,
    /// A message of DNS that is not whole.
    message: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Head {
    #[default]
    Awaited,
    /// Another head follows (RFC 9110 section 15.2).
    Interim,
    Seen,
}

impl Stream {
    pub(super) fn new(stream: u32, tx_id: u64) -> Self {
        Self { exchange: Exchange { stream, tx_id, ..Exchange::default() }, ..Self::default() }
    }

    const fn progress(&mut self, direction: Direction) -> &mut Progress {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    /// Whether nothing more is expected of either side.
    pub(super) const fn is_over(&self) -> bool {
        self.request.done && self.response.done
    }

    /// Whether one direction said its last.
    pub(super) const fn is_done(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.request.done,
            Direction::ToClient => self.response.done,
        }
    }

    /// Whether the server answered.
    pub(super) fn is_answered(&self) -> bool {
        self.response.head != Head::Awaited
    }

    /// Bytes it keeps alive.
    pub(super) fn weight(&self) -> usize {
        let kept: usize = [&self.request, &self.response]
            .iter()
            .map(|progress| {
                let payload = progress.payload.as_ref().map_or(0, |payload| payload.weight());
                payload + progress.message.as_ref().map_or(0, Vec::len)
            })
            .sum();
        size_of::<Self>() + self.exchange.request.weight() + self.exchange.response.weight() + kept
    }

    /// Something is odd about it.
    pub(super) fn note(&mut self, name: &'static str, out: &mut Outcome) {
        if !self.odd.contains(&name) && self.odd.len() < ODD_CAP {
            self.odd.push(name);
            out.anomaly(name, Some(self.exchange.tx_id));
        }
    }

    /// A block of fields is whole: a head, or what follows a body.
    pub(super) fn head(
        &mut self,
        direction: Direction,
        block: &[u8],
        decoder: &mut Decoder,
        tools: &mut Tools<'_>,
    ) {
        let side = self.exchange.side(direction);
        let from = side.list.len();
        let bad = decoder.decode(block, &mut side.list).err();
        self.took_fields(direction, from, tools);
        if let Some(bad) = bad {
            self.note(bad.0, tools.out);
        }
    }

    /// A request that came by HTTP/1, with the fields that it would have here.
    pub(super) fn inherit(&mut self, fields: &[(Vec<u8>, Vec<u8>)], tools: &mut Tools<'_>) {
        for (name, value) in fields {
            self.exchange.request.list.push(name, value);
        }
        self.took_fields(Direction::ToServer, 0, tools);
    }

    /// Looks at the fields from the `from`th on.
    fn took_fields(&mut self, direction: Direction, from: usize, tools: &mut Tools<'_>) {
        if self.progress(direction).head == Head::Seen {
            return;
        }
        let side = self.exchange.side(direction);
        side.head_at = from;
        let is_interim = direction == Direction::ToClient
            && side.status().is_some_and(|status| status / 100 == 1);
        let announces_dns = doh::announces(side);
        let progress = self.progress(direction);
        progress.head = if is_interim { Head::Interim } else { Head::Seen };
        if announces_dns {
            progress.message = Some(Vec::new());
        }
        if direction == Direction::ToServer {
            self.check_authority(tools.out);
            if let Some(message) = doh::asked_by_path(&self.exchange.request) {
                self.took_message(direction, message, tools);
            }
        }
    }

    /// Two hosts for one request are the beginning of a smuggled one.
    fn check_authority(&mut self, out: &mut Outcome) {
        let request = &self.exchange.request;
        let Some(authority) = request.first(":authority") else { return };
        let has_user = memchr::memchr(b'@', authority).is_some();
        let differs = request.first("host").is_some_and(|host| {
            let ((one, port), (other, other_port)) =
                (host_and_port(authority), host_and_port(host));
            !one.eq_ignore_ascii_case(other) || port != other_port
        });
        if has_user {
            self.note("userinfo_in_uri", out);
        }
        if differs {
            self.note("authority_host_mismatch", out);
        }
    }

    /// Bytes of a body.
    pub(super) fn data(&mut self, direction: Direction, bytes: &[u8], tools: &mut Tools<'_>) {
        if bytes.is_empty() {
            return;
        }
        self.begin_body(direction, tools);
        let before = tools.out.anomalies.len();
        let progress = self.progress(direction);
        if let Some(payload) = &mut progress.payload {
            payload.data(bytes, tools.budget, tools.out);
        }
        self.rename(before, tools.out);
        let progress = self.progress(direction);
        let mut is_too_long = false;
        if let Some(message) = &mut progress.message {
            is_too_long = message.len() + bytes.len() > doh::MESSAGE_CAP;
            if is_too_long {
                progress.message = None;
            } else {
                message.extend_from_slice(bytes);
            }
        }
        if is_too_long {
            let name = match direction {
                Direction::ToServer => "dns_request_too_long",
                Direction::ToClient => "dns_response_too_long",
            };
            self.note(name, tools.out);
        }
    }

    /// So many bytes of a body were never seen.
    pub(super) fn gap(&mut self, direction: Direction, bytes: u64, tools: &mut Tools<'_>) {
        if bytes == 0 {
            return;
        }
        self.begin_body(direction, tools);
        let progress = self.progress(direction);
        progress.message = None;
        if let Some(payload) = &mut progress.payload {
            payload.gap(bytes);
        }
    }

    fn begin_body(&mut self, direction: Direction, tools: &mut Tools<'_>) {
        if self.progress(direction).payload.is_some() {
            return;
        }
        let before = tools.out.anomalies.len();
        let side = self.exchange.side(direction);
        let encoding = side.get("content-encoding").map(std::borrow::Cow::into_owned);
        let is_decoded = encoding.is_some() && *tools.decoding < DECODING_CAP;
        let payload = self.plan(direction, encoding.as_deref().filter(|_| is_decoded), tools);
        self.rename(before, tools.out);
        if is_decoded {
            *tools.decoding += 1;
        } else if encoding.is_some() {
            self.note("failed_decompression", tools.out);
        }
        let progress = self.progress(direction);
        progress.payload = Some(Box::new(payload));
        progress.is_decoded = is_decoded;
    }

    fn plan(
        &self,
        direction: Direction,
        encoding: Option<&[u8]>,
        tools: &mut Tools<'_>,
    ) -> Payload {
        let Exchange { request, response, tx_id, .. } = &self.exchange;
        let is_request = direction == Direction::ToServer;
        let side = if is_request { request } else { response };
        let content_type = side.get("content-type").unwrap_or_default();
        let is_form = is_request
            && content_type.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart"));
        let boundary = parameter(&content_type, "boundary")
            .filter(|b| is_form && !b.is_empty() && b.len() <= BOUNDARY_CAP);
        let disposition = side.get("content-disposition");
        let named = disposition.as_ref().and_then(|value| filename_of(value));
        let path = file_path(request.first(":path").unwrap_or_default());
        let plan = Plan {
            wants: tools.wants,
            tx_id: *tx_id,
            direction,
            encoding,
            filename: Some(named.as_deref().unwrap_or(&path)),
            range: if is_request { None } else { range_of(response) },
            boundary: boundary.as_deref(),
            keep: 0,
        };
        Payload::new(&plan, tools.out)
    }

    /// One direction said its last.
    pub(super) fn end(&mut self, direction: Direction, state: FileState, tools: &mut Tools<'_>) {
        let progress = self.progress(direction);
        if std::mem::replace(&mut progress.done, true) {
            return;
        }
        let message = progress.message.take();
        if let Some(payload) = progress.payload.take() {
            if progress.is_decoded {
                *tools.decoding = tools.decoding.saturating_sub(1);
            }
            let before = tools.out.anomalies.len();
            let left = payload.finish(state, tools.budget, tools.out);
            self.exchange.side(direction).body = left;
            self.rename(before, tools.out);
        }
        if let Some(message) = message.as_deref().and_then(doh::message) {
            self.took_message(direction, message, tools);
        }
        if direction == Direction::ToServer {
            self.asked = Some(tools.at);
        }
    }

    /// It carried a message of DNS.
    fn took_message(&mut self, direction: Direction, message: Message, tools: &mut Tools<'_>) {
        let is_answer = direction == Direction::ToClient;
        let rtt = self.asked.filter(|_| is_answer).map(|asked| tools.at.since(asked));
        let tx_id = self.exchange.tx_id;
        self.exchange.side(direction).dns = Some(DnsExchange { message, direction, tx_id, rtt });
        tools.out.renamed = Some(super::DOH);
    }

    /// Gives what the reader of bodies found odd the name that it has in HTTP/2.
    fn rename(&mut self, before: usize, out: &mut Outcome) {
        let found: Vec<_> = out.anomalies.drain(before.min(out.anomalies.len())..).collect();
        for raised in found {
            match raised.name {
                "gzip_decompression_failed" | "decompression_failed" => {
                    self.note("failed_decompression", out);
                }
                name => self.note(name, out),
            }
        }
    }
}

/// First and last offset of a response that carries only a range.
fn range_of(response: &Side) -> Option<(u64, u64)> {
    let raw = response.first("content-range").filter(|_| response.status() == Some(206))?;
    Range::of(raw)?.bounds
}
