//! The hub: one thread where the events of all workers meet.
//!
//! It feeds the live view, history and sinks. Workers send [`Batch`]es over one bounded queue; a
//! live worker never waits for it, and what does not fit is counted by the worker.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flowtrack_capture::Recorder;
use flowtrack_event::{Event, FlowPhase, RecordStats, Stats};
use flowtrack_output::{FileStore, Sink};
use flowtrack_store::{HistoryWriter, LiveReader, LiveView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that may wait for the hub.
const QUEUE: usize = 1024;
/// Waiting batches above which flow updates, which the next second repeats, are left out.
const CROWDED: usize = QUEUE / 2;
/// How often the live view is published.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often counters are written to sinks.
const STATS: Duration = Duration::from_secs(10);

/// What workers and the program tell the hub.
enum Message {
    Batch(Batch, Waits),
    /// A new capture begins: what is shown of the old one goes.
    Reset(Vec<String>),
    /// Open log files anew, because somebody moved them.
    Reopen,
    /// Everything up to here is to be written; then answer.
    Flush(Sender<()>),
}

/// Whether the sender waits for whoever is slower, so that nothing is lost.
type Waits = bool;

/// What one worker has to say.
pub struct Batch {
    /// Which worker.
    pub worker: usize,
    /// What happened.
    pub events: Vec<Event>,
    /// Its counters since its start, from time to time.
    pub stats: Option<Box<Stats>>,
}

/// A running hub.
pub struct Hub {
    queue: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    reader: LiveReader,
}

/// Where workers send their events.
#[derive(Clone)]
pub struct HubSender {
    queue: Sender<Message>,
    /// Whether to wait where the queue is full: from files, nothing may be lost.
    waits: bool,
}

/// What could not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Dropped {
    /// Events of all kinds.
    pub events: u64,
}

impl Hub {
    /// Starts the hub's thread.
    pub fn start(
        live: LiveView,
        history: Option<Arc<HistoryWriter>>,
        recorder: Option<Arc<Recorder>>,
        files: Option<FileStore>,
        sinks: Vec<Box<dyn Sink>>,
    ) -> anyhow::Result<Self> {
        let (queue, messages) = bounded(QUEUE);
        let reader = live.reader();
        let mut state = State {
            live,
            history,
            recorder,
            files,
            sinks,
            workers: BTreeMap::new(),
            published: Instant::now(),
            stats_written: Instant::now(),
        };
        let thread =
            std::thread::Builder::new().name("hub".into()).spawn(move || state.run(&messages))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), reader })
    }

    /// Reads what is shown.
    pub fn reader(&self) -> LiveReader {
        self.reader.clone()
    }

    /// A way in for a worker; `waits` where nothing may be lost.
    pub fn sender(&self, waits: bool) -> HubSender {
        let queue = self.queue.clone().expect("the queue lives as long as the hub");
        HubSender { queue, waits }
    }

    /// Forgets what is shown, for a new capture from these interfaces.
    pub fn reset(&self, interfaces: Vec<String>) {
        self.tell(Message::Reset(interfaces));
    }

    /// Opens log files anew.
    pub fn reopen(&self) {
        self.tell(Message::Reopen);
    }

    /// Waits until everything sent so far is with history and sinks.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        self.tell(Message::Flush(done));
        let _ = wait.recv();
    }

    fn tell(&self, message: Message) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(message);
        }
    }
}

impl Drop for Hub {
    /// Drains the queue, writes what is left and ends the thread.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl HubSender {
    /// Sends a batch and empties `events`; says what was dropped instead.
    pub fn send(
        &self,
        worker: usize,
        events: &mut Vec<Event>,
        stats: Option<Box<Stats>>,
    ) -> Dropped {
        if events.is_empty() && stats.is_none() {
            return Dropped::default();
        }
        let mut dropped = Dropped::default();
        let mut events = std::mem::take(events);
        if !self.waits && self.queue.len() > CROWDED {
            let before = events.len();
            events.retain(|e| !matches!(e, Event::Flow(f) if f.phase == FlowPhase::Update));
            dropped.events += (before - events.len()) as u64;
        }
        let count = events.len() as u64;
        let message = Message::Batch(Batch { worker, events, stats }, self.waits);
        let sent = if self.waits {
            self.queue.send(message).is_ok()
        } else {
            self.queue.try_send(message).is_ok()
        };
        if !sent {
            dropped.events += count;
        }
        dropped
    }
}

/// What the hub's thread owns.
struct State {
    live: LiveView,
    history: Option<Arc<HistoryWriter>>,
    recorder: Option<Arc<Recorder>>,
    files: Option<FileStore>,
    sinks: Vec<Box<dyn Sink>>,
    /// The latest counters of each worker.
    workers: BTreeMap<usize, Stats>,
    published: Instant,
    stats_written: Instant,
}

impl State {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let wait = PUBLISH.saturating_sub(self.published.elapsed());
            match messages.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.published.elapsed() >= PUBLISH {
                self.publish();
            }
        }
        self.write_stats();
        self.publish();
        self.flush();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Batch(batch, waits) => self.ingest(batch, waits),
            Message::Reset(interfaces) => {
                self.workers.clear();
                self.live.reset();
                self.live.set_interfaces(interfaces.clone());
                if let Some(history) = &self.history {
                    history.set_interfaces(interfaces);
                }
            }
            Message::Reopen => self.sinks.iter_mut().for_each(|sink| sink.reopen()),
            Message::Flush(done) => {
                self.publish();
                self.flush();
                let _ = done.send(());
            }
        }
    }

    fn ingest(&mut self, mut batch: Batch, waits: Waits) {
        if let Some(stats) = batch.stats {
            self.workers.insert(batch.worker, *stats);
        }
        if batch.events.is_empty() {
            return;
        }
        if let Some(files) = &self.files {
            files.take(&mut batch.events, waits);
        }
        self.live.ingest(&batch.events);
        for sink in &mut self.sinks {
            sink.write(&batch.events);
        }
        if let Some(history) = &self.history {
            let events = Arc::new(batch.events);
            if waits {
                history.append(events);
            } else {
                history.try_append(events);
            }
        }
    }

    fn publish(&mut self) {
        self.published = Instant::now();
        if let Some(history) = &self.history {
            self.live.set_store_dropped(history.health().rows_dropped);
        }
        self.live.ingest(&[Event::Stats(Box::new(self.stats()))]);
        self.live.publish();
        if self.stats_written.elapsed() >= STATS {
            self.write_stats();
        }
    }

    fn write_stats(&mut self) {
        self.stats_written = Instant::now();
        let stats = [Event::Stats(Box::new(self.stats()))];
        for sink in &mut self.sinks {
            sink.write(&stats);
            sink.flush();
        }
    }

    /// The counters of all workers together.
    fn stats(&self) -> Stats {
        let mut all = Stats::default();
        for stats in self.workers.values() {
            all.merge(stats);
        }
        all.file_store = self.files.as_ref().map(FileStore::stats);
        all.recorder = self.recorder.as_ref().map(|recorder| {
            let stats = recorder.stats();
            RecordStats {
                packets: stats.packets,
                bytes: stats.bytes,
                dropped_busy: stats.dropped_busy,
                dropped_disk: stats.dropped_disk,
                errors: stats.errors,
            }
        });
        all
    }

    fn flush(&mut self) {
        self.sinks.iter_mut().for_each(|sink| sink.flush());
        if let Some(history) = &self.history {
            history.flush();
        }
    }
}
