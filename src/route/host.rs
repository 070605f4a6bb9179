//! Which routes are candidates by their host, found without looking at the others.
//!
//! Exact hosts and wildcard suffixes lie in hash maps. The keys come from the configuration and requests only look
//! up, so a hash without a secret is safe here. Whether a `Host` field is an authority at all is decided before, in
//! `header/host.rs`.

use std::cmp::Reverse;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::config::model::HostPattern;
use crate::route::rank::HostRank;

/// A host in lower case, made on the stack when it is no longer than a domain name can be.
pub type HostBuffer = SmallVec<[u8; 256]>;

/// The host as it is compared: in lower case (RFC 3986 §3.2.2) and without the dot that ends an absolute domain name.
#[must_use]
pub fn normalized<'a>(host: &'a str, buffer: &'a mut HostBuffer) -> &'a str {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host;
    }
    buffer.clear();
    buffer.extend(host.bytes().map(|byte| byte.to_ascii_lowercase()));
    // Lower-casing ASCII keeps UTF-8 valid; should that be wrong, an unmatched host is the harmless answer.
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// How specifically these patterns take a host, or `None` where they do not.
#[must_use]
pub fn rank(patterns: &[HostPattern], host: &str) -> Option<HostRank> {
    if patterns.is_empty() {
        return Some(HostRank::Unrestricted);
    }
    let ranks = patterns.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(exact) => (**exact == *host).then_some(HostRank::Exact),
        HostPattern::Wildcard(suffix) => (suffix_of(host, suffix.len()) == Some(suffix))
            .then_some(HostRank::Wildcard(suffix.len())),
    });
    ranks.max()
}

/// The last `length` octets of a host, where they are whole labels with at least one more before them.
fn suffix_of(host: &str, length: usize) -> Option<&str> {
    let dot = host.len().checked_sub(length + 1)?;
    (dot > 0 && host.as_bytes()[dot] == b'.').then(|| &host[dot + 1..])
}

/// Something for each host that routes ask for.
#[derive(Clone, Debug, Default)]
pub struct HostMap<T> {
    exact: FxHashMap<Arc<str>, T>,
    wildcards: FxHashMap<Arc<str>, T>,
    /// The lengths of the wildcards' suffixes, the longest first: a host of a thousand labels costs no more look-ups
    /// than there are lengths.
    lengths: Vec<usize>,
    unrestricted: T,
}

impl<T: Default> HostMap<T> {
    /// An empty map with room for so many hosts.
    #[must_use]
    pub fn with_capacity(hosts: usize) -> Self {
        let mut map = Self::default();
        map.exact.reserve(hosts);
        map
    }

    /// What is kept for a pattern.
    pub fn entry(&mut self, pattern: &HostPattern) -> &mut T {
        match pattern {
            HostPattern::Exact(host) => self.exact.entry(Arc::clone(host)).or_default(),
            HostPattern::Wildcard(suffix) => {
                self.lengths.push(suffix.len());
                self.wildcards.entry(Arc::clone(suffix)).or_default()
            }
        }
    }

    /// What is kept for routes that ask for no host.
    pub fn unrestricted(&mut self) -> &mut T {
        &mut self.unrestricted
    }

    /// Ends the building: `finish` sees everything that is kept.
    pub fn finish(&mut self, finish: impl FnMut(&mut T)) {
        self.lengths.sort_unstable_by_key(|length| Reverse(*length));
        self.lengths.dedup();
        self.exact
            .values_mut()
            .chain(self.wildcards.values_mut())
            .chain(std::iter::once(&mut self.unrestricted))
            .for_each(finish);
    }

    /// Asks what is kept for a normalized host, the most specific first, until one gives an answer.
    pub fn find<'a, U>(&'a self, host: &str, mut ask: impl FnMut(&'a T) -> Option<U>) -> Option<U> {
        if let Some(answer) = self.exact.get(host).and_then(&mut ask) {
            return Some(answer);
        }
        for &length in &self.lengths {
            let kept = suffix_of(host, length).and_then(|suffix| self.wildcards.get(suffix));
            if let Some(answer) = kept.and_then(&mut ask) {
                return Some(answer);
            }
        }
        ask(&self.unrestricted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_any_depth_of_labels_below_but_not_the_name_itself() {
        let patterns = [HostPattern::Wildcard("example.com".into())];
        let expected = Some(HostRank::Wildcard(11));
        assert_eq!(rank(&patterns, "a.example.com"), expected);
        assert_eq!(rank(&patterns, "a.b.example.com"), expected);
        assert_eq!(rank(&patterns, "example.com"), None);
        assert_eq!(rank(&patterns, ".example.com"), None);
        assert_eq!(rank(&patterns, "badexample.com"), None);
        assert_eq!(rank(&patterns, ""), None);
    }

    #[test]
    fn a_host_is_compared_in_lower_case_and_without_its_last_dot() {
        let mut buffer = HostBuffer::new();
        assert_eq!(
            normalized("Shop.Example.COM.", &mut buffer),
            "shop.example.com"
        );
        assert_eq!(
            normalized("shop.example.com", &mut buffer),
            "shop.example.com"
        );
        assert_eq!(normalized("[2001:DB8::1]", &mut buffer), "[2001:db8::1]");
    }

    #[test]
    fn a_host_longer_than_the_buffer_is_still_compared_whole() {
        let long = "A".repeat(1_000);
        let mut buffer = HostBuffer::new();
        assert_eq!(normalized(&long, &mut buffer), "a".repeat(1_000));
    }

    #[test]
    fn the_most_specific_of_several_patterns_counts() {
        let patterns = [
            HostPattern::Wildcard("com".into()),
            HostPattern::Wildcard("example.com".into()),
        ];
        assert_eq!(
            rank(&patterns, "a.example.com"),
            Some(HostRank::Wildcard(11))
        );
    }
}
