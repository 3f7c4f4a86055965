//! What the server asks of the program about alerts.

use std::{collections::VecDeque, sync::Arc};

use flowtrack_detect::alerts::{
    AlertId, AlertRecord, AlertState, Mute, MuteId, Preview, Scope, WrongMute,
};
use flowtrack_store::history::{AlertPage, AlertQuery};

/// Alerts and mutes, for the dashboard.
///
/// [`AlertDesk::news`] is asked several times a second on an async thread and must not block; all
/// others run on a thread that may wait for the disk.
pub trait AlertDesk: Send + Sync {
    /// What changed last.
    fn news(&self) -> Arc<AlertNews>;

    /// One page of alerts.
    fn page(&self, query: &AlertQuery) -> anyhow::Result<AlertPage>;

    /// One alert.
    fn get(&self, id: AlertId) -> anyhow::Result<Option<AlertRecord>>;

    /// Says how far a person has come with alerts; answers how many of them there are.
    fn set(
        &self,
        ids: &[AlertId],
        state: Option<AlertState>,
        note: Option<&str>,
    ) -> anyhow::Result<usize>;

    /// The mutes, oldest first.
    fn mutes(&self) -> Vec<Mute>;

    /// Adds a mute and hides what it covers.
    fn add_mute(&self, mute: Mute) -> Result<Mute, WrongMute>;

    /// Takes a mute back; says whether there was one.
    fn remove_mute(&self, id: MuteId) -> bool;

    /// What a mute would have hidden of the alerts seen since then.
    fn preview(&self, scope: &Scope, since_us: i64) -> anyhow::Result<Preview>;

    /// Days after which a mute ends, where nobody says.
    fn mute_days(&self) -> u32;
}

/// What changed last among alerts.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct AlertNews {
    /// Counts up with each change.
    pub revision: u64,
    /// Open alerts that nobody has looked at, by severity, the least first.
    pub unseen: [u64; 5],
    /// Alerts that changed, with the revision that brought them, oldest first.
    pub changed: VecDeque<(u64, Arc<AlertRecord>)>,
}
