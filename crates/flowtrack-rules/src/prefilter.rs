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

/// A pattern, where it may be, and what to report.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Wanted {
    /// The pattern.
    pub(crate) bytes: Vec<u8>,
    /// First place in the text where it may begin.
    pub(crate) from: u32,
    /// Place in the stream, or in a text that is none, where it must have ended.
    pub(crate) to: u32,
    /// What is reported.
    pub(crate) value: u32,
}

impl Wanted {
    /// A pattern that may be anywhere.
    pub(crate) fn anywhere(bytes: &[u8], value: u32) -> Self {
        Self { bytes: bytes.to_vec(), from: 0, to: u32::MAX, value }
    }
}

/// Patterns that are searched for at once.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    grams: Grams,
    /// Short patterns that may be anywhere, and those of the beginning.
    short: [Short; 2],
    /// Patterns in small letters, and for each the values to report.
    patterns: Vec<Pattern>,
    values: Vec<u32>,
}

#[derive(Debug)]
struct Pattern {
    bytes: Box<[u8]>,
    from: u32,
    to: u32,
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
    /// The patterns of each pair, in its order.
    patterns: Vec<(u16, u32)>,
    /// How far into a stream they have to be looked for.
    end: usize,
}

/// Patterns that must have ended here are looked for in the beginning alone.
const BEGINNING: u32 = 256;

impl Matcher {
    /// Prepares a search for patterns; they may repeat.
    pub(crate) fn new(mut wanted: Vec<Wanted>) -> Self {
        for pattern in &mut wanted {
            pattern.bytes.make_ascii_lowercase();
        }
        wanted.retain(|pattern| !pattern.bytes.is_empty());
        wanted.sort_unstable();
        wanted.dedup();
        let mut matcher = Self::default();
        for Wanted { bytes, from, to, value } in wanted {
            match matcher.patterns.last_mut() {
                Some(last) if (&*last.bytes, last.from, last.to) == (&*bytes, from, to) => {
                    last.values.1 += 1;
                }
                _ => {
                    let at = matcher.values.len() as u32;
                    let values = (at, at + 1);
                    matcher.patterns.push(Pattern { bytes: bytes.into(), from, to, values });
                }
            }
            matcher.values.push(value);
        }
        matcher.grams = Grams::new(&matcher.patterns);
        matcher.short = [
            Short::new(&matcher.patterns, |pattern| pattern.to > BEGINNING),
            Short::new(&matcher.patterns, |pattern| pattern.to <= BEGINNING),
        ];
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
        if !self.grams.entries.is_empty() {
            self.search_grams(text, offset, found);
        }
        for short in &self.short {
            let left = (short.end as u64).saturating_sub(offset);
            let end = usize::try_from(left).unwrap_or(usize::MAX).min(text.len());
            if end > 0 {
                self.search_short(short, text, end, offset, found);
            }
        }
    }

    fn search_grams(&self, text: &[u8], offset: u64, found: &mut impl FnMut(u32)) {
        let Grams { bits, shift, .. } = &self.grams;
        // Each window is four bytes, which the compiler reads at once.
        for (at, window) in text.windows(GRAM).enumerate() {
            let Some(gram) = window.first_chunk::<GRAM>() else { return };
            let gram = u32::from_le_bytes(*gram) | FOLD;
            let hash = gram.wrapping_mul(0x9e37_79b1) >> shift;
            let word = bits.get((hash >> 6) as usize).copied().unwrap_or(0);
            if word >> (hash & 63) & 1 != 0 {
                self.compare(text, offset, at, gram, hash, found);
            }
        }
    }

