//! Times and lengths of time as people write them on the command line.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// A length of time: numbers with units from `s` to `w`, such as `90s`, `1h 30m` or `2w`; a day
/// has 24 hours here. At least a second.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    plain(text)
        .or_else(|| text.trim().parse().ok())
        .filter(|found| *found >= SignedDuration::from_secs(1))
        .ok_or_else(|| "want a length of time such as `90s`, `30m`, `12h`, `7d` or `2w`".to_owned())
}

/// A time: a date, a date with time, or a length of time before now; microseconds since 1970.
pub fn moment(text: &str, now: Timestamp) -> Result<i64, String> {
    let text = text.trim();
    let length = text.strip_suffix("ago").unwrap_or(text).trim();
    if let Ok(ago) = duration(length) {
        let at = now.checked_sub(ago).map_err(|_| "that is before all calendars".to_owned())?;
        return Ok(at.as_microsecond());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_microsecond());
    }
    let local = text.parse::<civil::DateTime>().or_else(|_| {
        text.parse::<civil::Date>().map(|date| date.to_datetime(civil::Time::midnight()))
    });
    local.and_then(|at| at.to_zoned(TimeZone::system())).map_or_else(
        |_| {
            Err("want `2026-01-31`, `2026-01-31T12:00:00Z`, or a length of time before now such \
                 as `90s`, `30m`, `2h`, `7d` or `2w`"
                .into())
        },
        |at| Ok(at.timestamp().as_microsecond()),
    )
}

/// Units and their seconds; those of days and weeks the crate leaves to calendars.
const UNITS: [(char, i64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// Whole numbers, each with one of [`UNITS`].
fn plain(text: &str) -> Option<SignedDuration> {
    let mut seconds: i64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let unit = behind.chars().next()?;
        let (_, each) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(each)?)?;
        rest = behind[1..].trim_start();
    }
    Some(SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_as_people_write_them() {
        let seconds = |text| duration(text).unwrap().as_secs();
        for (text, want) in [
            ("90s", 90),
            ("30m", 1_800),
            ("1h", 3_600),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1h 30m", 5_400),
            ("1d12h", 129_600),
            (" 7 d ", 604_800),
            ("1 hour", 3_600),
            ("PT1H", 3_600),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
        for wrong in ["", "x", "7", "d", "0s", "-1h", "7y", "7dd", "99999999999999999d", "7\u{e4}"]
        {
            assert!(duration(wrong).unwrap_err().contains("`7d`"), "{wrong}");
        }
    }

    #[test]
    fn moments_are_dates_or_so_long_ago() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let ago = |text| (now.as_microsecond() - moment(text, now).unwrap()) / 1_000_000;
        assert_eq!(
            ["90s", "30m", "2h", "7d", "2w", "7d ago"].map(ago),
            [90, 1_800, 7_200, 604_800, 1_209_600, 604_800]
        );
        let at: Timestamp = "2026-01-30T10:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-01-30T10:00:00Z", now).unwrap(), at.as_microsecond());
        assert!(moment("2026-01-30", now).is_ok() && moment("2026-01-30T10:00", now).is_ok());
        for wrong in ["yesterday-ish", "", "0d", "7", "2026-13-01"] {
            assert!(moment(wrong, now).unwrap_err().contains("`7d`"), "{wrong}");
        }
        assert!(moment("9999999w", now).unwrap_err().contains("before all"));
    }
}
