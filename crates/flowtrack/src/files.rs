//! Where files that the network carried are kept, if the user wants them.

use crate::config::Config;
use anyhow::Context as _;
use flowtrack_engine::Dissect;
use flowtrack_output::FileStore;
use std::path::Path;

/// The folder that the command line names, else the configuration.
fn folder<'a>(named: Option<&'a Path>, config: &'a Config) -> Option<&'a Path> {
    named.or(Some(&config.files.dir)).filter(|dir| !dir.as_os_str().is_empty())
}

/// Opens the store.
pub fn open(named: Option<&Path>, config: &Config) -> anyhow::Result<Option<FileStore>> {
    let Some(dir) = folder(named, config) else { return Ok(None) };
    let store = FileStore::open(dir, &config.files)
        .with_context(|| format!("cannot store files in {}", dir.display()))?;
    Ok(Some(store))
}

/// What is asked of dissectors so that the store gets its files: their bytes, and streams read
/// as far as a file may reach.
pub fn dissect(named: Option<&Path>, config: &Config) -> Dissect {
    let mut dissect = config.dissect.clone();
    if folder(named, config).is_some() {
        let limits = config.files.limits();
        dissect.depth = dissect.depth.max(limits.file);
        dissect.contents = Some(limits);
        dissect.stores_all = config.files.all;
    }
    dissect
}
