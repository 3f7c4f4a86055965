//! The command line, as it is typed.

mod alerts;
mod block;
mod notify;
mod rules;

pub use alerts::AlertsArgs;
pub use block::{Block, Blocked, Confirm, Unblock};
pub use notify::NotifyAction;
pub use rules::RulesAction;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flowtrack_capture::Pace;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Sees every flow on a network and names it.
#[derive(Parser, Debug)]
#[command(
    name = "flowtrack",
    version,
    about = "Sees every flow on a network, names it, catches attacks, stops them safely",
    after_help = "Without a command, flowtrack captures on the interface that carries the default \
                  route and serves the dashboard (`flowtrack run`).\n\
                  Exit status: 0 all well; 1 some input was broken; 2 wrong usage or \
                  configuration; 3 the system failed (permission, disk)."
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where help lists what every command takes.
const EVERY: &str = "Options of every command";

/// Options that every command takes.
#[derive(Args, Debug)]
pub struct Global {
    /// Where history, recorded packets and keys are kept [default: /var/lib/flowtrack for root, else
    /// ~/.local/share/flowtrack]
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERY)]
    pub data_dir: Option<PathBuf>,
    /// Configuration file [default: flowtrack.toml in the data directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERY)]
    pub config: Option<PathBuf>,
    /// Overrides one setting, such as `flow.max_flows=200000`; may be repeated; `flowtrack config
    /// docs` lists all
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", help_heading = EVERY)]
    pub settings: Vec<String>,
    /// Says more; twice, even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = EVERY)]
    pub verbose: u8,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Capture, track and serve the dashboard (the default)
    Run(Run),
    /// Read capture files and say what is in them
    Analyze(Analyze),
    /// Write flows, packets, alerts or transactions of the past to a file
    Export(Export),
    /// Print alerts; with --follow, also those to come
    Alerts(AlertsArgs),
    /// List the interfaces that can be captured on
    Interfaces {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check, show or explain the configuration
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Check, explain, choose and fetch rules
    Rules {
        /// What to do with them.
        #[command(subcommand)]
        action: RulesAction,
    },
    /// Block addresses, networks or ports with the firewall, for a time
    Block(Block),
    /// Undo blocks
    Unblock(Unblock),
    /// Keep blocks that would be undone after a minute
    Confirm(Confirm),
    /// List what is blocked
    Blocked(Blocked),
    /// List the channels by which people are told (mail, chat, ...), and test them
    Notify {
        /// What to do with them.
        #[command(subcommand)]
        action: NotifyAction,
    },
    /// Say what this machine lacks, and what to do about it
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the configuration.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigAction {
    /// Say whether it is right
    Check,
    /// Print it as it is in force, with every default
    Show,
    /// Print every setting with its meaning
    Docs,
}

/// `flowtrack run`.
#[derive(Args, Debug)]
pub struct Run {
    /// Interface to capture on, or `any`; may be repeated [default: the one with the default route]
    #[arg(short, long = "interface", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Capture only this, in the language of tcpdump, such as `tcp port 443`
    #[arg(short = 'f', long = "filter", value_name = "BPF")]
    pub filter: Option<String>,
    /// Replay a capture file through the live path instead (`-` for standard input)
    #[arg(short = 'r', long = "read", value_name = "FILE", conflicts_with = "interfaces")]
    pub read: Option<PathBuf>,
    /// How fast to replay: `1x` as it was captured, `10x`, ..., or `max`
    #[arg(long, value_name = "PACE", requires = "read", default_value = "1x")]
    pub pace: Pace,
    /// Begin again at the end of the file
    #[arg(long = "loop", requires = "read")]
    pub repeat: bool,
    /// Address and port of the dashboard [default: `web.listen`, 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen)]
    pub listen: Option<SocketAddr>,
    /// See traffic that is not for this machine
    #[arg(short, long)]
    pub promiscuous: bool,
    /// Worker threads [default: one per core, at most 8]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// Judge traffic by these rules: files, or folders with `.rules` files; may be repeated. SIGHUP
    /// loads them again
    #[arg(short = 'S', long = "rules", value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Also write events to this file as EVE JSON
    #[arg(long, value_name = "PATH")]
    pub eve: Option<PathBuf>,
    /// Tell people (see `flowtrack notify`) of what a replayed file shows too
    #[arg(long, requires = "read")]
    pub notify: bool,
    /// Keep the packets themselves, so that they can be exported
    #[arg(long)]
    pub record: bool,
    /// Keep the files that the network carries in this folder, under their SHA-256, with what
    /// carried them beside; only those that rules choose, where a rule has `filestore`
    #[arg(long, value_name = "DIR")]
    pub store_files: Option<PathBuf>,
}

/// `flowtrack analyze`.
#[derive(Args, Debug)]
pub struct Analyze {
    /// Capture files: pcap or pcapng, also packed with gzip or zstd; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Read only this, in the language of tcpdump, such as `tcp port 443`
    #[arg(short = 'f', long = "filter", value_name = "BPF")]
    pub filter: Option<String>,
    /// Write events as EVE JSON to this file, or to standard output with `-`
    #[arg(long, value_name = "PATH")]
    pub eve: Option<PathBuf>,
    /// Make every file a run of its own; `--eve` names a folder for `000000.eve.json` and so on
    #[arg(long, requires = "eve")]
    pub each: bool,
    /// Keep the files that were carried in this folder, under their SHA-256, with what
    /// carried them beside; only those that rules choose, where a rule has `filestore`
    #[arg(long, value_name = "DIR")]
    pub store_files: Option<PathBuf>,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub json: bool,
    /// Say more: names of addresses, what was said by protocol, alerts with their evidence, longer
    /// tables
    #[arg(long, conflicts_with = "each")]
    pub details: bool,
    /// Write a report with plots, and with alerts and their evidence
    #[arg(long, value_name = "FILE.html", conflicts_with = "each")]
    pub report: Option<PathBuf>,
    /// Keep flows, rates and alerts in this history database, for `flowtrack alerts` and `export`
    #[arg(long, value_name = "FILE", conflicts_with = "each")]
    pub db: Option<PathBuf>,
    /// Read a capture file into `--db` though it is there already; everything in it then counts
    /// twice
    #[arg(long, requires = "db")]
    pub again: bool,
    /// Worker threads; with `--each`, files that are read at once
    #[arg(long, value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// Judge traffic by these rules: files, or folders with `.rules` files; may be repeated
    #[arg(short = 'S', long = "rules", value_name = "PATH")]
    pub rules: Vec<PathBuf>,
    /// Look for attacks by behaviour too: scans, floods and the like; reads with one worker
    #[arg(long)]
    pub detect: bool,
    /// What to do with wrong checksums
    #[arg(long, value_name = "MODE", default_value = "ignore")]
    pub checksums: Checksums,
}

/// What to do with wrong checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Checksums {
    /// Count packets whose checksum is wrong, and believe nothing else they say
    Verify,
    /// Do not look: network cards compute them after the capture
    Ignore,
}

