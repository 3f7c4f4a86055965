//! Searching for many patterns at once, to learn which signatures are worth judging.
//!
//! Of every pattern its rarest four bytes are taken. A bit table says which hashes of four bytes
//! occur in any of them; text is walked byte by byte, and what hits the table is compared with the
//! patterns themselves. The tables of a few thousand patterns fit into the first level cache, the
//! text is read once and not copied, and building takes time only in proportion to the patterns.
//! Case never matters here: whoever asks compares exactly afterwards.

use crate::keywords::rarity::commonness;

/// Bytes of a pattern that are hashed.
const GRAM: usize = 4;
/// Sets the bit that tells small letters from capitals; what else it changes only makes more bytes
/// look alike.
const FOLD: u32 = 0x2020_2020;

/// Patterns that are searched for at once.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    grams: Grams,
    short: Short,
    /// Patterns in small letters, and for each the values to report.
    patterns: Vec<Pattern>,
    values: Vec<u32>,
}

#[derive(Debug)]
struct Pattern {
    bytes: Box<[u8]>,
    /// Its part of `values`.
    values: (u32, u32),
}

/// Patterns of at least four bytes.
#[derive(Debug, Default)]
struct Grams {
    /// A bit for every hash that occurs.
    bits: Vec<u64>,
    /// How far a product is shifted to be a place in `bits`.
    shift: u32,
    /// Where the entries of each bucket begin in `entries`; one more than there are buckets.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

/// Four bytes of a pattern.
#[derive(Clone, Copy, Debug)]
struct Entry {
    gram: u32,
    pattern: u32,
    /// Bytes of the pattern before them.
    before: u32,
}

/// Patterns of one to three bytes.
#[derive(Debug, Default)]
struct Short {
    /// A bit for every folded pair of bytes that begins a pattern; a single byte is a pair with
    /// whatever follows.
    pairs: Vec<u64>,
    patterns: Vec<u32>,
}

impl Matcher {
    /// Prepares a search for patterns, each with a value to report; patterns may repeat, values
    /// too.
    pub(crate) fn new(mut wanted: Vec<(Vec<u8>, u32)>) -> Self {
        for (bytes, _) in &mut wanted {
            bytes.make_ascii_lowercase();
        }
        wanted.retain(|(bytes, _)| !bytes.is_empty());
        wanted.sort_unstable();
        wanted.dedup();
        let mut matcher = Self::default();
        for (bytes, value) in wanted {
            match matcher.patterns.last_mut() {
                Some(last) if *last.bytes == *bytes => last.values.1 += 1,
                _ => {
                    let at = matcher.values.len() as u32;
                    matcher.patterns.push(Pattern { bytes: bytes.into(), values: (at, at + 1) });
                }
            }
            matcher.values.push(value);
        }
        matcher.grams = Grams::new(&matcher.patterns);
        matcher.short = Short::new(&matcher.patterns);
        matcher
    }

    /// How many different patterns there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Reports the value of every pattern in `text`; some more than once.
    #[inline]
    pub(crate) fn search(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        if !self.grams.entries.is_empty() {
            self.search_grams(text, found);
        }
        if !self.short.patterns.is_empty() {
            self.search_short(text, found);
        }
    }

    fn search_grams(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        let Grams { bits, shift, .. } = &self.grams;
        // Each window is four bytes, which the compiler reads at once.
        for (at, window) in text.windows(GRAM).enumerate() {
            let Some(gram) = window.first_chunk::<GRAM>() else { return };
            let gram = u32::from_le_bytes(*gram) | FOLD;
            let hash = gram.wrapping_mul(0x9e37_79b1) >> shift;
            let word = bits.get((hash >> 6) as usize).copied().unwrap_or(0);
            if word >> (hash & 63) & 1 != 0 {
                self.compare(text, at, gram, hash, found);
            }
        }
    }

    /// Compares the patterns whose four bytes have this hash.
    #[cold]
    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, gram: u32, hash: u32, found: &mut impl FnMut(u32)) {
        let bucket = hash as usize & (self.grams.starts.len() - 2);
        let (Some(from), Some(to)) =
            (self.grams.starts.get(bucket), self.grams.starts.get(bucket + 1))
        else {
            return;
        };
        let entries = self.grams.entries.get(*from as usize..*to as usize).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.gram == gram) {
            let Some(start) = at.checked_sub(entry.before as usize) else { continue };
            self.report(text, start, entry.pattern, found);
        }
    }

    /// Reports a pattern if it stands at `start`.
    #[inline]
    fn report(&self, text: &[u8], start: usize, pattern: u32, found: &mut impl FnMut(u32)) {
        let Some(pattern) = self.patterns.get(pattern as usize) else { return };
        let there = text.get(start..start + pattern.bytes.len());
        if there.is_some_and(|there| there.eq_ignore_ascii_case(&pattern.bytes)) {
            let (from, to) = pattern.values;
            for value in self.values.get(from as usize..to as usize).unwrap_or_default() {
                found(*value);
            }
        }
    }

    fn search_short(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        let pairs = &self.short.pairs;
        for (at, byte) in text.iter().enumerate() {
            let next = text.get(at + 1).copied().unwrap_or(0);
            let pair = usize::from(u16::from_le_bytes([byte | 0x20, next | 0x20]));
            let word = pairs.get(pair >> 6).copied().unwrap_or(0);
            if word >> (pair & 63) & 1 != 0 {
                for pattern in &self.short.patterns {
                    self.report(text, at, *pattern, found);
                }
            }
        }
    }
}

