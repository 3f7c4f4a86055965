//! Mutes: alerts that a person does not want to be told of, for a while.

use super::pattern::Scope;
use super::record::AlertRecord;
use flowtrack_event::{Severity, Timestamp};
use std::fmt;
use std::sync::Arc;

/// Number of a mute, unique in one history.
pub type MuteId = u64;

/// What is not told, until when, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mute {
    /// Its number.
    pub id: MuteId,
    /// What it hides.
    pub scope: Scope,
    /// Why, in words.
    pub reason: Arc<str>,
    /// When it was made.
    pub created: Timestamp,
    /// From then on it hides nothing.
    pub until: Timestamp,
    /// Reports that it hid.
    pub hidden: u64,
}

/// Why a mute is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrongMute {
    /// It would hide everything.
    Everything,
    /// It has no end, or one that is over, or one too far away.
    End,
    /// There are as many as there may be.
    TooMany,
}

impl fmt::Display for WrongMute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => {
                "this would hide every alert; name a rule, a source, a target or a port"
            }
            Self::End => "a mute must end, at the latest in a year",
            Self::TooMany => "there are too many mutes; delete one that is no longer needed",
        })
    }
}

impl std::error::Error for WrongMute {}

impl Mute {
    /// Longest time that a mute may last.
    pub const LONGEST: std::time::Duration = std::time::Duration::from_hours(366 * 24);
    /// Longest reason, in bytes.
    pub const REASON: usize = 500;

    /// Whether it hides what happens at this time.
    pub fn is_active(&self, at: Timestamp) -> bool {
        at < self.until
    }

    /// Whether it may be, as seen from now.
    pub fn check(&self, now: Timestamp) -> Result<(), WrongMute> {
        if self.scope.is_everything() {
            return Err(WrongMute::Everything);
        }
        if self.until <= now || self.until > now.plus(Self::LONGEST) {
            return Err(WrongMute::End);
        }
        Ok(())
    }

    /// Whether an alert lies in its scope, whatever the time.
    pub fn covers(&self, alert: &AlertRecord) -> bool {
        self.scope.matches(alert.rule, &alert.name, alert.source, alert.target, alert.port)
    }

    /// What it would have hidden of these alerts; times play no part.
    pub fn preview<'a>(&self, alerts: impl IntoIterator<Item = &'a AlertRecord>) -> Preview {
        let mut preview = Preview::default();
        for alert in alerts {
            preview.add(&self.scope, alert);
        }
        preview
    }
}

/// What a mute would have hidden.
///
/// An alert that stands for many hosts is covered only by a mute that names no host.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Preview {
    /// Alerts by severity, the least first.
    pub alerts: [u64; Severity::ALL.len()],
    /// Reports folded into these.
    pub reports: [u64; Severity::ALL.len()],
    /// Alerts that were looked at.
    pub examined: u64,
    /// The first of them, at most [`Preview::EXAMPLES`].
    pub examples: Vec<AlertRecord>,
}

impl Preview {
    /// Examples given.
    pub const EXAMPLES: usize = 20;

    /// Looks at one alert.
    pub fn add(&mut self, scope: &Scope, alert: &AlertRecord) {
        self.examined += 1;
        if !scope.matches(alert.rule, &alert.name, alert.source, alert.target, alert.port) {
            return;
        }
        let place = alert.severity as usize;
        if let (Some(alerts), Some(reports)) =
            (self.alerts.get_mut(place), self.reports.get_mut(place))
        {
            *alerts += 1;
            *reports = reports.saturating_add(alert.count);
        }
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(alert.clone());
        }
    }

    /// Alerts of all severities.
    pub fn total(&self) -> u64 {
        self.alerts.iter().sum()
    }
}
