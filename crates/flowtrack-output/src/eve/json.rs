//! A JSON object written straight into a byte buffer.
//!
//! Fields of fixed name are most of a record, and going through a serialiser costs more than all
//! the values do. Keys are literals and are not escaped; strings that may hold anything go
//! through `serde_json`.

use std::net::IpAddr;

use flowtrack_event::{MacAddr, Timestamp, WireText, hex_digits};
use serde::Serialize;

use crate::clock::Clock;

/// An object that is being written; closed by [`Object::end`].
///
/// Not closed on drop: a record is either written to its end or taken back by its owner.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

/// A list of objects that is being written; closed by [`List::end`].
pub(crate) struct List<'a> {
    out: &'a mut Vec<u8>,
}

impl List<'_> {
    /// Opens the next object.
    pub fn object(&mut self) -> Object<'_> {
        if self.out.last() != Some(&b'[') {
            self.out.push(b',');
        }
        Object::begin(self.out)
    }

    /// Closes the list.
    pub fn end(self) {
        self.out.push(b']');
    }
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    /// Closes it.
    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Opens an object inside this one.
    pub fn object(&mut self, key: &'static str) -> Object<'_> {
        self.key(key);
        Object::begin(self.out)
    }

    /// Opens an object inside this one, under a name that is not a literal.
    pub fn object_named(&mut self, key: &str) -> Object<'_> {
        self.key_named(key);
        Object::begin(self.out)
    }

    /// A number.
    #[inline]
    pub fn number(&mut self, key: &'static str, value: impl itoa::Integer) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A number under a name that is not a literal.
    pub fn number_named(&mut self, key: &str, value: u64) {
        self.key_named(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A number that is left out where it is zero.
    #[inline]
    pub fn number_nonzero(&mut self, key: &'static str, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.number(key, value);
        }
    }

    /// A number that is left out where there is none.
    #[inline]
    pub fn number_if(&mut self, key: &'static str, value: Option<u32>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// A truth value.
    #[inline]
    pub fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A string that needs no escaping: a name of the program's own, or digits.
    #[inline]
    pub fn name(&mut self, key: &'static str, value: &str) {
        debug_assert!(is_plain(value.as_bytes()), "{value:?} needs escaping");
        self.key(key);
        self.quoted(value.as_bytes());
    }

    /// ASCII bytes that need no escaping.
    #[inline]
    pub fn ascii(&mut self, key: &'static str, value: &[u8]) {
        debug_assert!(is_plain(value), "{value:?} needs escaping");
        self.key(key);
        self.quoted(value);
    }

    /// Any string, escaped.
    pub fn string(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.value(value);
    }

    /// Bytes of the wire, shown as text and escaped.
    pub fn wire(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.value(&WireText(value));
    }

    /// Bytes as hexadecimal digits.
    pub fn hex(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        for &byte in value {
            self.out.extend_from_slice(&hex_digits(byte));
        }
        self.out.push(b'"');
    }

    /// Bytes in base64.
    pub fn base64(&mut self, key: &'static str, value: &[u8]) {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.key(key);
        self.out.push(b'"');
        for group in value.chunks(3) {
            let bytes = [0, 1, 2].map(|i| u32::from(group.get(i).copied().unwrap_or(0)));
            let bits = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
            for place in 0..4 {
                self.out.push(if place > group.len() {
                    b'='
                } else {
                    DIGITS[(bits >> (18 - 6 * place) & 63) as usize]
                });
            }
        }
        self.out.push(b'"');
    }

    /// Bytes with all but printable ASCII shown as dots; line ends stay.
    pub fn printable(&mut self, key: &'static str, value: &[u8]) {
        self.string(key, &printable(value));
    }

    /// The same under a name that is not a literal.
    pub fn printable_named(&mut self, key: &str, value: &[u8]) {
        self.key_named(key);
        self.value(&printable(value));
    }

    /// A list of strings under a name that is not a literal.
    pub fn strings_named<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s str>) {
        self.key_named(key);
        self.out.push(b'[');
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.value(value);
        }
        self.out.push(b']');
    }

    /// Opens a list of objects inside this one.
    pub fn list(&mut self, key: &'static str) -> List<'_> {
        self.key(key);
        self.out.push(b'[');
        List { out: self.out }
    }

    /// A time.
    #[inline]
    pub fn time(&mut self, key: &'static str, value: Timestamp, clock: &mut Clock) {
        self.key(key);
        self.out.push(b'"');
        clock.write(value, self.out);
        self.out.push(b'"');
    }

    /// An address; IPv6 with all its digits, as EVE has it.
    #[inline]
    pub fn addr(&mut self, key: &'static str, value: IpAddr) {
        self.key(key);
        self.out.push(b'"');
        write_addr(value, self.out);
        self.out.push(b'"');
    }

    /// A list of one Ethernet address.
    pub fn mac_list(&mut self, key: &'static str, value: MacAddr) {
        self.key(key);
        self.out.extend_from_slice(b"[\"");
        for (i, &byte) in value.0.iter().enumerate() {
            if i > 0 {
                self.out.push(b':');
            }
            self.out.extend_from_slice(&hex_digits(byte));
        }
        self.out.extend_from_slice(b"\"]");
    }

    /// A list of numbers.
    pub fn numbers(&mut self, key: &'static str, values: &[u16]) {
        self.key(key);
        self.out.push(b'[');
        for (i, &value) in values.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        self.out.push(b']');
    }

    /// Whatever a transaction says of itself; `false` where it cannot be said as JSON.
    pub fn record(&mut self, key: &str, value: &dyn erased_serde::Serialize) -> bool {
        self.key_named(key);
        let mut serializer = serde_json::Serializer::new(&mut *self.out);
        erased_serde::serialize(value, &mut serializer).is_ok()
    }

    #[inline]
    fn key(&mut self, key: &'static str) {
        debug_assert!(is_plain(key.as_bytes()), "{key:?} needs escaping");
        // A key fits with its quotes into one short copy, which is quicker than four.
        let mut text = [0; KEY];
        let length = key.len() + 4;
        if let Some(room) = text.get_mut(..length) {
            let comma = self.out.last() != Some(&b'{');
            room[0] = b',';
            room[1] = b'"';
            room[2..length - 2].copy_from_slice(key.as_bytes());
            room[length - 2..].copy_from_slice(b"\":");
            self.out.extend_from_slice(&room[usize::from(!comma)..]);
        } else {
            self.comma();
            self.quoted(key.as_bytes());
            self.out.push(b':');
        }
    }

    fn key_named(&mut self, key: &str) {
        self.comma();
        self.value(key);
        self.out.push(b':');
    }

    #[inline]
    fn comma(&mut self) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
    }

    #[inline]
    fn quoted(&mut self, value: &[u8]) {
        self.out.reserve(value.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut *self.out, value)
            .expect("a string always has a JSON form and a Vec always takes it");
    }
}

