//! Searching for many patterns at once, to learn which signatures are worth judging.
//!
//! Patterns are told apart by where they may be and by how long they are, and each kind is searched
//! for in the cheapest way:
//! - those that stand at one place are looked up there ([`Fixed`]);
//! - of those of seven bytes and more, four neighbouring windows of four bytes are taken, one of
//!   which must begin at a place of the text that is a multiple of four, so only every fourth place
//!   is looked at ([`Grams`]);
//! - shorter ones, and those of which such windows would be runs of one byte, are found by one
//!   window each with vector instructions, 16 or 32 bytes at a time ([`Packed`]); where they are too
//!   many for that, those of four to six bytes by two windows of three bytes and every second place,
//!   and the shortest by a bit for each pair of bytes, or by the rarest of their bytes where these
//!   are at most three ([`Short`]);
//! - those that must be near the beginning are looked for only there.
//!
//! What hits a bit table is compared with the patterns themselves. What stands in a text again and
//! again is not: then all patterns of that kind count as found, which is cheaper than looking on. The
//! tables of a thousand patterns
//! fit into the first level cache, the text is read and not copied, and building takes time only in
//! proportion to the patterns. Case matters in the comparison alone.

use crate::keywords::rarity::commonness;
use aho_corasick::{Span, packed};
use smallvec::SmallVec;

/// Makes the fourth byte alike whatever it is.
const THREE: u32 = 0xff00_0000;
/// Nothing more is made alike.
const FOUR: u32 = 0;

/// Makes small letters and capitals alike; of what is no letter only few bytes become alike.
#[inline]
const fn fold(window: u32) -> u32 {
    window | (window & 0x4040_4040) >> 1
}

/// The same of eight bytes.
#[inline]
const fn fold_eight(window: u64) -> u64 {
    window | (window & 0x4040_4040_4040_4040) >> 1
}
/// Patterns of this length and more are looked for at every fourth place.
const LONG: usize = 7;
/// Patterns of this length and more are looked for at every second place.
const MIDDLE: usize = 4;
/// Patterns that must have ended here are looked for in the beginning alone.
const BEGINNING: u32 = 64;
/// The same of those so short that looking for them everywhere costs much.
const SHORT_BEGINNING: u32 = 256;
/// Long patterns that may be at so many places and more are looked for with those that may be
/// anywhere.
const ROOM: u32 = 16;

/// A pattern, where it may be, and what to report.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Wanted {
    /// The pattern, in small letters where case does not matter.
    pub(crate) bytes: Vec<u8>,
    /// Whether letters match in either case.
    pub(crate) nocase: bool,
    /// First place in the text where it may begin.
    pub(crate) from: u32,
    /// Place in the stream, or in a text that is none, where it must have ended.
    pub(crate) to: u32,
    /// What is reported.
    pub(crate) value: u32,
}

impl Wanted {
    /// A pattern that may be anywhere.
    pub(crate) fn anywhere(bytes: &[u8], nocase: bool, value: u32) -> Self {
        Self { bytes: bytes.to_vec(), nocase, from: 0, to: u32::MAX, value }
    }

    /// Whether looking for it costs little however long the text is.
    pub(crate) fn is_cheap(&self) -> bool {
        self.bytes.len() >= LONG || self.to <= SHORT_BEGINNING
    }
}

/// Patterns that are searched for at once.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Patterns that stand at one place.
    fixed: Vec<Fixed>,
    long: Grams,
    /// Those of four to six bytes, and long ones of which the windows are runs.
    packed: Vec<Packed>,
    middle: Grams,
    short: Short,
    /// The shortest, where they are few.
    packed_short: Option<Packed>,
    /// Those near the beginning, of three bytes and more, where they are not too many, and shorter
    /// ones.
    packed_beginning: Vec<Packed>,
    beginning: (Grams, Short),
    patterns: Vec<Pattern>,
    values: Vec<u32>,
}

#[derive(Debug)]
struct Pattern {
    bytes: Box<[u8]>,
    nocase: bool,
    from: u32,
    to: u32,
    /// Its part of `values`.
    values: (u32, u32),
}

