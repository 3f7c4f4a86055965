//! Files that travelled over a flow.

use crate::{AppProto, Direction, FlowContext, Timestamp};

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

/// One file, described; its bytes are not kept here.
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
    /// Whether it was written to the file store.
    pub stored: bool,
}
