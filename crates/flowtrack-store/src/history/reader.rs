//! Questions to history, on connections that only read.

use super::addresses::{self, Reading};
use super::query::{
    AnomalyRow, Cursor, FlowTotals, Page, Query, QueryError, TransactionRow, sort_key,
};
use super::rollup::{COLUMNS, Tally};
use super::rows::{FLOWS, add_functions, anomaly_row, flow_row, transaction_row};
use super::schema;
use super::talkers::Hosts;
use crate::live::{FlowRow, HostRow, RatePoint};
use flowtrack_filter::{Filter, SqlValue};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reads a history, also while another thread or process writes it.
///
/// Any number of threads may ask at once; each uses a connection of its own.
pub struct HistoryReader {
    path: PathBuf,
    /// Counts up when the file was replaced by another of the same name.
    generation: Arc<AtomicU64>,
    idle: Mutex<Vec<(u64, Connection)>>,
    patience: Duration,
}

/// Connections that are kept between questions.
const IDLE: usize = 4;

/// How long a question may take unless the reader is told otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// Steps of the database engine between two looks at the clock.
const STEPS: i32 = 50_000;

impl HistoryReader {
    /// Opens a history that exists.
    pub fn open(path: &Path) -> Result<Self, QueryError> {
        let reader = Self::following(path, Arc::default());
        reader.ask(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))?;
        Ok(reader)
    }

    /// Reads the history of a writer that may replace its file.
    pub(crate) fn following(path: &Path, generation: Arc<AtomicU64>) -> Self {
        Self { path: path.to_owned(), generation, idle: Mutex::default(), patience: PATIENCE }
    }

    /// The same reader with another time that a question may take, as for an export.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One page of flows.
    pub fn query(&self, query: &Query) -> Result<Page, QueryError> {
        self.ask(|connection| flows(connection, query))
    }

    /// Sums over all flows that the query matches; sort, limit and cursor play no part.
    pub fn totals(&self, query: &Query) -> Result<FlowTotals, QueryError> {
        self.ask(|connection| {
            let Asked { with, from, condition, values } =
                Asked::new(connection, query, Reading::All)?;
            let sql = format!(
                "{with} SELECT count(*), ifnull(sum(pkts_toserver + pkts_toclient), 0), \
                 ifnull(sum(bytes_toserver + bytes_toclient), 0) FROM {from} WHERE {condition}"
            );
            Ok(connection.prepare(&sql)?.query_row(params_from_iter(values), |row| {
                let number = |i| row.get::<_, i64>(i).map(|n| n as u64);
                Ok(FlowTotals { flows: number(0)?, packets: number(1)?, bytes: number(2)? })
            })?)
        })
    }

    /// One flow by its run and its number there; of the newest run if `run` is 0.
    pub fn flow(&self, run: u64, id: u64) -> Result<Option<FlowRow>, QueryError> {
        let sql = format!(
            "SELECT * FROM {FLOWS} WHERE id = ?1 AND run = \
             CASE ?2 WHEN 0 THEN (SELECT max(run) FROM runs) ELSE ?2 END LIMIT 1"
        );
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row(params![id as i64, run as i64], flow_row).optional()?)
        })
    }

    /// Hosts by bytes over all flows that the query matches, largest first.
    ///
    /// The sums are exact and over whole flows: a flow that began before the time asked for counts
    /// with all it ever had.
    pub fn talkers(&self, query: &Query, limit: usize) -> Result<Vec<HostRow>, QueryError> {
        self.ask(|connection| {
            let Asked { with, from, condition, values } =
                Asked::new(connection, query, Reading::All)?;
            let sql = format!(
                "{with} SELECT src_ip, dest_ip, bytes_toserver, bytes_toclient, \
                 pkts_toserver + pkts_toclient, src_name, dest_name FROM {from} \
                 WHERE {condition}"
            );
            let mut statement = connection.prepare(&sql)?;
            let mut hosts = Hosts::new(MAX_HOSTS);
            let mut read = |hosts: &mut Hosts| {
                let mut flows = statement.query(params_from_iter(&values))?;
                while let Some(flow) = flows.next()? {
                    hosts.add_flow(flow)?;
                }
                Ok::<_, rusqlite::Error>(())
            };
            // Both readings see the same flows, whatever is written meanwhile.
            let _snapshot = connection.unchecked_transaction()?;
            read(&mut hosts)?;
            if hosts.is_incomplete() {
                hosts.recount();
                read(&mut hosts)?;
            }
            Ok(hosts.heaviest(limit))
        })
    }

    /// Exact sums per `step` seconds from `since` to before `until` (seconds since the epoch),
    /// oldest first; steps without traffic are left out.
    ///
    /// Steps are whole multiples of `step` since the epoch. Where all of them begin and end with
    /// a minute, the minutes are read, which are kept for ever, else the seconds.
    pub fn series(&self, since: i64, until: i64, step: i64) -> Result<Vec<RatePoint>, QueryError> {
        let step = step.max(1);
        let source = if step % 60 == 0 { 60 } else { 1 };
        let sql = format!(
            "SELECT at, {COLUMNS} FROM rates WHERE step = ? AND at >= ? AND at < ? ORDER BY at"
        );
        // The first and the last step are whole.
        let since = since.div_euclid(step) * step;
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![source, since, until])?;
            let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let at = row.get::<_, i64>("at")?.div_euclid(step) * step;
                tallies.entry(at).or_default().add(&Tally::from_row(row)?);
                if tallies.len() > MAX_POINTS {
                    return Err(QueryError::TooSlow);
                }
            }
            Ok(tallies.into_iter().map(|(at, tally)| tally.point(at)).collect())
        })
    }

    /// Transactions of a flow, oldest first.
    pub fn transactions_of(
        &self,
        run: u64,
        flow: u64,
        limit: usize,
    ) -> Result<Vec<TransactionRow>, QueryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM transactions WHERE flow = ?1 AND run = \
                 CASE ?2 WHEN 0 THEN (SELECT max(run) FROM runs) ELSE ?2 END \
                 ORDER BY key LIMIT ?3",
            )?;
            let limit = limit.min(Query::MAX_LIMIT) as i64;
            let rows =
                statement.query_map(params![flow as i64, run as i64, limit], transaction_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Transactions of a time, oldest first, of one EVE `event_type` or of all, and the place of
    /// the next page.
    pub fn transactions(
        &self,
        since_us: i64,
        until_us: i64,
        event_type: Option<&str>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<TransactionRow>, Option<Cursor>), QueryError> {
        let (after_ts, after_key) = match after {
            None => (i64::MIN, i64::MIN),
            Some(&Cursor { key, value: Value::Integer(ts) }) => (ts, key),
            Some(_) => return Err(QueryError::Cursor),
        };
        let limit = limit.clamp(1, Query::MAX_LIMIT);
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM transactions WHERE ts_us >= ?1 AND ts_us < ?2 \
                 AND (?3 IS NULL OR event_type = ?3) AND (ts_us, key) > (?4, ?5) \
                 ORDER BY ts_us, key LIMIT ?6",
            )?;
            let mut found = statement.query(params![
                since_us,
                until_us,
                event_type,
                after_ts,
                after_key,
                limit as i64 + 1
            ])?;
            let (mut rows, mut last) = (Vec::new(), None);
            while let Some(row) = found.next()? {
                if rows.len() == limit {
                    return Ok((rows, last));
                }
                let ts: i64 = row.get("ts_us")?;
                last = Some(Cursor { key: row.get("key")?, value: Value::Integer(ts) });
                rows.push(transaction_row(row)?);
            }
            Ok((rows, None))
        })
    }

    /// Anomalies of a time, newest first.
    pub fn anomalies(
        &self,
        since_us: i64,
        until_us: i64,
        limit: usize,
    ) -> Result<Vec<AnomalyRow>, QueryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM anomalies WHERE ts_us >= ? AND ts_us < ? \
                 ORDER BY ts_us DESC, key DESC LIMIT ?",
            )?;
            let limit = limit.min(Query::MAX_LIMIT) as i64;
            let rows = statement.query_map(params![since_us, until_us, limit], anomaly_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The time that flows cover, from the first start to the last end, in microseconds.
    pub fn span(&self) -> Result<Option<(i64, i64)>, QueryError> {
        self.ask(|connection| {
            // Ends are indexed, starts are not; the earliest end is near enough to look from.
            let ends: (Option<i64>, Option<i64>) = connection.query_row(
                "SELECT (SELECT min(end_us) FROM flows), (SELECT max(end_us) FROM flows)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let (Some(first_end), Some(last_end)) = ends else { return Ok(None) };
            let first: i64 = connection.query_row(
                "SELECT min(start_us) FROM (SELECT start_us FROM flows ORDER BY end_us LIMIT 1000)",
                [],
                |row| row.get(0),
            )?;
            Ok(Some((first.min(first_end), last_end)))
        })
    }

    /// Asks on a connection of its own, for no longer than patience lasts.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let (generation, mut connection) = self.connection()?;
        let deadline = Instant::now() + self.patience;
        connection.progress_handler(STEPS, Some(move || Instant::now() > deadline))?;
        let answer = question(&connection);
        if answer.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE {
                idle.push((generation, connection));
            }
        }
        answer
    }

    fn connection(&self) -> Result<(u64, Connection), QueryError> {
        let generation = self.generation.load(Ordering::Acquire);
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(of, _)| *of == generation);
            if let Some(found) = idle.pop() {
                return Ok(found);
            }
        }
        let connection = schema::open_for_reading(&self.path)?;
        add_functions(&connection)?;
        Ok((generation, connection))
    }
}

