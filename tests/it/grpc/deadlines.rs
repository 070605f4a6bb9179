//! `grpc-timeout`: it bounds the call, and endpoints are told what is left of it.

use std::thread;
use std::time::{Duration, Instant};

use super::{assert_told, call_with};
use crate::support::client::Response;
use crate::support::terms::{Terms, before, timed};
use crate::support::{Behaviour, Client, Endpoint, Fiel, Step};

fn call_within(fiel: &Fiel, timeout: &str) -> Response {
    let asked = call_with("/shop.Cart/Add", &format!("grpc-timeout: {timeout}\r\n"));
    Client::connect(fiel.address("web")).request(asked)
}

/// What the request of this number was told of its time.
fn told(endpoint: &Endpoint, number: usize) -> Option<String> {
    endpoint.wait_for_requests(number + 1)[number].header("grpc-timeout")
}

/// The microseconds of a value in them.
fn micros(value: Option<String>) -> u64 {
    let value = value.expect("it is told");
    let digits = value.strip_suffix('u');
    let digits = digits.unwrap_or_else(|| panic!("{value} is not in microseconds"));
    digits.parse().unwrap()
}

#[test]
fn a_call_that_is_not_answered_by_its_deadline_has_exceeded_it() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = before(&endpoint);

    let answer = call_within(&fiel, "100m");

    assert_told(&answer, "4", "504 Gateway Timeout, request id 7f3c");
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=http_response_timeout")
    );
    assert_eq!(told(&endpoint, 0).as_deref(), Some("100m"));
    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["reason"], "response_timeout", "{line}");
    assert_eq!(line["status"], 504, "{line}");
    assert_eq!(line["grpc_status"], 4, "{line}");
}

#[test]
fn a_deadline_bounds_the_whole_answer_and_not_its_head_alone() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::pieces([
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 9\r\n\r\n\0\0",
            "never",
        ]),
    );
    let fiel = before(&endpoint);

    let answer = call_within(&fiel, "100m");

    assert_eq!(answer.status, 200);
    assert!(answer.cut_short.is_some(), "{answer:?}");
    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["reason"], "response_too_slow", "{line}");
    assert_eq!(line["grpc_status"], 4, "{line}");
}

#[test]
fn a_route_bounds_what_clients_may_ask_for_and_tells_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = timed("total: 10s", &[endpoint.address()]);
    assert_eq!(call_within(&fiel, "1H").text(), "a");
    assert_eq!(micros(told(&endpoint, 0)), 10_000_000);
}

#[test]
fn a_shorter_timeout_of_the_route_counts_as_before() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = timed("response: 100ms", &[endpoint.address()]);
    let answer = call_within(&fiel, "1H");
    assert_told(&answer, "4", "504 Gateway Timeout, request id 7f3c");
    // Of the whole call there is as much time as the client has said.
    assert_eq!(told(&endpoint, 0).as_deref(), Some("1H"));
}

#[test]
fn another_try_is_told_the_time_that_is_left() {
    let (mut gone, good) = (Endpoint::start("gone"), Endpoint::start("good"));
    gone.stop_listening();
    let fiel = Terms::default().before_all(&[gone.address(), good.address()]);
    // One of two goes to the dead endpoint first.
    for _ in 0..2 {
        assert_eq!(call_within(&fiel, "30S").text(), "good");
    }
    let mut first_tries = 0;
    for number in 0..2 {
        match told(&good, number).as_deref() {
            Some("30S") => first_tries += 1,
            other => {
                let left = Duration::from_micros(micros(other.map(str::to_owned)));
                assert!(left < Duration::from_secs(30), "{left:?}");
            }
        }
    }
    assert_eq!(first_tries, 1);
}

#[test]
fn what_is_no_timeout_is_left_to_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    for (number, broken) in ["soon", "123456789S", "0S", "-1S"].into_iter().enumerate() {
        assert_eq!(call_within(&fiel, broken).text(), "a", "{broken}");
        assert_eq!(told(&endpoint, number).as_deref(), Some(broken));
    }
}

#[test]
fn what_is_no_call_has_no_deadline() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let asked = call_with("/", "grpc-timeout: 1n\r\n").replace("application/grpc", "text/plain");
    let answer = Client::connect(fiel.address("web")).request(asked);
    assert_eq!(answer.text(), "a");
}

#[test]
fn a_route_may_remove_deadlines_or_set_its_own() {
    let endpoint = Endpoint::start("a");
    let fiel = Terms {
        route: &["requestHeaders: { remove: [grpc-timeout] }"],
        ..Terms::default()
    }
    .before(&endpoint);
    assert_eq!(call_within(&fiel, "1n").text(), "a");
    assert_eq!(told(&endpoint, 0), None);

    endpoint.behave(Behaviour::stall());
    let fiel = Terms {
        route: &["requestHeaders: { set: { grpc-timeout: 100m } }"],
        ..Terms::default()
    }
    .before(&endpoint);
    let answer = call_within(&fiel, "1H");
    assert_eq!(answer.header("grpc-status"), Some("4"), "{answer:?}");
}

/// An endpoint that gives the head of its answer at once and its end when it has read all, and a call that has begun.
fn streaming(fiel: impl FnOnce(&Endpoint) -> Fiel) -> (Endpoint, Fiel, Client) {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Step::ReadBody,
            Step::Write(b"2\r\n\0\0\r\n0\r\n\r\n".to_vec()),
        ]),
    );
    let fiel = fiel(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    let open = call_with("/", "").replace("Content-Length: 5", "Transfer-Encoding: chunked");
    client.send(open.trim_end_matches('\0'));
    assert_eq!(client.head().status, 200);
    (endpoint, fiel, client)
}

#[test]
fn a_stream_may_pause_for_as_long_as_the_whole_exchange_may() {
    let (_endpoint, fiel, mut client) = streaming(|endpoint| {
        Terms {
            listener: &["limits: { bodyIdleTimeout: 10ms }"],
            route: &["timeouts: { idle: 300ms }"],
            ..Terms::default()
        }
        .before(endpoint)
    });

    client.read_to_end();

    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["reason"], "response_too_slow", "{line}");
    assert_eq!(line["grpc_status"], 4, "{line}");
}

#[test]
fn an_answer_may_stand_still_while_the_request_moves() {
    const IDLE: Duration = Duration::from_secs(3);
    let (_endpoint, _fiel, mut client) =
        streaming(|endpoint| timed("idle: 3s", &[endpoint.address()]));

    let begin = Instant::now();
    while begin.elapsed() < IDLE * 4 / 3 {
        client.send("5\r\n\0\0\0\0\0\r\n");
        thread::park_timeout(Duration::from_millis(50));
    }
    client.send("0\r\n\r\n");

    let end = b"2\r\n\0\0\r\n0\r\n\r\n";
    assert_eq!(client.read_exact(end.len()), end);
}
