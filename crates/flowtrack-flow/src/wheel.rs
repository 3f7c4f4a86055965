//! A timer wheel with a slot for each second.
//!
//! Timers are lazy: a packet does not touch the wheel. When the slot of a flow comes up, the table
//! looks when the flow really ends and puts it into the slot of that second.

use crate::list::{Linked, List};

/// Seconds that a slot lies ahead at most; longer times go round more than once.
const SLOTS: usize = 1024;

/// The wheel of one flow table.
pub(crate) struct Wheel {
    slots: Vec<List>,
    /// The second whose slot is being emptied; `None` before the first flow.
    second: Option<i64>,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: vec![List::default(); SLOTS], second: None }
    }

    pub(crate) fn memory(&self) -> usize {
        self.slots.len() * size_of::<List>()
    }

    /// Puts a flow into the slot of the second `due` and says which it is. A second that has passed
    /// becomes the next one, one beyond the horizon the last before it.
    pub(crate) fn arm(&mut self, flow: u32, due: i64, now: i64, flows: &mut impl Linked) -> u16 {
        let second = *self.second.get_or_insert(now);
        let ahead = due.saturating_sub(second).clamp(1, SLOTS as i64 - 1);
        let slot = slot_of(second.wrapping_add(ahead));
        if let Some(list) = self.slots.get_mut(usize::from(slot)) {
            list.push(flow, flows);
        }
        slot
    }

    /// Takes a flow out of its slot.
    pub(crate) fn disarm(&mut self, flow: u32, slot: u16, flows: &mut impl Linked) {
        if let Some(list) = self.slots.get_mut(usize::from(slot)) {
            list.remove(flow, flows);
        }
    }

    /// The next flow whose slot has come up at the second `now`, still in its slot; moves on over
    /// empty slots, each of which costs one of `budget`.
    pub(crate) fn due(&mut self, now: i64, budget: &mut usize) -> Option<u32> {
        let second = self.second.as_mut()?;
        if now < *second {
            // Time ran backwards: start over, since what matters is that every slot comes up.
            *second = now;
        }
        // Beyond one round, all slots have come up.
        *second = (*second).max(now.saturating_sub(SLOTS as i64));
        loop {
            let list = self.slots.get(usize::from(slot_of(*second)))?;
            if let Some(flow) = list.first() {
                return Some(flow);
            }
            if *second >= now || *budget == 0 {
                return None;
            }
            *second += 1;
            *budget -= 1;
        }
    }
}

fn slot_of(second: i64) -> u16 {
    second.rem_euclid(SLOTS as i64) as u16
}
