//! What waits to be delivered: in memory, and in a file that outlives the program.
//!
//! The file is a journal of lines of JSON: an entry that came, entries that are done. It is read
//! once, at the start, and written anew when most of it is done. A line that was cut by a crash is
//! skipped. Whatever was accepted is told at least once; twice where the program dies between the
//! receiver's yes and the line that notes it.

use crate::notice::Notice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// One notice that waits for one channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Name of the channel.
    pub channel: String,
    /// When it came, in microseconds since 1970.
    pub at_us: i64,
    /// When it may be told, in microseconds since 1970.
    pub due_us: i64,
    /// Whether it is one of a digest.
    #[serde(default)]
    pub digest: bool,
    /// What is told.
    pub notice: Notice,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Add { id: u64, entry: Box<Entry> },
    Done { ids: Vec<u64> },
}

/// What waits, by the order in which it came.
pub(crate) struct Queue {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    max: usize,
    journal: Option<Journal>,
}

struct Journal {
    path: PathBuf,
    out: BufWriter<File>,
    /// Lines in the file that no longer count.
    dead: usize,
    /// Whether something was noted since the disk had it all.
    dirty: bool,
    /// Whether the disk did not take something; told once.
    broken: bool,
}

impl Queue {
    /// Reads what waits in `path`; without one, nothing outlives the program.
    pub fn open(path: Option<&Path>, max: usize) -> io::Result<Self> {
        let mut queue = Self { entries: BTreeMap::new(), next: 1, max, journal: None };
        let Some(path) = path else { return Ok(queue) };
        match File::open(path) {
            Ok(file) => queue.read(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        queue.journal = Some(queue.rewrite(path)?);
        Ok(queue)
    }

    fn read(&mut self, file: File) {
        let mut skipped = 0u64;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) => {
                    tracing::warn!("the queue of notifications cannot be read to its end: {e}");
                    break;
                }
            }
            match serde_json::from_slice(&line) {
                Ok(Line::Add { id, entry }) => {
                    self.next = self.next.max(id.saturating_add(1));
                    self.entries.insert(id, *entry);
                }
                Ok(Line::Done { ids }) => ids.iter().for_each(|id| {
                    self.entries.remove(id);
                }),
                Err(_) => skipped += 1,
            }
        }
        if skipped > 0 {
            tracing::warn!(lines = skipped, "lines of the queue of notifications were damaged");
        }
        while self.entries.len() > self.max {
            self.entries.pop_first();
        }
    }

    /// Writes what waits to a new file, which takes the place of the old one at once.
    fn rewrite(&self, path: &Path) -> io::Result<Journal> {
        let fresh = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = BufWriter::new(options.open(&fresh)?);
        for (&id, entry) in &self.entries {
            write_line(&mut out, &Line::Add { id, entry: Box::new(entry.clone()) })?;
        }
        out.flush()?;
        out.get_ref().sync_data()?;
        std::fs::rename(&fresh, path)?;
        if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(Journal { path: path.to_owned(), out, dead: 0, dirty: false, broken: false })
    }

    /// Takes an entry; `Some` with the channel of the one that had to go for it.
    pub fn add(&mut self, entry: Entry) -> Option<String> {
        let id = self.next;
        self.next += 1;
        self.note(&Line::Add { id, entry: Box::new(entry.clone()) });
        self.entries.insert(id, entry);
        if self.entries.len() <= self.max {
            return None;
        }
        // The least urgent goes, of these the oldest.
        let (&id, _) = self.entries.iter().min_by_key(|(id, e)| (e.notice.severity, **id))?;
        let gone = self.entries.remove(&id)?;
        self.note(&Line::Done { ids: vec![id] });
        Some(gone.channel)
    }

    /// Takes entries out.
    pub fn remove(&mut self, ids: &[u64]) -> Vec<Entry> {
        let gone: Vec<Entry> = ids.iter().filter_map(|id| self.entries.remove(id)).collect();
        if !gone.is_empty() {
            self.note(&Line::Done { ids: ids.to_vec() });
        }
        gone
    }

    /// All that waits, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(&id, entry)| (id, entry))
    }

    /// The notice of `channel` with this key that waits, to be folded into.
    pub fn find_mut(&mut self, channel: &str, key: &str, sent: &[u64]) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|(id, e)| e.channel == channel && e.notice.key == key && !sent.contains(id))
            .map(|(_, entry)| entry)
    }

    /// How many wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Hands what was noted to the disk, and writes the file anew where most of it is done.
    pub fn flush(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        if !journal.dirty && !journal.broken {
            return;
        }
        journal.dirty = false;
        let written = journal.out.flush().and_then(|()| journal.out.get_ref().sync_data());
        let worn = journal.broken || journal.dead > COMPACT && journal.dead > self.entries.len();
        let (path, was_broken) = (journal.path.clone(), journal.broken);
        let result = match written {
            Ok(()) if !worn => return,
            // What the disk did not take is in memory still: the whole is written anew.
            _ => self.rewrite(&path),
        };
        match result {
            Ok(journal) => {
                if was_broken {
                    tracing::info!("the queue of notifications is written again");
                }
                self.journal = Some(journal);
            }
            Err(e) => {
                if !was_broken {
                    tracing::error!(
                        "cannot write the queue of notifications in {}: {e}; what waits is lost if \
                         the program ends",
                        path.display()
                    );
                }
                if let Some(journal) = &mut self.journal {
                    journal.broken = true;
                }
            }
        }
    }

    fn note(&mut self, line: &Line) {
        let Some(journal) = &mut self.journal else { return };
        match line {
            Line::Add { .. } => {}
            Line::Done { ids } => journal.dead += ids.len() + 1,
        }
        journal.dirty = true;
        if !journal.broken && write_line(&mut journal.out, line).is_err() {
            journal.broken = true;
        }
    }
}

