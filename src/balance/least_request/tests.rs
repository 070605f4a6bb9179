//! The bounds of the least loaded choice, and its turns among equals.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::balance::loads::tests::Array;

fn next(balancer: &LeastRequest, loads: &impl Loads, chance: &mut fastrand::Rng) -> usize {
    balancer.pick(loads, chance, |_| false).unwrap()
}

/// Counts that threads share.
struct Shared(Vec<AtomicU64>);

impl Loads for Shared {
    fn load(&self, entry: usize) -> Load {
        Load {
            claimed: self.0[entry].load(Ordering::Relaxed),
            beside: 0,
        }
    }

    fn try_claim(&self, entry: usize, seen: Load) -> bool {
        let (old, new) = (seen.claimed, seen.claimed + 1);
        self.0[entry]
            .compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn claim(&self, entry: usize) {
        self.0[entry].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }
}

#[test]
fn of_idle_equals_each_has_its_turn() {
    let (balancer, loads) = (LeastRequest::new(&[1; 5], None), Array::idle(5));
    let mut chance = fastrand::Rng::with_seed(7);
    for n in 0..25 {
        let entry = next(&balancer, &loads, &mut chance);
        loads.leave(entry);
        assert_eq!(entry, n % 5);
    }
}

#[test]
fn an_entry_that_is_held_up_is_left_out_and_the_others_go_on_in_turn() {
    let (balancer, loads) = (LeastRequest::new(&[1; 4], None), Array::idle(4));
    loads.claim(2);
    let mut chance = fastrand::Rng::with_seed(7);
    let mut got = [0; 4];
    for _ in 0..300 {
        let entry = next(&balancer, &loads, &mut chance);
        loads.leave(entry);
        got[entry] += 1;
    }
    assert_eq!(got, [100, 100, 0, 100]);
    // It comes free, and gets its turn: no burst.
    loads.leave(2);
    let mut got = [0; 4];
    for _ in 0..40 {
        let entry = next(&balancer, &loads, &mut chance);
        loads.leave(entry);
        got[entry] += 1;
    }
    assert!(got.iter().all(|got| (9..=11).contains(got)), "{got:?}");
}

#[test]
fn who_comes_into_a_pool_at_work_gets_no_burst() {
    let (balancer, loads) = (LeastRequest::new(&[1; 3], None), Array::idle(4));
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..1_000 {
        loads.leave(next(&balancer, &loads, &mut chance));
    }
    let origin = [Some(0), Some(1), Some(2), None];
    let balancer = LeastRequest::new(&[1; 4], Some((&balancer, &origin)));
    let mut got = [0; 4];
    for _ in 0..40 {
        let entry = next(&balancer, &loads, &mut chance);
        loads.leave(entry);
        got[entry] += 1;
    }
    assert!(got.iter().all(|got| (9..=11).contains(got)), "{got:?}");
}

#[test]
fn a_light_entry_is_not_filled_before_a_heavy_one_has_its_due() {
    let (balancer, loads) = (LeastRequest::new(&[100, 1], None), Array::idle(2));
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..101 {
        next(&balancer, &loads, &mut chance);
    }
    assert_eq!(*loads.0.borrow(), [100, 1]);
}

#[test]
fn none_of_several_workers_acts_on_an_old_count() {
    let balancer = LeastRequest::new(&[1; 7], None);
    let loads = Shared((0..7).map(|_| AtomicU64::new(0)).collect());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (balancer, loads) = (&balancer, &loads);
            scope.spawn(move || {
                let mut chance = fastrand::Rng::with_seed(seed);
                for _ in 0..1_000 {
                    next(balancer, loads, &mut chance);
                }
            });
        }
    });
    let counts: Vec<u64> = loads
        .0
        .iter()
        .map(|load| load.load(Ordering::Relaxed))
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 4_000);
    assert!(
        counts.iter().all(|count| (571..=572).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn of_ten_thousand_a_sample_is_compared_and_loads_stay_close() {
    let weights = vec![1; 10_000];
    let (balancer, loads) = (LeastRequest::new(&weights, None), Array::idle(10_000));
    let mut chance = fastrand::Rng::with_seed(7);
    for _ in 0..50_000 {
        next(&balancer, &loads, &mut chance);
    }
    let loads = loads.0.borrow();
    let most = loads.iter().max().unwrap();
    assert!(*most <= 7, "{most} where 5 is the mean");
}

#[test]
fn what_was_tried_is_not_chosen_again() {
    let (balancer, loads) = (LeastRequest::new(&[1; 3], None), Array::idle(3));
    loads.claim(2);
    let mut chance = fastrand::Rng::with_seed(7);
    assert_eq!(
        balancer.pick(&loads, &mut chance, |entry| entry < 2),
        Some(2)
    );
    assert_eq!(balancer.pick(&loads, &mut chance, |_| true), None);
}

proptest! {
    #[test]
    fn requests_that_never_end_stay_by_their_shares(
        weights in prop::collection::vec(0_u64..1_000, 1..40),
    ) {
        let sum: u64 = weights.iter().sum();
        prop_assume!(sum > 0);
        let count = weights.iter().filter(|weight| **weight > 0).count() as f64;
        let is_even = weights.iter().filter(|weight| **weight > 0).min() == weights.iter().max();
        let (balancer, loads) = (LeastRequest::new(&weights, None), Array::idle(weights.len()));
        let mut chance = fastrand::Rng::with_seed(7);
        for n in 1..=400_u64 {
            next(&balancer, &loads, &mut chance);
            for (&load, &weight) in loads.0.borrow().iter().zip(&weights) {
                let off = load as f64 - n as f64 * weight as f64 / sum as f64;
                let bound = match is_even || count <= 2.0 {
                    true => 1.0,
                    false => 1.0 + (count - 2.0) * weight as f64 / sum as f64,
                };
                prop_assert!(off.abs() < bound + 1e-9, "{off} after {n} of {weights:?}");
            }
        }
    }

    #[test]
    fn one_request_at_a_time_gives_every_entry_its_share(
        weights in prop::collection::vec(1_u64..1_000, 2..20),
    ) {
        let sum: u64 = weights.iter().sum();
        let (balancer, loads) = (LeastRequest::new(&weights, None), Array::idle(weights.len()));
        let mut chance = fastrand::Rng::with_seed(7);
        let mut got = vec![0_u64; weights.len()];
        for n in 1..=400_u64 {
            let entry = next(&balancer, &loads, &mut chance);
            loads.leave(entry);
            got[entry] += 1;
            for (&got, &weight) in got.iter().zip(&weights) {
                let share = weight as f64 / sum as f64;
                let bound = 0.5 + (weights.len() as f64 - 2.0) / 2.0 * share;
                let off = got as f64 - n as f64 * share;
                prop_assert!(off.abs() <= bound + 0.01, "{off} after {n} of {weights:?}");
            }
        }
    }

    #[test]
    fn whatever_comes_and_goes_no_one_is_chosen_whom_another_would_not_overtake(
        weights in prop::collection::vec(0_u64..50, 1..12),
        ends in prop::collection::vec(any::<usize>(), 0..300),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let (balancer, loads) = (LeastRequest::new(&weights, None), Array::idle(weights.len()));
        let mut chance = fastrand::Rng::with_seed(7);
        let mut open = Vec::new();
        for end in ends {
            let before = loads.0.borrow().clone();
            let entry = next(&balancer, &loads, &mut chance);
            prop_assert!(weights[entry] > 0);
            for (other, &weight) in weights.iter().enumerate() {
                prop_assert!(
                    before[entry] * weight < (before[other] + 1) * weights[entry],
                    "{entry}, not {other}, of {before:?} by {weights:?}"
                );
            }
            open.push(entry);
            if end % 3 > 0 {
                loads.leave(open.swap_remove(end % open.len()));
            }
        }
    }
}
