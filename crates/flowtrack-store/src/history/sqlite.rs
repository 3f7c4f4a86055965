//! The writing side: events become rows, in transactions that end at least once a second.

use super::addresses::Addresses;
use super::alerts;
use super::imports::{self, ImportFile};
use super::query::{Page, Query, QueryError};
use super::retention;
use super::rollup::RollUps;
use super::rows::{
    FlowContext, INSERT_FLOW, REPLACE_FLOW, add_functions, insert_anomaly, insert_flow,
    insert_transaction,
};
use super::schema::{self, OpenError};
use super::{History, HistoryConfig, reader};
use crate::names::Names;
use ahash::RandomState;
use flowtrack_detect::alerts::{AlertId, AlertRecord, AlertState, Mute};
use flowtrack_event::{EndReason, Event, FlowEvent, FlowId, FlowPhase, Timestamp};
use hashbrown::HashMap;
use rusqlite::Connection;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::warn;

/// A history in an SQLite file, owned by one thread.
///
/// What is appended is found by queries at once; it is safe after [`SqliteHistory::commit`], which
/// [`append`](History::append) calls itself when it is time.
pub struct SqliteHistory {
    path: PathBuf,
    config: HistoryConfig,
    connection: Connection,
    _lock: File,
    set_aside: Option<PathBuf>,
    run: i64,
    /// Capture files that are taken up.
    importing: Option<Vec<ImportFile>>,
    interfaces: Vec<String>,
    names: Names,
    /// Key of the next flow; `None` where the parts of the file must be looked at first.
    next_key: Option<i64>,
    addresses: Addresses,
    /// Living flows that have a row already: its key, and when it was last written.
    living: HashMap<FlowId, (i64, Timestamp), RandomState>,
    rollups: RollUps,
    transactions: PerSecond,
    anomalies: PerSecond,
    /// When the open transaction began, and the rows in it.
    open: Option<Instant>,
    open_rows: u64,
    written: Written,
    /// Latest packet time written, in microseconds.
    newest_us: i64,
    tidied: Instant,
}

/// What became of rows so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Written {
    /// Rows that are safe; a long-lived flow counts each time it is written.
    pub committed: u64,
    /// Rows that the disk did not take.
    pub failed: u64,
    /// Transactions and anomalies beyond what is kept of a second.
    pub capped: u64,
    /// Rows that retention deleted.
    pub expired: u64,
}

/// Rows after which a transaction ends early, so that it stays small in memory; the batch that
/// reaches it is still written whole.
const TRANSACTION: u64 = 20_000;

/// Living flows that are remembered to have a row; more get theirs when they end.
const LIVING: usize = 200_000;

/// Names and lines that are remembered until their flow ends.
const NAMES: (usize, usize) = (50_000, 100_000);

/// Time between two looks for rows that are too old.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Longest time that one look may delete rows; the rest waits for the next batch.
const TIDY_FOR: Duration = Duration::from_millis(50);

