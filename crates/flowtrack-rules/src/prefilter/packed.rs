//! Patterns found by one window each with vector instructions.

use super::{Found, MAX_BEFORE, Pattern};
use crate::keywords::rarity::commonness;
use aho_corasick::{Span, packed};

/// Patterns by one window each, found with vector instructions.
#[derive(Debug)]
pub(super) struct Packed {
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
pub(super) const MAX_TOGETHER: usize = 64;
/// Searches one after the other that are still better than a table.
const MAX_SEARCHES: usize = 4;
/// Windows up to which the shortest patterns are searched for like that.
const MAX_SHORT_WINDOWS: usize = 128;
/// Windows that may be found in a text, and one more for so many of its bytes, before all patterns
/// count as found.
pub(super) const FREE_HITS: usize = 8;
const BYTES_A_HIT: usize = 256;
/// Windows that may be found at least for every pattern: each that counts as found is looked for by
/// itself, which costs more than so many.
const HITS_A_PATTERN: usize = 2;

impl Packed {
    /// All patterns, with windows of `length`; none where these are too many, or the processor
    /// cannot.
    pub(super) fn all(patterns: &[(u32, &Pattern)], length: usize) -> Vec<Self> {
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
    pub(super) fn few(patterns: &[(u32, &Pattern)]) -> Option<Self> {
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
    pub(super) fn search(&self, found: &mut Found<'_>) {
        let text = found.until(self.end);
        let free = FREE_HITS + text.len() / BYTES_A_HIT;
        let mut left = free.max(self.patterns.len() * HITS_A_PATTERN);
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