impl Pattern {
    const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How it is looked for.
    fn way(&self) -> Way {
        let room = self.to.saturating_sub(self.from).saturating_sub(self.len() as u32);
        if self.to != u32::MAX && room == 0 {
            Way::Fixed
        } else if self.to <= BEGINNING && (self.len() < LONG || room < ROOM)
            || self.to <= SHORT_BEGINNING && self.len() < MIDDLE
        {
            Way::Beginning
        } else if self.len() >= LONG {
            Way::Long
        } else if self.len() >= MIDDLE {
            Way::Middle
        } else {
            Way::Short
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Fixed,
    Beginning,
    Long,
    Middle,
    Short,
}

impl Matcher {
    /// Prepares a search for patterns; they may repeat.
    pub(crate) fn new(mut wanted: Vec<Wanted>) -> Self {
        for pattern in wanted.iter_mut().filter(|pattern| pattern.nocase) {
            pattern.bytes.make_ascii_lowercase();
        }
        wanted.retain(|pattern| !pattern.bytes.is_empty());
        wanted.sort_unstable();
        wanted.dedup();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut values = Vec::with_capacity(wanted.len());
        for Wanted { bytes, nocase, from, to, value } in wanted {
            let at = values.len() as u32;
            values.push(value);
            match patterns.last_mut() {
                Some(last)
                    if (&*last.bytes, last.nocase, last.from, last.to)
                        == (&*bytes, nocase, from, to) =>
                {
                    last.values.1 += 1;
                }
                _ => {
                    let values = (at, at + 1);
                    patterns.push(Pattern { bytes: bytes.into(), nocase, from, to, values });
                }
            }
        }
        let mut matcher = Self { patterns, values, ..Self::default() };
        let of = |way: Way| {
            (0u32..)
                .zip(&matcher.patterns)
                .filter(move |(_, pattern)| pattern.way() == way)
                .collect::<Vec<_>>()
        };
        let (mut three, shorter): (Vec<_>, Vec<_>) =
            of(Way::Beginning).into_iter().partition(|(_, pattern)| pattern.len() >= 3);
        let fixed = Fixed::all(&of(Way::Fixed));
        let (dull, mut long): (Vec<_>, Vec<_>) =
            of(Way::Long).into_iter().partition(|(_, pattern)| pattern.needs_runs());
        let (mut middle, mut short) = (of(Way::Middle), of(Way::Short));
        middle.extend(dull);
        // Where all are few, they are searched for together; but of runs of one byte every byte of a
        // run would be a window.
        let mut packed = Vec::new();
        let is_mixed = |(_, pattern): &(u32, &Pattern)| !pattern.is_one_byte();
        if middle.len() + long.len() <= MAX_TOGETHER && long.iter().all(is_mixed) {
            let all: Vec<_> = middle.iter().chain(&long).copied().collect();
            packed = Packed::all(&all, 4);
        }
        if packed.len() == 1 {
            long.clear();
        } else {
            packed = Packed::all(&middle, 4);
        }
        if !packed.is_empty() {
            middle.clear();
        }
        let packed_short = Packed::few(&short);
        if packed_short.is_some() {
            short.clear();
        }
        let long = Grams::new(&long, 4, FOUR);
        let middle = Grams::new(&middle, 2, THREE);
        let short = Short::new(&short);
        let packed_beginning = Packed::all(&three, 3);
        if !packed_beginning.is_empty() {
            three.clear();
        }
        let beginning = (Grams::new(&three, 1, THREE), Short::new(&shorter));
        matcher.packed_beginning = packed_beginning;
        (matcher.fixed, matcher.long, matcher.middle) = (fixed, long, middle);
        (matcher.packed, matcher.packed_short) = (packed, packed_short);
        (matcher.short, matcher.beginning) = (short, beginning);
        matcher
    }

    /// How many different patterns there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Reports the value of every pattern in `text`, which begins `offset` bytes into its stream;
    /// some more than once.
    #[inline]
    pub(crate) fn search(&self, text: &[u8], offset: u64, found: &mut impl FnMut(u32)) {
        if self.patterns.is_empty() {
            return;
        }
        let mut found = Found { matcher: self, text, offset, tell: found };
        if offset == 0 {
            for fixed in &self.fixed {
                // They are in order of their places.
                let Some(first) = text.get(fixed.at) else { break };
                if fixed.may_begin_with(*first) {
                    fixed.search(&mut found);
                }
            }
        }
        for packed in &self.packed_beginning {
            packed.search(&mut found);
        }
        let (grams, short) = &self.beginning;
        grams.each_place(&mut found);
        short.search(&mut found);
        self.long.each_fourth(&mut found);
        for packed in self.packed.iter().chain(&self.packed_short) {
            packed.search(&mut found);
        }
        self.middle.each_second(&mut found);
        self.short.search(&mut found);
    }
}

/// A text that is searched, and who is told.
struct Found<'a, F> {
    matcher: &'a Matcher,
    text: &'a [u8],
    offset: u64,
    tell: &'a mut F,
}

impl<'a, F: FnMut(u32)> Found<'a, F> {
    /// The text as far as patterns may be that must have ended at `end` of the stream.
    fn until(&self, end: u32) -> &'a [u8] {
        if end == u32::MAX {
            return self.text;
        }
        let left = u64::from(end).saturating_sub(self.offset);
        let end = usize::try_from(left).unwrap_or(usize::MAX).min(self.text.len());
        self.text.get(..end).unwrap_or_default()
    }

