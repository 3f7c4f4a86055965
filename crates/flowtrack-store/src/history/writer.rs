//! The thread that owns the database, and the queue before it.

use super::schema::{self, OpenError};
use super::{Batch, HistoryConfig, HistoryReader, ImportFile, SqliteHistory, Written};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flowtrack_detect::alerts::{AlertId, AlertRecord, AlertState, Mute};
use flowtrack_event::{Event, FlowPhase};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Appends batches to a history without waiting for its disk.
pub struct HistoryWriter {
    queue: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    path: PathBuf,
    block: Duration,
}

/// What the queue carries.
enum Command {
    Append(Arc<Batch>),
    Alerts(Vec<Arc<AlertRecord>>),
    SetAlert(AlertId, Option<AlertState>, Option<String>),
    Mutes(Vec<Mute>),
    Interfaces(Vec<String>),
    BeginRun,
    /// Commit, then answer.
    Flush(Sender<()>),
    /// Commit, keep the import, then answer.
    EndImport(Sender<Result<(), String>>),
}

/// What the thread tells everybody else.
#[derive(Default)]
struct Shared {
    status: Mutex<Status>,
    /// Rows of batches that the queue had no room for.
    not_queued: AtomicU64,
    /// Rows that were not even tried while the disk failed.
    refused: AtomicU64,
    /// The queue was full a moment ago; nobody waits for it again until it has room.
    congested: AtomicBool,
    /// Counts up when the database is replaced by a new one.
    generation: Arc<AtomicU64>,
    /// The number of the run in the present database.
    run: AtomicU64,
}

#[derive(Clone, Default)]
struct Status {
    state: StoreState,
    message: Option<String>,
    written: Written,
    bytes: u64,
    set_aside: Option<PathBuf>,
}

/// Whether history is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// Rows are written.
    #[default]
    Ok,
    /// More comes than the disk takes; some is dropped and counted.
    Congested,
    /// The disk takes nothing; it is tried again each second.
    Failing,
    /// The writer has ended.
    Stopped,
}

/// How history is, for a person to see.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct StoreHealth {
    /// Whether rows are written.
    pub state: StoreState,
    /// What is wrong, where something is, and what to do.
    pub message: Option<String>,
    /// The database.
    pub path: PathBuf,
    /// Bytes of it that hold something.
    pub bytes: u64,
    /// Rows that are safe.
    pub rows_written: u64,
    /// Rows that were lost: the disk did not take them, or the queue was full.
    pub rows_dropped: u64,
    /// Transactions and anomalies beyond what is kept of a second.
    pub rows_capped: u64,
    /// Rows that retention deleted.
    pub rows_expired: u64,
    /// Batches that wait for the disk.
    pub queued: usize,
    /// Where a broken database was moved.
    pub set_aside: Option<PathBuf>,
}

/// Time between two attempts to write to a disk that fails.
const RETRY: Duration = Duration::from_secs(1);

impl HistoryWriter {
    /// Opens a history and starts the thread that writes it.
    pub fn spawn(path: &Path, config: HistoryConfig) -> Result<Self, OpenError> {
        let (limit, block) = (config.queue, config.block_ms);
        Self::start(SqliteHistory::open(path, config)?, limit, block)
    }

    /// The same, to take up these capture files, as [`SqliteHistory::begin_import`] says. All that
    /// is handed over until [`HistoryWriter::end_import`] belongs to them.
    pub fn spawn_import(
        path: &Path,
        config: HistoryConfig,
        files: &[ImportFile],
        again: bool,
    ) -> Result<Self, OpenError> {
        let (limit, block) = (config.queue, config.block_ms);
        let mut history = SqliteHistory::open(path, config)?;
        history.begin_import(files, again)?;
        Self::start(history, limit, block)
    }

