//! What detectors need to know of this machine, and where they keep what they learned.

use crate::config::Config;
use crate::hub::Hub;
use crate::replace::replace;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use flowtrack_detect::{DetectorSet, Learned, Networks};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{info, warn};

/// In the data folder.
const FILE: &str = "learned.json";
/// How often what was learned is written; as much is lost where the program is killed.
const EVERY: Duration = Duration::from_mins(10);
/// Bytes that the file may have; full, it has about 8 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Which addresses are one's own (private ones, configured ones and those of this machine), and
/// which resolvers this machine asks.
pub fn networks(config: &Config) -> Networks {
    let host = flowtrack_host::surroundings();
    let hosts = host.own.into_iter().map(|network| network.address).collect();
    Networks::new(config.detect.home.clone()).with_hosts(hosts).with_resolvers(host.resolvers)
}

/// Has detectors go on with what an earlier run learned. What cannot be read is told, and learned
/// anew.
pub fn recall(detectors: &mut DetectorSet, data_dir: &Path) {
    let path = data_dir.join(FILE);
    match read(&path) {
        Ok(Some(learned)) => {
            detectors.recall(&learned);
            info!(known = learned.len(), "detectors go on with what they learned");
        }
        Ok(None) => {}
        Err(error) => warn!("{}: {error:#}; detectors learn anew", path.display()),
    }
}

/// Writes what detectors learned, by a thread of its own.
pub struct Memory {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Memory {
    /// Begins to write it from time to time.
    pub fn start(hub: &Arc<Hub>, data_dir: &Path) -> anyhow::Result<Self> {
        let (stop, stopped) = bounded(0);
        let (hub, path) = (Arc::clone(hub), data_dir.join(FILE));
        let thread = std::thread::Builder::new().name("memory".into()).spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                keep(&hub, &path);
            }
            keep(&hub, &path);
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes it for the last time.
    pub fn end(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn keep(hub: &Hub, path: &Path) {
    if let Some(learned) = hub.learned()
        && let Err(error) = write(&learned, path)
    {
        warn!("cannot keep what detectors learned: {error:#}");
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Learned>> {
    let mut file = match File::open(path) {
        Ok(file) => file.take(MAX_BYTES),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let learned: Learned = serde_json::from_slice(&text)?;
    anyhow::ensure!(learned.is_known(), "another version of FlowTrack wrote it");
    Ok(Some(learned))
}

fn write(learned: &Learned, path: &Path) -> anyhow::Result<()> {
    replace(path, &serde_json::to_vec(learned)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_read_again_and_what_is_broken_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(read(&path).unwrap().is_none());
        let set = DetectorSet::new(&flowtrack_detect::Config::default(), Networks::default());
        write(&set.learned(), &path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(set.learned()));
        let whole = std::fs::read_to_string(&path).unwrap();
        for broken in [
            "",
            "[]",
            &whole[..whole.len() / 2],
            &whole.replace("\"version\":1", "\"version\":2"),
            &whole.replace("\"calls\"", "\"cries\""),
        ] {
            std::fs::write(&path, broken).unwrap();
            assert!(read(&path).is_err(), "{broken}");
        }
    }
}
