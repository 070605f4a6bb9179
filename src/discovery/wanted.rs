//! Which names are to be followed, and how they are resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::model::Resolver;

/// Which names are to be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each host name once, with the number of its following: another number makes it a new name.
    pub names: BTreeMap<Arc<str>, u64>,
    /// How they are resolved.
    pub resolver: Resolver,
}