/// Longest key that is written at once, with comma, quotes and colon.
const KEY: usize = 32;

/// Appends an address as EVE has it.
pub(crate) fn write_addr(addr: IpAddr, out: &mut Vec<u8>) {
    match addr {
        IpAddr::V4(addr) => {
            for (i, octet) in addr.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(addr) => {
            let mut text = *b"0000:0000:0000:0000:0000:0000:0000:0000";
            for (i, byte) in addr.octets().into_iter().enumerate() {
                let at = i * 2 + i / 2;
                text[at..at + 2].copy_from_slice(&hex_digits(byte));
            }
            out.extend_from_slice(&text);
        }
    }
}

/// All but printable ASCII as dots; line ends stay.
fn printable(value: &[u8]) -> String {
    let shown = |&byte: &u8| match byte {
        b'\r' | b'\n' | b' '..=b'~' => char::from(byte),
        _ => '.',
    };
    value.iter().map(shown).collect()
}

/// Whether bytes stand for themselves inside a JSON string.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| (b' '..0x7f).contains(&b) && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_and_separates() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.object("empty").end();
        object.number("n", 7_u32);
        let mut inner = object.object("inner");
        inner.boolean("yes", true);
        inner.numbers("list", &[1, 2]);
        inner.end();
        object.string("s", "a\"\n\u{1}");
        object.wire("w", b"\xff<");
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"empty":{},"n":7,"inner":{"yes":true,"list":[1,2]},"s":"a\"\n\u0001","w":"\\xff<"}"#
        );
    }

    #[test]
    fn writes_addresses_in_full() {
        let mut out = Vec::new();
        write_addr("fe80::1:a90a".parse().unwrap(), &mut out);
        out.push(b' ');
        write_addr("192.168.0.1".parse().unwrap(), &mut out);
        assert_eq!(out, b"fe80:0000:0000:0000:0000:0000:0001:a90a 192.168.0.1");
    }
}
