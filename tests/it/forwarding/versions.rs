//! HTTP/1.0 on either side, and the forms in which a target may be written.

use crate::support::client::End;
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Client, Endpoint, client};

#[test]
fn a_client_of_http_1_0_is_answered_and_its_connection_ends() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request("GET / HTTP/1.0\r\nHost: test\r\n\r\n");

    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(client.read_to_end(), (vec![], End::Fin));
    let request = &endpoint.requests()[0];
    assert_eq!(request.line(), "GET / HTTP/1.1");
    assert_eq!(request.header("host").as_deref(), Some("test"));
    assert_eq!(request.header("via").as_deref(), Some("1.0 fiel"));
}

#[test]
fn a_client_of_http_1_0_without_a_host_is_served_with_an_empty_one() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(fiel.address("web"), "GET / HTTP/1.0\r\n\r\n");

    assert_eq!(answer.status, 200);
    let request = &endpoint.requests()[0];
    assert_eq!(request.header("host").as_deref(), Some(""));
    assert_eq!(request.header("x-forwarded-host"), None);
}

#[test]
fn a_client_of_http_1_0_that_keeps_alive_is_served_again() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        let answer =
            client.request("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
        let connection = answer.header("connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("keep-alive"));
    }
}

#[test]
fn a_client_of_http_1_0_gets_chunks_without_their_framing() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request("GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");

    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!((answer.text().as_str(), answer.cut_short), ("hello", None));
}

#[test]
fn an_endpoint_of_http_1_0_that_closes_at_its_end_is_understood() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes_then_finish("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.1", 200));
        assert_eq!((answer.text().as_str(), answer.cut_short), ("hello", None));
        let via = answer.headers.iter().find(|(name, _)| name == "via");
        assert_eq!(via.map(|(_, value)| value.as_str()), Some("1.0 fiel"));
    }
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_authority_the_host() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET http://shop.example:81/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    let request = &endpoint.requests()[0];
    assert_eq!(request.line(), "GET /x?y HTTP/1.1");
    assert_eq!(request.header("host").as_deref(), Some("shop.example:81"));
}

#[test]
fn an_asterisk_is_passed_on_for_options() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    assert_eq!(endpoint.requests()[0].line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn the_canonical_path_is_forwarded_and_the_query_as_it_came() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET /a/../b//c/./%7e%2F?q=../%7e HTTP/1.1\r\nHost: test\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    assert_eq!(
        endpoint.requests()[0].line(),
        "GET /b/c/~%2F?q=../%7e HTTP/1.1"
    );
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["path"], "/b/c/~%2F");
}

#[test]
fn a_route_may_forward_the_path_as_received() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        route: &["pathAsReceived: true"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET /a/../b//c/%7e?q HTTP/1.1\r\nHost: test\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    assert_eq!(
        endpoint.requests()[0].line(),
        "GET /a/../b//c/%7e?q HTTP/1.1"
    );
}

#[test]
fn a_body_that_ends_with_its_connection_and_breaks_off_is_reset_and_not_taken_for_whole() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes_then_reset(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");

    assert_eq!(client.read_to_end().1, End::Reset);
}