    fn start(history: SqliteHistory, limit: usize, block_ms: u64) -> Result<Self, OpenError> {
        let (queue, commands) = bounded(limit.max(1));
        let block = Duration::from_millis(block_ms);
        let path = history.path().to_owned();
        let shared = Arc::new(Shared::default());
        shared.run.store(history.run(), Ordering::Release);
        let writer = Writer { history, commands, shared: Arc::clone(&shared), retry: None };
        writer.report(StoreState::Ok, None);
        let thread = std::thread::Builder::new()
            .name("history".into())
            .spawn(move || writer.work())
            .map_err(|source| OpenError::Io { path: path.clone(), source })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared, path, block })
    }

    /// Hands a batch over; says whether there was room for it.
    ///
    /// A full queue delays the caller once, for as long as configured. From then on, until half of
    /// the queue is free again, what finds no room is dropped at once and counted.
    pub fn try_append(&self, batch: Arc<Batch>) -> bool {
        let Some(queue) = &self.queue else { return false };
        let congested = self.shared.congested.load(Ordering::Relaxed);
        let patience = if congested { Duration::ZERO } else { self.block };
        match queue.send_timeout(Command::Append(batch), patience) {
            Ok(()) => {
                if congested && queue.len() * 2 <= queue.capacity().unwrap_or(1) {
                    self.shared.congested.store(false, Ordering::Relaxed);
                }
                true
            }
            Err(refused) => {
                self.count_lost(refused.into_inner());
                if !self.shared.congested.swap(true, Ordering::Relaxed) {
                    warn!(history = %self.path.display(), "more comes than history can write");
                }
                false
            }
        }
    }

    /// Hands a batch over and waits for room, as a file that is read can.
    pub fn append(&self, batch: Arc<Batch>) -> bool {
        let Some(queue) = &self.queue else { return false };
        match queue.send(Command::Append(batch)) {
            Ok(()) => true,
            Err(refused) => {
                self.count_lost(refused.into_inner());
                false
            }
        }
    }

    /// Hands alerts over as they are now; gives them back where the queue has no room.
    pub fn try_alerts(&self, alerts: Vec<Arc<AlertRecord>>) -> Result<(), Vec<Arc<AlertRecord>>> {
        let Some(queue) = &self.queue else { return Ok(()) };
        match queue.try_send(Command::Alerts(alerts)) {
            Ok(()) => Ok(()),
            Err(refused) => match refused.into_inner() {
                Command::Alerts(alerts) => Err(alerts),
                _ => Ok(()),
            },
        }
    }

    /// Hands alerts over as they are now and waits for room, as a file that is read can.
    pub fn alerts(&self, alerts: Vec<Arc<AlertRecord>>) {
        self.tell(Command::Alerts(alerts));
    }

    /// Changes what a person says of an alert that is kept.
    pub fn set_alert(&self, id: AlertId, state: Option<AlertState>, note: Option<&str>) {
        self.tell(Command::SetAlert(id, state, note.map(str::to_owned)));
    }

    /// Keeps these mutes and no others; says whether there was room for that.
    pub fn try_mutes(&self, mutes: Vec<Mute>) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.try_send(Command::Mutes(mutes)).is_ok())
    }

    fn count_lost(&self, refused: Command) {
        if let Command::Append(batch) = refused {
            let seconds = batch.iter().filter(|event| matches!(event, Event::Second(_)));
            let lost = rows(&batch) + seconds.count() as u64;
            self.shared.not_queued.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Names of the interfaces, in the order of [`flowtrack_event::IfaceId`], for what is appended
    /// from now on.
    pub fn set_interfaces(&self, names: Vec<String>) {
        self.tell(Command::Interfaces(names));
    }

    /// Begins another run with what is appended from now on; call it where flow numbers begin
    /// anew, as when a capture is started again.
    pub fn begin_run(&self) {
        self.tell(Command::BeginRun);
    }

    fn tell(&self, command: Command) {
        if let Some(queue) = &self.queue {
            // A thread that is gone writes nothing, so there is nothing to tell it.
            let _ = queue.send(command);
        }
    }

    /// Waits until everything handed over so far is safe, or lost and counted.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        if let Some(queue) = &self.queue
            && queue.send(Command::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }

    /// Keeps what was taken up of capture files; what is wrong where that is not possible.
    pub fn end_import(&self) -> Result<(), String> {
        let (done, wait) = bounded(1);
        let sent = self.queue.as_ref().map(|queue| queue.send(Command::EndImport(done)));
        match (sent, wait.recv()) {
            (Some(Ok(())), Ok(ended)) => ended,
            _ => Err("the history writer has ended".to_owned()),
        }
    }

    /// The number of the run that is written.
    pub fn run(&self) -> u64 {
        self.shared.run.load(Ordering::Acquire)
    }

    /// A reader of the same history, for any thread.
    pub fn reader(&self) -> HistoryReader {
        HistoryReader::following(&self.path, Arc::clone(&self.shared.generation))
    }

    /// How history is.
    pub fn health(&self) -> StoreHealth {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let congested = self.shared.congested.load(Ordering::Relaxed);
        let state = match status.state {
            StoreState::Ok if congested => StoreState::Congested,
            state => state,
        };
        let message = match state {
            StoreState::Congested => Some("more comes than the disk can take".to_owned()),
            _ => status.message,
        };
        StoreHealth {
            state,
            message,
            path: self.path.clone(),
            bytes: status.bytes,
            rows_written: status.written.committed,
            rows_dropped: status.written.failed
                + self.shared.refused.load(Ordering::Relaxed)
                + self.shared.not_queued.load(Ordering::Relaxed),
            rows_capped: status.written.capped,
            rows_expired: status.written.expired,
            queued: self.queue.as_ref().map_or(0, Sender::len),
            set_aside: status.set_aside,
        }
    }

    /// Writes what waits, closes the database and says how it went.
    pub fn close(mut self) -> StoreHealth {
        self.stop();
        self.health()
    }

    fn stop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!(history = %self.path.display(), "the history writer panicked");
        }
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Rows that a batch would have become, besides the seconds, which are kept in memory.
fn rows(batch: &Batch) -> u64 {
    let is_row = |event: &&Event| match event {
        Event::Flow(flow) => matches!(flow.phase, FlowPhase::End(_)),
        Event::Transaction(_) | Event::Anomaly(_) => true,
        Event::Second(_)
        | Event::File(_)
        | Event::Stats(_)
        | Event::Alert(_)
        | Event::Packet(_)
        | Event::Detection(_)
        | Event::Block(_)
        | Event::Login(_)
        | Event::Neighbour(_)
        | Event::Activity(_) => false,
    };
    batch.iter().filter(is_row).count() as u64
}

/// The thread's side.
struct Writer {
    history: SqliteHistory,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    /// When a failing disk is tried again.
    retry: Option<Instant>,
}

impl Writer {
    fn work(mut self) {
        loop {
            let now = Instant::now();
            let due = self.history.commit_due().unwrap_or(now + RETRY);
            match self.commands.recv_timeout(due.saturating_duration_since(now)) {
                Ok(Command::Append(batch)) => {
                    self.append(&batch);
                    if self.history.commit_due().is_some_and(|due| due <= Instant::now()) {
                        self.commit();
                    }
                }
                Ok(Command::Alerts(alerts)) => {
                    let rows = alerts.len() as u64;
                    self.keep(rows, |history| history.write_alerts(&alerts));
                }
                Ok(Command::SetAlert(id, state, note)) => {
                    self.keep(1, |history| history.set_alert(id, state, note.as_deref()));
                }
                Ok(Command::Mutes(mutes)) => {
                    self.keep(mutes.len() as u64, |history| history.write_mutes(&mutes));
                }
                Ok(Command::Interfaces(names)) => self.history.set_interfaces(names),
                Ok(Command::BeginRun) => self.begin_run(),
                Ok(Command::Flush(done)) => {
                    self.commit();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Ok(Command::EndImport(done)) => {
                    let _ = done.send(self.end_import());
                }
                Err(RecvTimeoutError::Timeout) => self.commit(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.commit();
        self.report(StoreState::Stopped, None);
        if let Err(error) = self.history.close() {
            error!(%error, "history cannot be closed; it is complete up to its last commit");
        }
    }

    fn append(&mut self, batch: &Batch) {
        if self.is_waiting() {
            self.shared.refused.fetch_add(rows(batch), Ordering::Relaxed);
            self.history.remember_seconds(batch);
        } else if let Err(error) = self.history.write(batch) {
            self.failed(&error);
        }
    }

    /// Writes so many rows, unless the disk failed a moment ago.
    fn keep(&mut self, rows: u64, write: impl FnOnce(&mut SqliteHistory) -> rusqlite::Result<()>) {
        if self.is_waiting() {
            self.shared.refused.fetch_add(rows, Ordering::Relaxed);
        } else if let Err(error) = write(&mut self.history) {
            self.failed(&error);
        }
    }

    fn commit(&mut self) {
        if self.is_waiting() {
            return;
        }
        match self.history.commit() {
            Ok(true) => {
                if self.retry.take().is_some() {
                    info!(history = %self.history.path().display(), "history is written again");
                }
                self.report(StoreState::Ok, None);
            }
            // Nothing written proves nothing about a disk that failed before.
            Ok(false) => {}
            Err(error) => return self.failed(&error),
        }
        match self.history.tidy() {
            Err(error) if schema::is_broken(&error) => self.failed(&error),
            Err(error) => warn!(%error, "old rows of history cannot be deleted"),
            Ok(()) => {}
        }
    }

    fn begin_run(&mut self) {
        match self.history.begin_run() {
            Ok(()) => self.shared.run.store(self.history.run(), Ordering::Release),
            Err(error) => self.failed(&error),
        }
    }

    /// Keeps the import, unless the beginning of it was moved aside with a broken file.
    fn end_import(&mut self) -> Result<(), String> {
        if self.shared.generation.load(Ordering::Acquire) > 0 {
            return Err("its file broke meanwhile, and a new one was begun; try again".to_owned());
        }
        self.history.end_import().map_err(|error| advice(&error))
    }

    /// Whether the disk failed a moment ago.
    fn is_waiting(&self) -> bool {
        self.retry.is_some_and(|at| Instant::now() < at)
    }

    /// Says once what is wrong, and goes on: with a new database if this one is broken, else with
    /// another attempt in a while.
    fn failed(&mut self, error: &rusqlite::Error) {
        let first = self.retry.is_none();
        if schema::is_broken(error) {
            error!(history = %self.history.path().display(), %error, "history is broken");
            match self.history.begin_anew() {
                Ok(()) => {
                    self.shared.run.store(self.history.run(), Ordering::Release);
                    self.shared.generation.fetch_add(1, Ordering::Release);
                    return self.report(StoreState::Ok, None);
                }
                Err(error) if first => error!(%error, "no new history can be begun"),
                Err(_) => {}
            }
        } else if first {
            error!(
                history = %self.history.path().display(),
                %error,
                "history cannot be written; capture goes on, rows are dropped and counted"
            );
        }
        self.history.shrink_log();
        self.retry = Some(Instant::now() + RETRY);
        self.report(StoreState::Failing, Some(advice(error)));
    }

    fn report(&self, state: StoreState, message: Option<String>) {
        let status = Status {
            state,
            message,
            written: self.history.written(),
            bytes: self.history.size(),
            set_aside: self.history.set_aside().map(Path::to_owned),
        };
        *self.shared.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

/// What is wrong and what to do, for a person.
fn advice(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            "the disk is full: free some space, or lower store.max_bytes".to_owned()
        }
        _ => format!("history cannot be written: {error}"),
    }
}

#[cfg(test)]
mod tests;
