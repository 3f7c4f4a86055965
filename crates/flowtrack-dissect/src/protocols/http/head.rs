//! The head of a message: its first line and its fields, as lenient as real servers and clients.
//!
//! The bytes are kept as they came; fields are places in them. What is odd is noted, and reading
//! goes on as the usual implementations do.

use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashMap;

/// Longest head that is kept.
pub(super) const HEAD_CAP: usize = 64 * 1024;
/// Longest line that is not odd.
const LINE_CAP: usize = 18_000;
/// Fields that are kept of one head.
const FIELDS_CAP: usize = 1024;

/// Which side of an exchange a head begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Request,
    Response,
}

/// Names of what may be odd with a head, for a request and for a response.
type Names = [&'static str; 2];

const FIELD_TOO_LONG: Names = ["request_field_too_long", "response_field_too_long"];
const MISSING_COLON: Names = ["request_field_missing_colon", "response_field_missing_colon"];
const LWS_AFTER_NAME: Names = ["request_invalid_lws_after_name", "response_invalid_lws_after_name"];
const NOT_TOKEN: Names = ["request_header_name_not_token", "response_header_name_not_token"];
const EMPTY_NAME: Names = ["request_invalid_empty_name", "response_invalid_empty_name"];
const FOLDING: Names = ["invalid_request_field_folding", "invalid_response_field_folding"];
const TOO_MANY: Names = ["request_too_many_headers", "response_too_many_headers"];
const REPETITION: Names = ["request_header_repetition", "response_header_repetition"];

/// A place in the bytes of a head.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Span {
    at: u32,
    len: u32,
}

impl Span {
    fn new(at: usize, len: usize) -> Self {
        Self { at: at as u32, len: len as u32 }
    }

    fn of(self, raw: &[u8]) -> &[u8] {
        raw.get(self.at as usize..).and_then(|b| b.get(..self.len as usize)).unwrap_or_default()
    }

    const fn end(self) -> usize {
        self.at as usize + self.len as usize
    }
}

/// A first line and the fields after it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    raw: Vec<u8>,
    line: Span,
    /// Method, target and protocol, or protocol, status and message.
    parts: [Span; 3],
    /// Where the fields begin.
    fields_at: usize,
    /// The fields as they came, where they had to be put right.
    original: Option<Vec<u8>>,
    fields: Vec<Place>,
    /// Whether a name stands more than once.
    repeated: bool,
    /// What was odd, by the names of anomalies.
    pub(super) odd: SmallVec<[&'static str; 2]>,
}

/// Where a field stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    name: Span,
    value: Span,
    folded: bool,
}

/// One field of a head.
pub(super) struct HeadField<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Cow<'a, [u8]>,
}

impl Head {
    /// Reads a whole head, from its first line to its empty one.
    pub(super) fn read(raw: &[u8], side: Side) -> Self {
        let canonical = if side == Side::Response { super::lines::canonical(raw) } else { None };
        match canonical {
            None => Self::read_lines(raw, side),
            Some((clean, fields_at)) => {
                let original = raw.get(fields_at..).map(<[u8]>::to_vec);
                Self { original, ..Self::read_lines(&clean, side) }
            }
        }
    }

