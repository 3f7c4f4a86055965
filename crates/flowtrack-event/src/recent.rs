//! A map of bounded size that forgets what was not touched for longest.

use ahash::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// A bounded map in the order of use; every operation but [`Recent::retain`] takes constant time.
#[derive(Debug)]
pub struct Recent<K, V> {
    nodes: HashMap<K, Node<V>, RandomState>,
    order: Order<K>,
    capacity: usize,
    evicted: u64,
}

/// A value and its place in the order.
#[derive(Debug)]
struct Node<V> {
    value: V,
    place: u32,
}

/// The keys in the order of use.
#[derive(Debug)]
struct Order<K> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

/// A key and the places of its neighbours; no key where it is free.
#[derive(Debug)]
struct Slot<K> {
    key: Option<K>,
    newer: u32,
    older: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// An empty map for at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            nodes: HashMap::default(),
            order: Order::new(),
            capacity: capacity.clamp(1, NONE as usize - 1),
            evicted: 0,
        }
    }

    /// The value of a key without touching it.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.nodes.get(key).map(|node| &node.value)
    }

    /// The value of a key, which becomes the newest.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let node = self.nodes.get_mut(key)?;
        self.order.renew(node.place);
        Some(&mut node.value)
    }

    /// The value of a key, which becomes the newest; `make` makes it where there is none, and the
    /// oldest entry goes where there is no room.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = if let Some(node) = self.nodes.get(&key) {
            self.order.renew(node.place);
            node.place
        } else {
            if self.nodes.len() >= self.capacity && self.pop_oldest().is_some() {
                self.evicted += 1;
            }
            self.order.push(key.clone())
        };
        let new = || Node { value: make(), place };
        &mut self.nodes.entry(key).or_insert_with(new).value
    }

    /// Sets the value of a key, which becomes the newest; gives the entry that had to go for it.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        if let Some(old) = self.get_mut(&key) {
            *old = value;
            return None;
        }
        let gone = if self.nodes.len() >= self.capacity { self.pop_oldest() } else { None };
        self.evicted += u64::from(gone.is_some());
        let place = self.order.push(key.clone());
        self.nodes.insert(key, Node { value, place });
        gone
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Node { value, place } = self.nodes.remove(key)?;
        self.order.free(place);
        Some(value)
    }

    /// The entry that was not touched for longest.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        let key = self.order.slots.get(self.order.oldest as usize)?.key.as_ref()?;
        self.nodes.get(key).map(|node| (key, &node.value))
    }

    /// Takes out the entry that was not touched for longest.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        self.pop_oldest_if(|_, _| true)
    }

    /// Takes out the entry that was not touched for longest, if `over` says so of it.
    pub fn pop_oldest_if(&mut self, over: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let (key, value) = self.oldest()?;
        if !over(key, value) {
            return None;
        }
        let key = key.clone();
        self.remove(&key).map(|value| (key, value))
    }

    /// All entries, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.keys().filter_map(|key| Some((key, &self.nodes.get(key)?.value)))
    }

    /// Shows the newest entries, `most` of them, the newest first, without touching them.
    pub fn visit_newest(&mut self, most: usize, mut visit: impl FnMut(&K, &mut V)) {
        for key in self.order.keys().take(most) {
            if let Some(node) = self.nodes.get_mut(key) {
                visit(key, &mut node.value);
            }
        }
    }

    /// All values, in no order, without touching them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.nodes.iter_mut().map(|(key, node)| (key, &mut node.value))
    }

    /// Keeps the entries of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let order = &mut self.order;
        self.nodes.retain(|key, node| {
            let stays = keep(key, &mut node.value);
            if !stays {
                order.free(node.place);
            }
            stays
        });
    }

    /// Takes out all entries.
    pub fn clear(&mut self) {
        *self = Self { evicted: self.evicted, ..Self::new(self.capacity) };
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
}

impl<K> Order<K> {
    const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), newest: NONE, oldest: NONE }
    }

    /// Puts a key before all others; gives its place.
    fn push(&mut self, key: K) -> u32 {
        let new = Slot { key: Some(key), newer: NONE, older: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.slots.get_mut(place as usize) {
                    *slot = new;
                }
                place
            }
            None => {
                self.slots.push(new);
                self.slots.len() as u32 - 1
            }
        };
        self.lead(place);
        place
    }

    /// Makes what is at a place the newest.
    fn renew(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.lead(place);
        }
    }

    /// Takes out what is at a place.
    fn free(&mut self, place: u32) {
        self.unlink(place);
        if let Some(slot) = self.slots.get_mut(place as usize) {
            slot.key = None;
            self.free.push(place);
        }
    }

    /// All keys, the newest first.
    fn keys(&self) -> impl Iterator<Item = &K> {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.older;
            slot.key.as_ref()
        })
    }

    fn lead(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        if let Some(slot) = self.slots.get_mut(place as usize) {
            (slot.newer, slot.older) = (NONE, before);
        }
        match self.slots.get_mut(before as usize) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Slot { newer, older, .. }) = self.slots.get(place as usize) else { return };
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
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
    fn what_is_set_makes_what_is_oldest_go() {
        let mut map = Recent::new(3);
        for key in [1, 2, 3] {
            assert_eq!(map.insert(key, "a"), None);
        }
        assert!(map.get_mut(&1).is_some());
        assert_eq!(map.insert(4, "b"), Some((2, "a")));
        assert_eq!(map.insert(3, "c"), None);
        let mut seen = Vec::new();
        map.visit_newest(2, |&key, value| seen.push((key, *value)));
        assert_eq!(seen, [(3, "c"), (4, "b")]);
        assert_eq!((map.oldest(), map.evicted()), (Some((&1, &"a")), 1));
        map.clear();
        assert!(map.is_empty() && map.oldest().is_none());
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
