//! Patterns by the hash of a few neighbouring bytes.

use super::{FOUR, Found, MAX_BEFORE, Pattern, SPREAD, THREE, fold, fold_eight, gram};
use crate::keywords::rarity::commonness;
use smallvec::SmallVec;

/// Patterns of at least three bytes, by the hash of three or four neighbouring bytes.
///
/// Texts are short and patterns many: what a search costs is the memory that it touches. So the table
/// that every window is looked up in is small and lets one in sixteen pass, and what passes is looked
/// up once more, by another hash.
#[derive(Debug, Default)]
pub(super) struct Grams {
    /// A bit for every hash that occurs: [`SMALL`], [`MIDDLING`] or [`LARGE`] words.
    bits: Vec<u64>,
    /// For each bucket one of eight bits for every window in it.
    tags: Vec<u8>,
    /// [`THREE`] or [`FOUR`].
    top: u32,
    /// How far into a stream they have to be looked for.
    end: u32,
    /// How many bytes around a place inside a run of a byte, folded, decide whether any of them is
    /// there, where a window is such a run; none where more than [`MAX_REACH`] do.
    reaches: Vec<(u8, Option<usize>)>,
    /// Where the entries of each bucket begin in `entries`; one more than there are buckets.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

/// Words of tables of bits, of which the larger ones are for more patterns.
const SMALL: usize = 1 << 8;
const MIDDLING: usize = 1 << 9;
const LARGE: usize = 1 << 11;
/// How far a product is shifted to be a place in a table of so many bits.
const SMALL_SHIFT: u32 = 18;
const MIDDLING_SHIFT: u32 = 17;
const LARGE_SHIFT: u32 = 15;
/// Windows that a table holds for each of its words, so that one bit in sixteen is set.
const HOLDS: usize = 4;
/// Bytes around a place in a run that are worth knowing.
const MAX_REACH: usize = 128;

/// Three or four bytes of a pattern.
#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    gram: u32,
    pattern: u32,
    /// Four other bytes of the pattern, folded; nothing for patterns of three.
    other: Option<u32>,
    /// Bytes of the pattern before the three or four, and before the others.
    before: u8,
    before_other: u8,
    /// Whether the pattern is one byte again and again, and may be anywhere: in a run it is there
    /// at the first window or nowhere.
    is_run: bool,
}

/// A run of one byte in a text, and the places inside it at which nothing new can be found.
#[derive(Clone, Copy, Default)]
struct Run {
    end: usize,
    dull: (usize, usize),
}

impl Run {
    const fn is_dull(&self, at: usize) -> bool {
        self.dull.0 <= at && at < self.dull.1
    }
}

/// Searches by the loop that was made for the size of the table.
macro_rules! by_size {
    ($grams:ident, $search:ident, $found:ident) => {
        if let Some(bits) = $grams.bits.first_chunk::<LARGE>() {
            $grams.$search::<LARGE, LARGE_SHIFT>(bits, $found);
        } else if let Some(bits) = $grams.bits.first_chunk::<MIDDLING>() {
            $grams.$search::<MIDDLING, MIDDLING_SHIFT>(bits, $found);
        } else if let Some(bits) = $grams.bits.first_chunk::<SMALL>() {
            $grams.$search::<SMALL, SMALL_SHIFT>(bits, $found);
        }
    };
}

