//! How long heads, bodies and silence may take. Limits are short where they are to be reached, and the event is the
//! end that they bring.

use super::{assert_refusal, assert_untouched};
use crate::support::client::End;
use crate::support::endpoint::Progress;
use crate::support::terms::limited;
use crate::support::{Behaviour, Client, Endpoint, Step};

#[test]
fn a_client_slow_with_its_head_gets_408() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("headerTimeout: 200ms", &endpoint);

    for part in [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: te",
        "\r\n",
    ] {
        let mut client = Client::connect(fiel.address("web"));
        client.send(part);
        let answer = client.response();
        assert_refusal(&answer, 408, "http_request_error");
        assert_eq!(answer.header("connection"), Some("close"), "{part:?}");
        assert_eq!(client.read_to_end().0, b"", "{part:?}");
    }

    assert_untouched(&endpoint);
    for line in fiel.wait_for_access_log(4) {
        assert_eq!(line["reason"], "headers_too_slow");
    }
}

#[test]
fn a_client_slow_with_a_later_head_gets_408() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("headerTimeout: 200ms", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    assert_eq!(client.get("/").status, 200);
    client.send("GET /");

    assert_refusal(&client.response(), 408, "http_request_error");
}

#[test]
fn a_client_that_pipelines_a_part_of_a_head_gets_408() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("headerTimeout: 200ms", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /");
    assert_eq!(client.response().status, 200);

    assert_refusal(&client.response(), 408, "http_request_error");
}

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    let endpoint = Endpoint::start("a");
    // Longer and shorter than the time after which a connection is kept as a bare socket.
    for idle in ["700ms", "1500ms"] {
        let limits = format!("idleTimeout: {idle}, headerTimeout: 100ms");
        let fiel = limited(&limits, &endpoint);

        let mut silent = Client::connect(fiel.address("web"));
        let mut served = Client::connect(fiel.address("web"));
        assert_eq!(served.get("/").status, 200);

        assert_eq!(silent.read_to_end(), (vec![], End::Fin), "{idle}");
        assert_eq!(served.read_to_end(), (vec![], End::Fin), "{idle}");
        assert_eq!(fiel.access_log().len(), 1, "{idle}");
    }
}

#[test]
fn a_connection_kept_as_a_bare_socket_serves_again() {
    let endpoint = Endpoint::start("a");
    // Longer than anything else is kept for an idle connection: the refusal of another tells that this time is over.
    let fiel = limited("headerTimeout: 1500ms", &endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").status, 200);

    let mut slow = Client::connect(fiel.address("web"));
    slow.send("GET");
    assert_eq!(slow.response().status, 408);

    assert_eq!(client.get("/").status, 200);
    client.send("GET /");
    assert_refusal(&client.response(), 408, "http_request_error");
}

#[test]
fn a_body_that_stands_still_gets_408_and_is_cut_at_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("bodyIdleTimeout: 200ms", &endpoint);

    for (number, body) in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Content-Length: 10\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(fiel.address("web"));
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{body}"));
        assert_refusal(&client.response(), 408, "http_request_error");
        assert_eq!(client.read_to_end().0, b"");
        let line = &fiel.wait_for_access_log(number + 1)[number];
        assert_eq!(line["reason"], "body_too_slow", "{line}");
    }
    for request in endpoint.requests() {
        endpoint.wait_for_end(request.connection);
        assert_ne!(request.progress, Progress::Whole);
    }
}

#[test]
fn a_body_that_stands_still_under_an_early_answer_cuts_it() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec()),
            Step::AwaitRelease,
        ]),
    );
    let fiel = limited("bodyIdleTimeout: 1s", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.cut_short.is_some());
    endpoint.wait_for_end(0);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "body_too_slow", "{line}");
}
