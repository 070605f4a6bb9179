//! Counters that a worker alone writes and anyone may read.
//!
//! Each worker has a cell of its own, made when it first counts, so that no cache line is fought over per request.
//! A cell has one writer: adding is a relaxed load and a relaxed store, no locked instruction. A scrape sums the
//! cells; it may see one worker's last request and not yet another's, which is all that a scrape can promise anyway.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Which worker counts. Ids run from 0; each belongs to one thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub usize);

/// One lazily made `T` a worker.
#[derive(Debug)]
pub struct PerWorker<T> {
    cells: Box<[OnceLock<Box<T>>]>,
}

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
        self.cells[worker.0].get_or_init(Box::default)
    }

    /// The cells made so far.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cells
            .iter()
            .filter_map(|cell| cell.get().map(|made| &**made))
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

/// The upper bounds of the duration histograms, in nanoseconds; contract, chapter 5.
pub const BOUNDS_NANOS: [u64; 15] = [
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

/// Durations counted by [`BOUNDS_NANOS`]; one writer.
#[derive(Debug, Default)]
pub struct Durations {
    /// One count a bound, and the last for what lies above them all; not cumulative.
    buckets: [Count; BOUNDS_NANOS.len() + 1],
    sum_nanos: Count,
}

impl Durations {
    /// Counts one duration; a bound takes what is equal to it.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].add(1);
        self.sum_nanos.add(nanos);
    }

    /// The counts a bucket, not cumulative, with what lies above all bounds last.
    #[must_use]
    pub fn buckets(&self) -> [u64; BOUNDS_NANOS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].value())
    }

    /// The sum of all durations.
    #[must_use]
    pub fn sum_nanos(&self) -> u64 {
        self.sum_nanos.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_takes_what_is_equal_to_it() {
        let durations = Durations::default();
        durations.observe(Duration::from_millis(1));
        durations.observe(Duration::from_nanos(1_000_001));
        durations.observe(Duration::from_secs(11));
        let buckets = durations.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[15]), (1, 1, 1));
        assert_eq!(
            durations.sum_nanos(),
            1_000_000 + 1_000_001 + 11_000_000_000
        );
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
