//! The header rules together, and what their tests share.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::{Forwarding, forward_request, forward_response};
use crate::config::model::{Claims, HeaderEdits};
use crate::header::forwarded::{Peer, Scheme};
use crate::header::present::Present;

/// Fields in this order, a name as often as it is given.
pub(super) fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn forwarded(lines: &[(&str, &str)], edits: &HeaderEdits) -> HeaderMap {
    let mut headers = fields(lines);
    let claims = Claims::default();
    let peer = Peer::new(Some(IpAddr::from([1, 2, 3, 4])), &claims);
    let host = HeaderValue::from_static("inner.example");
    let present = Present::of(&headers);
    let asked_host = headers.get("host").cloned();
    let own = forward_request(
        &mut headers,
        Forwarding {
            present,
            asked_host,
            version: Version::HTTP_11,
            peer: &peer,
            trust: peer.trust(),
            claims: &claims,
            scheme: Scheme::Http,
            identity: None,
            host: Some(&host),
            edits,
        },
    );
    for (name, value) in own.fields() {
        headers.append(name, value.clone());
    }
    headers
}

#[test]
fn the_proxy_says_the_same_whether_somebody_looks_at_it_or_not() {
    let lines = [
        ("host", "shop.example"),
        ("via", "1.0 other"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x_forwarded_proto", "https"),
        ("x-forwarded-port", "1"),
    ];
    let edits = HeaderEdits {
        remove: vec![HeaderName::from_static("x-none")],
        ..HeaderEdits::default()
    };
    let plain = forwarded(&lines, &HeaderEdits::default());
    assert_eq!(plain, forwarded(&lines, &edits));
    let expected = [
        ("host", "inner.example"),
        ("via", "1.0 other"),
        ("via", "1.1 fiel"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
    ];
    assert_eq!(plain, fields(&expected));
}

#[test]
fn a_client_cannot_have_the_proxys_own_fields_removed() {
    let headers = forwarded(
        &[
            ("host", "shop.example"),
            (
                "connection",
                "x-forwarded-for, x-forwarded-host, via, x-secret",
            ),
            ("x-secret", "1"),
        ],
        &HeaderEdits::default(),
    );
    let expected = [
        ("host", "inner.example"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
        ("via", "1.1 fiel"),
    ];
    assert_eq!(headers, fields(&expected));
}

#[test]
fn the_users_edits_come_last() {
    let edits = HeaderEdits {
        remove: vec![HeaderName::from_static("via")],
        set: vec![(
            HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("https"),
        )],
        add: vec![],
    };
    let headers = forwarded(&[("host", "shop.example")], &edits);
    assert!(!headers.contains_key("via"));
    assert_eq!(headers["x-forwarded-proto"], "https");
}

#[test]
fn a_response_loses_what_was_said_about_the_endpoints_connection() {
    let mut headers = fields(&[
        ("connection", "close, x-trace"),
        ("keep-alive", "timeout=5"),
        ("x-trace", "1"),
        ("content-length", "2"),
    ]);
    let present = Present::of(&headers);
    forward_response(
        &mut headers,
        present,
        Version::HTTP_10,
        &HeaderEdits::default(),
    );
    let expected = [("content-length", "2"), ("via", "1.0 fiel")];
    assert_eq!(headers, fields(&expected));
}
