//! Heads that are refused: what their clients learn. Which those are is in `hostile`.

use super::assert_refusal;
use crate::support::terms::before;
use crate::support::{Client, Endpoint};

#[test]
fn what_a_client_says_behind_a_refused_head_does_not_lose_the_answer() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nno colon\r\n\r\n");
    client.send(vec![b'x'; 100_000]);

    assert_refusal(&client.response(), 400, "http_request_error");
}

#[test]
fn a_request_id_of_the_client_is_told_back() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web"))
        .request("TRACE / HTTP/1.1\r\nHost: test\r\nX-Request-Id: mine-7\r\n\r\n");

    assert!(
        answer.text().contains("request id: mine-7"),
        "{}",
        answer.text()
    );
}
