//! Application protocols: bytes of a stream in, transactions out.
//!
//! A protocol is one file (or folder) below [`protocols`] and one line in its list. It says how it
//! is recognised ([`Protocol::probe`]) and, where more than the name is wanted, how it is read
//! ([`Dissector`]). [`AppFlow`] does the rest for one flow: it probes the first bytes of both
//! directions, hands them to the dissector, and follows changes of protocol on the way.
//!
//! # Limits
//! Nothing here trusts a length from the wire. Every list in a dissector has a cap, parsers are
//! iterative, and a dissector that fails ends for its flow alone, with an anomaly.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod app;
mod ber;
mod both;
mod brief;
mod datagrams;
mod digest;
mod file;
mod frames;
mod greeting;
mod keyword;
mod login;
mod odd;
mod outcome;
mod pending;
pub mod protocols;
mod random;
mod reader;
mod text;

#[cfg(test)]
mod conversation;

pub use app::{AppConfig, AppFlow, AppLayer};
pub use both::Both;
pub use datagrams::{Datagram, Datagrams};
pub use digest::{hex, md5_hex, sha1_hex, sha256_hex};
pub use file::FileTracker;
pub use keyword::{Keyword, KeywordKind};
pub use outcome::{Completed, Expectation, FileDone, Hashes, Login, Outcome, Raised, Transfer};
pub use pending::{Pending, Take, TooLong};
pub use reader::Reader;
pub use text::Text;

use flowtrack_event::{
    AppProto, Chunk, Confidence, Direction, FileLimits, FlowKey, IpProto, Timestamp,
};
use std::sync::Arc;

/// How a protocol is recognised and read.
pub trait Protocol: Sync {
    /// Its name as EVE writes it.
    fn name(&self) -> AppProto;

    /// What it runs over.
    fn transport(&self) -> Transport;

    /// Looks at the first bytes of one direction of a flow.
    fn probe(&self, first: &First<'_>) -> Probe;

    /// Ports of the responder on which it is usual: a hint that decides where the bytes of two
    /// protocols look alike, and what a flow is called that gave no bytes to decide by.
    fn ports(&self) -> &'static [u16] {
        &[]
    }

    /// A fresh reader of one flow; `None` where the protocol is only named, or where nothing that
    /// is wanted comes from reading it.
    fn dissector(&self, _wants: Wants) -> Option<Box<dyn Dissector>> {
        None
    }

    /// The fields of its records, for the reference.
    fn fields(&self) -> &'static [Field] {
        &[]
    }

    /// What rules may ask its transactions for: every name that [`Transaction::buffer`] or
    /// [`Transaction::number`] answers.
    ///
    /// [`Transaction::buffer`]: flowtrack_event::Transaction::buffer
    /// [`Transaction::number`]: flowtrack_event::Transaction::number
    fn keywords(&self) -> &'static [Keyword] {
        &[]
    }
}

/// What a protocol runs over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP only.
    Tcp,
    /// UDP only; a chunk is a datagram.
    Udp,
    /// Either.
    Both,
}

/// The first bytes of one direction of a flow.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// Whether it is UDP: `bytes` is then one datagram.
    pub udp: bool,
    /// Which way they go.
    pub direction: Direction,
    /// From the first byte on; grows while probes ask for more.
    pub bytes: &'a [u8],
    /// Originator, responder and their ports.
    pub key: &'a FlowKey,
    /// Whether the flow's beginning was not seen.
    pub midstream: bool,
    /// What the protocol before this one said would follow.
    pub expected: Option<AppProto>,
}

impl First<'_> {
    /// Whether either side has one of these ports.
    pub fn has_port(&self, ports: &[u16]) -> bool {
        ports.contains(&self.key.dst_port) || ports.contains(&self.key.src_port)
    }
}

/// What a protocol says of first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// These bytes are mine.
    Match(Confidence),
    /// These bytes cannot be mine.
    No,
    /// They may be mine; show me more.
    NeedMore,
}

