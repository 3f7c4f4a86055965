//! HTTP/1 (RFC 9112) and what is older, as real clients and servers speak it.
//!
//! Every request is a transaction with its response. Messages are read as leniently as the usual
//! servers and browsers read them, because that is what an attacker counts on; what is odd is an
//! anomaly, and reading goes on.

mod check;
pub(crate) mod decode;
pub(crate) mod exchange;
pub(crate) mod fields;
mod form;
mod framing;
mod head;
mod lines;
pub(crate) mod multipart;
pub(crate) mod payload;
mod reading;
pub(crate) mod uri;

use crate::{Dissector, Field, First, Keyword, Probe, Protocol, Transport, Wants};
use flowtrack_event::{AppProto, Confidence, Direction};

const NAME: AppProto = AppProto("http");

/// Methods of HTTP, `WebDAV` and versioning.
const METHODS: [&str; 28] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "OPTIONS",
    "CONNECT",
    "DELETE",
    "TRACE",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "CHECKOUT",
    "UNCHECKOUT",
    "CHECKIN",
    "UPDATE",
    "LABEL",
    "REPORT",
    "MKWORKSPACE",
    "MKACTIVITY",
    "MERGE",
    "INVALID",
    "VERSION-CONTROL",
    "BASELINE-CONTROL",
];

/// Longest first line that is waited for before a flow is called HTTP.
const LINE_CAP: usize = 2048;

/// HTTP/1.
pub struct Http;

impl Protocol for Http {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[80, 8080, 8000, 8008, 8081, 8888, 3128]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Line ends before the first message are passed over (RFC 9112 section 2.2).
        let skipped = first.bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let bytes = first.bytes.get(skipped..).unwrap_or_default();
        match first.direction {
            Direction::ToServer => probe_request(bytes),
            Direction::ToClient => probe_response(bytes),
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers || wants.files)
            .then(|| Box::new(reading::Reading::new(wants)) as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        exchange::FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        exchange::KEYWORDS
    }
}

/// Whether this is a method that a request may begin with.
fn is_method(word: &[u8]) -> bool {
    METHODS.iter().any(|method| method.as_bytes() == word)
}

/// A request begins with a method in capitals; anything else must also name its protocol.
fn probe_request(bytes: &[u8]) -> Probe {
    let space = bytes.iter().take(20).position(|b| matches!(b, b' ' | b'\t'));
    let Some(space) = space else {
        let is_word = bytes.iter().all(|&b| head::is_token(b));
        return if is_word && bytes.len() < 20 { Probe::NeedMore } else { Probe::No };
    };
    let word = bytes.get(..space).unwrap_or_default();
    if word.is_empty() || !word.iter().all(|&b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Probe::No;
    }
    let rest = bytes.get(space..).unwrap_or_default();
    let target = rest.trim_ascii_start();
    // SIP shares methods with HTTP; what it asks for tells them apart.
    for other in [&b"sip:"[..], b"sips:"] {
        match target.get(..other.len()) {
            Some(beginning) if beginning.eq_ignore_ascii_case(other) => return Probe::No,
            None if other.starts_with(target) => return Probe::NeedMore,
            _ => {}
        }
    }
    if is_method(word) {
        return Probe::Match(Confidence::Content);
    }
    let line_end = memchr::memchr(b'\n', rest);
    let line = rest.get(..line_end.unwrap_or(rest.len())).unwrap_or_default();
    if memchr::memmem::find(line, b" HTTP/1.").is_some() {
        return Probe::Match(Confidence::Content);
    }
    let is_known = METHODS.iter().any(|method| word.eq_ignore_ascii_case(method.as_bytes()));
    match line_end {
        None if rest.len() < LINE_CAP
            && rest.iter().all(|b| matches!(b, b'\t' | b'\r' | b' '..)) =>
        {
            Probe::NeedMore
        }
        _ if is_known => Probe::Match(Confidence::Heuristic),
        _ => Probe::No,
    }
}

/// A response begins with one of the versions that there are.
fn probe_response(bytes: &[u8]) -> Probe {
    let versions = [&b"HTTP/1."[..], b"HTTP/0.9"];
    let mut answer = Probe::No;
    for version in versions {
        let n = bytes.len().min(version.len());
        if bytes
            .get(..n)
            .is_some_and(|b| b.eq_ignore_ascii_case(version.get(..n).unwrap_or_default()))
        {
            if n == version.len() {
                return Probe::Match(Confidence::Content);
            }
            answer = Probe::NeedMore;
        }
    }
    answer
}