/// `flowtrack export`.
#[derive(Args, Debug)]
pub struct Export {
    /// `flows`, `packets`, `alerts`, `anomalies`, or an application protocol such as `dns`
    pub what: String,
    /// Form of the output
    #[arg(long, value_name = "FORMAT")]
    pub format: Format,
    /// From this time on: `2026-01-31`, `2026-01-31T12:00:00Z`, or so long ago: `30m`, `2h`, `7d`
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Only what this expression matches, such as `host = 10.0.0.7 and dest_port = 443`, or for
    /// alerts `severity=high source=10.0.0.0/8`
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Where to write to
    #[arg(short, long, value_name = "PATH", default_value = "-")]
    pub output: PathBuf,
    /// Read this history database instead of the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

/// Form of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header line
    Csv,
    /// An array of objects
    Json,
    /// Packets, for every analyser
    Pcap,
    /// Packets with their interfaces
    Pcapng,
}

fn workers(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| "want a number from 1 to 64".to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "want an address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// The arguments with `run` put in where no command is named, so that `flowtrack -i eth0` works.
pub fn with_default_command(args: impl IntoIterator<Item = String>) -> Vec<String> {
    const VALUED: [&str; 3] = ["--data-dir", "--config", "--set"];
    let mut args: Vec<String> = args.into_iter().collect();
    let mut at = 1;
    while let Some(arg) = args.get(at) {
        match arg.as_str() {
            "-h" | "--help" | "-V" | "--version" => return args,
            arg if VALUED.contains(&arg) => at += 2,
            "-v" | "-vv" | "--verbose" => at += 1,
            arg if VALUED.iter().any(|v| arg.starts_with(&format!("{v}="))) => at += 1,
            arg if arg.starts_with('-') => break,
            _ => return args,
        }
    }
    args.insert(at.min(args.len()), "run".into());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        let with = |args: &str| with_default_command(args.split(' ').map(String::from)).join(" ");
        assert_eq!(with("flowtrack"), "flowtrack run");
        assert_eq!(with("flowtrack -i eth0"), "flowtrack run -i eth0");
        assert_eq!(with("flowtrack --data-dir /d -i eth0"), "flowtrack --data-dir /d run -i eth0");
        assert_eq!(with("flowtrack --set a=1 analyze x"), "flowtrack --set a=1 analyze x");
        assert_eq!(with("flowtrack --help"), "flowtrack --help");
        assert_eq!(with("flowtrack interfaces"), "flowtrack interfaces");
    }
}
