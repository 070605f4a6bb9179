//! Endpoints that lie, or speak nonsense: what the client is told, and what becomes of their connection.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::document::Row;
use crate::support::client::Response;
use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint, Fiel, Step};

const GRAMMAR: &str = "RFC 9112 §4, §5";
const FRAMING: &str = "RFC 9112 §6.3";
const CUT_SHORT: &str = "RFC 9112 §8";

/// What an endpoint says to a request, and what becomes of it.
pub(super) struct Case {
    label: &'static str,
    method: &'static str,
    says: Vec<u8>,
    ends: bool,
    fate: Fate,
    why: &'static str,
}

enum Fate {
    /// The client gets 502.
    BadGateway,
    /// The client gets this status and body whole; fields that it must not get are left out.
    Passed(u16, &'static str, Line, &'static [&'static str]),
    /// The client gets this much, and sees that it is not all.
    Cut(u16, &'static str),
}

/// What becomes of the connection to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It serves the next request.
    Kept,
    /// It is not used again.
    Ended,
}

impl Case {
    fn new(label: &'static str, says: impl Into<Vec<u8>>, fate: Fate, why: &'static str) -> Self {
        Self {
            label,
            method: "GET",
            says: says.into(),
            ends: false,
            fate,
            why,
        }
    }

    /// The endpoint ends its side behind it.
    fn and_ends(mut self) -> Self {
        self.ends = true;
        self
    }

    fn asked_by_head(mut self) -> Self {
        self.method = "HEAD";
        self
    }

    pub(super) fn row(&self) -> Row {
        Row {
            label: self.label.to_owned(),
            does: self.fate.to_string(),
            why: self.why,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadGateway => write!(f, "502 `malformed_response`; its connection ends"),
            Self::Passed(status, body, line, without) => {
                write!(f, "{status}")?;
                if !body.is_empty() {
                    write!(f, " with `{body}`")?;
                }
                for name in *without {
                    write!(f, ", without `{name}`")?;
                }
                if *line == Line::Ended {
                    write!(f, "; its connection is not used again")?;
                }
                Ok(())
            }
            Self::Cut(status, body) => {
                write!(
                    f,
                    "{status} with `{body}`, then the client's connection is cut"
                )
            }
        }
    }
}

fn bad(label: &'static str, says: impl Into<Vec<u8>>, why: &'static str) -> Case {
    Case::new(label, says, Fate::BadGateway, why)
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(framings());
    cases.extend(bodies());
    cases
}

fn heads() -> Vec<Case> {
    let line = |line: &str| format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
    let mut cases: Vec<Case> = [
        ("an answer of HTTP/0.9", "<html>hello</html>".to_owned()),
        (
            "the preface of HTTP/2 as an answer",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
        (
            "the settings of HTTP/2 as an answer",
            "\0\0\0\x04\0\0\0\0\0".to_owned(),
        ),
        (
            "a request as an answer",
            "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(),
        ),
        (
            "junk before the status line",
            line("junk\r\nHTTP/1.1 200 OK"),
        ),
        ("a version of HTTP/2.0", line("HTTP/2.0 200 OK")),
        ("a status of letters", line("HTTP/1.1 abc OK")),
        ("a status of two digits", line("HTTP/1.1 20 OK")),
        ("status 099", line("HTTP/1.1 099 Low")),
        ("status 1000", line("HTTP/1.1 1000 High")),
        ("a negative status", line("HTTP/1.1 -20 OK")),
        ("a NUL in the reason", line("HTTP/1.1 200 O\0K")),
        ("CR alone in the reason", line("HTTP/1.1 200 OK\rX: 1")),
        ("an answer with a line without a colon", ok("no colon", "")),
        (
            "an answer with a space before a colon",
            ok("Content-Length : 5", "hello"),
        ),
        ("an answer with an empty name", ok(": 1", "")),
        (
            "an answer with a folded line",
            ok("X-A: 1\r\n 2\r\nContent-Length: 5", "hello"),
        ),
        (
            "an answer with a NUL in a value",
            ok("X-A: \0\r\nContent-Length: 5", "hello"),
        ),
        (
            "an answer with CR alone in a value",
            ok("X-A: 1\rSet-Cookie: a\r\nContent-Length: 5", "hello"),
        ),
        (
            "an answer with more than 100 fields",
            ok(&"X: 1\r\n".repeat(101), ""),
        ),
        (
            "a head of an answer without end",
            ok(&format!("X: {}", "x".repeat(1 << 20)), ""),
        ),
        (
            "a status line without end",
            format!("HTTP/1.1 200 {}", "x".repeat(1 << 20)),
        ),
    ]
    .map(|(label, says)| bad(label, says, GRAMMAR).and_ends())
    .into();
    cases.extend([
        Case::new(
            "status 600",
            line("HTTP/1.1 600 Odd"),
            Fate::Passed(600, "hello", Line::Kept, &[]),
            "RFC 9110 §15: three digits",
        ),
        Case::new(
            "a status line without a reason",
            line("HTTP/1.1 200"),
            Fate::Passed(200, "hello", Line::Kept, &[]),
            "RFC 9112 §4",
        ),
        Case::new(
            "a status line with an empty reason",
            line("HTTP/1.1 200 "),
            Fate::Passed(200, "hello", Line::Kept, &[]),
            "RFC 9112 §4",
        ),
        Case::new(
            "an answer with fields of its connection",
            ok(
                "Connection: X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=60\r\nUpgrade: h2c\r\n\
                 Proxy-Connection: close\r\nProxy-Authenticate: Basic\r\nContent-Length: 5",
                "hello",
            ),
            Fate::Passed(
                200,
                "hello",
                Line::Kept,
                &[
                    "x-own",
                    "keep-alive",
                    "upgrade",
                    "connection",
                    "proxy-connection",
                    "proxy-authenticate",
                ],
            ),
            "RFC 9110 §7.6.1",
        ),
    ]);
    cases
}

fn framings() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (
            "an answer with two different lengths",
            "Content-Length: 5\r\nContent-Length: 6",
        ),
        ("an answer with a listed length", "Content-Length: 5, 6"),
        ("an answer with a length and a plus", "Content-Length: +5"),
        ("an answer with an empty length", "Content-Length:"),
        (
            "an answer with a length above 64 bits",
            "Content-Length: 18446744073709551616",
        ),
        (
            "an answer with a length before chunked",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
        ),
        (
            "an answer with a length behind chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ),
        ("an answer in gzip", "Transfer-Encoding: gzip"),
        (
            "an answer in gzip, chunked",
            "Transfer-Encoding: gzip, chunked",
        ),
        (
            "an answer in identity, chunked",
            "Transfer-Encoding: identity, chunked",
        ),
        (
            "an answer in chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        (
            "an answer in chunked, identity",
            "Transfer-Encoding: chunked, identity",
        ),
    ]
    .map(|(label, fields)| bad(label, ok(fields, "5\r\nhello\r\n0\r\n\r\n"), FRAMING).and_ends())
    .into();
    cases.extend([
        bad(
            "chunks in an answer of HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "RFC 9112 §6.1",
        )
        .and_ends(),
        bad(
            "chunks in a 204",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "RFC 9112 §6.1",
        ),
        bad(
            "a 101 that was not asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nraw",
            "CVE-2026-2833",
        ),
        Case::new(
            "an answer without a length",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            Fate::Passed(200, "hello", Line::Ended, &[]),
            "RFC 9112 §6.3: it ends with the connection",
        )
        .and_ends(),
    ]);
    cases
}

fn bodies() -> Vec<Case> {
    let chunked = |body: &str| ok("Transfer-Encoding: chunked", body);
    let mut cases: Vec<Case> = [
        (
            "a body shorter than its length",
            ok("Content-Length: 10", "hello"),
        ),
        (
            "a body in chunks without the last one",
            chunked("5\r\nhello\r\n"),
        ),
        ("a chunk that is cut", chunked("a\r\nhello")),
        (
            "a last chunk without its empty line",
            chunked("5\r\nhello\r\n0\r\n"),
        ),
        (
            "an answer's chunk size that is no number",
            chunked("5\r\nhello\r\nzz\r\n"),
        ),
        (
            "an answer's chunk size above 64 bits",
            chunked("5\r\nhello\r\n10000000000000000\r\n"),
        ),
        (
            "an answer's chunk longer than it says",
            chunked("5\r\nhello!\r\n0\r\n\r\n"),
        ),
        (
            "an answer's chunk size ended by LF alone",
            chunked("5\r\nhello\r\n5\nhello\r\n0\r\n\r\n"),
        ),
    ]
    .map(|(label, says)| Case::new(label, says, Fate::Cut(200, "hello"), CUT_SHORT).and_ends())
    .into();
    let ended = |label, says: String, status, body, why| {
        Case::new(
            label,
            says,
            Fate::Passed(status, body, Line::Ended, &[]),
            why,
        )
    };
    let stray = ok("Content-Length: 5", "stray");
    cases.extend([
        ended(
            "octets behind the end",
            ok("Content-Length: 5", "hello there"),
            200,
            "hello",
            "RFC 9112 §9.2: nobody's answer",
        ),
        ended(
            "a second answer",
            ok("Content-Length: 5", "hello") + &stray,
            200,
            "hello",
            "RFC 9112 §9.2",
        ),
        ended(
            "octets behind the last chunk",
            chunked("5\r\nhello\r\n0\r\n\r\nmore"),
            200,
            "hello",
            "RFC 9112 §9.2",
        ),
        ended(
            "Connection: close, and then more",
            ok("Connection: close\r\nContent-Length: 5", "hello") + &stray,
            200,
            "hello",
            "RFC 9112 §9.6",
        ),
        ended(
            "Connection: close, and not closed",
            ok("Connection: close\r\nContent-Length: 5", "hello"),
            200,
            "hello",
            "RFC 9112 §9.6",
        ),
        ended(
            "a 204 with a body",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello".into(),
            204,
            "",
            "RFC 9110 §6.4.1: it has none",
        ),
        ended(
            "a 304 with a body",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello".into(),
            304,
            "",
            "RFC 9110 §6.4.1: it has none",
        ),
        ended(
            "an answer to HEAD with a body",
            ok("Content-Length: 5", "hello"),
            200,
            "",
            "RFC 9110 §9.3.2: it has none",
        )
        .asked_by_head(),
        ended(
            "an answer to HEAD with chunks",
            chunked("5\r\nhello\r\n0\r\n\r\n"),
            200,
            "",
            "RFC 9110 §9.3.2: it has none",
        )
        .asked_by_head(),
    ]);
    cases
}

#[test]
fn an_answer_that_lies_is_refused_cut_or_ends_its_connection() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut failed = Vec::new();
    for case in cases() {
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&case, &fiel, &endpoint)));
        if judged.is_err() {
            failed.push(case.label);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn judge(case: &Case, fiel: &Fiel, endpoint: &Endpoint) {
    let mut steps = vec![Step::ReadBody, Step::Write(case.says.clone())];
    steps.extend(case.ends.then_some(Step::Finish));
    endpoint.behave_at("/case", Behaviour(steps));
    let asked_before = endpoint.requests_to("/case").len();
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(format!(
        "{} /case HTTP/1.1\r\nHost: test\r\n\r\n",
        case.method
    ));

    let asked = endpoint.requests_to("/case").split_off(asked_before);
    assert_eq!(asked.len(), 1, "it was asked once: {asked:?}");
    match &case.fate {
        Fate::BadGateway => {
            assert_eq!(answer.status, 502, "{answer:?}");
            let told = answer.header("proxy-status");
            assert_eq!(told, Some("fiel; error=http_protocol_error"));
            assert_eq!(reason_of(fiel, &answer), "malformed_response");
        }
        Fate::Passed(status, body, _, without) => {
            assert_eq!((answer.status, answer.text().as_str()), (*status, *body));
            assert_eq!(answer.cut_short, None);
            for name in *without {
                assert_eq!(answer.header(name), None, "{name}");
            }
        }
        Fate::Cut(status, body) => {
            assert_eq!((answer.status, answer.text().as_str()), (*status, *body));
            assert!(answer.cut_short.is_some(), "it looks whole: {answer:?}");
            client = Client::connect(fiel.address("web"));
        }
    }
    // The next answer is the next one's, on the connection that is good for it.
    let next = client.get("/next");
    assert_eq!((next.status, next.text().as_str()), (200, "a"));
    let next = endpoint
        .requests_to("/next")
        .pop()
        .expect("the next request");
    let is_kept = matches!(case.fate, Fate::Passed(_, _, Line::Kept, _));
    assert_eq!(next.connection == asked[0].connection, is_kept, "kept");
    if !is_kept {
        endpoint.wait_for_end(asked[0].connection);
    }
}

fn reason_of(fiel: &Fiel, answer: &Response) -> String {
    let text = answer.text();
    let (_, id) = text.split_once("\nrequest id: ").expect("an id");
    let line = crate::support::wait::eventually("its line in the log", || {
        let lines = fiel.access_log().into_iter();
        lines.rev().find(|line| line["request_id"] == id.trim_end())
    });
    line["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn interim_responses_without_end_are_a_bad_gateway() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1_000);
    let mut steps = vec![Step::ReadBody];
    steps.extend(vec![Step::Write(interim.into()); 10_000]);
    let endpoint = Endpoint::behaving("a", Behaviour(steps));
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web")).get("/");

    assert_eq!(answer.status, 502, "{answer:?}");
    let told = answer.header("proxy-status");
    assert_eq!(told, Some("fiel; error=http_protocol_error"));
    assert_eq!(reason_of(&fiel, &answer), "malformed_response");
    endpoint.wait_for_end(0);
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn a_large_answer_behind_many_interim_responses_is_passed_on_whole() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100);
    let body = "x".repeat(3 << 20);
    let says = format!(
        "{interim}HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(says));
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.body.len()), (200, body.len()));
        assert_eq!(answer.cut_short, None);
    }
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn an_answer_before_any_request_is_nobodys() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    endpoint.behave_at(
        "/first",
        Behaviour(vec![
            Step::ReadBody,
            Step::WriteName,
            Step::AwaitRelease,
            Step::Write(stray.into()),
        ]),
    );
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/first").text(), "a");
    let written = endpoint.written_bytes(0);

    endpoint.release();
    endpoint.wait_for_written_bytes(0, written + stray.len() as u64);
    // On a busy machine the kernel may bring it to the worker behind the next request; the connection's end tells that it
    // has come.
    endpoint.wait_for_end(0);

    for _ in 0..3 {
        assert_eq!(client.get("/next").text(), "a");
    }
    let connections: Vec<usize> = endpoint
        .requests_to("/next")
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [1, 1, 1]);
}

#[test]
fn a_client_is_told_no_trailers_that_belong_in_a_head() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
             Trailer: set-cookie, content-length, transfer-encoding, connection, \
             www-authenticate, via, x-sum\r\n\r\n5\r\nhello\r\n0\r\nset-cookie: a=b\r\n\
             content-length: 1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\
             www-authenticate: Basic\r\nvia: 1.1 a\r\nx-sum: 1\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer =
        client.request("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
}
