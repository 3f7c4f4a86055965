//! Bytes from the wire as text for people and JSON.

use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes that are shown as UTF-8 where they are, and escaped as `\xHH` where they are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireText<'a>(pub &'a [u8]);

impl fmt::Display for WireText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.utf8_chunks() {
            f.write_str(part.valid())?;
            for byte in part.invalid() {
                write!(f, "\\x{byte:02X}")?;
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
    fn escapes_only_what_is_not_utf8() {
        assert_eq!(WireText("héllo".as_bytes()).to_string(), "héllo");
        assert_eq!(WireText(b"a\xffb\xc3").to_string(), "a\\xFFb\\xC3");
    }
}
