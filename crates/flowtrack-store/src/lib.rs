//! What user interfaces read: the live view in memory, history in SQLite.
pub mod live;
