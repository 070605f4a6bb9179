//! How calls end: by a failure of the proxy's own, by what the endpoint says, or by nobody's word.

use serde_json::json;

use super::{assert_told, call, call_with};
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Client, Endpoint, Fiel, Scrape};

/// Waits until the only call so far is counted and logged like this.
#[track_caller]
fn assert_booked(fiel: &Fiel, labels: &str, code: u16, status: u8) -> serde_json::Value {
    let requests = format!("fiel_requests_total{{{labels},code=\"{code}\"}}");
    let calls = format!("fiel_grpc_responses_total{{{labels},grpc_status=\"{status}\"}}");
    Scrape::wait_for(fiel, &[(&requests, 1.0), (&calls, 1.0)]);
    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["status"], code, "{line}");
    assert_eq!(line["grpc_status"], status, "{line}");
    line
}

const SHOP: &str = "route=\"shop\",pool=\"shop\"";

#[test]
fn a_call_that_no_route_takes_is_unimplemented_and_booked_as_404() {
    let fiel = Terms {
        route: &["match: { path: { exact: /elsewhere } }"],
        ..Terms::default()
    }
    .before(&Endpoint::start("a"));

    let answer = call(&fiel, "/shop.Cart/Add");

    assert_told(&answer, "12", "404 Not Found, request id 7f3c");
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=destination_not_found")
    );
    let nowhere = "route=\"none\",pool=\"none\"";
    let line = assert_booked(&fiel, nowhere, 404, 12);
    assert_eq!(line["reason"], "no_route", "{line}");
    let reply = format!("fiel_local_replies_total{{{nowhere},code=\"404\",reason=\"no_route\"}}");
    Scrape::wait_for(&fiel, &[(&reply, 1.0)]);
}

#[test]
fn a_call_that_nobody_can_take_is_unavailable() {
    let mut gone = Endpoint::start("gone");
    gone.stop_listening();
    let fiel = before(&gone);

    let answer = call(&fiel, "/shop.Cart/Add");

    assert_told(&answer, "14", "502 Bad Gateway, request id 7f3c");
    assert_eq!(answer.header("retry-after"), None);
    assert_booked(&fiel, SHOP, 502, 14);
}

#[test]
fn a_call_with_too_large_a_body_has_exhausted_a_resource() {
    let endpoint = Endpoint::start("a");
    let fiel = Terms {
        route: &["maxBodyBytes: 4"],
        ..Terms::default()
    }
    .before(&endpoint);

    let answer = call(&fiel, "/shop.Cart/Add");

    assert_told(&answer, "8", "413 Payload Too Large, request id 7f3c");
    assert!(endpoint.requests().is_empty());
}

#[test]
fn what_is_not_quite_grpc_is_told_in_http() {
    let mut gone = Endpoint::start("gone");
    gone.stop_listening();
    let fiel = before(&gone);
    for content_type in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "text/plain",
    ] {
        let asked = call_with("/shop.Cart/Add", "").replace("application/grpc", content_type);
        let answer = Client::connect(fiel.address("web")).request(asked);
        assert_eq!(answer.status, 502, "{content_type}");
        assert_eq!(answer.header("grpc-status"), None);
    }
    let line = fiel.wait_for_access_log(3).remove(0);
    assert_eq!(line["grpc_status"], json!(null), "{line}");
    let series = Scrape::of(&fiel);
    assert!(!series.text().contains("fiel_grpc_responses_total"));
}

#[test]
fn the_status_in_the_trailers_is_passed_on_and_booked() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\
             Trailer: grpc-status, grpc-message\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\n\
             grpc-status: 5\r\ngrpc-message: no cart\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);

    let answer = call(&fiel, "/shop.Cart/Add");

    assert_eq!(answer.body, b"\0\0\0\0\0");
    let expected = [("grpc-status", "5"), ("grpc-message", "no cart")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(answer.trailers, expected);
    assert_booked(&fiel, SHOP, 200, 5);
}

#[test]
fn a_status_in_the_head_counts_where_there_are_no_trailers() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 16\r\nContent-Length: 0\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    assert_eq!(call(&fiel, "/").header("grpc-status"), Some("16"));
    assert_booked(&fiel, SHOP, 200, 16);
}

#[test]
fn an_answer_without_a_status_counts_as_what_clients_take_it_for() {
    for (status, code) in [(200, 2), (403, 7), (503, 14)] {
        let endpoint = Endpoint::behaving("a", Behaviour::status(status));
        let fiel = before(&endpoint);
        let answer = call(&fiel, "/");
        // What an endpoint says in HTTP is left as it is.
        assert_eq!(
            (answer.status, answer.header("grpc-status")),
            (status, None)
        );
        assert_booked(&fiel, SHOP, status, code);
    }
}

#[test]
fn an_answer_that_breaks_off_counts_as_unavailable() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes_then_reset("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\0\0"),
    );
    let fiel = before(&endpoint);
    assert!(call(&fiel, "/").cut_short.is_some());
    let line = assert_booked(&fiel, SHOP, 200, 14);
    assert_eq!(line["reason"], "response_cut", "{line}");
}

#[test]
fn a_call_whose_client_leaves_counts_as_cancelled() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut leaving = Client::connect(fiel.address("web"));
    leaving.send(call_with("/", ""));
    endpoint.wait_for_requests(1);
    leaving.reset();
    assert_booked(&fiel, SHOP, 499, 1);
}