impl Grams {
    /// With `stride` neighbouring windows of each pattern.
    pub(super) fn new(patterns: &[(u32, &Pattern)], stride: usize, top: u32) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let count = patterns.len() * stride;
        let fits = |size: usize| count <= size * HOLDS;
        let (size, shift) = match () {
            () if fits(SMALL) => (SMALL, SMALL_SHIFT),
            () if fits(MIDDLING) => (MIDDLING, MIDDLING_SHIFT),
            () => (LARGE, LARGE_SHIFT),
        };
        let buckets = (count * 2).next_power_of_two();
        let mut placed: Vec<(usize, Entry)> = Vec::with_capacity(count);
        let mut bits = vec![0u64; size];
        let mut tags = vec![0u8; buckets];
        let mut taken = ahash::AHashMap::<u32, u32>::new();
        let mut reaches: Vec<(u8, Option<usize>)> = Vec::new();
        for (at, pattern) in patterns {
            let bytes = pattern.bytes.get(..pattern.len().min(MAX_BEFORE)).unwrap_or_default();
            let Some(first) = rarest(bytes, stride, top, &taken) else { continue };
            let is_all_run = pattern.is_run();
            let others = others(bytes);
            for before in first..first + stride {
                let window = gram(bytes.get(before..).unwrap_or_default());
                let gram = fold(window) | top;
                *taken.entry(gram).or_default() += 1;
                if is_run(window, top) {
                    let own = if is_all_run { Some(0) } else { pattern.reach(before) };
                    match reaches.iter_mut().find(|(byte, _)| *byte == gram as u8) {
                        Some((_, reach)) => *reach = reach.zip(own).map(|(a, b)| a.max(b)),
                        None => reaches.push((gram as u8, own)),
                    }
                }
                let hash = gram.wrapping_mul(SPREAD) >> shift;
                if let Some(word) = bits.get_mut((hash >> 6) as usize) {
                    *word |= 1 << (hash & 63);
                }
                let (bucket, tag) = place(gram, buckets);
                if let Some(tags) = tags.get_mut(bucket) {
                    *tags |= tag;
                }
                // The four bytes at hand need not be compared once more.
                let is_new = |(at, _): &&(usize, u32)| top != FOUR || *at != before;
                let other = others.iter().find(is_new).or(others.first()).copied();
                let entry = Entry {
                    gram,
                    pattern: *at,
                    other: other.map(|(_, other)| other),
                    before: before as u8,
                    before_other: other.map_or(0, |(at, _)| at as u8),
                    is_run: is_all_run,
                };
                placed.push((bucket, entry));
            }
        }
        let mut starts = vec![0u32; buckets + 1];
        for (bucket, _) in &placed {
            if let Some(start) = starts.get_mut(bucket + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut entries = vec![Entry::default(); placed.len()];
        for (bucket, entry) in placed {
            if let Some(next) = next.get_mut(bucket)
                && let Some(place) = entries.get_mut(*next as usize)
            {
                *place = entry;
                *next += 1;
            }
        }
        let end = patterns.iter().map(|(_, pattern)| pattern.to).max().unwrap_or(0);
        Self { bits, tags, top, end, reaches, starts, entries }
    }

    pub(super) fn each_fourth(&self, found: &mut Found<'_>) {
        by_size!(self, fourth, found);
    }

    pub(super) fn each_second(&self, found: &mut Found<'_>) {
        by_size!(self, second, found);
    }

    pub(super) fn each_place(&self, found: &mut Found<'_>) {
        by_size!(self, place, found);
    }

    /// Looks at every fourth place, sixteen bytes at a time.
    #[inline(never)]
    fn fourth<const N: usize, const SHIFT: u32>(&self, bits: &[u64; N], found: &mut Found<'_>) {
        let text = found.until(self.end);
        let mut run = Run::default();
        let (blocks, rest) = text.as_chunks::<16>();
        for (block, bytes) in blocks.iter().enumerate() {
            let all = u128::from_le_bytes(*bytes);
            let (low, high) = (fold_eight(all as u64), fold_eight((all >> 64) as u64));
            let hits = bit::<N, SHIFT>(bits, low as u32)
                | bit::<N, SHIFT>(bits, (low >> 32) as u32)
                | bit::<N, SHIFT>(bits, high as u32)
                | bit::<N, SHIFT>(bits, (high >> 32) as u32);
            if hits != 0 && !run.is_dull(block * 16) {
                let (windows, _) = bytes.as_chunks::<4>();
                for (place, window) in windows.iter().enumerate() {
                    let window = u32::from_le_bytes(*window);
                    if bit::<N, SHIFT>(bits, fold(window)) != 0 && self.is_tagged(fold(window)) {
                        self.compare(block * 16 + place * 4, window, &mut run, found);
                    }
                }
            }
        }
        let (windows, _) = rest.as_chunks::<4>();
        for (place, window) in windows.iter().enumerate() {
            let (at, window) = (blocks.len() * 16 + place * 4, u32::from_le_bytes(*window));
            if bit::<N, SHIFT>(bits, fold(window)) != 0 {
                self.compare(at, window, &mut run, found);
            }
        }
    }

    /// Looks at every second place, eight bytes at a time.
    #[inline(never)]
    fn second<const N: usize, const SHIFT: u32>(&self, bits: &[u64; N], found: &mut Found<'_>) {
        let text = found.until(self.end);
        let mut run = Run::default();
        // Windows of three bytes, the last of which reaches one byte into the next eight.
        let (blocks, _) = text.as_chunks::<8>();
        let nexts = text.get(8..).unwrap_or_default().chunks(8);
        let mut at = 0;
        for (block, next) in blocks.iter().zip(nexts) {
            let low = u64::from_le_bytes(*block);
            let next = next.first().copied().unwrap_or(0);
            let last = (low >> 48) as u32 | u32::from(next) << 16;
            let windows = [low as u32, (low >> 16) as u32, (low >> 32) as u32, last];
            let [a, b, c, d] = windows.map(|window| bit::<N, SHIFT>(bits, fold(window) | THREE));
            if a | b | c | d != 0 && !run.is_dull(at) {
                for (place, window) in windows.iter().enumerate() {
                    let gram = fold(*window) | THREE;
                    if bit::<N, SHIFT>(bits, gram) != 0 && self.is_tagged(gram) {
                        self.compare(at + place * 2, *window, &mut run, found);
                    }
                }
            }
            at += 8;
        }
        let mut rest = text.get(at..).unwrap_or_default();
        while rest.len() >= 3 {
            self.compare(text.len() - rest.len(), gram(rest), &mut run, found);
            rest = rest.get(2..).unwrap_or_default();
        }
    }

    /// Looks at every place.
    #[inline(never)]
    fn place<const N: usize, const SHIFT: u32>(&self, bits: &[u64; N], found: &mut Found<'_>) {
        let mut run = Run::default();
        for (at, window) in found.until(self.end).windows(3).enumerate() {
            let window = gram(window);
            let folded = fold(window) | THREE;
            if bit::<N, SHIFT>(bits, folded) != 0 && self.is_tagged(folded) && !run.is_dull(at) {
                self.compare(at, window, &mut run, found);
            }
        }
    }

    /// Whether the bucket of a folded window may have it.
    #[inline]
    fn is_tagged(&self, gram: u32) -> bool {
        let (bucket, tag) = place(gram, self.tags.len());
        self.tags.get(bucket).is_some_and(|tags| tags & tag != 0)
    }

    /// Compares the patterns that have the window, which begins `at` bytes into the text.
    #[cold]
    #[inline(never)]
    fn compare(&self, at: usize, window: u32, run: &mut Run, found: &mut Found<'_>) {
        if run.is_dull(at) {
            return;
        }
        let is_inside = is_run(window, self.top) && at < run.end;
        if is_run(window, self.top) && !is_inside {
            let byte = window as u8;
            let rest = found.text.get(at..).unwrap_or_default();
            let length = rest.iter().position(|other| *other != byte).unwrap_or(rest.len());
            run.end = at + length;
            let folded = fold(u32::from(byte)) as u8;
            let reach = self.reaches.iter().find(|(known, _)| *known == folded);
            run.dull = reach
                .and_then(|(_, reach)| *reach)
                .map_or((0, 0), |reach| (at + reach + 4, run.end.saturating_sub(reach + 16)));
        }
        let gram = fold(window) | self.top;
        let (bucket, _) = place(gram, self.tags.len());
        let (Some(from), Some(to)) = (self.starts.get(bucket), self.starts.get(bucket + 1)) else {
            return;
        };
        let entries = self.entries.get(*from as usize..*to as usize).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.gram == gram) {
            if is_inside && entry.is_run {
                continue;
            }
            let Some(start) = at.checked_sub(usize::from(entry.before)) else { continue };
            let is_there = entry.other.is_none_or(|other| {
                let bytes = found.text.get(start + usize::from(entry.before_other)..);
                bytes
                    .and_then(<[u8]>::first_chunk)
                    .is_some_and(|bytes| fold(u32::from_le_bytes(*bytes)) == other)
            });
            if is_there {
                found.report(start, entry.pattern);
            }
        }
    }
}

