//! One file for each command.

mod alerts;
mod analyze;
mod block;
mod config;
mod doctor;
mod export;
mod interfaces;
mod notify;
mod rules;
mod run;

use crate::cli::{Cli, Command};
use crate::config::{Config, Wrong, data_dir};
use crate::notify::keeper;
use crate::status::Status;
use anyhow::Context as _;
use flowtrack_store::HistoryReader;
use flowtrack_store::history::QueryError;
use jiff::tz::TimeZone;
use std::io::Write as _;
use std::path::Path;

/// Does what the command line says.
pub fn run(cli: &Cli) -> anyhow::Result<Status> {
    let data_dir = data_dir(&cli.global);
    if let Command::Config { action } = cli.command {
        return config::run(action, &cli.global);
    }
    if let Command::Doctor { json } = cli.command {
        // Who asks what is wrong is told, whatever it is.
        return doctor::run(json, &data_dir, Config::load(&cli.global));
    }
    let config = Config::load(&cli.global)?;
    match &cli.command {
        Command::Run(args) => run::run(args, &config, &data_dir, &keeper(&cli.global, &data_dir)),
        Command::Analyze(args) => analyze::run(args, &config),
        Command::Alerts(args) => alerts::run(args, &data_dir),
        Command::Export(args) => export::run(args, &data_dir),
        Command::Interfaces { json } => interfaces::run(*json),
        Command::Notify { action } => notify::run(action, &config, &keeper(&cli.global, &data_dir)),
        Command::Rules { action } => rules::run(action, &config, &data_dir),
        Command::Block(args) => block::block(args, &config, &data_dir),
        Command::Unblock(args) => block::unblock(args, &config, &data_dir),
        Command::Confirm(args) => block::confirm(args, &config, &data_dir),
        Command::Blocked(args) => block::blocked(*args, &config, &data_dir),
        Command::Doctor { .. } | Command::Config { .. } => Ok(Status::Ok),
    }
}

/// Opens a history to read it.
fn history(path: &Path) -> anyhow::Result<HistoryReader> {
    let is_there = path.try_exists().with_context(|| format!("cannot read {}", path.display()))?;
    if !is_there {
        return Err(Wrong(format!(
            "{}: there is no history here; `flowtrack run` keeps one, `flowtrack analyze FILE --db \
             {}` makes one; --data-dir or --db names another",
            path.display(),
            path.display()
        ))
        .into());
    }
    HistoryReader::open(path).map_err(|error| match error {
        QueryError::NotHistory => {
            Wrong(format!("{}: {error}; --data-dir or --db names another", path.display())).into()
        }
        other => anyhow::Error::new(other).context(path.display().to_string()),
    })
}

/// Prints to standard output; a reader that has gone is no error.
fn print(text: &str) -> anyhow::Result<()> {
    print_on(text).map(drop)
}

/// Prints to standard output at once; says whether anybody still reads.
fn print_on(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(anyhow::Error::new(e).context("cannot write to standard output")),
    }
}

/// So many of something: `1 host`, `2 hosts`.
fn counted(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// A time, in microseconds since 1970, as the clock on the wall says it.
fn local(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map_or_else(
        |_| "for ever".to_owned(),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
