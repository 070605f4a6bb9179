//! By what a worker's connections to an endpoint are made: its pool's part of the configuration, and the entry
//! that leads to it.

use std::sync::Arc;

use crate::config::model;
use crate::pool::{Pool, Roster};

/// By what connections are made, as it was looked at last. It holds for what is in flight when the pool itself has left the
/// configuration.
#[derive(Debug)]
pub(super) struct Basis {
    pub(super) pool: Arc<model::Pool>,
    roster: Arc<Roster>,
}

impl Basis {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            pool: Arc::clone(pool.spec()),
            roster: Arc::clone(pool.roster()),
        }
    }

    /// Whether these are the very same, as they are in most snapshots.
    pub(super) fn is(&self, pool: &Pool) -> bool {
        Arc::ptr_eq(&self.pool, pool.spec()) && Arc::ptr_eq(&self.roster, pool.roster())
    }
}
