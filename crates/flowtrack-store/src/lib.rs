//! What user interfaces read: the live view in memory, history in SQLite.
//!
//! Both are fed with the events of the packet path and never wait for a reader: [`live`] publishes
//! a whole picture once a second that is read without a lock, [`history`] has a thread that owns
//! the database, behind a queue that drops and counts when the disk is slower than the network.

pub mod history;
pub mod live;

mod heavy;
mod names;
mod row;

pub use history::{
    Batch, History, HistoryConfig, HistoryReader, HistoryWriter, Page, Query, SqliteHistory,
    StoreHealth, StoreState,
};
pub use live::{FlowRow, HostRow, LiveConfig, LiveReader, LiveView, Snapshot};
pub use names::Names;
pub use row::{proto_name, shown};
