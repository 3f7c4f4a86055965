//! Alerts with their repeats folded, the gravest of which are kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flowtrack_detect::alerts::{AlertId, AlertRecord, AlertState};

use super::{FindingRow, Table};

/// Alerts as they were told last.
#[derive(Default, Debug)]
pub(super) struct Findings {
    rows: BTreeMap<AlertId, Arc<AlertRecord>>,
    /// Whether some were let go.
    partial: bool,
}

/// Alerts kept.
const KEPT: usize = 5_000;

impl Findings {
    /// An alert as it is now. What a mute hides is not shown.
    pub(super) fn take(&mut self, alert: Arc<AlertRecord>) {
        if alert.state == AlertState::Muted {
            self.rows.remove(&alert.id);
            return;
        }
        self.rows.insert(alert.id, alert);
        if self.rows.len() > KEPT {
            // Many at once, so that each costs little.
            let ids: Vec<AlertId> = self.sorted().iter().skip(KEPT / 2).map(|a| a.id).collect();
            ids.iter().for_each(|id| drop(self.rows.remove(id)));
            self.partial = true;
        }
    }

    /// How many of each severity are kept.
    pub(super) fn by_severity(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for alert in self.rows.values() {
            *counts.entry(alert.severity.name()).or_default() += 1;
        }
        counts
    }

    pub(super) fn table(
        &self,
        rows: usize,
        name: impl Fn(IpAddr) -> Option<String>,
    ) -> Table<FindingRow> {
        let sorted = self.sorted();
        let row = |alert: &Arc<AlertRecord>| FindingRow {
            src_name: alert.source.and_then(&name),
            dest_name: alert.target.and_then(&name),
            alert: Arc::clone(alert),
        };
        Table {
            complete: !self.partial,
            total_rows: (!self.partial).then_some(sorted.len() as u64),
            rows: sorted.into_iter().take(rows).map(row).collect(),
        }
    }

    /// The gravest first, then what was reported most.
    fn sorted(&self) -> Vec<&Arc<AlertRecord>> {
        let mut rows: Vec<_> = self.rows.values().collect();
        rows.sort_by_key(|a| (Reverse(a.severity), Reverse(a.count), a.first_seen, a.id));
        rows
    }
}