impl Grams {
    fn new(patterns: &[Pattern]) -> Self {
        let long = patterns.iter().filter(|pattern| pattern.bytes.len() >= GRAM).count();
        if long == 0 {
            return Self::default();
        }
        // One bit in 64 at most is set, so few places of a text are looked at twice.
        let size = (long * 64).next_power_of_two().clamp(1 << 12, 1 << 20);
        let shift = 32 - size.trailing_zeros();
        let buckets = (long * 2).next_power_of_two().min(size);
        let mut placed: Vec<(usize, Entry)> = Vec::with_capacity(long);
        let mut bits = vec![0u64; size / 64];
        let mut taken = ahash::AHashMap::<u32, u32>::new();
        for (at, pattern) in patterns.iter().enumerate() {
            let Some((before, gram)) = rarest(&pattern.bytes, &taken) else { continue };
            *taken.entry(gram).or_default() += 1;
            let hash = gram.wrapping_mul(0x9e37_79b1) >> shift;
            if let Some(word) = bits.get_mut((hash >> 6) as usize) {
                *word |= 1 << (hash & 63);
            }
            let entry = Entry { gram, pattern: at as u32, before: before as u32 };
            placed.push((hash as usize & (buckets - 1), entry));
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
        Self { bits, shift, starts, entries: placed.into_iter().map(|(_, entry)| entry).collect() }
    }
}

/// The four bytes of a pattern, folded, that are rarest in what travels, and their place; those that
/// many patterns have already count as more common.
fn rarest(bytes: &[u8], taken: &ahash::AHashMap<u32, u32>) -> Option<(usize, u32)> {
    bytes
        .windows(GRAM)
        .enumerate()
        .filter_map(|(at, window)| {
            Some((at, u32::from_le_bytes(*window.first_chunk()?) | FOLD, window))
        })
        .min_by_key(|(_, gram, window)| {
            let common: u32 = window.iter().map(|byte| u32::from(commonness(*byte))).sum();
            // Bytes that repeat come in long runs.
            let runs = window.windows(2).filter(|pair| pair.first() == pair.last()).count() as u32;
            let crowd = taken.get(gram).copied().unwrap_or(0).min(32);
            common + runs * 40 + crowd * 8
        })
        .map(|(at, gram, _)| (at, gram))
}

impl Short {
    fn new(patterns: &[Pattern]) -> Self {
        let short: Vec<u32> = (0u32..)
            .zip(patterns)
            .filter(|(_, pattern)| pattern.bytes.len() < GRAM)
            .map(|(at, _)| at)
            .collect();
        if short.is_empty() {
            return Self::default();
        }
        let mut pairs = vec![0u64; 1 << 10];
        let mut set = |first: u8, second: u8| {
            let pair = usize::from(u16::from_le_bytes([first | 0x20, second | 0x20]));
            if let Some(word) = pairs.get_mut(pair >> 6) {
                *word |= 1 << (pair & 63);
            }
        };
        for pattern in patterns.iter().filter(|pattern| pattern.bytes.len() < GRAM) {
            match *pattern.bytes {
                [only] => (0..=255).for_each(|second| set(only, second)),
                [first, second, ..] => set(first, second),
                [] => {}
            }
        }
        Self { pairs, patterns: short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(matcher: &Matcher, text: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        matcher.search(text, &mut |value| found.push(value));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn patterns_of_every_length_are_found_in_either_case() {
        let wanted = ["a", "bc", "def", "ghij", "klmno", "GET /index", "\r\n\r\n"];
        let patterns = (0u32..).zip(wanted).map(|(at, text)| (text.as_bytes().to_vec(), at));
        let matcher = Matcher::new(patterns.collect());
        assert_eq!(matcher.len(), 7);
        assert_eq!(search(&matcher, b"xABCDEFGHIJKLMNO"), [0, 1, 2, 3, 4]);
        assert_eq!(search(&matcher, b"get /INDEX\r\n\r\n"), [5, 6]);
        assert_eq!(search(&matcher, b"zz"), []);
        assert_eq!(search(&matcher, b""), []);
    }

    #[test]
    fn equal_patterns_report_every_value() {
        let matcher = Matcher::new(vec![(b"Test".to_vec(), 7), (b"tEST".to_vec(), 9)]);
        assert_eq!(matcher.len(), 1);
        assert_eq!(search(&matcher, b"a test"), [7, 9]);
        assert_eq!(search(&Matcher::new(Vec::new()), b"test"), []);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_against_a_plain_search(
            patterns in prop::collection::vec(prop::collection::vec(0u8..6, 1..9), 1..20),
            text in prop::collection::vec(0u8..6, 0..200),
        ) {
            let shown = |bytes: &[u8]| bytes.iter().map(|b| b"aAbB\0@"[usize::from(*b)]).collect::<Vec<u8>>();
            let patterns: Vec<_> = patterns.iter().map(|p| shown(p)).collect();
            let text = shown(&text);
            let matcher = Matcher::new((0u32..).zip(&patterns).map(|(at, p)| (p.clone(), at)).collect());
            let found = search(&matcher, &text);
            for (at, pattern) in (0u32..).zip(&patterns) {
                let there = text.windows(pattern.len()).any(|w| w.eq_ignore_ascii_case(pattern));
                prop_assert_eq!(there, found.contains(&at), "{:?}", pattern);
            }
        }
    }
}
