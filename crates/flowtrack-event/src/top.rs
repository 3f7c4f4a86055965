//! The heaviest of many, in bounded memory and without passing a part for the whole.

use ahash::AHashMap;
use std::borrow::Borrow;
use std::hash::Hash;

/// Rows by key; the lightest half is let go when there are too many.
///
/// Once rows were let go, a key that returns begins anew at zero, so the rows are then lower
/// bounds ([`TopTable::is_complete`] tells). Totals are for the owner to count apart.
#[derive(Debug)]
pub struct TopTable<K, V> {
    rows: AHashMap<K, V>,
    capacity: usize,
    let_go: bool,
}

/// What rows are compared by.
pub trait Weight {
    /// The more, the longer it is kept.
    fn weight(&self) -> u64;
}

impl<K: Clone + Ord + Hash, V: Default + Weight> TopTable<K, V> {
    /// An empty table of at most `capacity` rows.
    pub fn new(capacity: usize) -> Self {
        Self { rows: AHashMap::new(), capacity, let_go: false }
    }

    /// The row of a key, made where it is new.
    pub fn row(&mut self, key: K) -> &mut V {
        if self.rows.len() >= self.capacity && !self.rows.contains_key(&key) {
            self.let_go_of_half();
        }
        self.rows.entry(key).or_default()
    }

    /// A key as it is kept, where it is.
    pub fn known<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
    {
        self.rows.get_key_value(key).map(|(key, _)| key)
    }

    /// What is known of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.rows.get(key)
    }

    /// The row of a key that is there.
    pub fn known_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.rows.get_mut(key)
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    /// Whether every row ever made is still here.
    pub fn is_complete(&self) -> bool {
        !self.let_go
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The heaviest rows first; equal ones in the order of their keys.
    pub fn heaviest(&self, n: usize) -> Vec<(&K, &V)> {
        let mut rows: Vec<(&K, &V)> = self.rows.iter().collect();
        let order =
            |a: &(&K, &V), b: &(&K, &V)| b.1.weight().cmp(&a.1.weight()).then_with(|| a.0.cmp(b.0));
        if rows.len() > n && n > 0 {
            rows.select_nth_unstable_by(n - 1, order);
        }
        rows.truncate(n);
        rows.sort_unstable_by(order);
        rows
    }

    fn let_go_of_half(&mut self) {
        let mut weights: Vec<(u64, K)> =
            self.rows.iter().map(|(key, row)| (row.weight(), key.clone())).collect();
        let middle = weights.len() / 2;
        let (weight, key) = weights.select_nth_unstable(middle).1.clone();
        self.rows
            .retain(|kept, row| row.weight().cmp(&weight).then_with(|| (*kept).cmp(&key)).is_gt());
        self.let_go = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Bytes(u64);

    impl Weight for Bytes {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn keeps_the_heavy_ones_however_many_light_ones_come() {
        let mut table: TopTable<u32, Bytes> = TopTable::new(100);
        for round in 0..1_000 {
            table.row(1).0 += 1_000;
            table.row(2).0 += 500;
            table.row(10 + round).0 += 1;
        }
        assert!(table.len() <= 100 && !table.is_complete());
        let top: Vec<(u32, u64)> =
            table.heaviest(2).into_iter().map(|(key, row)| (*key, row.0)).collect();
        assert_eq!(top, [(1, 1_000_000), (2, 500_000)]);
    }

    #[test]
    fn says_that_it_is_complete_while_it_is() {
        let mut table: TopTable<u32, Bytes> = TopTable::new(3);
        for key in [3, 1, 2, 1] {
            table.row(key).0 += 1;
        }
        assert!(table.is_complete());
        assert_eq!(table.heaviest(9).iter().map(|(key, _)| **key).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
