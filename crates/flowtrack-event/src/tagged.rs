//! Packets that a signature asked to be recorded behind its alert.

use crate::{AlertEnds, FlowContext, LinkType, Timestamp};
use std::sync::Arc;

/// A packet behind an alert whose signature says `tag`.
#[derive(Clone, Debug)]
pub struct TaggedPacket {
    /// When it was captured.
    pub ts: Timestamp,
    /// Its place in the capture, from 1.
    pub packet: u64,
    /// Who sent it, to whom.
    pub ends: AlertEnds,
    /// The flow, where there is one.
    pub flow: Option<Arc<FlowContext>>,
    /// How `frame` begins.
    pub link: LinkType,
    /// The packet from its first header on, as captured.
    pub frame: Box<[u8]>,
}
