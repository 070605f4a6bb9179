//! How many endpoints of a pool may be dead at a time: at most half, but at least one.
//!
//! A liveness probe that is wrong for all endpoints at once (a typo in its path, a dependency that all share) would
//! otherwise cut every request in flight. Those held back are unready, and nothing of theirs is cut. Pure; `control`
//! calls it for a pool whenever a liveness verdict, an order or a reload has touched it.

use crate::endpoint::state::Held;

/// How an endpoint of the pool stands with its liveness probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It passes, has none, or drains: it is no candidate.
    Sound,
    /// It fails, and is dead already.
    Dead,
    /// It fails, and is not dead: failed lately, or held back until now.
    Failing {
        /// Which came first: lower failed earlier. Ties go by the order in the pool.
        order: u64,
    },
}

/// Who of a pool is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// One for each endpoint, in the order given. [`Held::Free`] for those that do not fail liveness.
    pub held: Vec<Held>,
    /// How many are held back: `fiel_pool_liveness_held`.
    pub held_count: usize,
}

/// The most endpoints of a pool that may be dead at a time.
#[must_use]
pub fn most_dead(endpoints: usize) -> usize {
    (endpoints / 2).max(1)
}

/// Decides who may be dead.
///
/// Who is dead stays so, even where a reload has made the pool smaller: what was cut does not come back. Free places
/// go to those that failed first.
#[must_use]
pub fn rule(pool: &[Standing]) -> Ruling {
    let dead = pool
        .iter()
        .filter(|standing| **standing == Standing::Dead)
        .count();
    let places = most_dead(pool.len()).saturating_sub(dead);

    let mut failing: Vec<(u64, usize)> = pool
        .iter()
        .enumerate()
        .filter_map(|(index, standing)| match standing {
            Standing::Failing { order } => Some((*order, index)),
            Standing::Sound | Standing::Dead => None,
        })
        .collect();
    failing.sort_unstable();

    let mut held = vec![Held::Free; pool.len()];
    let held_back = failing.iter().skip(places);
    let held_count = held_back.len();
    for (_, index) in held_back {
        held[*index] = Held::Held;
    }
    Ruling { held, held_count }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Standing::{Dead, Sound};
    use super::*;

    fn failing(order: u64) -> Standing {
        Standing::Failing { order }
    }

    fn held(pool: &[Standing]) -> Vec<usize> {
        let ruling = rule(pool);
        let held: Vec<usize> = (0..pool.len())
            .filter(|index| ruling.held[*index] == Held::Held)
            .collect();
        assert_eq!(held.len(), ruling.held_count, "{pool:?}");
        held
    }

    #[test]
    fn half_of_a_pool_may_be_dead_and_at_least_one() {
        let cases: [(&[Standing], &[usize]); 8] = [
            (&[], &[]),
            (&[failing(0)], &[]),
            (&[failing(0), failing(1)], &[1]),
            (&[failing(0), failing(1), failing(2)], &[1, 2]),
            (&[failing(0), Sound, failing(1), Sound], &[]),
            (&[Sound, Dead, failing(7)], &[2]),
            (&[Dead, Dead, failing(1), Sound], &[2]),
            (&[Dead, Dead], &[]),
        ];
        for (pool, expected) in cases {
            assert_eq!(held(pool), expected, "{pool:?}");
        }
    }

    #[test]
    fn the_places_go_to_those_that_failed_first_and_ties_to_the_order_of_the_pool() {
        assert_eq!(
            held(&[failing(9), failing(3), failing(3), failing(1)]),
            [0, 2]
        );
    }

    #[test]
    fn a_held_one_takes_the_place_of_a_dead_one_that_recovered() {
        assert_eq!(held(&[Dead, Sound, failing(4), failing(2)]), [2]);
        assert_eq!(
            held(&[Sound, Sound, failing(4), failing(2)]),
            [] as [usize; 0]
        );
    }

    proptest! {
        #[test]
        fn new_deaths_never_pass_the_bound_and_no_place_stays_empty(
            pool in proptest::collection::vec(
                prop_oneof![Just(Sound), Just(Dead), (0..5_u64).prop_map(failing)],
                0..12,
            )
        ) {
            let ruling = rule(&pool);
            let dead_before = pool.iter().filter(|standing| **standing == Dead).count();
            let may_die = pool
                .iter()
                .zip(&ruling.held)
                .filter(|(standing, held)| **standing != Sound && **held == Held::Free)
                .count();
            let bound = most_dead(pool.len()).max(dead_before);
            prop_assert!(may_die <= bound);
            prop_assert!(ruling.held_count == 0 || may_die == bound);
            for (standing, held) in pool.iter().zip(&ruling.held) {
                let fails = matches!(standing, Standing::Failing { order: _ });
                prop_assert!(fails || *held == Held::Free);
            }
        }
    }
}
