//! What the two sides of the queue tell each other beside records and orders.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by those who log, by control and by the thread.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Another output waits. Relaxed, as the next: the thread looks again and again.
    impatient: AtomicBool,
    /// Nobody waits for the last lines any more.
    abandoned: AtomicBool,
    /// Records that found no room. Relaxed: a count.
    overflowed: AtomicU64,
}

impl Gauge {
    /// Whether an output that does not move is to be given up.
    pub(super) fn is_impatient(&self) -> bool {
        self.impatient.load(Ordering::Relaxed) || self.abandoned.load(Ordering::Relaxed)
    }

    /// The log is closed, and who closed it does not wait any longer.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether another output waits.
    pub(super) fn set_impatient(&self, is: bool) {
        self.impatient.store(is, Ordering::Relaxed);
    }

    /// A record found no room.
    pub(super) fn overflow(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many did so far.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}
