//! `flowtrack rules profile`: which rules cost most on a capture file.

use super::super::print;
use crate::config::Config;
use crate::rules;
use crate::rules::files::Places;
use crate::status::Status;
use crate::{input, worker};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Tell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn run(
    file: &Path,
    from: &[PathBuf],
    top: usize,
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let (rules, problems) =
        rules::load(&Places::named_or_configured(from, config, data_dir), config, None)?;
    rules::say(&problems);
    let engine = EngineConfig {
        flow: config.flow.clone(),
        defrag: config.defrag.clone(),
        dissect: config.dissect.clone(),
        verify_checksums: false,
        tell: Tell::LIVE,
        shard: None,
    };
    let mut engine = Engine::new(&engine, 0, worker::seed()?);
    engine.set_rules(rules.set.clone(), rules.shared.clone());
    engine.profile_rules();
    let mut source = input::open(file, None)?;
    let status = worker::read(&mut *source, &mut engine, None, &mut |_, _| true);
    engine.finish(&mut Output::default());
    let mut spent: Vec<_> = engine.rules_spent().iter().zip(rules.set.signatures()).collect();
    spent.sort_by_key(|(spent, _)| std::cmp::Reverse((spent.bytes, spent.judged)));
    let mut text = format!(
        "{:>14} {:>12} {:>10}  {:<10} {}\n",
        "BYTES", "JUDGED", "MATCHED", "SID", "MESSAGE"
    );
    for (spent, signature) in spent.into_iter().filter(|(spent, _)| spent.judged > 0).take(top) {
        let _ = writeln!(
            text,
            "{:>14} {:>12} {:>10}  {:<10} {}",
            spent.bytes,
            spent.judged,
            spent.matched,
            signature.sid(),
            signature.info.signature
        );
    }
    print(&text)?;
    Ok(status)
}