    fn read_lines(raw: &[u8], side: Side) -> Self {
        let mut head = Self {
            raw: raw.to_vec(),
            line: Span::default(),
            parts: [Span::default(); 3],
            fields_at: 0,
            original: None,
            fields: Vec::new(),
            repeated: false,
            odd: SmallVec::new(),
        };
        let mut lines = Lines { raw, at: 0 };
        // Empty lines before the first one are passed over (RFC 9112 section 2.2).
        let Some(first) = lines.by_ref().find(|line| line.len > 0) else { return head };
        head.fields_at = lines.at;
        head.line = first;
        head.parts = match side {
            Side::Request => request_line(raw, first),
            Side::Response => status_line(raw, first),
        };
        let which = usize::from(side == Side::Response);
        let mut odd = std::mem::take(&mut head.odd);
        let mut note = |names: Names| {
            if let Some(name) = names.get(which).filter(|name| !odd.contains(name)) {
                odd.push(name);
            }
        };
        if first.len as usize > LINE_CAP {
            note(FIELD_TOO_LONG);
        }
        for line in lines {
            let bytes = line.of(raw);
            if bytes.is_empty() {
                break;
            }
            if bytes.len() > LINE_CAP {
                note(FIELD_TOO_LONG);
            }
            if bytes.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                if let Some(last) = head.fields.last_mut() {
                    last.value.len = (line.end().saturating_sub(last.value.at as usize)) as u32;
                    last.folded = true;
                    continue;
                }
                note(FOLDING);
            }
            if head.fields.len() >= FIELDS_CAP {
                note(TOO_MANY);
                break;
            }
            let Some(colon) = memchr::memchr(b':', bytes) else {
                note(MISSING_COLON);
                head.fields.push(Place { name: Span::default(), value: line, folded: false });
                continue;
            };
            let name = trimmed(raw, Span::new(line.at as usize, colon));
            if name.len == 0 {
                note(EMPTY_NAME);
            } else if name.end() != line.at as usize + colon {
                note(LWS_AFTER_NAME);
            }
            if !name.of(raw).iter().all(|&b| is_token(b)) {
                note(NOT_TOKEN);
            }
            let value = Span::new(line.at as usize + colon + 1, bytes.len() - colon - 1);
            head.fields.push(Place { name, value: trimmed(raw, value), folded: false });
        }
        head.repeated = head.repeats();
        if head.repeated {
            note(REPETITION);
        }
        head.odd = odd;
        head
    }

    /// The first line without its end.
    pub(super) fn line(&self) -> &[u8] {
        self.line.of(&self.raw)
    }

    /// Method of a request, protocol of a response.
    pub(super) fn first(&self) -> &[u8] {
        self.parts[0].of(&self.raw)
    }

    /// Target of a request, status of a response.
    pub(super) fn second(&self) -> &[u8] {
        self.parts[1].of(&self.raw)
    }

    /// Protocol of a request, message of a response.
    pub(super) fn third(&self) -> &[u8] {
        self.parts[2].of(&self.raw)
    }

    /// Status of a response, where it is a number.
    pub(super) fn status(&self) -> Option<u16> {
        let digits = self.second();
        if digits.len() != 3 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
    }

    /// Bytes it keeps alive.
    pub(super) fn weight(&self) -> usize {
        self.raw.len() + self.fields.len() * size_of::<Place>()
    }

    /// All that follows the first line, as it came.
    pub(super) fn raw_fields(&self) -> &[u8] {
        match &self.original {
            Some(original) => original,
            None => self.raw.get(self.fields_at..).unwrap_or_default(),
        }
    }

    /// The fields in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = HeadField<'_>> {
        self.fields
            .iter()
            .map(|place| HeadField { name: place.name.of(&self.raw), value: self.value(place) })
    }

    /// The fields as rules see them: repeated ones are one, their values joined by commas. Of
    /// several lengths the first stands.
    pub(super) fn merged(&self) -> Vec<HeadField<'_>> {
        if !self.repeated {
            return self.fields().collect();
        }
        let mut merged: Vec<HeadField<'_>> = Vec::new();
        let mut places = HashMap::new();
        for field in self.fields() {
            let name = field.name.to_ascii_lowercase();
            let is_length = name == b"content-length";
            let place = *places.entry(name).or_insert(merged.len());
            match merged.get_mut(place) {
                None => merged.push(field),
                Some(_) if is_length => {}
                Some(first) => {
                    let value = first.value.to_mut();
                    value.extend_from_slice(b", ");
                    value.extend_from_slice(&field.value);
                }
            }
        }
        merged
    }

    /// The values of every field of this name (in lower or upper case).
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.fields
            .iter()
            .filter(move |place| same_name(place.name.of(&self.raw), name.as_bytes()))
            .map(|place| self.value(place))
    }

    /// The value of a field; of repeated ones the values joined by commas (RFC 9110 section 5.3).
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<Cow<'a, [u8]>> {
        let mut all = self.all(name);
        let mut value = all.next()?;
        for more in all {
            let joined = value.to_mut();
            if joined.len() + more.len() > HEAD_CAP {
                break;
            }
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(&more);
        }
        Some(value)
    }

    fn value(&self, place: &Place) -> Cow<'_, [u8]> {
        let bytes = place.value.of(&self.raw);
        if !place.folded {
            return Cow::Borrowed(bytes);
        }
        // A fold is one space, as RFC 9112 section 5.2 has it.
        let mut value = Vec::with_capacity(bytes.len());
        for line in bytes.split(|&b| b == b'\n') {
            let line = line.trim_ascii();
            if !value.is_empty() && !line.is_empty() {
                value.push(b' ');
            }
            value.extend_from_slice(line);
        }
        Cow::Owned(value)
    }

    /// Whether a name stands more than once.
    fn repeats(&self) -> bool {
        let mut seen: SmallVec<[u64; 32]> = self
            .fields
            .iter()
            .filter(|place| place.name.len > 0)
            .map(|place| {
                // FNV-1a over the name in lower case.
                place.name.of(&self.raw).iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, b| {
                    (hash ^ u64::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
                })
            })
            .collect();
        seen.sort_unstable();
        seen.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
    }
}

/// Looks for the end of a head however it is cut.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct EndFinder {
    /// Everything before was looked at.
    scanned: usize,
    line_at: usize,
    began: bool,
}

