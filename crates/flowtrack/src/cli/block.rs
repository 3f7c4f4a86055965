//! `flowtrack block`, `unblock`, `confirm` and `blocked`.

use clap::Args;
use jiff::SignedDuration;
use std::path::PathBuf;

/// `flowtrack block`.
#[derive(Args, Debug)]
pub struct Block {
    /// Addresses, networks and ports: `192.0.2.1`, `2001:db8::/64`, `23`, `udp/53`
    #[arg(value_name = "WHAT", required_unless_present = "list")]
    pub whats: Vec<String>,
    /// Also block what stands in this file, one on each line; `#` begins a remark
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// For how long, such as `1h` or `7d` [default: `respond.first_secs`]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Option<SignedDuration>,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Undo it after a minute unless `flowtrack confirm` follows; so it is anyway over SSH and for
    /// networks
    #[arg(long, conflicts_with = "no_confirm")]
    pub confirm: bool,
    /// Keep it without being confirmed
    #[arg(long)]
    pub no_confirm: bool,
    /// Block nothing: say what it would have cut, from history
    #[arg(long)]
    pub preview: bool,
    /// How far back `--preview` looks
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1d", requires = "preview")]
    pub last: SignedDuration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `flowtrack unblock`.
#[derive(Args, Debug)]
pub struct Unblock {
    /// What is blocked, as `flowtrack blocked` says it
    #[arg(value_name = "WHAT", required_unless_present = "all")]
    pub whats: Vec<String>,
    /// Undo all blocks
    #[arg(long, conflicts_with = "whats")]
    pub all: bool,
}

/// `flowtrack confirm`.
#[derive(Args, Debug)]
pub struct Confirm {
    /// Which blocks [default: all that wait for it]
    #[arg(value_name = "WHAT")]
    pub whats: Vec<String>,
}

/// `flowtrack blocked`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Blocked {
    /// Also list blocks that have ended
    #[arg(long)]
    pub past: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    // Days are 24 hours here, which the crate leaves to calendars.
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<i64>().ok());
    let found = match days {
        Some(days) => days
            .checked_mul(24)
            .and_then(|hours| hours.checked_mul(3_600))
            .map(SignedDuration::from_secs),
        None => text.parse().ok(),
    };
    found
        .filter(|found| *found >= SignedDuration::from_secs(1))
        .ok_or_else(|| "want a duration such as `30m`, `1h` or `7d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        assert_eq!(duration("1h").unwrap().as_secs(), 3_600);
        assert_eq!(duration("7d").unwrap().as_secs(), 604_800);
        assert_eq!(duration("1h 30m").unwrap().as_secs(), 5_400);
        for wrong in ["", "x", "0s", "-1h", "99999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
