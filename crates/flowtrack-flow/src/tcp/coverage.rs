//! Which bytes of one direction of a stream were seen: everything up to one place, and a few
//! ranges behind holes.

/// Ranges that are told apart behind the first hole. With more holes than that the smallest is
/// taken for filled, so that a stream costs the same however it is cut up.
const RANGES: usize = 2;

/// Ranges behind the first hole, in order, none touching another.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Ranges {
    ranges: [(u32, u32); RANGES],
    len: u8,
}

/// What a piece of the stream was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// The next bytes, perhaps after some that were seen.
    Next(u32),
    /// New bytes behind a hole.
    Ahead(u32),
    /// Nothing new.
    Old,
}

/// Bytes and holes that will never be seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Lost {
    pub(crate) bytes: u32,
    pub(crate) holes: u32,
}

/// How far `a` lies behind `b` in sequence space; negative where it lies before.
pub(crate) const fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

impl Ranges {
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes in the bytes from `start` to `end`, where all before `contiguous` were seen.
    pub(crate) fn add(&mut self, contiguous: &mut u32, start: u32, end: u32) -> Piece {
        let base = *contiguous;
        if distance(end, base) <= 0 {
            return Piece::Old;
        }
        let start = if distance(start, base) < 0 { base } else { start };
        let covered = self.overlap(start, end);
        let new = end.wrapping_sub(start).saturating_sub(covered);
        if start == base {
            *contiguous = end;
            self.absorb(contiguous);
            return Piece::Next(new);
        }
        if new == 0 {
            return Piece::Old;
        }
        self.insert(base, start, end);
        Piece::Ahead(new)
    }

    /// Gives up all holes before `ack`: the receiver has what is in them.
    pub(crate) fn give_up(&mut self, contiguous: &mut u32, ack: u32) -> Lost {
        let base = *contiguous;
        let length = distance(ack, base);
        if length <= 0 {
            return Lost::default();
        }
        let covered = self.overlap(base, ack);
        let bytes = (length as u32).saturating_sub(covered);
        let behind =
            |&&(start, end): &&(u32, u32)| distance(start, ack) < 0 && distance(end, ack) < 0;
        let holes = if bytes == 0 { 0 } else { 1 + self.iter().filter(behind).count() as u32 };
        *contiguous = ack;
        self.absorb(contiguous);
        Lost { bytes, holes }
    }

    fn iter(&self) -> impl Iterator<Item = &(u32, u32)> {
        self.ranges.iter().take(usize::from(self.len))
    }

    /// Bytes between `start` and `end` that are in a range.
    fn overlap(&self, start: u32, end: u32) -> u32 {
        let inside = |&(from, to): &(u32, u32)| {
            let from = if distance(from, start) < 0 { start } else { from };
            let to = if distance(to, end) > 0 { end } else { to };
            distance(to, from).max(0) as u32
        };
        self.iter().map(inside).fold(0, u32::saturating_add)
    }

    /// Moves `contiguous` over the ranges that it reached.
    fn absorb(&mut self, contiguous: &mut u32) {
        let mut kept = Self::default();
        for &(start, end) in self.iter() {
            if distance(start, *contiguous) > 0 {
                kept.push((start, end));
            } else if distance(end, *contiguous) > 0 {
                *contiguous = end;
            }
        }
        *self = kept;
    }

    fn push(&mut self, range: (u32, u32)) {
        if let Some(slot) = self.ranges.get_mut(usize::from(self.len)) {
            *slot = range;
            self.len += 1;
        }
    }

    fn insert(&mut self, base: u32, start: u32, end: u32) {
        // One more than is kept, in order, merged where they touch.
        let mut merged = [(0, 0); RANGES + 1];
        let mut len = 0;
        let before = |a: u32, b: u32| distance(a, base) < distance(b, base);
        let old = *self;
        let mut old = old.iter().copied().peekable();
        let mut new = Some((start, end));
        while let Some(range) = match (old.peek(), new) {
            (Some(&(from, _)), Some(range)) if before(range.0, from) => new.take(),
            (Some(_), _) => old.next(),
            (None, _) => new.take(),
        } {
            let (last, free) = merged.split_at_mut(len);
            match (last.last_mut(), free.first_mut()) {
                (Some(last), _) if distance(range.0, last.1) <= 0 => {
                    if distance(range.1, last.1) > 0 {
                        last.1 = range.1;
                    }
                }
                (_, Some(slot)) => {
                    *slot = range;
                    len += 1;
                }
                (_, None) => {}
            }
        }
        *self = Self::default();
        let mut narrowest = None;
        if len > RANGES {
            let gaps = merged.windows(2).map(|pair| match pair {
                [a, b] => b.0.wrapping_sub(a.1),
                _ => u32::MAX,
            });
            narrowest = gaps.enumerate().min_by_key(|&(_, gap)| gap).map(|(i, _)| i + 1);
        }
        for (i, &range) in merged.iter().take(len).enumerate() {
            if narrowest == Some(i) {
                let last = usize::from(self.len).saturating_sub(1);
                if let Some(last) = self.ranges.get_mut(last) {
                    last.1 = range.1;
                }
            } else {
                self.push(range);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fills_holes() {
        let (mut seen, mut at) = (Ranges::default(), 100);
        assert_eq!(seen.add(&mut at, 100, 110), Piece::Next(10));
        assert_eq!(seen.add(&mut at, 120, 130), Piece::Ahead(10));
        assert_eq!(seen.add(&mut at, 140, 150), Piece::Ahead(10));
        assert_eq!(seen.add(&mut at, 125, 130), Piece::Old);
        assert_eq!(seen.add(&mut at, 105, 110), Piece::Old);
        assert_eq!(seen.add(&mut at, 110, 120), Piece::Next(10));
        assert_eq!(at, 130);
        assert_eq!(seen.add(&mut at, 130, 140), Piece::Next(10));
        assert_eq!((at, seen.is_empty()), (150, true));
    }

    #[test]
    fn acknowledged_holes_are_lost() {
        let (mut seen, mut at) = (Ranges::default(), u32::MAX - 9);
        seen.add(&mut at, 10, 20);
        seen.add(&mut at, 30, 40);
        assert_eq!(seen.give_up(&mut at, 35), Lost { bytes: 20 + 10, holes: 2 });
        assert_eq!((at, seen.is_empty()), (40, true));
        assert_eq!(seen.give_up(&mut at, 50), Lost { bytes: 10, holes: 1 });
        assert_eq!(seen.give_up(&mut at, 45), Lost::default());
    }

    proptest! {
        /// However a stream is cut and shuffled, no byte counts twice, and none is missed as long
        /// as the holes fit.
        #[test]
        fn counts_each_byte_once(
            base in any::<u32>(),
            pieces in prop::collection::vec((0..300_u32, 1..80_u32), 1..60),
        ) {
            let (mut seen, mut at) = (Ranges::default(), base);
            let mut model = [false; 400];
            let mut counted = 0_usize;
            for (start, len) in pieces {
                let (from, to) = (base.wrapping_add(start), base.wrapping_add(start + len));
                counted += match seen.add(&mut at, from, to) {
                    Piece::Next(new) | Piece::Ahead(new) => new as usize,
                    Piece::Old => 0,
                };
                model[start as usize..(start + len) as usize].fill(true);
                let contiguous = model.iter().take_while(|&&seen| seen).count();
                prop_assert!(at.wrapping_sub(base) as usize >= contiguous);
            }
            prop_assert!(counted <= model.iter().filter(|&&seen| seen).count());
            prop_assert!(seen.iter().all(|&(from, to)| distance(to, from) > 0));
        }
    }
}
