//! The values of a transaction's buffers, fetched and changed once however many signatures ask.

use crate::context::TxScope;
use crate::set::{RuleSet, way};
use flowtrack_event::Direction;

/// The buffer that says what kind of files a transaction carried: these are known beside it.
pub(crate) const FILE_KIND: &str = "file.magic";
/// Values that are kept of one transaction.
const MAX_VALUES: usize = 1 << 16;
/// Bytes that are kept of one transaction.
const MAX_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Cache {
    bytes: Vec<u8>,
    /// Where each value begins and ends in `bytes`.
    values: Vec<(usize, usize)>,
    /// For each buffer of the set and direction its values, and for which transaction they were
    /// fetched.
    slots: Vec<(u64, usize, usize)>,
    /// Counts transactions, from 1.
    now: u64,
    changed: Vec<u8>,
    pub(super) dropped: u64,
}

impl Cache {
    /// Forgets the transaction before.
    pub(super) fn begin(&mut self, set: &RuleSet) {
        self.bytes.clear();
        self.values.clear();
        self.now += 1;
        self.slots.resize(set.buffers.len() * 2, (0, 0, 0));
    }

    /// Fetches the values of a buffer, as far as they are not here.
    pub(super) fn fetch(
        &mut self,
        set: &RuleSet,
        buffer: u32,
        direction: Direction,
        tx: TxScope<'_>,
    ) {
        let slot = slot(buffer, direction);
        let Some(prepared) = set.buffers.get(buffer as usize) else { return };
        if self.slots.get(slot).is_none_or(|(known, ..)| *known == self.now) {
            return;
        }
        let first = self.values.len();
        let Self { bytes, values, changed, dropped, .. } = self;
        let toward = prepared.buffer.toward.unwrap_or(direction);
        let mut take = |value: &[u8]| {
            if values.len() >= MAX_VALUES || bytes.len() + value.len() > MAX_BYTES {
                *dropped += 1;
                return;
            }
            let start = bytes.len();
            if prepared.transforms.is_empty() {
                bytes.extend_from_slice(value);
            } else {
                changed.clear();
                changed.extend_from_slice(value);
                for transform in &prepared.transforms {
                    transform.apply(changed);
                }
                bytes.extend_from_slice(changed);
            }
            values.push((start, bytes.len()));
        };
        if prepared.buffer.name == FILE_KIND {
            let of_way = tx.files.iter().filter(|file| file.direction == toward);
            of_way
                .filter_map(|file| file.description.as_ref())
                .for_each(|text| take(text.as_bytes()));
        } else {
            tx.transaction.buffer_towards(toward, prepared.buffer.name, &mut take);
        }
        let last = self.values.len();
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = (self.now, first, last);
        }
    }

    /// The values of a buffer that was fetched.
    pub(super) fn values(&self, buffer: u32, direction: Direction) -> impl Iterator<Item = &[u8]> {
        let slot = self.slots.get(slot(buffer, direction)).filter(|(known, ..)| *known == self.now);
        let (_, first, last) = slot.copied().unwrap_or_default();
        let values = self.values.get(first..last).unwrap_or_default();
        values.iter().filter_map(|(from, to)| self.bytes.get(*from..*to))
    }
}

const fn slot(buffer: u32, direction: Direction) -> usize {
    buffer as usize * 2 + way(direction)
}
