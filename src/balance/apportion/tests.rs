//! The bound of the exact sequence, at every prefix, in exact arithmetic.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::claim::{Claim, ONE, reduce};
use super::{Pair, Quota, Turn};

fn claims(weights: &[u64]) -> Vec<Claim> {
    with_credits(weights, &vec![0; weights.len()])
}

fn with_credits(weights: &[u64], credits: &[i64]) -> Vec<Claim> {
    let entries = reduce(weights);
    let numbered = (0..).zip(entries.iter().zip(credits));
    numbered
        .map(|(entry, (&weight, &credit))| Claim {
            entry,
            weight,
            credit,
        })
        .collect()
}

/// Fails as soon as a count is further than `1 - 1/(2k-2)` from its ideal, in whole numbers.
fn assert_bounded(weights: &[u64], mut next: impl FnMut() -> u32, slots: u64) {
    let sum: i128 = weights.iter().map(|&weight| i128::from(weight)).sum();
    let spread = 2 * weights.len() as i128 - 2;
    let mut counts = vec![0_i128; weights.len()];
    for slot in 1..=i128::from(slots) {
        counts[next() as usize] += 1;
        for (entry, (&weight, &count)) in weights.iter().zip(&counts).enumerate() {
            let deviation = (slot * i128::from(weight) - count * sum).abs();
            assert!(
                deviation * spread <= sum * (spread - 1),
                "entry {entry} of {weights:?} has {count} after {slot}"
            );
        }
    }
}

/// Weights of three decimals as thousandths, their sum at most 10^7 of them.
fn unequal(entries: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u64>> {
    let weight = prop_oneof![1_u64..10, 1_u64..1_000, 1_u64..150_000];
    prop::collection::vec(weight, entries)
}

/// Credits that add up to nothing, each within one request.
fn credits(entries: usize) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(-ONE..=ONE, entries).prop_map(|mut credits| {
        let mean = credits.iter().sum::<i64>() / credits.len() as i64;
        credits
            .iter_mut()
            .for_each(|credit| *credit = (*credit - mean) / 2);
        let rest: i64 = credits.iter().sum();
        credits[0] -= rest;
        credits
    })
}

