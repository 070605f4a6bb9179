//! Which weights are in force when some pools of a split have nothing ready: a pure function.
//!
//! A pool without a ready endpoint gives its share to the others in proportion to their weights, but only to those
//! with at least a tenth of its own weight: a canary is no spare for the stable version. A strict entry neither gives
//! nor takes. What nobody may take stays unplaced and is told entry by entry, so that whoever schedules it can be exact
//! about that as well.
//! Several pools may be down at once; each gives by its own weight, to the configured weights of those that are ready,
//! so nothing depends on the order in which they went.

use crate::units::Weight;

/// The weights in force. Only their proportions mean anything: they are whole numbers of a unit chosen to make all
/// shares exact, and divided by what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// One for each entry, in the order given; zero is never chosen.
    pub entries: Vec<u64>,
    /// The part of each entry's own weight that nobody may take, in the same unit.
    pub unplaced: Vec<u64>,
}

/// An entry takes over from one that is down when its weight, times this, is not below the other's.
const SPARE: u128 = 10;

/// Sums above this are rounded to fit (see [`effective`]).
const MAX_SUM: u128 = 1 << 60;

/// The weights in force. All three slices are as long as the split has entries.
///
/// Exact as long as the common unit of all shares fits into 60 bits: always with one pool down, and with several unless
/// there are many of large, unrelated weights. Beyond that the shares are rounded to that resolution, their sum is
/// kept, and no share that was above zero becomes zero.
///
/// # Panics
/// When the slices differ in length.
#[must_use]
pub fn effective(weights: &[Weight], strict: &[bool], ready: &[bool]) -> Effective {
    assert_eq!(weights.len(), strict.len(), "one flag for each entry");
    assert_eq!(weights.len(), ready.len(), "one flag for each entry");
    let raw = || {
        weights
            .iter()
            .map(|weight| u128::from(weight.thousandths()))
    };
    let common = raw().fold(0, gcd).max(1);
    let weights: Vec<u128> = raw().map(|weight| weight / common).collect();
    let flow = Flow::new(&weights, strict, ready);
    let shares = flow.exact(&weights, strict, ready);
    shares
        .unwrap_or_else(|| flow.scaled(&weights, strict, ready))
        .fitted()
}

/// Who takes what from whom.
struct Flow {
    /// Entries that may take, the largest first. Whoever is down gives to the first so many of them.
    takers: Vec<usize>,
    gifts: Vec<Gift>,
    /// The part of each entry's weight that has no taker: all of it, or nothing.
    unplaced: Vec<u128>,
}

/// The weight of all who give to the same takers.
struct Gift {
    /// The first so many takers share it.
    takers: usize,
    weight: u128,
    /// The takers' own weight.
    among: u128,
}

impl Flow {
    fn new(weights: &[u128], strict: &[bool], ready: &[bool]) -> Self {
        let takes = |&entry: &usize| ready[entry] && !strict[entry] && weights[entry] > 0;
        let mut takers: Vec<usize> = (0..weights.len()).filter(takes).collect();
        takers.sort_by_key(|&entry| std::cmp::Reverse(weights[entry]));
        let mut given = vec![0; takers.len() + 1];
        let mut unplaced = vec![0; weights.len()];
        for entry in (0..weights.len()).filter(|&entry| !ready[entry]) {
            let spares = |&taker: &usize| weights[taker] * SPARE >= weights[entry];
            match takers.partition_point(spares) {
                spares if spares > 0 && !strict[entry] => given[spares] += weights[entry],
                _ => unplaced[entry] = weights[entry],
            }
        }
        let mut among = 0;
        let mut gifts = Vec::new();
        for (count, &taker) in (1..).zip(&takers) {
            among += weights[taker];
            if given[count] > 0 {
                gifts.push(Gift {
                    takers: count,
                    weight: given[count],
                    among,
                });
            }
        }
        Self {
            takers,
            gifts,
            unplaced,
        }
    }

    /// Every weight in a unit in which all shares are whole; `None` when that does not fit.
    fn exact(&self, weights: &[u128], strict: &[bool], ready: &[bool]) -> Option<Shares> {
        let mut unit: u128 = 1;
        for gift in &self.gifts {
            let parts = gift.among / gcd(gift.among, gift.weight);
            unit = unit.checked_mul(parts / gcd(parts, unit))?;
        }
        let factor = |gift: &Gift| {
            let common = gcd(gift.among, gift.weight);
            (gift.weight / common).checked_mul(unit / (gift.among / common))
        };
        self.spread(weights, strict, ready, unit, factor)
    }

    /// Every weight in units of 2^-32 of the configured ones; shares are rounded down.
    fn scaled(&self, weights: &[u128], strict: &[bool], ready: &[bool]) -> Shares {
        let unit = 1 << 32;
        let factor = |gift: &Gift| Some((gift.weight << 32) / gift.among);
        self.spread(weights, strict, ready, unit, factor)
            .expect("40 bits of a weight, 54 of a sum and 32 of the unit are below 128")
    }

