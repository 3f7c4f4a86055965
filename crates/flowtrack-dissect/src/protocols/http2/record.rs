//! What is logged of a stream or of a frame about the connection, and the buffers for rules.

use super::frame::{self, Setting, error_name, setting_name};
use super::grpc::Call;
use super::hpack::{Item, List};
use super::{DOH, NAME};
use crate::protocols::dns::record::Exchange as DnsExchange;
use crate::protocols::http::exchange::{ContentRange, plain_field, without_parameters};
use crate::protocols::http::payload::Left;
use crate::protocols::http::uri::{host_and_port, normalized};
use crate::{Field, Keyword};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::IpAddr;

/// Values of one kind that are kept of the frames of one direction of a stream.
const VALUES_CAP: usize = 64;

/// The fields of a record.
pub(super) const FIELDS: &[Field] = &[
    Field::eve("version", "string", "version of HTTP, `2`"),
    Field::eve("request_headers[].name", "string", "name of a field of the request"),
    Field::eve("request_headers[].value", "string", "its value"),
    Field::eve("request_headers[].table_size_update", "integer", "new size of the client's table"),
    Field::eve("response_headers[].name", "string", "name of a field of the response"),
    Field::eve("response_headers[].value", "string", "its value"),
    Field::eve("response_headers[].table_size_update", "integer", "new size of the server's table"),
    Field::eve("hostname", "string", "host that was asked, from `:authority` or `host`"),
    Field::eve("http_port", "integer", "port beside that host, if told"),
    Field::eve("url", "string", "`:path` as it was sent"),
    Field::eve("http_user_agent", "string", "`user-agent` of the request"),
    Field::eve("xff", "string", "first address of `x-forwarded-for`"),
    Field::eve("http_content_type", "string", "media type of the response, without parameters"),
    Field::eve("content_range.raw", "string", "`content-range` of the response"),
    Field::eve("content_range.start", "integer", "first offset carried"),
    Field::eve("content_range.end", "integer", "last offset carried"),
    Field::eve("content_range.size", "integer", "size of the whole"),
    Field::eve("http_refer", "string", "`referer` of the request"),
    Field::eve("http_method", "string", "`:method` of the request"),
    Field::eve("status", "integer", "`:status` of the response"),
    Field::eve("redirect", "string", "`location` of a response with a 3xx status"),
    Field::eve("length", "integer", "`content-length` of the response, or the bytes it had"),
    Field::eve("http2.stream_id", "integer", "stream; 0 is the connection itself"),
    Field::eve("http2.request.settings[].settings_id", "string", "setting of the client"),
    Field::eve("http2.request.settings[].settings_value", "integer", "its value"),
    Field::eve("http2.request.priority", "integer", "weight that the client gives the stream"),
    Field::eve("http2.request.error_code", "string", "why the client ended it"),
    Field::eve("http2.request.has_multiple", "string", "which of these was told several times"),
    Field::eve("http2.response.settings[].settings_id", "string", "setting of the server"),
    Field::eve("http2.response.settings[].settings_value", "integer", "its value"),
    Field::eve("http2.response.error_code", "string", "why the server ended it"),
    Field::eve("http2.response.has_multiple", "string", "which of these was told several times"),
    Field::added("request_body_len", "integer", "bytes of the request's body as they were sent"),
    Field::added("response_body_len", "integer", "bytes of the response's body as they were sent"),
    Field::added("grpc.service", "string", "service that a gRPC call is of"),
    Field::added("grpc.method", "string", "method that is called"),
    Field::added("grpc.status_code", "integer", "outcome of the call"),
    Field::added("grpc.status", "string", "name of that outcome"),
    Field::added("grpc.message", "string", "what the server says of that outcome"),
];

