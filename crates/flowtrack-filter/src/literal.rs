//! Values as people write them: `1.5M`, `10s`, `8000-8100`, `2026-03-01T12:30`.
//!
//! Every value is a range, so that `start = 2026-03-01` means the whole day.

use crate::field::Kind;
use std::ops::RangeInclusive;

/// Reads a value of a kind that is a number in a flow.
pub(crate) fn number(kind: Kind, text: &str) -> Option<RangeInclusive<i64>> {
    match kind {
        Kind::Port => range(text, i64::from(u16::MAX)),
        Kind::Number => range(text, i64::MAX),
        Kind::Size => scaled(text, SIZES).map(|n| n..=n),
        Kind::Duration => {
            let n = if text == "0" { Some(0) } else { scaled(text, DURATIONS) };
            n.map(|n| n..=n)
        }
        Kind::Time => time(text),
        Kind::Bool => {
            let n = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => 1,
                "false" | "no" | "0" => 0,
                _ => return None,
            };
            Some(n..=n)
        }
        _ => None,
    }
}

/// `7` or `7-9`, up to `max`.
fn range(text: &str, max: i64) -> Option<RangeInclusive<i64>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (digits(first)?, digits(last)?);
    (first <= last && last <= max).then_some(first..=last)
}

/// Decimal digits and nothing else.
fn digits(text: &str) -> Option<i64> {
    let only_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if only_digits { text.parse().ok() } else { None }
}

/// Units of bytes, in lower case.
const SIZES: &[(&str, i64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
];

/// Units of time in microseconds, in lower case.
const DURATIONS: &[(&str, i64)] = &[
    ("us", 1),
    ("µs", 1),
    ("μs", 1),
    ("ms", 1_000),
    ("s", SECOND),
    ("sec", SECOND),
    ("m", 60 * SECOND),
    ("min", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", DAY),
];

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A number with at most nine decimals and one of `units`, rounded down.
fn scaled(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.to_lowercase();
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if fraction.len() <= 9 => {
            (whole, digits(fraction)?.checked_mul(10_i64.pow(9 - fraction.len() as u32))?)
        }
        Some(_) => return None,
        None => (number, 0),
    };
    let nanos = i128::from(digits(whole)?) * 1_000_000_000 + i128::from(fraction);
    i64::try_from(nanos * i128::from(factor) / 1_000_000_000).ok()
}

/// A moment of UTC, or with an offset, as the microseconds that it covers.
fn time(text: &str) -> Option<RangeInclusive<i64>> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let day = day_of(date)?.checked_mul(DAY)?;
    let Some(clock) = clock else {
        return Some(day..=day + DAY - 1);
    };
    let (clock, offset) = split_offset(clock)?;
    let (start, length) = clock_of(clock)?;
    let start = day + start - offset;
    Some(start..=start + length - 1)
}

/// Days from 1970-01-01 to `YYYY-MM-DD` of the Gregorian calendar.
fn day_of(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let [year, month, day] = [parts.next()?, parts.next()?, parts.next()?];
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) {
        return None;
    }
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let in_year = (153 * from_march + 2) / 5 + day - 1;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(days + in_year - 719_468)
}

/// Cuts `Z` or `+02:00` off; the offset in microseconds.
fn split_offset(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = clock.find(['+', '-']) else {
        return Some((clock, 0));
    };
    let (clock, offset) = clock.split_at_checked(at)?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (below(hours, 24)?, below(minutes, 60)?);
    Some((clock, sign * (hours * 3_600 + minutes * 60) * SECOND))
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`: microseconds since midnight, and how many it covers.
fn clock_of(clock: &str) -> Option<(i64, i64)> {
    let mut parts = clock.splitn(3, ':');
    let minutes = below(parts.next()?, 24)? * 60 + below(parts.next()?, 60)?;
    let start = minutes * 60 * SECOND;
    let Some(seconds) = parts.next() else {
        return Some((start, 60 * SECOND));
    };
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let start = start + below(seconds, 60)? * SECOND;
    if fraction.is_empty() {
        return Some((start, SECOND));
    }
    let length = 10_i64.pow(6_u32.checked_sub(fraction.len() as u32)?);
    Some((start + digits(fraction)? * length, length))
}

/// Two digits below `limit`.
fn below(text: &str, limit: i64) -> Option<i64> {
    if text.len() == 2 { digits(text).filter(|&n| n < limit) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_kinds() {
        for (kind, text, first, last) in [
            (Kind::Port, "443", 443, 443),
            (Kind::Port, "1-65535", 1, 65_535),
            (Kind::Size, "1.5M", 1_500_000, 1_500_000),
            (Kind::Size, "2KiB", 2_048, 2_048),
            (Kind::Size, "0.0005k", 0, 0),
            (Kind::Duration, "0", 0, 0),
            (Kind::Duration, "250us", 250, 250),
            (Kind::Duration, "1.5s", 1_500_000, 1_500_000),
            (Kind::Duration, "2H", 7_200_000_000, 7_200_000_000),
            (Kind::Time, "1970-01-01", 0, DAY - 1),
            (Kind::Time, "1969-12-31T23:59:59", -SECOND, -1),
            (Kind::Time, "2000-02-29T00:00", 951_782_400_000_000, 951_782_459_999_999),
            (Kind::Time, "2026-03-01T12:00:00.5Z", 1_772_366_400_500_000, 1_772_366_400_599_999),
            (Kind::Time, "2026-03-01T14:00:00+02:00", 1_772_366_400_000_000, 1_772_366_400_999_999),
            (Kind::Bool, "Yes", 1, 1),
        ] {
            assert_eq!(number(kind, text), Some(first..=last), "{text}");
        }
    }

    #[test]
    fn wrong_numbers_are_refused() {
        for (kind, text) in [
            (Kind::Port, "65536"),
            (Kind::Port, "9-8"),
            (Kind::Port, "-1"),
            (Kind::Number, "99999999999999999999"),
            (Kind::Number, "+1"),
            (Kind::Size, "1.M5"),
            (Kind::Size, "1..5"),
            (Kind::Size, "99999999999999T"),
            (Kind::Duration, "10"),
            (Kind::Duration, "1y"),
            (Kind::Time, "2026-02-29"),
            (Kind::Time, "2026-13-01"),
            (Kind::Time, "2026-03-01T24:00"),
            (Kind::Time, "2026-03-01T12:00:00.1234567"),
            (Kind::Time, "2026-03-01T12:00+2"),
            (Kind::Bool, "maybe"),
        ] {
            assert_eq!(number(kind, text), None, "{text}");
        }
    }
}
