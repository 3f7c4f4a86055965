//! The thread that writes what workers recorded, and deletes what is old.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use flowtrack_event::RawPacket;
use tracing::{info, warn};

use super::segment::{Paths, Segment};
use super::{RecorderConfig, Shared};
use crate::{Interface, PacketBuffer, WriteError};

/// What reaches the thread.
pub enum Message {
    /// Packets to write.
    Packets(PacketBuffer),
    /// Write what came before, and say so.
    Flush(Sender<()>),
    /// Write what came before, and end.
    Stop,
}

/// What the thread owns.
pub struct Worker {
    dir: PathBuf,
    shared: Arc<Shared>,
    /// Takes batches back, to be filled again.
    used: Sender<PacketBuffer>,
    max_bytes: u64,
    segment_bytes: u64,
    max_age: Option<Duration>,
    segment: Option<Segment>,
    /// Interfaces that the segment knows.
    declared: Vec<Interface>,
    /// Set after an error: nothing is tried before then.
    pause_until: Option<Instant>,
    swept: Instant,
}

impl Worker {
    pub fn new(
        dir: &Path,
        config: &RecorderConfig,
        shared: Arc<Shared>,
        used: Sender<PacketBuffer>,
    ) -> Self {
        let max_bytes = config.max_mib.max(2) << 20;
        // At least two segments, or deleting the oldest would delete everything; and offsets in
        // an index have 32 bits.
        let segment_bytes = (config.segment_mib.clamp(1, 2048) << 20).min(max_bytes / 2);
        let mut worker = Self {
            dir: dir.to_owned(),
            shared,
            used,
            max_bytes,
            segment_bytes,
            max_age: config.max_age_secs.map(Duration::from_secs),
            segment: None,
            declared: Vec::new(),
            pause_until: None,
            swept: Instant::now(),
        };
        worker.sweep(0);
        worker
    }

    /// Works until told to stop, or until nobody can send any more.
    pub fn run(mut self, batches: &Receiver<Message>) {
        loop {
            match batches.recv_timeout(SWEEP) {
                Ok(Message::Packets(mut batch)) => {
                    self.write_batch(&batch);
                    batch.clear();
                    // Full: there are batches enough.
                    let _ = self.used.try_send(batch);
                }
                Ok(Message::Flush(done)) => {
                    // Batches are written as they come; nobody waits any more if this fails.
                    let _ = done.send(());
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.swept.elapsed() >= SWEEP {
                self.sweep(0);
            }
        }
    }

    fn write_batch(&mut self, batch: &PacketBuffer) {
        let counters = Arc::clone(&self.shared);
        let counters = &counters.counters;
        let count = batch.len() as u64;
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            counters.dropped_disk.fetch_add(count, Relaxed);
            return;
        }
        // Only this thread counts them.
        let before = counters.packets.load(Relaxed);
        match self.try_write(batch) {
            Ok(()) => {
                if self.pause_until.take().is_some() {
                    info!("recording goes on");
                }
            }
            Err(error) => {
                let written = counters.packets.load(Relaxed) - before;
                counters.dropped_disk.fetch_add(count - written, Relaxed);
                counters.errors.fetch_add(1, Relaxed);
                // Said once, until it works again.
                if self.pause_until.is_none() {
                    let dir = self.dir.display();
                    warn!(%dir, %error, "cannot record packets; trying again every few seconds");
                }
                self.pause_until = Some(Instant::now() + PAUSE);
                if let Some(segment) = self.segment.take() {
                    segment.abandon();
                }
            }
        }
    }

    fn try_write(&mut self, batch: &PacketBuffer) -> Result<(), WriteError> {
        self.declare();
        for packet in batch.iter() {
            self.segment_for(&packet)?.write(&packet)?;
        }
        self.flush()
    }

    /// Tells the segment of interfaces that came since.
    fn declare(&mut self) {
        let interfaces = self.shared.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        if interfaces.len() > self.declared.len() {
            self.declared.clone_from(&interfaces);
            if let Some(segment) = &mut self.segment {
                segment.declare(&self.declared);
            }
        }
    }

    /// The segment that takes the packet.
    fn segment_for(&mut self, packet: &RawPacket<'_>) -> Result<&mut Segment, WriteError> {
        let room = packet.data.len() as u64 + BLOCK_MARGIN;
        let full = |segment: &Segment| {
            segment.bytes() + room > self.segment_bytes || segment.is_over(self.max_age)
        };
        if self.segment.as_ref().is_some_and(full) {
            self.flush()?;
            self.segment = None;
        }
        if self.segment.is_none() {
            self.sweep(self.segment_bytes);
        }
        match &mut self.segment {
            Some(segment) => Ok(segment),
            none => Ok(none.insert(Segment::create(&self.dir, packet.ts, &self.declared)?)),
        }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let written = segment.flush()?;
        self.shared.counters.packets.fetch_add(written.packets, Relaxed);
        self.shared.counters.bytes.fetch_add(written.bytes, Relaxed);
        Ok(())
    }

    /// Deletes what is too old, and the oldest until there is room for so many bytes more.
    fn sweep(&mut self, room: u64) {
        self.swept = Instant::now();
        let current = self.segment.as_ref().map(Segment::paths);
        let mut all = Paths::all(&self.dir).unwrap_or_default();
        // By when they were written, not by their packets' times: a capture may be played again.
        all.sort_by_cached_key(|paths| Reverse(paths.age()));
        let mut left = all.len() as u64;
        let mut total: u64 = all.iter().map(Paths::bytes).sum();
        for paths in all {
            let too_old = self.max_age.is_some_and(|max_age| paths.age() > max_age);
            if Some(&paths) != current && (too_old || total + room > self.max_bytes) {
                total = total.saturating_sub(paths.bytes());
                left -= 1;
                paths.delete();
            }
        }
        self.shared.counters.segments.store(left, Relaxed);
        self.shared.counters.disk_bytes.store(total, Relaxed);
    }
}

/// How often to look for segments that are too old.
const SWEEP: Duration = Duration::from_secs(2);

/// How long nothing is tried after an error, such as a full disk.
const PAUSE: Duration = Duration::from_secs(2);

/// More than a block and its index records take beside the packet: interface description
/// included.
const BLOCK_MARGIN: u64 = 1024;
