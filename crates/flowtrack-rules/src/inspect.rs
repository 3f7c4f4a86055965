//! Judging: what a worker does with the signatures.

use crate::context::Context;
use crate::set::RuleSet;
use flowtrack_event::Direction;

/// A signature matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Its place in the [`RuleSet`].
    pub signature: u32,
    /// What it was judged on.
    pub on: On,
    /// Which way that went.
    pub direction: Direction,
}

/// What a signature was judged on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// A packet.
    Packet,
    /// The bytes of a stream.
    Stream,
    /// A transaction.
    Transaction,
}

/// A piece of one direction of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Bytes of the stream before them.
    pub offset: u64,
}

/// What one worker needs to judge: scratch memory and counters.
#[derive(Debug, Default)]
pub struct Inspector {}

impl Inspector {
    /// Judges a packet. The payload is that of `cx.packet`, whole.
    ///
    /// Where the packet completes a piece of stream, that is judged first, with the same `hits`:
    /// what matched there does not match once more on the packet. Hits come in the order of the
    /// set.
    pub fn packet(
        &mut self,
        _set: &RuleSet,
        _cx: &mut Context<'_>,
        _payload: &[u8],
        _hits: &mut Vec<Hit>,
    ) {
    }

    /// Judges a piece of a stream.
    pub fn stream(
        &mut self,
        _set: &RuleSet,
        _cx: &mut Context<'_>,
        _window: Window<'_>,
        _hits: &mut Vec<Hit>,
    ) {
    }

    /// Judges what of the transaction `cx.tx` goes `cx.direction`; call it once for each direction,
    /// to the server first.
    pub fn transaction(&mut self, _set: &RuleSet, _cx: &mut Context<'_>, _hits: &mut Vec<Hit>) {}
}
