//! The target that is forwarded, and the `Location` of a redirect.
//!
//! What peers do, where the configuration leaves it open:
//! - a rewritten prefix is replaced on a segment border and never leaves `//` behind (Gateway API, `ReplacePrefixMatch`);
//! - a redirect is absolute; a scheme that it changes drops the request's port, which belonged to the old scheme
//!   (Gateway API);
//! - a redirect keeps the query, also with a path of its own, unless that path brings a query along (Envoy).
//!
//! `rewrite.host` is a field and not a part of the target: whoever forwards sets `Host` from it.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::uri::PathAndQuery;

use crate::config::model::{Redirect, Rewrite};
use crate::config::path::escaped;
use crate::error::Kind;
use crate::route::path::PathMatch;

/// The target to forward for a request whose target was `received`, with this canonical path.
///
/// Returns `received` itself, without allocating, when the canonical path is the received one and nothing is rewritten.
/// A route that forwards the path as received does not ask here.
///
/// # Errors
/// [`Kind::TargetTooLong`] when the new target is longer than a target can be (65,534 octets).
pub fn target(
    rewrite: &Rewrite,
    received: &PathAndQuery,
    path: &str,
    matched: PathMatch,
) -> Result<PathAndQuery, Kind> {
    // `OPTIONS *` is about the endpoint as a whole (RFC 9112 §3.2.4): there is no path to rewrite.
    let prefix = rewrite.prefix.as_deref().filter(|_| path != "*");
    let (start, rest) = match (prefix, matched) {
        (None, _) => (path, ""),
        (Some(prefix), PathMatch::Whole) => (prefix, ""),
        (Some(prefix), PathMatch::Prefix(length)) => (
            prefix.trim_end_matches('/'),
            path.get(length..).unwrap_or_default(),
        ),
    };
    let query = received.query();
    if is_concatenation(received.path(), start, rest) && query.is_none_or(str::is_ascii) {
        return Ok(received.clone());
    }
    let query = query.map(escaped);
    let query_octets = query.as_ref().map_or(0, |query| query.len());
    let mut text = BytesMut::with_capacity(start.len() + rest.len() + 2 + query_octets);
    text.extend_from_slice(start.as_bytes());
    text.extend_from_slice(rest.as_bytes());
    if text.is_empty() {
        text.extend_from_slice(b"/");
    }
    if let Some(query) = query {
        text.extend_from_slice(b"?");
        text.extend_from_slice(query.as_bytes());
    }
    // The parts are a received path and a checked configuration: only their length can be wrong.
    PathAndQuery::from_maybe_shared(text.freeze()).map_err(|_| Kind::TargetTooLong)
}

fn is_concatenation(whole: &str, start: &str, rest: &str) -> bool {
    whole.strip_prefix(start) == Some(rest)
}

/// What of a request goes into the `Location` of its redirect.
#[derive(Clone, Copy, Debug)]
pub struct Redirected<'a> {
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// Its host, without the port; `None` where it has none (HTTP/1.0).
    pub host: Option<&'a str>,
    /// Its port, where it names one.
    pub port: Option<u16>,
    /// Its canonical path.
    pub path: &'a str,
    /// Its query.
    pub query: Option<&'a str>,
}

/// The `Location` to send a request to. Without any host it is a path alone (RFC 9110 §10.2.2).
///
/// # Errors
/// [`Kind::MalformedRequest`] when the request holds what a field may not.
pub fn location(redirect: &Redirect, request: &Redirected<'_>) -> Result<HeaderValue, Kind> {
    let mut text = BytesMut::with_capacity(128);
    put_origin(&mut text, redirect, request);
    let path = redirect.path.as_deref().unwrap_or(request.path);
    put_path(&mut text, if path == "*" { "/" } else { path });
    if let Some(query) = request.query.filter(|_| !path.contains('?')) {
        text.extend_from_slice(b"?");
        text.extend_from_slice(escaped(query).as_bytes());
    }
    let text: Bytes = text.freeze();
    HeaderValue::from_maybe_shared(text).map_err(|_| Kind::MalformedRequest)
}

fn put_origin(text: &mut BytesMut, redirect: &Redirect, request: &Redirected<'_>) {
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme);
    let Some(host) = redirect.host.as_deref().or(request.host) else {
        return;
    };
    text.extend_from_slice(scheme.as_bytes());
    text.extend_from_slice(b"://");
    text.extend_from_slice(host.as_bytes());
    let keeps_port = redirect.host.is_none() && scheme == request.scheme;
    if let Some(port) = request.port.filter(|_| keeps_port) {
        text.extend_from_slice(b":");
        text.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
}

