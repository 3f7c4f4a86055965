//! Files that travelled over a flow.

use crate::{AppProto, Direction, FlowContext, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a file ended (EVE `fileinfo.state`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileState {
    /// All of it was seen.
    Closed,
    /// It was cut off by the end of the flow or of the capture, or has gaps.
    Truncated,
    /// A cap ended it.
    Error,
}

/// How much of files may be kept in memory until they are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileLimits {
    /// Bytes of one file; a longer one is not kept at all.
    pub file: u64,
    /// Bytes of all files of the process together.
    pub total: u64,
}

/// The bytes of a file, counted against what all files may take together for as long as they are
/// kept.
#[derive(Default, Debug)]
pub struct FileContent {
    bytes: Vec<u8>,
}

/// Bytes of all [`FileContent`] there is.
static KEPT: AtomicU64 = AtomicU64::new(0);

impl FileContent {
    /// Adds bytes, where the limits allow them.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8], limits: FileLimits) -> bool {
        let more = bytes.len() as u64;
        if self.bytes.len() as u64 + more > limits.file {
            return false;
        }
        if KEPT.fetch_add(more, Relaxed) + more > limits.total {
            KEPT.fetch_sub(more, Relaxed);
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// What was added.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for FileContent {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.bytes.len() as u64, Relaxed);
    }
}

/// One file, described.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// When it ended.
    pub ts: Timestamp,
    /// The flow that carried it.
    pub flow: FlowContext,
    /// Which way it went.
    pub direction: Direction,
    /// The protocol that carried it.
    pub app: AppProto,
    /// The transaction that carried it, counted from 0 in its flow.
    pub tx_id: u64,
    /// Name as the wire gave it; never used as a path.
    pub filename: Vec<u8>,
    /// First offset where only a range was carried.
    pub start: Option<u64>,
    /// Last offset where only a range was carried.
    pub end: Option<u64>,
    /// Bytes seen.
    pub size: u64,
    /// Type by its first bytes, as a MIME type or words.
    pub magic: Option<&'static str>,
    /// The same in the words of `file(1)`, if rules may ask.
    pub description: Option<Arc<str>>,
    /// How it ended.
    pub state: FileState,
    /// Whether bytes are missing inside it.
    pub gaps: bool,
    /// MD5, if asked for and all bytes were seen.
    pub md5: Option<[u8; 16]>,
    /// SHA-1, if asked for and all bytes were seen.
    pub sha1: Option<[u8; 20]>,
    /// SHA-256, if asked for and all bytes were seen.
    pub sha256: Option<[u8; 32]>,
    /// Its bytes, on their way to a file store.
    pub content: Option<Arc<FileContent>>,
    /// Whether a file store is to take it; not where rules choose (`filestore`) and none chose it.
    pub wanted: bool,
    /// Whether a file store has taken it.
    pub stored: bool,
    /// Its number in the file store of this run.
    pub file_id: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_share_what_they_may_take() {
        let limits = FileLimits { file: 6, total: 10 };
        let (mut one, mut two) = (FileContent::default(), FileContent::default());
        assert!(one.push(b"abc", limits) && one.push(b"def", limits));
        assert!(!one.push(b"g", limits), "longer than a file may be");
        assert!(two.push(b"1234", limits));
        assert!(!two.push(b"5", limits), "more than all may be");
        assert_eq!((one.bytes(), two.bytes()), (&b"abcdef"[..], &b"1234"[..]));
        drop(one);
        assert!(two.push(b"5", limits), "what is gone makes room");
    }
}
