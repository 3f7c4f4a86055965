//! BER and DER (X.690): tag, length, value. The reader is shared by the protocols that are
//! written in it; it walks siblings and never recurses.

use crate::Reader;

/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub const OCTET_STRING: u8 = 0x04;
/// `ENUMERATED`.
pub const ENUMERATED: u8 = 0x0a;
/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;
/// `SET`.
pub const SET: u8 = 0x31;

/// Reads one value after the other; high tag numbers and indefinite lengths end it.
#[derive(Clone, Copy, Debug)]
pub struct Ber<'a>(Reader<'a>);

impl<'a> Ber<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    /// Tag of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.0.rest().first().copied()
    }

    /// The next value, with its tag.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let mut ahead = self.0;
        let (tag, length) = head(&mut ahead)?;
        let value = ahead.take(length)?;
        self.0 = ahead;
        Some((tag, value))
    }

    /// The next value if it has this tag; else nothing is taken.
    pub fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.peek() == Some(tag)).then(|| self.next()).flatten().map(|(_, value)| value)
    }

    /// What stands inside the next value if it has this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Ber<'a>> {
        self.value(tag).map(Self::new)
    }

    /// An unsigned integer of at most four bytes, with this tag.
    pub fn number(&mut self, tag: u8) -> Option<u32> {
        number(self.value(tag)?)
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The value of an integer, where it fits; negative ones are taken as their two's complement.
pub fn number(value: &[u8]) -> Option<u32> {
    let digits = value.strip_prefix(&[0]).unwrap_or(value);
    (!value.is_empty() && digits.len() <= 4)
        .then(|| digits.iter().fold(0, |n, &b| n << 8 | u32::from(b)))
}

/// Tag and length of the value that stands at the front, which need not be complete.
pub fn head(r: &mut Reader<'_>) -> Option<(u8, usize)> {
    let tag = r.u8()?;
    let short = r.u8()?;
    let length = match short {
        0..=0x7f => usize::from(short),
        0x81 => usize::from(r.u8()?),
        0x82 => usize::from(r.u16()?),
        0x83 => r.u24()? as usize,
        0x84 => r.u32()? as usize,
        _ => return None,
    };
    (tag & 0x1f != 0x1f).then_some((tag, length))
}

/// Most bytes that [`head`] reads.
pub const HEAD_CAP: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_walked_and_lengths_not_trusted() {
        let mut ber = Ber::new(&[0x02, 0x01, 0x05, 0x04, 0x81, 0x02, b'a', b'b', 0x04, 0x7f, 0]);
        assert_eq!(ber.number(INTEGER), Some(5));
        assert_eq!(ber.value(INTEGER), None);
        assert_eq!(ber.next(), Some((OCTET_STRING, &b"ab"[..])));
        assert_eq!(ber.next(), None);
        assert!(!ber.is_empty());
        assert_eq!(number(&[0, 0xff, 0xff, 0xff, 0xff]), Some(u32::MAX));
        assert_eq!((number(&[]), number(&[1, 2, 3, 4, 5])), (None, None));
    }
}
