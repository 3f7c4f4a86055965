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
//! table of a thousand patterns takes two kilobytes, because most texts are short and find the caches
//! full of something else. The text is read and not copied, and building takes time only in proportion
//! to the patterns. Case matters in the comparison alone.

mod fixed;
mod grams;
mod packed;
mod short;
#[cfg(test)]
mod tests;

use fixed::Fixed;
use grams::Grams;
use packed::{MAX_TOGETHER, Packed};
use short::Short;

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
    pub(crate) fn search(&self, text: &[u8], offset: u64, found: &mut dyn FnMut(u32)) {
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
struct Found<'a> {
    matcher: &'a Matcher,
    text: &'a [u8],
    offset: u64,
    tell: &'a mut dyn FnMut(u32),
}

impl<'a> Found<'a> {
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

/// Bytes from the start of a pattern among which its windows are chosen.
const MAX_BEFORE: usize = 200;

/// An odd number whose product spreads the bits of its factor (2³² divided by the golden ratio).
const SPREAD: u32 = 0x9e37_79b1;
