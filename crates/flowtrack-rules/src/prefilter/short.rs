//! Patterns of one to three bytes.

use super::{Found, Pattern, SPREAD, fold, fold_eight};
use crate::keywords::rarity::commonness;

/// Patterns of one to three bytes.
#[derive(Debug, Default)]
pub(super) struct Short {
    /// The one to three bytes of which every pattern has one, where there are so few, and
    /// the patterns by these bytes: byte, its place in the pattern, pattern.
    pub(super) rare: Vec<u8>,
    by_rare: Vec<(u8, u8, u32)>,
    /// A bit for every folded pair of bytes that a pattern has; a single byte is a pair with
    /// whatever follows.
    pairs: Vec<u64>,
    /// Where the patterns of each bucket of pairs begin in `patterns`; one more than buckets.
    starts: Vec<u32>,
    /// Pair, bytes of the pattern before it, pattern.
    patterns: Vec<(u16, u8, u32)>,
    /// How far into a stream they have to be looked for.
    end: u32,
}

/// Words of a table with a bit for every pair.
const PAIRS: usize = 1 << 10;
/// Buckets of pairs.
const BUCKETS: usize = 1 << 8;

impl Short {
    pub(super) fn new(patterns: &[(u32, &Pattern)]) -> Self {
        let end = patterns.iter().map(|(_, pattern)| pattern.to).max().unwrap_or(0);
        if let Some((rare, by_rare)) = few_rare(patterns) {
            return Self { rare, by_rare, end, ..Self::default() };
        }
        let mut short = Self { pairs: vec![0; PAIRS], end, ..Self::default() };
        for (at, pattern) in patterns {
            match *pattern.bytes {
                [only] => (0..=255).for_each(|second| short.add([only, second], 0, *at)),
                [first, second] => short.add([first, second], 0, *at),
                [first, second, third, ..] => {
                    let (front, back) = ([first, second], [second, third]);
                    if pair_cost(back) < pair_cost(front) {
                        short.add(back, 1, *at);
                    } else {
                        short.add(front, 0, *at);
                    }
                }
                [] => {}
            }
        }
        short
            .patterns
            .sort_unstable_by_key(|(pair, before, at)| (bucket(*pair), *pair, *before, *at));
        short.patterns.dedup();
        short.starts = (0..=BUCKETS)
            .map(|wanted| {
                short.patterns.partition_point(|(pair, ..)| bucket(*pair) < wanted) as u32
            })
            .collect();
        short
    }

    fn add(&mut self, pair: [u8; 2], before: u8, pattern: u32) {
        let pair = fold(u32::from(u16::from_le_bytes(pair))) as u16;
        if let Some(word) = self.pairs.get_mut(usize::from(pair >> 6)) {
            *word |= 1 << (pair & 63);
        }
        self.patterns.push((pair, before, pattern));
    }

    pub(super) fn search(&self, found: &mut Found<'_>) {
        let text = found.until(self.end);
        match *self.rare {
            [] if self.patterns.is_empty() => {}
            [] => self.each_pair(text, found),
            [a] => memchr::memchr_iter(a, text).for_each(|at| self.around(a, at, found)),
            [a, b] => memchr::memchr2_iter(a, b, text)
                .for_each(|at| self.around(text.get(at).copied().unwrap_or(0), at, found)),
            [a, b, c, ..] => memchr::memchr3_iter(a, b, c, text)
                .for_each(|at| self.around(text.get(at).copied().unwrap_or(0), at, found)),
        }
    }

    /// Compares the patterns that have `byte`, which stands at `at`.
    fn around(&self, byte: u8, at: usize, found: &mut Found<'_>) {
        for (_, before, pattern) in self.by_rare.iter().filter(|(known, ..)| *known == byte) {
            if let Some(start) = at.checked_sub(usize::from(*before)) {
                found.report(start, *pattern);
            }
        }
    }

