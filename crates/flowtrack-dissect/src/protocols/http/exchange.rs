//! A request and its response: the record, and the buffers for rules.

use super::fields::Range;
use super::head::Head;
use super::payload::Left;
use super::uri::{Target, host_and_port, normalized};
use crate::Field;
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

/// The fields of a record.
pub(super) const FIELDS: &[Field] = &[
    Field::eve("hostname", "string", "host that was asked, from an absolute target or `Host`"),
    Field::eve("http_port", "integer", "port beside that host, if told"),
    Field::eve("url", "string", "target of the request as it was sent"),
    Field::eve("http_user_agent", "string", "`User-Agent` of the request"),
    Field::eve("xff", "string", "first address of `X-Forwarded-For`"),
    Field::eve("http_content_type", "string", "media type of the response, without parameters"),
    Field::eve("content_range.raw", "string", "`Content-Range` of the response"),
    Field::eve("content_range.start", "integer", "first offset carried"),
    Field::eve("content_range.end", "integer", "last offset carried"),
    Field::eve("content_range.size", "integer", "size of the whole"),
    Field::eve("http_refer", "string", "`Referer` of the request"),
    Field::eve("http_method", "string", "method of the request"),
    Field::eve("protocol", "string", "version as the request named it"),
    Field::eve("status", "integer", "status of the response"),
    Field::eve("status_string", "string", "status where it is no number"),
    Field::eve("redirect", "string", "`Location` of a response with a 3xx status"),
    Field::eve("length", "integer", "bytes of the response's body as they were sent"),
    Field::added("depth", "integer", "place of the request among those of its connection, from 1"),
    Field::added("request_body_len", "integer", "bytes of the request's body without its framing"),
    Field::added("response_body_len", "integer", "bytes of the response's body without its framing"),
];

/// A request and its response; either may be missing.
#[derive(Default, Debug)]
pub(super) struct Exchange {
    pub(super) tx_id: u64,
    pub(super) request: Side,
    pub(super) response: Side,
}

/// One message.
#[derive(Default, Debug)]
pub(super) struct Side {
    pub(super) head: Option<Head>,
    /// Whether nothing more of it will come.
    pub(super) done: bool,
    /// Bytes of its body with the framing of chunks.
    pub(super) framed: u64,
    pub(super) body: Left,
}

impl Side {
    fn get<'a>(&'a self, name: &'a str) -> Option<Cow<'a, [u8]>> {
        self.head.as_ref()?.get(name)
    }

    /// Bytes it keeps alive.
    pub(super) fn weight(&self) -> usize {
        self.head.as_ref().map_or(0, Head::weight) + self.body.kept.len()
    }
}

impl Exchange {
    /// Method of the request, empty where none was seen.
    pub(super) fn method(&self) -> &[u8] {
        self.request.head.as_ref().map_or(b"", Head::first)
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method() == b"CONNECT"
    }

    fn target(&self) -> &[u8] {
        self.request.head.as_ref().map_or(b"", Head::second)
    }

    /// Host and port that were asked, as they were sent.
    fn authority(&self) -> Option<Cow<'_, [u8]>> {
        match Target::of(self.target(), self.is_connect()).authority {
            Some(authority) => Some(Cow::Borrowed(authority)),
            None => self.request.get("host"),
        }
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(authority) = self.authority() {
            let (host, port) = host_and_port(&authority);
            if !host.is_empty() {
                map.serialize_entry("hostname", &WireText(&host.to_ascii_lowercase()))?;
            }
            if let Some(port) = port {
                map.serialize_entry("http_port", &port)?;
            }
        }
        let mut text = |key: &'static str, value: Option<Cow<'_, [u8]>>| match value {
            Some(value) if !value.is_empty() => map.serialize_entry(key, &WireText(&value)),
            _ => Ok(()),
        };
        text("url", Some(Cow::Borrowed(self.target())))?;
        text("http_user_agent", self.request.get("user-agent"))?;
        text("xff", self.request.get("x-forwarded-for").map(first_of_list))?;
        let media_type = self.response.get("content-type").map(without_parameters);
        text("http_content_type", media_type)?;
        text("http_refer", self.request.get("referer"))?;
        text("http_method", Some(Cow::Borrowed(self.method())))?;
        let response = self.response.head.as_ref();
        let protocol = match &self.request.head {
            Some(head) => head.third(),
            None => response.map_or(&b""[..], Head::first),
        };
        text("protocol", Some(Cow::Borrowed(protocol)))?;
        if let Some(head) = response {
            match head.status() {
                Some(status) => map.serialize_entry("status", &status)?,
                None if !head.second().is_empty() => {
                    map.serialize_entry("status_string", &WireText(head.second()))?;
                }
                None => {}
            }
            if head.status().is_some_and(|status| status / 100 == 3)
                && let Some(location) = head.get("location")
            {
                map.serialize_entry("redirect", &WireText(&location))?;
            }
            if let Some(raw) = head.get("content-range") {
                map.serialize_entry("content_range", &ContentRange { raw: &raw })?;
            }
        }
        map.serialize_entry("length", &self.response.framed)?;
        map.serialize_entry("depth", &(self.tx_id + 1))?;
        map.serialize_entry("request_body_len", &self.request.body.length)?;
        map.serialize_entry("response_body_len", &self.response.body.length)?;
        map.end()
    }
}

