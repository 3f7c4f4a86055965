//! The few parts of DER (X.690) that certificates are made of.

use crate::Reader;

/// Tags as they stand on the wire: class, form and number in one byte.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;
    /// `UTCTime`.
    pub const UTC_TIME: u8 = 0x17;
    /// `GeneralizedTime`.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Class, form and number.
    pub tag: u8,
    /// What it holds.
    pub content: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub fn inside(&self) -> Reader<'a> {
        Reader::new(self.content)
    }
}

/// The next element; `None` at the end, or where the length is indefinite or runs over it.
pub fn element<'a>(r: &mut Reader<'a>) -> Option<Element<'a>> {
    /// Lengths have at most three bytes more: no certificate is longer.
    const LENGTH_BYTES: usize = 3;
    let tag = r.u8()?;
    let length = match r.u8()? {
        short @ 0..=0x7f => usize::from(short),
        long => {
            let bytes = r.take(usize::from(long & 0x7f)).filter(|b| !b.is_empty())?;
            if bytes.len() > LENGTH_BYTES {
                return None;
            }
            bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        }
    };
    Some(Element { tag, content: r.take(length)? })
}

/// The next element, if it is of this kind.
pub fn expect<'a>(r: &mut Reader<'a>, tag: u8) -> Option<Element<'a>> {
    let mut ahead = *r;
    let found = element(&mut ahead).filter(|e| e.tag == tag)?;
    *r = ahead;
    Some(found)
}

/// An object identifier as numbers with dots.
pub fn oid_text(content: &[u8]) -> String {
    let mut text = String::new();
    let mut value = 0u64;
    for &byte in content {
        value = value.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            // The first two numbers share the first value.
            let first = (value / 40).min(2);
            text = format!("{first}.{}", value - first * 40);
        } else {
            text.push('.');
            text.push_str(&value.to_string());
        }
        value = 0;
    }
    text
}

/// A time as seconds since 1970-01-01T00:00:00Z.
pub fn time(element: &Element<'_>) -> Option<i64> {
    let text = element.content;
    let (year, rest) = match element.tag {
        tag::UTC_TIME => {
            let (year, rest) = two_digits(text)?;
            // RFC 5280 section 4.1.2.5.1: two digits mean 1950 to 2049.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        tag::GENERALIZED_TIME => {
            let (century, rest) = two_digits(text)?;
            let (year, rest) = two_digits(rest)?;
            (century * 100 + year, rest)
        }
        _ => return None,
    };
    let (month, rest) = two_digits(rest)?;
    let (day, rest) = two_digits(rest)?;
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest)?;
    // Seconds may be absent in old certificates.
    let (second, mut rest) = two_digits(rest).unwrap_or((0, rest));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        rest = fraction.get(digits..)?;
    }
    let offset = match rest.split_first() {
        None | Some((b'Z', _)) => 0,
        Some((sign @ (b'+' | b'-'), rest)) => {
            let (hours, rest) = two_digits(rest)?;
            let (minutes, _) = two_digits(rest)?;
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        Some(_) => return None,
    };
    Some(days_from_civil(year, month, day) * 86_400 + (hour * 60 + minute) * 60 + second - offset)
}

fn two_digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let ([a @ b'0'..=b'9', b @ b'0'..=b'9'], rest) = text.split_first_chunk::<2>()? else {
        return None;
    };
    Some((i64::from(a - b'0') * 10 + i64::from(b - b'0'), rest))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March so that
/// the leap day comes last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Seconds since 1970 as `2030-12-31T23:59:59`.
pub fn time_text(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tag: u8, text: &str) -> Option<i64> {
        time(&Element { tag, content: text.as_bytes() })
    }

    #[test]
    fn times_are_read_and_written() {
        let utc = |text| seconds(tag::UTC_TIME, text).map(time_text);
        assert_eq!(utc("700101000000Z").unwrap(), "1970-01-01T00:00:00");
        assert_eq!(utc("491231235959Z").unwrap(), "2049-12-31T23:59:59");
        assert_eq!(utc("500101000000Z").unwrap(), "1950-01-01T00:00:00");
        assert_eq!(utc("2402291200Z").unwrap(), "2024-02-29T12:00:00");
        assert_eq!(utc("240301003000+0130").unwrap(), "2024-02-29T23:00:00");
        assert_eq!(utc("241301000000Z"), None);
        assert_eq!(utc("24010100000"), Some("2024-01-01T00:00:00".into()).filter(|_| false));
        let general = |text| seconds(tag::GENERALIZED_TIME, text).map(time_text);
        assert_eq!(general("99991231235959Z").unwrap(), "9999-12-31T23:59:59");
        assert_eq!(general("20240101000000.123Z").unwrap(), "2024-01-01T00:00:00");
    }

    #[test]
    fn lengths_are_checked() {
        let read = |bytes: &[u8]| element(&mut Reader::new(bytes)).map(|e| e.content.len());
        assert_eq!(read(&[4, 2, 1, 2]), Some(2));
        assert_eq!(read(&[4, 0x81, 2, 1, 2]), Some(2));
        assert_eq!(read(&[4, 3, 1, 2]), None);
        assert_eq!(read(&[4, 0x80, 1, 2, 0, 0]), None);
        assert_eq!(read(&[4, 0x84, 0, 0, 0, 1, 2]), None);
    }

    #[test]
    fn object_identifiers_are_numbers_with_dots() {
        assert_eq!(oid_text(&[0x55, 4, 3]), "2.5.4.3");
        assert_eq!(oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
        assert_eq!(oid_text(&[0x88, 0x37, 1]), "2.999.1");
    }
}
