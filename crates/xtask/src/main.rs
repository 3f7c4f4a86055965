//! Tasks of the repository that are more than a line of shell: `cargo xtask <task>`.
//!
//! Nothing here is linked into the program.

mod bench;
mod licences;
mod live_bench;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

/// Tasks of the FlowTrack repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Check licences and duplicate versions in the dependency graph against deny.toml
    Licences,
    /// Measure the release binary beside Debian's tools on the same capture
    Bench(bench::Options),
    /// Measure live capture at top speed between network namespaces (root)
    LiveBench(live_bench::Options),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Licences => licences::check(&root()),
        Task::Bench(options) => bench::run(&root(), &options),
        Task::LiveBench(options) => live_bench::run(&root(), &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the repository, wherever cargo was called.
fn root() -> PathBuf {
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_dir.ancestors().nth(2).expect("the crate stands two folders below the root").to_path_buf()
}
