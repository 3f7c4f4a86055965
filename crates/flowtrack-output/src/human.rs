//! Numbers, sizes and times as a person reads them.
//!
//! Sizes and rates are decimal (1 kB = 1,000 bytes) throughout, and a unit is chosen after
//! rounding, so that 999,999 bytes are 1.0 MB and never 1000.0 kB.

use std::borrow::Cow;
use std::time::Duration;

use flowtrack_event::Timestamp;

use crate::clock::Civil;

/// `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.2 kB`.
pub(crate) fn bytes(n: u64) -> String {
    scaled(n as f64, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `1.2 Mbit/s`.
pub(crate) fn bit_rate(bits_per_second: f64) -> String {
    scaled(bits_per_second, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"])
}

/// `1.2 k/s`.
pub(crate) fn packet_rate(packets_per_second: f64) -> String {
    if packets_per_second < 9_999.5 {
        return format!("{} packets/s", count(packets_per_second.round() as u64));
    }
    let text = scaled(packets_per_second, &["", "k", "M", "G", "T", "P", "E"]);
    format!("{text} packets/s")
}

/// `45.2 %`; what is there but rounds to nothing is `<0.1 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.05 { "<0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// `210 µs`, `18.4 ms`, `1.20 s`.
pub(crate) fn micros(us: u32) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..999_950 => format!("{:.1} ms", f64::from(us) / 1e3),
        _ => format!("{:.2} s", f64::from(us) / 1e6),
    }
}

/// `250 ms`, `59.0 s`, `5 min 12 s`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn duration(length: Duration) -> String {
    let secs = length.as_secs();
    match length.as_millis() {
        0 => format!("{} µs", length.as_micros()),
        1..1_000 => format!("{} ms", length.as_millis()),
        1_000..60_000 => format!("{:.1} s", length.as_secs_f64()),
        60_000..3_600_000 => format!("{} min {} s", secs / 60, secs % 60),
        3_600_000..86_400_000 => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3_600 % 24),
    }
}

/// A round stretch of time: `1 s`, `2 min`, `3 h`, `7 d`.
pub(crate) fn interval(secs: u32) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let whole = units.into_iter().find(|(unit, _)| secs >= *unit && secs.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "s"));
    format!("{} {name}", secs / unit)
}

/// `2026-01-01 09:00:00`, in UTC.
pub(crate) fn date_time(ts: Timestamp) -> String {
    format!("{} {}", date(ts), time_of_day(ts))
}

/// `2026-01-01`, in UTC.
pub(crate) fn date(ts: Timestamp) -> String {
    day(ts.secs())
}

/// `2026-01-01`, in UTC, of a second since 1970; also of centuries that a [`Timestamp`] lacks.
pub(crate) fn day(secs: i64) -> String {
    let Civil { year, month, day, .. } = Civil::from_secs(secs);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `09:00:00`, in UTC.
pub(crate) fn time_of_day(ts: Timestamp) -> String {
    let Civil { hour, minute, second, .. } = Civil::from_secs(ts.secs());
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// The end of a time span whose beginning is told: its date only where it is another one.
pub(crate) fn later(start: Timestamp, end: Timestamp) -> String {
    if date(start) == date(end) { time_of_day(end) } else { date_time(end) }
}

/// A time span: the second date only where it is another one.
pub(crate) fn span(start: Timestamp, end: Timestamp) -> String {
    format!("{} – {}", date_time(start), later(start, end))
}

/// Text of the wire without what cannot be seen or changes how the rest is seen: control
/// characters, and the marks that turn the writing direction or have no width.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}')
    };
    if text.contains(hidden) {
        Cow::Owned(text.replace(hidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Text of the wire for a terminal: printable ASCII, `?` for the rest, so that its width is known
/// and it can give the terminal no command.
pub(crate) fn terminal(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    // Whole below a thousand of the first unit, one decimal place above.
    while unit + 1 < units.len() && value >= if unit == 0 { 999.5 } else { 999.95 } {
        value /= 1_000.0;
        unit += 1;
    }
    let number = if unit == 0 { format!("{value:.0}") } else { format!("{value:.1}") };
    format!("{number} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_decimal_and_chosen_after_rounding() {
        assert_eq!(
            [0, 999, 1_000, 999_949, 999_999].map(bytes),
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB"]
        );
        assert_eq!(bytes(u64::MAX), "18.4 EB");
        assert_eq!(bit_rate(999.7), "1.0 kbit/s");
        assert_eq!(packet_rate(9_999.7), "10.0 k packets/s");
        assert_eq!(
            [999, 1_000, 999_949, 999_950].map(micros),
            ["999 µs", "1.0 ms", "999.9 ms", "1.00 s"]
        );
        assert_eq!([0.0, 0.0001, 0.5, 1.0].map(percent), ["0.0 %", "<0.1 %", "50.0 %", "100.0 %"]);
    }

    #[test]
    fn long_numbers_and_spans_stay_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let lengths = [0.25, 59.04, 312.0, 11_100.0, 187_200.0];
        assert_eq!(
            lengths.map(|s| duration(Duration::from_secs_f64(s))),
            ["250 ms", "59.0 s", "5 min 12 s", "3 h 5 min", "2 d 4 h"]
        );
        assert_eq!(
            [1, 90, 120, 10_800, 86_400].map(interval),
            ["1 s", "90 s", "2 min", "3 h", "1 d"]
        );
        let at = |secs: i64| Timestamp::from_secs(1_767_258_000 + secs);
        assert_eq!(span(at(0), at(59)), "2026-01-01 09:00:00 – 09:00:59");
        assert_eq!(span(at(0), at(86_400)), "2026-01-01 09:00:00 – 2026-01-02 09:00:00");
    }

    #[test]
    fn wire_text_gives_no_command() {
        assert_eq!(terminal("a\u{1b}[2Jé\u{7}"), "a?[2J??");
        assert_eq!(visible("a\u{202e}b\u{0}é"), "a\u{fffd}b\u{fffd}é");
    }
}
