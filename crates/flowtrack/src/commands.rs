//! One file for each command.

mod analyze;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::status::Status;

/// Does what the command line says.
pub fn run(cli: &Cli) -> anyhow::Result<Status> {
    let config = Config::load(&cli.global)?;
    match &cli.command {
        Command::Analyze(args) => analyze::run(args, &config),
        _ => anyhow::bail!("not here yet"),
    }
}
