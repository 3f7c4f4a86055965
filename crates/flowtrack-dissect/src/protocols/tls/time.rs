//! Times as certificates write them (X.680 sections 46 and 47).

/// `UTCTime`, whose year has two digits.
const UTC_TIME: u8 = 0x17;
/// `GeneralizedTime`, whose year has four.
const GENERALIZED_TIME: u8 = 0x18;

/// A time as seconds since 1970-01-01T00:00:00Z.
pub fn read(tag: u8, text: &[u8]) -> Option<i64> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = two_digits(text)?;
            // RFC 5280 section 4.1.2.5.1: two digits mean 1950 to 2049.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
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
pub fn text(seconds: i64) -> String {
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

    #[test]
    fn times_are_read_and_written() {
        let utc = |time: &str| read(UTC_TIME, time.as_bytes()).map(text);
        assert_eq!(utc("700101000000Z").unwrap(), "1970-01-01T00:00:00");
        assert_eq!(utc("491231235959Z").unwrap(), "2049-12-31T23:59:59");
        assert_eq!(utc("500101000000Z").unwrap(), "1950-01-01T00:00:00");
        assert_eq!(utc("2402291200Z").unwrap(), "2024-02-29T12:00:00");
        assert_eq!(utc("240301003000+0130").unwrap(), "2024-02-29T23:00:00");
        assert_eq!(utc("241301000000Z"), None);
        assert_eq!(utc("24010"), None);
        let general = |time: &str| read(GENERALIZED_TIME, time.as_bytes()).map(text);
        assert_eq!(general("99991231235959Z").unwrap(), "9999-12-31T23:59:59");
        assert_eq!(general("20240101000000.123Z").unwrap(), "2024-01-01T00:00:00");
        assert_eq!(read(0x16, b"240101000000Z"), None);
    }
}
