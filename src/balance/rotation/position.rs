//! The one shared number of a rotation: how many slots are taken, and whether it is closed.
//!
//! Orderings. Slots are taken by a compare-and-exchange, so the modification order of this one atomic is the sequence
//! of takers itself, and each position is taken exactly once whatever the ordering. What needs more:
//! - Closing is a release, and both loads here are acquires: who finds a rotation closed sees all that its closer had
//!   seen, first of all the snapshot with the successor, and finds the successor when it reads the snapshot again.
//! - A successful take publishes nothing and needs no release; being a read-modify-write it does not break the release
//!   sequence of anything before it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Set when a successor has taken over; the position beside it stays as it is from then on.
const CLOSED: u64 = 1 << 63;

/// The position to try for; `None` when the rotation is closed.
pub(super) fn load(position: &AtomicU64) -> Option<u64> {
    open(position.load(Ordering::Acquire))
}

/// Takes the slot at `local`, or says what is to be tried instead.
pub(super) fn take(position: &AtomicU64, local: u64) -> Result<(), Option<u64>> {
    position
        .compare_exchange_weak(local, local + 1, Ordering::Relaxed, Ordering::Acquire)
        .map(|_| ())
        .map_err(open)
}

/// Ends the rotation: no slot is taken afterwards.
pub(super) fn close(position: &AtomicU64) {
    position.fetch_or(CLOSED, Ordering::AcqRel);
}

/// How many slots have been taken, closed or not.
pub(super) fn local(position: &AtomicU64) -> u64 {
    position.load(Ordering::Acquire) & !CLOSED
}

fn open(position: u64) -> Option<u64> {
    (position & CLOSED == 0).then_some(position)
}
