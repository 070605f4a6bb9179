//! What is more specific: match summaries with a derived order.
//!
//! Routes are compared in this order, and the first difference decides:
//!
//! 1. the host: exact, then the longer wildcard, then the shorter, then none;
//! 2. the path: exact, then a regular expression, then the longer prefix, then the shorter, then any;
//! 3. a method is given;
//! 4. the number of header conditions;
//! 5. the number of query conditions;
//! 6. a client certificate is asked for;
//! 7. the length of the longest client network that holds the client (none given is the least);
//! 8. a listener is given;
//! 9. the place in the file: the earlier one wins, and only here it counts.
//!
//! This is the definition, against which the table is tested; it looks nothing up.

use crate::config::model::Match;
use crate::route::condition::{self, Facts};
use crate::route::rank::{ConditionRank, HostRank, PathRank};
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