/// Browsers read `\` as `/`, so that `/\elsewhere.example` would lead to another host: it is sent encoded.
fn put_path(text: &mut BytesMut, path: &str) {
    for (position, part) in path.split('\\').enumerate() {
        if position > 0 {
            text.extend_from_slice(b"%5C");
        }
        text.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    fn rewritten(prefix: Option<&str>, received: &str, path: &str, matched: PathMatch) -> String {
        let rewrite = Rewrite {
            prefix: prefix.map(Into::into),
            host: None,
        };
        let received = PathAndQuery::try_from(received).unwrap();
        target(&rewrite, &received, path, matched)
            .unwrap()
            .to_string()
    }

    fn under_api(prefix: &str, target: &str) -> String {
        let path = target.split('?').next().unwrap();
        rewritten(Some(prefix), target, path, PathMatch::Prefix(4))
    }

    #[test]
    fn a_prefix_is_replaced_without_a_double_slash() {
        assert_eq!(under_api("/", "/api"), "/");
        assert_eq!(under_api("/", "/api/"), "/");
        assert_eq!(under_api("/", "/api/x"), "/x");
        assert_eq!(under_api("/v2", "/api"), "/v2");
        assert_eq!(under_api("/v2", "/api/"), "/v2/");
        assert_eq!(under_api("/v2/", "/api/x?y=1"), "/v2/x?y=1");
        assert_eq!(under_api("/", "/api?y=1"), "/?y=1");
    }

    #[test]
    fn a_route_without_a_path_has_the_prefix_slash() {
        let any = PathMatch::Prefix(0);
        assert_eq!(rewritten(Some("/v2"), "/x", "/x", any), "/v2/x");
        assert_eq!(rewritten(Some("/"), "/x", "/x", any), "/x");
        assert_eq!(rewritten(Some("/v2"), "/", "/", any), "/v2/");
    }

    #[test]
    fn a_path_that_was_matched_whole_is_replaced_whole() {
        let whole = PathMatch::Whole;
        assert_eq!(
            rewritten(Some("/new"), "/old?a=b", "/old", whole),
            "/new?a=b"
        );
        assert_eq!(rewritten(Some("/"), "/old", "/old", whole), "/");
    }

    #[test]
    fn the_canonical_path_is_forwarded_with_the_query_as_received() {
        let any = PathMatch::Prefix(0);
        assert_eq!(rewritten(None, "/a/../b?q=%7e", "/b", any), "/b?q=%7e");
        assert_eq!(rewritten(None, "//b", "/b", any), "/b");
    }

    #[test]
    fn an_unchanged_target_is_the_received_one() {
        let received = PathAndQuery::try_from("/api/x?y").unwrap();
        let same = target(
            &Rewrite::default(),
            &received,
            "/api/x",
            PathMatch::Prefix(4),
        )
        .unwrap();
        assert_eq!(same.as_str().as_ptr(), received.as_str().as_ptr());
    }

    #[test]
    fn an_asterisk_is_not_rewritten() {
        assert_eq!(rewritten(Some("/v2"), "*", "*", PathMatch::Prefix(0)), "*");
    }

    #[test]
    fn a_target_that_grows_too_long_is_refused() {
        let rewrite = Rewrite {
            prefix: Some("/x".repeat(30_000).into()),
            host: None,
        };
        let received = PathAndQuery::try_from("/y".repeat(30_000)).unwrap();
        let result = target(&rewrite, &received, received.path(), PathMatch::Prefix(0));
        assert_eq!(result, Err(Kind::TargetTooLong));
    }

    fn redirect(scheme: Option<&str>, host: Option<&str>, path: Option<&str>) -> Redirect {
        Redirect {
            scheme: scheme.map(Into::into),
            host: host.map(Into::into),
            path: path.map(Into::into),
            status: StatusCode::PERMANENT_REDIRECT,
        }
    }

    const REQUEST: Redirected<'_> = Redirected {
        scheme: "http",
        host: Some("shop.example"),
        port: Some(8080),
        path: "/a/b",
        query: Some("c=d"),
    };

    fn location_of(redirect: &Redirect, request: &Redirected<'_>) -> String {
        let location = location(redirect, request).unwrap();
        location.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_a_redirect_does_not_say_is_taken_from_the_request() {
        assert_eq!(
            location_of(&redirect(None, None, None), &REQUEST),
            "http://shop.example:8080/a/b?c=d"
        );
        assert_eq!(
            location_of(&redirect(None, Some("other.example:81"), None), &REQUEST),
            "http://other.example:81/a/b?c=d"
        );
    }

    #[test]
    fn a_redirect_to_another_scheme_drops_the_port() {
        assert_eq!(
            location_of(&redirect(Some("https"), None, None), &REQUEST),
            "https://shop.example/a/b?c=d"
        );
        assert_eq!(
            location_of(&redirect(Some("http"), None, None), &REQUEST),
            "http://shop.example:8080/a/b?c=d"
        );
    }

    #[test]
    fn a_redirect_keeps_the_query_unless_its_path_has_one() {
        assert_eq!(
            location_of(&redirect(None, Some("e.example"), Some("/new")), &REQUEST),
            "http://e.example/new?c=d"
        );
        assert_eq!(
            location_of(
                &redirect(None, Some("e.example"), Some("/new?x=y")),
                &REQUEST
            ),
            "http://e.example/new?x=y"
        );
    }

    #[test]
    fn a_redirect_of_a_request_without_a_host_is_a_path() {
        let request = Redirected {
            host: None,
            port: None,
            ..REQUEST
        };
        assert_eq!(
            location_of(&redirect(Some("https"), None, Some("/new")), &request),
            "/new?c=d"
        );
    }

    #[test]
    fn a_backslash_cannot_lead_a_redirect_elsewhere() {
        let request = Redirected {
            host: None,
            path: "/\\evil.example",
            ..REQUEST
        };
        assert_eq!(
            location_of(&redirect(None, None, None), &request),
            "/%5Cevil.example?c=d"
        );
    }

    proptest! {
        #[test]
        fn a_rewritten_canonical_path_stays_one_path(
            prefix in "(/[a-z]{1,3}){1,2}",
            rest in "(/[a-z]{0,1}[a-z]){0,3}/?",
            replacement in "(/[a-z]{1,3}){0,2}/?",
        ) {
            let replacement = if replacement.is_empty() { "/".to_owned() } else { replacement };
            let path = format!("{prefix}{rest}");
            let text = rewritten(Some(&replacement), &path, &path, PathMatch::Prefix(prefix.len()));
            prop_assert!(text.starts_with('/'), "{}", text);
            prop_assert!(!text.contains("//"), "{}", text);
            prop_assert!(text.ends_with(&rest) , "{} {}", text, rest);
        }
    }
}