fn claimed(entries: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Claim>> {
    unequal(entries).prop_flat_map(|weights| {
        credits(weights.len()).prop_map(move |credits| with_credits(&weights, &credits))
    })
}

#[test]
fn a_canary_of_a_tenth_percent_gets_one_of_each_thousand() {
    let weights = [999, 1];
    let pair = Pair::new(claims(&weights)[0], claims(&weights)[1]);
    let canary: Vec<u64> = (0..5_000).filter(|&n| pair.entry(n) == 1).collect();
    assert_eq!(canary, [500, 1_500, 2_500, 3_500, 4_500]);
}

#[test]
fn equal_weights_take_turns_in_the_order_of_their_indices() {
    let turn = Turn::new(&claims(&[7; 5]));
    let got: Vec<u32> = (0..8).map(|n| turn.entry(n)).collect();
    assert_eq!(got, [0, 1, 2, 3, 4, 0, 1, 2]);
}

#[test]
fn the_scan_and_the_heaps_agree_over_many_entries() {
    let weights: Vec<u64> = (0..1_000).map(|i| (i * i * 7_919) % 99_991 + 1).collect();
    let (mut scan, mut heaps) = (
        Quota::scanning(&claims(&weights)),
        Quota::heaping(&claims(&weights)),
    );
    for slot in 0..5_000 {
        assert_eq!(scan.next_entry(), heaps.next_entry(), "slot {slot}");
    }
}

#[test]
fn the_largest_weights_and_the_most_entries_do_not_overflow() {
    let weights: Vec<u64> = (0..10_000).map(|i| 1_000_000_000_000 - i * i).collect();
    let mut credits = vec![0; weights.len()];
    (credits[0], credits[9_999]) = (ONE, -ONE);
    let mut quota = Quota::new(&with_credits(&weights, &credits));
    let mut counts = vec![0_u32; weights.len()];
    (0..20_000).for_each(|_| counts[quota.next_entry() as usize] += 1);
    assert!(counts.iter().all(|&count| (1..=3).contains(&count)));

    let (huge, far) = (1_000_000_000_000, 1 << 62);
    let pair = Pair::new(claims(&[huge, huge - 1])[0], claims(&[huge, huge - 1])[1]);
    let [(_, first), (_, second)] = pair.counts(far);
    assert_eq!(first + second, far);
    let ideal = u128::from(far) * u128::from(huge) / u128::from(2 * huge - 1);
    assert!(u128::from(first).abs_diff(ideal) <= 1, "{first} {ideal}");
    assert!(pair.entry(far) < 2);
}

#[test]
fn weights_beyond_all_bounds_are_rounded_and_none_becomes_zero() {
    let reduced = reduce(&[u64::MAX, u64::MAX - 1, 1, 0]);
    assert!(reduced.iter().sum::<u64>() <= 1 << 60, "{reduced:?}");
    assert_eq!(reduced[2..], [1, 0]);
    assert_eq!(*reduce(&[2_000, 0, 500]), [4, 0, 1]);
    assert_eq!(*reduce(&[0, 0]), [0, 0]);
    let mut quota = Quota::new(&claims(&[u64::MAX, u64::MAX - 1, 1]));
    (0..1_000).for_each(|_| assert!(quota.next_entry() < 2));
}

#[test]
fn credit_beyond_half_a_request_is_worked_off_first() {
    let pair = |credit: i64| {
        let claims = with_credits(&[1, 3], &[credit, -credit]);
        let pair = Pair::new(claims[0], claims[1]);
        (0..8).map(|n| pair.entry(n)).collect::<Vec<_>>()
    };
    assert_eq!(pair(0), [1, 0, 1, 1, 1, 0, 1, 1]);
    assert_eq!(pair(ONE), [0, 0, 1, 1, 1, 0, 1, 1]);
    assert_eq!(pair(-ONE), [1, 1, 1, 1, 1, 0, 1, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_prefix_of_any_weights_keeps_the_bound(weights in unequal(2..=64)) {
        let mut quota = Quota::new(&claims(&weights));
        let sum: u64 = weights.iter().sum();
        assert_bounded(&weights, || quota.next_entry(), sum.min(5_000));
    }

    #[test]
    fn a_whole_period_gives_everybody_its_weight(weights in prop::collection::vec(1_u64..60, 3..=12)) {
        let mut quota = Quota::new(&claims(&weights));
        let sum: u64 = reduce(&weights).iter().sum();
        assert_bounded(&weights, || quota.next_entry(), sum);
        for (entry, count) in quota.counts() {
            prop_assert_eq!(count, reduce(&weights)[entry as usize]);
        }
    }

    #[test]
    fn the_closed_form_of_two_keeps_half_at_every_prefix(weights in unequal(2..=2)) {
        let claims = claims(&weights);
        let pair = Pair::new(claims[0], claims[1]);
        let mut slots = 0..;
        let next = || pair.entry(slots.next().expect("without end"));
        assert_bounded(&weights, next, weights.iter().sum::<u64>().min(20_000));
    }

    #[test]
    fn the_scan_and_the_heaps_give_the_same_sequence(claims in claimed(2..=40)) {
        let (mut scan, mut heaps) = (Quota::scanning(&claims), Quota::heaping(&claims));
        for slot in 0..2_000 {
            prop_assert_eq!(scan.next_entry(), heaps.next_entry(), "slot {}", slot);
        }
    }

    #[test]
    fn the_closed_form_of_two_is_the_general_rule(claims in claimed(2..=2)) {
        let pair = Pair::new(claims[0], claims[1]);
        let mut quota = Quota::scanning(&claims);
        for slot in 0..2_000 {
            let counts: Vec<_> = quota.counts().collect();
            prop_assert_eq!(&pair.counts(slot)[..], &counts[..], "slot {}", slot);
            prop_assert_eq!(pair.entry(slot), quota.next_entry(), "slot {}", slot);
        }
    }

    #[test]
    fn turns_without_credit_are_the_general_rule(entries in 2_usize..=40) {
        let claims = claims(&vec![1; entries]);
        let turn = Turn::new(&claims);
        let mut quota = Quota::scanning(&claims);
        for slot in 0..200 {
            prop_assert_eq!(turn.entry(slot), quota.next_entry(), "slot {}", slot);
        }
    }

    #[test]
    fn turns_always_go_to_the_largest_credit(credits in (2_usize..30).prop_flat_map(credits)) {
        let entries = credits.len() as i64;
        let turn = Turn::new(&with_credits(&vec![1; credits.len()], &credits));
        // In units that make a slot's credit whole.
        let mut now: Vec<i64> = credits.iter().map(|credit| credit * entries).collect();
        let mut counts = vec![0; credits.len()];
        for slot in 0..100 {
            let mut told = vec![0; credits.len()];
            turn.counts(slot).for_each(|(entry, count)| told[entry as usize] += count);
            prop_assert_eq!(&told, &counts);
            let chosen = turn.entry(slot) as usize;
            let largest = now.iter().copied().max().expect("there are some");
            prop_assert!(largest - now[chosen] <= (1 << 16) * entries, "slot {} {:?}", slot, now);
            now[chosen] -= ONE * entries;
            now.iter_mut().for_each(|credit| *credit += ONE);
            counts[chosen] += 1;
        }
    }

    #[test]
    fn turns_come_due_in_the_order_told(credits in (2_usize..20).prop_flat_map(credits), after in 40_u64..80) {
        let turn = Turn::new(&with_credits(&vec![1; credits.len()], &credits));
        let due: Vec<u32> = turn.due(after).collect();
        let next: Vec<u32> = (after..).take(credits.len()).map(|n| turn.entry(n)).collect();
        prop_assert_eq!(due, next);
    }

    #[test]
    fn carried_credit_is_neither_lost_nor_a_burst(claims in claimed(3..=24)) {
        let mut quota = Quota::new(&claims);
        let sum: i128 = claims.iter().map(|claim| i128::from(claim.weight)).sum();
        let mut counts = vec![0_i128; claims.len()];
        let mut window = VecDeque::new();
        for slot in 1..=1_000_i128 {
            let chosen = quota.next_entry() as usize;
            counts[chosen] += 1;
            window.push_back(chosen);
            if window.len() > 50 {
                window.pop_front();
            }
            for (claim, &count) in claims.iter().zip(&counts) {
                // Credit in units of 2^-32 / sum: never below one request too much, never two owed.
                let credit = i128::from(claim.credit) * sum
                    + (slot * i128::from(claim.weight) - count * sum) * i128::from(ONE);
                let one = sum * i128::from(ONE);
                prop_assert!(credit >= -one && credit < 2 * one, "{:?} slot {}", claims, slot);
            }
            for (index, claim) in claims.iter().enumerate() {
                let got = window.iter().filter(|&&entry| entry == index).count() as i128;
                let fair = window.len() as i128 * i128::from(claim.weight) / sum + 1;
                prop_assert!(got <= fair + 2, "{got} of {:?}", window);
            }
        }
    }
}
