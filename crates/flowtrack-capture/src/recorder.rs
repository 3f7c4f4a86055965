//! The packet recorder: the packets themselves, in a ring of capped size on disk.
//!
//! A folder holds segments, pcapng files named by the time of their first packet, each with an
//! index beside it that tells of every packet when it was, where it is, and between whom. So the
//! packets of any flow, host or span of time can be found later ([`Query`]); the segments are also
//! good files for any other program.
//!
//! ```text
//! worker ── RecorderHandle: copies into a batch ── bounded queue ──> thread: segment + index
//! ```
//! A worker never waits: what the queue has no room for is dropped and counted, and so is what the
//! disk has no room for. A segment that a crash cut short is readable up to the cut; what its index
//! lacks is read from the segment itself.

mod index;
mod key;
mod query;
mod segment;
#[cfg(test)]
mod tests;
mod thread;

pub use query::{Query, Selection};

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use flowtrack_event::{RawPacket, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Interface, PacketBuffer, SourceError};
use thread::{Message, Worker};

/// How much the recorder keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecorderConfig {
    /// Most that segments and their indexes take on disk, in MiB; the oldest is deleted first.
    pub max_mib: u64,
    /// Size of a segment with its index, in MiB; what is deleted at once.
    pub segment_mib: u64,
    /// Seconds after which a packet is deleted at the latest, give or take an eighth; none for
    /// as long as there is room.
    pub max_age_secs: Option<u64>,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self { max_mib: 1024, segment_mib: 64, max_age_secs: None }
    }
}

/// What the recorder did since it was opened, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct RecorderStats {
    /// Packets that are on disk, or were until they were the oldest.
    pub packets: u64,
    /// Bytes of those packets.
    pub bytes: u64,
    /// Packets dropped because the recorder could not keep up.
    pub dropped_busy: u64,
    /// Packets dropped because the disk was full or failed.
    pub dropped_disk: u64,
    /// Failed writes.
    pub errors: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes that segments and their indexes take.
    pub disk_bytes: u64,
}

/// A running recorder; on drop it writes what it has and stops.
pub struct Recorder {
    dir: PathBuf,
    shared: Arc<Shared>,
    sender: Sender<Message>,
    spare: Receiver<PacketBuffer>,
    thread: Option<JoinHandle<()>>,
    /// Held as long as the recorder runs: two in one folder would delete each other's segments.
    _lock: File,
}

/// What workers, recorder and thread have in common.
#[derive(Default)]
struct Shared {
    counters: Counters,
    interfaces: Mutex<Vec<Interface>>,
}

#[derive(Default)]
struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped_busy: AtomicU64,
    dropped_disk: AtomicU64,
    errors: AtomicU64,
    segments: AtomicU64,
    disk_bytes: AtomicU64,
}

impl Recorder {
    /// Starts recording into `dir`, beside what is there from earlier.
    ///
    /// # Errors
    /// [`SourceError::System`] where the folder cannot be used, or another recorder uses it.
    pub fn open(dir: &Path, config: &RecorderConfig) -> Result<Self, SourceError> {
        let system = |what: &str| {
            let what = format!("cannot record into {}: {what}", dir.display());
            move |source: io::Error| SourceError::System { what, source }
        };
        fs::create_dir_all(dir).map_err(system("cannot make the folder"))?;
        let lock =
            File::create(dir.join(".lock")).map_err(system("cannot write into the folder"))?;
        lock.try_lock()
            .map_err(io::Error::from)
            .map_err(system("another recorder uses the folder"))?;
        let shared = Arc::new(Shared::default());
        let (sender, batches) = bounded(QUEUE);
        let (used, spare) = bounded(QUEUE);
        let worker = Worker::new(dir, config, Arc::clone(&shared), used);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || worker.run(&batches))
            .map_err(system("cannot start its thread"))?;
        Ok(Self { dir: dir.to_owned(), shared, sender, spare, thread: Some(thread), _lock: lock })
    }

    /// A handle for one worker.
    pub fn handle(&self) -> RecorderHandle {
        RecorderHandle {
            shared: Arc::clone(&self.shared),
            sender: self.sender.clone(),
            spare: self.spare.clone(),
            batch: PacketBuffer::new(),
            batch_bytes: 0,
            since: Timestamp::ZERO,
        }
    }

    /// Waits until all that workers handed over is written, or counted as dropped.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// What it did so far.
    pub fn stats(&self) -> RecorderStats {
        let counters = &self.shared.counters;
        RecorderStats {
            packets: counters.packets.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            dropped_busy: counters.dropped_busy.load(Relaxed),
            dropped_disk: counters.dropped_disk.load(Relaxed),
            errors: counters.errors.load(Relaxed),
            segments: counters.segments.load(Relaxed),
            disk_bytes: counters.disk_bytes.load(Relaxed),
        }
    }

    /// The packets that `query` asks for, as far as they are on disk: those of the last quarter of
    /// a second may still be under way.
    ///
    /// # Errors
    /// See [`Selection::open`].
    pub fn query(&self, query: Query) -> Result<Selection, SourceError> {
        Selection::open(&self.dir, query)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Waits for room: what is queued is written first. An error means that the thread is gone.
        let _ = self.sender.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One worker's way into the recorder. Its last batch goes to the recorder on drop.
pub struct RecorderHandle {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    spare: Receiver<PacketBuffer>,
    batch: PacketBuffer,
    batch_bytes: usize,
    /// Time of the batch's first packet.
    since: Timestamp,
}

impl RecorderHandle {
    /// Tells the interfaces that packets name; whenever the source declares more.
    pub fn declare(&self, interfaces: &[Interface]) {
        let mut known = self.shared.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < interfaces.len() {
            *known = interfaces.to_vec();
        }
    }

    /// Records a packet; costs the worker one copy.
    #[inline]
    pub fn record(&mut self, packet: &RawPacket<'_>) {
        if self.batch.is_empty() {
            self.since = packet.ts;
        }
        self.batch.push(packet);
        self.batch_bytes += packet.data.len();
        if self.batch_bytes >= BATCH_BYTES
            || self.batch.len() >= BATCH_PACKETS
            || packet.ts.since(self.since) >= BATCH_AGE
        {
            self.flush();
        }
    }

    /// Hands over what was recorded; to be called when no packets come.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let fresh = self.spare.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.batch, fresh);
        self.batch_bytes = 0;
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.sender.try_send(Message::Packets(batch))
            && let Message::Packets(mut batch) = message
        {
            self.shared.counters.dropped_busy.fetch_add(batch.len() as u64, Relaxed);
            batch.clear();
            self.batch = batch;
        }
    }
}

impl Drop for RecorderHandle {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Batches that may wait: 64 MiB, half a second at 1 Gbit/s. A pause of the disk must fit into it,
/// and so must the time in which the thread has no processor to run on.
const QUEUE: usize = 256;

/// A batch goes to the recorder when it has so many bytes, or packets, or is so old.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_PACKETS: usize = 4096;
const BATCH_AGE: Duration = Duration::from_millis(250);
