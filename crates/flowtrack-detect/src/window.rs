//! Counts over the last so many seconds.

use flowtrack_event::{Distinct, Timestamp};
use std::hash::Hash;

/// Counts what happened in the last `span` seconds, in `SLOTS` slots, so it is exact to one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    slots: [u64; Self::SLOTS],
    /// Seconds of a slot.
    width: u32,
    /// Number of the newest slot since the epoch.
    newest: i64,
}

impl Window {
    /// Parts of a window.
    pub const SLOTS: usize = 12;

    /// An empty window of about `span` seconds.
    pub fn new(span: u32) -> Self {
        let width = span.div_ceil(Self::SLOTS as u32).max(1);
        Self { slots: [0; Self::SLOTS], width, newest: i64::MIN }
    }

    /// Counts `n` at `now`.
    pub fn add(&mut self, now: Timestamp, n: u64) {
        let at = self.advance(now);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = slot.saturating_add(n);
        }
    }

    /// What was counted in the window that ends at `now`.
    pub fn sum(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        self.slots.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// Moves on; gives the place of the slot to count in.
    fn advance(&mut self, now: Timestamp) -> usize {
        let number = now.secs().div_euclid(i64::from(self.width));
        let slots = Self::SLOTS as i64;
        if number > self.newest {
            let passed = number.saturating_sub(self.newest).min(slots);
            for back in 0..passed {
                if let Some(slot) = self.slots.get_mut((number - back).rem_euclid(slots) as usize) {
                    *slot = 0;
                }
            }
            self.newest = number;
        }
        // What comes late counts in the oldest slot that is left.
        let number = number.max(self.newest - slots + 1);
        number.rem_euclid(slots) as usize
    }
}

/// Distinct values of the last `span` seconds, in `SLOTS` slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DistinctWindow {
    slots: [Distinct; Self::SLOTS],
    width: u32,
    newest: i64,
}

impl DistinctWindow {
    /// Parts of a window.
    pub const SLOTS: usize = 6;

    /// An empty window of about `span` seconds.
    pub fn new(span: u32) -> Self {
        let width = span.div_ceil(Self::SLOTS as u32).max(1);
        Self { slots: Default::default(), width, newest: i64::MIN }
    }

    /// Counts a value.
    pub fn insert<T: Hash + ?Sized>(&mut self, now: Timestamp, value: &T) {
        let at = self.advance(now);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.insert(value);
        }
    }

    /// Counts the values of another.
    pub fn merge(&mut self, now: Timestamp, other: &Distinct) {
        let at = self.advance(now);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.merge(other);
        }
    }

    /// Distinct values in the window that ends at `now`.
    pub fn count(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        let mut all = Distinct::default();
        for slot in &self.slots {
            all.merge(slot);
        }
        all.count()
    }

    fn advance(&mut self, now: Timestamp) -> usize {
        let number = now.secs().div_euclid(i64::from(self.width));
        let slots = Self::SLOTS as i64;
        if number > self.newest {
            let passed = number.saturating_sub(self.newest).min(slots);
            for back in 0..passed {
                if let Some(slot) = self.slots.get_mut((number - back).rem_euclid(slots) as usize) {
                    slot.clear();
                }
            }
            self.newest = number;
        }
        number.max(self.newest - slots + 1).rem_euclid(slots) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_is_forgotten() {
        let at = Timestamp::from_secs;
        let mut window = Window::new(60);
        window.add(at(100), 5);
        window.add(at(130), 7);
        assert_eq!(window.sum(at(150)), 12);
        assert_eq!(window.sum(at(165)), 7);
        window.add(at(1), 1);
        assert_eq!(window.sum(at(165)), 8);
        assert_eq!(window.sum(at(10_000)), 0);
    }

    #[test]
    fn distinct_values_are_forgotten_with_their_slot() {
        let at = Timestamp::from_secs;
        let mut window = DistinctWindow::new(300);
        for second in 0..600 {
            window.insert(at(second), &(second / 10));
        }
        assert!((25..=30).contains(&window.count(at(599))), "{}", window.count(at(599)));
        assert_eq!(window.count(at(2_000)), 0);
    }
}
