//! One endpoint as a pool has it at one moment.

use std::sync::Arc;

use crate::endpoint::{Endpoint, State};
use crate::pool::roster::Entry;

/// One endpoint of a pool.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its weight, in a unit of the pool's own: only proportions matter.
    pub weight: u64,
    /// Its weight in thousandths, rounded where names make it a fraction.
    pub thousandths: u64,
    /// Whether it is used only while no other is ready.
    pub backup: bool,
    /// Its state when the pool was built.
    pub state: State,
}

impl Member {
    pub(super) fn new(endpoint: Arc<Endpoint>, entry: &Entry, thousandths: u64) -> Self {
        Self {
            state: endpoint.state(),
            endpoint,
            weight: entry.weight,
            thousandths,
            backup: entry.backup,
        }
    }
}
