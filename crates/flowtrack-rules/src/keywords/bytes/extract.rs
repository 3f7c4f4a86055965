//! Reading numbers out of bytes.

use crate::builder::Complaint;
use crate::keywords::content::Amount;

/// Where a number is and how it is written.
#[derive(Clone, Debug)]
pub struct Number {
    /// Bytes of it; of a number written as text 0 is as many digits as there are.
    pub length: Amount,
    /// Where it begins.
    pub offset: Amount,
    /// Whether that is counted from the end of the match before.
    pub relative: bool,
    /// Whether the smallest part comes first.
    pub little: bool,
    /// How it is written as text; `None` where it is binary.
    pub text: Option<Base>,
    /// The bits of it that count, moved to the right; all where 0.
    pub mask: u64,
}

/// How a number is written as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// As it says itself: `0x` before hexadecimal, `0` before octal digits.
    Own,
    /// Hexadecimal.
    Hex,
    /// Decimal.
    Decimal,
    /// Octal.
    Octal,
}

/// Longest number that is written as text.
const MAX_DIGITS: i64 = 23;

impl Number {
    /// A binary number, the largest part first.
    pub(super) const fn new(length: Amount, offset: Amount) -> Self {
        Self { length, offset, relative: false, little: false, text: None, mask: 0 }
    }

    /// Complains where it can hold no number.
    pub(super) fn check(&self) -> Result<(), Complaint> {
        let Amount::Fixed(length) = self.length else { return Ok(()) };
        let most = if self.text.is_some() { MAX_DIGITS } else { 8 };
        if (0..=most).contains(&length) {
            return Ok(());
        }
        Err(Complaint::new(format!("expected at most {most} bytes, there are {length}")))
    }

    /// The number, and the place behind it; none where it is not all in the bytes.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        last: usize,
        variables: &[u64],
    ) -> Option<(u64, usize)> {
        let base = if self.relative { last as i64 } else { 0 };
        let start = usize::try_from(base.checked_add(self.offset.value(variables))?).ok()?;
        let length = usize::try_from(self.length.value(variables)).ok()?;
        let found = match (self.text, length) {
            // As many digits as there are.
            (Some(_), 0) => {
                let rest = bytes.get(start..)?;
                rest.get(..MAX_DIGITS as usize).unwrap_or(rest)
            }
            _ => bytes.get(start..start.checked_add(length)?)?,
        };
        let (number, used) = match self.text {
            Some(base) => read_text(found, base)?,
            None if length > 8 => return None,
            None => {
                let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
                let number = if self.little {
                    found.iter().rev().fold(0, join)
                } else {
                    found.iter().fold(0, join)
                };
                (number, length)
            }
        };
        let number = match self.mask {
            0 => number,
            mask => (number & mask) >> mask.trailing_zeros(),
        };
        Some((number, start + used))
    }
}

/// The number that text begins with, and how many bytes of it were read.
fn read_text(text: &[u8], base: Base) -> Option<(u64, usize)> {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut at = blanks;
    let sign = text.get(at).copied().filter(|byte| matches!(byte, b'+' | b'-'));
    at += usize::from(sign.is_some());
    let rest = text.get(at..)?;
    let has_x = rest.len() > 2
        && matches!(rest, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
    let radix = match base {
        Base::Hex => 16,
        Base::Octal => 8,
        Base::Own if has_x => 16,
        Base::Own if rest.first() == Some(&b'0') => 8,
        Base::Own | Base::Decimal => 10,
    };
    if has_x && radix == 16 {
        at += 2;
    }
    let first = at;
    let mut number = 0u64;
    while let Some(digit) = text.get(at).and_then(|byte| char::from(*byte).to_digit(radix)) {
        number = number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
        at += 1;
    }
    if at == first {
        return None;
    }
    Some((if sign == Some(b'-') { number.wrapping_neg() } else { number }, at))
}
