//! Which capture files go into a history, told apart by their contents.

use crate::cli::Analyze;
use crate::config::{Config, Wrong};
use anyhow::Context as _;
use flowtrack_event::hex;
use flowtrack_store::HistoryWriter;
use flowtrack_store::history::{ImportFile, OpenError};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Bytes at the beginning and at the end of a file that tell it from others; so many packets with
/// their times are in no other capture, and a large file need not be read twice.
const ENDS: u64 = 1 << 20;

/// Begins to take the files up; those that are there already are refused.
pub fn begin(path: &Path, args: &Analyze, config: &Config) -> anyhow::Result<HistoryWriter> {
    if path.is_dir() {
        return Err(Wrong(format!(
            "--db {}: this is a folder; name a file in it, such as {}",
            path.display(),
            path.join("history.db").display()
        ))
        .into());
    }
    if is_something_else(path) {
        return Err(Wrong(format!(
            "--db {}: this file is there and is no history; name another",
            path.display()
        ))
        .into());
    }
    let files: Vec<ImportFile> = args.files.iter().map(|file| named(file)).collect();
    match HistoryWriter::spawn_import(path, config.history.clone(), &files, args.again) {
        Ok(writer) => Ok(writer),
        Err(error @ OpenError::Imported { .. }) => {
            Err(Wrong(format!("{error}; --again counts it once more, another --db keeps it apart"))
                .into())
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot keep history in {}", path.display()))
        }
    }
}

/// Whether there is a file that no database begins like. A history that broke while `run` wrote it is
/// moved aside so that `run` goes on; a file that somebody named by mistake is left where it is.
fn is_something_else(path: &Path) -> bool {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut begin = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begin));
    // Why it cannot be read is said where it is opened.
    read.is_ok_and(|read| read > 0) && begin != MAGIC
}

fn named(path: &Path) -> ImportFile {
    if path.as_os_str() == "-" {
        return ImportFile { fingerprint: None, name: "standard input".into() };
    }
    // What cannot be read is said where it is to be read.
    ImportFile { fingerprint: fingerprint(path).ok().flatten(), name: path.display().to_string() }
}

/// A hash of the length, the beginning and the end; none of what is no plain file.
fn fingerprint(path: &Path) -> std::io::Result<Option<String>> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    hash.update(meta.len().to_le_bytes());
    let mut bytes = Vec::new();
    file.by_ref().take(ENDS).read_to_end(&mut bytes)?;
    if meta.len() > 2 * ENDS {
        file.seek(SeekFrom::Start(meta.len() - ENDS))?;
    }
    file.take(ENDS).read_to_end(&mut bytes)?;
    hash.update(&bytes);
    Ok(Some(hex(&hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_length_beginning_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            fingerprint(&path).unwrap().unwrap()
        };
        let mut large = vec![7; 3 * ENDS as usize];
        let whole = of(&large);
        assert_eq!(of(&large), whole);
        assert_ne!(of(&large[1..]), whole);
        large[0] = 1;
        let other = of(&large);
        assert_ne!(other, whole);
        *large.last_mut().unwrap() = 1;
        assert_ne!(of(&large), other);
        // A small one is read whole, each byte of it.
        assert_ne!(of(&[1; 3]), of(&[1, 2, 1]));
        assert_eq!(fingerprint(folder.path()).unwrap(), None);
        assert_eq!(named(Path::new("-")).fingerprint, None);
        assert_eq!(named(&folder.path().join("none")).fingerprint, None);
    }
}
