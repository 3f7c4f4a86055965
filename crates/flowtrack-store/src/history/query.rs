//! What can be asked of history, and what it answers.

use crate::live::FlowRow;
use flowtrack_filter::{Field, Filter};
use rusqlite::types::Value;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A question for flows.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Only flows that end at this moment or later, in microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Only flows that begin before this moment.
    pub until_us: Option<i64>,
    /// Only flows that it matches.
    pub filter: Filter,
    /// Only flows of this run.
    pub run: Option<u64>,
    /// What the rows are sorted by.
    pub sort: Field,
    /// Whether the largest come first.
    pub descending: bool,
    /// Most rows of a page; at most [`Query::MAX_LIMIT`] are given.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl Query {
    /// Most rows of a page.
    pub const MAX_LIMIT: usize = 10_000;
}

impl Default for Query {
    /// The newest flows.
    fn default() -> Self {
        Self {
            since_us: None,
            until_us: None,
            filter: Filter::default(),
            run: None,
            sort: Field::End,
            descending: true,
            limit: 100,
            after: None,
        }
    }
}

/// Some rows of an answer.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<FlowRow>,
    /// What to ask with for the rows that follow; `None` on the last page.
    pub next: Option<Cursor>,
}

/// Sums over all flows that a query matches, not only those of a page.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct FlowTotals {
    /// Flows.
    pub flows: u64,
    /// Packets both ways.
    pub packets: u64,
    /// Bytes both ways.
    pub bytes: u64,
}

/// One application transaction.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TransactionRow {
    /// When it was complete, microseconds since the epoch.
    pub ts_us: i64,
    /// The run that saw it.
    pub run: u64,
    /// The flow it belongs to.
    pub flow: u64,
    /// Counted from 0 in its flow.
    pub tx_id: u64,
    /// Originator's address.
    pub src_ip: String,
    /// Originator's port.
    pub src_port: u16,
    /// Responder's address.
    pub dest_ip: String,
    /// Responder's port.
    pub dest_port: u16,
    /// Application protocol.
    pub protocol: String,
    /// EVE `event_type`.
    pub event_type: String,
    /// What was said, in one line.
    pub summary: String,
    /// The fields of its record; `None` where it was too long to keep.
    pub record: Option<serde_json::Value>,
}

/// One anomaly.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AnomalyRow {
    /// When, in microseconds since the epoch.
    pub ts_us: i64,
    /// The run that saw it.
    pub run: u64,
    /// Who noticed: `decode`, `stream` or `applayer`.
    pub layer: String,
    /// Its name.
    pub name: String,
    /// The protocol whose dissector noticed.
    pub app_proto: Option<String>,
    /// Place of the packet in its capture, from 1.
    pub packet: u64,
    /// The flow it belongs to.
    pub flow: Option<u64>,
    /// Originator's address.
    pub src_ip: Option<String>,
    /// Originator's port.
    pub src_port: Option<u16>,
    /// Responder's address.
    pub dest_ip: Option<String>,
    /// Responder's port.
    pub dest_port: Option<u16>,
}

/// Why history does not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It took longer than it may.
    #[error("the question takes too long; ask for a shorter time or a narrower filter")]
    TooSlow,
    /// The cursor is not one that was given out.
    #[error("the place of the next page cannot be read; ask for the first page again")]
    Cursor,
    /// Another version of the program wrote it.
    #[error(
        "history has format {found}, this FlowTrack reads {}; run the FlowTrack that writes it, or \
         let this one write it once",
        super::SCHEMA_VERSION
    )]
    Version {
        /// The format found.
        found: i64,
    },
    /// The file holds something else.
    #[error("this is no history of FlowTrack")]
    NotHistory,
    /// The database cannot be read.
    #[error("cannot read history: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::TooSlow,
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotHistory,
            _ => Self::Sqlite(error),
        }
    }
}

/// The place behind a row in a sorted answer; rows that come or go elsewhere do not move it.
#[derive(Clone, PartialEq, Debug)]
pub struct Cursor {
    /// Key of the row.
    pub(crate) key: i64,
    /// What it is sorted by.
    pub(crate) value: Value,
}

/// `KEY:iNUMBER`, `KEY:rNUMBER` or `KEY:tTEXT`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.key)?;
        match &self.value {
            Value::Integer(n) => write!(f, "i{n}"),
            Value::Real(n) => write!(f, "r{n}"),
            Value::Text(text) => write!(f, "t{text}"),
            // Nothing is sorted by what may be NULL or bytes.
            Value::Null | Value::Blob(_) => f.write_str("t"),
        }
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let (key, value) = text.split_once(':').ok_or(QueryError::Cursor)?;
        let key = key.parse().map_err(|_| QueryError::Cursor)?;
        let value = if let Some(n) = value.strip_prefix('i') {
            Value::Integer(n.parse().map_err(|_| QueryError::Cursor)?)
        } else if let Some(n) = value.strip_prefix('r') {
            Value::Real(n.parse().map_err(|_| QueryError::Cursor)?)
        } else if let Some(text) = value.strip_prefix('t') {
            Value::Text(text.to_owned())
        } else {
            return Err(QueryError::Cursor);
        };
        Ok(Self { key, value })
    }
}

/// The expression by which a field is sorted; never NULL, and addresses by family and number.
pub(crate) fn sort_key(field: Field) -> String {
    let column = field.column();
    match field {
        Field::SrcIp | Field::DestIp => {
            format!("(CASE length({column}) WHEN 4 THEN '4' ELSE '6' END || hex({column}))")
        }
        Field::SrcName
        | Field::DestName
        | Field::AppProto
        | Field::InIface
        | Field::Reason
        | Field::Info => format!("ifnull({column}, '')"),
        Field::Vlan | Field::RttServer | Field::RttClient | Field::Response => {
            format!("ifnull({column}, -1)")
        }
        // A bare number would name a column.
        Field::Rate => "(0 + 0)".to_owned(),
        _ => column.to_owned(),
    }
}
