//! Patterns that stand at one place.

use super::{Found, Pattern, fold, gram};

/// Patterns that stand at one place, by the bytes that they begin with.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The place.
    pub(super) at: usize,
    /// Bytes that are looked up, one to four.
    length: usize,
    /// A bit for every first byte.
    first: [u64; 4],
    /// The bytes, in order, and the pattern of each.
    entries: Vec<(u32, u32)>,
}

impl Fixed {
    pub(super) fn all(patterns: &[(u32, &Pattern)]) -> Vec<Self> {
        let mut fixed: Vec<Self> = Vec::new();
        for (index, pattern) in patterns {
            let (at, length) = (pattern.from as usize, pattern.len().min(4));
            let known = fixed.iter().position(|known| (known.at, known.length) == (at, length));
            let known = known.unwrap_or_else(|| {
                fixed.push(Self { at, length, first: [0; 4], entries: Vec::new() });
                fixed.len() - 1
            });
            if let Some(known) = fixed.get_mut(known) {
                let key = key(pattern.bytes.get(..length).unwrap_or_default());
                if let Some(word) = known.first.get_mut((key >> 6 & 3) as usize) {
                    *word |= 1 << (key & 63);
                }
                known.entries.push((key, *index));
            }
        }
        fixed.iter_mut().for_each(|fixed| fixed.entries.sort_unstable());
        fixed.sort_unstable_by_key(|fixed| (fixed.at, fixed.length));
        fixed
    }

    /// Whether one begins with a byte.
    #[inline]
    pub(super) fn may_begin_with(&self, byte: u8) -> bool {
        let key = fold(byte.into());
        self.first.get((key >> 6 & 3) as usize).copied().unwrap_or(0) >> (key & 63) & 1 != 0
    }

    #[inline(never)]
    pub(super) fn search(&self, found: &mut Found<'_>) {
        let Some(bytes) = found.text.get(self.at..self.at + self.length) else { return };
        let key = key(bytes);
        let from = self.entries.partition_point(|(known, _)| *known < key);
        let entries = self.entries.get(from..).unwrap_or_default();
        for (_, pattern) in entries.iter().take_while(|(known, _)| *known == key) {
            found.report(self.at, *pattern);
        }
    }
}

/// One to four bytes as a number in which case is folded.
#[inline]
fn key(bytes: &[u8]) -> u32 {
    fold(gram(bytes))
}
