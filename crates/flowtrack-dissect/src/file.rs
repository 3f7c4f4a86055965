//! A file on its way: counted, typed by its first bytes, hashed when asked for; of its contents no
//! more is kept than rules or a file store want.

mod describe;

use crate::{FileDone, Hashes, Wants};
use flowtrack_event::{Direction, FileContent, FileLimits, FileState};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use std::sync::Arc;

/// Bytes from the beginning that decide the type.
const MAGIC_BYTES: usize = 512;
/// Longest name kept.
const NAME_CAP: usize = 1024;

/// Follows one file from its first byte to its last.
#[derive(Debug)]
pub struct FileTracker {
    tx_id: u64,
    direction: Direction,
    filename: Vec<u8>,
    range: Option<(u64, u64)>,
    head: Vec<u8>,
    size: u64,
    gaps: bool,
    hashers: Option<Box<Hashers>>,
    content: Option<(FileContent, FileLimits)>,
    kept: Vec<u8>,
    /// Bytes that may still be kept.
    room: usize,
    /// Whether rules may ask what kind of file it is.
    is_described: bool,
}

#[derive(Default, Debug)]
struct Hashers {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
}

impl FileTracker {
    /// Before the first byte; `filename` as the wire gave it.
    pub fn new(wants: Wants, tx_id: u64, direction: Direction, filename: &[u8]) -> Self {
        Self {
            tx_id,
            direction,
            filename: filename.get(..NAME_CAP).unwrap_or(filename).to_vec(),
            range: None,
            head: Vec::new(),
            size: 0,
            gaps: false,
            // What is stored is named by its hash.
            hashers: (wants.hashes || wants.contents.is_some()).then(Box::default),
            content: wants.contents.map(|limits| (FileContent::default(), limits)),
            kept: Vec::new(),
            room: 0,
            is_described: wants.buffers,
        }
    }

    /// Keeps its first bytes for rules, up to the first hole.
    #[must_use]
    pub fn keeping(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// Hands out what was kept.
    pub fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Says that only this range of the file is carried (first and last offset).
    #[must_use]
    pub fn with_range(mut self, first: u64, last: u64) -> Self {
        self.range = Some((first, last));
        self
    }

    /// The next bytes.
    pub fn data(&mut self, bytes: &[u8]) {
        let room = MAGIC_BYTES.saturating_sub(self.head.len());
        if room > 0 && !self.gaps {
            self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        if self.room > 0 {
            let kept = bytes.get(..self.room).unwrap_or(bytes);
            self.kept.extend_from_slice(kept);
            self.room -= kept.len();
        }
        if let Some((content, limits)) = &mut self.content
            && !content.push(bytes, *limits)
        {
            self.content = None;
        }
        self.size = self.size.saturating_add(bytes.len() as u64);
        if let Some(hashers) = &mut self.hashers {
            hashers.md5.update(bytes);
            hashers.sha1.update(bytes);
            hashers.sha256.update(bytes);
        }
    }

    /// So many bytes are missing here; a hash would be of another file.
    pub fn gap(&mut self, bytes: u64) {
        self.size = self.size.saturating_add(bytes);
        self.gaps = true;
        self.hashers = None;
        self.content = None;
        self.room = 0;
    }

    /// Bytes so far, those that are missing too.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// After the last byte. A file that was cut off has no hashes.
    pub fn done(self, state: FileState) -> FileDone {
        let state =
            if self.gaps && state == FileState::Closed { FileState::Truncated } else { state };
        let hashes = self.hashers.filter(|_| state == FileState::Closed).map(|h| {
            Box::new(Hashes {
                md5: h.md5.finalize().into(),
                sha1: h.sha1.finalize().into(),
                sha256: h.sha256.finalize().into(),
            })
        });
        FileDone {
            app: None,
            tx_id: self.tx_id,
            direction: self.direction,
            description: self.is_described.then(|| describe::describe(&self.head).into()),
            magic: infer::get(&self.head).map(|kind| kind.mime_type()),
            filename: self.filename,
            range: self.range,
            size: self.size,
            state,
            gaps: self.gaps,
            content: self
                .content
                .filter(|_| hashes.is_some())
                .map(|(content, _)| Arc::new(content)),
            hashes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(pieces: &[&[u8]], gap: bool) -> FileDone {
        let wants = Wants { hashes: true, ..Wants::default() };
        let mut file = FileTracker::new(wants, 3, Direction::ToClient, b"../x.png");
        for piece in pieces {
            file.data(piece);
            if gap {
                file.gap(10);
            }
        }
        file.done(FileState::Closed)
    }

    #[test]
    fn a_whole_file_has_type_and_hashes_however_it_is_cut() {
        let whole = track(&[b"\x89PNG\r\n\x1a\nrest"], false);
        let cut = track(&[b"\x89PN", b"G\r\n\x1a", b"\nrest"], false);
        assert_eq!(
            (whole.magic, whole.size, whole.state),
            (Some("image/png"), 12, FileState::Closed)
        );
        assert_eq!((cut.magic, cut.hashes.is_some()), (whole.magic, true));
        assert_eq!(cut.hashes, whole.hashes);
    }

    #[test]
    fn only_whole_files_within_the_limits_keep_their_bytes() {
        let keep = |limit, pieces: &[&[u8]], state| {
            let contents = Some(FileLimits { file: limit, total: 1 << 30 });
            let wants = Wants { contents, ..Wants::default() };
            let mut file = FileTracker::new(wants, 0, Direction::ToServer, b"");
            pieces.iter().for_each(|piece| file.data(piece));
            let done = file.done(state);
            (done.content.map(|content| content.bytes().to_vec()), done.hashes.is_some())
        };
        let closed = FileState::Closed;
        assert_eq!(keep(4, &[b"ab", b"cd"], closed), (Some(b"abcd".to_vec()), true));
        assert_eq!(keep(3, &[b"ab", b"cd"], closed), (None, true));
        assert_eq!(keep(4, &[b"ab"], FileState::Truncated), (None, false));
    }

    #[test]
    fn a_file_with_a_hole_has_no_hash() {
        let done = track(&[b"ab", b"cd"], true);
        assert_eq!((done.hashes, done.gaps, done.state), (None, true, FileState::Truncated));
        assert_eq!(done.size, 2 * (2 + 10));
    }
}
