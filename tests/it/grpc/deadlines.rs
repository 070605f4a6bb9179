//! `grpc-timeout`: it bounds the call, and endpoints are told what is left of it.

use std::time::Duration;

use super::{assert_told, call_with};
use crate::support::client::Response;
use crate::support::terms::{Terms, before, timed};
use crate::support::{Behaviour, Client, Endpoint, Fiel};

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
