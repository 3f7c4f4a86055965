//! People who are told of alerts and blocks while the program runs.

use crate::cli::Global;
use crate::config::Config;
use crate::watch::Origin;
use flowtrack_detect::alerts::AlertChange;
use flowtrack_event::{BlockEvent, Timestamp};
use flowtrack_notify::{self as notify, Keeper, Notice, Notifier};
use flowtrack_web::{ChannelState, ChannelStatus, HealthPart, HealthState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where passwords and tokens are looked for: the environment, then `.env` in the data folder and
/// beside the configuration.
pub fn keeper(global: &Global, data_dir: &Path) -> Keeper {
    let beside = global.config.as_deref().and_then(Path::parent);
    Keeper::new(std::iter::once(data_dir).chain(beside))
}

/// Whoever is told of alerts and blocks.
pub struct People {
    notifier: Notifier,
    /// Whether what is seen is told.
    listening: AtomicBool,
    /// What files show.
    files: Files,
}

/// Whether people are told of what a replayed file shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Files {
    /// They are: somebody tries routes and channels out.
    Told,
    /// It is nobody's network, or it happened long ago: it wakes nobody.
    Kept,
}

impl People {
    /// Starts telling, where a channel is configured.
    pub fn open(
        config: &Config,
        keeper: &Keeper,
        data_dir: &Path,
        files: Files,
    ) -> anyhow::Result<Option<Self>> {
        if config.notify.channels.is_empty() {
            return Ok(None);
        }
        for warning in notify::warnings(&config.notify, keeper) {
            tracing::warn!("{warning}");
        }
        let folder = data_dir.join("notify");
        let notifier = Notifier::start(&config.notify, keeper.clone(), Some(&folder))?;
        Ok(Some(Self { notifier, listening: AtomicBool::new(false), files }))
    }

    /// A capture begins.
    pub fn begin(&self, from: Origin) {
        let told = from == Origin::Interfaces || self.files == Files::Told;
        self.listening.store(told, Ordering::Relaxed);
    }

    /// Tells of what became of a block; blocks are real whatever is captured.
    pub fn hear_block(&self, event: &BlockEvent) {
        self.notifier.tell(Notice::of_block(event));
    }

    /// Tells of alerts that are new, came back or became more urgent; muted ones are no news.
    pub fn hear(&self, changes: &[AlertChange]) {
        if self.listening.load(Ordering::Relaxed) {
            let news = changes.iter().filter(|change| change.change.is_news());
            news.for_each(|change| self.notifier.tell(Notice::of_record(&change.alert)));
        }
    }

    /// The channels, for the dashboard.
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let health = self.notifier.health().into_iter();
        let status = |health: notify::ChannelHealth| ChannelStatus {
            name: health.name,
            kind: health.kind.to_owned(),
            destination: health.destination,
            state: match health.state {
                notify::ChannelState::Unused => ChannelState::Unused,
                notify::ChannelState::Ok => ChannelState::Ok,
                notify::ChannelState::Retrying => ChannelState::Retrying,
                notify::ChannelState::Failed => ChannelState::Failed,
            },
            problem: health.problem,
            delivered_at_us: health.delivered_at.map(Timestamp::micros),
            retry_at_us: health.retry_at.map(Timestamp::micros),
            delivered: health.counts.delivered,
            failed: health.counts.failed,
            dropped: health.counts.dropped,
            suppressed: health.counts.suppressed,
            waiting: health.counts.waiting,
        };
        health.map(status).collect()
    }

    /// Sends a test by a channel; `None` where there is none of this name.
    pub fn test(&self, name: &str) -> Option<Result<(), String>> {
        match self.notifier.test(name) {
            Ok(()) => Some(Ok(())),
            Err(notify::NotifyError::Unknown(..)) => None,
            Err(e) => Some(Err(e.to_string())),
        }
    }

    /// Whether messages arrive, in one line.
    pub fn health(&self) -> HealthPart {
        let channels = self.notifier.health();
        let bad: Vec<&notify::ChannelHealth> =
            channels.iter().filter(|channel| channel.problem.is_some()).collect();
        let (state, message) = match &bad[..] {
            [] => {
                let delivered: u64 = channels.iter().map(|c| c.counts.delivered).sum();
                let waiting: u64 = channels.iter().map(|c| c.counts.waiting).sum();
                (HealthState::Ok, format!("{delivered} alerts told, {waiting} waiting"))
            }
            [first, ..] => {
                let why = first.problem.as_deref().unwrap_or_default();
                let state = if bad.len() == channels.len() {
                    HealthState::Failed
                } else {
                    HealthState::Degraded
                };
                (state, format!("{}: {why}", first.name))
            }
        };
        HealthPart { name: "notifications".into(), state, message }
    }
}
