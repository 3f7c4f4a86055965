//! Packet time as calendar text, in UTC or local time.

use flowtrack_event::Timestamp;
use jiff::tz::TimeZone;

/// Turns packet time into calendar text; remembers the seconds it turned last.
///
/// A run writes the same few seconds over and over (the start, end and time of many flows), so
/// one table look-up stands for most conversions.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Where not UTC.
    zone: Option<TimeZone>,
    slots: Box<[Slot; SLOTS]>,
}

/// One remembered second.
#[derive(Clone, Copy, Debug)]
struct Slot {
    secs: i64,
    text: [u8; DATE_TIME],
    offset: [u8; OFFSET],
}

/// A calendar date and time of day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Clock {
    /// Writes UTC, or local time by the system's time zone.
    pub fn new(local: bool) -> Self {
        let zone = local.then(TimeZone::system);
        let empty = Slot { secs: i64::MIN, text: [0; DATE_TIME], offset: [0; OFFSET] };
        Self { zone, slots: Box::new([empty; SLOTS]) }
    }

    /// Appends `2026-01-01T00:00:00.123456+0000`.
    pub fn write(&mut self, ts: Timestamp, out: &mut Vec<u8>) {
        let secs = ts.secs();
        let slot = &mut self.slots[secs as usize % SLOTS];
        if slot.secs != secs {
            let offset = offset_secs(self.zone.as_ref(), secs);
            *slot = Slot { secs, text: date_time(secs + offset), offset: offset_text(offset) };
        }
        let mut text = [0; DATE_TIME + 1 + MICROS + OFFSET];
        text[..DATE_TIME].copy_from_slice(&slot.text);
        text[DATE_TIME] = b'.';
        let mut micros = ts.micros().rem_euclid(1_000_000) as u32;
        for digit in text[DATE_TIME + 1..][..MICROS].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        text[DATE_TIME + 1 + MICROS..].copy_from_slice(&slot.offset);
        out.extend_from_slice(&text);
    }
}

impl Civil {
    /// The date and time of a second since the epoch, in UTC.
    ///
    /// Days are counted in the 400-year cycles of the Gregorian calendar, each year beginning in
    /// March so that the leap day is its last.
    pub fn from_secs(secs: i64) -> Self {
        let time = secs.rem_euclid(86_400);
        let days = secs.div_euclid(86_400) + DAYS_FROM_YEAR_0;
        let cycle = days.div_euclid(DAYS_PER_CYCLE);
        let day_of_cycle = days.rem_euclid(DAYS_PER_CYCLE);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: cycle * 400 + year_of_cycle + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            hour: (time / 3_600) as u8,
            minute: (time / 60 % 60) as u8,
            second: (time % 60) as u8,
        }
    }
}

/// Length of `2026-01-01T00:00:00`.
const DATE_TIME: usize = 19;
/// Digits of microseconds.
const MICROS: usize = 6;
/// Length of `+0000`.
const OFFSET: usize = 5;
/// Seconds remembered; a power of two.
const SLOTS: usize = 64;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_FROM_YEAR_0: i64 = 719_468;
/// Days in 400 years.
const DAYS_PER_CYCLE: i64 = 146_097;

/// Seconds that local time is ahead of UTC.
fn offset_secs(zone: Option<&TimeZone>, secs: i64) -> i64 {
    let Some(zone) = zone else { return 0 };
    let at = jiff::Timestamp::from_second(secs).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    i64::from(zone.to_offset(at).seconds())
}

/// `2026-01-01T00:00:00`; every year that a [`Timestamp`] can hold has four digits.
fn date_time(secs: i64) -> [u8; DATE_TIME] {
    let t = Civil::from_secs(secs);
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |at: usize, value: u8| {
        text[at] = b'0' + value / 10;
        text[at + 1] = b'0' + value % 10;
    };
    put(0, (t.year / 100 % 100) as u8);
    put(2, (t.year % 100) as u8);
    for (at, value) in [(5, t.month), (8, t.day), (11, t.hour), (14, t.minute), (17, t.second)] {
        put(at, value);
    }
    text
}

/// `+0100` for 3600.
fn offset_text(offset: i64) -> [u8; OFFSET] {
    let minutes = offset.abs() / 60;
    let digit = |value: i64| b'0' + (value % 10) as u8;
    [
        if offset < 0 { b'-' } else { b'+' },
        digit(minutes / 600),
        digit(minutes / 60),
        digit(minutes % 60 / 10),
        digit(minutes % 60),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utc(nanos: i64) -> String {
        let mut out = Vec::new();
        Clock::new(false).write(Timestamp::from_nanos(nanos), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_microseconds_and_the_offset() {
        assert_eq!(utc(1_767_225_600_123_456_789), "2026-01-01T00:00:00.123456+0000");
        assert_eq!(utc(0), "1970-01-01T00:00:00.000000+0000");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999999+0000");
    }

    #[test]
    fn writes_the_offset_of_the_zone() {
        let mut clock = Clock::new(false);
        clock.zone = Some(TimeZone::fixed(jiff::tz::offset(-3)));
        let mut out = Vec::new();
        clock.write(Timestamp::from_secs(0), &mut out);
        assert_eq!(out, b"1969-12-31T21:00:00.000000-0300");
        assert_eq!(&offset_text(19_800), b"+0530");
        assert_eq!(&offset_text(-12_600), b"-0330");
    }

    proptest! {
        #[test]
        fn agrees_with_a_calendar_library(nanos: i64) {
            let expected = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap()
                .strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string();
            // The library rounds towards zero, packet time rounds down.
            if nanos >= 0 || nanos % 1_000 == 0 {
                prop_assert_eq!(utc(nanos), expected);
            }
        }
    }
}
