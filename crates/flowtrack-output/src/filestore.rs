//! Files that the network carried, kept on disk under the hash of their bytes.
//!
//! ```text
//! FOLDER/ab/abcdef...                   64 hexadecimal digits: the SHA-256 of what is inside
//! FOLDER/ab/abcdef....SECONDS.ID.json   what carried it, as a `fileinfo` event
//! ```
//! That is the form in which Suricata keeps them, so tools that pick files up there do it here too.
//! A file that is carried again is kept once and described again, up to [`DESCRIPTIONS`] times.
//! No part of a path comes from the traffic. What is stored can be read by its owner alone and
//! is never executable; nothing that has another name than a hash is touched. Beyond a size the
//! oldest files make room.
//!
//! One thread writes, behind a bounded queue: from a live capture a file that the queue has no room
//! for is dropped and counted, from capture files the reader waits.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use flowtrack_event::{Event, FileContent, FileLimits, FileRecord, FileState, FileStoreStats, hex};
use serde::{Deserialize, Serialize};

use crate::eve::{EveConfig, EveEncoder};

/// What of files is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileStoreConfig {
    /// Folder; empty to keep none.
    pub dir: PathBuf,
    /// Whether all files are kept, although rules choose some (`filestore`). Without such rules
    /// all are.
    pub all: bool,
    /// Largest file kept, in KiB.
    pub max_file_kib: u64,
    /// Most that all take on disk, in MiB; the oldest is deleted first.
    pub max_total_mib: u64,
    /// Most that files on their way take in memory, in MiB.
    pub max_memory_mib: u64,
    /// Whether what carried a file is written beside it, as a `fileinfo` event in JSON.
    pub fileinfo: bool,
}

impl Default for FileStoreConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            all: false,
            max_file_kib: 10 * 1024,
            max_total_mib: 1024,
            max_memory_mib: 128,
            fileinfo: true,
        }
    }
}

impl FileStoreConfig {
    /// What dissectors may keep for it.
    pub fn limits(&self) -> FileLimits {
        FileLimits {
            file: self.max_file_kib.saturating_mul(1 << 10),
            total: self.max_memory_mib.saturating_mul(1 << 20),
        }
    }
}

/// A folder of files that is being added to; on drop it writes what it has and stops.
pub struct FileStore {
    shared: Arc<Shared>,
    sender: Option<SyncSender<Job>>,
    fileinfo: bool,
    thread: Option<JoinHandle<()>>,
}

/// A file to write.
struct Job {
    sha256: [u8; 32],
    content: Arc<FileContent>,
    /// What carried it, where that is to be written too.
    described: Option<Box<FileRecord>>,
}

#[derive(Default)]
struct Shared {
    ids: AtomicU64,
    stored: AtomicU64,
    known: AtomicU64,
    bytes: AtomicU64,
    deleted: AtomicU64,
    dropped: AtomicU64,
    undescribed: AtomicU64,
    errors: AtomicU64,
}

