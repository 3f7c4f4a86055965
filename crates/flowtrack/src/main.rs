//! The program: command line, configuration, threads, the hub, shutdown.

mod alerts;
mod backend;
mod cli;
mod commands;
mod config;
mod control;
mod detect;
mod export;
mod files;
mod hub;
mod input;
mod lock;
mod moment;
mod notify;
mod replace;
mod respond;
mod rules;
mod status;
mod turns;
mod watch;
mod worker;

use clap::Parser as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = cli::with_default_command(std::env::args());
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are answers, not errors.
            let status = if e.use_stderr() { status::Status::Usage } else { status::Status::Ok };
            let _ = e.print();
            return status.into();
        }
    };
    start_log(cli.global.verbose);
    match commands::run(&cli) {
        Ok(status) => status.into(),
        Err(e) => {
            eprintln!("flowtrack: {}", status::told(&e));
            status::Status::of(&e).into()
        }
    }
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FLOWTRACK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A file or a journal wants text, not colours.
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
}
