//! `flowtrack rules check`: all problems, and a summary.

use super::super::print;
use crate::config::Config;
use crate::rules::files::{Places, read};
use crate::status::Status;
use flowtrack_rules::lang::{Problem, Span};
use flowtrack_rules::{RuleSet, advice};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the command.
pub fn run(
    files: &[PathBuf],
    quiet: bool,
    config: &Config,
    data_dir: &Path,
) -> anyhow::Result<Status> {
    let places = Places::named_or_configured(files, config, data_dir);
    let mut read = read(&places, config)?;
    let mut text = String::new();
    let where_is: HashMap<(u32, u32), (Arc<str>, Span)> = read
        .loaded
        .signatures
        .iter()
        .map(|signature| (signature.info.gid, signature.info.sid))
        .zip(read.loaded.places.iter().cloned())
        .collect();
    let loaded = read.loaded.signatures.len();
    let set = RuleSet::compile(std::mem::take(&mut read.loaded.signatures));
    let mut notes = Vec::new();
    for signature in set.signatures() {
        let id = (signature.info.gid, signature.info.sid);
        let Some((file, at)) = where_is.get(&id) else { continue };
        notes.extend(advice(signature).into_iter().map(|message| Problem {
            file: file.clone(),
            at: *at,
            sid: Some(id.1),
            keyword: None,
            message: format!("costly: {message}"),
            fatal: false,
        }));
    }
    let costly = notes.len();
    let mut problems = read.problems;
    problems.append(&mut read.loaded.problems);
    let by_keyword = refused_by_keyword(&problems);
    problems.extend(notes);
    problems
        .sort_by(|a, b| (&a.file, a.at.line, a.at.column).cmp(&(&b.file, b.at.line, b.at.column)));
    let wrong = problems.iter().filter(|problem| problem.fatal).count();
    if !quiet {
        for problem in &problems {
            let kind = if problem.fatal { "error" } else { "warning" };
            let Problem { file, at, message, .. } = problem;
            let sid = problem.sid.map_or(String::new(), |sid| format!(" (sid {sid})"));
            let _ = writeln!(text, "{file}:{}:{}: {kind}: {message}{sid}", at.line, at.column);
        }
        if !problems.is_empty() {
            text.push('\n');
        }
    }
    let total = &read.loaded;
    let _ = writeln!(text, "{} rules: {loaded} loaded, {} wrong", total.read, total.refused);
    for (count, what) in
        [(total.unwanted, "switched off"), (total.replaced, "replaced by a later revision")]
    {
        if count > 0 {
            let _ = writeln!(text, "{count:>6} {what}");
        }
    }
    for (reason, count) in &total.skipped {
        let _ = writeln!(text, "{count:>6} left out: {reason}");
    }
    if costly > 0 {
        let _ = writeln!(text, "{costly:>6} costly");
    }
    for (keyword, count) in by_keyword {
        let _ = writeln!(text, "{count:>6} wrong: {keyword}");
    }
    print(&text)?;
    Ok(if wrong > 0 { Status::Broken } else { Status::Ok })
}

/// How many rules each keyword made wrong, the most first.
fn refused_by_keyword(problems: &[Problem]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for problem in problems.iter().filter(|problem| problem.fatal) {
        let keyword = problem.keyword.as_deref().unwrap_or("the rule as a whole");
        *counts.entry(keyword.to_owned()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
