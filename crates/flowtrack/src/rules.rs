//! Rule files and what stands beside them, read from disk.

use crate::config::Config;
use anyhow::Context as _;
use flowtrack_rules::lang::{Headers, Problem, ThresholdConfig, Variables};
use flowtrack_rules::state::{Dataset, DatasetForm, DatasetSpec};
use flowtrack_rules::{Loaded, Loader, RuleSet, Shared};
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
}

/// Problems that are said one by one; `flowtrack rules check` says all.
const SAID: usize = 10;

/// Loads what a run is to judge by, and says on standard error what could not be loaded.
pub fn for_run(paths: &[PathBuf], config: &Config) -> anyhow::Result<Option<Rules>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let (rules, problems) = load(paths, config, None)?;
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

/// Loads rule files, or folders of them, with the data sets they name; says what is wrong. What
/// rules remember from before is kept in `shared`.
pub fn load(
    paths: &[PathBuf],
    config: &Config,
    shared: Option<Arc<Shared>>,
) -> anyhow::Result<(Rules, Vec<Problem>)> {
    let (loaded, thresholds) = read_rules(paths, config)?;
    let shared = shared.unwrap_or_default();
    for (signature, (file, _)) in loaded.signatures.iter().zip(&loaded.places) {
        for spec in &signature.datasets {
            fill(spec, Path::new(&**file), &shared)
                .with_context(|| format!("{file}: sid {}", signature.sid()))?;
        }
    }
    let Loaded { mut signatures, problems, .. } = loaded;
    thresholds.apply(&mut signatures);
    let set = Arc::new(RuleSet::compile(signatures));
    Ok((Rules { set, shared }, problems))
}

/// Reads rule files, or folders of them, and what stands beside them.
pub fn read_rules(paths: &[PathBuf], config: &Config) -> anyhow::Result<(Loaded, ThresholdConfig)> {
    let mut loader = Loader::new(variables(config));
    let mut problems = Vec::new();
    let mut thresholds = ThresholdConfig::default();
    let files = rule_files(paths)?;
    for folder in folders(&files) {
        beside(&folder, &mut loader.headers, &mut thresholds, &mut problems)?;
    }
    for file in &files {
        loader.add(&file.display().to_string(), &read(file)?);
    }
    let mut loaded = loader.finish();
    loaded.problems.append(&mut problems);
    Ok((loaded, thresholds))
}

fn variables(_config: &Config) -> Variables {
    Variables::default()
}

/// Files stand for themselves, folders for the `.rules` files in them, in order of name.
fn rule_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let listing = std::fs::read_dir(path)
            .with_context(|| format!("cannot read the folder {}", path.display()))?;
        let mut inside: Vec<PathBuf> = listing
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "rules"))
            .collect();
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

/// The folders of files, each once.
fn folders(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in files {
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Reads the files that stand beside rules, where there are any.
fn beside(
    folder: &Path,
    headers: &mut Headers,
    thresholds: &mut ThresholdConfig,
    problems: &mut Vec<Problem>,
) -> anyhow::Result<()> {
    let path = folder.join("classification.config");
    if path.is_file() {
        problems.extend(headers.classes.add(&path.display().to_string(), &read(&path)?));
    }
    let path = folder.join("reference.config");
    if path.is_file() {
        problems.extend(headers.references.add(&path.display().to_string(), &read(&path)?));
    }
    let path = folder.join("threshold.config");
    if path.is_file() {
        let name = path.display().to_string();
        let (mut config, wrong) = ThresholdConfig::parse(&name, &read(&path)?, headers.variables());
        problems.extend(wrong);
        thresholds.entries.append(&mut config.entries);
    }
    Ok(())
}

/// Fills a data set from its file, once.
fn fill(spec: &DatasetSpec, rule_file: &Path, shared: &Shared) -> anyhow::Result<()> {
    if shared.dataset(spec.id(), |_| ()).is_some() {
        return Ok(());
    }
    let mut set = Dataset::new(spec.kind);
    if let Some(load) = &spec.load {
        let beside = rule_file.parent().unwrap_or(Path::new("")).join(&**load);
        let path = if beside.is_file() { beside } else { PathBuf::from(&**load) };
        let text = read(&path)?;
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

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Rule files of the field hold stray bytes of other encodings.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