    /// Reports a pattern if it stands at `start`, and may.
    fn report(&mut self, start: usize, pattern: u32) {
        let Some(pattern) = self.matcher.patterns.get(pattern as usize) else { return };
        let end = start + pattern.len();
        let may = start >= pattern.from as usize
            && (pattern.to == u32::MAX
                || self.offset.saturating_add(end as u64) <= u64::from(pattern.to));
        let is_there = |there: &[u8]| {
            if pattern.nocase {
                there.eq_ignore_ascii_case(&pattern.bytes)
            } else {
                there.iter().eq(pattern.bytes.iter())
            }
        };
        if may && self.text.get(start..end).is_some_and(is_there) {
            self.tell(pattern);
        }
    }

    fn tell(&mut self, pattern: &Pattern) {
        let (from, to) = pattern.values;
        let values = self.matcher.values.get(from as usize..to as usize);
        for value in values.unwrap_or_default() {
            (self.tell)(*value);
        }
    }

    /// Reports a pattern without looking for it.
    fn presume(&mut self, pattern: u32) {
        if let Some(pattern) = self.matcher.patterns.get(pattern as usize) {
            self.tell(pattern);
        }
    }
}

/// Patterns of at least three bytes, by the hash of three or four neighbouring bytes.
#[derive(Debug, Default)]
struct Grams {
    /// A bit for every hash that occurs: [`SMALL`], [`MIDDLING`] or [`LARGE`] words.
    bits: Vec<u64>,
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
const SMALL: usize = 1 << 10;
const MIDDLING: usize = 1 << 11;
const LARGE: usize = 1 << 12;
/// How far a product is shifted to be a place in a table of so many bits.
const SMALL_SHIFT: u32 = 16;
const MIDDLING_SHIFT: u32 = 15;
const LARGE_SHIFT: u32 = 14;
/// Windows that a table holds for each of its words, so that one bit in 128 is set.
const HOLDS: f32 = 0.5;
/// An odd number whose product spreads the bits of its factor (2³² divided by the golden ratio).
const SPREAD: u32 = 0x9e37_79b1;
/// Bytes around a place in a run that are worth knowing.
const MAX_REACH: usize = 128;
/// Bytes from the start of a pattern among which its windows are chosen.
const MAX_BEFORE: usize = 200;

/// Three or four bytes of a pattern.
#[derive(Clone, Copy, Debug)]
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

impl Grams {
    /// With `stride` neighbouring windows of each pattern.
    fn new(patterns: &[(u32, &Pattern)], stride: usize, top: u32) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let count = patterns.len() * stride;
        let fits = |size: usize| count as f32 <= size as f32 * HOLDS;
        let (size, shift) = match () {
            () if fits(SMALL) => (SMALL, SMALL_SHIFT),
            () if fits(MIDDLING) => (MIDDLING, MIDDLING_SHIFT),
            () => (LARGE, LARGE_SHIFT),
        };
        let buckets = (count * 2).next_power_of_two();
        let mut placed: Vec<(usize, Entry)> = Vec::with_capacity(count);
        let mut bits = vec![0u64; size];
        let mut taken = ahash::AHashMap::<u32, u32>::new();
        let mut reaches: Vec<(u8, Option<usize>)> = Vec::new();
        for (at, pattern) in patterns {
            let bytes = pattern.bytes.get(..pattern.len().min(MAX_BEFORE)).unwrap_or_default();
            let Some(first) = rarest(bytes, stride, top, &taken) else { continue };
            for before in first..first + stride {
                let window = gram(bytes.get(before..).unwrap_or_default());
                let gram = fold(window) | top;
                *taken.entry(gram).or_default() += 1;
                let is_all_run = pattern.is_run();
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
                // The four bytes at hand need not be compared once more.
                let other = other(bytes, (top == FOUR).then_some(before));
                let entry = Entry {
                    gram,
                    pattern: *at,
                    other: other.map(|(_, other)| other),
                    before: before as u8,
                    before_other: other.map_or(0, |(at, _)| at as u8),
                    is_run: is_all_run,
                };
                placed.push((spread(gram) & (buckets - 1), entry));
            }
        }
        placed.sort_by_key(|(bucket, _)| *bucket);
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
        let entries = placed.into_iter().map(|(_, entry)| entry).collect();
        let end = patterns.iter().map(|(_, pattern)| pattern.to).max().unwrap_or(0);
        Self { bits, top, end, reaches, starts, entries }
    }

