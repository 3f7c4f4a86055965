//! A request and its response: the record, and the buffers for rules.

use super::fields::Range;
use super::form;
use super::head::{Head, HeadField};
use super::payload::Left;
use super::uri::{Target, host_and_port, is_host, normalized};
use crate::protocols::smtp::decode::base64;
use crate::{Field, Keyword, Outcome};
use flowtrack_event::{AppProto, Direction, LoginOutcome, Secret, Transaction, WireText};
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
    Field::added(
        "response_body_len",
        "integer",
        "bytes of the response's body without its framing",
    ),
];

/// What rules may ask for.
pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("http.uri", "target, normalized").to_server(),
    Keyword::buffer("http.uri.raw", "target as it was sent").to_server(),
    Keyword::buffer("http.method", "method").to_server(),
    Keyword::buffer("http.request_line", "first line of the request").to_server(),
    Keyword::buffer("http.host", "host asked, in lower case and without its port").to_server(),
    Keyword::buffer("http.host.raw", "host asked, as it was sent").to_server(),
    Keyword::buffer("http.user_agent", "`User-Agent`").to_server(),
    Keyword::buffer("http.referer", "`Referer`").to_server(),
    Keyword::buffer("http.accept", "`Accept`").to_server(),
    Keyword::buffer("http.accept_enc", "`Accept-Encoding`").to_server(),
    Keyword::buffer("http.accept_lang", "`Accept-Language`").to_server(),
    Keyword::buffer("http.request_header", "each field of the request").to_server().multi(),
    Keyword::buffer("http.request_body", "body of the request, decoded").to_server(),
    Keyword::buffer("http.stat_code", "status").to_client(),
    Keyword::buffer("http.stat_msg", "what the server says of the status").to_client(),
    Keyword::buffer("http.response_line", "first line of the response").to_client(),
    Keyword::buffer("http.server", "`Server`").to_client(),
    Keyword::buffer("http.location", "`Location`").to_client(),
    Keyword::buffer("http.response_header", "each field of the response").to_client().multi(),
    Keyword::buffer("http.response_body", "body of the response, decoded").to_client(),
    Keyword::buffer("http.header", "fields but cookies, one a line; repeated ones joined"),
    Keyword::buffer("http.header.raw", "fields as they were sent, with the empty line"),
    Keyword::buffer("http.header_names", "names of the fields, each between line ends"),
    Keyword::buffer("http.start", "first line and fields, with the empty line"),
    Keyword::buffer("http.protocol", "version"),
    Keyword::buffer("http.cookie", "`Cookie` of the request, `Set-Cookie` of the response"),
    Keyword::buffer("http.connection", "`Connection`"),
    Keyword::buffer("http.content_type", "`Content-Type`"),
    Keyword::buffer("http.content_len", "`Content-Length`"),
    Keyword::buffer("file.data", "files sent and bodies received, decoded").multi(),
    Keyword::buffer("file.name", "their names").multi(),
];

/// A request and its response; either may be missing.
#[derive(Default, Debug)]
pub(super) struct Exchange {
    pub(super) tx_id: u64,
    pub(super) request: Side,
    pub(super) response: Side,
}

/// One message.
#[derive(Clone, Default, Debug)]
pub(super) struct Side {
    pub(super) head: Option<Head>,
    /// Whether nothing more of it will come.
    pub(super) done: bool,
    /// Bytes of its body with the framing of chunks.
    pub(super) framed: u64,
    pub(super) body: Left,
}