impl SqliteHistory {
    /// Opens a history for writing, and begins a run in it.
    pub fn open(path: &Path, config: HistoryConfig) -> Result<Self, OpenError> {
        let opened = schema::open(path)?;
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        add_functions(&opened.connection).map_err(failed)?;
        let undone = imports::undo(&opened.connection).map_err(failed)?;
        if !undone.is_empty() {
            warn!(
                files = undone.join(", "),
                "these were not read to their end; what history had of them is taken out"
            );
        }
        let run = begin_run(&opened.connection).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            connection: opened.connection,
            _lock: opened.lock,
            set_aside: opened.set_aside,
            run,
            importing: None,
            next_key: None,
            addresses: Addresses::default(),
            interfaces: Vec::new(),
            names: Names::new(NAMES.0, NAMES.1),
            living: HashMap::default(),
            rollups: RollUps::default(),
            transactions: PerSecond::new(config.transactions_per_second),
            anomalies: PerSecond::new(config.anomalies_per_second),
            open: None,
            open_rows: 0,
            written: Written::default(),
            newest_us: i64::MIN,
            tidied: Instant::now(),
            config,
        })
    }

    /// Begins to take up these capture files: until [`SqliteHistory::end_import`], everything
    /// that is written is taken out again should this program not come to the end.
    ///
    /// A file that is in the history already is refused, unless it is wanted `again`. Nothing is
    /// deleted for its age or for room meanwhile: it could not be put back.
    pub fn begin_import(&mut self, files: &[ImportFile], again: bool) -> Result<(), OpenError> {
        let failed = |source| OpenError::Sqlite { path: self.path.clone(), source };
        for (at, file) in files.iter().enumerate().filter(|_| !again) {
            let Some(fingerprint) = &file.fingerprint else { continue };
            let twice = files.iter().take(at).find(|one| one.fingerprint == file.fingerprint);
            let earlier = match twice {
                Some(twice) => Some(twice.name.clone()),
                None => imports::find(&self.connection, fingerprint).map_err(failed)?,
            };
            if let Some(earlier) = earlier {
                let (path, file) = (self.path.clone(), file.name.clone());
                return Err(OpenError::Imported { path, file, earlier });
            }
        }
        imports::begin(&self.connection, self.run, files).map_err(failed)?;
        self.importing = Some(files.to_vec());
        Ok(())
    }

    /// Everything of the import is written: it stays.
    pub fn end_import(&mut self) -> rusqlite::Result<()> {
        self.commit()?;
        imports::end(&self.connection, self.run)?;
        self.importing = None;
        if let Err(error) = self.tidy_now() {
            warn!(%error, "old rows of history cannot be deleted");
        }
        Ok(())
    }

    /// Names of the interfaces, in the order of [`flowtrack_event::IfaceId`].
    pub fn set_interfaces(&mut self, names: Vec<String>) {
        self.interfaces = names;
    }

    /// Begins another run, whose flows are numbered anew.
    pub fn begin_run(&mut self) -> rusqlite::Result<()> {
        self.living.clear();
        self.names.clear();
        self.commit()?;
        self.run = begin_run(&self.connection)?;
        Ok(())
    }

    /// The number of this run.
    pub fn run(&self) -> u64 {
        self.run as u64
    }

    /// Where a broken database was moved when this one was opened.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// What became of rows so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Bytes of the database that hold something.
    pub fn size(&self) -> u64 {
        retention::used_bytes(&self.connection).unwrap_or_default()
    }

    /// Makes everything appended safe; says whether there was anything.
    pub fn commit(&mut self) -> rusqlite::Result<bool> {
        if self.open.is_none() {
            return Ok(false);
        }
        let done = self.rollups.write(&self.connection).and_then(|()| self.execute("COMMIT"));
        if let Err(error) = done {
            self.roll_back();
            return Err(error);
        }
        self.rollups.committed();
        self.open = None;
        self.written.committed += std::mem::take(&mut self.open_rows);
        Ok(true)
    }

    /// Commits, folds the log into the database, and ends. An import that has not ended is taken
    /// out again.
    pub fn close(mut self) -> rusqlite::Result<Written> {
        self.commit()?;
        if self.importing.is_some() {
            imports::undo(&self.connection)?;
        }
        end_living(&self.connection)?;
        let Self { connection, written, .. } = self;
        // Closing the last connection folds the log in.
        connection.close().map_err(|(_, error)| error)?;
        Ok(written)
    }

    /// When the open transaction must end: before its rows are a second old, or many.
    pub(crate) fn commit_due(&self) -> Option<Instant> {
        self.open.map(|since| {
            if self.open_rows < TRANSACTION { since + self.config.commit_every() } else { since }
        })
    }

    /// Keeps what of the events is worth keeping.
    ///
    /// After an error, everything since the last commit is undone and counted as failed, except
    /// the seconds of traffic, which wait for a better time.
    pub(crate) fn write(&mut self, events: &[Event]) -> rusqlite::Result<()> {
        let written = self.write_rows(events);
        if written.is_err() {
            self.roll_back();
        }
        written
    }

    /// Keeps alerts as they are now, over what was kept of them.
    pub fn write_alerts(&mut self, alerts: &[Arc<AlertRecord>]) -> rusqlite::Result<()> {
        self.within(|history| {
            let mut changed = alerts::last_change(&history.connection)?;
            for alert in alerts {
                changed += 1;
                history.newest_us = history.newest_us.max(alert.last_seen.micros());
                alerts::write_alert(&history.connection, changed, alert)?;
                history.open_rows += 1;
            }
            Ok(())
        })
    }

    /// Changes what a person says of an alert that is kept.
    pub fn set_alert(
        &mut self,
        id: AlertId,
        state: Option<AlertState>,
        note: Option<&str>,
    ) -> rusqlite::Result<()> {
        self.within(|history| {
            let changed = alerts::last_change(&history.connection)? + 1;
            alerts::set_alert(&history.connection, changed, id, state, note)?;
            history.open_rows += 1;
            Ok(())
        })
    }

    /// Keeps these mutes and no others.
    pub fn write_mutes(&mut self, mutes: &[Mute]) -> rusqlite::Result<()> {
        self.within(|history| {
            alerts::write_mutes(&history.connection, mutes)?;
            history.open_rows += mutes.len() as u64;
            Ok(())
        })
    }

    /// Does something inside the open transaction, or a new one; undoes all of it on failure.
    fn within(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let done = self.begin().and_then(|()| work(self));
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        if self.open.is_none() {
            self.execute("BEGIN IMMEDIATE")?;
            self.open = Some(Instant::now());
        }
        Ok(())
    }

    fn write_rows(&mut self, events: &[Event]) -> rusqlite::Result<()> {
        self.begin()?;
        for event in events {
            match event {
                Event::Flow(event) => self.write_flow(event)?,
                Event::Transaction(event) => {
                    self.names.learn(event);
                    if self.config.transactions && self.may_write_transaction(event.ts) {
                        insert_transaction(&self.connection, self.run, event)?;
                        self.open_rows += 1;
                    }
                }
                Event::Anomaly(anomaly) => {
                    if self.anomalies.take(anomaly.ts) {
                        insert_anomaly(&self.connection, self.run, anomaly)?;
                        self.open_rows += 1;
                    } else {
                        self.written.capped += 1;
                    }
                }
                Event::Second(second) => {
                    self.newest_us = self.newest_us.max(second.at.micros());
                    self.rollups.add(&self.connection, second)?;
                }
                Event::File(_)
                | Event::Stats(_)
                | Event::Alert(_)
                | Event::Packet(_)
                | Event::Detection(_)
                | Event::Block(_)
                | Event::Login(_)
                | Event::Neighbour(_)
                | Event::Activity(_) => {}
            }
        }
        Ok(())
    }

    /// Keeps only the seconds of traffic, for a time when nothing can be written.
    pub(crate) fn remember_seconds(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Second(second) = event {
                // A database that cannot even be read has lost this second.
                self.written.failed +=
                    u64::from(self.rollups.add(&self.connection, second).is_err());
            }
        }
    }

    fn may_write_transaction(&mut self, ts: Timestamp) -> bool {
        let may = self.transactions.take(ts);
        self.written.capped += u64::from(!may);
        may
    }

    /// Writes a flow that ended, or one that lives for long and was not written for a while.
    fn write_flow(&mut self, event: &FlowEvent) -> rusqlite::Result<()> {
        let record = &event.record;
        self.newest_us = self.newest_us.max(event.ts.micros());
        let known = self.living.get(&record.id).copied();
        let reason = match event.phase {
            FlowPhase::Start => return Ok(()),
            FlowPhase::End(reason) => Some(reason),
            FlowPhase::Update => {
                let last = known.map_or(record.start, |(_, at)| at);
                let room = known.is_some() || self.living.len() < LIVING;
                let pause = Duration::from_secs(self.config.checkpoint_seconds.into());
                if !room || event.ts.since(last) < pause {
                    return Ok(());
                }
                None
            }
        };
        let ends = [record.key.src, record.key.dst];
        let key = if let Some((key, _)) = known {
            self.addresses.add_again(&self.connection, key, ends)?;
            self.insert(REPLACE_FLOW, event, key, reason)?;
            key
        } else {
            let key = match self.next_key {
                Some(key) => key,
                None => self.addresses.recover(&self.connection)?,
            };
            self.addresses.add(&self.connection, key, ends)?;
            self.next_key = Some(key + 1);
            self.insert(INSERT_FLOW, event, key, reason)?;
            key
        };
        if reason.is_some() {
            self.living.remove(&record.id);
            self.names.forget_flow(record.id);
        } else {
            self.living.insert(record.id, (key, event.ts));
        }
        self.open_rows += 1;
        Ok(())
    }

    fn insert(
        &self,
        sql: &str,
        event: &FlowEvent,
        key: i64,
        reason: Option<EndReason>,
    ) -> rusqlite::Result<()> {
        let context = FlowContext { run: self.run, interfaces: &self.interfaces };
        let note = self.names.note(&event.record);
        let mut statement = self.connection.prepare_cached(sql)?;
        insert_flow(&mut statement, key, &event.record, reason, &note, &context)
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit() {
            // The error that led here is the one to tell.
            let _ = self.execute("ROLLBACK");
        }
        self.open = None;
        self.next_key = None;
        self.written.failed += std::mem::take(&mut self.open_rows) + self.rollups.rolled_back();
    }

    /// Deletes what is too old or too much, for a moment and between transactions.
    pub(crate) fn tidy(&mut self) -> rusqlite::Result<()> {
        if self.open.is_some() || self.importing.is_some() || self.tidied.elapsed() < TIDY_EVERY {
            return Ok(());
        }
        self.tidied = Instant::now();
        let done = retention::work(&self.connection, &self.config, self.newest_us, TIDY_FOR)?;
        self.written.expired += done.deleted;
        if done.more {
            self.tidied -= TIDY_EVERY;
        }
        Ok(())
    }

    /// Deletes everything that is too old or too much, however long it takes; nothing during an
    /// import.
    pub fn tidy_now(&mut self) -> rusqlite::Result<()> {
        self.commit()?;
        if self.importing.is_some() {
            return Ok(());
        }
        let for_ever = Duration::from_secs(u32::MAX.into());
        let done = retention::work(&self.connection, &self.config, self.newest_us, for_ever)?;
        self.written.expired += done.deleted;
        Ok(())
    }

    /// Gives the log's space back to a full disk, where that is possible.
    pub(crate) fn shrink_log(&self) {
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Makes the next read come from the file.
    #[cfg(test)]
    pub(crate) fn forget_pages(&self) {
        self.connection.execute_batch("PRAGMA shrink_memory").unwrap();
    }

    /// Moves the broken database aside and begins a new one of the same name.
    pub(crate) fn begin_anew(&mut self) -> Result<(), OpenError> {
        let failed = |source| OpenError::Sqlite { path: self.path.clone(), source };
        // The broken file must be closed before it is moved.
        self.connection = Connection::open_in_memory().map_err(failed)?;
        let (connection, aside) = schema::begin_anew(&self.path)?;
        add_functions(&connection).map_err(failed)?;
        self.run = begin_run(&connection).map_err(failed)?;
        if let Some(files) = &self.importing {
            imports::begin(&connection, self.run, files).map_err(failed)?;
        }
        self.next_key = None;
        self.living.clear();
        self.connection = connection;
        self.set_aside = Some(aside);
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl History for SqliteHistory {
    fn append(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.write(events)?;
        if self.commit_due().is_some_and(|due| due <= Instant::now()) {
            self.commit()?;
            self.tidy()?;
        }
        Ok(())
    }

    fn query(&self, query: &Query) -> Result<Page, QueryError> {
        reader::flows(&self.connection, query)
    }
}

/// Begins a run; flows that an earlier one left living were interrupted.
fn begin_run(connection: &Connection) -> rusqlite::Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    end_living(connection)?;
    connection.execute("INSERT INTO runs (begun_us) VALUES (?)", [now.as_micros() as i64])?;
    Ok(connection.last_insert_rowid())
}

fn end_living(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE flows SET reason = 'interrupted' WHERE reason IS NULL", []).map(drop)
}

/// So many per second of packet time.
struct PerSecond {
    limit: u32,
    second: i64,
    taken: u32,
}

impl PerSecond {
    const fn new(limit: u32) -> Self {
        Self { limit, second: i64::MIN, taken: 0 }
    }

    /// Whether one more may be.
    fn take(&mut self, at: Timestamp) -> bool {
        if self.second != at.secs() {
            (self.second, self.taken) = (at.secs(), 0);
        }
        let may = self.taken < self.limit;
        self.taken += u32::from(may);
        may
    }
}
