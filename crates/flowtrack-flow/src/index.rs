//! From the hash of a key to the flows that may have it: cache-line buckets, open addressing.
//!
//! A bucket holds seven entries and a counter of the entries that found no room in it and stand
//! in a later one, so that a look-up knows when it may stop and removal leaves no tombstone.
//!
//! # Limits
//! A look-up reads [`MAX_PROBE`] buckets at most, whatever the hashes are.

/// Buckets that one look-up may read.
const MAX_PROBE: usize = 16;

/// Entries of a bucket.
const ENTRIES: usize = 7;

/// One cache line.
#[derive(Clone, Default)]
#[repr(C, align(64))]
struct Bucket {
    hashes: [u32; ENTRIES],
    /// Entries that belong here or before and stand behind; see the module.
    passed: u32,
    /// Flow numbers plus one; 0 is free.
    flows: [u32; ENTRIES],
    _spare: u32,
}

impl Bucket {
    /// One bit for each entry with this hash. All are looked at, since where the right one stands
    /// is a guess that a processor gets wrong.
    #[inline]
    fn hits(&self, hash: u32) -> u32 {
        let bits = self.hashes.iter().enumerate().map(|(i, &h)| u32::from(h == hash) << i);
        bits.fold(0, |hits, bit| hits | bit)
    }
}

/// The index of a flow table.
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    /// Number of buckets, a power of two, less one.
    mask: usize,
    len: usize,
    /// Entries beyond which the index grows.
    grow_at: usize,
    /// Look-ups that read more than one bucket.
    collisions: u64,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self::with_buckets(64)
    }

    fn with_buckets(buckets: usize) -> Self {
        Self {
            buckets: vec![Bucket::default(); buckets],
            mask: buckets - 1,
            len: 0,
            // Below two thirds, buckets rarely overflow.
            grow_at: buckets * ENTRIES * 2 / 3,
            collisions: 0,
        }
    }

    pub(crate) fn collisions(&self) -> u64 {
        self.collisions
    }

    pub(crate) fn memory(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// Reads the bucket of a hash, to load it.
    #[inline]
    pub(crate) fn touch(&self, hash: u32) -> u32 {
        self.buckets.get(hash as usize & self.mask).map_or(0, |bucket| bucket.passed)
    }

    /// The first flow that has this hash, without looking further; only good to load memory early.
    #[inline]
    pub(crate) fn guess(&self, hash: u32) -> Option<u32> {
        let bucket = self.buckets.get(hash as usize & self.mask)?;
        let entries = bucket.hashes.iter().zip(&bucket.flows);
        entries.into_iter().find_map(|(&h, &flow)| (h == hash).then_some(flow)?.checked_sub(1))
    }

    /// The flow of this hash that `is_it` accepts.
    #[inline]
    pub(crate) fn find(&mut self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        for step in 0..MAX_PROBE {
            let bucket = self.buckets.get((hash as usize).wrapping_add(step) & self.mask)?;
            let mut hits = bucket.hits(hash);
            while hits != 0 {
                let flow = bucket.flows.get(hits.trailing_zeros() as usize)?;
                if let Some(flow) = flow.checked_sub(1)
                    && is_it(flow)
                {
                    return Some(flow);
                }
                hits &= hits - 1;
            }
            if bucket.passed == 0 {
                return None;
            }
            self.collisions += 1;
        }
        None
    }

    /// Adds a flow; `false` where no bucket in reach has room, which takes a flood of equal hashes.
    pub(crate) fn insert(&mut self, hash: u32, flow: u32) -> bool {
        if self.len >= self.grow_at {
            self.grow();
        }
        // Growing spreads whatever is not the same hash; eight times the room is enough of it.
        while !self.place(hash, flow) {
            if self.buckets.len() * ENTRIES > self.len * 8 || !self.grow() {
                return false;
            }
        }
        self.len += 1;
        true
    }

    /// Removes all flows; the room for them stays.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.len = 0;
    }

    /// Removes a flow.
    pub(crate) fn remove(&mut self, hash: u32, flow: u32) {
        for step in 0..MAX_PROBE {
            let at = (hash as usize).wrapping_add(step) & self.mask;
            let Some(bucket) = self.buckets.get_mut(at) else { return };
            let Some(slot) = bucket.flows.iter_mut().find(|slot| **slot == flow + 1) else {
                continue;
            };
            *slot = 0;
            self.len -= 1;
            for step in 0..step {
                let at = (hash as usize).wrapping_add(step) & self.mask;
                if let Some(bucket) = self.buckets.get_mut(at) {
                    bucket.passed = bucket.passed.saturating_sub(1);
                }
            }
            return;
        }
    }

    fn place(&mut self, hash: u32, flow: u32) -> bool {
        for step in 0..MAX_PROBE {
            let at = (hash as usize).wrapping_add(step) & self.mask;
            let Some(bucket) = self.buckets.get_mut(at) else { return false };
            let mut slots = bucket.hashes.iter_mut().zip(&mut bucket.flows);
            if let Some((h, f)) = slots.find(|(_, flow)| **flow == 0) {
                (*h, *f) = (hash, flow + 1);
                for step in 0..step {
                    let at = (hash as usize).wrapping_add(step) & self.mask;
                    if let Some(bucket) = self.buckets.get_mut(at) {
                        bucket.passed += 1;
                    }
                }
                return true;
            }
        }
        false
    }

    /// Moves all entries to twice the buckets; `false`, and no change, where they do not fit
    /// there.
    fn grow(&mut self) -> bool {
        let mut larger = Self::with_buckets(self.buckets.len() * 2);
        for bucket in &self.buckets {
            for (&hash, &flow) in bucket.hashes.iter().zip(&bucket.flows) {
                if let Some(flow) = flow.checked_sub(1)
                    && !larger.place(hash, flow)
                {
                    self.grow_at *= 2;
                    return false;
                }
            }
        }
        larger.len = self.len;
        larger.collisions = self.collisions;
        *self = larger;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn equal_hashes_are_bounded() {
        let mut index = Index::new();
        let fitted = (0..1_000).filter(|&flow| index.insert(7, flow)).count();
        assert_eq!(fitted, MAX_PROBE * ENTRIES);
        assert!(index.buckets.len() <= 256, "{}", index.buckets.len());
        for flow in 0..fitted as u32 {
            assert_eq!(index.find(7, |f| f == flow), Some(flow));
            index.remove(7, flow);
        }
        assert_eq!(index.len, 0);
        assert!(index.buckets.iter().all(|bucket| bucket.passed == 0));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(ops in prop::collection::vec((0..200_u32, any::<bool>()), 1..2_000)) {
            let mut index = Index::new();
            let mut model = HashMap::new();
            for (flow, insert) in ops {
                // Few hashes, so that buckets overflow.
                let hash = flow % 23 * 64;
                if insert && !model.contains_key(&flow) {
                    if index.insert(hash, flow) {
                        model.insert(flow, hash);
                    }
                } else if !insert && let Some(hash) = model.remove(&flow) {
                    index.remove(hash, flow);
                }
            }
            prop_assert_eq!(index.len, model.len());
            for flow in 0..200 {
                let hash = flow % 23 * 64;
                let found = index.find(hash, |f| f == flow);
                prop_assert_eq!(found, model.contains_key(&flow).then_some(flow));
            }
        }
    }
}
