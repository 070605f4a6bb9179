use proptest::prelude::*;

use super::*;
use crate::metrics::Metrics;
use Standing::{Able, LastResort, Unable, Unjudged};

fn entries(weights: &[(u64, bool)]) -> Box<[Entry]> {
    let metrics = Metrics::new(1);
    let entry = |(index, &(thousandths, strict)): (usize, &(u64, bool))| {
        let name: Arc<str> = format!("p{index}").into();
        Entry {
            pool: PoolId(index),
            weight: Weight::from_thousandths(thousandths),
            strict,
            traffic: metrics.traffic("r", &name),
            name,
        }
    };
    weights.iter().enumerate().map(entry).collect()
}

fn split(weights: &[(u64, bool)], standings: &[Standing], previous: Option<&Split>) -> Split {
    Split::build(entries(weights), standings, previous)
}

/// How many of the next requests each pool gets, and last how many are refused.
fn takes(split: &Split, requests: usize) -> Vec<u64> {
    let mut counts = vec![0; split.entries().len() + 1];
    for _ in 0..requests {
        counts[taken(split)] += 1;
    }
    counts
}

fn taken(split: &Split) -> usize {
    match split.take() {
        Turn::Entry { entry, .. } => entry.pool.0,
        Turn::Nobody { .. } => split.entries().len(),
        Turn::Outdated => panic!("nothing follows this split"),
    }
}

const STABLE_AND_CANARY: [(u64, bool); 2] = [(95_000, false), (5_000, false)];

#[test]
fn what_nobody_takes_of_a_last_resort_is_its_own_again() {
    let cases: &[(&[Standing], &[u64])] = &[
        (&[Able, Able], &[95, 5, 0]),
        (&[Able, LastResort], &[100, 0, 0]),
        (&[LastResort, Able], &[95, 5, 0]),
        (&[Unable, Able], &[0, 5, 95]),
        (&[LastResort, Unable], &[95, 0, 5]),
        (&[Unable, LastResort], &[0, 5, 95]),
        (&[LastResort, LastResort], &[95, 5, 0]),
        (&[Unable, Unable], &[0, 0, 100]),
        (&[Unjudged, Unable], &[100, 0, 0]),
        (&[Unable, Unjudged], &[0, 5, 95]),
    ];
    for (standings, expected) in cases {
        let got = takes(&split(&STABLE_AND_CANARY, standings, None), 100);
        assert_eq!(got, *expected, "{standings:?}");
    }
}

#[test]
fn a_last_resort_takes_nothing_of_another_pool() {
    let three = [(600, false), (300, false), (100, true)];
    let standings = [Unable, LastResort, LastResort];
    assert_eq!(takes(&split(&three, &standings, None), 10), [0, 3, 1, 6]);
}

#[test]
fn the_only_pool_of_a_route_is_tried_as_its_last_resort() {
    for standing in [Able, Unjudged, LastResort] {
        let one = split(&[(1, false)], &[standing], None);
        assert_eq!(takes(&one, 3), [3, 0], "{standing:?}");
    }
    let one = split(&[(1, false)], &[Unable], None);
    assert_eq!(takes(&one, 3), [0, 3]);
}

#[test]
fn a_weight_of_zero_is_nobodys_turn_whatever_the_standings() {
    for standing in [Able, Unjudged, LastResort, Unable] {
        let zero = split(&[(1, false), (0, false)], &[Unable, standing], None);
        assert_eq!(takes(&zero, 50), [0, 0, 50], "{standing:?}");
    }
}

#[test]
fn standings_that_change_nothing_keep_the_very_same_schedule() {
    let before = split(&STABLE_AND_CANARY, &[Able, Able], None);
    takes(&before, 7);
    let after = split(&STABLE_AND_CANARY, &[Able, Unjudged], Some(&before));
    assert!(Arc::ptr_eq(before.rotation(), after.rotation()));
    // The same shares, written otherwise.
    let after = split(&[(1_900, false), (100, false)], &[Able, Able], Some(&after));
    assert!(Arc::ptr_eq(before.rotation(), after.rotation()));
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![4 => Just(Able), 1 => Just(Unjudged), 1 => Just(LastResort), 2 => Just(Unable)]
}

fn weight() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        4 => (1_u64..100).prop_map(|whole| whole * 1_000),
        2 => 1_u64..100_000,
    ]
}

