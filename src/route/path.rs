//! Which routes are candidates by their path, found without looking at the others.
//!
//! Exact paths and prefixes lie in hash maps; prefixes are looked up by the lengths that exist, the longest first and
//! only where a segment ends. Regular expressions are asked one after another, in order of precedence. All paths are
//! canonical.

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::model::{PathPattern, Route, RouteId};
use crate::route::condition::Facts;
use crate::route::entry::Bucket;
use crate::route::rank::PathRank;

/// What of the path was matched, which is what a rewrite replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path, as such or by a regular expression.
    Whole,
    /// So many octets from the start; the rest is empty or begins with `/`. Zero where no path is asked for, which is
    /// the prefix `/`.
    Prefix(usize),
}

/// How specifically a pattern takes a path, or `None` where it does not. What a regular expression says is one of the
/// conditions and not asked here.
#[must_use]
pub fn rank(pattern: &PathPattern, path: &str) -> Option<PathRank> {
    match pattern {
        PathPattern::Any => Some(PathRank::Any),
        PathPattern::Exact(exact) => (**exact == *path).then_some(PathRank::Exact),
        PathPattern::Prefix(prefix) => (prefix_of(path, prefix.len()) == Some(prefix))
            .then_some(PathRank::Prefix(prefix.len())),
        PathPattern::Regex(_) => Some(PathRank::Regex),
    }
}

/// The first `length` octets of a path, where a segment ends there.
fn prefix_of(path: &str, length: usize) -> Option<&str> {
    match path.as_bytes().get(length) {
        None => (path.len() == length).then_some(path),
        Some(next) => (*next == b'/').then(|| &path[..length]),
    }
}

/// The routes of one host by their paths.
///
/// Most hosts have one route and no path: that case is small and needs no second look-up.
#[derive(Clone, Debug, Default)]
pub struct PathTable {
    any: Bucket,
    paths: Option<Box<Paths>>,
}

#[derive(Clone, Debug, Default)]
struct Paths {
    exact: FxHashMap<Arc<str>, Bucket>,
    regex: Bucket,
    prefixes: FxHashMap<Arc<str>, Bucket>,
    /// The lengths of the prefixes, the longest first.
    lengths: Vec<usize>,
}

impl PathTable {
    /// Puts a route in; [`PathTable::finish`] comes after the last.
    pub fn push(&mut self, id: RouteId, route: &Arc<Route>) {
        let bucket = match &route.matches.path {
            PathPattern::Any => &mut self.any,
            PathPattern::Exact(path) => self.paths().exact.entry(Arc::clone(path)).or_default(),
            PathPattern::Regex(_) => &mut self.paths().regex,
            PathPattern::Prefix(prefix) => {
                let paths = self.paths();
                paths.lengths.push(prefix.len());
                paths.prefixes.entry(Arc::clone(prefix)).or_default()
            }
        };
        bucket.push(id, route);
    }

    fn paths(&mut self) -> &mut Paths {
        self.paths.get_or_insert_default()
    }

    /// Ends the building.
    pub fn finish(&mut self) {
        self.any.sort();
        let Some(paths) = &mut self.paths else {
            return;
        };
        paths
            .lengths
            .sort_unstable_by_key(|length| Reverse(*length));
        paths.lengths.dedup();
        paths.regex.sort();
        paths
            .exact
            .values_mut()
            .chain(paths.prefixes.values_mut())
            .for_each(Bucket::sort);
    }

    /// The most specific route that takes the request.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<(RouteId, PathMatch)> {
        if let Some(paths) = &self.paths
            && let Some(found) = paths.find(facts)
        {
            return Some(found);
        }
        Some((self.any.pick(facts)?, PathMatch::Prefix(0)))
    }
}

impl Paths {
    fn find(&self, facts: &Facts<'_>) -> Option<(RouteId, PathMatch)> {
        let exact = self.exact.get(facts.path);
        if let Some(id) = exact.and_then(|bucket| bucket.pick(facts)) {
            return Some((id, PathMatch::Whole));
        }
        if let Some(id) = self.regex.pick(facts) {
            return Some((id, PathMatch::Whole));
        }
        self.lengths.iter().find_map(|&length| {
            let bucket = self.prefixes.get(prefix_of(facts.path, length)?)?;
            Some((bucket.pick(facts)?, PathMatch::Prefix(length)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let pattern = PathPattern::Prefix("/api".into());
        let expected = Some(PathRank::Prefix(4));
        assert_eq!(rank(&pattern, "/api"), expected);
        assert_eq!(rank(&pattern, "/api/"), expected);
        assert_eq!(rank(&pattern, "/api/x"), expected);
        assert_eq!(rank(&pattern, "/apix"), None);
        assert_eq!(rank(&pattern, "/ap"), None);
        assert_eq!(rank(&pattern, "*"), None);
    }
}