impl EndFinder {
    /// How long the head at the front of `bytes` is with its empty line, once that is there;
    /// `bytes` only grows between calls.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(n) = bytes.get(self.scanned..).and_then(|b| memchr::memchr(b'\n', b)) {
            let line = bytes.get(self.line_at..self.scanned + n).unwrap_or_default();
            self.scanned += n + 1;
            self.line_at = self.scanned;
            // Some end their lines with several CR, or the line with CR before it.
            if !line.iter().all(|&b| b == b'\r') {
                self.began = true;
            } else if self.began {
                return Some(self.scanned);
            }
        }
        self.scanned = bytes.len();
        None
    }

    /// The same for the head of a part, which may have no first line: an empty line ends it.
    pub(crate) fn find_in_part(&mut self, bytes: &[u8]) -> Option<usize> {
        // The rest of the boundary's line counts as the first.
        self.began = true;
        if self.scanned == 0 {
            self.scanned = memchr::memchr(b'\n', bytes)? + 1;
            self.line_at = self.scanned;
        }
        self.find(bytes)
    }
}

struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let rest = self.raw.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at = (at + len + 1).min(self.raw.len());
        let mut line = rest.get(..len).unwrap_or_default();
        while let Some(shorter) = line.strip_suffix(b"\r") {
            line = shorter;
        }
        Some(Span::new(at, line.len()))
    }
}

/// Method, target and protocol. The target may hold spaces: the last word is the protocol where it
/// begins like one.
fn request_line(raw: &[u8], line: Span) -> [Span; 3] {
    let line = trimmed(raw, line);
    let (method, rest) = word(raw, line);
    let bytes = rest.of(raw);
    let last = bytes.iter().rposition(|b| matches!(b, b' ' | b'\t'));
    let after = last.map_or(0, |at| at + 1);
    let protocol = Span::new(rest.at as usize + after, bytes.len() - after);
    let is_protocol =
        protocol.of(raw).get(..5).is_some_and(|five| five.eq_ignore_ascii_case(b"HTTP/"));
    match last {
        Some(at) if is_protocol => {
            [method, trimmed(raw, Span::new(rest.at as usize, at)), protocol]
        }
        None if is_protocol => [method, Span::default(), protocol],
        // Three words, of which the last is no protocol anybody knows, are a target with a space.
        _ => [method, rest, Span::default()],
    }
}

/// Protocol, status and message.
fn status_line(raw: &[u8], line: Span) -> [Span; 3] {
    let (protocol, rest) = word(raw, trimmed(raw, line));
    let (status, message) = word(raw, rest);
    [protocol, status, message]
}

/// The first word and what follows the white space after it.
fn word(raw: &[u8], line: Span) -> (Span, Span) {
    let bytes = line.of(raw);
    let len = bytes.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(bytes.len());
    let rest = Span::new(line.at as usize + len, bytes.len() - len);
    (Span::new(line.at as usize, len), trimmed(raw, rest))
}

/// A place without the white space around it.
fn trimmed(raw: &[u8], span: Span) -> Span {
    // The vertical tab is white space to real implementations too.
    let is_text = |b: &u8| !b.is_ascii_whitespace() && *b != 0x0b;
    let bytes = span.of(raw);
    let skipped = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_text).map_or(skipped, |at| at + 1);
    Span::new(span.at as usize + skipped, end - skipped)
}

/// Whether a field has a name; real implementations look past NUL bytes.
fn same_name(found: &[u8], name: &[u8]) -> bool {
    if found.len() == name.len() {
        return found.eq_ignore_ascii_case(name);
    }
    found.len() > name.len() && {
        let plain = found.iter().filter(|&&b| b != 0);
        plain.map(u8::to_ascii_lowercase).eq(name.iter().map(u8::to_ascii_lowercase))
    }
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kinds_are_read() {
        let raw =
            b"\r\nGET  /a b HTTP/1.1\nHost : x\r\nX: one\r\n\ttwo \nno colon\nx: three\r\n\r\n";
        let mut finder = EndFinder::default();
        assert_eq!(finder.find(&raw[..20]), None);
        assert_eq!(finder.find(raw), Some(raw.len()));
        let head = Head::read(raw, Side::Request);
        assert_eq!(
            (head.first(), head.second(), head.third()),
            (&b"GET"[..], &b"/a b"[..], &b"HTTP/1.1"[..])
        );
        assert_eq!(head.get("host").as_deref(), Some(&b"x"[..]));
        assert_eq!(head.get("X").as_deref(), Some(&b"one two, three"[..]));
        assert_eq!(
            head.odd[..],
            [
                "request_invalid_lws_after_name",
                "request_field_missing_colon",
                "request_header_repetition"
            ]
        );
        let head = Head::read(b"HTTP/1.0 404 Not there\r\n\r\n", Side::Response);
        assert_eq!((head.status(), head.third()), (Some(404), &b"Not there"[..]));
    }
}
