//! The power of two choices (M. Mitzenmacher, 1996): of two distinct entries drawn by weight, the less loaded.
//!
//! The first drawn takes the request, unless the second would still have no more per weight with one request more than
//! the first has now: `first / w >= (second + 1) / v`. Between equals that is "the less loaded, the first on a tie"; where
//! all are idle it leaves exactly the draw by weight, so that a light entry gets its share of a quiet pool too.
//!
//! When to use: many endpoints and workers. It writes nothing shared and reads the loads of two entries, O(1). With
//! requests that never end, `n` equal entries and `n` requests, the busiest has `log2(ln n) + O(1)` of them with high
//! probability, where drawing one has `ln n / ln ln n`. Two workers may choose the same entry at the same moment.

use crate::balance::loads::Loads;
use crate::balance::random::Random;

/// The entry of the next request; `None` when none that has a weight is free.
pub fn pick(
    random: &Random,
    weights: &[u64],
    loads: &impl Loads,
    chance: &mut fastrand::Rng,
    is_barred: impl Fn(usize) -> bool,
) -> Option<usize> {
    let first = random.draw_except(chance, &is_barred)?;
    let second = random.draw_except(chance, |entry| entry == first || is_barred(entry));
    let Some(second) = second else {
        return Some(first);
    };
    let of_first = u128::from(loads.load(first).total()) * u128::from(weights[second]);
    let of_second = u128::from(loads.load(second).total() + 1) * u128::from(weights[first]);
    Some(if of_first >= of_second { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::loads::tests::Array;

    fn next(weights: &[u64], loads: &Array, chance: &mut fastrand::Rng) -> usize {
        let random = Random::new(weights);
        pick(&random, weights, loads, chance, |_| false).unwrap()
    }

    #[test]
    fn an_idle_pool_is_drawn_from_by_weight() {
        let (weights, loads) = ([3, 1, 0], Array::idle(3));
        let mut chance = fastrand::Rng::with_seed(7);
        let mut got = [0; 3];
        for _ in 0..4_000 {
            got[next(&weights, &loads, &mut chance)] += 1;
        }
        assert!((2_850..3_150).contains(&got[0]) && got[2] == 0, "{got:?}");
    }

    #[test]
    fn the_busiest_of_equals_is_never_chosen_while_another_is_less_so() {
        let loads = Array::idle(10);
        (0..5).for_each(|_| loads.claim(4));
        let mut chance = fastrand::Rng::with_seed(7);
        let weights = [1; 10];
        assert!((0..2_000).all(|_| next(&weights, &loads, &mut chance) != 4));
    }

    #[test]
    fn requests_that_never_end_are_spread_by_weight_far_better_than_by_draw() {
        let weights: Vec<u64> = (0..100).map(|entry| 1 + entry % 4).collect();
        let (random, loads) = (Random::new(&weights), Array::idle(100));
        let mut chance = fastrand::Rng::with_seed(7);
        for _ in 0..25_000 {
            let entry = pick(&random, &weights, &loads, &mut chance, |_| false).unwrap();
            loads.claim(entry);
        }
        for (entry, (load, weight)) in loads.0.borrow().iter().zip(&weights).enumerate() {
            // The ideal is 100 a weight; a plain draw is off by 40 and more among a hundred.
            let off = load.abs_diff(100 * weight);
            assert!(off <= 8 * weight, "{entry} of weight {weight} has {load}");
        }
    }

    #[test]
    fn what_was_tried_is_chosen_by_neither_draw() {
        let (weights, loads) = ([1, 1, 1], Array::idle(3));
        let random = Random::new(&weights);
        let mut chance = fastrand::Rng::with_seed(7);
        for _ in 0..100 {
            let entry = pick(&random, &weights, &loads, &mut chance, |entry| entry < 2);
            assert_eq!(entry, Some(2));
        }
    }
}
