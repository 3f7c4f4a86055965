//! What happened, in an SQLite file that survives everything but its disk.
//!
//! ```text
//! hub -- try_append(Arc<Batch>) --> queue --> writer thread --> SqliteHistory --> file (WAL)
//! web, export <-- rows, series ------------------------------- HistoryReader <-----'
//! ```
//!
//! - Ended flows are rows; long-lived flows are rows too, written again and again until they end.
//! - Alerts are rows that are written over while they go on; mutes are rows beside them.
//! - Each second and minute of traffic is a row of exact sums, whatever flows are dropped.
//! - A commit comes at least once a second, so a killed program lacks no more than that.
//! - A full or broken disk stops nothing: what cannot be kept is counted and said
//!   ([`StoreHealth`]), and writing goes on when there is space again.
//! - Readers have connections of their own and never make the writer wait.

mod addresses;
mod alerts;
mod config;
mod imports;
mod query;
mod reader;
mod retention;
mod rollup;
mod rows;
mod schema;
mod sqlite;
mod talkers;
mod writer;

pub use alerts::{AlertPage, AlertQuery, AlertSort, Resumed};
pub use config::HistoryConfig;
pub use imports::ImportFile;
pub use query::{AnomalyRow, Cursor, FlowTotals, Page, Query, QueryError, TransactionRow};
pub use reader::HistoryReader;
pub use schema::{OpenError, SCHEMA_VERSION};
pub use sqlite::{SqliteHistory, Written};
pub use writer::{HistoryWriter, StoreHealth, StoreState};

use flowtrack_event::Event;

/// Events as they travel from the hub to everybody who keeps or shows them.
pub type Batch = Vec<Event>;

/// A place where events are kept and flows are found again.
pub trait History {
    /// Keeps what of the events is worth keeping.
    fn append(&mut self, events: &[Event]) -> anyhow::Result<()>;

    /// Finds flows.
    fn query(&self, query: &Query) -> Result<Page, QueryError>;
}
