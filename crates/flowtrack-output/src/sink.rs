//! Where events go: the trait of all sinks, and the event log in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flowtrack_event::Event;
use tracing::warn;

use crate::eve::{EveConfig, EveEncoder, EveWriter};

/// Takes events and brings them somewhere.
///
/// A sink never fails its caller: what it cannot deliver it counts, and says in its health.
pub trait Sink: Send {
    /// What it is called where people read it, such as `eve:/var/log/eve.json`.
    fn name(&self) -> &str;

    /// Takes a batch; may keep it for a while.
    fn write(&mut self, events: &[Event]);

    /// Delivers what was kept.
    fn flush(&mut self) {}

    /// Opens its file anew, because somebody moved the old one.
    fn reopen(&mut self) {}

    /// How it goes.
    fn health(&self) -> Health {
        Health::default()
    }
}

/// How a sink does.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Health {
    /// Events delivered.
    pub delivered: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Events lost.
    pub lost: u64,
    /// Failed attempts.
    pub errors: u64,
    /// Why it does not work now, where it does not.
    pub error: Option<String>,
    /// Whether nobody takes anything any more, so that writing is of no use.
    pub closed: bool,
}

/// An EVE log in a file.
#[derive(Debug)]
pub struct EveFile {
    name: String,
    path: PathBuf,
    writer: EveWriter<File>,
}

/// What happens to a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Events are added to its end.
    Append,
    /// It is emptied first.
    Replace,
}

impl EveFile {
    /// Opens `path`; the error names it.
    pub fn open(path: &Path, mode: OpenMode, config: EveConfig) -> io::Result<Self> {
        Self::with_encoder(path, mode, EveEncoder::new(config))
    }

    /// Opens `path` for what `encoder` makes; the error names it.
    pub fn with_encoder(path: &Path, mode: OpenMode, encoder: EveEncoder) -> io::Result<Self> {
        let mut writer = EveWriter::with_encoder(open(path, mode)?, encoder);
        if mode == OpenMode::Append && ends_inside_line(path) {
            writer.end_torn_line();
        }
        Ok(Self { name: format!("eve:{}", path.display()), path: path.to_owned(), writer })
    }

    /// Opens the path again, for after the file was moved away; keeps the old file where that
    /// fails, so that nothing is lost.
    pub fn reopen(&mut self) {
        match open(&self.path, OpenMode::Append) {
            Ok(file) => drop(self.writer.replace(file)),
            Err(error) => warn!(%error, "cannot reopen the event log; going on in the old file"),
        }
    }
}

impl Sink for EveFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, events: &[Event]) {
        self.writer.write_all(events);
    }

    fn flush(&mut self) {
        self.writer.flush();
    }

    fn reopen(&mut self) {
        Self::reopen(self);
    }

    fn health(&self) -> Health {
        writer_health(&self.writer)
    }
}

impl Drop for EveFile {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

impl<W: io::Write + Send> Sink for EveWriter<W> {
    fn name(&self) -> &'static str {
        "eve"
    }

    fn write(&mut self, events: &[Event]) {
        self.write_all(events);
    }

    fn flush(&mut self) {
        Self::flush(self);
    }

    fn health(&self) -> Health {
        writer_health(self)
    }
}

fn writer_health<W: io::Write>(writer: &EveWriter<W>) -> Health {
    let counters = writer.counters();
    Health {
        delivered: counters.events,
        bytes: counters.bytes,
        lost: counters.lost + counters.unserialisable,
        errors: counters.errors,
        error: writer.error().map(str::to_owned),
        closed: writer.is_closed(),
    }
}

fn open(path: &Path, mode: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true);
    match mode {
        OpenMode::Append => options.append(true),
        OpenMode::Replace => options.write(true).truncate(true),
    };
    options.open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
    })
}

/// Whether a regular file ends without a newline, as one does whose writer was killed.
fn ends_inside_line(path: &Path) -> bool {
    let last_byte = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    path.is_file() && last_byte().is_ok_and(|byte| byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn lines(path: &Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count()
    }

    #[test]
    fn a_moved_log_is_written_anew_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("eve.json"), dir.path().join("eve.json.1"));
        let mut sink = EveFile::open(&path, OpenMode::Append, EveConfig::default()).unwrap();
        sink.write(&samples::one_of_each());
        std::fs::rename(&path, &moved).unwrap();
        sink.write(&[samples::file()]);
        sink.reopen();
        sink.write(&[samples::file()]);
        drop(sink);
        assert_eq!((lines(&moved), lines(&path)), (samples::one_of_each().len() + 1, 1));
    }

    #[test]
    fn goes_on_in_the_old_file_where_reopening_fails() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("logs");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("eve.json");
        let mut sink = EveFile::open(&path, OpenMode::Append, EveConfig::default()).unwrap();
        let moved = dir.path().join("moved");
        std::fs::rename(&inner, &moved).unwrap();
        sink.reopen();
        sink.write(&[samples::file()]);
        sink.flush();
        assert_eq!(lines(&moved.join("eve.json")), 1);
    }

    #[test]
    fn a_line_cut_by_a_kill_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        std::fs::write(&path, "{\"timestamp\":").unwrap();
        let mut sink = EveFile::open(&path, OpenMode::Append, EveConfig::default()).unwrap();
        sink.write(&[samples::file()]);
        drop(sink);
        assert_eq!(lines(&path), 1);
        drop(EveFile::open(&path, OpenMode::Replace, EveConfig::default()).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_full_device_is_said_and_counted() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let mut sink = EveFile::open(full, OpenMode::Append, EveConfig::default()).unwrap();
        sink.write(&samples::one_of_each());
        sink.flush();
        let health = sink.health();
        assert_eq!((health.delivered, health.lost), (0, samples::one_of_each().len() as u64));
        assert!(health.error.unwrap().to_lowercase().contains("space"));
    }

    #[test]
    fn a_path_that_cannot_be_opened_is_named() {
        let error =
            EveFile::open(Path::new("/nowhere/eve.json"), OpenMode::Append, EveConfig::default())
                .unwrap_err();
        assert!(error.to_string().starts_with("cannot open /nowhere/eve.json: "), "{error}");
    }
}
