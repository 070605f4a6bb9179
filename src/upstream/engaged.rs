//! Who counts as being at an endpoint.

use std::rc::Rc;

use crate::metrics::PoolTraffic;
use crate::metrics::cells::WorkerId;
use crate::upstream::idle::Local;

/// Counts a request in at its endpoint and its pool while it lives. It is the worker's own, so that no count of the
/// endpoint's `Arc` is touched per request.
#[derive(Debug)]
pub(crate) struct Engaged {
    local: Rc<Local>,
    entry: Entry,
}

/// How a request is counted in at its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// In the worker's own cell.
    Counted,
    /// By a place that was claimed when the endpoint was chosen, and that is given back in the end.
    Claimed,
}

impl Engaged {
    pub(crate) fn at(local: &Rc<Local>, entry: Entry) -> Self {
        if entry == Entry::Counted {
            local.endpoint().load().entered(local.worker());
        }
        local.traffic().in_flight(local.worker(), 1);
        Self {
            local: Rc::clone(local),
            entry,
        }
    }

    /// The counters of its pool.
    pub(crate) fn traffic(&self) -> &PoolTraffic {
        self.local.traffic()
    }

    /// The worker that counts.
    pub(crate) fn worker(&self) -> WorkerId {
        self.local.worker()
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        match self.entry {
            Entry::Counted => self.local.endpoint().load().left(self.local.worker()),
            Entry::Claimed => self.local.endpoint().load().release(),
        }
        self.local.traffic().in_flight(self.local.worker(), -1);
    }
}
