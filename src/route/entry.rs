//! The candidates that share a host and a path, the most specific first.
//!
//! Relies on `condition` for what a request meets. Does not know how hosts and paths are looked up.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::model::{Route, RouteId};
use crate::route::condition::{self, Facts};
use crate::route::rank::ConditionRank;

/// One route where it is looked for.
#[derive(Clone, Debug)]
struct Entry {
    id: RouteId,
    /// The most specific that its conditions can turn out: only the client's network is known later.
    bound: ConditionRank,
    /// Where its conditions stand; `None` where it has none.
    route: Option<Arc<Route>>,
}

/// The routes of one host and one path, the most specific first.
///
/// One is the usual case and lies in place.
#[derive(Clone, Debug, Default)]
pub struct Bucket(SmallVec<[Entry; 1]>);

impl Bucket {
    /// Puts a route in; [`Bucket::sort`] comes after the last.
    pub fn push(&mut self, id: RouteId, route: &Arc<Route>) {
        let conditional = condition::is_conditional(&route.matches);
        self.0.push(Entry {
            id,
            bound: condition::bound(&route.matches),
            route: conditional.then(|| Arc::clone(route)),
        });
    }

    /// Brings the routes into the order in which [`Bucket::pick`] asks them.
    pub fn sort(&mut self) {
        self.0
            .sort_by(|a, b| b.bound.cmp(&a.bound).then(a.id.cmp(&b.id)));
        self.0.dedup_by_key(|entry| entry.id);
    }

    /// The most specific route whose conditions the request meets.
    ///
    /// The cost grows with the routes that share host and path and differ in their conditions only.
    #[must_use]
    pub fn pick(&self, facts: &Facts<'_>) -> Option<RouteId> {
        let mut best: Option<(ConditionRank, RouteId)> = None;
        for entry in &self.0 {
            if best.is_some_and(|best| !is_before((entry.bound, entry.id), best)) {
                break;
            }
            let Some(route) = &entry.route else {
                return Some(entry.id);
            };
            if let Some(rank) = condition::rank(&route.matches, facts)
                && best.is_none_or(|best| is_before((rank, entry.id), best))
            {
                best = Some((rank, entry.id));
            }
        }
        best.map(|(_, id)| id)
    }
}

/// Whether the first is more specific, or as specific and earlier in the file.
fn is_before(one: (ConditionRank, RouteId), other: (ConditionRank, RouteId)) -> bool {
    one.0.cmp(&other.0).then(other.1.cmp(&one.1)).is_gt()
}