impl Side {
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<Cow<'a, [u8]>> {
        self.head.as_ref()?.get(name)
    }

    /// Head and body together.
    fn whole(&self, head: &Head) -> Vec<u8> {
        [head.line(), b"\r\n", head.raw_fields(), &self.body.kept].concat()
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

    /// Tells what it means for who logs on: by the fields made for that (RFC 9110 section 11), or by
    /// a form that is sent to a page for logging on.
    pub(super) fn login(&self, out: &mut Outcome) {
        let Some(status) = self.response.head.as_ref().and_then(Head::status) else { return };
        let by_field = match status {
            407 => self.request.get("proxy-authorization"),
            _ => self.request.get("authorization"),
        };
        if let Some(proof) = by_field {
            let outcome = match status {
                401 | 403 | 407 => LoginOutcome::Refused,
                200..=399 => LoginOutcome::Granted,
                _ => return,
            };
            if let Some((user, secret)) = credentials(&proof) {
                out.login(&user, outcome, secret);
            }
            return;
        }
        if form::is_for_login(self.method(), self.target())
            && self.sends_form()
            && let Some(outcome) = form::outcome(self, status)
        {
            out.login(&form::user(&self.request.body.kept), outcome, Secret::Readable);
        }
    }

    fn sends_form(&self) -> bool {
        let kind = self.request.get("content-type").map(without_parameters).unwrap_or_default();
        [&b"application/x-www-form-urlencoded"[..], b"multipart/form-data", b"application/json"]
            .iter()
            .any(|form| kind.eq_ignore_ascii_case(form))
    }

    pub(super) fn target(&self) -> &[u8] {
        self.request.head.as_ref().map_or(b"", Head::second)
    }

    /// Host and port that the target names. What a CONNECT asks for is none where it cannot be one.
    fn named(&self) -> Option<&[u8]> {
        let authority = Target::of(self.target(), self.is_connect()).authority?;
        (!self.is_connect() || is_host(host_and_port(authority).0)).then_some(authority)
    }

    /// Host and port that were asked, as they were sent.
    fn authority(&self) -> Option<Cow<'_, [u8]>> {
        match self.named() {
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

/// Who logs on by an `Authorization` field, and how; nobody by a token that was given before, or
/// while client and server are still agreeing.
fn credentials(field: &[u8]) -> Option<(Vec<u8>, Secret)> {
    /// Longest one looked at.
    const CAP: usize = 4096;
    let field = field.get(..CAP).unwrap_or(field).trim_ascii();
    let end = memchr::memchr(b' ', field)?;
    let (scheme, rest) = field.split_at_checked(end)?;
    let rest = rest.trim_ascii();
    match &scheme.to_ascii_lowercase()[..] {
        b"basic" => {
            let told = base64(rest);
            let user = told.split(|&b| b == b':').next().unwrap_or_default();
            Some((user.to_vec(), Secret::Readable))
        }
        b"digest" => {
            let at = memchr::memmem::find(rest, b"username=\"")? + b"username=\"".len();
            let user = rest.get(at..)?.split(|&b| b == b'"').next()?;
            Some((user.to_vec(), Secret::Hidden))
        }
        b"ntlm" | b"negotiate" => {
            let told = base64(rest);
            let at = memchr::memmem::find(&told, b"NTLMSSP\0")? + b"NTLMSSP\0".len();
            (told.get(at) == Some(&3)).then(|| (Vec::new(), Secret::Hidden))
        }
        _ => None,
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
            Cow::Borrowed(bytes) => {
                Cow::Borrowed(bytes.get(..at).unwrap_or(bytes).trim_ascii_end())
            }
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

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_request = direction == Direction::ToServer;
        let side = if is_request { &self.request } else { &self.response };
        match name {
            "http.request_body" if is_request => return visit_some(&side.body.kept, visit),
            "http.response_body" if !is_request => return visit_some(&side.body.kept, visit),
            "file.data" | "file.name" => return side.body.file(is_request, name, visit),
            _ => {}
        }
        let Some(head) = &side.head else { return };
        match name {
            "frame.http1.request" if is_request => return visit(&side.whole(head)),
            "frame.http1.response" if !is_request => return visit(&side.whole(head)),
            _ => {}
        }
        if let Some(field) = plain_field(name, is_request) {
            let value = match field {
                "content-length" => head.all(field).next(),
                _ => head.get(field),
            };
            if let Some(value) = value {
                visit(&value);
            }
            return;
        }
        match name {
            "http.header" => visit_some(&without_cookies(head, is_request), visit),
            "http.header.raw" => visit(head.raw_fields()),
            "http.header_names" => visit_some(&field_names(head), visit),
            "http.start" => visit(&start(head)),
            "http.protocol" if is_request => visit_some(head.third(), visit),
            "http.protocol" => visit_some(head.first(), visit),
            "http.request_header" if is_request => each_field(head, visit),
            "http.response_header" if !is_request => each_field(head, visit),
            _ if is_request => self.request_buffer(head, name, visit),
            "http.response_line" => visit(head.line()),
            "http.stat_code" => visit_some(head.second(), visit),
            "http.stat_msg" => visit_some(head.third(), visit),
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
            "http.host.raw" => match self.named() {
                Some(authority) => visit(host_and_port(authority).0),
                None => head.get("host").iter().for_each(|host| visit(host)),
            },
            _ => {}
        }
    }
}

/// The field that a buffer is the value of.
pub(crate) fn plain_field(buffer: &str, is_request: bool) -> Option<&'static str> {
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

impl Left {
    /// Visits contents or names of the files in a body. What a client gets is one whatever it is,
    /// what it sends only where it is an upload.
    pub(crate) fn file(&self, is_request: bool, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_data = name == "file.data";
        if is_data && (!is_request || self.filename.is_some()) {
            visit_some(&self.kept, visit);
        } else if !is_data && let Some(filename) = &self.filename {
            visit(filename);
        }
        for part in &self.parts {
            visit_some(if is_data { &part.content } else { &part.filename }, visit);
        }
    }
}

/// Adds a field as a line.
fn put(field: &HeadField<'_>, lines: &mut Vec<u8>) {
    lines.extend_from_slice(field.name);
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(&field.value);
    lines.extend_from_slice(b"\r\n");
}

/// All fields but cookies, one line each.
fn without_cookies(head: &Head, is_request: bool) -> Vec<u8> {
    let cookie: &[u8] = if is_request { b"cookie" } else { b"set-cookie" };
    let mut lines = Vec::with_capacity(head.weight());
    for field in head.merged().iter().filter(|field| !field.name.eq_ignore_ascii_case(cookie)) {
        put(field, &mut lines);
    }
    lines
}

/// The first line and all fields, with the empty line after them.
fn start(head: &Head) -> Vec<u8> {
    let mut lines = head.line().to_vec();
    lines.extend_from_slice(b"\r\n");
    let fields = head.merged();
    fields.iter().for_each(|field| put(field, &mut lines));
    if !fields.is_empty() {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// The names of the fields between line ends.
fn field_names(head: &Head) -> Vec<u8> {
    let fields = head.merged();
    if fields.is_empty() {
        return Vec::new();
    }
    let mut names = b"\r\n".to_vec();
    for field in fields {
        names.extend_from_slice(field.name);
        names.extend_from_slice(b"\r\n");
    }
    names.extend_from_slice(b"\r\n");
    names
}

fn each_field(head: &Head, visit: &mut dyn FnMut(&[u8])) {
    for field in head.merged() {
        visit(&[field.name, b": ", &field.value].concat());
    }
}
