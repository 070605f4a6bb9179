//! Keys stay where they are, shares follow the weights, and nobody is filled beyond the bound.

use proptest::prelude::*;

use super::*;
use crate::balance::loads::tests::Array;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("10.0.0.{n}:8080")).collect()
}

fn ring(names: &[String], weights: &[u64]) -> Arc<Ring> {
    let entries = names
        .iter()
        .map(|name| Arc::from(name.as_str()))
        .zip(weights.iter().copied());
    Arc::new(Ring::new(&entries.collect::<Vec<_>>()))
}

fn unbounded(names: &[String], weights: &[u64]) -> RingHash {
    RingHash::new(ring(names, weights), None, weights)
}

fn keys(count: usize) -> impl Iterator<Item = u64> {
    (0..count).map(|n| hash(format!("user-{n}").as_bytes()))
}

/// The name of the entry that a key goes to.
fn home<'n>(balancer: &RingHash, names: &'n [String], weights: &[u64], key: u64) -> &'n str {
    let idle = Array::idle(names.len());
    &names[balancer.pick(key, weights, &idle, |_| false).unwrap()]
}

#[test]
fn the_hash_of_a_key_is_the_published_one() {
    // XXH3-64 with seed 0, as its reference has it; replicas of other versions rely on it.
    assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
    let names = names(4);
    let homes: Vec<&str> = keys(8)
        .map(|key| home(&unbounded(&names, &[1_000; 4]), &names, &[1_000; 4], key))
        .collect();
    let last = |home: &&str| home.as_bytes()[7] - b'0';
    assert_eq!(homes.iter().map(last).collect::<Vec<_>>(), EXPECTED);
}

/// Where the first eight keys belong among four endpoints: a change of these moves users at an upgrade.
const EXPECTED: [u8; 8] = [0, 2, 2, 1, 0, 3, 3, 3];

#[test]
fn shares_follow_the_weights_within_what_the_points_allow() {
    let names = names(4);
    let weights = [1_000, 2_000, 5_000, 500];
    let balancer = unbounded(&names, &weights);
    let mut got = [0_u32; 4];
    for key in keys(20_000) {
        let home = home(&balancer, &names, &weights, key);
        got[names.iter().position(|name| name == home).unwrap()] += 1;
    }
    for (got, weight) in got.iter().zip(weights) {
        let ideal = 20_000.0 * weight as f64 / 8_500.0;
        // Four times the deviation of the points.
        let allowed = 4.0 * ideal / (weight as f64 * 0.16).sqrt();
        assert!(
            (f64::from(*got) - ideal).abs() < allowed,
            "{got} of {ideal}"
        );
    }
}

#[test]
fn a_hot_key_fills_no_entry_beyond_the_bound() {
    let names = names(5);
    let weights = [1_000, 1_000, 2_000, 1_000, 500];
    let balancer = RingHash::new(ring(&names, &weights), Some(1_250), &weights);
    let loads = Array::idle(5);
    for n in 1..=500_u64 {
        let entry = balancer
            .pick(hash(b"hot"), &weights, &loads, |_| false)
            .unwrap();
        let room = (1_250 * n * weights[entry]).div_ceil(1_000 * 5_500);
        assert!(loads.0.borrow()[entry] <= room, "{entry} of {:?}", loads.0);
    }
}

#[test]
fn a_further_try_goes_on_along_the_ring() {
    let names = names(3);
    let weights = [1_000; 3];
    let loads = Array::idle(3);
    for balancer in [
        unbounded(&names, &weights),
        RingHash::new(ring(&names, &weights), Some(1_250), &weights),
    ] {
        let first = balancer.pick(7, &weights, &loads, |_| false).unwrap();
        let second = balancer
            .pick(7, &weights, &loads, |entry| entry == first)
            .unwrap();
        assert_ne!(first, second);
        assert_eq!(balancer.pick(7, &weights, &loads, |_| true), None);
    }
}

#[test]
fn a_ring_of_too_many_points_is_thinned_and_keeps_everybody() {
    let names = names(3);
    let ring = ring(&names, &[1_000_000_000, 1_000_000_000, 1]);
    assert!(ring.points() as u64 <= MOST_POINTS);
    assert!(ring.from(0).any(|entry| entry == 2));
}

#[test]
fn an_empty_ring_has_nobody() {
    assert_eq!(
        unbounded(&[], &[]).pick(1, &[], &Array::idle(0), |_| false),
        None
    );
    let names = names(1);
    let none = RingHash::new(ring(&names, &[0]), Some(1_250), &[0]);
    assert_eq!(none.pick(1, &[0], &Array::idle(1), |_| false), None);
}

proptest! {
    #[test]
    fn when_an_entry_leaves_or_is_unready_its_keys_move_and_no_others(
        weights in prop::collection::vec(100_u64..4_000, 2..12),
        gone in any::<prop::sample::Index>(),
    ) {
        let names = names(weights.len());
        let gone = gone.index(names.len());
        let all = unbounded(&names, &weights);
        let mut unready = weights.clone();
        unready[gone] = 0;
        let (mut fewer, mut lighter) = (names.clone(), weights.clone());
        fewer.remove(gone);
        lighter.remove(gone);
        // In another order of the file, too.
        fewer.reverse();
        lighter.reverse();
        let left = unbounded(&fewer, &lighter);
        for key in keys(300) {
            let before = home(&all, &names, &weights, key);
            let without = home(&left, &fewer, &lighter, key);
            prop_assert_eq!(home(&all, &names, &unready, key), without);
            prop_assert!(before == without || before == names[gone], "{before} to {without}");
        }
    }

    #[test]
    fn every_walk_meets_everybody_and_begins_at_the_key(key in any::<u64>(), count in 1_usize..6) {
        let names = names(count);
        let ring = ring(&names, &vec![1_000; count]);
        let around: Vec<usize> = ring.from(key).collect();
        prop_assert_eq!(around.len(), ring.points());
        let place = key >> OWNER_BITS << OWNER_BITS;
        let first = ring.points.iter().position(|point| *point >= place).unwrap_or(0);
        let owner = (ring.points[first] & ((1 << OWNER_BITS) - 1)) as usize;
        prop_assert_eq!(around[0], ring.entries[owner] as usize);
    }

    #[test]
    fn under_any_keys_and_ends_nobody_is_above_the_bound(
        weights in prop::collection::vec(0_u64..3_000, 2..8),
        factor in 1_000_u64..3_000,
        steps in prop::collection::vec((0_u64..5, any::<usize>()), 1..200),
    ) {
        let sum: u64 = weights.iter().sum();
        prop_assume!(sum > 0);
        let names = names(weights.len());
        let balancer = RingHash::new(ring(&names, &weights), Some(factor), &weights);
        let loads = Array::idle(weights.len());
        let mut open = Vec::new();
        for (key, end) in steps {
            let n = loads.sum() + 1;
            let key = hash(&key.to_be_bytes());
            let entry = balancer.pick(key, &weights, &loads, |_| false).unwrap();
            let room = (u128::from(factor) * u128::from(n) * u128::from(weights[entry]))
                .div_ceil(1_000 * u128::from(sum));
            prop_assert!(u128::from(loads.0.borrow()[entry]) <= room);
            open.push(entry);
            if end % 3 == 0 {
                loads.leave(open.swap_remove(end % open.len()));
            }
        }
    }
}
