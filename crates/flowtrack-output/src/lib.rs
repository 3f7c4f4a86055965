//! Everything that leaves the program as text: event logs, tables, summaries and reports.
//!
//! Three things are promised for all of them. What the wire said stays data: it is escaped for
//! the form it is written in, so a host name is never markup, a terminal command or a formula.
//! Totals are counted apart from the rows that are shown, so a table that was cut never passes
//! for the whole. And a failing disk is said once, counted, and costs nobody else anything.

pub mod eve;
pub mod filestore;
pub mod report;
pub mod sink;
pub mod summary;
pub mod table;

mod clock;
mod human;
#[cfg(test)]
mod samples;

pub use eve::{EveConfig, EveWriter};
pub use filestore::{FileStore, FileStoreConfig};
pub use report::{Report, ReportInfo};
pub use sink::{EveFile, Health, Sink};
pub use summary::Summary;
pub use table::{TableFormat, TableWriter};
