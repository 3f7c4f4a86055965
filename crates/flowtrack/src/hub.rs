//! The hub: one thread where the events of all workers meet.
//!
//! It asks the detectors and watchers, and feeds the live view, history and sinks. Workers send
//! [`Batch`]es over one bounded queue; a live worker never waits for it, and what does not fit is
//! counted by the worker.

use crate::control;
use crate::watch::{Origin, Watcher};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flowtrack_capture::Recorder;
use flowtrack_detect::{DetectorSet, Learned};
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
    Reset {
        interfaces: Vec<String>,
        workers: usize,
        from: Origin,
    },
    /// Open log files anew, because somebody moved them.
    Reopen,
    /// Everything up to here is to be written; then answer.
    Flush(Sender<()>),
    /// What detectors learned is wanted.
    Learned(Sender<Option<Learned>>),
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

/// Where events go.
pub struct Outlets {
    /// What looks for attacks; what it finds goes where all events go.
    pub detectors: DetectorSet,
    /// Who else looks at events, after the detectors.
    pub watchers: Vec<Box<dyn Watcher>>,
    /// What screens show.
    pub live: LiveView,
    /// What is kept.
    pub history: Option<Arc<HistoryWriter>>,
    /// Whose counters are told.
    pub recorder: Option<Arc<Recorder>>,
    /// Where files go.
    pub files: Option<FileStore>,
    /// Where logs go.
    pub sinks: Vec<Box<dyn Sink>>,
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
    pub fn start(outlets: Outlets) -> anyhow::Result<Self> {
        let (queue, messages) = bounded(QUEUE);
        let reader = outlets.live.reader();
        let mut state = State {
            outlets,
            is_past: false,
            from: Origin::File,
            said: Vec::new(),
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

    /// Forgets what is shown, for a new capture from these interfaces by so many workers.
    pub fn reset(&self, interfaces: Vec<String>, workers: usize, from: Origin) {
        self.tell(Message::Reset { interfaces, workers, from });
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

    /// What detectors learned of the interfaces that are captured; none while a file is read.
    pub fn learned(&self) -> Option<Learned> {
        let (answer, wait) = bounded(1);
        self.tell(Message::Learned(answer));
        wait.recv().ok().flatten()
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
    outlets: Outlets,
    /// Whether packets carry the times of a file.
    is_past: bool,
    /// What is read; a file until something is.
    from: Origin,
    /// What detectors and watchers say; reused.
    said: Vec<Event>,
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
            Message::Reset { interfaces, workers, from } => {
                self.workers.clear();
                self.from = from;
                let outlets = &mut self.outlets;
                outlets.detectors.set_workers(workers);
                for watcher in &mut outlets.watchers {
                    watcher.begin(from);
                }
                outlets.live.reset();
                outlets.live.set_interfaces(interfaces.clone());
                if let Some(history) = &outlets.history {
                    history.set_interfaces(interfaces);
                }
            }
            Message::Reopen => self.outlets.sinks.iter_mut().for_each(|sink| sink.reopen()),
            Message::Learned(answer) => {
                let is_live = self.from == Origin::Interfaces;
                let _ = answer.send(is_live.then(|| self.outlets.detectors.learned()));
            }
            Message::Flush(done) => {
                self.publish();
                self.flush();
                let _ = done.send(());
            }
        }
    }

    fn ingest(&mut self, batch: Batch, waits: Waits) {
        if let Some(stats) = batch.stats {
            self.workers.insert(batch.worker, *stats);
        }
        if batch.events.is_empty() {
            return;
        }
        self.is_past = waits;
        let mut events = batch.events;
        if let Some(files) = &self.outlets.files {
            files.take(&mut events, waits);
        }
        let mut said = std::mem::take(&mut self.said);
        self.outlets.detectors.ingest(&events, &mut said);
        events.append(&mut said);
        self.said = said;
        self.watch(&mut events, |watcher, events, out| watcher.watch(events, out));
        // Nobody below reads it, and it is not small.
        events.retain(|event| !matches!(event, Event::Activity(_)));
        self.hand_on(events, waits);
    }

    /// Asks all watchers; what they say is added to the events.
    fn watch(
        &mut self,
        events: &mut Vec<Event>,
        mut ask: impl FnMut(&mut dyn Watcher, &[Event], &mut Vec<Event>),
    ) {
        let mut said = std::mem::take(&mut self.said);
        for watcher in &mut self.outlets.watchers {
            ask(&mut **watcher, events, &mut said);
        }
        events.append(&mut said);
        self.said = said;
    }

    fn hand_on(&mut self, events: Vec<Event>, waits: Waits) {
        if events.is_empty() {
            return;
        }
        self.outlets.live.ingest(&events);
        for sink in &mut self.outlets.sinks {
            sink.write(&events);
        }
        if let Some(history) = &self.outlets.history {
            let events = Arc::new(events);
            if waits {
                history.append(events);
            } else {
                history.try_append(events);
            }
        }
    }

    /// Lets time pass for detectors and watchers.
    fn tick(&mut self) {
        let now = control::now();
        let mut events = Vec::new();
        if !self.is_past {
            self.outlets.detectors.tick(now, &mut events);
            self.watch(&mut events, |watcher, events, out| {
                if !events.is_empty() {
                    watcher.watch(events, out);
                }
            });
        }
        self.watch(&mut events, |watcher, _, out| watcher.tick(now, out));
        self.hand_on(events, self.is_past);
    }

    fn publish(&mut self) {
        self.published = Instant::now();
        self.tick();
        if let Some(history) = &self.outlets.history {
            self.outlets.live.set_store_dropped(history.health().rows_dropped);
        }
        self.outlets.live.ingest(&[Event::Stats(Box::new(self.stats()))]);
        self.outlets.live.publish();
        if self.stats_written.elapsed() >= STATS {
            self.write_stats();
        }
    }

    fn write_stats(&mut self) {
        self.stats_written = Instant::now();
        let stats = [Event::Stats(Box::new(self.stats()))];
        for sink in &mut self.outlets.sinks {
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
        let detectors = &self.outlets.detectors;
        all.detectors = (!detectors.is_empty()).then(|| detectors.stats());
        all.file_store = self.outlets.files.as_ref().map(FileStore::stats);
        all.recorder = self.outlets.recorder.as_ref().map(|recorder| {
            let stats = recorder.stats();
            RecordStats {
                packets: stats.packets,
                bytes: stats.bytes,
                dropped_busy: stats.dropped_busy,
                dropped_disk: stats.dropped_disk,
                errors: stats.errors,
            }
        });
        self.outlets.watchers.iter().for_each(|watcher| watcher.count(&mut all));
        all
    }

    fn flush(&mut self) {
        self.outlets.sinks.iter_mut().for_each(|sink| sink.flush());
        if let Some(history) = &self.outlets.history {
            history.flush();
        }
    }
}
