//! What is more specific: match summaries with a derived order, and the candidates that share a host and a path.
//!
//! Routes are compared in this order, and the first difference decides:
//!
//! 1. the host: exact, then the longer wildcard, then the shorter, then none;
//! 2. the path: exact, then a regular expression, then the longer prefix, then the shorter, then any;
//! 3. a method is given;
//! 4. the number of header conditions;
//! 5. the number of query conditions;
//! 6. the length of the longest client network that holds the client (none given is the least);
//! 7. a listener is given;
//! 8. the place in the file: the earlier one wins, and only here it counts.
//!
//! Relies on `condition` for what a request meets. Does not know how hosts and paths are looked up.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::model::{Match, Route, RouteId};
use crate::route::condition::{self, Facts};
use crate::route::{host, path};

/// How specifically a route matches one request; the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Summary {
    /// By its host.
    pub host: HostRank,
    /// By its path.
    pub path: PathRank,
    /// By its other conditions.
    pub conditions: ConditionRank,
}

/// How specific the host of a match is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// No host is asked for.
    Unrestricted,
    /// A wildcard with a suffix of so many octets. Of two suffixes of one host the longer has more labels.
    Wildcard(usize),
    /// This very host.
    Exact,
}

/// How specific the path of a match is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    /// Any path.
    Any,
    /// A prefix of so many octets.
    Prefix(usize),
    /// A regular expression; two of them are equally specific, whatever they say.
    Regex,
    /// This very path.
    Exact,
}

/// How specific the other conditions of a match are; the fields are compared from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConditionRank {
    /// A method is given.
    pub method: bool,
    /// The number of header conditions.
    pub headers: u16,
    /// The number of query conditions.
    pub query: u16,
    /// The length of the longest network that holds the client.
    pub client: Option<u8>,
    /// A listener is given.
    pub listener: bool,
}

impl Summary {
    /// How specifically this match takes that request, or `None` where it does not take it.
    ///
    /// This is the definition, one match at a time; the table finds the same route faster. The host is lower-case
    /// and without a trailing dot, as [`host::normalized`] makes it.
    #[must_use]
    pub fn of(matches: &Match, facts: &Facts<'_>) -> Option<Self> {
        Some(Self {
            host: host::rank(&matches.hosts, facts.host)?,
            path: path::rank(&matches.path, facts.path)?,
            conditions: condition::rank(matches, facts)?,
        })
    }
}

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
