//! How many different things were seen, in bounded memory.

use std::hash::{Hash, Hasher};

/// Counts distinct values: exactly up to [`Distinct::EXACT`], then within about 6 %
/// (`HyperLogLog`, Flajolet et al. 2007, with 256 registers). Never more than 288 bytes.
///
/// The hash is fixed, so that counts of several workers can be merged. Whoever knows it can make
/// many values look like few, but never fewer than were counted exactly.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Distinct(State);

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Exact(Vec<u64>),
    Estimate(Box<[u8; REGISTERS]>),
}

impl Default for State {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

const REGISTERS: usize = 256;

impl Distinct {
    /// Values that are counted exactly.
    pub const EXACT: usize = 32;

    /// Counts a value; says whether it is new, which is a guess beyond [`Distinct::EXACT`].
    pub fn insert<T: Hash + ?Sized>(&mut self, value: &T) -> bool {
        let mut hasher = Mix(0);
        value.hash(&mut hasher);
        self.insert_hash(hasher.finish())
    }

    fn insert_hash(&mut self, hash: u64) -> bool {
        match &mut self.0 {
            State::Exact(seen) if seen.contains(&hash) => return false,
            State::Exact(seen) if seen.len() < Self::EXACT => {
                seen.push(hash);
                return true;
            }
            State::Exact(_) | State::Estimate(_) => {}
        }
        self.estimated(|registers| note(registers, hash))
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            State::Exact(seen) => {
                for &hash in seen {
                    self.insert_hash(hash);
                }
            }
            State::Estimate(theirs) => self.estimated(|registers| {
                for (a, b) in registers.iter_mut().zip(theirs.iter()) {
                    *a = (*a).max(*b);
                }
            }),
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        match &self.0 {
            State::Exact(seen) => seen.len() as u64,
            State::Estimate(registers) => estimate(registers).max(Self::EXACT as u64 + 1),
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, State::Exact(seen) if seen.is_empty())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        match &mut self.0 {
            State::Exact(seen) => seen.clear(),
            State::Estimate(_) => self.0 = State::default(),
        }
    }

    /// Goes on with an estimate that `change` completes.
    fn estimated<T>(&mut self, change: impl FnOnce(&mut [u8; REGISTERS]) -> T) -> T {
        match &mut self.0 {
            State::Estimate(registers) => change(registers),
            State::Exact(seen) => {
                let mut registers = Box::new([0; REGISTERS]);
                for &hash in seen.iter() {
                    note(&mut registers, hash);
                }
                let result = change(&mut registers);
                self.0 = State::Estimate(registers);
                result
            }
        }
    }
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let Some(register) = registers.get_mut((hash >> 56) as usize) else { return false };
    let rank = ((hash << 8) | 0x80).leading_zeros() as u8 + 1;
    let is_higher = rank > *register;
    *register = rank.max(*register);
    is_higher
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&rank| 0.5_f64.powi(i32::from(rank))).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty: u32 = registers.iter().map(|&rank| u32::from(rank == 0)).sum();
    // Few values leave registers empty, and their number tells more then.
    let count = if raw <= 2.5 * m && empty > 0 { m * (m / f64::from(empty)).ln() } else { raw };
    count.round() as u64
}

/// A fixed hash whose bits are well mixed (the finaliser of `SplitMix64`).
struct Mix(u64);

impl Mix {
    fn take(&mut self, word: u64) {
        let mut z = (self.0.rotate_left(5) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = z ^ (z >> 31);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            self.take(word);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.take(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.take(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.take(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.take(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.take(n as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Distinct;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn few_are_exact_and_many_are_near() {
        let mut distinct = Distinct::default();
        for i in 0..Distinct::EXACT as u32 {
            assert!(distinct.insert(&i));
            assert!(!distinct.insert(&i));
            assert_eq!(distinct.count(), u64::from(i) + 1);
        }
        for exact in [100_u32, 1_000, 10_000, 1_000_000] {
            let mut distinct = Distinct::default();
            for i in 0..exact {
                distinct.insert(&IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + i)));
            }
            let got = distinct.count() as f64 / f64::from(exact);
            assert!((0.8..1.2).contains(&got), "{exact}: {got}");
        }
    }

    #[test]
    fn merging_counts_what_both_saw_once() {
        let of = |range: std::ops::Range<u32>| {
            let mut distinct = Distinct::default();
            range.for_each(|i| {
                distinct.insert(&i);
            });
            distinct
        };
        let mut few = of(0..10);
        few.merge(&of(5..15));
        assert_eq!(few.count(), 15);
        let mut all = of(0..1_000);
        all.merge(&of(500..2_000));
        assert_eq!(all, of(0..2_000));
        few.merge(&all);
        assert_eq!(few, all);
        few.clear();
        assert!(few.is_empty());
    }
}
