//! What signatures and detectors found in a run: folded into alerts, summed up and kept.

use crate::alerts::resumed;
use crate::config::Config;
use flowtrack_detect::alerts::AlertBook;
use flowtrack_event::{BookStats, Event};
use flowtrack_output::Summary;
use flowtrack_store::HistoryWriter;
use std::sync::Arc;

/// The alerts of a run.
pub struct Found {
    book: AlertBook,
    /// Reports since alerts were handed on.
    reports: usize,
}

/// Reports after which alerts are handed on; their repeats until then cost no row.
const REPORTS: usize = 5_000;
/// Alerts handed on at once.
const BATCH: usize = 5_000;

impl Found {
    /// Goes on where the history ended, if there is one.
    pub fn open(config: &Config, history: Option<&HistoryWriter>) -> anyhow::Result<Self> {
        Ok(Self { book: resumed(&config.alerts, history)?, reports: 0 })
    }

    /// Takes what was found, and hands it on now and then.
    pub fn take(
        &mut self,
        events: &[Event],
        summary: Option<&mut Summary>,
        history: Option<&HistoryWriter>,
    ) {
        let is_report = |event: &&Event| matches!(event, Event::Alert(_) | Event::Detection(_));
        let reports = events.iter().filter(is_report).count();
        if reports == 0 {
            return;
        }
        self.book.take(events);
        self.reports += reports;
        if self.reports >= REPORTS {
            self.hand_on(summary, history);
        }
    }

    /// What became of reports.
    pub fn stats(&self) -> BookStats {
        self.book.stats()
    }

    /// Hands on what is left, and says to history what its mutes hid.
    pub fn finish(&mut self, summary: Option<&mut Summary>, history: Option<&HistoryWriter>) {
        self.hand_on(summary, history);
        if let Some(history) = history
            && self.book.stats().muted > 0
        {
            // Room for it, once all before it is written.
            history.flush();
            history.try_mutes(self.book.mutes().to_vec());
        }
    }

    fn hand_on(&mut self, mut summary: Option<&mut Summary>, history: Option<&HistoryWriter>) {
        self.reports = 0;
        loop {
            let changes = self.book.drain(BATCH);
            if changes.is_empty() {
                return;
            }
            let alerts: Vec<_> = changes.into_iter().map(|change| change.alert).collect();
            if let Some(summary) = &mut summary {
                alerts.iter().for_each(|alert| summary.finding(Arc::clone(alert)));
            }
            if let Some(history) = history {
                history.alerts(alerts);
            }
        }
    }
}
