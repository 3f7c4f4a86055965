//! Hours in which nobody is to be disturbed, in local time.

use jiff::civil::{Time, Weekday};
use jiff::{ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};

/// Hours in which nobody is to be disturbed, such as `22:00-07:00` or `sat,sun 00:00-24:00`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct QuietHours(Vec<Window>);

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    /// Days on which it begins.
    days: Vec<Weekday>,
    /// Minutes after midnight.
    from: i64,
    /// Minutes after midnight of the day on which it begins; above 1440 on the next day.
    until: i64,
    /// As it was written.
    text: String,
}

impl QuietHours {
    /// When the quiet ends that is at `now`; `None` where there is none.
    pub fn end(&self, now: &Zoned) -> Option<Zoned> {
        let mut end: Option<Zoned> = None;
        // One window may end inside another; a week of them is as long as it gets.
        for _ in 0..16 {
            let at = end.as_ref().unwrap_or(now);
            match self.0.iter().filter_map(|window| window.end(at)).max() {
                Some(later) => end = Some(later),
                None => break,
            }
        }
        end
    }
}

impl Window {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}`: want hours such as \"22:00-07:00\" or \"sat,sun 00:00-24:00\"");
        let (days, hours) = match text.trim().split_once(' ') {
            Some((days, hours)) => (parse_days(days).ok_or_else(wrong)?, hours.trim()),
            None => (DAYS.iter().map(|(_, day)| *day).collect(), text.trim()),
        };
        let (from, until) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, until) = (minutes(from).ok_or_else(wrong)?, minutes(until).ok_or_else(wrong)?);
        if from == 1440 || from == until {
            return Err(wrong());
        }
        let until = if until < from { until + 1440 } else { until };
        Ok(Self { days, from, until, text: text.trim().to_owned() })
    }

    /// When the window ends that `now` is in.
    fn end(&self, now: &Zoned) -> Option<Zoned> {
        [0, 1].into_iter().find_map(|days_ago: i64| {
            let day = now.date().checked_sub(days_ago.days()).ok()?;
            if !self.days.contains(&day.weekday()) {
                return None;
            }
            // Civil time, so that 07:00 is 07:00 also on the night the clocks change.
            let at = |minutes: i64| {
                let day = day.checked_add((minutes / 1440).days()).ok()?;
                let time =
                    Time::new((minutes % 1440 / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
                day.to_datetime(time).to_zoned(now.time_zone().clone()).ok()
            };
            let (from, until) = (at(self.from)?, at(self.until)?);
            (from <= *now && *now < until).then_some(until)
        })
    }
}

fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    if hours.len() > 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = i64::from(hours) * 60 + i64::from(minutes);
    (minutes < 60 && total <= 1440).then_some(total)
}

/// `mon-fri`, `sat,sun`, `mon`.
fn parse_days(text: &str) -> Option<Vec<Weekday>> {
    let place = |name: &str| DAYS.iter().position(|(day, _)| name.eq_ignore_ascii_case(day));
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (place(first)?, place(last)?),
            None => (place(part)?, place(part)?),
        };
        let mut at = first;
        loop {
            days.push(DAYS[at].1);
            if at == last {
                break;
            }
            at = (at + 1) % DAYS.len();
        }
    }
    Some(days)
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl TryFrom<Vec<String>> for QuietHours {
    type Error = String;

    fn try_from(windows: Vec<String>) -> Result<Self, String> {
        if windows.len() > 32 {
            return Err("want at most 32 windows of quiet hours".into());
        }
        windows.iter().map(|text| Window::parse(text)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<QuietHours> for Vec<String> {
    fn from(hours: QuietHours) -> Self {
        hours.0.into_iter().map(|window| window.text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe: clocks change on the last Sundays of March and October.
    fn zoned(civil: &str) -> Zoned {
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        civil.parse::<jiff::civil::DateTime>().unwrap().to_zoned(zone).unwrap()
    }

    fn end(windows: &[&str], now: &str) -> Option<String> {
        let windows: Vec<String> = windows.iter().map(ToString::to_string).collect();
        let end = QuietHours::try_from(windows).unwrap().end(&zoned(now));
        end.map(|end| end.datetime().to_string())
    }

    #[test]
    fn nights_go_past_midnight() {
        // A Saturday.
        let night = &["22:00-07:00"];
        assert_eq!(end(night, "2026-11-21T21:59:59"), None);
        assert_eq!(end(night, "2026-11-21T22:00:00").unwrap(), "2026-11-22T07:00:00");
        assert_eq!(end(night, "2026-11-22T06:59:00").unwrap(), "2026-11-22T07:00:00");
        assert_eq!(end(night, "2026-11-22T07:00:00"), None);
        assert_eq!(end(&[], "2026-11-22T03:00:00"), None);
    }

    #[test]
    fn windows_that_touch_are_one() {
        let windows = &["mon-fri 18:00-08:00", "sat,sun 00:00-24:00"];
        // Friday evening until Monday morning: Saturday's night is not Monday's.
        assert_eq!(end(windows, "2026-11-20T19:00:00").unwrap(), "2026-11-23T00:00:00");
        assert_eq!(end(windows, "2026-11-23T09:00:00"), None);
    }

    #[test]
    fn the_night_in_which_clocks_change_ends_at_the_same_hour() {
        let hours = QuietHours::try_from(vec!["22:00-07:00".to_owned()]).unwrap();
        let now = zoned("2026-10-24T23:00:00");
        let end = hours.end(&now).unwrap();
        assert_eq!(end.datetime().to_string(), "2026-10-25T07:00:00");
        assert_eq!(end.timestamp().as_second() - now.timestamp().as_second(), 9 * 3600);
    }

    #[test]
    fn what_is_no_time_is_told() {
        for wrong in
            ["22-7", "25:00-07:00", "22:00", "foo 22:00-07:00", "07:00-07:00", "22:0-07:00"]
        {
            assert!(QuietHours::try_from(vec![wrong.to_owned()]).unwrap_err().contains(wrong));
        }
    }
}
