//! What a worker reads of a snapshot.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::{self, PoolId, RouteId};
use crate::metrics::{Traffic, WorkerId};
use crate::pool::{KeySource, Pool};
use crate::route::Table;
use crate::snapshot::words::{Spoken, Words};
use crate::split::Split;

/// The immutable whole.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows by one with each publication.
    pub generation: u64,
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Which request takes which route.
    pub table: Arc<Table>,
    /// By [`RouteId`].
    pub routes: Box<[Arc<RouteView>]>,
    /// By [`PoolId`].
    pub pools: Box<[Arc<Pool>]>,
    /// The counters of requests that no route takes.
    pub unrouted: Arc<Traffic>,
}

/// A worker's own handle on a snapshot: cloning it touches no count that other workers touch.
pub type View = Rc<Arc<Snapshot>>;

/// A route as workers read it.
#[derive(Debug)]
pub struct RouteView {
    /// Its configuration.
    pub spec: Arc<model::Route>,
    /// What becomes of its requests.
    pub action: RouteAction,
    /// The counters of its requests that reach no pool.
    pub traffic: Arc<Traffic>,
    /// What the pools of its split take keys from, each once.
    pub key_sources: Box<[KeySource]>,
    /// What its configuration puts into messages.
    pub words: Words,
}

/// What becomes of a route's requests.
#[derive(Debug)]
pub enum RouteAction {
    /// They go to pools by exact shares.
    Split(Split),
    /// Each goes to the pool that its host names: one split for each, in the order of the configuration.
    ByHost(Box<[Split]>),
    /// They are answered at once, with a redirect or a fixed answer.
    Answer,
}

impl Snapshot {
    /// A route of this snapshot.
    #[must_use]
    pub fn route(&self, id: RouteId) -> &Arc<RouteView> {
        &self.routes[id.0]
    }

    /// A pool of this snapshot.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> &Arc<Pool> {
        &self.pools[id.0]
    }

    /// Where the pool of this name is. For the rare reader who comes from an older snapshot.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<PoolId> {
        self.pools
            .iter()
            .position(|pool| &*pool.spec().name == name)
            .map(PoolId)
    }

    /// The pool of this name. For the rare reader who comes from an older snapshot.
    #[must_use]
    pub fn pool_named(&self, name: &str) -> Option<&Arc<Pool>> {
        self.place_of(name).map(|place| self.pool(place))
    }
}

impl RouteView {
    /// What a worker puts into the messages of this route.
    #[must_use]
    pub fn spoken(&self, worker: WorkerId) -> &Spoken {
        self.words.of(worker, &self.spec)
    }

    /// Its split, if it has one for all its requests.
    #[must_use]
    pub fn split(&self) -> Option<&Split> {
        match &self.action {
            RouteAction::Split(split) => Some(split),
            RouteAction::ByHost(_) | RouteAction::Answer => None,
        }
    }

    /// All its splits.
    #[must_use]
    pub fn splits(&self) -> &[Split] {
        self.action.splits()
    }

    /// Where its split is that goes on with what `part` of an older view of it has begun.
    #[must_use]
    pub fn successor(&self, older: &Self, part: usize) -> Option<usize> {
        match (&older.action, &self.action) {
            (RouteAction::Split(_), RouteAction::Split(_)) => Some(part),
            (RouteAction::ByHost(old), RouteAction::ByHost(new)) => {
                let pool = only_pool(old.get(part)?)?;
                new.iter().position(|split| only_pool(split) == Some(pool))
            }
            (RouteAction::Split(_) | RouteAction::ByHost(_) | RouteAction::Answer, _) => None,
        }
    }
}

impl RouteAction {
    /// All its splits.
    #[must_use]
    pub fn splits(&self) -> &[Split] {
        match self {
            Self::Split(split) => std::slice::from_ref(split),
            Self::ByHost(splits) => splits,
            Self::Answer => &[],
        }
    }
}

/// The name of the pool of a split that has one only.
fn only_pool(split: &Split) -> Option<&str> {
    split.entries().first().map(|entry| &*entry.name)
}
