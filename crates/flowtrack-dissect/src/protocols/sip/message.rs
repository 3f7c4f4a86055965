//! Messages: a first line, headers, and a body as long as a header says.

use super::NAME;
use super::sdp::Sdp;
use crate::Pending;
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Longest line kept.
const LINE_CAP: usize = 8192;
/// Headers kept of one message.
const HEADERS_CAP: usize = 128;
/// Bytes of a session description that are kept.
const BODY_CAP: usize = 64 * 1024;

/// One message.
#[derive(Default, Debug)]
pub struct Message {
    /// Which way it goes.
    pub direction: Option<Direction>,
    line: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What its body describes.
    pub sdp: Option<Sdp>,
}

/// A first line in its parts.
enum Line<'a> {
    Request { method: &'a [u8], uri: &'a [u8], version: &'a [u8] },
    Response { version: &'a [u8], code: &'a [u8], reason: &'a [u8] },
}

impl Message {
    fn parts(&self) -> Line<'_> {
        let mut parts = self.line.splitn(3, |&b| b == b' ');
        let mut next = || parts.next().unwrap_or_default();
        let (a, b, c) = (next(), next(), next());
        if a.starts_with(b"SIP/") {
            Line::Response { version: a, code: b, reason: c }
        } else {
            Line::Request { method: a, uri: b, version: c }
        }
    }

    /// The values of a header, by its long name in lower case.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(found, _)| long_name(found).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    fn add_header(&mut self, line: &[u8]) {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some((_, value)) = self.headers.last_mut()
                && value.len() + line.len() < LINE_CAP
            {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
        } else if let Some(colon) = memchr::memchr(b':', line)
            && self.headers.len() < HEADERS_CAP
            && let Some((name, value)) = line.split_at_checked(colon)
        {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            self.headers.push((name.trim_ascii().to_vec(), value.to_vec()));
        }
    }

    fn content_length(&self) -> Option<u64> {
        std::str::from_utf8(self.header("content-length").next()?).ok()?.parse().ok()
    }

    fn has_sdp(&self) -> bool {
        self.header("content-type").any(|t| {
            let kind = b"application/sdp";
            t.get(..kind.len()).is_some_and(|t| t.eq_ignore_ascii_case(kind))
        })
    }
}

/// The long form of a header's name (RFC 3261 section 20).
fn long_name(name: &[u8]) -> &[u8] {
    match name.to_ascii_lowercase().as_slice() {
        b"i" => b"Call-ID",
        b"m" => b"Contact",
        b"e" => b"Content-Encoding",
        b"l" => b"Content-Length",
        b"c" => b"Content-Type",
        b"f" => b"From",
        b"s" => b"Subject",
        b"k" => b"Supported",
        b"t" => b"To",
        b"v" => b"Via",
        _ => name,
    }
}

/// Puts the messages of one direction together.
#[derive(Default, Debug)]
pub struct Assembly {
    pending: Pending,
    stage: Stage,
    message: Message,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Default, Debug)]
enum Stage {
    #[default]
    Line,
    Headers,
    /// So many bytes of the body are to come.
    Body(u64),
}

