//! First lines and fields that break the grammar (RFC 9112 §2 to §5).

use super::case::{Case, Part, forwarded, get, judge, malformed, refused};
use crate::support::Endpoint;
use crate::support::terms::before;

const FIELD: &str = "RFC 9110 §5.5, RFC 9112 §5";
const LINE: &str = "RFC 9112 §3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = first_lines();
    cases.extend(fields());
    cases.extend(sizes());
    cases
}

fn first_lines() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a method that is no token", "G@T / HTTP/1.1"),
        ("no method", " / HTTP/1.1"),
        ("a method in quotes", "\"GET\" / HTTP/1.1"),
        ("a NUL in the method", "G\0T / HTTP/1.1"),
        ("two spaces behind the method", "GET  / HTTP/1.1"),
        ("a tab behind the method", "GET\t/ HTTP/1.1"),
        ("no target", "GET HTTP/1.1"),
        ("no version", "GET /"),
        ("a version in lower case", "GET / http/1.1"),
        ("a version of another protocol", "GET / ICY/1.1"),
        ("a version of two digits", "GET / HTTP/1.10"),
        ("something behind the version", "GET / HTTP/1.1 x"),
        ("CR alone in the first line", "GET / HTTP/1.1\rX: 1"),
    ]
    .map(|(label, line)| malformed(label, format!("{line}\r\nHost: test\r\n\r\n"), LINE))
    .into();
    cases.extend(["0.9", "1.2", "2.0", "3.0"].map(|version| {
        refused(
            format!("HTTP/{version}"),
            format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"),
            505,
            "version_unknown",
            "RFC 9110 §2.5",
        )
    }));
    cases.extend([
        refused(
            "almost the preface of HTTP/2",
            "PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
            505,
            "version_unknown",
            "RFC 9113 §3.4",
        ),
        malformed(
            "the hello of TLS",
            "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            LINE,
        ),
        forwarded(
            "a method in lower case",
            "get / HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Line("get / HTTP/1.1")],
            "RFC 9110 §9.1: another method than GET",
        ),
        forwarded(
            "a method that nobody knows",
            "M-SEARCH!~ / HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Line("M-SEARCH!~ / HTTP/1.1")],
            "RFC 9110 §9.1: the endpoint decides",
        ),
        forwarded(
            "empty lines before a request",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Line("GET / HTTP/1.1")],
            "RFC 9112 §2.2",
        ),
        forwarded(
            "LF alone at the ends of lines",
            "GET / HTTP/1.1\nHost: test\nX-A: 1\n\n",
            [Part::Line("GET / HTTP/1.1"), Part::Field("x-a", "1")],
            "RFC 9112 §2.2: written anew with CRLF",
        ),
    ]);
    cases
}

fn fields() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a line without a colon", "no colon", FIELD),
        ("a space before the colon", "X-A : 1", "RFC 9112 §5.1"),
        (
            "a space before the colon of Content-Length",
            "Content-Length : 5",
            "RFC 9112 §5.1",
        ),
        (
            "a space before the colon of Transfer-Encoding",
            "Transfer-Encoding : chunked",
            "RFC 9112 §5.1",
        ),
        ("a tab before the colon", "X-A\t: 1", "RFC 9112 §5.1"),
        ("an empty name", ": 1", "CVE-2023-25725"),
        ("a space in a name", "X A: 1", FIELD),
        ("a name in quotes", "\"X\": 1", FIELD),
        ("a folded line", "X-A: 1\r\n folded", "RFC 9112 §5.2"),
        (
            "a line folded by a tab",
            "X-A: 1\r\n\tfolded",
            "RFC 9112 §5.2",
        ),
        (
            "a Transfer-Encoding folded into another field",
            "X-A: 1\r\n Transfer-Encoding: chunked",
            "RFC 9112 §5.2",
        ),
        ("a NUL in a name", "X\0A: 1", FIELD),
        ("a NUL in a value", "X-A: 1\x002", FIELD),
        ("CR alone in a value", "X-A: 1\rX-B: 2", "RFC 9112 §2.2"),
        ("CR alone in a name", "X\rA: 1", FIELD),
        ("a control character in a name", "X\x01A: 1", FIELD),
        ("a control character in a value", "X-A: 1\x012", FIELD),
        ("an escape in a value", "X-A: 1\x1b[0m", FIELD),
        ("a DEL in a value", "X-A: 1\x7f2", FIELD),
        ("an octet beyond ASCII in a name", "Xé: 1", FIELD),
    ]
    .map(|(label, field, why)| malformed(label, get(field), why))
    .into();
    cases.extend([
        malformed(
            "a folded first field",
            "GET / HTTP/1.1\r\n X: 1\r\nHost: test\r\n\r\n",
            "RFC 9112 §2.2",
        ),
        forwarded(
            "octets beyond ASCII in a value",
            get("X-A: grün"),
            [Part::Field("x-a", "grün")],
            "RFC 9110 §5.5: obs-text",
        ),
        forwarded(
            "a tab in a value",
            get("X-A: \t1\t2 \t"),
            [Part::Field("x-a", "1\t2")],
            "RFC 9110 §5.5",
        ),
        forwarded(
            "an empty value",
            get("X-A:"),
            [Part::Field("x-a", "")],
            "RFC 9110 §5.5",
        ),
        forwarded(
            "a name of every letter that a token may have",
            get("!#$%&'*+-.^_`|~09azAZ: 1"),
            [Part::Field("!#$%&'*+-.^_`|~09azaz", "1")],
            "RFC 9110 §5.6.2",
        ),
    ]);
    cases
}

fn sizes() -> Vec<Case> {
    let mega = "x".repeat(1 << 20);
    let too_large =
        |label: &str, sent: String, why| refused(label, sent, 431, "headers_too_large", why);
    let fields: String = (0..100)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    vec![
        too_large(
            "a method of 1 MiB",
            format!("{mega} / HTTP/1.1\r\nHost: test\r\n\r\n"),
            "`maxHeaderBytes`",
        ),
        too_large(
            "a name of 1 MiB",
            get(&format!("{mega}: 1")),
            "`maxHeaderBytes`",
        ),
        too_large(
            "a value of 1 MiB",
            get(&format!("X-A: {mega}")),
            "`maxHeaderBytes`",
        ),
        too_large(
            "a name of 33 KiB",
            get(&format!("{}: 1", &mega[..33 << 10])),
            "`maxHeaderBytes`",
        ),
        too_large(
            "fields of 40 KiB together",
            get(&format!("X: {}\r\n", &mega[..400]).repeat(100)),
            "`maxHeaderBytes`",
        ),
        too_large("101 fields", get(fields.trim_end()), "`maxHeaders`"),
    ]
}

#[test]
fn a_head_that_breaks_the_grammar_is_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
