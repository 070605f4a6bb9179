//! Pools that are asked for by the host of a request.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::model::id::PoolId;

/// Each pool for the requests whose host is its name, alone or with one of the suffixes behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolByHost {
    /// What may stand behind a pool's name, lower-case, without the dot between them.
    pub suffixes: Vec<Arc<str>>,
    /// The pools, in file order; never empty.
    pub pools: Vec<PoolId>,
    /// The position in `pools` of each host that stands for one, lower-case. The keys come from the configuration, so
    /// that a hash without a secret is safe.
    pub hosts: FxHashMap<Arc<str>, usize>,
}

impl PoolByHost {
    /// The position in `pools` of the one that a normalized host stands for.
    #[must_use]
    pub fn position(&self, host: &str) -> Option<usize> {
        self.hosts.get(host).copied()
    }
}
