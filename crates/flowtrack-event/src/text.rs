//! Bytes from the wire as text for people and JSON.

use serde::{Serialize, Serializer};
use std::fmt::{self, Write as _};

/// Bytes that are shown as they are where all of them are UTF-8; else all that is not ASCII is
/// escaped as `\xhh`, as EVE does, so that no bytes turn into letters by chance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireText<'a>(pub &'a [u8]);

impl fmt::Display for WireText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return f.write_str(text);
        }
        for &byte in self.0 {
            if byte.is_ascii() {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for WireText<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => s.collect_str(self),
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
