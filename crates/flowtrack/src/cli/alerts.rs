//! `flowtrack alerts`, as it is typed.

use clap::Args;
use std::path::PathBuf;

/// `flowtrack alerts`.
#[derive(Args, Debug)]
pub struct AlertsArgs {
    /// Go on and print alerts as they open, come back or get worse
    #[arg(short, long)]
    pub follow: bool,
    /// From this time on: `2026-01-31`, `2026-01-31T12:00:00Z`, or so long ago: `30m`, `2h`, `7d`
    #[arg(long, value_name = "T", default_value = "24h")]
    pub since: String,
    /// Only this severity and higher ones: `info`, `low`, `medium`, `high`, `critical`
    #[arg(long, value_name = "SEVERITY")]
    pub severity: Option<String>,
    /// Only what all terms match, such as `source=10.0.0.0/8 state=new ssh`
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Print JSON: one array, or one object a line with --follow
    #[arg(long)]
    pub json: bool,
    /// Read this history database instead of the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}