/// What rules may ask for.
pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("http.method", "`:method`").to_server(),
    Keyword::buffer("http.uri", "`:path`, decoded and with its dots worked off").to_server(),
    Keyword::buffer("http.uri.raw", "`:path` as it was sent").to_server(),
    Keyword::buffer("http.request_line", "method, path and version").to_server(),
    Keyword::buffer("http.protocol", "`HTTP/2`"),
    Keyword::buffer("http.host", "host that was asked, in lower case").to_server(),
    Keyword::buffer("http.host.raw", "`:authority` or `host` as it was sent").to_server(),
    Keyword::buffer("http.user_agent", "`user-agent`").to_server(),
    Keyword::buffer("http.referer", "`referer`").to_server(),
    Keyword::buffer("http.accept", "`accept`").to_server(),
    Keyword::buffer("http.accept_enc", "`accept-encoding`").to_server(),
    Keyword::buffer("http.accept_lang", "`accept-language`").to_server(),
    Keyword::buffer("http.cookie", "`cookie` or `set-cookie`"),
    Keyword::buffer("http.connection", "`connection`"),
    Keyword::buffer("http.content_type", "`content-type`"),
    Keyword::buffer("http.content_len", "`content-length`"),
    Keyword::buffer("http.server", "`server`").to_client(),
    Keyword::buffer("http.location", "`location`").to_client(),
    Keyword::buffer("http.stat_code", "`:status`").to_client(),
    Keyword::buffer("http.header", "all fields but cookies, one line each"),
    Keyword::buffer("http.header.raw", "all fields, one line each"),
    Keyword::buffer("http.header_names", "names of the fields between line ends"),
    Keyword::buffer("http.request_header", "each field of the request").to_server().multi(),
    Keyword::buffer("http.response_header", "each field of the response").to_client().multi(),
    Keyword::buffer("http.request_body", "body of the request, decoded").to_server(),
    Keyword::buffer("http.response_body", "body of the response, decoded").to_client(),
    Keyword::buffer("file.data", "either body, decoded").multi(),
    Keyword::buffer("file.name", "names of files").multi(),
    Keyword::buffer("http2.header_name", "each name of a field").multi(),
    Keyword::buffer("http2.header", "each field").multi(),
    Keyword::number("http2.frametype", "kind of each frame").multi(),
    Keyword::number("http2.errorcode", "why a stream or the connection was ended").multi(),
    Keyword::number("http2.priority", "weight of the stream").multi(),
    Keyword::number("http2.window", "how much a window grew").multi(),
    Keyword::number("http2.size_update", "new size of the sender's table").multi(),
    Keyword::number(
        "http2.settings",
        "identifier of a setting in the upper 32 bits, its value below",
    )
    .multi(),
];

/// Frames of one direction that are neither heads nor bodies.
#[derive(Default, Debug)]
pub(super) struct Frames {
    /// The kinds seen, a bit each.
    kinds: u16,
    pub(super) settings: Vec<Setting>,
    priorities: SmallVec<[u32; 1]>,
    errors: SmallVec<[u32; 1]>,
    windows: SmallVec<[u32; 2]>,
}

impl Frames {
    /// A frame of this kind was seen.
    pub(super) fn saw(&mut self, kind: u8) {
        self.kinds |= 1_u16.checked_shl(kind.into()).unwrap_or_default();
    }

    /// The sender gave a weight.
    pub(super) fn priority(&mut self, weight: u8) {
        push(&mut self.priorities, weight.into());
    }

    /// The sender ended the stream or the connection.
    pub(super) fn error(&mut self, code: u32) {
        push(&mut self.errors, code);
    }

    /// The sender opened its window.
    pub(super) fn window(&mut self, by: u32) {
        push(&mut self.windows, by);
    }

    fn is_logged(&self) -> bool {
        !(self.settings.is_empty() && self.priorities.is_empty() && self.errors.is_empty())
    }
}

fn push<A: smallvec::Array<Item = u32>>(values: &mut SmallVec<A>, value: u32) {
    if values.len() < VALUES_CAP {
        values.push(value);
    }
}

/// One direction of a stream.
#[derive(Default, Debug)]
pub(super) struct Side {
    /// All fields, of what came before the head and of what came behind the body too.
    pub(super) list: List,
    /// Where in `list` the head begins.
    pub(super) head_at: usize,
    pub(super) frames: Frames,
    pub(super) body: Left,
    /// The message of DNS that it carried.
    pub(super) dns: Option<DnsExchange>,
}