fn write_line(out: &mut BufWriter<File>, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Done lines above which the file is written anew.
const COMPACT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{Severity, Timestamp};

    fn entry(key: &str, severity: Severity) -> Entry {
        let notice = Notice { key: key.into(), severity, ..Notice::test(Timestamp::ZERO) };
        Entry { channel: "c".into(), at_us: 0, due_us: 0, digest: false, notice }
    }

    fn keys(queue: &Queue) -> Vec<&str> {
        queue.iter().map(|(_, e)| e.notice.key.as_str()).collect()
    }

    #[test]
    fn what_waits_outlives_the_program_and_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.jsonl");
        let mut queue = Queue::open(Some(&path), 10).unwrap();
        for key in ["a", "b", "c"] {
            queue.add(entry(key, Severity::High));
        }
        queue.remove(&[2]);
        queue.flush();
        // As after kill -9: nothing is closed, and half a line stands at the end.
        std::mem::forget(queue);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(br#"{"add":{"id":4,"entry":{"chan"#);
        std::fs::write(&path, text).unwrap();
        let mut queue = Queue::open(Some(&path), 10).unwrap();
        assert_eq!(keys(&queue), ["a", "c"]);
        queue.add(entry("d", Severity::High));
        queue.flush();
        assert_eq!(keys(&Queue::open(Some(&path), 10).unwrap()), ["a", "c", "d"]);
    }

    #[test]
    fn the_least_urgent_goes_where_there_is_no_room() {
        let mut queue = Queue::open(None, 3).unwrap();
        for (key, severity) in [
            ("a", Severity::High),
            ("b", Severity::Low),
            ("c", Severity::Low),
            ("d", Severity::High),
        ] {
            let gone = queue.add(entry(key, severity));
            assert_eq!(gone.is_some(), key == "d");
        }
        assert_eq!(keys(&queue), ["a", "c", "d"]);
    }

    #[test]
    fn the_file_does_not_grow_with_what_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.jsonl");
        let mut queue = Queue::open(Some(&path), 10).unwrap();
        for id in 1..=20_000u64 {
            queue.add(entry("a", Severity::High));
            queue.remove(&[id]);
            if id % 100 == 0 {
                queue.flush();
            }
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2_000_000);
        assert_eq!(queue.len(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_file() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.jsonl");
        let _queue = Queue::open(Some(&path), 10).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
