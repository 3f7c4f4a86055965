//! A map of bounded size that forgets what was not touched for longest.

use ahash::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// No slot.
const NONE: u32 = u32::MAX;

/// A bounded map in the order of use; every operation takes constant time.
pub(crate) struct Lru<K, V> {
    index: HashMap<K, u32, RandomState>,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    capacity: usize,
}

struct Slot<K, V> {
    entry: Option<(K, V)>,
    newer: u32,
    older: u32,
}

impl<K: Copy + Eq + Hash, V> Lru<K, V> {
    /// An empty map for at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            capacity: capacity.clamp(1, NONE as usize - 1),
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Looks up without touching.
    pub fn get(&self, key: &K) -> Option<&V> {
        let &slot = self.index.get(key)?;
        self.slots[slot as usize].entry.as_ref().map(|(_, value)| value)
    }

    /// Looks up and makes it the newest.
    pub fn touch(&mut self, key: &K) -> Option<&mut V> {
        let &slot = self.index.get(key)?;
        if self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.slots[slot as usize].entry.as_mut().map(|(_, value)| value)
    }

    /// Sets the value and makes it the newest; returns the entry that had to go for it.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        if let Some(old) = self.touch(&key) {
            *old = value;
            return None;
        }
        let evicted = if self.len() >= self.capacity { self.pop_oldest() } else { None };
        let fresh = Slot { entry: Some((key, value)), newer: NONE, older: NONE };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = fresh;
            slot
        } else {
            self.slots.push(fresh);
            self.slots.len() as u32 - 1
        };
        self.index.insert(key, slot);
        self.link_newest(slot);
        evicted
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.index.remove(key)?;
        self.unlink(slot);
        self.free.push(slot);
        self.slots[slot as usize].entry.take().map(|(_, value)| value)
    }

    /// The entry that was not touched for longest.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        let slot = self.slots.get(self.oldest as usize)?;
        slot.entry.as_ref().map(|(key, value)| (key, value))
    }

    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        let key = *self.oldest()?.0;
        self.remove(&key).map(|value| (key, value))
    }

    /// The values, newest first, for at most `n` of them.
    pub fn visit_newest(&mut self, n: usize, mut visit: impl FnMut(&K, &mut V)) {
        let mut at = self.newest;
        for _ in 0..n {
            let Some(slot) = self.slots.get_mut(at as usize) else { break };
            if let Some((key, value)) = &mut slot.entry {
                visit(key, value);
            }
            at = slot.older;
        }
    }

    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn link_newest(&mut self, slot: u32) {
        let before = self.newest;
        let this = &mut self.slots[slot as usize];
        (this.newer, this.older) = (NONE, before);
        match self.slots.get_mut(before as usize) {
            Some(before) => before.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let (newer, older) = (self.slots[slot as usize].newer, self.slots[slot as usize].older);
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
    use super::*;

    fn newest_first(lru: &mut Lru<u32, &str>) -> Vec<u32> {
        let mut keys = Vec::new();
        lru.visit_newest(usize::MAX, |&k, _| keys.push(k));
        keys
    }

    #[test]
    fn the_untouched_go_first() {
        let mut lru = Lru::new(3);
        for k in [1, 2, 3] {
            assert_eq!(lru.insert(k, "a"), None);
        }
        assert!(lru.touch(&1).is_some());
        assert_eq!(newest_first(&mut lru), [1, 3, 2]);
        assert_eq!(lru.insert(4, "b"), Some((2, "a")));
        assert_eq!(lru.insert(3, "c"), None);
        assert_eq!(newest_first(&mut lru), [3, 4, 1]);
        assert_eq!(lru.get(&3), Some(&"c"));
        assert_eq!(lru.get(&2), None);
    }

    #[test]
    fn removing_anywhere_keeps_the_rest_linked() {
        for gone in [1, 2, 3] {
            let mut lru = Lru::new(3);
            for k in [1, 2, 3] {
                lru.insert(k, "a");
            }
            assert_eq!(lru.remove(&gone), Some("a"));
            assert_eq!(lru.remove(&gone), None);
            let rest: Vec<_> = [3, 2, 1].into_iter().filter(|&k| k != gone).collect();
            assert_eq!(newest_first(&mut lru), rest);
            lru.insert(9, "b");
            assert_eq!(newest_first(&mut lru).len(), 3);
        }
        let mut lru = Lru::new(2);
        lru.insert(1, "a");
        assert_eq!(lru.pop_oldest(), Some((1, "a")));
        assert_eq!(lru.pop_oldest(), None);
        assert!(newest_first(&mut lru).is_empty());
    }
}