impl FileStore {
    /// Opens a folder, beside what is there from earlier.
    ///
    /// # Errors
    /// Where the folder cannot be made or read.
    pub fn open(dir: &Path, config: &FileStoreConfig) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let shared = Arc::new(Shared::default());
        let limit = config.max_total_mib.saturating_mul(1 << 20);
        let mut keeper = Keeper::open(dir, limit, Arc::clone(&shared))?;
        let (sender, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || keeper.run(&jobs))?;
        Ok(Self { shared, sender: Some(sender), fileinfo: config.fileinfo, thread: Some(thread) })
    }

    /// Takes the contents of the files among `events` and marks those that it stores. `waits` for
    /// room where nothing may be lost.
    pub fn take(&self, events: &mut [Event], waits: bool) {
        for event in events {
            let Event::File(file) = event else { continue };
            if !file.wanted {
                file.content = None;
                continue;
            }
            let (Some(content), Some(sha256)) = (file.content.take(), file.sha256) else {
                let is_missed = file.state == FileState::Closed && file.size > 0;
                self.shared.dropped.fetch_add(u64::from(is_missed), Relaxed);
                continue;
            };
            let Some(sender) = &self.sender else { continue };
            let before = (file.stored, file.file_id);
            file.stored = true;
            file.file_id = Some(self.shared.ids.fetch_add(1, Relaxed) + 1);
            let described = self.fileinfo.then(|| file.clone());
            let job = Job { sha256, content, described };
            let taken = if waits {
                sender.send(job).is_ok()
            } else {
                match sender.try_send(job) {
                    Ok(()) => true,
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
                }
            };
            if !taken {
                (file.stored, file.file_id) = before;
                self.shared.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// What it did so far.
    pub fn stats(&self) -> FileStoreStats {
        let shared = &self.shared;
        FileStoreStats {
            stored: shared.stored.load(Relaxed),
            known: shared.known.load(Relaxed),
            bytes: shared.bytes.load(Relaxed),
            deleted: shared.deleted.load(Relaxed),
            dropped: shared.dropped.load(Relaxed),
            undescribed: shared.undescribed.load(Relaxed),
            fs_errors: shared.errors.load(Relaxed),
        }
    }

    /// Writes what it has, and stops.
    pub fn close(mut self) -> FileStoreStats {
        self.stop();
        self.stats()
    }

    fn stop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there is counted by nobody; what it had not written is lost.
            let _ = thread.join();
        }
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread owns.
struct Keeper {
    dir: PathBuf,
    limit: u64,
    total: u64,
    /// All files, oldest first.
    order: VecDeque<String>,
    kept: HashMap<String, Kept>,
    encoder: EveEncoder,
    shared: Arc<Shared>,
    /// Whether an error was said and nothing was written since.
    is_failing: bool,
}

/// A file of the store.
#[derive(Default)]
struct Kept {
    /// Bytes of it and of its descriptions.
    len: u64,
    /// Seconds and number of each description.
    described: Vec<(i64, u64)>,
}

impl Keeper {
    fn open(dir: &Path, limit: u64, shared: Arc<Shared>) -> io::Result<Self> {
        let mut found: Vec<(SystemTime, String)> = Vec::new();
        let mut kept: HashMap<String, Kept> = HashMap::new();
        let mut descriptions: Vec<(String, (i64, u64), u64)> = Vec::new();
        for folder in fs::read_dir(dir)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let name = file.file_name().to_string_lossy().into_owned();
                let metadata = file.metadata()?;
                let Some((hash, rest)) = hash_of(&name) else { continue };
                if !metadata.is_file() || folder.file_name() != hash[..2] {
                    continue;
                }
                if rest.is_empty() {
                    found.push((metadata.modified()?, name.clone()));
                    kept.insert(name, Kept { len: metadata.len(), described: Vec::new() });
                } else if let Some(id) = description_of(rest) {
                    descriptions.push((hash.to_owned(), id, metadata.len()));
                }
            }
        }
        for (hash, id, len) in descriptions {
            // One whose file is gone is left to whoever took the file.
            if let Some(file) = kept.get_mut(&hash) {
                file.described.push(id);
                file.len += len;
            }
        }
        found.sort();
        let total = kept.values().map(|file| file.len).sum();
        let order = found.into_iter().map(|(_, name)| name).collect();
        let encoder = EveEncoder::new(EveConfig::default());
        let dir = dir.to_owned();
        Ok(Self { dir, limit, total, order, kept, encoder, shared, is_failing: false })
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            match self.keep(job) {
                Ok(()) => self.is_failing = false,
                Err(error) => {
                    self.shared.errors.fetch_add(1, Relaxed);
                    // Said once, until it works again.
                    if !std::mem::replace(&mut self.is_failing, true) {
                        let dir = self.dir.display();
                        tracing::warn!(%dir, %error, "cannot store files");
                    }
                }
            }
        }
    }

    fn keep(&mut self, job: Job) -> io::Result<()> {
        let name = hex(&job.sha256);
        let bytes = job.content.bytes();
        let len = bytes.len() as u64;
        if len > self.limit {
            self.shared.dropped.fetch_add(1, Relaxed);
            return Ok(());
        }
        let folder = self.dir.join(&name[..2]);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Not through a link that leads elsewhere.
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Err(io::Error::other("a folder of the store is none"));
        }
        let path = folder.join(&name);
        if fs::symlink_metadata(&path).is_ok() {
            self.shared.known.fetch_add(1, Relaxed);
        } else {
            self.make_room(len)?;
            write_whole(&path, bytes)?;
            self.total += len;
            // Whoever took a file away left its description.
            if let Some(gone) = self.kept.insert(name.clone(), Kept { len, ..Kept::default() }) {
                self.total -= gone.len;
                self.order.retain(|known| *known != name);
            }
            self.order.push_back(name.clone());
            self.shared.stored.fetch_add(1, Relaxed);
            self.shared.bytes.fetch_add(len, Relaxed);
        }
        match job.described {
            Some(file) => self.describe(&name, file),
            None => Ok(()),
        }
    }

    /// Writes beside a file what carried it.
    fn describe(&mut self, name: &str, file: Box<FileRecord>) -> io::Result<()> {
        let id = (file.ts.secs(), file.file_id.unwrap_or_default());
        let mut json = Vec::new();
        let written = self.encoder.encode(&Event::File(file), &mut json).is_ok();
        self.make_room(json.len() as u64)?;
        // The file itself may have been the oldest.
        let kept = self.kept.get_mut(name).filter(|kept| kept.described.len() < DESCRIPTIONS);
        let Some(kept) = kept.filter(|_| written) else {
            self.shared.undescribed.fetch_add(1, Relaxed);
            return Ok(());
        };
        if kept.described.contains(&id) {
            // The same capture is read once more.
            return Ok(());
        }
        write_whole(&self.dir.join(&name[..2]).join(description(name, id)), &json)?;
        kept.described.push(id);
        kept.len += json.len() as u64;
        self.total += json.len() as u64;
        Ok(())
    }

    /// Deletes the oldest files, with their descriptions, until so many bytes have room.
    fn make_room(&mut self, len: u64) -> io::Result<()> {
        while self.total + len > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            let kept = self.kept.remove(&oldest).unwrap_or_default();
            self.total -= kept.len;
            let folder = self.dir.join(&oldest[..2]);
            for id in kept.described {
                remove(&folder.join(description(&oldest, id)))?;
            }
            remove(&folder.join(&oldest))?;
            self.shared.deleted.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

/// Writes a file under another name until it is whole, so that its name never stands for a part.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if let Err(error) = create(&part).and_then(|mut file| file.write_all(bytes)) {
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    fs::rename(&part, path)
}

/// Deletes a file, if nobody else did.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new file that only its owner may read; what a crash left under its name goes first.
fn create(path: &Path) -> io::Result<File> {
    remove(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The hash that a name begins with, and what follows it.
fn hash_of(name: &str) -> Option<(&str, &str)> {
    let (hash, rest) = name.split_at_checked(64)?;
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    hash.bytes().all(is_digit).then_some((hash, rest))
}

/// The name of a description, as Suricata has it.
fn description(name: &str, (secs, id): (i64, u64)) -> String {
    format!("{name}.{secs}.{id}.json")
}

/// Seconds and number in the name of a description, behind the hash.
fn description_of(rest: &str) -> Option<(i64, u64)> {
    let (secs, id) = rest.strip_prefix('.')?.strip_suffix(".json")?.split_once('.')?;
    Some((secs.parse().ok()?, id.parse().ok()?))
}

/// Descriptions of one file at most; further ones are counted.
pub const DESCRIPTIONS: usize = 32;
/// Files that may wait to be written; their bytes are bounded by [`FileLimits::total`].
const QUEUE: usize = 1024;