/// `Content-Range` as it was sent and what it means.
pub(crate) struct ContentRange<'a> {
    pub(crate) raw: &'a [u8],
}

impl Serialize for ContentRange<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("raw", &WireText(self.raw))?;
        let range = Range::of(self.raw).unwrap_or_default();
        if let Some((first, last)) = range.bounds {
            map.serialize_entry("start", &first)?;
            map.serialize_entry("end", &last)?;
        }
        if let Some(size) = range.size {
            map.serialize_entry("size", &size)?;
        }
        map.end()
    }
}

/// A media type without its parameters.
pub(crate) fn without_parameters(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    cut_at(value, b';')
}

fn first_of_list(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    cut_at(value, b',')
}

fn cut_at(value: Cow<'_, [u8]>, end: u8) -> Cow<'_, [u8]> {
    match memchr::memchr(end, &value) {
        None => value,
        Some(at) => match value {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..at).unwrap_or(bytes).trim_ascii_end()),
            Cow::Owned(mut bytes) => {
                bytes.truncate(at);
                Cow::Owned(bytes)
            }
        },
    }
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        super::NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.buffer_towards(direction, name, visit);
        }
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_request = direction == Direction::ToServer;
        let side = if is_request { &self.request } else { &self.response };
        match name {
            "http.request_body" if is_request => return visit_some(&side.body.kept, visit),
            "http.response_body" if !is_request => return visit_some(&side.body.kept, visit),
            "file.data" => return visit_some(&side.body.kept, visit),
            _ => {}
        }
        let Some(head) = &side.head else { return };
        if let Some(field) = plain_field(name, is_request) {
            if let Some(value) = head.get(field) {
                visit(&value);
            }
            return;
        }
        match name {
            "http.header" => visit(&joined_fields(head, is_request)),
            "http.header.raw" => visit(head.raw_fields()),
            "http.header_names" => visit(&field_names(head)),
            "http.start" => {
                let mut start = head.line().to_vec();
                start.extend_from_slice(b"\r\n");
                start.extend_from_slice(head.raw_fields());
                visit(&start);
            }
            "http.protocol" if is_request => visit_some(head.third(), visit),
            "http.protocol" => visit_some(head.first(), visit),
            "http.request_header" if is_request => each_field(head, visit),
            "http.response_header" if !is_request => each_field(head, visit),
            _ if is_request => self.request_buffer(head, name, visit),
            "http.response_line" => visit(head.line()),
            "http.stat_code" => visit(head.second()),
            "http.stat_msg" => visit(head.third()),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let host = self.authority().unwrap_or_default();
        let target = if self.is_connect() { b"" } else { self.target() };
        let host: &[u8] = if target.starts_with(b"/") || self.is_connect() { &host } else { b"" };
        let asked = match &self.request.head {
            Some(head) => {
                format!("{} {}{}", WireText(head.first()), WireText(host), WireText(target))
            }
            None => "request not seen".into(),
        };
        match &self.response.head {
            Some(head) => format!("{asked} {}", WireText(head.second())),
            None => asked,
        }
    }
}

impl Exchange {
    fn request_buffer(&self, head: &Head, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match name {
            "http.method" => visit(head.first()),
            "http.uri" => visit(&normalized(head.second(), self.is_connect())),
            "http.uri.raw" => visit(head.second()),
            "http.request_line" => visit(head.line()),
            "http.host" => {
                if let Some(authority) = self.authority() {
                    visit(&host_and_port(&authority).0.to_ascii_lowercase());
                }
            }
            "http.host.raw" => {
                if let Some(authority) = self.authority() {
                    visit(&authority);
                }
            }
            _ => {}
        }
    }
}

/// The field that a buffer is the value of.
fn plain_field(buffer: &str, is_request: bool) -> Option<&'static str> {
    Some(match (buffer, is_request) {
        ("http.content_type", _) => "content-type",
        ("http.content_len", _) => "content-length",
        ("http.connection", _) => "connection",
        ("http.cookie", true) => "cookie",
        ("http.cookie", false) => "set-cookie",
        ("http.user_agent", true) => "user-agent",
        ("http.referer", true) => "referer",
        ("http.accept", true) => "accept",
        ("http.accept_enc", true) => "accept-encoding",
        ("http.accept_lang", true) => "accept-language",
        ("http.server", false) => "server",
        ("http.location", false) => "location",
        _ => return None,
    })
}

fn visit_some(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    if !bytes.is_empty() {
        visit(bytes);
    }
}

/// All fields but cookies, one line each.
fn joined_fields(head: &Head, is_request: bool) -> Vec<u8> {
    let cookie: &[u8] = if is_request { b"cookie" } else { b"set-cookie" };
    let mut lines = Vec::with_capacity(head.weight());
    for field in head.fields().filter(|field| !field.name.eq_ignore_ascii_case(cookie)) {
        lines.extend_from_slice(field.name);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(&field.value);
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// The names of the fields between line ends.
fn field_names(head: &Head) -> Vec<u8> {
    let mut names = b"\r\n".to_vec();
    for field in head.fields() {
        names.extend_from_slice(field.name);
        names.extend_from_slice(b"\r\n");
    }
    names.extend_from_slice(b"\r\n");
    names
}

fn each_field(head: &Head, visit: &mut dyn FnMut(&[u8])) {
    for field in head.fields() {
        visit(&[field.name, b": ", &field.value].concat());
    }
}