    #[inline(never)]
    fn each_pair(&self, text: &[u8], found: &mut Found<'_>) {
        let Some(bits) = self.pairs.first_chunk::<PAIRS>() else { return };
        let is_known = |pair: u16| {
            bits.get(usize::from(pair >> 6)).copied().unwrap_or(0) >> (pair & 63) & 1 != 0
        };
        // Eight bytes at a time, and the first of the next eight.
        let (blocks, _) = text.as_chunks::<8>();
        let nexts = text.get(8..).unwrap_or_default().chunks(8);
        let mut at = 0;
        for (block, next) in blocks.iter().zip(nexts) {
            let low = fold_eight(u64::from_le_bytes(*block));
            let next = fold(next.first().copied().unwrap_or(0).into());
            let all = u128::from(low) | u128::from(next) << 64;
            let pairs: [u16; 8] = std::array::from_fn(|place| (all >> (place * 8)) as u16);
            let hits = pairs.map(is_known);
            if hits.contains(&true) {
                for (place, pair) in pairs.iter().enumerate() {
                    self.pair(at + place, *pair, found);
                }
            }
            at += 8;
        }
        for (place, pair) in text.get(at..).unwrap_or_default().windows(2).enumerate() {
            let pair = pair.first_chunk().map_or(0, |pair| u16::from_le_bytes(*pair));
            self.pair(at + place, pair, found);
        }
        // The last byte may be a pattern by itself.
        if let Some(last) = text.last() {
            self.pair(text.len() - 1, u16::from(*last), found);
        }
    }

    #[inline]
    fn pair(&self, at: usize, pair: u16, found: &mut Found<'_>) {
        let pair = fold(u32::from(pair)) as u16;
        let word = self.pairs.get(usize::from(pair >> 6)).copied().unwrap_or(0);
        if word >> (pair & 63) & 1 == 0 {
            return;
        }
        let bucket = bucket(pair);
        let (Some(from), Some(to)) = (self.starts.get(bucket), self.starts.get(bucket + 1)) else {
            return;
        };
        let patterns = self.patterns.get(*from as usize..*to as usize).unwrap_or_default();
        for (_, before, pattern) in patterns.iter().filter(|(known, ..)| *known == pair) {
            if let Some(start) = at.checked_sub(usize::from(*before)) {
                found.report(start, *pattern);
            }
        }
    }
}

/// How common a pair of bytes is.
fn pair_cost([first, second]: [u8; 2]) -> u16 {
    let repeats = if first == second { 200 } else { 0 };
    u16::from(commonness(first)) + u16::from(commonness(second)) + repeats
}

const fn bucket(pair: u16) -> usize {
    (pair as u32).wrapping_mul(SPREAD) as usize >> 16 & (BUCKETS - 1)
}

/// Places of bytes in patterns: byte, its place, pattern.
type ByRare = Vec<(u8, u8, u32)>;

/// At most three rare bytes of which every pattern has one, and the patterns by them.
fn few_rare(patterns: &[(u32, &Pattern)]) -> Option<(Vec<u8>, ByRare)> {
    let (mut rare, mut by_rare) = (Vec::new(), Vec::new());
    for (index, pattern) in patterns {
        // The rarest byte; one that was chosen for another pattern costs nothing more.
        let cost = |byte: u8| {
            let cases = if pattern.nocase && byte.is_ascii_alphabetic() { 2 } else { 1 };
            if rare.contains(&byte) { 0 } else { u16::from(commonness(byte)) * cases }
        };
        let bytes = pattern.bytes.iter().copied();
        let (at, byte) = bytes.enumerate().min_by_key(|(_, byte)| cost(*byte))?;
        if commonness(byte) > TOO_COMMON {
            return None;
        }
        let upper = if pattern.nocase { byte.to_ascii_uppercase() } else { byte };
        for byte in if upper == byte { vec![byte] } else { vec![byte, upper] } {
            if !rare.contains(&byte) {
                rare.push(byte);
            }
            by_rare.push((byte, at as u8, *index));
        }
        if rare.len() > 3 {
            return None;
        }
    }
    (!rare.is_empty()).then_some((rare, by_rare))
}

/// Bytes more common than this are not searched for by themselves.
const TOO_COMMON: u8 = 180;
