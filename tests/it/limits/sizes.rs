//! How large heads and bodies may be.

use super::{assert_refusal, assert_untouched};
use crate::support::endpoint::Progress;
use crate::support::terms::{Terms, before, limited};
use crate::support::{Client, Endpoint, Fiel};

fn ask(fiel: &Fiel, request: impl AsRef<[u8]>) -> crate::support::client::Response {
    Client::connect(fiel.address("web")).request(request)
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxHeaderBytes: 1KiB", &endpoint);
    let with = |octets: usize| {
        let filler = "x".repeat(octets);
        ask(
            &fiel,
            format!("GET / HTTP/1.1\r\nHost: test\r\nX: {filler}\r\n\r\n"),
        )
    };

    assert_eq!(with(900).status, 200);
    assert_refusal(&with(1100), 431, "http_request_error");
    assert_refusal(&with(200_000), 431, "http_request_error");
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn a_head_that_never_ends_is_refused_at_its_limit() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nHost: test\r\nX: ");
    client.send(vec![b'x'; 100_000]);

    assert_refusal(&client.response(), 431, "http_request_error");
    assert_untouched(&endpoint);
}

#[test]
fn a_head_with_too_many_fields_is_refused() {
    let endpoint = Endpoint::start("a");
    let with = |fiel: &Fiel, count: usize| {
        let fields: String = (1..count)
            .map(|number| format!("X-{number}: 1\r\n"))
            .collect();
        ask(
            fiel,
            format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"),
        )
    };

    for (fiel, limit) in [
        (before(&endpoint), 100),
        (limited("maxHeaders: 10", &endpoint), 10),
    ] {
        assert_eq!(with(&fiel, limit).status, 200, "{limit}");
        assert_refusal(&with(&fiel, limit + 1), 431, "http_request_error");
    }
    assert_eq!(endpoint.requests().len(), 2);
}

#[test]
fn a_target_that_is_too_long_is_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxUriBytes: 100, maxHeaderBytes: 128KiB", &endpoint);
    let with = |octets: usize| {
        let filler = "x".repeat(octets - 1);
        ask(
            &fiel,
            format!("GET /{filler} HTTP/1.1\r\nHost: test\r\n\r\n"),
        )
    };

    assert_eq!(with(100).status, 200);
    assert_refusal(&with(101), 414, "http_request_error");
    assert_refusal(&with(66_000), 414, "http_request_error");
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxBodyBytes: 1KiB", &endpoint);

    let answer = ask(
        &fiel,
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1025\r\n\r\n",
    );
    let expecting = ask(
        &fiel,
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n",
    );

    assert_refusal(&answer, 413, "http_request_error");
    assert_refusal(&expecting, 413, "http_request_error");
    assert!(expecting.interim.is_empty(), "{:?}", expecting.interim);
    assert_untouched(&endpoint);
}

#[test]
fn a_body_just_as_large_as_it_may_be_is_served() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxBodyBytes: 10", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let by_length =
        client.request("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789");
    let in_chunks = client.request(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
    );

    assert_eq!((by_length.status, in_chunks.status), (200, 200));
}

#[test]
fn a_body_that_grows_too_large_is_refused_and_cut_at_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxBodyBytes: 10", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    endpoint.wait_for_requests(1);
    client.send("6\r\n world\r\n");

    assert_refusal(&client.response(), 413, "http_request_error");
    endpoint.wait_for_request_list("the cut", |requests| {
        requests[0].progress == Progress::CutShort
    });
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "body_too_large");
}

#[test]
fn a_route_may_allow_more_or_less_than_its_listener() {
    let endpoint = Endpoint::start("a");
    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    for (listener, route, status) in [
        ("limits: { maxBodyBytes: 1 }", "maxBodyBytes: 5", 200),
        ("limits: { maxBodyBytes: 1 }", "maxBodyBytes: 0", 200),
        ("limits: { maxBodyBytes: 5 }", "maxBodyBytes: 4", 413),
        ("limits: { maxBodyBytes: 0 }", "maxBodyBytes: 4", 413),
    ] {
        let terms = Terms {
            listener: &[listener],
            route: &[route],
            ..Terms::default()
        };
        let fiel = terms.before(&endpoint);
        assert_eq!(ask(&fiel, post).status, status, "{listener} {route}");
    }
}
