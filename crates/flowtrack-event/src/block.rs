//! Blocks: traffic that the firewall keeps out on our word.

use crate::Timestamp;
use serde::Serialize;

/// What became of a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockPhase {
    /// In force from now on.
    Added,
    /// In force for longer.
    Extended,
    /// Would be in force, were blocking on.
    WouldAdd,
    /// Not done, because it must never be.
    Refused,
    /// Taken back by a person, or because nobody confirmed it.
    Removed,
    /// Its time is over.
    Expired,
    /// The firewall would not.
    Failed,
}

/// One thing that happened to one block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BlockEvent {
    /// When.
    #[serde(skip)]
    pub ts: Timestamp,
    /// What happened.
    pub phase: BlockPhase,
    /// Address, network or port, as a person writes it.
    pub what: String,
    /// Who wanted it: `admin`, or the name of a detector or rule.
    pub who: String,
    /// Why, in words.
    pub why: String,
    /// Until when.
    #[serde(skip)]
    pub until: Option<Timestamp>,
    /// Packets that it stopped so far.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
}
