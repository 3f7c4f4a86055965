//! LDAP (RFC 4511) over TCP, and connectionless LDAP over UDP.

use crate::ber;
use crate::{First, Probe, Protocol, Reader, Transport};
use flowtrack_event::AppProto;

const NAME: AppProto = AppProto("ldap");

/// LDAP.
pub struct Ldap;

impl Protocol for Ldap {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[389, 3268]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        match looks_like(first.bytes) {
            Some(yes) => Probe::content(yes),
            None if first.udp => Probe::No,
            None => Probe::NeedMore,
        }
    }
}

/// Whether a message begins here; `None` while too little is there to tell.
fn looks_like(bytes: &[u8]) -> Option<bool> {
    let mut r = Reader::new(bytes);
    if bytes.first().is_some_and(|&tag| tag != ber::SEQUENCE) {
        return Some(false);
    }
    let more = |r: &Reader<'_>| (r.rest().len() >= ber::HEAD_CAP).then_some(false);
    let Some((_, length)) = ber::head(&mut r) else { return more(&r) };
    let start = r.position();
    let Some((id_tag, id_length)) = ber::head(&mut r) else { return more(&r) };
    if id_tag != ber::INTEGER || !(1..=4).contains(&id_length) {
        return Some(false);
    }
    if r.skip(id_length).is_none() {
        return None;
    }
    if r.rest().first().is_some_and(|&op| operation_form(op).is_none()) {
        return Some(false);
    }
    let Some((operation, op_length)) = ber::head(&mut r) else { return more(&r) };
    let head = r.position() - start;
    if head.saturating_add(op_length) > length {
        return Some(false);
    }
    match operation_form(operation)? {
        Form::Empty => Some(op_length == 0),
        Form::Bytes => Some(op_length > 0 && op_length < 1024),
        Form::First(tag) => match r.rest().first() {
            None if op_length == 0 => Some(false),
            first => first.map(|&found| found == tag),
        },
    }
}

/// What an operation begins with.
enum Form {
    Empty,
    Bytes,
    First(u8),
}

fn operation_form(tag: u8) -> Option<Form> {
    Some(match tag {
        // Bind.
        0x60 => Form::First(ber::INTEGER),
        // Unbind.
        0x42 => Form::Empty,
        // Results begin with their code.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => Form::First(ber::ENUMERATED),
        // Search, entry, modify, add, modify DN, compare, reference: a name first.
        0x63 | 0x64 | 0x66 | 0x68 | 0x6c | 0x6e | 0x73 => Form::First(ber::OCTET_STRING),
        // Delete and abandon are what they name.
        0x4a | 0x50 => Form::Bytes,
        0x77 => Form::First(0x80),
        0x79 => Form::First(0x80),
        _ => return None,
    })
}