    /// Compares the patterns whose four bytes have this hash.
    #[cold]
    #[inline(never)]
    fn compare(
        &self,
        text: &[u8],
        offset: u64,
        at: usize,
        gram: u32,
        hash: u32,
        found: &mut impl FnMut(u32),
    ) {
        let bucket = hash as usize & (self.grams.starts.len() - 2);
        let (Some(from), Some(to)) =
            (self.grams.starts.get(bucket), self.grams.starts.get(bucket + 1))
        else {
            return;
        };
        let entries = self.grams.entries.get(*from as usize..*to as usize).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.gram == gram) {
            let Some(start) = at.checked_sub(entry.before as usize) else { continue };
            self.report(text, offset, start, entry.pattern, found);
        }
    }

    /// Reports a pattern if it stands at `start`, and may.
    #[inline]
    fn report(
        &self,
        text: &[u8],
        offset: u64,
        start: usize,
        pattern: u32,
        found: &mut impl FnMut(u32),
    ) {
        let Some(pattern) = self.patterns.get(pattern as usize) else { return };
        let end = start + pattern.bytes.len();
        let may = start >= pattern.from as usize
            && (pattern.to == u32::MAX
                || offset.saturating_add(end as u64) <= u64::from(pattern.to));
        if may
            && text.get(start..end).is_some_and(|there| there.eq_ignore_ascii_case(&pattern.bytes))
        {
            let (from, to) = pattern.values;
            for value in self.values.get(from as usize..to as usize).unwrap_or_default() {
                found(*value);
            }
        }
    }

    /// Looks for short patterns that begin before `end`.
    fn search_short(
        &self,
        short: &Short,
        text: &[u8],
        end: usize,
        offset: u64,
        found: &mut impl FnMut(u32),
    ) {
        for at in 0..end {
            let (Some(byte), next) = (text.get(at), text.get(at + 1)) else { return };
            let pair = u16::from_le_bytes([byte | 0x20, next.copied().unwrap_or(0) | 0x20]);
            let word = short.pairs.get(usize::from(pair >> 6)).copied().unwrap_or(0);
            if word >> (pair & 63) & 1 != 0 {
                let from = short.patterns.partition_point(|(known, _)| *known < pair);
                let patterns = short.patterns.get(from..).unwrap_or_default();
                for (_, pattern) in patterns.iter().take_while(|(known, _)| *known == pair) {
                    self.report(text, offset, at, *pattern, found);
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
    fn new(patterns: &[Pattern], belongs: impl Fn(&Pattern) -> bool) -> Self {
        let mut short = Self::default();
        for (at, pattern) in (0u32..).zip(patterns) {
            if pattern.bytes.len() >= GRAM || !belongs(pattern) {
                continue;
            }
            short.end = short.end.max(pattern.to as usize);
            match *pattern.bytes {
                [only] => (0..=255).for_each(|second| short.add(only, second, at)),
                [first, second, ..] => short.add(first, second, at),
                [] => {}
            }
        }
        short.patterns.sort_unstable();
        short.patterns.dedup();
        short
    }

    fn add(&mut self, first: u8, second: u8, pattern: u32) {
        self.pairs.resize(1 << 10, 0);
        let pair = u16::from_le_bytes([first | 0x20, second | 0x20]);
        if let Some(word) = self.pairs.get_mut(usize::from(pair >> 6)) {
            *word |= 1 << (pair & 63);
        }
        self.patterns.push((pair, pattern));
    }
}

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
        let patterns = (0u32..).zip(wanted).map(|(at, text)| Wanted::anywhere(text.as_bytes(), at));
        let matcher = Matcher::new(patterns.collect());
        assert_eq!(matcher.len(), 7);
        assert_eq!(search(&matcher, b"xABCDEFGHIJKLMNO"), [0, 1, 2, 3, 4]);
        assert_eq!(search(&matcher, b"get /INDEX\r\n\r\n"), [5, 6]);
        assert_eq!(search(&matcher, b"zz"), []);
        assert_eq!(search(&matcher, b""), []);
    }

    #[test]
    fn equal_patterns_report_every_value() {
        let matcher =
            Matcher::new(vec![Wanted::anywhere(b"Test", 7), Wanted::anywhere(b"tEST", 9)]);
        assert_eq!(matcher.len(), 1);
        assert_eq!(search(&matcher, b"a test"), [7, 9]);
        assert_eq!(search(&Matcher::new(Vec::new()), b"test"), []);
    }

    #[test]
    fn patterns_are_found_where_they_may_be() {
        for length in [2, 5] {
            let bytes = b"abcde".get(..length).unwrap().to_vec();
            let to = length as u32 + 3;
            let matcher = Matcher::new(vec![Wanted { bytes, from: 1, to, value: 7 }]);
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

    proptest! {
        #[test]
        fn nothing_is_lost_against_a_plain_search(
            patterns in prop::collection::vec(prop::collection::vec(0u8..6, 1..9), 1..20),
            text in prop::collection::vec(0u8..6, 0..200),
        ) {
            let shown = |bytes: &[u8]| bytes.iter().map(|b| b"aAbB\0@"[usize::from(*b)]).collect::<Vec<u8>>();
            let patterns: Vec<_> = patterns.iter().map(|p| shown(p)).collect();
            let text = shown(&text);
            let matcher = Matcher::new((0u32..).zip(&patterns).map(|(at, p)| Wanted::anywhere(p, at)).collect());
            let found = search(&matcher, &text);
            for (at, pattern) in (0u32..).zip(&patterns) {
                let there = text.windows(pattern.len()).any(|w| w.eq_ignore_ascii_case(pattern));
                prop_assert_eq!(there, found.contains(&at), "{:?}", pattern);
            }
        }
    }
}
