//! Rule files and what stands beside them, read from disk.

mod addresses;
pub mod book;
pub mod files;

use crate::config::Config;
use anyhow::Context as _;
use files::{Places, text_of};
use flowtrack_rules::lang::Problem;
use flowtrack_rules::state::{Dataset, DatasetForm, DatasetSpec, Turn, VarId};
use flowtrack_rules::{Loaded, RuleSet, Shared};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Signatures that are ready to be judged by, and what they share.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The signatures.
    pub set: Arc<RuleSet>,
    /// What they remember beyond flows.
    pub shared: Arc<Shared>,
    /// Files that their data sets are filled from.
    pub lists: Arc<[PathBuf]>,
}

impl Rules {
    /// The same rules for traffic that has nothing to do with what they saw: all they remember is
    /// what data sets were filled with.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { shared: Arc::new(self.shared.again()), ..self.clone() }
    }

    /// The same rules for one of several workers that share the packets of a capture.
    #[must_use]
    pub fn in_turn(&self, turn: Box<dyn Turn>) -> Self {
        Self { shared: Arc::new(self.shared.in_turn(turn)), ..self.clone() }
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

/// Loads rules with the data sets they name; says what is wrong.
///
/// What the rules `before` remember is kept. Data sets, lists of reputations and the database of
/// countries are read again; a data set that cannot be is kept as it was.
///
/// # Errors
/// Where a file of rules, a list or the database cannot be read, or where no rule could be loaded
/// although there were some before: these stay as they are.
pub fn load(
    places: &Places,
    config: &Config,
    before: Option<&Rules>,
) -> anyhow::Result<(Rules, Vec<Problem>)> {
    let files::Read { loaded, thresholds, mut problems } = files::read(places, config)?;
    let reputation = addresses::reputation(&config.rules)?;
    let countries = addresses::countries(&config.rules)?;
    let shared = before.map(|rules| Arc::clone(&rules.shared)).unwrap_or_default();
    let shared = Arc::new(shared.knowing(reputation, countries));
    let Loaded { signatures: understood, places, problems: of_rules, .. } = loaded;
    problems.extend(of_rules);
    let mut signatures = Vec::with_capacity(understood.len());
    let mut datasets = Datasets::default();
    for (signature, (file, at)) in understood.into_iter().zip(places) {
        let filled = signature
            .datasets
            .iter()
            .try_for_each(|spec| datasets.fill(spec, Path::new(&*file), &shared));
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
    // An empty set would silence what was judged before.
    anyhow::ensure!(
        before.is_none() || !signatures.is_empty(),
        "no rule could be loaded; `flowtrack rules check` says why"
    );
    let Datasets { named, fresh, files } = datasets;
    shared.put_datasets(fresh, |name| named.contains(&name));
    let set = Arc::new(RuleSet::compile_in(config.rules.order(), signatures));
    Ok((Rules { set, shared, lists: files.into() }, problems))
}

/// Data sets on their way from their files.
#[derive(Default)]
struct Datasets {
    named: HashSet<VarId>,
    fresh: Vec<(VarId, Dataset)>,
    files: Vec<PathBuf>,
}

impl Datasets {
    /// Reads a data set from its file, once; where that fails the one of `shared` stays, if there
    /// is one.
    fn fill(
        &mut self,
        spec: &DatasetSpec,
        rule_file: &Path,
        shared: &Shared,
    ) -> anyhow::Result<()> {
        let id = spec.id();
        if self.named.contains(&id) {
            return Ok(());
        }
        let path = spec.load.as_ref().map(|load| {
            let beside = rule_file.parent().unwrap_or(Path::new("")).join(&**load);
            if beside.is_file() { beside } else { PathBuf::from(&**load) }
        });
        self.files.extend(path.clone());
        match read_dataset(spec, path.as_deref()) {
            Ok(set) => self.fresh.push((id, set)),
            Err(error) if shared.dataset(id, |_| ()).is_some() => {
                tracing::error!(set = &*spec.name, "a data set stays as it was: {error:#}");
            }
            Err(error) => return Err(error),
        }
        self.named.insert(id);
        Ok(())
    }
}

fn read_dataset(spec: &DatasetSpec, path: Option<&Path>) -> anyhow::Result<Dataset> {
    let mut set = Dataset::new(spec.kind);
    let Some(path) = path.filter(|path| !spec.may_be_missing || path.exists()) else {
        return Ok(set);
    };
    let text = text_of(path)?;
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
            for object in
                list.with_context(|| format!("{} has no list \"{array}\"", path.display()))?
            {
                add_value(&mut set, object, value);
            }
        }
    }
    anyhow::ensure!(
        set.bad_lines == 0 || !set.is_empty(),
        "no value of {} is of the type of the data set",
        path.display()
    );
    if set.bad_lines > 0 {
        tracing::warn!(
            file = %path.display(),
            lines = set.bad_lines,
            "a data set has values that are not of its type"
        );
    }
    if set.dropped > 0 {
        tracing::warn!(
            file = %path.display(),
            values = set.dropped,
            "a data set has more values than there is room for; the last ones are left out"
        );
    }
    Ok(set)
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

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_rules::state::DatasetKind;

    #[test]
    fn a_data_set_without_its_list_is_an_error_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.json");
        let spec = |array: &str| DatasetSpec {
            name: "names".into(),
            kind: DatasetKind::String,
            load: None,
            may_be_missing: false,
            form: DatasetForm::Json { array: array.into(), value: "name".into() },
        };
        std::fs::write(&path, r#"{"data": {"list": [{"name": "a"}, {"name": "b"}]}}"#).unwrap();
        let set = read_dataset(&spec("data.list"), Some(&path)).unwrap();
        assert!(!set.is_empty() && set.bad_lines == 0);
        let error = read_dataset(&spec("data.other"), Some(&path)).unwrap_err().to_string();
        assert!(error.ends_with("names.json has no list \"data.other\""), "{error}");
    }
}
