//! The arguments that these keywords share.

use super::extract::{Base, Number};
use crate::builder::{Builder, Complaint, Value};
use crate::keywords::content::Amount;

/// Arguments between commas.
pub(super) struct Arguments<'a> {
    parts: std::str::Split<'a, char>,
    form: &'static str,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(value: &Value<'a>, form: &'static str) -> Result<Self, Complaint> {
        Ok(Self { parts: value.needed(form)?.split(','), form })
    }

    /// The next one, which has to be there.
    pub(super) fn next(&mut self) -> Result<&'a str, Complaint> {
        match self.parts.next().map(str::trim) {
            Some(part) if !part.is_empty() => Ok(part),
            _ => Err(Complaint::new(format!("an argument is missing: expected {}", self.form))),
        }
    }

    /// Those that are left.
    pub(super) fn rest(self) -> impl Iterator<Item = &'a str> {
        self.parts.map(str::trim).filter(|part| !part.is_empty())
    }
}

/// A number, decimal or hexadecimal, or the name of one that was remembered before.
pub(super) fn amount(builder: &Builder<'_>, text: &str) -> Result<Amount, Complaint> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
        && let Ok(number) = u64::from_str_radix(hex, 16)
    {
        return Ok(Amount::Fixed(number as i64));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ok(Amount::Fixed(number as i64));
    }
    Amount::parse(builder, text, "a number")
}

/// A number of 1 or more.
pub(super) fn positive(text: &str) -> Result<u64, Complaint> {
    match text.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Complaint::new(format!("\"{text}\" is no number of 1 or more"))),
    }
}

/// Reads an option that says how the number is written; false where it says something else.
pub(super) fn option(
    number: &mut Number,
    option: &str,
    builder: &Builder<'_>,
) -> Result<bool, Complaint> {
    match option {
        "relative" => number.relative = true,
        "big" | "endian big" => number.little = false,
        // With `dce` the order of bytes is the call's own; all that is in use is little.
        "little" | "endian little" | "dce" | "endian dce" => number.little = true,
        "string" => number.text = Some(number.text.unwrap_or(Base::Own)),
        "hex" | "string hex" => number.text = Some(Base::Hex),
        "dec" | "string dec" => number.text = Some(Base::Decimal),
        "oct" | "string oct" => number.text = Some(Base::Octal),
        other => match other.split_once(' ') {
            Some(("bitmask", mask)) => match amount(builder, mask)? {
                Amount::Fixed(mask) if mask != 0 => number.mask = mask as u64,
                _ => return Err(Complaint::new("expected a bit mask other than 0")),
            },
            Some(("offset", at)) => number.offset = amount(builder, at)?,
            _ => return Ok(false),
        },
    }
    Ok(true)
}

pub(super) fn unknown_option(option: &str) -> Complaint {
    Complaint::new(format!("unknown option \"{option}\""))
}
