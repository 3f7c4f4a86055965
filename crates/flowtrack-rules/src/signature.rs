//! A rule that is understood: what must hold, and where to look.

use crate::builder::BufferName;
use crate::context::Context;
use crate::lang::Action;
use std::sync::Arc;

/// A condition on a packet, its flow or its transaction.
pub trait Test: Send + Sync + std::fmt::Debug {
    /// Whether it holds. A condition on something that is not there (a TTL where no packet is at
    /// hand) does not hold.
    fn test(&self, cx: &mut Context<'_>) -> bool;

    /// Rough cost; cheap ones are asked first. 0 is a comparison, 9 a look into shared memory.
    fn cost(&self) -> u8 {
        1
    }
}

/// What a signature changes once all of it matched (`flowbits:set`, `xbits`, `dataset:set`, `tag`).
pub trait Effect: Send + Sync + std::fmt::Debug {
    /// Changes it.
    fn apply(&self, cx: &mut Context<'_>);
}

/// Turns the bytes of a buffer into others before they are searched.
pub trait Transform: Send + Sync + std::fmt::Debug {
    /// Replaces the content of `bytes`.
    fn apply(&self, bytes: &mut Vec<u8>);

    /// Equal transforms of the same buffer are done once: keyword and value.
    fn id(&self) -> String;
}

/// One step of the search through a buffer, in the order of the rule.
///
/// The family of `content`, `pcre`, `byte_test` and so on; defined with their keywords.
pub trait Step: Send + Sync + std::fmt::Debug {}

/// What is looked for in one buffer: all steps must hold, over one and the same value of it.
#[derive(Debug)]
pub struct Search {
    /// The buffer.
    pub buffer: BufferName,
    /// What is done with its bytes first.
    pub transforms: Vec<Arc<dyn Transform>>,
    /// What must be found, in order.
    pub steps: Vec<Box<dyn Step>>,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Signature {
    /// Generator identifier, 1 unless said otherwise.
    pub gid: u32,
    /// Signature identifier.
    pub sid: u32,
    /// Revision.
    pub rev: u32,
    /// What to do.
    pub action: Action,
    /// Message, with its quotes and escapes resolved.
    pub msg: Arc<str>,
    /// Conditions on packet, flow and transaction, cheap ones first.
    pub tests: Vec<Box<dyn Test>>,
    /// Conditions on buffers, in order.
    pub searches: Vec<Search>,
    /// What changes when it matched.
    pub effects: Vec<Box<dyn Effect>>,
    /// Whether a match is silent.
    pub noalert: bool,
}
