//! The command line of `flowtrack notify`.

use clap::Subcommand;

/// What to do with the channels by which people are told.
#[derive(Subcommand, Debug)]
pub enum NotifyAction {
    /// Send a test message, and say what became of it
    Test {
        /// Names of channels, or `all`
        #[arg(required = true, value_name = "CHANNEL")]
        channels: Vec<String>,
    },
    /// List channels and routes, and what of them is unwise or will not work
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
