//! HTTP/2 (RFC 9113): by prior knowledge, or where HTTP/1 changes to it.
//!
//! Every stream is a transaction; so is every frame that is about the whole connection, as in EVE.
//! DNS carried over it (RFC 8484) is read as DNS, and calls of gRPC are told by service and method.

mod connection;
mod doh;
mod frame;
mod grpc;
mod hpack;
mod huffman;
mod record;
mod stream;

use crate::{Dissector, Field, First, Keyword, Probe, Protocol, Transport, Wants};
use flowtrack_event::{AppProto, Confidence, Direction};
use frame::{HEADER, Header, PREFACE, kind};

const NAME: AppProto = AppProto("http2");
/// Its name once it carried DNS.
const DOH: AppProto = AppProto("doh2");

/// HTTP/2.
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.direction == Direction::ToServer {
            match Probe::prefix(first.bytes, PREFACE) {
                Probe::No if first.midstream => {}
                probe => return probe,
            }
        }
        if first.midstream { probe_inside(first.bytes) } else { probe_settings(first.bytes) }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers || wants.files)
            .then(|| Box::new(connection::Connection::new(wants)) as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        record::FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        record::KEYWORDS
    }
}

/// A server begins with its settings.
fn probe_settings(bytes: &[u8]) -> Probe {
    // Everything but the length and the acknowledgement is known of the first header.
    let known =
        [Some(0), None, None, Some(kind::SETTINGS), None, Some(0), Some(0), Some(0), Some(0)];
    if known.iter().zip(bytes).any(|(known, b)| known.is_some_and(|known| known != *b)) {
        return Probe::No;
    }
    let Some(header) = Header::read(bytes) else { return Probe::NeedMore };
    if !header.is_usual() {
        return Probe::No;
    }
    match frames(bytes, 2) {
        Some(_) => Probe::Match(Confidence::Content),
        None => Probe::No,
    }
}

/// Where the beginning was not seen, frames in a row tell it.
fn probe_inside(bytes: &[u8]) -> Probe {
    let Some(header) = Header::read(bytes) else {
        return if bytes.first() == Some(&0) { Probe::NeedMore } else { Probe::No };
    };
    match frames(bytes, 3) {
        Some(_) if header.kind == kind::SETTINGS => Probe::Match(Confidence::Content),
        Some(n) if n >= 2 => Probe::Match(Confidence::Heuristic),
        Some(_) if bytes.len() < header.whole() + HEADER => Probe::NeedMore,
        _ => Probe::No,
    }
}

/// How many frames stand at the front, up to `most`; `None` where something else does.
fn frames(bytes: &[u8], most: usize) -> Option<usize> {
    let (mut rest, mut count) = (bytes, 0);
    while count < most
        && let Some(header) = Header::read(rest)
    {
        if !header.is_usual() {
            return None;
        }
        count += 1;
        rest = rest.get(header.whole()..).unwrap_or_default();
    }
    Some(count)
}

#[cfg(test)]
mod tests;
