//! A map of bounded size that forgets what was not touched for longest.

use ahash::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

const NONE: u32 = u32::MAX;

/// A bounded map in the order of use; every operation takes constant time.
#[derive(Debug)]
pub struct Recent<K, V> {
    index: HashMap<K, u32, RandomState>,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    capacity: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<K, V> {
    entry: Option<(K, V)>,
    newer: u32,
    older: u32,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// An empty map for at most `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            capacity: capacity.clamp(1, NONE as usize - 1),
            evicted: 0,
        }
    }

    /// The value of a key without touching it.
    pub fn get(&self, key: &K) -> Option<&V> {
        let &slot = self.index.get(key)?;
        self.slots.get(slot as usize)?.entry.as_ref().map(|(_, value)| value)
    }

    /// The value of a key, which becomes the newest.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let &slot = self.index.get(key)?;
        self.renew(slot);
        self.slots.get_mut(slot as usize)?.entry.as_mut().map(|(_, value)| value)
    }

    /// The value of a key, which becomes the newest; `make` makes it where there is none, and the
    /// oldest entry goes where there is no room.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let slot = match self.index.get(&key) {
            Some(&slot) => {
                self.renew(slot);
                slot
            }
            None => self.add(key, make()),
        };
        self.value_at(slot)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.index.remove(key)?;
        self.unlink(slot);
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.entry.take().map(|(_, value)| value)
    }

    /// Takes out the entry that was not touched for longest, if `over` says so of it.
    pub fn pop_oldest_if(&mut self, over: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let (key, value) = self.slots.get(self.oldest as usize)?.entry.as_ref()?;
        if !over(key, value) {
            return None;
        }
        let key = key.clone();
        self.remove(&key).map(|value| (key, value))
    }

    /// All entries, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.newest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.older;
            slot.entry.as_ref().map(|(key, value)| (key, value))
        })
    }

    /// All values, in no order, without touching them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut().map(|(k, v)| (&*k, v)))
    }

    /// Keeps the entries of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut gone = Vec::new();
        for slot in &mut self.slots {
            if let Some((key, value)) = &mut slot.entry
                && !keep(key, value)
            {
                gone.push(key.clone());
            }
        }
        for key in gone {
            self.remove(&key);
        }
    }

    /// Entries now.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Entries that had to go for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn add(&mut self, key: K, value: V) -> u32 {
        if self.index.len() >= self.capacity && self.pop_oldest_if(|_, _| true).is_some() {
            self.evicted += 1;
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        let filled = Slot { entry: Some((key.clone(), value)), newer: NONE, older: NONE };
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = filled,
            None => self.slots.push(filled),
        }
        self.index.insert(key, slot);
        self.link_newest(slot);
        slot
    }

    fn value_at(&mut self, slot: u32) -> &mut V {
        // The slot was found or filled by the caller.
        #[allow(clippy::indexing_slicing, clippy::unwrap_used)]
        let entry = self.slots[slot as usize].entry.as_mut().unwrap();
        &mut entry.1
    }

    fn renew(&mut self, slot: u32) {
        if self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some(&Slot { newer, older, .. }) = self.slots.get(slot as usize) else { return };
        match self.slots.get_mut(newer as usize) {
            Some(neighbour) => neighbour.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(neighbour) => neighbour.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let old = self.newest;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.newer = NONE;
            place.older = old;
        }
        match self.slots.get_mut(old as usize) {
            Some(neighbour) => neighbour.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
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
}