impl Side {
    /// The first value of a field.
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        self.list.fields(self.head_at).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// The value of a field; of repeated ones all values, joined.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        // A cookie may come in crumbs (RFC 9113 section 8.2.3).
        let between: &[u8] = if name == "cookie" { b"; " } else { b", " };
        let mut all =
            self.list.fields(self.head_at).filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        let mut value = Cow::Borrowed(all.next()?.1);
        for (_, more) in all {
            let joined = value.to_mut();
            joined.extend_from_slice(between);
            joined.extend_from_slice(more);
        }
        Some(value)
    }

    /// The status of a response.
    pub(super) fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.first(":status")?).ok()?.parse().ok()
    }

    /// Bytes it keeps alive.
    pub(super) fn weight(&self) -> usize {
        self.list.weight() + self.body.kept.len()
    }

    fn is_logged(&self) -> bool {
        !self.list.is_empty() || self.frames.is_logged()
    }
}

/// A stream, or a frame about the whole connection.
#[derive(Default, Debug)]
pub(super) struct Exchange {
    pub(super) stream: u32,
    pub(super) tx_id: u64,
    pub(super) request: Side,
    pub(super) response: Side,
}

impl Exchange {
    /// One direction of it.
    pub(super) const fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    const fn side_of(&self, direction: Direction) -> &Side {
        match direction {
            Direction::ToServer => &self.request,
            Direction::ToClient => &self.response,
        }
    }

    /// Host and port that were asked, as they were sent, but without a name and password.
    fn authority(&self) -> Option<&[u8]> {
        let authority = self.request.first(":authority").or_else(|| self.request.first("host"))?;
        match memchr::memrchr(b'@', authority) {
            Some(at) => authority.get(at + 1..),
            None => Some(authority),
        }
    }

    /// What was said of DNS, most telling first.
    fn dns(&self) -> Option<&DnsExchange> {
        self.response.dns.as_ref().or(self.request.dns.as_ref())
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self { request, response, .. } = self;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", "2")?;
        for (key, side) in [("request_headers", request), ("response_headers", response)] {
            if !side.list.is_empty() {
                map.serialize_entry(key, &Items(&side.list))?;
            }
        }
        if let Some(authority) = self.authority() {
            let (host, port) = host_and_port(authority);
            if !host.is_empty() {
                map.serialize_entry("hostname", &WireText(&host.to_ascii_lowercase()))?;
            }
            if let Some(port) = port {
                map.serialize_entry("http_port", &port)?;
            }
        }
        let mut text = |key: &'static str, value: Option<&[u8]>| match value {
            Some(value) if !value.is_empty() => map.serialize_entry(key, &WireText(value)),
            _ => Ok(()),
        };
        text("url", request.first(":path"))?;
        text("http_user_agent", request.first("user-agent"))?;
        let first_of_list = |list: &'_ [u8]| list.split(|&b| b == b',').next().map(<[u8]>::to_vec);
        text("xff", request.first("x-forwarded-for").and_then(first_of_list).as_deref())?;
        let media_type = response.first("content-type").map(|v| without_parameters(v.into()));
        text("http_content_type", media_type.as_deref())?;
        text("http_refer", request.first("referer"))?;
        text("http_method", request.first(":method"))?;
        let status = response.status();
        if status.is_some_and(|status| status / 100 == 3) {
            text("redirect", response.first("location"))?;
        }
        if let Some(status) = status {
            map.serialize_entry("status", &status)?;
        }
        if let Some(raw) = response.first("content-range") {
            map.serialize_entry("content_range", &ContentRange { raw })?;
        }
        if self.stream != 0 {
            let told = response.first("content-length");
            let told = told.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
            map.serialize_entry("length", &told.unwrap_or(response.body.length))?;
            map.serialize_entry("request_body_len", &request.body.length)?;
            map.serialize_entry("response_body_len", &response.body.length)?;
        }
        if let Some(call) = Call::of(self) {
            map.serialize_entry("grpc", &call)?;
        }
        map.serialize_entry("http2", &Beside(self))?;
        map.end()
    }
}

/// The fields of one direction.
struct Items<'a>(&'a List);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.0.len()))?;
        for item in self.0.items(0) {
            seq.serialize_element(&Shown(item))?;
        }
        seq.end()
    }
}

