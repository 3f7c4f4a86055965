//! Keeping the heaviest of more things than there is room for.

use ahash::RandomState;
use hashbrown::HashMap;
use std::cmp::Ordering;
use std::hash::Hash;

/// Drops the lighter half of a full table, and returns the weight of the heaviest that went.
///
/// Whoever comes new afterwards is to be ranked as if it had had that weight before. Then nothing
/// is ever dropped that has more than `2 / capacity` of the weight of all, and because half of the
/// table is free again, a flood of new things costs each of them a constant time.
pub(crate) fn drop_lighter_half<K: Eq + Hash, V>(
    table: &mut HashMap<K, V, RandomState>,
    weight: impl Fn(&V) -> u64,
) -> u64 {
    let mut weights: Vec<_> = table.values().map(&weight).collect();
    let middle = weights.len() / 2;
    let median = *weights.select_nth_unstable(middle).1;
    // Of those as heavy as the median, as many stay as there is room for.
    let heavier = weights.iter().filter(|&&weight| weight > median).count();
    let mut room = weights.len() - middle - 1 - heavier;
    table.retain(|_, value| match weight(value).cmp(&median) {
        Ordering::Greater => true,
        Ordering::Equal if room > 0 => {
            room -= 1;
            true
        }
        _ => false,
    });
    median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_half_stays_however_equal_they_are() {
        for weights in [[1; 9], [1, 2, 3, 4, 5, 6, 7, 8, 9], [5, 5, 5, 5, 5, 5, 1, 9, 9]] {
            let mut table: HashMap<usize, u64, RandomState> =
                weights.into_iter().enumerate().collect();
            let median = drop_lighter_half(&mut table, |&weight| weight);
            assert_eq!(table.len(), 4, "{weights:?}");
            assert!(table.values().all(|&weight| weight >= median));
        }
    }
}
