//! Chunks, their extensions and trailers (RFC 9112 §7.1).

use super::case::{Case, Part, cut, forwarded, judge, post};
use crate::support::Endpoint;
use crate::support::terms::before;

const CHUNK: &str = "RFC 9112 §7.1";
const TRAILER: &str = "RFC 9110 §6.5";

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a chunk size that is no number", "zz\r\nhello\r\n", CHUNK),
        (
            "a chunk size with a plus",
            "+5\r\nhello\r\n",
            "CVE-2021-32715",
        ),
        ("a negative chunk size", "-5\r\nhello\r\n", CHUNK),
        ("a chunk size with 0x", "0x5\r\nhello\r\n", CHUNK),
        ("a space before a chunk size", " 5\r\nhello\r\n", CHUNK),
        ("a space in a chunk size", "5 5\r\nhello\r\n", CHUNK),
        ("an empty chunk size", "\r\nhello\r\n", CHUNK),
        (
            "a chunk size above 64 bits",
            "10000000000000005\r\nhello\r\n",
            "CVE-2021-32714",
        ),
        (
            "a chunk size of forty digits",
            "ffffffffffffffffffffffffffffffffffffffff\r\nhello\r\n",
            "CVE-2021-32714",
        ),
        ("a NUL in a chunk size", "5\0\r\nhello\r\n", CHUNK),
        ("a chunk size ended by LF alone", "5\nhello\r\n", CHUNK),
        ("a chunk size ended by CR alone", "5\rhello\r\n", CHUNK),
        (
            "a chunk extension with LF alone",
            "5;a\nhello\r\n",
            "RFC 9112 §7.1.1",
        ),
        (
            "a chunk extension with CR alone",
            "5;a\rb\r\nhello\r\n",
            "RFC 9112 §7.1.1",
        ),
        ("a chunk longer than it says", "5\r\nhello!\r\n", CHUNK),
        ("a chunk ended by LF alone", "5\r\nhello\n", CHUNK),
        ("a chunk with no end", "5\r\nhello0\r\n", CHUNK),
        (
            "the last chunk's line ended by LF alone",
            "5\r\nhello\r\n0\n",
            CHUNK,
        ),
        (
            "a trailer without a colon",
            "5\r\nhello\r\n0\r\nx\r\n\r\n",
            TRAILER,
        ),
        (
            "a trailer with a space before its colon",
            "5\r\nhello\r\n0\r\nx : 1\r\n\r\n",
            TRAILER,
        ),
        (
            "a folded trailer",
            "5\r\nhello\r\n0\r\nx: 1\r\n y\r\n\r\n",
            "RFC 9112 §5.2",
        ),
        (
            "a trailer with a NUL",
            "5\r\nhello\r\n0\r\nx: \0\r\n\r\n",
            TRAILER,
        ),
    ]
    .map(|(label, body, why)| cut(label, chunked(&format!("{body}0\r\n\r\n")), why))
    .into();
    let endless = "x".repeat(20_000);
    let many = |count: usize| "x: 1\r\n".repeat(count);
    cases.extend([
        cut(
            "a chunk extension without end",
            chunked(&format!("5;a={endless}\r\nhello\r\n0\r\n\r\n")),
            "hyper PR 3495: at most 16 KiB a body",
        ),
        cut(
            "small chunk extensions without end",
            chunked(&format!(
                "{}0\r\n\r\n",
                "1;aaaaaaaaaa\r\nx\r\n".repeat(2_000)
            )),
            "hyper PR 3495: at most 16 KiB a body",
        ),
        cut(
            "too many trailers",
            chunked(&format!("5\r\nhello\r\n0\r\n{}\r\n", many(101))),
            "`maxHeaders`",
        ),
        cut(
            "too large trailers",
            chunked(&format!("5\r\nhello\r\n0\r\nx: {endless}{endless}\r\n\r\n")),
            "`maxHeaderBytes`",
        ),
        forwarded(
            "a chunk extension",
            chunked("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"),
            [Part::Body("hello"), Part::Trailers(&[])],
            "RFC 9112 §7.1.1: not passed on",
        ),
        cut(
            "a chunk size of more than 16 digits",
            chunked("0000000000000000000005\r\nhello\r\n00\r\n\r\n"),
            CHUNK,
        ),
        cut(
            "a space behind a chunk size",
            chunked("5 \t\r\nhello\r\n0\r\n\r\n"),
            CHUNK,
        ),
        cut(
            "trailers with LF alone before a request",
            chunked("5\r\nhello\r\n0\r\n\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"),
            TRAILER,
        ),
        cut(
            "trailers with LF alone behind a field",
            post(
                "Transfer-Encoding: chunked\r\nTrailer: x-sum",
                "5\r\nhello\r\n0\r\nx-sum: 1\r\n\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            TRAILER,
        ),
        forwarded(
            "trailers that were not announced",
            chunked("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"),
            [Part::Body("hello"), Part::Trailers(&[])],
            TRAILER,
        ),
        forwarded(
            "trailers that were announced",
            post(
                "Transfer-Encoding: chunked\r\nTrailer: x-sum",
                "5\r\nhello\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
            ),
            [Part::Body("hello"), Part::Trailers(&[("x-sum", "1")])],
            TRAILER,
        ),
        forwarded(
            "trailers that frame, route, authenticate or claim",
            post(
                "Transfer-Encoding: chunked\r\nTrailer: content-length, transfer-encoding, host, \
                 authorization, cookie, connection, upgrade, te, expect, via, forwarded, \
                 x-forwarded-for, X_Forwarded_For, x-real-ip, x-request-id, traceparent, \
                 proxy-authorization, x-sum",
                "5\r\nhello\r\n0\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\
                 host: evil\r\nauthorization: a\r\ncookie: a\r\nconnection: x-sum\r\n\
                 upgrade: h2c\r\nte: trailers\r\nexpect: 100-continue\r\nvia: 1.1 a\r\n\
                 forwarded: for=1.1.1.1\r\nx-forwarded-for: 1.1.1.1\r\nx_forwarded_for: 1.1.1.1\r\n\
                 x-real-ip: 1.1.1.1\r\nx-request-id: a\r\ntraceparent: a\r\n\
                 proxy-authorization: a\r\nx-sum: 1\r\n\r\n",
            ),
            [
                Part::Field("host", "test"),
                Part::Body("hello"),
                Part::Trailers(&[("x-sum", "1")]),
            ],
            "RFC 9110 §6.5.1",
        ),
    ]);
    cases
}

#[test]
fn chunks_that_are_none_end_the_request_on_both_sides() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
