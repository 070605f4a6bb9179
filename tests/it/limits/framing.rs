//! Framings that a smuggler would use: refused, never repaired, never passed on as they came.

use super::{assert_refusal, assert_untouched};
use crate::support::terms::before;
use crate::support::{Client, Endpoint};

/// What a smuggler would like to be taken for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// The line of version and fields of a request, and the status that answers it.
const REFUSED: &[(&str, &str, u16)] = &[
    (
        "1.1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        400,
    ),
    (
        "1.1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        400,
    ),
    ("1.1", "Transfer-Encoding: identity, chunked", 501),
    ("1.1", "Transfer-Encoding: gzip, chunked", 501),
    ("1.1", "Transfer-Encoding: identity", 400),
    ("1.1", "Transfer-Encoding: gzip", 400),
    ("1.1", "Transfer-Encoding: chunked, identity", 400),
    ("1.1", "Transfer-Encoding: chunked, chunked", 400),
    ("1.1", "Transfer-Encoding: xchunked", 400),
    ("1.1", "Transfer-Encoding: \"chunked\"", 400),
    ("1.1", "Transfer-Encoding: chunked;a=b", 400),
    ("1.1", "Transfer-Encoding:", 400),
    ("1.1", "Transfer-Encoding : chunked", 400),
    ("1.1", "Transfer-Encoding:\x0bchunked", 400),
    ("1.1", "X: y\r\n Transfer-Encoding: chunked", 400),
    ("1.1", "Content-Length: +5", 400),
    ("1.1", "Content-Length: -5", 400),
    ("1.1", "Content-Length: 5a", 400),
    ("1.1", "Content-Length: 0x5", 400),
    ("1.1", "Content-Length: 5, 5", 400),
    ("1.1", "Content-Length: 5, 6", 400),
    ("1.1", "Content-Length:", 400),
    ("1.1", "Content-Length: 18446744073709551616", 400),
    ("1.1", "Content-Length: 5\r\nContent-Length: 6", 400),
    ("1.1", "Content-Length: 5\r\nContent-Length: 5", 400),
    (
        "1.1",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        400,
    ),
    (
        "1.1",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        400,
    ),
    ("1.1", "Content-Length : 5", 400),
    ("1.1", ": 5", 400),
    ("1.0", "Transfer-Encoding: chunked", 400),
    (
        "1.0",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        400,
    ),
];

#[test]
fn ambiguous_framings_are_refused_and_nothing_behind_them_is_read() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    for (version, fields, status) in REFUSED {
        let mut client = Client::connect(fiel.address("web"));
        client.send(format!(
            "POST / HTTP/{version}\r\nHost: test\r\n{fields}\r\n\r\n0\r\n\r\n{SMUGGLED}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, *status, "{fields:?}: {answer:?}");
        assert_refusal(&answer, *status, "http_request_error");
        let (rest, _) = client.read_to_end();
        assert_eq!(rest, b"", "{fields:?}");
    }

    assert_untouched(&endpoint);
}

#[test]
fn a_body_whose_chunks_are_none_is_malformed_and_cut_at_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    for (number, chunks) in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(fiel.address("web"));
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, 400, "{chunks:?}");
        assert_refusal(&answer, 400, "http_request_error");
        let (rest, _) = client.read_to_end();
        assert_eq!(rest, b"", "{chunks:?}");
        let line = &fiel.wait_for_access_log(number + 1)[number];
        assert_eq!(line["reason"], "malformed_request", "{chunks:?}");
    }

    assert_eq!(endpoint.requests_to("/smuggled").len(), 0);
    for request in endpoint.requests() {
        endpoint.wait_for_end(request.connection);
    }
}
