//! The keys by which requests stick to endpoints: what a pool goes by, and what a request has there.
//!
//! A request's keys are read once, before its pool is known and before its fields are edited; how is decided by
//! `request/affinity.rs`. A kind of key is found again by a number, so that keeping keys copies no names.

use smallvec::SmallVec;

use crate::balance::ring_hash::hash;
use crate::config::model::HashOn;

/// What a pool takes keys from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    id: u64,
    on: HashOn,
}

impl KeySource {
    /// This source.
    #[must_use]
    pub fn new(on: HashOn) -> Self {
        let (kind, name) = match &on {
            HashOn::ClientIp => ("clientIp", ""),
            HashOn::Path => ("path", ""),
            HashOn::Header(name) => ("header", name.as_str()),
            HashOn::Cookie(name) => ("cookie", &**name),
        };
        let id = hash(format!("{kind} {name}").as_bytes());
        Self { id, on }
    }

    /// Where the key is.
    #[must_use]
    pub fn on(&self) -> &HashOn {
        &self.on
    }
}

/// The hashed keys of one request, by their sources.
#[derive(Clone, Debug, Default)]
pub struct Keys(SmallVec<[(u64, u64); 1]>);

impl Keys {
    /// Adds the key that a request has at this source.
    pub fn add(&mut self, source: &KeySource, key: u64) {
        self.0.push((source.id, key));
    }

    /// The key at this source, if the request has one there.
    #[must_use]
    pub fn of(&self, source: &KeySource) -> Option<u64> {
        let found = self.0.iter().find(|(id, _)| *id == source.id);
        found.map(|(_, key)| *key)
    }
}