    fn spread(
        &self,
        weights: &[u128],
        strict: &[bool],
        ready: &[bool],
        unit: u128,
        factor: impl Fn(&Gift) -> Option<u128>,
    ) -> Option<Shares> {
        let mut entries = vec![0; weights.len()];
        for entry in (0..weights.len()).filter(|&entry| ready[entry] && strict[entry]) {
            entries[entry] = weights[entry].checked_mul(unit)?;
        }
        // From the smallest taker up: each has part in the gifts that reach as far as its rank.
        let mut gifts = self.gifts.iter().rev().peekable();
        let mut times = unit;
        for (rank, &taker) in self.takers.iter().enumerate().rev() {
            while let Some(gift) = gifts.next_if(|gift| gift.takers > rank) {
                times = times.checked_add(factor(gift)?)?;
            }
            entries[taker] = weights[taker].checked_mul(times)?;
        }
        let unplaced = self.unplaced.iter().map(|weight| weight.checked_mul(unit));
        Some(Shares {
            entries,
            unplaced: unplaced.collect::<Option<_>>()?,
        })
    }
}

struct Shares {
    entries: Vec<u128>,
    unplaced: Vec<u128>,
}

impl Shares {
    fn fitted(mut self) -> Effective {
        let common = self.all().copied().fold(0, gcd).max(1);
        self.all_mut().for_each(|share| *share /= common);
        let before = self.sum();
        if before > MAX_SUM {
            let shift = before.ilog2() - MAX_SUM.ilog2() + 1;
            self.all_mut()
                .for_each(|share| *share = (*share >> shift).max((*share).min(1)));
            // The rounding, at most one unit an entry, goes to the largest, which has by far the most of them.
            let missing = (before >> shift).cast_signed() - self.sum().cast_signed();
            if let Some(largest) = self.all_mut().max() {
                *largest = largest.saturating_add_signed(missing);
            }
        }
        let narrow = |share: u128| u64::try_from(share).expect("the sum is within 60 bits");
        Effective {
            entries: self.entries.into_iter().map(narrow).collect(),
            unplaced: self.unplaced.into_iter().map(narrow).collect(),
        }
    }

    fn sum(&self) -> u128 {
        self.all().sum()
    }