struct Shown<'a>(Item<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self.0 {
            Item::Field(name, value) => {
                map.serialize_entry("name", &WireText(name))?;
                map.serialize_entry("value", &WireText(value))?;
            }
            Item::SizeUpdate(size) => map.serialize_entry("table_size_update", &size)?,
        }
        map.end()
    }
}

/// What HTTP/1 has not.
struct Beside<'a>(&'a Exchange);

impl Serialize for Beside<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("stream_id", &self.0.stream)?;
        for (key, side) in [("request", &self.0.request), ("response", &self.0.response)] {
            if side.frames.is_logged() {
                map.serialize_entry(key, &side.frames)?;
            }
        }
        map.end()
    }
}

impl Serialize for Frames {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if !self.settings.is_empty() {
            map.serialize_entry("settings", &self.settings)?;
        }
        if let Some(weight) = self.priorities.first() {
            map.serialize_entry("priority", weight)?;
        }
        if let Some(&code) = self.errors.first() {
            map.serialize_entry("error_code", &error_text(code))?;
        }
        if self.errors.len() > 1 {
            map.serialize_entry("has_multiple", "error_code")?;
        } else if self.priorities.len() > 1 {
            map.serialize_entry("has_multiple", "priority")?;
        }
        map.end()
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("settings_id", &setting_text(self.id))?;
        map.serialize_entry("settings_value", &self.value)?;
        map.end()
    }
}

fn setting_text(id: u16) -> Cow<'static, str> {
    setting_name(id).map_or_else(|| format!("SETTINGSUNKNOWN{id}").into(), Cow::Borrowed)
}

