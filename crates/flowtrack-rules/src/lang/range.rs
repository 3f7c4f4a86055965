//! Sets of numbers as sorted ranges: ports and addresses alike.

/// A number that ranges are made of.
pub trait Point: Copy + Ord + std::fmt::Debug {
    /// The smallest.
    const MIN: Self;
    /// The largest.
    const MAX: Self;

    /// The next larger one; none behind the largest.
    fn next(self) -> Option<Self>;

    /// The next smaller one; none before the smallest.
    fn previous(self) -> Option<Self>;
}

macro_rules! point {
    ($($number:ty),*) => {
        $(impl Point for $number {
            const MIN: Self = <$number>::MIN;
            const MAX: Self = <$number>::MAX;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        })*
    };
}

point!(u8, u16, u32, u64, u128);

/// A set of numbers: ranges in order, first and last of each, that neither overlap nor touch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RangeSet<T>(Vec<(T, T)>);

impl<T> Default for RangeSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Point> RangeSet<T> {
    /// All numbers.
    pub fn full() -> Self {
        Self(vec![(T::MIN, T::MAX)])
    }

    /// What lies in any of the ranges; a range whose first is behind its last holds nothing.
    pub fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(open) if open.1.next().is_none_or(|next| first <= next) => {
                    open.1 = open.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// What is not in it.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::MIN);
        for (first, last) in &self.0 {
            if let (Some(from), Some(before)) = (from, first.previous())
                && from <= before
            {
                gaps.push((from, before));
            }
            from = last.next();
        }
        if let Some(from) = from {
            gaps.push((from, T::MAX));
        }
        Self(gaps)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a_first, a_last)), Some(&&(b_first, b_last))) = (a.peek(), b.peek()) {
            let (first, last) = (a_first.max(b_first), a_last.min(b_last));
            if first <= last {
                both.push((first, last));
            }
            if a_last < b_last {
                a.next();
            } else {
                b.next();
            }
        }
        Self(both)
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// Whether `point` is in it.
    #[inline]
    pub fn contains(&self, point: T) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= point);
        behind.checked_sub(1).and_then(|i| self.0.get(i)).is_some_and(|(_, last)| point <= *last)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything is in it.
    pub fn is_full(&self) -> bool {
        matches!(self.0.as_slice(), [(first, last)] if *first == T::MIN && *last == T::MAX)
    }

    /// The ranges in order, first and last of each.
    pub fn ranges(&self) -> &[(T, T)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let set = RangeSet::new(vec![(5u8, 9), (1, 2), (3, 4), (20, 255), (30, 40), (8, 7)]);
        assert_eq!(set.ranges(), [(1, 9), (20, 255)]);
        assert_eq!(set.complement().ranges(), [(0, 0), (10, 19)]);
        assert!(RangeSet::<u8>::default().complement().is_full());
        assert!(RangeSet::<u8>::full().complement().is_empty());
    }

    proptest! {
        #[test]
        fn sets_behave_like_lists_of_numbers(
            a in prop::collection::vec((any::<u8>(), any::<u8>()), 0..6),
            b in prop::collection::vec((any::<u8>(), any::<u8>()), 0..6),
        ) {
            let inside = |ranges: &[(u8, u8)], n: u8| ranges.iter().any(|(f, l)| (*f..=*l).contains(&n));
            let (x, y) = (RangeSet::new(a.clone()), RangeSet::new(b.clone()));
            for n in 0..=255u8 {
                prop_assert_eq!(x.contains(n), inside(&a, n));
                prop_assert_eq!(x.complement().contains(n), !inside(&a, n));
                prop_assert_eq!(x.without(&y).contains(n), inside(&a, n) && !inside(&b, n));
            }
        }
    }
}
