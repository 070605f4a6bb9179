//! `Expect: 100-continue`: the endpoint decides whether the body is wanted.

use crate::support::endpoint::Progress;
use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint, Fiel};

const HEAD: &str =
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

fn expecting(fiel: &Fiel) -> Client {
    let mut client = Client::connect(fiel.address("web"));
    client.send(HEAD);
    client
}

#[test]
fn the_endpoint_that_wants_the_body_makes_the_client_send_it() {
    let endpoint = Endpoint::behaving("a", Behaviour::continue_then_echo());
    let fiel = before(&endpoint);
    let mut client = expecting(&fiel);

    assert_eq!(client.one_head().status, 100);
    client.send("hello");
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.interim.is_empty(), "one 100 is enough");
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.header("expect").as_deref(), Some("100-continue"));
}

#[test]
fn the_endpoint_that_refuses_is_heard_without_a_100() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::early("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"),
    );
    let fiel = before(&endpoint);
    let mut client = expecting(&fiel);

    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (417, "no"));
    assert!(answer.interim.is_empty(), "{:?}", answer.interim);
    assert_eq!(endpoint.requests()[0].body, b"");
    client.read_to_end();
    endpoint.wait_for_end(0);
    assert_ne!(endpoint.requests()[0].progress, Progress::Whole);
}

#[test]
fn the_endpoint_that_says_nothing_gets_the_body_after_a_while() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = expecting(&fiel);

    assert_eq!(client.one_head().status, 100);
    client.send("hello");

    assert_eq!(client.response().status, 200);
    assert_eq!(endpoint.wait_for_whole_requests(1)[0].body, b"hello");
}

#[test]
fn a_client_that_does_not_wait_is_served_all_the_same() {
    let endpoint = Endpoint::behaving("a", Behaviour::continue_then_echo());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(format!("{HEAD}hello"));
    let next = client.request("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx");

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!((next.status, next.text().as_str()), (200, "x"));
}
