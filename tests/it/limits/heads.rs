//! Heads that cannot be read or may not be served, on first, later and pipelined requests.

use super::{assert_refusal, assert_untouched};
use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint};

/// A head that fiel refuses, the status and the class it is refused with.
const REFUSED: &[(&str, u16, &str)] = &[
    (
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: test\r\nX\x00Y: 1\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: test\r\nX: a\x00b\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost : test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: test\r\n: empty\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n folded\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "G@T / HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET foo HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET * HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET ftp://test/ HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        400,
        "http_request_error",
    ),
    ("GET / HTTP/1.1\r\n\r\n", 400, "http_request_error"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "http_request_error"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
        400,
        "http_request_error",
    ),
    (
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        505,
        "http_request_error",
    ),
    (
        "GET / HTTP/2.0\r\nHost: test\r\n\r\n",
        505,
        "http_request_error",
    ),
    (
        "GET / HTTP/3.0\r\nHost: test\r\n\r\n",
        505,
        "http_request_error",
    ),
    (
        "GET / HTTP/1.2\r\nHost: test\r\n\r\n",
        505,
        "http_request_error",
    ),
    (
        "CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n",
        501,
        "http_request_denied",
    ),
    (
        "TRACE / HTTP/1.1\r\nHost: test\r\n\r\n",
        501,
        "http_request_denied",
    ),
];

#[test]
fn a_refused_head_is_answered_on_a_first_request() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    for (head, status, error) in REFUSED {
        let mut client = Client::connect(fiel.address("web"));
        client.send(head);
        let answer = client.response();
        assert_eq!(answer.status, *status, "{head:?}: {answer:?}");
        assert_refusal(&answer, *status, error);
        assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
        assert_eq!(client.read_to_end().0, b"", "{head:?}");
    }

    assert_untouched(&endpoint);
    let statuses: Vec<u64> = fiel
        .wait_for_access_log(REFUSED.len())
        .iter()
        .filter_map(|line| line["status"].as_u64())
        .collect();
    let expected: Vec<u64> = REFUSED
        .iter()
        .map(|(_, status, _)| u64::from(*status))
        .collect();
    assert_eq!(statuses, expected);
}

#[test]
fn a_refused_head_is_answered_on_a_later_request() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    for (head, status, error) in REFUSED {
        let mut client = Client::connect(fiel.address("web"));
        assert_eq!(client.get("/").text(), "a");
        client.send(head);
        let answer = client.response();
        assert_eq!(answer.status, *status, "{head:?}: {answer:?}");
        assert_refusal(&answer, *status, error);
        assert_eq!(client.read_to_end().0, b"", "{head:?}");
    }

    assert_eq!(endpoint.requests().len(), REFUSED.len());
}

#[test]
fn a_refused_head_is_answered_behind_the_answers_before_it() {
    let body = "x".repeat(200_000);
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
    );
    let fiel = before(&endpoint);

    for (head, status, error) in REFUSED {
        let mut client = Client::connect(fiel.address("web"));
        let get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        client.send(format!("{get}{get}{head}"));
        for _ in 0..2 {
            let before = client.response();
            assert_eq!((before.status, before.cut_short), (200, None), "{head:?}");
            assert!(before.body == body.as_bytes(), "{head:?}");
        }
        let answer = client.response();
        assert_eq!(answer.status, *status, "{head:?}: {answer:?}");
        assert_refusal(&answer, *status, error);
        assert_eq!(client.read_to_end().0, b"", "{head:?}");
    }
}

#[test]
fn what_a_client_says_behind_a_refused_head_does_not_lose_the_answer() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nno colon\r\n\r\n");
    client.send(vec![b'x'; 100_000]);

    assert_refusal(&client.response(), 400, "http_request_error");
}

#[test]
fn a_request_id_of_the_client_is_told_back() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web"))
        .request("TRACE / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine-7\r\n\r\n");

    assert!(
        answer.text().contains("request id: mine-7"),
        "{}",
        answer.text()
    );
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web"))
        .request("\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n");

    assert_eq!(answer.status, 200);
}
