//! The least loaded entry, over all workers.
//!
//! **The rule.** Each entry has `c` requests in flight and a weight `w`. The level is the least `(c + 1) / w` there is:
//! where the best entry would be with one request more. Every entry below that level now, `c / w < level`, may take
//! the request, and of these the one that has been due longest does. Between equal weights these are exactly the entries
//! with the fewest requests. Among unequal ones they are those that the loads cannot tell apart by a whole request, so
//! that a light entry of a quiet pool is not passed over for ever in favour of the heaviest.
//!
//! **Whose turn it is** is a virtual time: an entry that is chosen is due again `1 / w` after it was due, or after now
//! where it was long out of the running, so that neither a new endpoint nor one that comes free gets a burst. Between
//! equal weights it is the one that was chosen longest ago. One request at a time over `k` entries of any weights, an
//! entry is never further from its share than `1/2 + (k - 2) / 2 * w / W` (Webster's method), below 1 between equals.
//!
//! **The bound.** A place is claimed by a compare-and-exchange on the very count that was read, so that of many workers
//! none acts on an old one. With requests that only come, a count differs from its share `n * w / W` by less than
//! `1 + (k - 2) * w / W`, whatever the number of workers; between equals, and between two, by less than 1.
//!
//! **The price.** Up to [`SCANNED`] entries are all read, O(k), one cache line each. Of more, [`SAMPLED`] are drawn by
//! weight and the same rule chooses among them, O(1): then the chosen entry is, in 99 of 100 picks, among the least loaded
//! quarter of the pool's weight (1 - 0.75^16), and the bound holds among those drawn only. Shared and written per request:
//! the entry's count and its due time, and the level of the pool.

use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::balance::loads::{Load, Loads};
use crate::balance::random::Random;

/// Up to so many entries are all compared.
pub const SCANNED: usize = 128;

/// So many of more are compared.
pub const SAMPLED: usize = 16;

/// A pick that lost so many races takes its place unseen; each lost race is another worker's pick or end.
const ROUNDS: usize = 64;

/// The heaviest entry's stride in virtual time; a lighter one's is longer, up to [`LONGEST`].
const STRIDE: u64 = 1 << 20;
const LONGEST: u64 = 1 << 40;

/// Who has been due longest, and who is compared.
#[derive(Debug)]
pub struct LeastRequest {
    runners: Box<[Runner]>,
    /// Of each entry its place in `runners`; that of one without a weight is never asked for.
    places: Box<[u32]>,
    /// The latest virtual time at which anybody was due and chosen. Relaxed, as all here: it orders nothing but turns
    /// among equals, and a turn that is lost in a race is only a turn.
    now: AtomicU64,
    sample: Option<Random>,
}

#[derive(Debug)]
struct Runner {
    entry: u32,
    weight: u64,
    stride: u64,
    due: AtomicU64,
}

struct Candidate {
    place: u32,
    load: Load,
}

impl LeastRequest {
    /// Begins without a past, or goes on where `previous` stands: entry `i` was entry `origin[i]` of that one.
    #[must_use]
    pub fn new(weights: &[u64], previous: Option<(&Self, &[Option<usize>])>) -> Self {
        let heaviest = weights.iter().copied().max().unwrap_or_default();
        let mut places = vec![u32::MAX; weights.len()];
        let mut runners = Vec::new();
        for ((entry, &weight), number) in weights.iter().enumerate().zip(0_u32..) {
            if weight == 0 {
                continue;
            }
            let stride = u128::from(heaviest) * u128::from(STRIDE) / u128::from(weight);
            let stride = u64::try_from(stride).unwrap_or(LONGEST).min(LONGEST);
            let carried = previous.and_then(|(previous, origin)| {
                origin[entry].and_then(|origin| previous.waits(origin, stride))
            });
            places[entry] = u32::try_from(runners.len()).unwrap_or(u32::MAX);
            runners.push(Runner {
                entry: number,
                weight,
                stride,
                due: AtomicU64::new(carried.unwrap_or(stride / 2)),
            });
        }
        Self {
            sample: (runners.len() > SCANNED).then(|| Random::new(weights)),
            runners: runners.into(),
            places: places.into(),
            now: AtomicU64::new(0),
        }
    }

    /// How long an entry still waits for its turn, in a new measure.
    fn waits(&self, entry: usize, stride: u64) -> Option<u64> {
        let runner = self.runners.get(*self.places.get(entry)? as usize)?;
        let due = runner.due.load(Ordering::Relaxed);
        let waits = due.saturating_sub(self.now.load(Ordering::Relaxed));
        u64::try_from(u128::from(waits) * u128::from(stride) / u128::from(runner.stride)).ok()
    }

    /// The entry of the next request, with a place claimed at it; `None` when none is free.
    pub fn pick(
        &self,
        loads: &impl Loads,
        chance: &mut fastrand::Rng,
        is_barred: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut candidates: SmallVec<[Candidate; SCANNED]> = SmallVec::new();
        for round in 1..=ROUNDS {
            candidates.clear();
            let candidate = |place: u32| Candidate {
                place,
                load: loads.load(self.entry(place)),
            };
            match &self.sample {
                None => {
                    let free = (0..self.runners.len())
                        .filter_map(|place| u32::try_from(place).ok())
                        .filter(|&place| !is_barred(self.entry(place)));
                    candidates.extend(free.map(candidate));
                }
                Some(random) => {
                    let drawn = std::iter::from_fn(|| random.draw_except(chance, &is_barred));
                    let places = drawn.take(SAMPLED).map(|entry| self.places[entry]);
                    candidates.extend(places.map(candidate));
                }
            }
            let chosen = self.choose(&candidates)?;
            let entry = self.entry(chosen.place);
            if loads.try_claim(entry, chosen.load) {
                self.serve(chosen.place);
                return Some(entry);
            }
            if round == ROUNDS {
                loads.claim(entry);
                return Some(entry);
            }
        }
        None
    }

    fn choose<'c>(&self, candidates: &'c [Candidate]) -> Option<&'c Candidate> {
        let weight = |candidate: &Candidate| u128::from(self.runner(candidate.place).weight);
        let next = |candidate: &Candidate| u128::from(candidate.load.total() + 1);
        let best = candidates.iter().reduce(|best, other| {
            match next(other) * weight(best) < next(best) * weight(other) {
                true => other,
                false => best,
            }
        })?;
        let (level, of) = (next(best), weight(best));
        let is_below = |candidate: &&Candidate| {
            u128::from(candidate.load.total()) * of < level * weight(candidate)
        };
        candidates.iter().filter(is_below).min_by_key(|candidate| {
            let due = &self.runner(candidate.place).due;
            due.load(Ordering::Relaxed)
        })
    }

    fn serve(&self, place: u32) {
        let runner = self.runner(place);
        let due = runner.due.load(Ordering::Relaxed);
        let now = self.now.fetch_max(due, Ordering::Relaxed).max(due);
        runner
            .due
            .store(now.saturating_add(runner.stride), Ordering::Relaxed);
    }

    fn entry(&self, place: u32) -> usize {
        self.runner(place).entry as usize
    }

    fn runner(&self, place: u32) -> &Runner {
        &self.runners[place as usize]
    }
}

#[cfg(test)]
mod tests;
