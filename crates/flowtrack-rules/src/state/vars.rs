//! `flowbits` and `flowint`: what rules remember about one flow.

use super::tags::{TagRequest, Tags};
use super::texts::{CapturedFor, Texts};
use flowtrack_event::Timestamp;
use smallvec::SmallVec;
use std::sync::Arc;

/// A name that rules gave to something they remember.
///
/// It is a hash of the name, so it means the same in every rule set, today's and the one loaded
/// after it. Two names of a set collide with a probability below 10⁻¹¹ for ten thousand names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VarId(u64);

impl VarId {
    /// The identifier of a name (FNV-1a, 64 bits, with its bits mixed at the end).
    pub fn of(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(mixed ^ mixed >> 29)
    }
}

/// Bits, parts and numbers one flow may hold of each; beyond, `set` does nothing.
const CAP: usize = 256;

/// What rules remember about a flow; bounded.
#[derive(Clone, Default, Debug)]
pub struct FlowVars {
    /// In order.
    bits: SmallVec<[VarId; 2]>,
    /// What was found of signatures that are about more than one thing, in order.
    parts: SmallVec<[VarId; 2]>,
    /// Whether transactions were judged by these parts.
    parts_judged: bool,
    numbers: SmallVec<[(VarId, u32); 1]>,
    /// What is recorded of it.
    tags: Option<Box<Tags>>,
    /// What was captured of it.
    texts: Option<Box<Texts>>,
    /// Things that did not fit.
    pub dropped: u32,
}

impl FlowVars {
    /// Whether a bit is set.
    pub fn has(&self, bit: VarId) -> bool {
        self.bits.binary_search(&bit).is_ok()
    }

    /// The bits that are set, in order.
    pub fn bits(&self) -> &[VarId] {
        &self.bits
    }

    /// Whether a part of a signature was found.
    pub(crate) fn has_part(&self, part: VarId) -> bool {
        self.parts.binary_search(&part).is_ok()
    }

    /// A part of a signature was found.
    pub(crate) fn set_part(&mut self, part: VarId) {
        if add(&mut self.parts, part) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// More of the stream to the server is judged: what was found of it before belongs to the
    /// transactions that are judged already, if there are any.
    #[inline]
    pub fn begin_request(&mut self) {
        if std::mem::take(&mut self.parts_judged) {
            self.parts.clear();
            if let Some(texts) = &mut self.texts {
                texts.forget_kept();
            }
        }
    }

    /// A transaction is judged that says nothing more to the server.
    #[inline]
    pub fn end_request(&mut self) {
        self.parts_judged = true;
    }

    /// Sets a bit.
    pub fn set(&mut self, bit: VarId) {
        if add(&mut self.bits, bit) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Clears a bit.
    pub fn unset(&mut self, bit: VarId) {
        if let Ok(at) = self.bits.binary_search(&bit) {
            self.bits.remove(at);
        }
    }

    /// Turns a bit round.
    pub fn toggle(&mut self, bit: VarId) {
        if self.has(bit) {
            self.unset(bit);
        } else {
            self.set(bit);
        }
    }

    /// A number, where it was ever set.
    pub fn number(&self, name: VarId) -> Option<u32> {
        self.numbers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// Sets a number.
    pub fn set_number(&mut self, name: VarId, value: u32) {
        if let Some((_, old)) = self.numbers.iter_mut().find(|(n, _)| *n == name) {
            *old = value;
        } else if self.numbers.len() < CAP {
            self.numbers.push((name, value));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Begins to record its packets.
    pub fn tag(&mut self, rule: (u32, u32), request: TagRequest, now: Timestamp) {
        if !self.tags.get_or_insert_default().add(rule, request, now) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Counts a packet of so many bytes; says whether it is to be recorded.
    pub fn is_tagged(&mut self, now: Timestamp, bytes: u32) -> bool {
        let Some(tags) = &mut self.tags else { return false };
        let is_wanted = tags.meet(now, bytes);
        if tags.is_empty() {
            self.tags = None;
        }
        is_wanted
    }

    /// The numbers that are set.
    pub fn numbers(&self) -> &[(VarId, u32)] {
        &self.numbers
    }

    /// Keeps a text that a signature captured.
    pub(crate) fn set_text(
        &mut self,
        whom: CapturedFor,
        signature: u32,
        name: &Arc<str>,
        bytes: &[u8],
    ) {
        if !self.texts.get_or_insert_default().set(whom, signature, name, bytes) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Keeps a text that a signature captured in the part of it that was found, until the rest is.
    pub(crate) fn keep_text(
        &mut self,
        part: VarId,
        whom: CapturedFor,
        name: &Arc<str>,
        bytes: Box<[u8]>,
    ) {
        if !self.texts.get_or_insert_default().keep(part, whom, name, bytes) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// The rest of a signature was found too: what was kept of it counts.
    pub(crate) fn set_kept_texts(&mut self, part: VarId, signature: u32) {
        if let Some(texts) = &mut self.texts {
            self.dropped = self.dropped.saturating_add(texts.set_kept(part, signature));
        }
    }

    /// A text that was captured.
    pub(crate) fn text(&self, whom: CapturedFor, name: &str) -> Option<&[u8]> {
        self.texts.as_ref()?.get(whom, name)
    }

    /// All that was captured.
    pub fn texts(&self) -> Option<&Texts> {
        self.texts.as_deref()
    }

    /// Another packet is in hand: what was captured of the one before is forgotten.
    #[inline]
    pub fn forget_packet(&mut self) {
        if let Some(texts) = &mut self.texts {
            texts.forget_packet();
        }
    }

    /// Forgets a number.
    pub fn unset_number(&mut self, name: VarId) {
        self.numbers.retain(|(n, _)| *n != name);
    }
}

/// Adds to what is in order, if it is not there; says whether there was no room.
fn add(all: &mut SmallVec<[VarId; 2]>, new: VarId) -> bool {
    match all.binary_search(&new) {
        Err(at) if all.len() < CAP => all.insert(at, new),
        Err(_) => return true,
        Ok(_) => {}
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_cleared_and_turned() {
        let mut vars = FlowVars::default();
        let (a, b) = (VarId::of("a"), VarId::of("b"));
        vars.set(a);
        vars.set(a);
        vars.toggle(b);
        assert!(vars.has(a) && vars.has(b));
        vars.unset(a);
        vars.toggle(b);
        assert!(!vars.has(a) && !vars.has(b));
    }

    #[test]
    fn a_flow_cannot_be_made_to_remember_without_end() {
        let mut vars = FlowVars::default();
        for i in 0..1000 {
            vars.set(VarId::of(&format!("bit {i}")));
            vars.set_number(VarId::of(&format!("int {i}")), i);
        }
        assert_eq!(vars.bits.len() + vars.numbers.len(), 2 * CAP);
        assert_eq!(vars.dropped, 2 * (1000 - CAP as u32));
        assert_eq!(vars.number(VarId::of("int 3")), Some(3));
    }
}
