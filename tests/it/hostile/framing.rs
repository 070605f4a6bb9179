//! Where a body ends: framings that two readers could understand differently (RFC 9112 §6).

use super::case::{Case, Part, forwarded, get, judge, malformed, post, refused};
use crate::support::Endpoint;
use crate::support::terms::before;

const LENGTH: &str = "RFC 9110 §8.6, RFC 9112 §6.3";
const CODING: &str = "RFC 9112 §6.1, §6.3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(codings());
    cases.extend(both());
    cases
}

fn lengths() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a length with a plus", "+5", "CVE-2021-32715"),
        ("a negative length", "-5", LENGTH),
        ("a hexadecimal length", "0x5", LENGTH),
        ("a length with a letter behind it", "5a", LENGTH),
        ("a length with a space in it", "5 5", LENGTH),
        ("a length with a fraction", "5.0", LENGTH),
        ("an empty length", "", "CVE-2023-40225"),
        ("a length above 64 bits", "18446744073709551616", LENGTH),
        (
            "a length of thirty digits",
            "999999999999999999999999999999",
            LENGTH,
        ),
        ("a listed length, equal", "5, 5", "CVE-2023-40225"),
        ("a listed length, different", "5, 6", LENGTH),
        ("a length and a comma", "5,", LENGTH),
        ("a length in quotes", "\"5\"", LENGTH),
    ]
    .map(|(label, length, why)| {
        malformed(
            label,
            post(&format!("Content-Length: {length}"), "hello"),
            why,
        )
    })
    .into();
    cases.extend([
        malformed(
            "two different lengths",
            post("Content-Length: 5\r\nContent-Length: 6", "hello!"),
            LENGTH,
        ),
        malformed(
            "a length and an empty one",
            post("Content-Length: 5\r\nContent-Length:", "hello"),
            "CVE-2023-40225",
        ),
        malformed(
            "two equal lengths",
            post("Content-Length: 5\r\nContent-Length: 5", "hello"),
            LENGTH,
        ),
        forwarded(
            "no length at all",
            "POST / HTTP/1.1\r\nHost: test\r\n\r\n",
            [Part::Without("transfer-encoding"), Part::Body("")],
            "RFC 9112 §6.3: no body",
        ),
        forwarded(
            "a GET with a body",
            get("Content-Length: 5") + "hello",
            [Part::Field("content-length", "5"), Part::Body("hello")],
            "RFC 9110 §9.3.1",
        ),
        forwarded(
            "Content_Length",
            post("Content-Length: 5\r\nContent_Length: 3", "hello"),
            [
                Part::Field("content-length", "5"),
                Part::Without("content_length"),
                Part::Body("hello"),
            ],
            "CVE-2026-39858: some read `_` as `-`",
        ),
        forwarded(
            "Transfer_Encoding",
            post("Content-Length: 5\r\nTransfer_Encoding: chunked", "hello"),
            [
                Part::Field("content-length", "5"),
                Part::Without("transfer_encoding"),
                Part::Body("hello"),
            ],
            "CVE-2026-39858: some read `_` as `-`",
        ),
        forwarded(
            "Connection: content-length",
            post("Content-Length: 5\r\nConnection: content-length", "hello"),
            [Part::Field("content-length", "5"), Part::Body("hello")],
            "RFC 9110 §7.6.1: framing cannot be removed",
        ),
    ]);
    cases
}

fn codings() -> Vec<Case> {
    let chunked = |coding: &str| post(coding, "5\r\nhello\r\n0\r\n\r\n");
    let mut cases: Vec<Case> = [
        ("Transfer-Encoding: identity", "identity"),
        ("Transfer-Encoding: gzip", "gzip"),
        ("Transfer-Encoding: chunked, identity", "chunked, identity"),
        ("Transfer-Encoding: chunked, gzip", "chunked, gzip"),
        ("Transfer-Encoding: chunked, chunked", "chunked, chunked"),
        ("Transfer-Encoding: chunked,", "chunked,"),
        ("Transfer-Encoding: , chunked", ", chunked"),
        ("Transfer-Encoding: xchunked", "xchunked"),
        ("Transfer-Encoding: chunkedx", "chunkedx"),
        ("Transfer-Encoding: \"chunked\"", "\"chunked\""),
        ("Transfer-Encoding: chunked;a=b", "chunked;a=b"),
        ("Transfer-Encoding: chun ked", "chun ked"),
        ("an empty Transfer-Encoding", ""),
        ("a vertical tab before chunked", "\x0bchunked"),
        ("a NUL behind chunked", "chunked\0"),
        ("a folded Transfer-Encoding", "\r\n chunked"),
    ]
    .map(|(label, coding)| {
        malformed(
            label,
            chunked(&format!("Transfer-Encoding: {coding}")),
            CODING,
        )
    })
    .into();
    cases.extend(
        [
            ("Transfer-Encoding: gzip, chunked", "gzip, chunked"),
            ("Transfer-Encoding: identity, chunked", "identity, chunked"),
            (
                "an unknown coding with parameters, chunked",
                "a;b=c, chunked",
            ),
        ]
        .map(|(label, coding)| {
            let sent = chunked(&format!("Transfer-Encoding: {coding}"));
            refused(label, sent, 501, "unknown_transfer_coding", "RFC 9112 §6.1")
        }),
    );
    cases.extend([
        malformed(
            "two lines of chunked",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            "RUSTSEC-2021-0020",
        ),
        malformed(
            "a line of chunked and one of identity",
            chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
            "RUSTSEC-2021-0020",
        ),
        malformed(
            "chunked in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "RFC 9112 §6.1, CVE-2026-2835",
        ),
        malformed(
            "chunked with a length in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\
             \r\n0\r\n\r\n",
            "RFC 9112 §6.1, CVE-2026-2835",
        ),
        forwarded(
            "chunked in capitals",
            chunked("TRANSFER-ENCODING:\t CHUNKED \t"),
            [
                Part::Field("transfer-encoding", "chunked"),
                Part::Body("hello"),
            ],
            "RFC 9112 §7: case does not matter",
        ),
        forwarded(
            "a GET with chunks",
            get("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
            [
                Part::Field("transfer-encoding", "chunked"),
                Part::Body("hello"),
            ],
            "RFC 9110 §9.3.1",
        ),
        forwarded(
            "Connection: transfer-encoding",
            chunked("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding"),
            [
                Part::Field("transfer-encoding", "chunked"),
                Part::Body("hello"),
            ],
            "RFC 9112 §6.1: written anew",
        ),
    ]);
    cases
}

fn both() -> Vec<Case> {
    const WHY: &str = "RFC 9112 §6.3: may be an attempt to smuggle";
    let body = "5\r\nhello\r\n0\r\n\r\n";
    vec![
        malformed(
            "a length before chunked",
            post("Content-Length: 3\r\nTransfer-Encoding: chunked", body),
            WHY,
        ),
        malformed(
            "a length behind chunked",
            post("Transfer-Encoding: chunked\r\nContent-Length: 3", body),
            WHY,
        ),
        malformed(
            "an empty length beside chunked",
            post("Content-Length:\r\nTransfer-Encoding: chunked", body),
            "CVE-2023-40225",
        ),
        malformed(
            "two different lengths beside chunked",
            post(
                "Content-Length: 3\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                body,
            ),
            LENGTH,
        ),
    ]
}

#[test]
fn a_framing_that_can_be_read_in_two_ways_is_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