    fn each_fourth(&self, found: &mut Found<'_, impl FnMut(u32)>) {
        if let Some(bits) = self.bits.first_chunk::<LARGE>() {
            self.fourth::<LARGE, LARGE_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<MIDDLING>() {
            self.fourth::<MIDDLING, MIDDLING_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<SMALL>() {
            self.fourth::<SMALL, SMALL_SHIFT>(bits, found);
        }
    }

    fn each_second(&self, found: &mut Found<'_, impl FnMut(u32)>) {
        if let Some(bits) = self.bits.first_chunk::<LARGE>() {
            self.second::<LARGE, LARGE_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<MIDDLING>() {
            self.second::<MIDDLING, MIDDLING_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<SMALL>() {
            self.second::<SMALL, SMALL_SHIFT>(bits, found);
        }
    }

    fn each_place(&self, found: &mut Found<'_, impl FnMut(u32)>) {
        if let Some(bits) = self.bits.first_chunk::<LARGE>() {
            self.place::<LARGE, LARGE_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<MIDDLING>() {
            self.place::<MIDDLING, MIDDLING_SHIFT>(bits, found);
        } else if let Some(bits) = self.bits.first_chunk::<SMALL>() {
            self.place::<SMALL, SMALL_SHIFT>(bits, found);
        }
    }

    /// Looks at every fourth place, sixteen bytes at a time.
    #[inline(never)]
    fn fourth<const N: usize, const SHIFT: u32>(
        &self,
        bits: &[u64; N],
        found: &mut Found<'_, impl FnMut(u32)>,
    ) {
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
                    if bit::<N, SHIFT>(bits, fold(window)) != 0 {
                        self.compare(block * 16 + place * 4, window, &mut run, found);
                    }
                }
            }
        }
        let (windows, _) = rest.as_chunks::<4>();
        for (place, window) in windows.iter().enumerate() {
            let at = blocks.len() * 16 + place * 4;
            self.compare(at, u32::from_le_bytes(*window), &mut run, found);
        }
    }

    /// Looks at every second place, eight bytes at a time.
    #[inline(never)]
    fn second<const N: usize, const SHIFT: u32>(
        &self,
        bits: &[u64; N],
        found: &mut Found<'_, impl FnMut(u32)>,
    ) {
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
                    if bit::<N, SHIFT>(bits, fold(*window) | THREE) != 0 {
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
    fn place<const N: usize, const SHIFT: u32>(
        &self,
        bits: &[u64; N],
        found: &mut Found<'_, impl FnMut(u32)>,
    ) {
        let mut run = Run::default();
        for (at, window) in found.until(self.end).windows(3).enumerate() {
            let window = gram(window);
            if bit::<N, SHIFT>(bits, fold(window) | THREE) != 0 && !run.is_dull(at) {
                self.compare(at, window, &mut run, found);
            }
        }
    }

    /// Compares the patterns that have the window, which begins `at` bytes into the text.
    #[cold]
    #[inline(never)]
    fn compare(
        &self,
        at: usize,
        window: u32,
        run: &mut Run,
        found: &mut Found<'_, impl FnMut(u32)>,
    ) {
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
        let bucket = spread(gram) & self.starts.len().wrapping_sub(2);
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
    fn needs_runs(&self) -> bool {
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

    fn is_one_byte(&self) -> bool {
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

/// A number of which the low bits tell windows apart.
const fn spread(gram: u32) -> usize {
    (gram.wrapping_mul(SPREAD) >> 12) as usize
}

/// The rarest four bytes of a pattern, but those at `not` where there are others, and their place.
fn other(bytes: &[u8], not: Option<usize>) -> Option<(usize, u32)> {
    let windows = bytes.windows(4).enumerate();
    let rarity = |window: &[u8]| {
        window.iter().map(|byte| u32::from(commonness(*byte))).sum::<u32>()
            + 100 * window.windows(2).filter(|pair| pair.first() == pair.last()).count() as u32
    };
    windows
        .min_by_key(|(at, window)| (Some(*at) == not, rarity(window)))
        .map(|(at, window)| (at, fold(gram(window))))
}

/// The first four bytes as a number; 0 for those that are not there.
#[inline]
fn gram(bytes: &[u8]) -> u32 {
    match bytes {
        [a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        [a, b, c] => u32::from_le_bytes([*a, *b, *c, 0]),
        [a, b] => u32::from_le_bytes([*a, *b, 0, 0]),
        [a] => u32::from(*a),
        [] => 0,
    }
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
    let windows: SmallVec<[u32; 64]> = bytes
        .windows(length)
        .map(|window| {
            let common: u32 = window.iter().map(|byte| u32::from(commonness(*byte))).sum();
            // Bytes that repeat come in long runs.
            let runs = window.windows(2).filter(|pair| pair.first() == pair.last()).count() as u32;
            let crowd = taken.get(&(fold(gram(window)) | top)).copied().unwrap_or(0).min(32);
            let common = common + runs * 40 + crowd * 8;
            // What is common costs more than what is rare saves.
            common * common
        })
        .collect();
    let sums = windows.windows(stride).map(|windows| windows.iter().sum::<u32>());
    sums.enumerate().min_by_key(|(_, sum)| *sum).map(|(at, _)| at)
}

/// Patterns by one window each, found with vector instructions.
#[derive(Debug)]
struct Packed {
    searcher: packed::Searcher,
    /// For each window of the searcher where its patterns begin in `patterns`; one more than there
    /// are windows.
    starts: Vec<u32>,
    /// Bytes of the pattern before the window, and pattern.
    patterns: Vec<(u8, u32)>,
    /// How far into a stream they have to be looked for.
    end: u32,
}

/// Windows that one search is good for: beyond, too much looks like one of them.
const MAX_WINDOWS: usize = 128;
/// Patterns up to which long ones are searched for with those of four to six bytes.
const MAX_TOGETHER: usize = 64;
/// Searches one after the other that are still better than a table.
const MAX_SEARCHES: usize = 4;
/// Windows up to which the shortest patterns are searched for like that.
const MAX_SHORT_WINDOWS: usize = 24;
/// Windows that may be found in a text, and one more for so many of its bytes, before all patterns
/// count as found.
const FREE_HITS: usize = 8;
const BYTES_A_HIT: usize = 256;

impl Packed {
    /// All patterns, with windows of `length`; none where these are too many, or the processor
    /// cannot.
    fn all(patterns: &[(u32, &Pattern)], length: usize) -> Vec<Self> {
        let mut windows: Vec<(Vec<u8>, u8, u32)> = Vec::new();
        let mut all = Vec::new();
        for (index, pattern) in patterns {
            let Some((before, variants)) = pattern.window(length) else { return Vec::new() };
            if windows.len() + variants.len() > MAX_WINDOWS {
                all.extend(Self::new(std::mem::take(&mut windows), patterns));
            }
            windows.extend(variants.into_iter().map(|window| (window, before, *index)));
        }
        let count = all.len() + usize::from(!windows.is_empty());
        all.extend(Self::new(windows, patterns));
        // Where one could not be made, or they are too many, none serves.
        if all.len() == count && count <= MAX_SEARCHES { all } else { Vec::new() }
    }

    /// The shortest patterns, where they are few and have two bytes at least.
    fn few(patterns: &[(u32, &Pattern)]) -> Option<Self> {
        let length = patterns.iter().map(|(_, pattern)| pattern.len()).min()?;
        if length < 2 {
            return None;
        }
        let mut windows = Vec::new();
        for (index, pattern) in patterns {
            let (before, variants) = pattern.window(length)?;
            windows.extend(variants.into_iter().map(|window| (window, before, *index)));
        }
        (windows.len() <= MAX_SHORT_WINDOWS).then(|| Self::new(windows, patterns))?
    }

    fn new(mut windows: Vec<(Vec<u8>, u8, u32)>, all: &[(u32, &Pattern)]) -> Option<Self> {
        windows.sort_unstable();
        // What one pattern is in either case hardly makes anything else look alike.
        let mut builder = packed::Config::new().heuristic_pattern_limits(false).builder();
        let (mut starts, mut patterns) = (Vec::new(), Vec::new());
        let mut last: Option<&[u8]> = None;
        for (window, before, pattern) in &windows {
            if last != Some(window) {
                builder.add(window);
                starts.push(patterns.len() as u32);
                last = Some(window);
            }
            patterns.push((*before, *pattern));
        }
        starts.push(patterns.len() as u32);
        let end = all.iter().map(|(_, pattern)| pattern.to).max().unwrap_or(0);
        Some(Self { searcher: builder.build()?, starts, patterns, end })
    }

    #[inline]
    fn search(&self, found: &mut Found<'_, impl FnMut(u32)>) {
        let text = found.until(self.end);
        let mut left = FREE_HITS + text.len() / BYTES_A_HIT;
        let mut at = 0;
        while let Some(hit) = self.searcher.find_in(text, Span { start: at, end: text.len() }) {
            if left == 0 {
                self.patterns.iter().for_each(|(_, pattern)| found.presume(*pattern));
                return;
            }
            left -= 1;
            let window = hit.pattern().as_usize();
            if let (Some(from), Some(to)) = (self.starts.get(window), self.starts.get(window + 1)) {
                let patterns = self.patterns.get(*from as usize..*to as usize);
                for (before, pattern) in patterns.unwrap_or_default() {
                    if let Some(start) = hit.start().checked_sub(usize::from(*before)) {
                        found.report(start, *pattern);
                    }
                }
            }
            at = hit.start() + 1;
        }
    }
}

impl Pattern {
    /// Its rarest window of `length` bytes, in every case that may match, and the bytes before it.
    fn window(&self, length: usize) -> Option<(u8, Vec<Vec<u8>>)> {
        let bytes = self.bytes.get(..self.len().min(MAX_BEFORE)).unwrap_or_default();
        let cases = |window: &[u8]| {
            let letters = window.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            if self.nocase { letters as u32 } else { 0 }
        };
        let cost = |window: &[u8]| {
            let common: u32 = window.iter().map(|byte| u32::from(commonness(*byte))).sum();
            let repeats = window.windows(2).filter(|pair| pair.first() == pair.last()).count();
            // Every letter in either case doubles what is searched for.
            common + repeats as u32 * 60 + cases(window) * 40
        };
        let windows = bytes.windows(length).enumerate();
        let (before, window) = windows.min_by_key(|(_, window)| cost(window))?;
        let mut variants = vec![window.to_vec()];
        for at in 0..length {
            let Some(byte) = window.get(at).filter(|byte| byte.is_ascii_alphabetic()) else {
                continue;
            };
            if !self.nocase {
                break;
            }
            for known in 0..variants.len() {
                let mut other = variants.get(known)?.clone();
                *other.get_mut(at)? = byte.to_ascii_uppercase();
                variants.push(other);
            }
        }
        Some((before as u8, variants))
    }
}

/// Patterns that stand at one place, by the bytes that they begin with.
#[derive(Debug)]
struct Fixed {
    /// The place.
    at: usize,
    /// Bytes that are looked up, one to four.
    length: usize,
    /// A bit for every first byte.
    first: [u64; 4],
    /// The bytes, in order, and the pattern of each.
    entries: Vec<(u32, u32)>,
}

impl Fixed {
    fn all(patterns: &[(u32, &Pattern)]) -> Vec<Self> {
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
    fn may_begin_with(&self, byte: u8) -> bool {
        let key = fold(byte.into());
        self.first.get((key >> 6 & 3) as usize).copied().unwrap_or(0) >> (key & 63) & 1 != 0
    }

    #[inline(never)]
    fn search(&self, found: &mut Found<'_, impl FnMut(u32)>) {
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

/// Patterns of one to three bytes.
#[derive(Debug, Default)]
struct Short {
    /// The one to three bytes of which every pattern has one, where there are so few, and
    /// the patterns by these bytes: byte, its place in the pattern, pattern.
    rare: Vec<u8>,
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
    fn new(patterns: &[(u32, &Pattern)]) -> Self {
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

    fn search(&self, found: &mut Found<'_, impl FnMut(u32)>) {
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
    fn around(&self, byte: u8, at: usize, found: &mut Found<'_, impl FnMut(u32)>) {
        for (_, before, pattern) in self.by_rare.iter().filter(|(known, ..)| *known == byte) {
            if let Some(start) = at.checked_sub(usize::from(*before)) {
                found.report(start, *pattern);
            }
        }
    }

    #[inline(never)]
    fn each_pair(&self, text: &[u8], found: &mut Found<'_, impl FnMut(u32)>) {
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
    fn pair(&self, at: usize, pair: u16, found: &mut Found<'_, impl FnMut(u32)>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(matcher: &Matcher, text: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        matcher.search(text, 0, &mut |value| found.push(value));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn patterns_of_every_length_are_found_in_either_case() {
        let wanted = ["a", "bc", "def", "ghij", "klmno", "GET /index", "\r\n\r\n"];
        let patterns =
            (0u32..).zip(wanted).map(|(at, text)| Wanted::anywhere(text.as_bytes(), true, at));
        let matcher = Matcher::new(patterns.collect());
        assert_eq!(matcher.len(), 7);
        assert_eq!(search(&matcher, b"xABCDEFGHIJKLMNO"), [0, 1, 2, 3, 4]);
        assert_eq!(search(&matcher, b"get /INDEX\r\n\r\n"), [5, 6]);
        assert_eq!(search(&matcher, b"zz"), []);
        assert_eq!(search(&matcher, b""), []);
    }

    #[test]
    fn equal_patterns_report_every_value() {
        let matcher = Matcher::new(vec![
            Wanted::anywhere(b"Test", true, 7),
            Wanted::anywhere(b"tEST", true, 9),
        ]);
        assert_eq!(matcher.len(), 1);
        assert_eq!(search(&matcher, b"a test"), [7, 9]);
        assert_eq!(search(&Matcher::new(Vec::new()), b"test"), []);
    }

    #[test]
    fn patterns_are_found_where_they_may_be() {
        for length in [2, 5] {
            let bytes = b"abcde".get(..length).unwrap().to_vec();
            let to = length as u32 + 3;
            let matcher =
                Matcher::new(vec![Wanted { bytes, nocase: false, from: 1, to, value: 7 }]);
            let search = |text: &[u8], offset| {
                let mut found = Vec::new();
                matcher.search(text, offset, &mut |value| found.push(value));
                found
            };
            assert_eq!(search(b"abcde", 0), [], "too early");
            assert_eq!(search(b".abcde", 0), [7]);
            assert_eq!(search(b"...abcde", 0), [7]);
            assert_eq!(search(b"....abcde", 0), [], "too late");
            assert_eq!(search(b"..abcde", 2), [], "too late in the stream");
        }
    }

    #[test]
    fn patterns_that_stand_at_one_place_are_found_there_alone() {
        for length in 1..=6usize {
            let bytes = b"abcdef".get(..length).unwrap().to_vec();
            let to = length as u32 + 2;
            let matcher =
                Matcher::new(vec![Wanted { bytes, nocase: false, from: 2, to, value: 7 }]);
            assert_eq!(search(&matcher, b"..abcdef.."), [7]);
            assert_eq!(search(&matcher, b"abcdefabcdef"), []);
            assert_eq!(search(&matcher, b"..Abcdef"), [], "case");
            assert_eq!(search(&matcher, b".."), []);
        }
    }

    #[test]
    fn few_short_patterns_are_found_by_their_rarest_byte() {
        let matcher = Matcher::new(vec![
            Wanted::anywhere(b"MZ", false, 1),
            Wanted::anywhere(b"|", false, 2),
            Wanted::anywhere(b"\\u0", false, 3),
        ]);
        assert_eq!(matcher.short.rare.len(), 3);
        assert_eq!(search(&matcher, b"xMZ|u0\\u"), [1, 2]);
        assert_eq!(search(&matcher, b"mz\\u0"), [3]);
        assert_eq!(search(&matcher, b"Z|\\"), [2]);
    }

    #[test]
    fn what_stands_there_again_and_again_counts_as_found() {
        let matcher = Matcher::new(vec![
            Wanted::anywhere(b"ab", true, 1),
            Wanted::anywhere(b"cd", false, 2),
            Wanted::anywhere(b"efgh", true, 3),
        ]);
        assert!(matcher.short.rare.is_empty() && matcher.packed_short.is_some());
        assert_eq!(search(&matcher, b"abAbcD"), [1]);
        assert_eq!(search(&matcher, &b"aB".repeat(FREE_HITS)), [1]);
        assert_eq!(search(&matcher, &b"aB".repeat(FREE_HITS + 2)), [1, 2]);
    }

    #[test]
    fn many_patterns_of_few_bytes_are_found() {
        for count in [60u32, 150, 400] {
            let bytes = |at: u32| [b'x', at as u8, (at >> 8) as u8, 0xfe, 0];
            let wanted = (0..count).map(|at| Wanted::anywhere(&bytes(at), false, at));
            let matcher = Matcher::new(wanted.collect());
            for at in 0..count {
                let text = [&[7; 40][..], &bytes(at), &[9; 40]].concat();
                assert!(search(&matcher, &text).contains(&at), "{at} of {count}");
            }
        }
    }

    #[test]
    fn long_runs_hide_nothing() {
        let zeros = [0u8; 12];
        let mixed = [&zeros[..], b"\x11"].concat();
        let front = [b"\x12", &zeros[..]].concat();
        let patterns = [b"AAAAAAAA".as_slice(), &mixed, &front, b"\0\0\0\0\x06", &zeros, b"\0\0\0"];
        let wanted = (0u32..).zip(patterns).map(|(at, bytes)| Wanted::anywhere(bytes, false, at));
        let matcher = Matcher::new(wanted.collect());
        for run in [12, 13, 100, 1001] {
            for shift in 0..5 {
                let text = |byte: u8, last: &[u8]| {
                    [&vec![b'.'; shift], b"\x12".as_slice(), &vec![byte; run], last].concat()
                };
                assert_eq!(search(&matcher, &text(b'A', b"")), [0]);
                assert_eq!(search(&matcher, &text(0, b"")), [2, 4, 5]);
                assert_eq!(search(&matcher, &text(0, b"\x11...")), [1, 2, 4, 5]);
                assert_eq!(search(&matcher, &text(0, b"\x06")), [2, 3, 4, 5]);
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_against_a_plain_search(
            patterns in prop::collection::vec(
                (prop::collection::vec(0u8..6, 1..12), any::<bool>(), 0u32..12, 0u32..80), 1..20,
            ),
            text in prop::collection::vec(0u8..6, 0..90),
            runs in prop::collection::vec((any::<prop::sample::Index>(), 1usize..70), 0..3),
            inserted in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
            offset in prop_oneof![Just(0u64), 0u64..30],
        ) {
            let shown = |bytes: &[u8]| bytes.iter().map(|b| b"aAbB\0@"[usize::from(*b)]).collect::<Vec<u8>>();
            let wanted: Vec<_> = (0u32..).zip(&patterns).map(|(value, (bytes, nocase, from, room))| {
                let to = match *room {
                    0..40 => from + bytes.len() as u32 + room / 4 * (room % 4),
                    _ => u32::MAX,
                };
                let mut bytes = shown(bytes);
                if *nocase {
                    bytes.make_ascii_lowercase();
                }
                Wanted { bytes, nocase: *nocase, from: *from, to, value }
            }).collect();
            let mut text = shown(&text);
            for (place, length) in runs {
                let place = place.index(text.len() + 1);
                text.splice(place..place, std::iter::repeat_n(b'a', length));
            }
            for (pattern, place) in inserted {
                let bytes = &pattern.get(&wanted).bytes;
                let place = place.index(text.len() + 1);
                text.splice(place..place, bytes.iter().copied());
            }
            let mut found = Vec::new();
            Matcher::new(wanted.clone()).search(&text, offset, &mut |value| found.push(value));
            for Wanted { bytes, nocase, from, to, value } in wanted.clone() {
                let is_there = text.windows(bytes.len()).enumerate().any(|(at, there)| {
                    let equal = if nocase { there.eq_ignore_ascii_case(&bytes) } else { there == bytes };
                    let end = offset + (at + bytes.len()) as u64;
                    equal && at >= from as usize && (to == u32::MAX || end <= u64::from(to))
                });
                // What stands there again and again may be told without being looked for.
                let is_known = |pair: &&[u8]| {
                    wanted.iter().any(|wanted| {
                        wanted.bytes.windows(2).any(|known| known.eq_ignore_ascii_case(pair))
                    })
                };
                let often = text.windows(2).filter(is_known).count() > FREE_HITS;
                prop_assert!(!is_there || found.contains(&value), "{:?} {} {}", bytes, from, to);
                prop_assert!(is_there || often || !found.contains(&value), "{:?} {} {}", bytes, from, to);
            }
        }
    }
}
