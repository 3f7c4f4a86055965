//! `flowtrack rules profile`: which rules cost most on a capture file.

use super::super::print;
use crate::config::Config;
use crate::rules;
use crate::rules::files::Places;
use crate::status::Status;
use crate::{input, worker};
use flowtrack_engine::{Config as EngineConfig, Engine, Output, Tell};
use flowtrack_rules::{Signature, Spent, searched_first};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// How what was found is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A table to be read.
    Table,
    /// One object.
    Json,
}

/// What rules cost.
#[derive(Serialize)]
struct Profile {
    /// What reading the capture took in all, without measuring.
    seconds: f64,
    /// What judging all rules one by one took of it.
    judging_seconds: f64,
    rules: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    gid: u32,
    sid: u32,
    message: String,
    /// How often its patterns were there, so that it was judged.
    checks: u64,
    matches: u64,
    /// Bytes that were searched.
    bytes: u64,
    seconds: f64,
    /// Of the time for the whole capture, in hundredths.
    percent: f64,
    /// What is searched for before it is judged; nothing where it is judged each time.
    first: Option<String>,
}

/// Runs the command.
pub fn run(
    file: &Path,
    from: &[PathBuf],
    top: usize,
    form: Form,
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
    engine.profile_rules(clock);
    let asking = cost_of_asking();
    let mut source = input::open(file, None)?;
    let began = clock();
    let status = worker::read(&mut *source, &mut engine, None, &mut |_, _| true);
    engine.finish(&mut Output::default());
    let took = clock() - began;
    let profile = profile(took, asking, rules.set.signatures(), engine.rules_spent(), top);
    match form {
        Form::Table => print(&table(&profile))?,
        Form::Json => print(&format!("{}\n", serde_json::to_string_pretty(&profile)?))?,
    }
    Ok(status)
}

/// The dearest rules, from what was measured: what asking the clock took is taken off.
fn profile(
    took: u64,
    asking: u64,
    signatures: &[Signature],
    spent: &[Spent],
    top: usize,
) -> Profile {
    let judged: u64 = spent.iter().map(|spent| spent.judged).sum();
    // Twice for each, of which one falls into what is measured.
    let seconds = took.saturating_sub(2 * asking * judged) as f64 / 1e9;
    let own = |spent: &Spent| spent.nanos.saturating_sub(asking * spent.judged);
    let judging_seconds = spent.iter().map(own).sum::<u64>() as f64 / 1e9;
    let mut dearest: Vec<_> =
        spent.iter().zip(signatures).filter(|(spent, _)| spent.judged > 0).collect();
    dearest.sort_by_key(|(spent, _)| std::cmp::Reverse((own(spent), spent.judged)));
    let row = |(spent, signature): (&Spent, &Signature)| Row {
        gid: signature.info.gid,
        sid: signature.sid(),
        message: signature.info.signature.to_string(),
        checks: spent.judged,
        matches: spent.matched,
        bytes: spent.bytes,
        seconds: own(spent) as f64 / 1e9,
        percent: 100.0 * own(spent) as f64 / 1e9 / seconds.max(1e-9),
        first: searched_first(signature),
    };
    Profile { seconds, judging_seconds, rules: dearest.into_iter().take(top).map(row).collect() }
}

fn table(profile: &Profile) -> String {
    let mut text = format!(
        "{:>10} {:>6} {:>12} {:>10}  {:<10} MESSAGE, and what is searched for first\n",
        "TIME", "SHARE", "CHECKS", "MATCHES", "SID"
    );
    for row in &profile.rules {
        let _ = writeln!(
            text,
            "{:>7.1} ms {:>5.1}% {:>12} {:>10}  {:<10} {}\n{:>53} {}",
            row.seconds * 1e3,
            row.percent,
            row.checks,
            row.matches,
            row.sid,
            row.message,
            "",
            row.first.as_deref().unwrap_or("nothing: it is judged each time"),
        );
    }
    let _ = writeln!(
        text,
        "\nThe capture took {:.2} s, of which judging all rules one by one took {:.2} s.",
        profile.seconds, profile.judging_seconds
    );
    text
}

/// Nanoseconds since it was first asked.
fn clock() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What asking the clock takes, in nanoseconds.
fn cost_of_asking() -> u64 {
    const TIMES: u64 = 10_000;
    let began = clock();
    for _ in 0..TIMES {
        std::hint::black_box(clock());
    }
    (clock() - began) / TIMES
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_rules::Loader;
    use flowtrack_rules::lang::Variables;

    #[test]
    fn the_dearest_come_first_and_the_clock_is_taken_off() {
        let mut loader = Loader::new(Variables::default());
        loader.add(
            "",
            "alert tcp any any -> any any (msg:\"cheap\"; content:\"abc\"; sid:1;)\n\
             alert tcp any any -> any any (msg:\"dear\"; pcre:\"/a+b/\"; sid:2;)\n\
             alert tcp any any -> any any (msg:\"never\"; content:\"xyz\"; sid:3;)\n",
        );
        let signatures = loader.finish().signatures;
        let spent = |judged, nanos| Spent { judged, matched: 1, bytes: 10, nanos };
        let spent = [spent(100, 6_000), spent(10, 2_000_500), Spent::default()];
        let profile = profile(10_000_000 + 110 * 100, 50, &signatures, &spent, 20);
        assert!((profile.seconds - 0.01).abs() < 1e-9, "{}", profile.seconds);
        let rows: Vec<_> = profile.rules.iter().map(|row| (row.sid, row.checks)).collect();
        assert_eq!(rows, [(2, 10), (1, 100)]);
        assert!((profile.rules[0].percent - 20.0).abs() < 0.01, "{}", profile.rules[0].percent);
        assert_eq!(profile.rules[1].first.as_deref(), Some("\"abc\" in the payload"));
        assert_eq!(profile.rules[0].first, None);
        assert!(table(&profile).contains("nothing: it is judged each time"));
    }
}
