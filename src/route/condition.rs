//! What a request must meet beside host and path: listener, client, method, headers, query, regular expression.
//!
//! Header conditions hold when any line of that name has exactly that value; query conditions when any parameter of
//! that name has exactly that value after percent-decoding (`+` is a space). Nothing is decoded into memory.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use ipnet::IpNet;

use crate::config::model::{ClientCert, Match, PathPattern};
use crate::header::network;
use crate::route::rank::ConditionRank;
use crate::tls::Identity;

/// What of a request decides its route.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The name of the listener that it came in by.
    pub listener: &'a str,
    /// Its host without the port, in any case; empty where there is none (HTTP/1.0).
    pub host: &'a str,
    /// The client's address, from behind trusted proxies where there are some.
    pub client: Option<IpAddr>,
    /// Who the client has proved to be on this connection.
    pub identity: Option<&'a Identity>,
    /// Its canonical path, without the query; `*` for `OPTIONS *`.
    pub path: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Its query, without the `?`, as received.
    pub query: Option<&'a str>,
}

/// Whether host and path alone do not decide.
#[must_use]
pub fn is_conditional(matches: &Match) -> bool {
    let Match {
        listeners,
        hosts: _,
        clients,
        client_cert,
        path,
        methods,
        headers,
        query,
    } = matches;
    !(listeners.is_empty()
        && clients.is_empty()
        && client_cert.is_none()
        && methods.is_empty()
        && headers.is_empty()
        && query.is_empty())
        || matches!(path, PathPattern::Regex(_))
}

/// How specific the conditions are for this request, or `None` where one of them is not met. The cheap ones are
/// asked first.
#[must_use]
pub fn rank(matches: &Match, facts: &Facts<'_>) -> Option<ConditionRank> {
    let static_part = bound(matches);
    let holds = is_any_or_holds(&matches.methods, |method| method == facts.method)
        && is_any_or_holds(&matches.listeners, |name| **name == *facts.listener)
        && is_known(matches.client_cert.as_ref(), facts.identity);
    if !holds {
        return None;
    }
    let client = match matches.clients.as_slice() {
        [] => None,
        networks => Some(network::longest(networks, facts.client?)?),
    };
    let holds = matches.headers.iter().all(|(name, value)| {
        let mut lines = facts.headers.get_all(name).iter();
        lines.any(|line| line == value)
    }) && matches
        .query
        .iter()
        .all(|(name, value)| has_parameter(facts.query.unwrap_or_default(), name, value))
        && match &matches.path {
            PathPattern::Regex(pattern) => pattern.regex.is_match(facts.path),
            PathPattern::Any | PathPattern::Exact(_) | PathPattern::Prefix(_) => true,
        };
    holds.then_some(ConditionRank {
        client,
        ..static_part
    })
}

/// The most specific that the conditions can turn out for any request.
#[must_use]
pub fn bound(matches: &Match) -> ConditionRank {
    let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    ConditionRank {
        method: !matches.methods.is_empty(),
        headers: count(matches.headers.len()),
        query: count(matches.query.len()),
        client_cert: matches.client_cert.is_some(),
        client: matches.clients.iter().map(IpNet::prefix_len).max(),
        listener: !matches.listeners.is_empty(),
    }
}

fn is_known(wanted: Option<&ClientCert>, identity: Option<&Identity>) -> bool {
    let Some(ClientCert { subjects, sans }) = wanted else {
        return true;
    };
    identity.is_some_and(|identity| {
        is_any_or_holds(subjects, |subject| **subject == *identity.subject)
            && is_any_or_holds(sans, |san| identity.sans.contains(san))
    })
}

fn is_any_or_holds<T>(allowed: &[T], holds: impl Fn(&T) -> bool) -> bool {
    allowed.is_empty() || allowed.iter().any(holds)
}

/// Whether a query has a parameter of that name and value, both compared after decoding. A parameter without `=` has
/// an empty value; `;` does not separate (WHATWG URL, application/x-www-form-urlencoded).
fn has_parameter(query: &str, name: &Arc<str>, value: &Arc<str>) -> bool {
    query.split('&').any(|pair| {
        let (key, content) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(key).eq(name.bytes()) && decoded(content).eq(value.bytes())
    }) && !query.is_empty()
}

/// The octets that a percent-encoded text stands for. A `%` without two hexadecimal digits stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'+' => Some(b' '),
            b'%' => {
                let digit = |offset: usize| {
                    let byte = *bytes.get(at + offset)?;
                    char::from(byte)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                let Some((high, low)) = digit(0).zip(digit(1)) else {
                    return Some(b'%');
                };
                at += 2;
                Some(high << 4 | low)
            }
            _ => Some(byte),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(query: &str, name: &str, value: &str) -> bool {
        has_parameter(query, &name.into(), &value.into())
    }

    #[test]
    fn a_query_parameter_is_compared_after_decoding() {
        assert!(has("q=a%20b", "q", "a b"));
        assert!(has("q=a+b", "q", "a b"));
        assert!(has("%71=%C3%A9", "q", "é"));
        assert!(!has("q=a%2Bb", "q", "a b"));
        assert!(has("q=a%2Bb", "q", "a+b"));
    }

    #[test]
    fn any_occurrence_of_a_repeated_query_parameter_matches() {
        assert!(has("debug=0&x=2&debug=1", "debug", "1"));
        assert!(!has("debug=0&x=1", "debug", "1"));
    }

    #[test]
    fn a_parameter_without_a_value_has_an_empty_one() {
        assert!(has("a&debug", "debug", ""));
        assert!(has("debug=&a", "debug", ""));
        assert!(!has("debug=1", "debug", ""));
        assert!(!has("", "debug", ""));
        assert!(!has("", "", ""));
    }

    #[test]
    fn a_broken_percent_sign_stands_for_itself() {
        assert!(has("q=100%", "q", "100%"));
        assert!(has("q=%zz", "q", "%zz"));
        assert!(has("q=%4", "q", "%4"));
    }

    #[test]
    fn a_value_with_an_equals_sign_is_one_value() {
        assert!(has("q=a=b", "q", "a=b"));
    }
}