    fn all(&self) -> impl Iterator<Item = &u128> {
        self.entries.iter().chain(&self.unplaced)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut u128> {
        self.entries.iter_mut().chain(&mut self.unplaced)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(thousandths: &[u64]) -> Vec<Weight> {
        thousandths
            .iter()
            .map(|&weight| Weight::from_thousandths(weight))
            .collect()
    }

    #[test]
    fn shares_of_what_is_not_ready_go_where_they_may() {
        // Weights, strict entries, entries without anything ready, expected entries, expected unplaced.
        type Case<'a> = (&'a [u64], &'a [usize], &'a [usize], &'a [u64], &'a [u64]);
        let cases: &[Case<'_>] = &[
            (&[], &[], &[], &[], &[]),
            (&[5], &[], &[], &[1], &[0]),
            (&[5], &[], &[0], &[0], &[1]),
            (&[0, 0], &[], &[0], &[0, 0], &[0, 0]),
            (&[99_900, 100], &[], &[], &[999, 1], &[0, 0]),
            // A canary gives to the stable version, which does not give to the canary.
            (&[95, 5], &[], &[1], &[1, 0], &[0, 0]),
            (&[95, 5], &[], &[0], &[0, 1], &[19, 0]),
            (&[90, 9], &[], &[0], &[0, 1], &[0, 0]),
            // In proportion, and not to the canary.
            (&[80, 15, 5], &[], &[0], &[0, 19, 1], &[0, 0, 0]),
            (&[60, 30, 10, 5], &[], &[0], &[0, 15, 5, 1], &[0; 4]),
            (&[60, 30, 10, 5], &[], &[1], &[12, 0, 2, 1], &[0; 4]),
            // Strict entries neither give nor take.
            (&[50, 50], &[1], &[1], &[1, 0], &[0, 1]),
            (&[50, 50], &[1], &[0], &[0, 1], &[1, 0]),
            (&[40, 40, 20], &[2], &[1], &[4, 0, 1], &[0, 0, 0]),
            // Several at once: each by its own weight, to those that are ready.
            (&[40, 30, 20, 10], &[], &[0, 1], &[0, 0, 2, 1], &[0; 4]),
            (&[1_000, 100, 10], &[], &[0, 1], &[0, 0, 11], &[100, 0, 0]),
            (&[1_000, 500, 60], &[], &[0, 1], &[0, 0, 14], &[25, 0, 0]),
            // What is unplaced stays apart by whose it was.
            (&[1_000, 600, 10], &[], &[0, 1], &[0, 0, 1], &[100, 60, 0]),
            (&[10, 20], &[], &[0, 1], &[0, 0], &[1, 2]),
            // A weight of zero is nobody's spare and gives nothing.
            (&[10, 0], &[], &[0], &[0, 0], &[1, 0]),
            (&[10, 0], &[], &[1], &[1, 0], &[0, 0]),
        ];
        for &(given, strict, down, entries, unplaced) in cases {
            let given = weights(given);
            let strict: Vec<bool> = (0..given.len()).map(|i| strict.contains(&i)).collect();
            let ready: Vec<bool> = (0..given.len()).map(|i| !down.contains(&i)).collect();
            let got = effective(&given, &strict, &ready);
            let want = Effective {
                entries: entries.to_vec(),
                unplaced: unplaced.to_vec(),
            };
            assert_eq!(got, want, "{given:?} strict {strict:?} ready {ready:?}");
        }
    }

    #[test]
    fn shares_too_fine_for_an_exact_unit_keep_their_sum_and_their_canary() {
        let primes = [999_999_999_989, 999_999_999_961, 999_999_999_959];
        let thousandths: Vec<u64> = (0..60)
            .zip(primes.into_iter().cycle())
            .map(|(i, prime): (u64, u64)| prime / (i * i + 1) + i)
            .chain([1])
            .collect();
        let given = weights(&thousandths);
        let ready: Vec<bool> = (0..given.len()).map(|i| i % 2 == 0).collect();
        let got = effective(&given, &vec![false; given.len()], &ready);
        let sum = sum(&got);
        assert!((1 << 58..=1 << 60).contains(&sum), "{sum}");
        let total: u64 = thousandths.iter().sum();
        for (entry, &weight) in thousandths.iter().enumerate() {
            if ready[entry] {
                let before = weight as f64 / total as f64;
                let after = got.entries[entry] as f64 / sum as f64;
                assert!(
                    after > 0.0 && after >= before * 0.999_999,
                    "{entry}: {after} < {before}"
                );
            }
        }
    }

    fn sum(got: &Effective) -> u128 {
        let all = got.entries.iter().chain(&got.unplaced);
        all.map(|&share| u128::from(share)).sum()
    }

    fn split() -> impl Strategy<Value = Vec<(u64, bool, bool)>> {
        let weight = prop_oneof![Just(0), 1_u64..20, (1_u64..2_000).prop_map(|w| w * 50)];
        prop::collection::vec(
            (weight, prop::bool::weighted(0.2), prop::bool::weighted(0.7)),
            1..7,
        )
    }

    fn run(split: &[(u64, bool, bool)]) -> Effective {
        let given: Vec<u64> = split.iter().map(|entry| entry.0).collect();
        let strict: Vec<bool> = split.iter().map(|entry| entry.1).collect();
        let ready: Vec<bool> = split.iter().map(|entry| entry.2).collect();
        effective(&weights(&given), &strict, &ready)
    }

    proptest! {
        #[test]
        fn the_sum_is_kept_and_only_those_change_that_may(split in split()) {
            let got = run(&split);
            let total: u128 = split.iter().map(|entry| u128::from(entry.0)).sum();
            let sum = sum(&got);
            prop_assert_eq!(total == 0, sum == 0);
            prop_assert!(sum <= MAX_SUM);
            for (entry, &(weight, strict, ready)) in split.iter().enumerate() {
                let (share, unplaced) = (got.entries[entry], got.unplaced[entry]);
                // share / sum against weight / total, both whole.
                let (share, weight) = (u128::from(share) * total, u128::from(weight) * sum);
                let unplaced = u128::from(unplaced) * total;
                match (ready, strict) {
                    (false, true) => prop_assert_eq!((share, unplaced), (0, weight)),
                    (false, false) => prop_assert!(share == 0 && (unplaced == 0 || unplaced == weight)),
                    (true, true) => prop_assert_eq!((share, unplaced), (weight, 0)),
                    (true, false) => prop_assert!(share >= weight && unplaced == 0),
                }
            }
        }

        #[test]
        fn each_taker_gets_the_proportion_of_each_gift(split in split()) {
            let got = run(&split);
            let total: f64 = split.iter().map(|entry| entry.0 as f64).sum();
            let sum = sum(&got) as f64;
            prop_assume!(total > 0.0);
            for (index, &(weight, strict, ready)) in split.iter().enumerate() {
                let mut want = if ready { weight as f64 } else { 0.0 };
                if ready && !strict && weight > 0 {
                    for &(gift, _, _) in split.iter().filter(|entry| !entry.2 && !entry.1) {
                        let may = |taker: u64| taker * 10 >= gift;
                        let among = split.iter().filter(|entry| entry.2 && !entry.1 && may(entry.0));
                        let among: u64 = among.map(|entry| entry.0).sum();
                        if may(weight) {
                            want += gift as f64 * weight as f64 / among as f64;
                        }
                    }
                }
                let share = got.entries[index] as f64 / sum;
                prop_assert!((share - want / total).abs() < 1e-9, "{index}: {share} {}", want / total);
            }
        }

        #[test]
        fn the_order_of_the_entries_does_not_matter(split in split()) {
            let forwards = run(&split);
            let reversed: Vec<_> = split.iter().rev().copied().collect();
            let mut backwards = run(&reversed);
            backwards.entries.reverse();
            backwards.unplaced.reverse();
            prop_assert_eq!(forwards, backwards);
        }
    }
}