impl Probe {
    /// [`Probe::Match`] by content, or [`Probe::No`].
    pub const fn content(is_mine: bool) -> Self {
        if is_mine { Self::Match(Confidence::Content) } else { Self::No }
    }

    /// Compares with a fixed beginning: more is needed while `bytes` is a prefix of it.
    pub fn prefix(bytes: &[u8], beginning: &[u8]) -> Self {
        let n = bytes.len().min(beginning.len());
        match (bytes.get(..n) == beginning.get(..n), n == beginning.len()) {
            (true, true) => Self::Match(Confidence::Content),
            (true, false) => Self::NeedMore,
            (false, _) => Self::No,
        }
    }
}

/// What is asked of a dissector; it may leave out all other work.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wants {
    /// Records for logs and history.
    pub records: bool,
    /// Buffers for rules.
    pub buffers: bool,
    /// Files: name, size, type.
    pub files: bool,
    /// MD5, SHA-1 and SHA-256 of files; for rules also the MD5 of what mails say.
    pub hashes: bool,
    /// The bytes of whole files, within these limits.
    pub contents: Option<FileLimits>,
}

/// When and where a chunk arrived.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Time of the packet.
    pub ts: Timestamp,
    /// Place of the packet in its capture, from 1.
    pub packet: u64,
    /// The flow's endpoints.
    pub key: &'a FlowKey,
    /// Whether the flow's beginning was not seen.
    pub midstream: bool,
}

impl Moment<'_> {
    /// Whether chunks are datagrams.
    pub const fn is_udp(&self) -> bool {
        matches!(self.key.proto, IpProto::UDP)
    }
}

/// Reads both directions of one flow.
pub trait Dissector: Send {
    /// Takes the next chunk of one direction: of TCP a piece of the stream cut anywhere, of UDP one
    /// datagram. What it finds goes to `out`.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are not of this protocol and reading cannot go on.
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed>;

    /// Another flow announced this one and what it carries; called before the first bytes.
    fn announced(&mut self, _transfer: &Arc<Transfer>) {}

    /// One direction ended; called once for each, at FIN, RST or the flow's end.
    fn finish(&mut self, _at: &Moment<'_>, _direction: Direction, _out: &mut Outcome) {}

    /// The flow spoke another protocol before; called before the first bytes.
    fn changed_from(&mut self, _protocol: AppProto) {}

    /// What the protocol that follows has to know, by name and value, such as the request that asked
    /// for the change; called when it changes.
    fn leaves(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    /// What the protocol before left; called before the first bytes.
    fn inherits(&mut self, _at: &Moment<'_>, _left: &[(Vec<u8>, Vec<u8>)], _out: &mut Outcome) {}
}

/// How a flow goes on after a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// With more of the same.
    More,
    /// Nothing that follows is of interest; the flow is only counted from here on.
    Done,
    /// Another protocol begins after so many bytes of this chunk, in both directions.
    Change {
        /// Bytes of this chunk that still belong to the old protocol.
        consumed: usize,
        /// What is expected; `None` to find out by probing.
        to: Option<AppProto>,
    },
}

/// The bytes are not what their protocol allows; the name of the anomaly, without its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

impl From<TooLong> for Malformed {
    fn from(_: TooLong) -> Self {
        Self("record_too_long")
    }
}

/// One field of a protocol's record, for the reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Path below the record, such as `queries[].rrname`.
    pub name: &'static str,
    /// `string`, `integer`, `boolean`, `array` or `object`.
    pub kind: &'static str,
    /// What it tells.
    pub doc: &'static str,
    /// Whether EVE has no such field: FlowTrack adds it.
    pub added: bool,
}

impl Field {
    /// A field as EVE has it.
    pub const fn eve(name: &'static str, kind: &'static str, doc: &'static str) -> Self {
        Self { name, kind, doc, added: false }
    }

    /// A field that FlowTrack adds.
    pub const fn added(name: &'static str, kind: &'static str, doc: &'static str) -> Self {
        Self { name, kind, doc, added: true }
    }
}
