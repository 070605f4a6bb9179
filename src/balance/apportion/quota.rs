//! Any weights: the rule itself, one slot after the other.
//!
//! An entry becomes eligible at its release and is late after its deadline. Both are moments on the axis of slots that
//! depend on its count alone, so they change only when the entry is served, and then both by the same stride `S / w`.
//! Few entries are scanned; many wait in a heap by release and then in a heap by deadline. Both give the very same
//! sequence, which is why no order of arrival may decide anything: ties go to the lower index.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::claim::{Claim, ONE};

/// The sequence of any weights. Made for two entries and more.
#[derive(Debug)]
pub(crate) struct Quota {
    /// The slot given last, counted from 1.
    slot: i64,
    runners: Vec<Runner>,
    search: Search,
}

#[derive(Debug)]
enum Search {
    Scan,
    Heaps {
        waiting: BinaryHeap<Reverse<(i64, usize)>>,
        eligible: BinaryHeap<Reverse<Deadline>>,
    },
}

/// Up to so many entries a scan is faster than the heaps.
const SCANNED: usize = 16;

impl Quota {
    pub(crate) fn new(claims: &[Claim]) -> Self {
        if claims.len() <= SCANNED {
            Self::scanning(claims)
        } else {
            Self::heaping(claims)
        }
    }

    pub(super) fn scanning(claims: &[Claim]) -> Self {
        debug_assert!(claims.len() >= 2);
        let sum = claims.iter().map(|claim| claim.weight).sum();
        let runner = |claim: &Claim| Runner::new(claim, claims.len(), sum);
        Self {
            slot: 0,
            runners: claims.iter().map(runner).collect(),
            search: Search::Scan,
        }
    }

    pub(super) fn heaping(claims: &[Claim]) -> Self {
        let scanning = Self::scanning(claims);
        let runners = scanning.runners.iter().enumerate();
        let waiting = runners.map(|(index, runner)| Reverse((runner.release.slot(), index)));
        Self {
            search: Search::Heaps {
                waiting: waiting.collect(),
                eligible: BinaryHeap::with_capacity(claims.len()),
            },
            ..scanning
        }
    }

    /// Gives the next slot.
    pub(crate) fn next_entry(&mut self) -> u32 {
        self.slot += 1;
        let chosen = match &mut self.search {
            Search::Scan => scan(&self.runners, self.slot),
            Search::Heaps { waiting, eligible } => {
                while let Some(&Reverse((release, index))) = waiting.peek()
                    && release <= self.slot
                {
                    waiting.pop();
                    eligible.push(Reverse(self.runners[index].deadline(index)));
                }
                let first = eligible.pop().map(|Reverse(deadline)| deadline.index);
                first.or_else(|| waiting.pop().map(|Reverse((_, index))| index))
            }
        };
        let chosen = chosen.expect("a sequence has entries");
        let runner = &mut self.runners[chosen];
        runner.serve();
        if let Search::Heaps { waiting, .. } = &mut self.search {
            waiting.push(Reverse((runner.release.slot(), chosen)));
        }
        runner.entry
    }

    /// How many slots each has got so far.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u32, u64)> {
        self.runners
            .iter()
            .map(|runner| (runner.entry, runner.count))
    }
}

fn scan(runners: &[Runner], slot: i64) -> Option<usize> {
    let mut first: Option<(usize, &Runner)> = None;
    for (index, runner) in runners.iter().enumerate() {
        if runner.release.slot() <= slot
            && first.is_none_or(|(_, first)| runner.is_due_before(first))
        {
            first = Some((index, runner));
        }
    }
    // Credits add up to one request at every slot, so that the largest of k is at least 1/k, which for three entries
    // and more is above 1/(2k-2) by more than any rounding of carried credit. The earliest release is for form's sake.
    let earliest = || (0..runners.len()).min_by_key(|&index| runners[index].release.slot());
    first.map(|(index, _)| index).or_else(earliest)
}

/// One entry on its way through the slots.
#[derive(Debug)]
struct Runner {
    entry: u32,
    weight: u64,
    count: u64,
    release: Moment,
    deadline: Moment,
    stride: Moment,
    /// What a part of a moment is measured in: this many make one slot.
    parts: u128,
}

impl Runner {
    fn new(claim: &Claim, entries: usize, sum: u64) -> Self {
        let spread = 2 * entries as i128 - 2;
        let (one, sum) = (i128::from(ONE), i128::from(sum));
        let weight = claim.weight;
        // Credit reaches c when t * w / S + credit - count = c, that is at t = (c - credit + count) * S / w; here c is
        // 1/(2k-2) and 1 - 1/(2k-2), and all is multiplied by (2k-2) * 2^32 to be whole.
        let parts = i128::from(weight) * spread * one;
        let carried = i128::from(claim.credit) * spread;
        Self {
            entry: claim.entry,
            weight,
            count: 0,
            release: Moment::of(sum * (one - carried), parts),
            deadline: Moment::of(sum * ((spread - 1) * one - carried), parts),
            stride: Moment::of(sum * spread * one, parts),
            parts: parts.unsigned_abs(),
        }
    }

    fn serve(&mut self) {
        self.count += 1;
        self.release.advance(self.stride, self.parts);
        self.deadline.advance(self.stride, self.parts);
    }

    fn is_due_before(&self, other: &Self) -> bool {
        later(self.deadline, self.weight, other.deadline, other.weight) == Ordering::Less
    }

    fn deadline(&self, index: usize) -> Deadline {
        Deadline {
            moment: self.deadline,
            weight: self.weight,
            index,
        }
    }
}

/// A place on the axis of slots: whole slots and a part of one, in the measure of its runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    whole: i64,
    part: u128,
}

impl Moment {
    fn of(numerator: i128, parts: i128) -> Self {
        let whole = numerator.div_euclid(parts);
        Self {
            // At most (1 + credit) * S / w, with a sum within 2^60 and a credit bounded by the ledger.
            whole: i64::try_from(whole).expect("moments are bounded by weights and credits"),
            part: numerator.rem_euclid(parts).unsigned_abs(),
        }
    }

    fn advance(&mut self, stride: Self, parts: u128) {
        self.whole += stride.whole;
        self.part += stride.part;
        if self.part >= parts {
            self.part -= parts;
            self.whole += 1;
        }
    }

    /// The first slot that is not before this moment.
    fn slot(self) -> i64 {
        self.whole + i64::from(self.part > 0)
    }
}

/// Compares moments of different measure: the measures differ by the weights alone.
fn later(a: Moment, a_weight: u64, b: Moment, b_weight: u64) -> Ordering {
    a.whole
        .cmp(&b.whole)
        .then_with(|| wide(a.part, b_weight).cmp(&wide(b.part, a_weight)))
}

/// A product of 192 bits, upper and lower part.
fn wide(a: u128, b: u64) -> (u128, u64) {
    let b = u128::from(b);
    let low = (a & u128::from(u64::MAX)) * b;
    let high = (a >> 64) * b + (low >> 64);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let low = low as u64;
    (high, low)
}

/// A deadline in the heap of the eligible; equal ones go by index.
#[derive(Debug, PartialEq, Eq)]
struct Deadline {
    moment: Moment,
    weight: u64,
    index: usize,
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        later(self.moment, self.weight, other.moment, other.weight)
            .then_with(|| self.index.cmp(&other.index))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