impl Assembly {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], found: &mut impl FnMut(Message)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Stage::Body(left) = self.stage {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (body, after) = rest.split_at_checked(n).unwrap_or((rest, &[]));
                if self.message.has_sdp() {
                    let room = BODY_CAP.saturating_sub(self.body.len());
                    self.body.extend_from_slice(body.get(..room).unwrap_or(body));
                }
                self.pass(n as u64, found);
                rest = after;
                continue;
            }
            let mut pending = std::mem::take(&mut self.pending);
            let used = pending.lines(rest, LINE_CAP, |line| self.line(line, found));
            self.pending = pending;
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// So many bytes are missing.
    pub fn gap(&mut self, length: u64, found: &mut impl FnMut(Message)) {
        if let Stage::Body(left) = self.stage
            && length <= left
        {
            self.pass(length, found);
        } else {
            // The next first line is looked for.
            *self = Self::default();
        }
    }

    /// So many bytes of the body are over.
    fn pass(&mut self, length: u64, found: &mut impl FnMut(Message)) {
        if let Stage::Body(left) = &mut self.stage {
            *left = left.saturating_sub(length);
            if *left == 0 {
                self.complete(found);
            }
        }
    }

    /// Takes a line; answers whether another follows.
    fn line(&mut self, line: &[u8], found: &mut impl FnMut(Message)) -> bool {
        match self.stage {
            Stage::Line if super::is_first_line(line, true) => {
                self.message.line = line.to_vec();
                self.stage = Stage::Headers;
            }
            Stage::Headers if line.is_empty() => match self.message.content_length() {
                Some(length) if length > 0 => {
                    self.stage = Stage::Body(length);
                    return false;
                }
                _ => self.complete(found),
            },
            Stage::Headers => self.message.add_header(line),
            Stage::Line | Stage::Body(_) => {}
        }
        true
    }

    /// The end: a message without the rest of its body is told too.
    pub fn finish(&mut self, found: &mut impl FnMut(Message)) {
        if !matches!(self.stage, Stage::Line) {
            self.complete(found);
        }
    }

    fn complete(&mut self, found: &mut impl FnMut(Message)) {
        let mut message = std::mem::take(&mut self.message);
        let body = std::mem::take(&mut self.body);
        self.stage = Stage::Line;
        if !body.is_empty() {
            message.sdp = Sdp::read(&body);
        }
        found(message);
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        self.direction
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if let Some(name) = name.strip_prefix("sdp.") {
            if let Some(sdp) = &self.sdp {
                sdp.buffer(name, visit);
            }
            return;
        }
        let Some(name) = name.strip_prefix("sip.") else { return };
        let is_header = match (name, self.parts()) {
            ("method", Line::Request { method: part, .. })
            | ("uri", Line::Request { uri: part, .. })
            | (
                "protocol",
                Line::Request { version: part, .. } | Line::Response { version: part, .. },
            )
            | ("stat_code", Line::Response { code: part, .. })
            | ("stat_msg", Line::Response { reason: part, .. }) => {
                visit(part);
                false
            }
            ("request_line", Line::Request { .. }) | ("response_line", Line::Response { .. }) => {
                visit(&self.line);
                false
            }
            _ => true,
        };
        if is_header {
            let header = match name {
                "from" | "to" | "via" => name,
                "user_agent" => "user-agent",
                "content_type" => "content-type",
                "content_length" => "content-length",
                _ => return,
            };
            self.header(header).for_each(visit);
        }
    }

    fn summary(&self) -> String {
        match self.parts() {
            Line::Request { method, uri, .. } => {
                format!("{} {}", WireText(method), WireText(uri))
            }
            Line::Response { code, reason, .. } => {
                format!("{} {}", WireText(code), WireText(reason))
            }
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        let line = WireText(&self.line);
        let parts = match self.parts() {
            Line::Request { method, uri, version } => {
                [("method", method), ("uri", uri), ("version", version)]
            }
            Line::Response { version, code, reason } => {
                [("version", version), ("code", code), ("reason", reason)]
            }
        };
        for (name, part) in parts {
            map.serialize_entry(name, &WireText(part))?;
        }
        let is_response = self.line.starts_with(b"SIP/");
        map.serialize_entry(if is_response { "response_line" } else { "request_line" }, &line)?;
        for (field, header) in
            [("from", "from"), ("to", "to"), ("call_id", "call-id"), ("user_agent", "user-agent")]
        {
            if let Some(value) = self.header(header).next() {
                map.serialize_entry(field, &WireText(value))?;
            }
        }
        if let Some(sdp) = &self.sdp {
            map.serialize_entry("sdp", sdp)?;
        }
        map.end()
    }
}
