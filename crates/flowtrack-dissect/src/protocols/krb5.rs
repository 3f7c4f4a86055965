//! Kerberos 5 (RFC 4120) over UDP and TCP.

use crate::ber;
use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("krb5");
/// Longest message; tickets with many groups reach some tens of kilobytes.
const MESSAGE_CAP: usize = 256 * 1024;

/// Kerberos.
pub struct Krb5;

impl Protocol for Krb5 {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[88]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.udp {
            return Probe::content(looks_like(first.bytes) == Some(true));
        }
        let mut r = Reader::new(first.bytes);
        match r.u32() {
            Some(length) if !(10..=MESSAGE_CAP as u32).contains(&length) => Probe::No,
            Some(_) => looks_like(r.rest()).map_or(Probe::NeedMore, Probe::content),
            None if first.bytes.first().is_none_or(|&b| b == 0) => Probe::NeedMore,
            None => Probe::No,
        }
    }
}

/// Whether a message begins here; `None` while too little is there to tell.
fn looks_like(bytes: &[u8]) -> Option<bool> {
    let mut r = Reader::new(bytes);
    // Requests, replies, application messages and errors.
    if bytes.first().is_some_and(|tag| !matches!(tag, 0x6a..=0x6f | 0x74..=0x76 | 0x7e)) {
        return Some(false);
    }
    let more = |r: &Reader<'_>| (r.rest().len() >= ber::HEAD_CAP).then_some(false);
    let Some((tag, _)) = ber::head(&mut r) else { return more(&r) };
    let Some((inner, _)) = ber::head(&mut r) else { return more(&r) };
    if inner != ber::SEQUENCE {
        return Some(false);
    }
    // The version is the first field, but the second (and numbered so) of requests to a KDC.
    let version = r.array::<5>()?;
    let field = if matches!(tag, 0x6a | 0x6c) { 0xa1 } else { 0xa0 };
    Some(version == [field, 3, ber::INTEGER, 1, 5])
}
