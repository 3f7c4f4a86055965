//! `flowtrack block`, `unblock`, `confirm` and `blocked`.

use crate::moment::duration;
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
