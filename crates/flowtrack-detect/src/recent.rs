//! A map of bounded size that forgets what was not touched for longest.

use ahash::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// A bounded map in the order of use; every operation but [`Recent::retain`] takes constant time.
#[derive(Debug)]
pub struct Recent<K, V> {
    nodes: HashMap<K, Node<K, V>, RandomState>,
    newest: Option<K>,
    oldest: Option<K>,
    capacity: usize,
    evicted: u64,
}

/// A value and its neighbours in the order of use. They are linked by keys and not by places,
/// because a key that is not there is no reason to stop.
#[derive(Debug)]
struct Node<K, V> {
    value: V,
    newer: Option<K>,
    older: Option<K>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// An empty map for at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            nodes: HashMap::default(),
            newest: None,
            oldest: None,
            capacity: capacity.max(1),
            evicted: 0,
        }
    }

    /// The value of a key without touching it.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.nodes.get(key).map(|node| &node.value)
    }

    /// The value of a key, which becomes the newest.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.renew(key);
        self.nodes.get_mut(key).map(|node| &mut node.value)
    }

    /// The value of a key, which becomes the newest; `make` makes it where there is none, and the
    /// oldest entry goes where there is no room.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let mut older = None;
        if self.nodes.contains_key(&key) {
            self.renew(&key);
        } else {
            if self.nodes.len() >= self.capacity && self.pop_oldest_if(|_, _| true).is_some() {
                self.evicted += 1;
            }
            older = self.lead(&key);
        }
        let new = || Node { value: make(), newer: None, older };
        &mut self.nodes.entry(key).or_insert_with(new).value
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Node { value, newer, older } = self.nodes.remove(key)?;
        self.join(newer, older);
        Some(value)
    }

    /// Takes out the entry that was not touched for longest, if `over` says so of it.
    pub fn pop_oldest_if(&mut self, over: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let key = self.oldest.clone()?;
        if !over(&key, self.get(&key)?) {
            return None;
        }
        self.remove(&key).map(|value| (key, value))
    }

    /// All entries, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.newest.as_ref();
        std::iter::from_fn(move || {
            let (key, node) = self.nodes.get_key_value(at?)?;
            at = node.older.as_ref();
            Some((key, &node.value))
        })
    }

    /// All values, in no order, without touching them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.nodes.iter_mut().map(|(key, node)| (key, &mut node.value))
    }

    /// Keeps the entries of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let gone: Vec<K> = self
            .nodes
            .iter_mut()
            .filter_map(|(key, node)| (!keep(key, &mut node.value)).then(|| key.clone()))
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Entries now.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Entries that had to go for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Makes an entry the newest.
    fn renew(&mut self, key: &K) {
        if self.newest.as_ref() == Some(key) {
            return;
        }
        let Some(node) = self.nodes.get_mut(key) else { return };
        let (newer, older) = (node.newer.take(), node.older.take());
        self.join(newer, older);
        let older = self.lead(key);
        if let Some(node) = self.nodes.get_mut(key) {
            node.older = older;
        }
    }

    /// Puts a key before all others; gives the one that was first.
    fn lead(&mut self, key: &K) -> Option<K> {
        let before = self.newest.replace(key.clone());
        match before.as_ref().and_then(|before| self.nodes.get_mut(before)) {
            Some(node) => node.newer = Some(key.clone()),
            None => self.oldest = Some(key.clone()),
        }
        before
    }

    /// Makes two entries neighbours, where what was between them goes.
    fn join(&mut self, newer: Option<K>, older: Option<K>) {
        match newer.as_ref().and_then(|newer| self.nodes.get_mut(newer)) {
            Some(node) => node.older.clone_from(&older),
            None => self.newest.clone_from(&older),
        }
        match older.and_then(|older| self.nodes.get_mut(&older)) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_least_used_goes_first() {
        let mut map = Recent::new(3);
        for key in 1..=3 {
            map.entry(key, || key * 10);
        }
        map.get_mut(&1);
        map.entry(4, || 40);
        assert_eq!(map.get(&2), None);
        assert_eq!(map.iter().map(|(&k, _)| k).collect::<Vec<_>>(), [4, 1, 3]);
        assert_eq!((map.len(), map.evicted()), (3, 1));
        assert_eq!(map.remove(&1), Some(10));
        assert_eq!(map.pop_oldest_if(|&k, _| k == 9), None);
        assert_eq!(map.pop_oldest_if(|&k, _| k == 3), Some((3, 30)));
        map.retain(|_, _| false);
        assert!(map.is_empty() && map.iter().next().is_none());
        *map.entry(7, || 0) += 1;
        *map.entry(7, || 0) += 1;
        assert_eq!(map.get(&7), Some(&2));
    }

    #[test]
    fn the_order_is_that_of_a_list_whatever_is_done() {
        let mut map = Recent::new(5);
        // The newest first, as a list would have it.
        let mut list: Vec<u32> = Vec::new();
        let mut state = 1_u32;
        for _ in 0..5_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (state >> 16) % 9;
            match state >> 28 {
                0..9 => {
                    map.entry(key, || key);
                    list.retain(|&k| k != key);
                    list.insert(0, key);
                    list.truncate(5);
                }
                9..12 => {
                    if map.get_mut(&key).is_some() {
                        list.retain(|&k| k != key);
                        list.insert(0, key);
                    }
                }
                12..15 => {
                    map.remove(&key);
                    list.retain(|&k| k != key);
                }
                _ => {
                    map.retain(|&k, _| k != key);
                    list.retain(|&k| k != key);
                }
            }
            assert_eq!(map.iter().map(|(&k, _)| k).collect::<Vec<_>>(), list);
            assert_eq!(map.len(), list.len());
        }
        while let Some((key, _)) = map.pop_oldest_if(|_, _| true) {
            assert_eq!(list.pop(), Some(key));
        }
        assert!(list.is_empty());
    }
}
