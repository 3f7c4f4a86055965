//! Counts over the last so many seconds.

use flowtrack_event::{Distinct, Timestamp};
use std::hash::Hash;

/// The last so many seconds, in `SLOTS` slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ring<T, const SLOTS: usize> {
    slots: [T; SLOTS],
    /// Seconds of a slot.
    width: u32,
    /// Number of the newest slot since the epoch.
    newest: i64,
}

impl<T, const SLOTS: usize> Ring<T, SLOTS> {
    /// About `span` seconds of empty slots.
    fn new(slots: [T; SLOTS], span: u32) -> Self {
        Self { slots, width: span.div_ceil(SLOTS as u32).max(1), newest: i64::MIN }
    }

    /// Moves on and clears what is over; gives the slot to count in.
    fn advance(&mut self, now: Timestamp, clear: impl Fn(&mut T)) -> Option<&mut T> {
        let number = now.secs().div_euclid(i64::from(self.width));
        let slots = SLOTS as i64;
        if number > self.newest {
            let passed = number.saturating_sub(self.newest).min(slots);
            for back in 0..passed {
                if let Some(slot) = self.slots.get_mut((number - back).rem_euclid(slots) as usize) {
                    clear(slot);
                }
            }
            self.newest = number;
        }
        // What comes late counts in the oldest slot that is left.
        let number = number.max(self.newest - slots + 1);
        self.slots.get_mut(number.rem_euclid(slots) as usize)
    }
}

/// Notices when another minute begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Minute(i64);

impl Minute {
    /// The first minute is yet to begin.
    pub const fn new() -> Self {
        Self(i64::MIN)
    }

    /// Whether it is another minute than when this was asked last.
    pub fn turns(&mut self, now: Timestamp) -> bool {
        let minute = now.secs().div_euclid(60);
        std::mem::replace(&mut self.0, minute) != minute
    }
}

/// Counts what happened in the last `span` seconds, in 12 slots, so it is exact to one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window(Ring<u64, 12>);

impl Window {
    /// An empty window of about `span` seconds.
    pub fn new(span: u32) -> Self {
        Self(Ring::new(Default::default(), span))
    }

    /// Counts `n` at `now`.
    pub fn add(&mut self, now: Timestamp, n: u64) {
        if let Some(slot) = self.slot(now) {
            *slot = slot.saturating_add(n);
        }
    }

    /// What was counted in the window that ends at `now`.
    pub fn sum(&mut self, now: Timestamp) -> u64 {
        self.slot(now);
        self.0.slots.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    fn slot(&mut self, now: Timestamp) -> Option<&mut u64> {
        self.0.advance(now, |slot| *slot = 0)
    }
}

/// Distinct values of the last `span` seconds, in 6 slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DistinctWindow(Ring<Distinct, 6>);

impl DistinctWindow {
    /// An empty window of about `span` seconds.
    pub fn new(span: u32) -> Self {
        Self(Ring::new(Default::default(), span))
    }

    /// Counts a value.
    pub fn insert<T: Hash + ?Sized>(&mut self, now: Timestamp, value: &T) {
        if let Some(slot) = self.slot(now) {
            slot.insert(value);
        }
    }

    /// Counts the values of another.
    pub fn merge(&mut self, now: Timestamp, other: &Distinct) {
        if let Some(slot) = self.slot(now) {
            slot.merge(other);
        }
    }

    /// Distinct values in the window that ends at `now`.
    pub fn count(&mut self, now: Timestamp) -> u64 {
        self.slot(now);
        let mut all = Distinct::default();
        self.0.slots.iter().for_each(|slot| all.merge(slot));
        all.count()
    }

    fn slot(&mut self, now: Timestamp) -> Option<&mut Distinct> {
        self.0.advance(now, Distinct::clear)
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
