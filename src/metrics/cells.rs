//! Counters that a worker alone writes and anyone may read.
//!
//! Each worker has a cell of its own, made when it first counts, so that no cache line is fought over per request.
//! A cell has one writer: adding is a relaxed load and a relaxed store, no locked instruction. A scrape sums the
//! cells; it may see one worker's last request and not yet another's, which is all that a scrape can promise anyway.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Which worker counts. Ids run from 0; each belongs to one thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub usize);

/// One lazily made `T` a worker.
#[derive(Debug)]
pub struct PerWorker<T> {
    cells: Box<[OnceLock<Box<Alone<T>>>]>,
}

/// Nothing else lies in the cache lines of this: the allocator might put one worker's count beside another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Alone<T>(T);

impl<T: Default> PerWorker<T> {
    /// Room for so many workers; nothing is made yet.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            cells: (0..workers).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The cell of a worker, made at its first use.
    ///
    /// # Panics
    /// When the worker's id is not below the number that [`PerWorker::new`] was given.
    pub fn of(&self, worker: WorkerId) -> &T {
        &self.cells[worker.0].get_or_init(Box::default).0
    }

    /// The cell of a worker, if it was used already.
    pub fn made(&self, worker: WorkerId) -> Option<&T> {
        self.cells.get(worker.0)?.get().map(|made| &made.0)
    }

    /// The cells made so far.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cells
            .iter()
            .filter_map(|cell| cell.get().map(|made| &made.0))
    }
}

/// A count that only grows; one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds. Only the owner of the cell may call this.
    pub fn add(&self, amount: u64) {
        // Relaxed on both: there is one writer, and a reader needs no other memory to be in step with the count.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes away; for levels such as requests in flight. The sum over workers is what counts, so a cell may wrap.
    pub fn sub(&self, amount: u64) {
        self.add(amount.wrapping_neg());
    }

    /// What has been counted so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of a histogram of durations.
pub trait Bounds {
    /// In nanoseconds, rising, at most [`MAX_BOUNDS`] of them.
    const NANOS: &'static [u64];
}

/// How many bounds a histogram may have.
pub const MAX_BOUNDS: usize = 15;

/// From 1 ms to 10 s, for requests, attempts and probes; contract, chapter 5.
#[derive(Debug)]
pub struct RequestBounds;

impl Bounds for RequestBounds {
    const NANOS: &'static [u64] = &[
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        20_000_000,
        35_000_000,
        50_000_000,
        100_000_000,
        200_000_000,
        350_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
    ];
}

/// From 1 s to a day, for tunnels.
#[derive(Debug)]
pub struct TunnelBounds;

impl Bounds for TunnelBounds {
    const NANOS: &'static [u64] = &[
        1_000_000_000,
        5_000_000_000,
        15_000_000_000,
        60_000_000_000,
        300_000_000_000,
        900_000_000_000,
        3_600_000_000_000,
        14_400_000_000_000,
        43_200_000_000_000,
        86_400_000_000_000,
    ];
}

/// Durations counted by the bounds of `B`; one writer.
#[derive(Debug)]
pub struct Durations<B = RequestBounds> {
    /// One count a bound, and after them one for what lies above them all; not cumulative.
    buckets: [Count; MAX_BOUNDS + 1],
    /// Microseconds, because the time of all requests together runs fast: with 10,000 of them always in flight,
    /// nanoseconds would wrap after three weeks.
    sum_micros: Count,
    bounds: PhantomData<B>,
}

impl<B> Default for Durations<B> {
    fn default() -> Self {
        Self {
            buckets: Default::default(),
            sum_micros: Count::default(),
            bounds: PhantomData,
        }
    }
}

impl<B: Bounds> Durations<B> {
    /// Counts one duration; a bound takes what is equal to it.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = B::NANOS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].add(1);
        // Rounded to the nearest, so that a great many short ones do not add up to too little.
        self.sum_micros.add(nanos.saturating_add(500) / 1_000);
    }

    /// Adds what these have counted to a sum over workers.
    pub fn add_to(&self, sum: &mut Distribution) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.value();
        }
        sum.sum_micros += self.sum_micros.value();
    }

    /// What these alone have counted.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let mut read = Distribution::default();
        self.add_to(&mut read);
        read
    }
}

