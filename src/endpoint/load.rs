//! How many requests are in flight at an endpoint.
//!
//! Most pools count in the worker's own cell, which no other worker writes, and the sum is taken when somebody asks.
//! Balancers that must know the count of all workers at the moment of their choice claim a place in one shared count
//! instead, by a compare-and-exchange on what they have read. Both stand side by side, because a reload may change a
//! pool's balancer while long requests go on: none of them is ever forgotten.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::metrics::cells::{Count, PerWorker, WorkerId};

/// The requests in flight at one endpoint.
#[derive(Debug)]
pub struct InFlight {
    /// Relaxed on every access: the exchange gives each claim its own number, and nothing else is read on the strength
    /// of it.
    claimed: AtomicU64,
    beside: PerWorker<Count>,
    /// Whether `beside` may hold anything, so that claimers need not add it up. Set by who enters, cleared by a claimer
    /// who has found nothing. The two may cross: then claimers overlook that one request until the next enters beside.
    any_beside: AtomicBool,
}

impl InFlight {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            claimed: AtomicU64::new(0),
            beside: PerWorker::new(workers),
            any_beside: AtomicBool::new(false),
        }
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.claimed().wrapping_add(self.counted())
    }

    /// Those that claimed a place.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Those that did not, for a claimer: a single load where there are none. Others ask [`InFlight::counted`], which
    /// writes nothing.
    #[must_use]
    pub fn beside(&self) -> u64 {
        if !self.any_beside.load(Ordering::Relaxed) {
            return 0;
        }
        let sum = self.counted();
        if sum == 0 {
            self.any_beside.store(false, Ordering::Relaxed);
        }
        sum
    }

    /// Those that did not, added up.
    #[must_use]
    pub fn counted(&self) -> u64 {
        let cells = self.beside.iter();
        let sum = cells.fold(0_u64, |sum, cell| sum.wrapping_add(cell.value()));
        // A cell is the worker's own, but two of them are not read at one moment.
        if sum > u64::MAX / 2 { 0 } else { sum }
    }

    /// Claims a place if so many are claimed as were seen.
    #[must_use]
    pub fn try_claim(&self, seen: u64) -> bool {
        self.claimed
            .compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Claims a place. Whoever has claimed one calls [`InFlight::release`] in the end.
    pub fn claim(&self) {
        self.claimed.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a claimed place back.
    pub fn release(&self) {
        self.claimed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request in at its worker; whoever calls this calls [`InFlight::left`] in the end.
    pub fn entered(&self, worker: WorkerId) {
        self.beside.of(worker).add(1);
        if !self.any_beside.load(Ordering::Relaxed) {
            self.any_beside.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request out at its worker.
    pub fn left(&self, worker: WorkerId) {
        self.beside.of(worker).sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_either_kind_are_seen_together_until_they_end() {
        let load = InFlight::new(2);
        load.entered(WorkerId(0));
        load.entered(WorkerId(1));
        assert!(load.try_claim(load.claimed()));
        assert!(!load.try_claim(0), "an old count");
        assert_eq!((load.claimed(), load.beside(), load.sum()), (1, 2, 3));
        load.left(WorkerId(0));
        load.left(WorkerId(1));
        assert_eq!(
            (load.beside(), load.any_beside.load(Ordering::Relaxed)),
            (0, false)
        );
        load.entered(WorkerId(1));
        assert_eq!(load.beside(), 1, "seen again");
        load.release();
        assert_eq!((load.claimed(), load.sum()), (0, 1));
    }
}
