//! Interim responses of an endpoint (RFC 9110 §15.2): passed on as they come, before the answer.

use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn interim_responses_arrive_in_order_before_the_answer_without_the_fields_of_the_connection() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
             Content-Length: 5\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{ANSWER}"
        )),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    // Twice: the connection is in order behind it.
    for _ in 0..2 {
        let answer = client.get("/");

        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        let statuses: Vec<u16> = answer.interim.iter().map(|head| head.status).collect();
        assert_eq!(statuses, [103, 102]);
        let hints = &answer.interim[0];
        assert_eq!(hints.header("link"), Some("</a.css>; rel=preload"));
        for field in ["connection", "x-hop", "content-length"] {
            assert_eq!(hints.header(field), None, "{field}");
        }
        assert!(hints.header("via").is_some());
    }
}

#[test]
fn an_interim_response_arrives_while_the_answer_is_awaited() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");

    assert_eq!(client.one_head().status, 103);
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_response() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(format!("HTTP/1.1 103 Early Hints\r\n\r\n{ANSWER}")),
    );
    let fiel = before(&endpoint);

    let answer =
        Client::connect(fiel.address("web")).request("GET / HTTP/1.0\r\nHost: test\r\n\r\n");

    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert!(answer.interim.is_empty(), "{:?}", answer.interim);
}

#[test]
fn of_very_many_interim_responses_some_arrive_and_the_answer_does() {
    let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000);
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(many + ANSWER));
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web")).get("/");

    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.interim.len(), 32);
}

#[test]
fn hints_may_come_between_a_100_and_the_answer() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::early(format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n{ANSWER}"
        )),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let hints = answer.interim.iter().filter(|head| head.status == 103);
    assert_eq!(hints.count(), 1, "{:?}", answer.interim);
}