/// What one or several [`Durations`] have counted, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// One count a bound, and after them one for what lies above them all; not cumulative.
    pub buckets: [u64; MAX_BOUNDS + 1],
    /// All durations together.
    pub sum_micros: u64,
}

impl Distribution {
    /// How many durations were counted. Taken from the buckets, so that the two never disagree within a scrape.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A `V` for each key of a small closed set, made when the key first turns up; one writer.
///
/// The first `N` keys lie in the table itself, further ones in blocks of `N` behind it. Finding a key is a walk over
/// them in the order in which they turned up, which puts the usual ones first; a key known already costs no allocation
/// and no locked instruction.
#[derive(Debug)]
pub struct Tally<K, V, const N: usize> {
    slots: [Slot<K, V>; N],
    more: OnceLock<Box<Self>>,
}

#[derive(Debug)]
struct Slot<K, V> {
    /// Written once. `OnceLock` pairs its release with the acquire of a scrape.
    key: OnceLock<K>,
    value: V,
}

impl<K, V: Default, const N: usize> Default for Tally<K, V, N> {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| Slot {
                key: OnceLock::new(),
                value: V::default(),
            }),
            more: OnceLock::new(),
        }
    }
}

impl<K: Copy + PartialEq, V: Default, const N: usize> Tally<K, V, N> {
    /// The value of a key.
    pub fn of(&self, key: K) -> &V {
        let mut block = self;
        loop {
            for slot in &block.slots {
                if *slot.key.get_or_init(|| key) == key {
                    return &slot.value;
                }
            }
            block = block.more.get_or_init(Box::default);
        }
    }

    /// The keys that have turned up, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        std::iter::successors(Some(self), |block| block.more.get().map(|more| &**more))
            .flat_map(|block| &block.slots)
            .filter_map(|slot| slot.key.get().map(|key| (*key, &slot.value)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_bound_takes_what_is_equal_to_it() {
        let durations: Durations = Durations::default();
        durations.observe(Duration::from_millis(1));
        durations.observe(Duration::from_nanos(1_000_001));
        durations.observe(Duration::from_secs(11));
        let mut sum = Distribution::default();
        durations.add_to(&mut sum);
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[15]), (1, 1, 1));
        assert_eq!(sum.count(), 3);
        assert_eq!(sum.sum_micros, 11_002_000);
    }

    #[test]
    fn no_two_workers_count_in_one_cache_line() {
        let cells: PerWorker<Count> = PerWorker::new(64);
        let line = |worker| std::ptr::from_ref(cells.of(WorkerId(worker))).addr() / 64;
        let lines: BTreeSet<usize> = (0..64).map(line).collect();
        assert_eq!(lines.len(), 64);
    }

    #[test]
    fn bounds_rise_and_fit_their_table() {
        for bounds in [RequestBounds::NANOS, TunnelBounds::NANOS] {
            assert!(bounds.len() <= MAX_BOUNDS, "{bounds:?}");
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }

    #[test]
    fn what_lies_above_a_shorter_table_of_bounds_follows_its_last_one() {
        let durations: Durations<TunnelBounds> = Durations::default();
        durations.observe(Duration::from_secs(100_000));
        let mut sum = Distribution::default();
        durations.add_to(&mut sum);
        assert_eq!(sum.buckets[TunnelBounds::NANOS.len()], 1);
    }

    #[test]
    fn a_tally_finds_its_keys_again_however_many_there_are() {
        let tally: Tally<u16, Count, 4> = Tally::default();
        for round in 1..=3_u64 {
            for code in 100..=999 {
                tally.of(code).add(round);
            }
        }
        let found: Vec<(u16, u64)> = tally
            .iter()
            .map(|(key, count)| (key, count.value()))
            .collect();
        assert_eq!(found, (100..=999).map(|code| (code, 6)).collect::<Vec<_>>());
    }

    #[test]
    fn a_level_is_right_in_sum_although_one_worker_takes_away_what_another_added() {
        let level: PerWorker<Count> = PerWorker::new(2);
        level.of(WorkerId(0)).add(2);
        level.of(WorkerId(1)).sub(1);
        let sum = level
            .iter()
            .fold(0_u64, |sum, cell| sum.wrapping_add(cell.value()));
        assert_eq!(sum, 1);
    }
}
