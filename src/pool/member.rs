//! One endpoint as a pool has it at one moment.

use std::sync::Arc;

use crate::endpoint::{Endpoint, State};
use crate::units::Weight;

/// One endpoint of a pool.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its configured weight.
    pub weight: Weight,
    /// Whether it is used only while no other is ready.
    pub backup: bool,
    /// Its state when the pool was built.
    pub state: State,
}
