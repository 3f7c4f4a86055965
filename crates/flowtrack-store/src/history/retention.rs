//! Deleting what is too old or too much, in slices that nobody notices.

use super::{HistoryConfig, addresses};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What one look did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Done {
    /// Rows deleted.
    pub deleted: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

/// Rows that go in one statement.
const SLICE: i64 = 2_000;

/// Pages that go back to the file system in one statement.
const VACUUM: i64 = 128;

/// A table of rows with their time, oldest first by its index.
struct Table {
    name: &'static str,
    time: &'static str,
}

const TABLES: &[Table] = &[
    Table { name: "flows", time: "end_us" },
    Table { name: "transactions", time: "ts_us" },
    Table { name: "anomalies", time: "ts_us" },
    Table { name: "alerts", time: "last_us" },
];

/// Deletes slices for at most `budget`.
///
/// Age is reckoned from the newest packet of history, so that an old capture is not deleted while
/// it is read; a packet that claims to be of the future does not count for more than now.
pub(crate) fn work(
    connection: &Connection,
    config: &HistoryConfig,
    newest_us: i64,
    budget: Duration,
) -> rusqlite::Result<Done> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
    let newest = newest_us.min(now);
    let until = Instant::now() + budget;
    let mut done = Done::default();
    loop {
        let deleted = slice(connection, config, newest)?;
        done.deleted += deleted;
        let idle = deleted == 0 && !vacuum(connection)?;
        if idle || Instant::now() >= until {
            done.more = !idle;
            break;
        }
    }
    if done.deleted > 0 {
        addresses::forget_old(connection)?;
    }
    Ok(done)
}

/// Deletes one slice, if anything is too old or too much.
fn slice(connection: &Connection, config: &HistoryConfig, newest: i64) -> rusqlite::Result<u64> {
    if let Some(cutoff) = config.max_age_us().and_then(|age| newest.checked_sub(age)) {
        for table in TABLES {
            let deleted = delete_oldest(connection, table, cutoff)?;
            if deleted > 0 {
                return Ok(deleted);
            }
        }
    }
    if config.seconds_hours > 0 && newest > i64::MIN {
        let cutoff = newest / 1_000_000 - i64::from(config.seconds_hours) * 3_600;
        let deleted = connection
            .prepare_cached(
                "DELETE FROM rates WHERE step = 1 AND at IN \
                 (SELECT at FROM rates WHERE step = 1 AND at < ? ORDER BY at LIMIT ?)",
            )?
            .execute(params![cutoff, SLICE])?;
        if deleted > 0 {
            return Ok(deleted as u64);
        }
    }
    if config.max_alerts > 0 {
        let alerts: i64 = connection
            .prepare_cached("SELECT count(*) FROM alerts")?
            .query_row([], |row| row.get(0))?;
        let extra = alerts - i64::from(config.max_alerts);
        if extra > 0 {
            let deleted = connection
                .prepare_cached(
                    "DELETE FROM alerts WHERE key IN \
                     (SELECT key FROM alerts ORDER BY last_us LIMIT ?)",
                )?
                .execute([extra.min(SLICE)])?;
            return Ok(deleted as u64);
        }
    }
    if config.max_bytes > 0 && used_bytes(connection)? > config.max_bytes {
        // The same horizon for all: whichever table reaches back furthest gives.
        let mut oldest: Option<(i64, &Table)> = None;
        for table in TABLES {
            let Table { name, time } = table;
            let first: Option<i64> = connection
                .prepare_cached(&format!("SELECT {time} FROM {name} ORDER BY {time} LIMIT 1"))?
                .query_row([], |row| row.get(0))
                .optional()?;
            if let Some(first) = first.filter(|&f| oldest.is_none_or(|(time, _)| f < time)) {
                oldest = Some((first, table));
            }
        }
        if let Some((_, table)) = oldest {
            return delete_oldest(connection, table, i64::MAX);
        }
    }
    Ok(0)
}

fn delete_oldest(connection: &Connection, table: &Table, cutoff: i64) -> rusqlite::Result<u64> {
    let Table { name, time } = table;
    let deleted = connection
        .prepare_cached(&format!(
            "DELETE FROM {name} WHERE key IN \
             (SELECT key FROM {name} WHERE {time} < ? ORDER BY {time} LIMIT ?)"
        ))?
        .execute(params![cutoff, SLICE])?;
    Ok(deleted as u64)
}

/// Gives some free pages back, if they are more than a quarter of the file and worth it.
fn vacuum(connection: &Connection) -> rusqlite::Result<bool> {
    let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    if free < 4 * VACUUM || free < pages / 4 {
        return Ok(false);
    }
    connection
        .prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM})"))?
        .query([])?
        .next()
        .map(|_| true)
}

/// Bytes of the database that hold something.
pub(crate) fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let used = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
    Ok((used * pragma(connection, "page_size")?) as u64)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))
}
