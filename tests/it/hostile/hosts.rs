//! Which host a request is for (RFC 9110 §7.2, RFC 9112 §3.2).

use super::case::{Case, Part, forwarded, forwarded_last, judge, malformed, refused};
use crate::support::Endpoint;
use crate::support::terms::before;

const HOST: &str = "RFC 9112 §3.2";

fn with(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn bad(label: &str, sent: impl Into<Vec<u8>>, why: &'static str) -> Case {
    refused(label, sent, 400, "bad_host", why)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (
            "an empty Host",
            "",
            "RFC 9110 §4.2.1: an http URI has a host",
        ),
        ("a Host of a port only", ":80", "RFC 9110 §4.2.1"),
        (
            "a Host with user information",
            "user@test",
            "RFC 9110 §4.2.4",
        ),
        (
            "a Host with user and password",
            "user:1@test",
            "RFC 9110 §4.2.4",
        ),
        ("a Host with a space", "te st", HOST),
        ("two hosts in one line", "test, evil", HOST),
        ("a Host with a path", "test/x", HOST),
        ("a Host with a query", "test?x", HOST),
        ("a Host with a fragment", "test#x", HOST),
        ("a Host with a backslash", "test\\x", HOST),
        ("a Host with a port out of range", "test:65536", HOST),
        ("a Host with a port that is no number", "test:80x", HOST),
        ("a Host with a sign before its port", "test:+80", HOST),
        ("a Host with two ports", "test:80:80", HOST),
        ("an IPv6 Host without brackets", "::1", HOST),
        ("an IPv6 Host with one bracket", "[::1", HOST),
        ("an IPv6 Host with a zone", "[fe80::1%25eth0]", HOST),
        ("a Host with an escape that is none", "te%zzst", HOST),
        ("a Host beyond ASCII", "tést", HOST),
        ("a Host with a scheme", "http://test", HOST),
    ]
    .map(|(label, host, why)| bad(label, with(host), why))
    .into();
    cases.extend([
        bad("no Host", "GET / HTTP/1.1\r\n\r\n", HOST),
        bad("two equal lines of Host", with("test\r\nHost: test"), HOST),
        bad(
            "two different lines of Host",
            with("test\r\nHost: evil"),
            HOST,
        ),
        bad("a Host and an empty one", with("test\r\nHost:"), HOST),
        malformed("a folded Host", with("test\r\n evil"), "RFC 9112 §5.2"),
        malformed("a NUL in Host", with("te\0st"), "RFC 9110 §5.5"),
        bad(
            "an absolute target without Host",
            "GET http://test/ HTTP/1.1\r\n\r\n",
            HOST,
        ),
        bad(
            "an absolute target with a bad Host",
            "GET http://test/ HTTP/1.1\r\nHost: a b\r\n\r\n",
            HOST,
        ),
        bad(
            "an absolute target with user information",
            "GET http://user@test/ HTTP/1.1\r\nHost: test\r\n\r\n",
            "RFC 9110 §4.2.4",
        ),
        forwarded(
            "an absolute target against Host",
            "GET http://test:81/x?y HTTP/1.1\r\nHost: evil\r\nX-Forwarded-Host: evil\r\n\r\n",
            [
                Part::Line("GET /x?y HTTP/1.1"),
                Part::Field("host", "test:81"),
                Part::Field("x-forwarded-host", "test:81"),
            ],
            "RFC 9112 §3.2.2: the target wins",
        ),
        forwarded(
            "an absolute target without a path",
            "GET http://test?y HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Line("GET /?y HTTP/1.1"), Part::Field("host", "test")],
            "RFC 9112 §3.2.1",
        ),
        forwarded(
            "Connection: host",
            with("test\r\nConnection: host"),
            [Part::Field("host", "test")],
            "RFC 9110 §7.6.1: routing cannot be removed",
        ),
        forwarded(
            "a Host with an empty port",
            with("test:"),
            [Part::Field("host", "test:")],
            "RFC 3986 §3.2.3",
        ),
        forwarded_last(
            "no Host in HTTP/1.0",
            "GET / HTTP/1.0\r\n\r\n",
            [Part::Line("GET / HTTP/1.1"), Part::Field("host", "")],
            "RFC 9112 §3.2",
        ),
        bad(
            "two lines of Host in HTTP/1.0",
            "GET / HTTP/1.0\r\nHost: test\r\nHost: test\r\n\r\n",
            HOST,
        ),
    ]);
    cases
}

#[test]
fn a_request_is_for_one_host_or_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
