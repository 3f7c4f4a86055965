//! Rule files on disk: which ones there are, and reading them.
//!
//! The folder `rules` of the data directory holds what `flowtrack rules update` fetched, a folder
//! for each source, files that a person put there, and the lists `enable.conf`, `disable.conf` and
//! `modify.conf`.

use crate::config::Config;
use anyhow::Context as _;
use flowtrack_rules::lang::{Problem, Selection, ThresholdConfig};
use flowtrack_rules::{Loaded, Loader};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The rules that come with the program.
pub const BUILTIN: &str = include_str!("../../../../rules/flowtrack.rules");

/// What these rules are called where a file would be.
pub const BUILTIN_NAME: &str = "flowtrack.rules (built in)";

/// Reads one list into a selection.
type AddList = fn(&mut Selection, &str, &str) -> Vec<Problem>;

/// Lists that switch rules on and off, or change them.
const LISTS: [(&str, AddList); 3] = [
    ("enable.conf", Selection::enable),
    ("disable.conf", Selection::disable),
    ("modify.conf", Selection::modify),
];

/// Files that stand beside rules.
const BESIDE: [&str; 3] = ["classification.config", "reference.config", "threshold.config"];

/// How many levels of folders are looked into.
const MAX_DEPTH: usize = 8;

/// Where rules are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Whether the rules that come with the program are among them.
    pub builtin: bool,
    /// Folder of the lists that switch rules on and off.
    pub lists: Option<PathBuf>,
    /// Networks of this machine, which count as home.
    pub own: Vec<String>,
}

impl Places {
    /// Exactly these files and folders.
    pub fn exactly(paths: &[PathBuf]) -> Self {
        Self { paths: paths.to_vec(), builtin: false, lists: None, own: Vec::new() }
    }

    /// What is configured, else the folder of the data directory; the networks of this machine
    /// count as home.
    pub fn configured(config: &Config, data_dir: &Path) -> Self {
        let folder = folder(data_dir);
        let mut paths = config.rules.files.clone();
        if paths.is_empty() && folder.is_dir() {
            paths.push(folder.clone());
        }
        Self {
            paths,
            builtin: config.rules.builtin,
            lists: folder.is_dir().then_some(folder),
            own: own_networks(),
        }
    }

    /// These, where some are named, else what is configured.
    pub fn named_or_configured(named: &[PathBuf], config: &Config, data_dir: &Path) -> Self {
        if named.is_empty() { Self::configured(config, data_dir) } else { Self::exactly(named) }
    }
}

/// The networks of this machine.
fn own_networks() -> Vec<String> {
    flowtrack_host::interfaces()
        .iter()
        .filter(|interface| !interface.loopback)
        .flat_map(|interface| &interface.addresses)
        .map(|network| format!("{}/{}", network.address, network.prefix))
        .collect()
}

/// The folder of rules in the data directory.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("rules")
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The rules.
    pub loaded: Loaded,
    /// How often they may speak.
    pub thresholds: ThresholdConfig,
    /// What is wrong with the files that stand beside them.
    pub problems: Vec<Problem>,
}

/// Reads rules and what stands beside them; one bad rule never costs another.
pub fn read(places: &Places, config: &Config) -> anyhow::Result<Read> {
    let mut loader = Loader::new(config.rules.variables(&places.own));
    loader.headers.knows_countries = config.rules.countries.is_some();
    let mut problems = Vec::new();
    if let Some(lists) = &places.lists {
        problems.extend(lists_of(lists, &mut loader)?);
    }
    let files = rule_files(&places.paths)?;
    let mut thresholds = ThresholdConfig::default();
    for folder in folders(&files) {
        beside(&folder, &mut loader, &mut thresholds, &mut problems)?;
    }
    if places.builtin {
        loader.add(BUILTIN_NAME, BUILTIN);
    }
    for file in &files {
        loader.add(&file.display().to_string(), &text_of(file)?);
    }
    Ok(Read { loaded: loader.finish(), thresholds, problems })
}

/// The files in which rules are looked for, with their text.
pub fn texts(places: &Places) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    if places.builtin {
        texts.push((BUILTIN_NAME.to_owned(), BUILTIN.to_owned()));
    }
    for file in rule_files(&places.paths)? {
        texts.push((file.display().to_string(), text_of(&file)?));
    }
    Ok(texts)
}

/// A number that changes when a rule file, a file beside one, or one of these others, is changed,
/// added or taken away.
pub fn mark<'a>(places: &Places, others: impl Iterator<Item = &'a PathBuf>) -> u64 {
    let mut files = rule_files(&places.paths).unwrap_or_default();
    for folder in folders(&files) {
        files.extend(BESIDE.iter().map(|name| folder.join(name)));
    }
    if let Some(lists) = &places.lists {
        files.extend(LISTS.iter().map(|(name, _)| lists.join(name)));
    }
    files.extend(others.cloned());
    let mut hasher = std::hash::DefaultHasher::new();
    for file in files {
        let stands = std::fs::metadata(&file).ok();
        let stands = stands.map(|data| (data.len(), data.modified().ok()));
        (file, stands).hash(&mut hasher);
    }
    hasher.finish()
}

/// Reads the lists of a folder, where there are any.
pub fn lists_of(folder: &Path, loader: &mut Loader) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (name, add) in LISTS {
        let path = folder.join(name);
        if path.is_file() {
            problems.extend(add(
                &mut loader.selection,
                &path.display().to_string(),
                &text_of(&path)?,
            ));
        }
    }
    Ok(problems)
}

/// Files stand for themselves, folders for the `.rules` files in and below them, in order of name.
fn rule_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            below(path, 0, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn below(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let listing = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut inside: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inside.sort();
    for path in inside {
        // What an update is still writing begins with a dot.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() && depth < MAX_DEPTH {
            below(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|ext| ext == "rules") {
            files.push(path);
        }
    }
    Ok(())
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
    loader: &mut Loader,
    thresholds: &mut ThresholdConfig,
    problems: &mut Vec<Problem>,
) -> anyhow::Result<()> {
    let headers = &mut loader.headers;
    let [classes, references, limits] = BESIDE.map(|name| folder.join(name));
    let path = classes;
    if path.is_file() {
        problems.extend(headers.classes.add(&path.display().to_string(), &text_of(&path)?));
    }
    let path = references;
    if path.is_file() {
        problems.extend(headers.references.add(&path.display().to_string(), &text_of(&path)?));
    }
    let path = limits;
    if path.is_file() {
        let name = path.display().to_string();
        let (mut config, wrong) =
            ThresholdConfig::parse(&name, &text_of(&path)?, headers.variables());
        problems.extend(wrong);
        thresholds.entries.append(&mut config.entries);
    }
    Ok(())
}

/// The text of a file.
pub fn text_of(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Rule files of the field hold stray bytes of other encodings.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
