//! Targets and methods that are odd (RFC 9112 §3.2, RFC 9110 §9).

use super::case::{Case, Part, forwarded, judge, malformed, refused, target};
use crate::support::Endpoint;
use crate::support::terms::before;

const TARGET: &str = "RFC 9112 §3.2";
const HOPS: &str = "RFC 9110 §7.6.2";

fn asked(label: &str, path: &str, line: &'static str, why: &'static str) -> Case {
    forwarded(label, target(path), [Part::Line(line)], why)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = forms();
    cases.extend(paths());
    cases
}

fn forms() -> Vec<Case> {
    let of =
        |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: test:80\r\n\r\n");
    let hops =
        |hops: &str| format!("OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: {hops}\r\n\r\n");
    let denied = |label: &str, sent: String, why| refused(label, sent, 501, "method_refused", why);
    vec![
        forwarded(
            "OPTIONS *",
            "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Line("OPTIONS * HTTP/1.1")],
            "RFC 9112 §3.2.4",
        ),
        malformed("GET *", of("GET", "*"), "RFC 9112 §3.2.4: only for OPTIONS"),
        malformed("OPTIONS *?x", of("OPTIONS", "*?x"), "RFC 9112 §3.2.4"),
        malformed("OPTIONS */x", of("OPTIONS", "*/x"), "RFC 9112 §3.2.4"),
        malformed(
            "an authority outside CONNECT",
            of("GET", "test:80"),
            "RFC 9112 §3.2.3",
        ),
        malformed("a word as a target", of("GET", "foo"), TARGET),
        malformed("a query as a target", of("GET", "?x"), TARGET),
        malformed(
            "a scheme without an authority",
            of("GET", "http:/x"),
            TARGET,
        ),
        malformed(
            "an absolute target without a host",
            of("GET", "http:///x"),
            "RFC 9110 §4.2.1",
        ),
        malformed(
            "an absolute target of ftp",
            of("GET", "ftp://test/"),
            "RFC 9110 §7.4",
        ),
        malformed(
            "an absolute target of ws",
            of("GET", "ws://test/"),
            "RFC 9110 §7.4",
        ),
        forwarded(
            "OPTIONS with Max-Forwards: 1",
            hops("1"),
            [
                Part::Line("OPTIONS / HTTP/1.1"),
                Part::Field("max-forwards", "0"),
            ],
            HOPS,
        ),
        malformed("OPTIONS with Max-Forwards: -1", hops("-1"), HOPS),
        malformed("OPTIONS with Max-Forwards: 1, 1", hops("1, 1"), HOPS),
        malformed(
            "OPTIONS with two lines of Max-Forwards",
            hops("1\r\nMax-Forwards: 1"),
            HOPS,
        ),
        denied(
            "CONNECT",
            of("CONNECT", "test:80"),
            "RFC 9110 §9.3.6: no tunnels on demand",
        ),
        denied(
            "CONNECT with a path",
            of("CONNECT", "/x"),
            "RFC 9110 §9.3.6",
        ),
        denied(
            "CONNECT with a whole URI",
            of("CONNECT", "http://test:80/"),
            "RFC 9110 §9.3.6",
        ),
        denied(
            "CONNECT with a body",
            "CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\nContent-Length: 5\r\n\r\nhello".into(),
            "RFC 9110 §9.3.6",
        ),
        denied(
            "TRACE",
            of("TRACE", "/"),
            "RFC 9110 §9.3.8: it would show what proxies added",
        ),
        denied(
            "TRACE with Max-Forwards: 0",
            "TRACE / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n".into(),
            "RFC 9110 §9.3.8",
        ),
    ]
}

fn paths() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a space in a target", "/a b"),
        ("a NUL in a target", "/a\0b"),
        ("a tab in a target", "/a\tb"),
        ("CR alone in a target", "/a\rb"),
        ("a control character in a target", "/a\x01b"),
        ("a DEL in a target", "/a\x7fb"),
    ]
    .map(|(label, path)| malformed(label, target(path), TARGET))
    .into();
    cases.extend([
        asked(
            "a fragment",
            "/a#b",
            "GET /a HTTP/1.1",
            "RFC 9112 §3.2: never sent, dropped",
        ),
        asked(
            "an absolute fragment",
            "http://test/a?b#c",
            "GET /a?b HTTP/1.1",
            "RFC 9112 §3.2",
        ),
        asked(
            "a backslash",
            "/a\\..\\b",
            "GET /a\\..\\b HTTP/1.1",
            "not a separator",
        ),
        asked("% alone", "/%", "GET /%25 HTTP/1.1", "the canonical path"),
        asked("%zz", "/%zz", "GET /%25zz HTTP/1.1", "the canonical path"),
        asked(
            "%00",
            "/%00",
            "GET /%00 HTTP/1.1",
            "reserved: stays encoded",
        ),
        asked(
            "%2e%2e",
            "/a/%2e%2E/b",
            "GET /b HTTP/1.1",
            "RFC 3986 §6.2.2.2",
        ),
        asked(
            "%252e",
            "/%252e%252e/b",
            "GET /%252e%252e/b HTTP/1.1",
            "decoded once only",
        ),
        asked(
            "%2F and %5C",
            "/a%2f..%5cb",
            "GET /a%2F..%5Cb HTTP/1.1",
            "GHSA-6jwx-7vp4-9847",
        ),
        asked(
            "//evil",
            "//evil/x",
            "GET /evil/x HTTP/1.1",
            "slashes are merged: no authority",
        ),
        asked(
            "/..;/",
            "/a/..;/b",
            "GET /a/..;/b HTTP/1.1",
            "a `;` makes it no dot segment",
        ),
        asked(
            "dots above the root",
            "/../../x",
            "GET /x HTTP/1.1",
            "RFC 3986 §5.2.4",
        ),
        asked(
            "a path to an absolute URI",
            "/http://evil/",
            "GET /http:/evil/ HTTP/1.1",
            "slashes are merged",
        ),
        asked(
            "a path beyond ASCII",
            "/é\u{a0}",
            "GET /%C3%A9%C2%A0 HTTP/1.1",
            "RFC 3987 §3.1: encoded",
        ),
        asked(
            "a query beyond ASCII",
            "/?é\u{85}",
            "GET /?%C3%A9%C2%85 HTTP/1.1",
            "RFC 3987 §3.1: encoded",
        ),
        malformed(
            "a path that is no UTF-8",
            b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
            TARGET,
        ),
        malformed(
            "a query that is no UTF-8",
            b"GET /?\xff HTTP/1.1\r\nHost: test\r\n\r\n",
            TARGET,
        ),
        asked(
            "brackets, braces and bars in a target",
            "/[{|}^]?[{|}^]",
            "GET /[{|}^]?[{|}^] HTTP/1.1",
            "no delimiters; many clients send them so",
        ),
        malformed("angle brackets in a path", target("/<x>"), "RFC 3986 §2"),
        malformed("angle brackets in a query", target("/?<x>"), "RFC 3986 §2"),
        asked(
            "dots in a query",
            "/x?../%2e?#",
            "GET /x?../%2e? HTTP/1.1",
            "a query is passed on as it came",
        ),
        refused(
            "a target above maxUriBytes",
            target(&format!("/{}", "x".repeat(8 << 10))),
            414,
            "target_too_long",
            "RFC 9110 §15.5.15, `maxUriBytes`",
        ),
        refused(
            "a target of 1 MiB",
            target(&format!("/{}", "x".repeat(1 << 20))),
            414,
            "target_too_long",
            "`maxHeaderBytes`",
        ),
    ]);
    cases
}

#[test]
fn an_odd_target_is_made_plain_or_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
