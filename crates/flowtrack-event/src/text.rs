//! Bytes from the wire as text for people and JSON.

use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes that are shown as they are where all of them are UTF-8; else all that is not ASCII is
/// escaped as `\xhh`, as EVE does, so that no bytes turn into letters by chance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireText<'a>(pub &'a [u8]);

impl WireText<'_> {
    /// What is shown of bytes that are not UTF-8.
    fn escaped(self) -> String {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
        let mut text = String::with_capacity(self.0.len() * 2);
        for &byte in self.0 {
            if byte.is_ascii() {
                text.push(char::from(byte));
            } else {
                text.extend(['\\', 'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
        text
    }
}

impl fmt::Display for WireText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => f.write_str(text),
            Err(_) => f.write_str(&self.escaped()),
        }
    }
}

impl Serialize for WireText<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => s.serialize_str(&self.escaped()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WireText;

    #[test]
    fn escapes_what_is_not_utf8() {
        assert_eq!(WireText("héllo".as_bytes()).to_string(), "héllo");
        assert_eq!(WireText(b"a\xffb\xc3").to_string(), "a\\xffb\\xc3");
        assert_eq!(WireText(b"\xc3\xa9\xff").to_string(), "\\xc3\\xa9\\xff");
    }
}
