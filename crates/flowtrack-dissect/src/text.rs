//! Text from the wire that a record keeps.

use flowtrack_event::WireText;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// Bytes that were meant as text, at most [`Text::CAP`] of them; shown as [`WireText`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Vec<u8>);

impl Text {
    /// Longest text kept unless told otherwise.
    pub const CAP: usize = 4096;

    /// A copy of the first [`Text::CAP`] bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self::capped(bytes, Self::CAP)
    }

    /// A copy of the first `cap` bytes.
    pub fn capped(bytes: &[u8], cap: usize) -> Self {
        Self(bytes.get(..cap).unwrap_or(bytes).to_vec())
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WireText(&self.0).fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        WireText(&self.0).serialize(s)
    }
}