fn error_text(code: u32) -> Cow<'static, str> {
    error_name(code).map_or_else(|| format!("UNKNOWN{code}").into(), Cow::Borrowed)
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        if self.dns().is_some() { DOH } else { NAME }
    }

    fn event_type(&self) -> &'static str {
        if self.dns().is_some() { "dns" } else { "http" }
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        match self.dns() {
            Some(dns) => dns,
            None => self,
        }
    }

    fn siblings(&self, visit: &mut dyn FnMut(&'static str, &dyn erased_serde::Serialize)) {
        if self.dns().is_some() {
            visit("http", self);
        }
    }

    fn is_recorded(&self) -> bool {
        self.request.is_logged() || self.response.is_logged()
    }

    fn one_way(&self) -> Option<Direction> {
        // A frame about the connection is all that there is.
        match (self.stream, self.request.frames.kinds, self.response.frames.kinds) {
            (0, _, 0) => Some(Direction::ToServer),
            (0, 0, _) => Some(Direction::ToClient),
            _ => None,
        }
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let side = self.side_of(direction);
        if name.starts_with("dns.") {
            if let Some(dns) = &side.dns {
                dns.buffer_towards(direction, name, visit);
            }
            return;
        }
        let is_request = direction == Direction::ToServer;
        match name {
            "http.request_body" if is_request => return visit_some(&side.body.kept, visit),
            "http.response_body" if !is_request => return visit_some(&side.body.kept, visit),
            "file.data" | "file.name" => return side.body.file(is_request, name, visit),
            _ if side.list.is_empty() => return,
            _ => {}
        }
        if let Some(field) = plain_field(name, is_request) {
            let value = match field {
                "content-length" => side.first(field).map(Cow::Borrowed),
                _ => side.get(field),
            };
            value.iter().for_each(|value| visit(value));
            return;
        }
        let cookie: &[u8] = if is_request { b"cookie" } else { b"set-cookie" };
        match name {
            "http.protocol" => visit(b"HTTP/2"),
            "http.header" => visit(&lines(side, |name| !name.eq_ignore_ascii_case(cookie))),
            "http.header.raw" => visit(&lines(side, |_| true)),
            "http.header_names" => {
                let mut names = b"\r\n".to_vec();
                for (name, _) in side.list.fields(0) {
                    names.extend_from_slice(name);
                    names.extend_from_slice(b"\r\n");
                }
                names.extend_from_slice(b"\r\n");
                visit(&names);
            }
            "http2.header_name" => side.list.fields(0).for_each(|(name, _)| visit(name)),
            "http2.header" => each_field(side, visit),
            "http.request_header" if is_request => each_field(side, visit),
            "http.response_header" if !is_request => each_field(side, visit),
            "http.stat_code" if !is_request => {
                if let Some(status) = side.first(":status") {
                    visit(status);
                }
            }
            _ if is_request => self.request_buffer(name, visit),
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let side = self.side_of(direction);
        let frames = &side.frames;
        let mut all = |values: &[u32]| values.iter().for_each(|&value| visit(value.into()));
        match name {
            "http2.frametype" => (0..=frame::kind::LAST)
                .filter(|kind| frames.kinds >> kind & 1 != 0)
                .for_each(|kind| visit(kind.into())),
            "http2.errorcode" => all(&frames.errors),
            "http2.priority" => all(&frames.priorities),
            "http2.window" => all(&frames.windows),
            "http2.size_update" => side.list.items(0).for_each(|item| {
                if let Item::SizeUpdate(size) = item {
                    visit(size.into());
                }
            }),
            "http2.settings" => frames
                .settings
                .iter()
                .for_each(|setting| visit(u64::from(setting.id) << 32 | u64::from(setting.value))),
            _ => {
                if let Some(dns) = &side.dns {
                    dns.number(direction, name, visit);
                }
            }
        }
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        if let Some(dns) = &self.response.dns {
            dns.names(visit);
        }
    }

    fn summary(&self) -> String {
        if let Some(dns) = self.dns() {
            return dns.summary();
        }
        if let Some(call) = Call::of(self) {
            return call.summary();
        }
        if self.stream == 0 {
            return self.frame_summary();
        }
        let asked = match self.request.first(":method") {
            Some(method) => format!(
                "{} {}{}",
                WireText(method),
                WireText(self.authority().unwrap_or_default()),
                WireText(self.request.first(":path").unwrap_or_default())
            ),
            None => "request not seen".into(),
        };
        let error = [&self.request, &self.response]
            .into_iter()
            .find_map(|side| side.frames.errors.first())
            .map_or_else(String::new, |&code| format!(" {}", error_text(code)));
        match self.response.first(":status") {
            Some(status) => format!("{asked} {}{error}", WireText(status)),
            None => asked + &error,
        }
    }
}

impl Exchange {
    fn request_buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let method = self.request.first(":method");
        let path = self.request.first(":path");
        let is_connect = method == Some(b"CONNECT");
        match name {
            "http.method" => method.into_iter().for_each(visit),
            "http.uri" => path.into_iter().for_each(|path| visit(&normalized(path, is_connect))),
            "http.uri.raw" => path.into_iter().for_each(visit),
            "http.request_line" => {
                let words = [method.unwrap_or_default(), path.unwrap_or_default(), b"HTTP/2"];
                visit(&words.join(&b' '));
            }
            "http.host" => {
                if let Some(authority) = self.authority() {
                    visit(&host_and_port(authority).0.to_ascii_lowercase());
                }
            }
            "http.host.raw" => self.authority().into_iter().for_each(visit),
            _ => {}
        }
    }

    /// What a frame about the connection says.
    fn frame_summary(&self) -> String {
        for side in [&self.request, &self.response] {
            if let Some(&code) = side.frames.errors.first() {
                return format!("GOAWAY {}", error_text(code));
            }
            if !side.frames.settings.is_empty() {
                let all = side.frames.settings.iter().map(|setting| {
                    let name = setting_text(setting.id);
                    format!("{}={}", name.strip_prefix("SETTINGS").unwrap_or(&name), setting.value)
                });
                return format!("settings {}", all.collect::<Vec<_>>().join(" "));
            }
        }
        String::new()
    }
}

fn visit_some(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    if !bytes.is_empty() {
        visit(bytes);
    }
}

/// Fields as HTTP/1 would write them.
fn lines(side: &Side, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut lines = Vec::with_capacity(side.list.weight());
    for (name, value) in side.list.fields(0).filter(|(name, _)| is_wanted(name)) {
        lines.extend_from_slice(name);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

fn each_field(side: &Side, visit: &mut dyn FnMut(&[u8])) {
    for (name, value) in side.list.fields(0) {
        visit(&[name, b": ", value].concat());
    }
}