/// Hosts whose sums are kept at once, in some tens of megabytes.
const MAX_HOSTS: usize = 200_000;

/// Points of a series; more is a chart that nobody can read.
const MAX_POINTS: usize = 100_000;

/// One page of flows on any connection that has the functions.
pub(crate) fn flows(connection: &Connection, query: &Query) -> Result<Page, QueryError> {
    let Asked { with, from, mut condition, mut values } =
        Asked::new(connection, query, Reading::Some)?;
    let sort = sort_key(query.sort);
    let (order, behind) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
    if let Some(Cursor { key, value }) = &query.after {
        condition = format!("{condition} AND ({sort}, key) {behind} (?, ?)");
        values.extend([value.clone(), Value::Integer(*key)]);
    }
    let limit = query.limit.clamp(1, Query::MAX_LIMIT);
    // One more than asked for tells whether there is another page.
    values.push(Value::Integer(limit as i64 + 1));
    let sql = format!(
        "{with} SELECT *, {sort} AS sort_key FROM {from} WHERE {condition} \
         ORDER BY {sort} {order}, key {order} LIMIT ?"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut page = Page::default();
    let mut last = None;
    while let Some(row) = found.next()? {
        if page.rows.len() == limit {
            page.next = last;
            break;
        }
        last = Some(Cursor { key: row.get("key")?, value: row.get("sort_key")? });
        page.rows.push(flow_row(row)?);
    }
    Ok(page)
}

/// What a query asks for, without order and place: the tables, the condition, the parameters.
struct Asked {
    with: String,
    from: String,
    condition: String,
    values: Vec<Value>,
}

impl Asked {
    fn new(connection: &Connection, query: &Query, reading: Reading) -> rusqlite::Result<Self> {
        let (mut condition, filter_values) = filter_condition(&query.filter);
        let (mut with, mut from, mut values) = (String::new(), FLOWS.to_owned(), Vec::new());
        if let Some(stretches) = addresses::stretches(connection, &query.filter, reading)? {
            let rows = vec!["(?, ?)"; stretches.len()].join(", ");
            with = format!("WITH stretches (first_key, last_key) AS (VALUES {rows})");
            // A cross join is made in this order: first the stretches, then the flows in them.
            from = format!("stretches CROSS JOIN {FLOWS} ON key BETWEEN first_key AND last_key");
            values.extend(
                stretches.iter().flat_map(|&(a, b)| [Value::Integer(a), Value::Integer(b)]),
            );
        }
        values.extend(filter_values);
        if let Some(since) = query.since_us {
            condition.push_str(" AND end_us >= ?");
            values.push(Value::Integer(since));
        }
        if let Some(until) = query.until_us {
            condition.push_str(" AND start_us < ?");
            values.push(Value::Integer(until));
        }
        if let Some(run) = query.run {
            condition.push_str(" AND run = ?");
            values.push(Value::Integer(run as i64));
        }
        Ok(Self { with, from, condition, values })
    }
}

fn filter_condition(filter: &Filter) -> (String, Vec<Value>) {
    let (sql, values) = filter.to_sql();
    let values = values.into_iter().map(|value| match value {
        SqlValue::Integer(n) => Value::Integer(n),
        SqlValue::Text(text) => Value::Text(text),
        SqlValue::Blob(bytes) => Value::Blob(bytes),
    });
    (format!("({sql})"), values.collect())
}
