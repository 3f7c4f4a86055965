//! Rule files and what stands beside them, read from disk.

mod addresses;
pub mod book;
pub mod files;

use crate::config::Config;
use anyhow::Context as _;
use files::{Places, text_of};
use flowtrack_rules::lang::Problem;
use flowtrack_rules::state::{Dataset, DatasetForm, DatasetSpec, Turn};
use flowtrack_rules::{Loaded, RuleSet, Shared};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Signatures that are ready to be judged by, and what they share.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The signatures.
    pub set: Arc<RuleSet>,
    /// What they remember beyond flows.
    pub shared: Arc<Shared>,
}

impl Rules {
    /// The same rules for traffic that has nothing to do with what they saw: all they remember is
    /// what data sets were filled with.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { set: Arc::clone(&self.set), shared: Arc::new(self.shared.again()) }
    }

    /// The same rules for one of several workers that share the packets of a capture.
    #[must_use]
    pub fn in_turn(&self, turn: Box<dyn Turn>) -> Self {
        Self { set: Arc::clone(&self.set), shared: Arc::new(self.shared.in_turn(turn)) }
    }
}

/// Problems that are said one by one; `flowtrack rules check` says all.
const SAID: usize = 10;

/// Loads what a run is to judge by, and says on standard error what could not be loaded; `None`
/// where there is no rule.
pub fn for_run(places: &Places, config: &Config) -> anyhow::Result<Option<Rules>> {
    if places.paths.is_empty() && !places.builtin {
        return Ok(None);
    }
    let (rules, problems) = load(places, config, None)?;
    say(&problems);
    Ok(Some(rules))
}

/// Says what could not be loaded.
pub fn say(problems: &[Problem]) {
    let wrong: Vec<&Problem> = problems.iter().filter(|problem| problem.fatal).collect();
    for problem in wrong.iter().take(SAID) {
        eprintln!("flowtrack: {problem}");
    }
    if wrong.len() > SAID {
        eprintln!(
            "flowtrack: {} more rules cannot be loaded; `flowtrack rules check` lists them",
            wrong.len() - SAID
        );
    }
}

/// Loads rules with the data sets they name; says what is wrong. What rules remember from before is
/// kept in `shared`.
pub fn load(
    places: &Places,
    config: &Config,
    shared: Option<Arc<Shared>>,
) -> anyhow::Result<(Rules, Vec<Problem>)> {
    let files::Read { loaded, thresholds, mut problems } = files::read(places, config)?;
    let reputation = addresses::reputation(&config.rules)?;
    let countries = addresses::countries(&config.rules)?;
    let shared = Arc::new(shared.unwrap_or_default().knowing(reputation, countries));
    let Loaded { signatures: understood, places, problems: of_rules, .. } = loaded;
    problems.extend(of_rules);
    let mut signatures = Vec::with_capacity(understood.len());
    for (signature, (file, at)) in understood.into_iter().zip(places) {
        let filled =
            signature.datasets.iter().try_for_each(|spec| fill(spec, Path::new(&*file), &shared));
        match filled {
            Ok(()) => signatures.push(signature),
            Err(error) => problems.push(Problem {
                file,
                at,
                sid: Some(signature.sid()),
                keyword: None,
                message: format!("its data set cannot be filled: {error:#}"),
                fatal: true,
            }),
        }
    }
    thresholds.apply(&mut signatures);
    let set = Arc::new(RuleSet::compile_in(config.rules.order(), signatures));
    Ok((Rules { set, shared }, problems))
}

/// Fills a data set from its file, once.
fn fill(spec: &DatasetSpec, rule_file: &Path, shared: &Shared) -> anyhow::Result<()> {
    if shared.dataset(spec.id(), |_| ()).is_some() {
        return Ok(());
    }
    let mut set = Dataset::new(spec.kind);
    let path = spec.load.as_ref().map(|load| {
        let beside = rule_file.parent().unwrap_or(Path::new("")).join(&**load);
        if beside.is_file() { beside } else { PathBuf::from(&**load) }
    });
    if let Some(path) = path.filter(|path| !spec.may_be_missing || path.exists()) {
        let text = text_of(&path)?;
        match &spec.form {
            DatasetForm::Lines => set.load(&text),
            DatasetForm::Ndjson { value } => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    let object = serde_json::from_str(line)
                        .with_context(|| format!("{} is not JSON", path.display()))?;
                    add_value(&mut set, &object, value);
                }
            }
            DatasetForm::Json { array, value } => {
                let document: serde_json::Value = serde_json::from_str(&text)
                    .with_context(|| format!("{} is not JSON", path.display()))?;
                let list = at_path(&document, array).and_then(|list| list.as_array());
                for object in list.into_iter().flatten() {
                    add_value(&mut set, object, value);
                }
            }
        }
        if set.bad_lines > 0 {
            tracing::warn!(
                file = %path.display(),
                lines = set.bad_lines,
                "a data set has values that are not of its type"
            );
        }
    }
    shared.put_dataset(spec.id(), set);
    Ok(())
}

fn add_value(set: &mut Dataset, object: &serde_json::Value, path: &str) {
    match at_path(object, path).and_then(|value| value.as_str()) {
        Some(text) => set.load_value(text),
        None => set.bad_lines += 1,
    }
}

/// What stands at a path of names with dots between them.
fn at_path<'a>(value: &'a serde_json::Value, path: &str) -> Option<&'a serde_json::Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(value, |value, name| value.get(name))
}