impl Pattern {
    /// Whether it is long, yet has no four neighbouring windows without one that is a run of one
    /// byte, as zeros often are.
    pub(super) fn needs_runs(&self) -> bool {
        let is_mixed = |four: &[u8]| four.windows(2).any(|pair| pair.first() != pair.last());
        let has_any = self.bytes.windows(4).any(is_mixed);
        let mut row = 0;
        let mut has_row = false;
        for four in self.bytes.windows(4) {
            row = if is_mixed(four) { row + 1 } else { 0 };
            has_row |= row == 4;
        }
        has_any && !has_row
    }

    /// Whether it is one byte again and again, and may be anywhere.
    fn is_run(&self) -> bool {
        self.from == 0 && self.to == u32::MAX && self.is_one_byte()
    }

    pub(super) fn is_one_byte(&self) -> bool {
        self.bytes.windows(2).all(|pair| pair.first() == pair.last())
    }

    /// How far around a window inside it, which is a run of one byte, it has another byte. Nothing
    /// where that is too far, or where it has none.
    fn reach(&self, before: usize) -> Option<usize> {
        let same = self.bytes.get(before)?.to_ascii_lowercase();
        let is_other = |byte: &u8| byte.to_ascii_lowercase() != same;
        let behind = self.bytes.get(before..)?.iter().position(is_other);
        let ahead = self.bytes.get(..before)?.iter().rev().position(is_other).map(|at| at + 1);
        let reach = match (behind, ahead) {
            (Some(behind), Some(ahead)) => behind.min(ahead),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        (reach <= MAX_REACH).then_some(reach)
    }
}

/// Whether a window of four bytes, or of three, is one byte again and again.
const fn is_run(window: u32, top: u32) -> bool {
    let window = if top == FOUR { window } else { window & 0x00ff_ffff | window << 24 };
    window == window.rotate_left(8)
}

/// 1 where the hash of a folded window occurs.
#[inline]
fn bit<const N: usize, const SHIFT: u32>(bits: &[u64; N], gram: u32) -> u64 {
    let hash = gram.wrapping_mul(SPREAD) >> SHIFT;
    bits.get((hash >> 6) as usize).copied().unwrap_or(0) >> (hash & 63) & 1
}

/// The bucket of a window, of a power of two of them, and its tag there.
const fn place(gram: u32, buckets: usize) -> (usize, u8) {
    let hash = (gram ^ gram >> 15).wrapping_mul(SPREAD_OTHERWISE);
    ((hash >> 8) as usize & buckets.wrapping_sub(1), 1 << (hash >> 29))
}

/// Another odd number that spreads bits, so that what looks alike to [`bit`] does not here.
const SPREAD_OTHERWISE: u32 = 0x85eb_ca6b;

/// The two rarest windows of four bytes of a pattern, with their places.
fn others(bytes: &[u8]) -> SmallVec<[(usize, u32); 2]> {
    let mut best: Option<(u32, usize)> = None;
    let mut second: Option<(u32, usize)> = None;
    for (at, cost) in costs(bytes, 4, 100).into_iter().enumerate() {
        let this = (cost, at);
        if best.is_none_or(|best| this < best) {
            second = best.replace(this);
        } else if second.is_none_or(|second| this < second) {
            second = Some(this);
        }
    }
    let window = |at: usize| fold(gram(bytes.get(at..).unwrap_or_default()));
    best.into_iter().chain(second).map(|(_, at)| (at, window(at))).collect()
}

/// How common each window of `length` bytes is; a byte that repeats the one before it costs
/// `repeated` more, because such bytes come in long runs.
fn costs(bytes: &[u8], length: usize, repeated: u32) -> SmallVec<[u32; 64]> {
    let common = |byte: &u8| u32::from(commonness(*byte));
    let step = |pair: &[u8]| if pair.first() == pair.last() { repeated } else { 0 };
    let Some(first) = bytes.get(..length) else { return SmallVec::new() };
    let mut cost = first.iter().map(common).sum::<u32>() + first.windows(2).map(step).sum::<u32>();
    let mut costs = SmallVec::with_capacity(bytes.len() + 1 - length);
    costs.push(cost);
    // What enters the window at its end, and what leaves it at its beginning.
    let enters = bytes.get(length - 1..).unwrap_or_default().windows(2);
    for (enters, leaves) in enters.zip(bytes.windows(2)) {
        cost += step(enters) + enters.last().map_or(0, common);
        cost -= step(leaves) + leaves.first().map_or(0, common);
        costs.push(cost);
    }
    costs
}

/// Where the `stride` neighbouring windows of a pattern begin that are rarest in what travels;
/// those that many patterns have already count as more common.
fn rarest(
    bytes: &[u8],
    stride: usize,
    top: u32,
    taken: &ahash::AHashMap<u32, u32>,
) -> Option<usize> {
    let length = if top == FOUR { 4 } else { 3 };
    // What is common costs more than what is rare saves.
    let squared = |common: u32| common * common;
    let windows = costs(bytes, length, 40);
    // How many have a window already costs more to know, and can only make it dearer: so it is asked
    // in order of what they cost without, until nothing better can come.
    let squares: SmallVec<[u32; 64]> = windows.iter().map(|cost| squared(*cost)).collect();
    let sums = squares.windows(stride).map(|windows| windows.iter().sum::<u32>());
    let mut left: SmallVec<[(u32, usize); 64]> = sums.zip(0..).collect();
    let with_crowd = |start: usize| {
        let windows = windows.iter().enumerate().skip(start).take(stride);
        windows
            .map(|(at, common)| {
                let window = gram(bytes.get(at..).unwrap_or_default());
                let crowd = taken.get(&(fold(window) | top)).copied().unwrap_or(0).min(32);
                squared(common + crowd * 8)
            })
            .sum::<u32>()
    };
    let mut best: Option<(u32, usize)> = None;
    while let Some((place, next)) = left.iter().copied().enumerate().min_by_key(|(_, next)| *next) {
        if best.is_some_and(|best| best < next) {
            break;
        }
        let this = (with_crowd(next.1), next.1);
        best = Some(best.map_or(this, |best| best.min(this)));
        left.swap_remove(place);
    }
    best.map(|(_, at)| at)
}
