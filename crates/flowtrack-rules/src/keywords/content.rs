//! `content` and what modifies it: bytes, and where they have to be.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::signature::Step;

/// A number that is written in the rule, or one that the signature remembered before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// Written in the rule.
    Fixed(i64),
    /// Remembered at this place.
    Variable(u8),
}

/// Bytes that must be there, or must not.
#[derive(Clone, Debug)]
pub struct Content {
    /// The bytes, in lower case where case does not matter.
    pub bytes: Box<[u8]>,
    /// Whether letters match in either case.
    pub nocase: bool,
    /// Whether they must not be there.
    pub negated: bool,
    /// First place in the buffer where they may begin.
    pub offset: Option<Amount>,
    /// Place in the buffer where they must have ended.
    pub depth: Option<Amount>,
    /// First place behind the end of the match before where they may begin.
    pub distance: Option<Amount>,
    /// Place behind the end of the match before where they must have ended.
    pub within: Option<Amount>,
    /// Whether they must begin the buffer.
    pub starts: bool,
    /// Whether they must end the buffer.
    pub ends: bool,
    /// Whether they are only looked for as fast pattern (`fast_pattern:only`).
    pub only: bool,
    /// The part of them that is the fast pattern (`fast_pattern:offset,length`).
    pub chop: Option<(u16, u16)>,
}

impl Content {
    /// Whether it depends on where the step before it matched.
    pub const fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }

    /// Whether it has to be at a certain place of the buffer.
    pub const fn is_placed(&self) -> bool {
        self.offset.is_some() || self.depth.is_some()
    }
}

pub(crate) const KEYWORDS: &[Keyword] = &[];
