//! Bodies both ways: by length, in chunks, with trailers, and where there is none.

use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint, client};

const CHUNKED_POST: &str = "POST /form HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n";

#[test]
fn a_body_with_a_length_arrives_with_that_length() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    );

    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(answer.header("content-length"), Some("1"));
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.body, b"hello");
    assert_eq!(request.header("content-length").as_deref(), Some("5"));
    assert_eq!(request.header("transfer-encoding"), None);
}

#[test]
fn an_empty_body_with_a_length_keeps_its_length() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.header("content-length").as_deref(), Some("0"));
    assert_eq!(request.header("transfer-encoding"), None);
}

#[test]
fn a_body_in_chunks_arrives_in_chunks_whatever_the_method() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for method in ["POST", "GET", "DELETE"] {
        let answer = client.request(format!(
            "{method} / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nhel\r\n2;ignored=yes\r\nlo\r\n0\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{method}");
    }

    for request in endpoint.wait_for_whole_requests(3) {
        assert_eq!(request.body, b"hello", "{}", request.head);
        let coding = request.header("transfer-encoding");
        assert_eq!(coding.as_deref(), Some("chunked"), "{}", request.head);
        assert_eq!(request.header("content-length"), None, "{}", request.head);
    }
}

#[test]
fn announced_trailers_of_a_request_reach_the_endpoint() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        format!("{CHUNKED_POST}Trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n"),
    );

    assert_eq!(answer.status, 200);
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.body, b"hello");
    assert_eq!(request.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn trailers_of_an_answer_reach_the_client_that_asks_for_them_and_no_other() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
             5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let asking =
        client.request("GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    let silent = client.get("/");

    assert_eq!(asking.text(), "hello");
    assert_eq!(asking.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(silent.text(), "hello");
    assert_eq!(silent.trailers, []);
    let requests = endpoint.wait_for_whole_requests(2);
    assert_eq!(requests[0].header("te").as_deref(), Some("trailers"));
    assert_eq!(requests[1].header("te"), None);
}

#[test]
fn an_answer_in_chunks_stays_in_chunks() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let first = client.get("/");
    let second = client.get("/");

    for answer in [first, second] {
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.header("content-length"), None);
    }
    assert_eq!(endpoint.connections(), 1, "the connection was kept");
}

#[test]
fn an_answer_until_close_is_whole_and_the_client_keeps_its_connection() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes_then_finish("HTTP/1.1 200 OK\r\n\r\nhello"),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.cut_short, None);
    }
    assert_eq!(endpoint.connections(), 2);
}

#[test]
fn the_answer_to_head_keeps_its_length_and_has_no_body() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let head = client.request("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    let get = client.get("/");

    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("1"))
    );
    assert_eq!(get.text(), "a", "nothing was left between the two");
    assert_eq!(endpoint.requests()[0].line(), "HEAD / HTTP/1.1");
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn answers_without_a_body_end_at_their_head() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at(
        "/204",
        Behaviour::bytes("HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n"),
    );
    endpoint.behave_at(
        "/304",
        Behaviour::bytes(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"1\"\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let no_content = client.get("/204");
    let not_modified = client.get("/304");
    let next = client.get("/");

    assert_eq!(no_content.status, 204);
    assert_eq!(no_content.header("x-kept"), Some("yes"));
    assert_eq!(no_content.header("content-length"), None);
    assert_eq!(no_content.header("transfer-encoding"), None);
    assert_eq!(not_modified.status, 304);
    assert_eq!(not_modified.header("content-length"), Some("1000"));
    assert_eq!(not_modified.header("etag"), Some("\"1\""));
    assert_eq!(next.text(), "a");
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let endpoint = Endpoint::behaving("a", Behaviour::echo());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let requests: String = (0..10)
        .map(|number| {
            format!("POST /{number} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n{number}")
        })
        .collect();
    client.send(requests);

    for number in 0..10 {
        assert_eq!(client.response().text(), number.to_string());
    }
    let lines: Vec<String> = endpoint
        .wait_for_whole_requests(10)
        .iter()
        .map(|request| request.line().to_owned())
        .collect();
    assert_eq!(lines[0], "POST /0 HTTP/1.1");
    assert_eq!(lines[9], "POST /9 HTTP/1.1");
}
