//! The tables, how they came to be, and opening a file that holds them.

use super::query::QueryError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::{info, warn};

/// The version of the tables that this program writes.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

/// Step `n` turns version `n` into version `n + 1`; a step that was ever released never changes.
const MIGRATIONS: &[&str] =
    &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// Why a history cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error(
        "history {0} is in use by another FlowTrack; stop it, or name another with \
             --data-dir or --db"
    )]
    InUse(PathBuf),
    /// A newer program wrote it.
    #[error(
        "history {path} has format {found}, this FlowTrack knows up to {SCHEMA_VERSION}; \
         use the newer program, or name another with --data-dir or --db"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A capture file is in it already.
    #[error("{file} is in history {path} already, read from {earlier}; nothing was added")]
    Imported {
        /// The history.
        path: PathBuf,
        /// The capture file.
        file: String,
        /// Its name then.
        earlier: String,
    },
    /// The file cannot be read or written.
    #[error("cannot open history {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `SQLite` refuses.
    #[error("cannot open history {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// An open database for writing.
pub(crate) struct Opened {
    pub connection: Connection,
    /// Held as long as the database is written; the system frees it whatever happens.
    pub lock: File,
    /// Where a broken database was moved, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Opens a database for writing, makes it if there is none, and brings its tables up to date.
///
/// A database that is broken is moved aside, never deleted, and a new one begun.
pub(crate) fn open(path: &Path) -> Result<Opened, OpenError> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| io_error(path, e))?;
    }
    let lock = lock(path)?;
    match connect(path) {
        Ok(connection) => Ok(Opened { connection, lock, set_aside: None }),
        Err(OpenError::Sqlite { source, .. }) if is_broken(&source) => {
            let (connection, aside) = begin_anew(path)?;
            Ok(Opened { connection, lock, set_aside: Some(aside) })
        }
        Err(error) => Err(error),
    }
}

/// Opens a database for reading only.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, QueryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    match version(&connection)? {
        found if found == SCHEMA_VERSION as i64 => Ok(connection),
        found => Err(QueryError::Version { found }),
    }
}

/// Whether an error says that the file is no sound database.
pub(crate) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Moves a broken database aside and makes a new one; the caller holds the lock.
pub(crate) fn begin_anew(path: &Path) -> Result<(Connection, PathBuf), OpenError> {
    let aside = set_aside(path).map_err(|e| io_error(path, e))?;
    warn!(
        history = %path.display(),
        moved_to = %aside.display(),
        "history is broken and was moved aside; a new one begins"
    );
    Ok((connect(path)?, aside))
}

/// Moves a database and what belongs to it to names that are free.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut aside = beside(path, &format!(".broken-{now}"));
    while aside.exists() {
        aside = beside(&aside, "x");
    }
    for part in ["", "-wal", "-shm"] {
        match std::fs::rename(beside(path, part), beside(&aside, part)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(aside)
}

/// How long a connection waits for another one's short locks.
const BUSY: Duration = Duration::from_secs(2);

/// Largest file, in bytes, that is checked page by page when it is opened.
const CHECKED: u64 = 32 << 20;

const TABLES: [&str; 11] = [
    "flows",
    "addresses",
    "rates",
    "transactions",
    "anomalies",
    "runs",
    "alerts",
    "mutes",
    "imports",
    "before_rates",
    "before_alerts",
];

fn lock(path: &Path) -> Result<File, OpenError> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(beside(path, ".lock"))
        .map_err(|e| io_error(path, e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(e)) => Err(io_error(path, e)),
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let connection = Connection::open(path).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    if found > SCHEMA_VERSION as i64 {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    migrate(&connection, found as usize).map_err(failed)?;
    check(&connection, path).map_err(failed)?;
    Ok(connection)
}

/// Settings of the writing connection; those of the file only work while it is empty.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may cost the last commits, never the file; the kill of the program costs none.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the tables from version `from` to the newest, each step whole or not at all.
fn migrate(connection: &Connection, from: usize) -> rusqlite::Result<()> {
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let version = step + 1;
        let done = connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {sql}; PRAGMA user_version = {version}; COMMIT;"
        ));
        if let Err(error) = done {
            // The error that led here is the one to tell.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error);
        }
        if from > 0 {
            info!(version, "history brought to a newer format");
        }
    }
    Ok(())
}

/// Finds damage before it is built upon: every page of a small file, the tables of a large one.
fn check(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if size <= CHECKED {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(broken(&verdict));
        }
    }
    for table in TABLES {
        connection.query_row(
            &format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 1)"),
            [],
            |_| Ok(()),
        )?;
    }
    Ok(())
}

fn broken(what: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(what.to_owned()))
}

/// The path with something added to its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