/// Entries, and then again and again: their standings, and how many requests come while they stand still.
#[expect(clippy::type_complexity, reason = "the parts of a made-up history")]
fn history() -> impl Strategy<Value = (Vec<(u64, bool)>, Vec<(Vec<Standing>, usize)>)> {
    (1_usize..6).prop_flat_map(|count| {
        let entry = (weight(), prop::bool::weighted(0.2));
        let phase = (prop::collection::vec(standing(), count), 0_usize..150);
        (
            prop::collection::vec(entry, count),
            prop::collection::vec(phase, 1..12),
        )
    })
}

proptest! {
    #[test]
    fn every_prefix_is_within_the_bound_while_the_shares_stand_still(
        weights in prop::collection::vec((weight(), prop::bool::weighted(0.2)), 1..6),
        standings in prop::collection::vec(standing(), 6),
        requests in 1_usize..400,
    ) {
        let split = split(&weights, &standings[..weights.len()], None);
        let chances = chances(split.entries(), &standings[..weights.len()]);
        let sum: i128 = chances.iter().map(|&chance| i128::from(chance)).sum();
        prop_assume!(sum > 0);
        let choosable = chances.iter().filter(|chance| **chance > 0).count();
        let mut got = vec![0_i128; chances.len()];
        for n in 1..=requests as i128 {
            got[taken(&split)] += 1;
            for (got, &chance) in got.iter().zip(&chances) {
                // got against n * chance / sum, all whole.
                let off = (got * sum - n * i128::from(chance)).abs();
                prop_assert!(chance > 0 || *got == 0);
                if choosable <= 2 {
                    prop_assert!(2 * off <= sum, "{off} of {sum} at {n}");
                } else {
                    prop_assert!(off < sum, "{off} of {sum} at {n}");
                }
            }
        }
    }

    #[test]
    fn counts_are_conserved_and_no_change_makes_a_burst((weights, history) in history()) {
        let mut current: Option<Split> = None;
        let mut total = vec![0_u64; weights.len()];
        for (standings, requests) in history {
            let next = split(&weights, &standings, current.as_ref());
            next.rotation().start();
            if let Some(old) = &current
                && weights.len() > 1
                && !Arc::ptr_eq(old.rotation(), next.rotation())
            {
                prop_assert!(matches!(old.take(), Turn::Outdated));
            }
            let chances = chances(next.entries(), &standings);
            let sum = chances.iter().sum::<u64>() as f64;
            let mut got = vec![0_u64; chances.len()];
            for n in 1..=requests {
                got[taken(&next)] += 1;
                for (got, &chance) in got.iter().zip(&chances) {
                    prop_assert!(chance > 0 || *got == 0 || sum == 0.0);
                    if sum > 0.0 {
                        // What was carried over is at most two requests, and the sequence is within one of that.
                        let off = *got as f64 - n as f64 * chance as f64 / sum;
                        prop_assert!(off.abs() < 3.0, "{off} after {n} at {chances:?}");
                    }
                }
            }
            for (total, got) in total.iter_mut().zip(&got) {
                *total += got;
            }
            if weights.len() > 1 {
                prop_assert_eq!(next.assigned(), total.clone());
            }
            current = Some(next);
        }
    }

    #[test]
    fn two_pools_that_stand_in_for_each_other_stay_within_a_half_over_all_changes(
        stable in 10_u64..=100,
        canary in 10_u64..=100,
        history in prop::collection::vec((0_usize..3, 0_usize..40), 1..20),
    ) {
        let weights = [(stable, false), (canary, false)];
        let mut current: Option<Split> = None;
        let (mut expected, mut got) = ([0.0; 2], [0_u64; 2]);
        for (kind, requests) in history {
            let standings = [[Able, Able], [Unable, Able], [Able, Unable]][kind];
            let next = split(&weights, &standings, current.as_ref());
            next.rotation().start();
            let chances = chances(next.entries(), &standings);
            let sum = chances.iter().sum::<u64>() as f64;
            for _ in 0..requests {
                got[taken(&next)] += 1;
                for pool in 0..2 {
                    expected[pool] += chances[pool] as f64 / sum;
                    let off = (expected[pool] - got[pool] as f64).abs();
                    prop_assert!(off <= 0.5 + 1e-6, "{off}");
                }
            }
            current = Some(next);
        }
    }
}
