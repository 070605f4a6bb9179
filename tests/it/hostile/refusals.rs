//! Refusals wherever they fall: on a first request the tables see them, here on later and on pipelined ones, and those
//! that take time or a body to come about.

use super::case::{assert_counted, assert_logged, assert_own_answer, refuse_at_once};
use crate::support::client::Response;
use crate::support::terms::{before, limited};
use crate::support::{Behaviour, Client, Endpoint, Fiel};

/// All that is refused by its head.
fn refused() -> Vec<(String, Vec<u8>, u16)> {
    let cases = super::requests();
    let refused: Vec<_> = cases.iter().filter_map(refuse_at_once).collect();
    assert!(refused.len() > 100, "only {}", refused.len());
    refused
}

#[test]
fn a_refused_head_is_answered_on_a_later_request() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let refused = refused();

    for (label, head, status) in &refused {
        eprintln!("{label}");
        let mut client = Client::connect(fiel.address("web"));
        assert_eq!(client.get("/").text(), "a");
        client.try_send(head).ok();
        assert_own_answer(&client.response(), *status);
        assert_eq!(client.read_to_end().0, b"");
    }

    assert_eq!(endpoint.requests().len(), refused.len());
}

#[test]
fn a_refused_head_is_answered_behind_the_answers_before_it() {
    let body = "x".repeat(50_000);
    let length = body.len();
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        )),
    );
    let fiel = before(&endpoint);
    let refused = refused();

    for (label, head, status) in &refused {
        eprintln!("{label}");
        let mut client = Client::connect(fiel.address("web"));
        let get = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        client.try_send([get, get, head.as_slice()].concat()).ok();
        for _ in 0..2 {
            let before = client.response();
            assert_eq!((before.status, before.cut_short), (200, None));
            assert!(before.body == body.as_bytes(), "another body");
        }
        assert_own_answer(&client.response(), *status);
        assert_eq!(client.read_to_end().0, b"");
    }

    assert_eq!(endpoint.requests().len(), 2 * refused.len());
}

#[test]
fn what_is_too_slow_or_too_large_is_told_three_times_as_well() {
    let endpoint = Endpoint::start("a");
    let limits = "headerTimeout: 200ms, bodyIdleTimeout: 200ms, maxBodyBytes: 10, maxUriBytes: 20, \
                  maxHeaders: 5, maxHeaderBytes: 512";
    let fiel = limited(limits, &endpoint);
    let long = "x".repeat(600);
    let post = "POST / HTTP/1.1\r\nHost: test\r\n";
    for (sent, status, reason) in [
        (
            "GET / HTTP/1.1\r\nHost: te".to_owned(),
            408,
            "headers_too_slow",
        ),
        (
            format!("{post}Content-Length: 5\r\n\r\nhe"),
            408,
            "body_too_slow",
        ),
        (
            format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhe"),
            408,
            "body_too_slow",
        ),
        (
            format!("{post}Content-Length: 11\r\n\r\n"),
            413,
            "body_too_large",
        ),
        (
            format!("{post}Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n"),
            413,
            "body_too_large",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", &long[..20]),
            414,
            "target_too_long",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: test\r\n{}\r\n",
                "X: 1\r\n".repeat(5)
            ),
            431,
            "headers_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: test\r\nX: {long}\r\n\r\n"),
            431,
            "headers_too_large",
        ),
    ] {
        let answer = ask(&fiel, &sent);
        assert_own_answer(&answer, status);
        assert_logged(&fiel, &answer, status, reason);
    }
    let counts = [
        ((408, "headers_too_slow"), 1.0),
        ((408, "body_too_slow"), 2.0),
        ((413, "body_too_large"), 2.0),
        ((414, "target_too_long"), 1.0),
        ((431, "headers_too_large"), 2.0),
    ];
    assert_counted(&fiel, counts);
    for request in endpoint.requests() {
        endpoint.wait_for_end(request.connection);
    }
}

fn ask(fiel: &Fiel, sent: &str) -> Response {
    Client::connect(fiel.address("web")).request(sent)
}
