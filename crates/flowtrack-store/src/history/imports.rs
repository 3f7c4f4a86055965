//! Capture files that are read into a history: each once, and all of it or nothing.
//!
//! Rows of flows, transactions and anomalies carry the run that wrote them; sums and alerts are
//! shared by all runs. So while an import goes on, triggers of its connection keep each sum and
//! each alert as it was before. Should it not come to its end, whoever opens the history next for
//! writing puts them back and deletes the rest; nobody else can have written meanwhile.

use rusqlite::{Connection, OptionalExtension as _, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// A capture file on its way into a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportFile {
    /// What tells its contents from those of others, such as a hash; none where that is not known.
    pub fingerprint: Option<String>,
    /// Its name, for people.
    pub name: String,
}

/// Begins the import of files by this run.
pub(super) fn begin(
    connection: &Connection,
    run: i64,
    files: &[ImportFile],
) -> rusqlite::Result<()> {
    connection.execute_batch(TRIGGERS)?;
    for file in files {
        connection.execute(
            "INSERT INTO imports (run, fingerprint, name, begun_us) VALUES (?, ?, ?, ?)",
            params![run, file.fingerprint, file.name, now_us()],
        )?;
    }
    Ok(())
}

/// The name under which a file of this fingerprint was imported.
pub(super) fn find(connection: &Connection, fingerprint: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row(
            "SELECT name FROM imports WHERE fingerprint = ? AND done_us IS NOT NULL",
            [fingerprint],
            |row| row.get(0),
        )
        .optional()
}

/// Ends the import of this run: all of it stays.
pub(super) fn end(connection: &Connection, run: i64) -> rusqlite::Result<()> {
    within(connection, || {
        connection
            .execute("UPDATE imports SET done_us = ? WHERE run = ?", params![now_us(), run])?;
        connection.execute_batch(FORGET)
    })?;
    connection.execute_batch(DROP)
}

/// Takes out what an import that did not end left; says of which files.
pub(super) fn undo(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let names = connection
        .prepare("SELECT name FROM imports WHERE done_us IS NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    if !names.is_empty() {
        connection.execute_batch(DROP)?;
        within(connection, || {
            connection.execute_batch(UNDO)?;
            connection.execute_batch(FORGET)
        })?;
    }
    Ok(names)
}

/// Does something as one transaction.
fn within(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work().and_then(|()| connection.execute_batch("COMMIT"));
    if done.is_err() {
        // The error that led here is the one to tell.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64
}

/// They live as long as the connection. A conflict clause would be that of the statement that
/// fires them, so they ask first.
const TRIGGERS: &str = "\
    CREATE TEMP TRIGGER before_rate BEFORE INSERT ON main.rates \
    WHEN NOT EXISTS (SELECT 1 FROM before_rates WHERE step = NEW.step AND at = NEW.at) BEGIN \
        INSERT INTO before_rates \
        SELECT new_key.step, new_key.at, packets, bytes, flows_new, flows_ended, tcp_segments, \
            retransmissions, out_of_order, lost, rtt, response, shares \
        FROM (SELECT NEW.step AS step, NEW.at AS at) AS new_key LEFT JOIN rates USING (step, at); \
    END; \
    CREATE TEMP TRIGGER before_alert BEFORE INSERT ON main.alerts \
    WHEN NOT EXISTS (SELECT 1 FROM before_alerts WHERE key = NEW.key) BEGIN \
        INSERT INTO before_alerts \
        SELECT new_key.key, changed, kind, gid, sid, name, severity, category, technique_id, \
            technique_name, title, explanation, src_ip, dest_ip, dest_port, proto, first_us, \
            last_us, count, occurrences, many, evidence, flows, source_proved, state, muted_by, \
            reopened, note \
        FROM (SELECT NEW.key AS key) AS new_key LEFT JOIN alerts USING (key); \
    END;";

const UNDO: &str = "\
    DELETE FROM flows WHERE run IN (SELECT run FROM imports WHERE done_us IS NULL); \
    DELETE FROM transactions WHERE run IN (SELECT run FROM imports WHERE done_us IS NULL); \
    DELETE FROM anomalies WHERE run IN (SELECT run FROM imports WHERE done_us IS NULL); \
    DELETE FROM rates WHERE (step, at) IN (SELECT step, at FROM before_rates); \
    INSERT INTO rates SELECT * FROM before_rates WHERE packets IS NOT NULL; \
    DELETE FROM alerts WHERE key IN (SELECT key FROM before_alerts); \
    INSERT INTO alerts SELECT * FROM before_alerts WHERE changed IS NOT NULL; \
    DELETE FROM imports WHERE done_us IS NULL;";

const DROP: &str = "DROP TRIGGER IF EXISTS before_rate; DROP TRIGGER IF EXISTS before_alert;";

const FORGET: &str = "DELETE FROM before_rates; DELETE FROM before_alerts;";
