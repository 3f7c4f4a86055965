//! How history is kept.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How history is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// Days for which flows, transactions and anomalies are kept; 0 for ever.
    pub max_age_days: u32,
    /// Bytes that the database may use, 0 without limit; the oldest rows go first.
    pub max_bytes: u64,
    /// Hours for which each second is kept; 0 for ever. Minutes are kept for ever.
    pub seconds_hours: u32,
    /// Whether application transactions are kept.
    pub transactions: bool,
    /// Transactions that are kept per second of packet time, so that a flood of them leaves the
    /// flows their room.
    pub transactions_per_second: u32,
    /// Alerts that are kept, 0 without limit; the oldest go first.
    pub max_alerts: u32,
    /// Anomalies that are kept per second of packet time.
    pub anomalies_per_second: u32,
    /// Seconds after which a living flow is written, and between two times that it is.
    pub checkpoint_seconds: u32,
    /// Batches that may wait for the disk.
    pub queue: usize,
    /// Milliseconds for which a full queue may delay whoever appends, once; until the queue has
    /// room again, what comes is then dropped and counted at once.
    pub block_ms: u64,
    /// Milliseconds between two commits.
    pub commit_ms: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            max_age_days: 30,
            max_bytes: 10 << 30,
            seconds_hours: 48,
            transactions: true,
            transactions_per_second: 10_000,
            max_alerts: 100_000,
            anomalies_per_second: 1_000,
            checkpoint_seconds: 30,
            queue: 256,
            block_ms: 100,
            commit_ms: 400,
        }
    }
}

impl HistoryConfig {
    /// Time between two commits, at most half of the second that may be lost.
    pub(crate) fn commit_every(&self) -> Duration {
        Duration::from_millis(self.commit_ms.min(500))
    }

    /// Microseconds after which rows are too old.
    pub(crate) fn max_age_us(&self) -> Option<i64> {
        (self.max_age_days > 0).then(|| i64::from(self.max_age_days) * 86_400 * 1_000_000)
    }
}
