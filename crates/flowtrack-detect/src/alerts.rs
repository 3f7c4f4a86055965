//! Alerts as a person works on them: one model for signatures and for detected behaviour.
//!
//! ```text
//! Event::Alert, Event::Detection ──> AlertBook ──> AlertChange: opened, again, worse, more of it
//!                                       ^
//!                       Mute, AlertState: what a person says
//! ```
//!
//! Repeats of a rule between the same two hosts fold into one [`AlertRecord`] with an exact count.
//! What a [`Mute`] names is kept and counted, and told to nobody.
//!
//! # Limits
//!
//! The book holds [`Config::max_open`] alerts, and opens [`Config::max_per_rule`] of one rule in
//! a minute; beyond that, further hosts fold into one alert of that rule. Nothing is lost in
//! silence: [`BookStats::reports`] is the sum of the counts of the alerts that are open and of
//! [`BookStats::left_reports`].

mod book;
mod filter;
mod mute;
mod pattern;
mod record;

pub use book::{AlertBook, AlertChange, Change};
pub use filter::{AlertFilter, FILTER_WORDS, WrongTerm};
pub use flowtrack_event::BookStats;
pub use mute::{Mute, MuteId, Preview, WrongMute};
pub use pattern::{AddressPattern, PortPattern, RulePattern, Scope, WrongPattern};
pub use record::{AlertId, AlertKind, AlertRecord, AlertState, FlowRef, RuleId, TechniqueName};

use serde::{Deserialize, Serialize};

/// How alerts are folded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Minutes without a repeat after which the next one is an alert of its own.
    pub fold_minutes: u32,
    /// Alerts held at once; beyond, the least severe and oldest leave for history.
    pub max_open: usize,
    /// Alerts that one rule may open in a minute; further hosts fold into one alert.
    pub max_per_rule: u32,
    /// Mutes held at once.
    pub max_mutes: usize,
    /// Days after which a mute ends, where nothing else is said.
    pub mute_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fold_minutes: 60,
            max_open: 20_000,
            max_per_rule: 100,
            max_mutes: 1_000,
            mute_days: 7,
        }
    }
}

#[cfg(test)]
mod tests;
