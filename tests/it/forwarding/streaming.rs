//! Bodies of any size: whole in both directions, never held back, and never piled up where a side does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::support::terms::before;
use crate::support::wait::standing;
use crate::support::{Behaviour, Client, Endpoint, Step};

const MIB: usize = 1 << 20;

/// The kernel's buffers of four sockets may take some MiB each; what is far more was piled up by fiel.
const BETWEEN: u64 = 40 << 20;

/// More than all buffers on the way hold.
const TOO_MUCH: usize = 80 * MIB;

/// Octets in which a piece that is lost, doubled or moved shows.
fn octets(count: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .take(count)
        .collect()
}

fn answer_of(body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[test]
fn a_large_body_goes_up_whole() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let body = octets(20 * MIB);

    let mut client = Client::connect(fiel.address("web"));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);

    assert_eq!(client.response().status, 200);
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert!(
        request.body == body,
        "{} octets arrived",
        request.body.len()
    );
}

#[test]
fn a_large_body_comes_down_whole() {
    let body = octets(20 * MIB);
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(answer_of(&body)));
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web")).get("/");

    assert_eq!(answer.cut_short, None);
    assert!(answer.body == body, "{} octets arrived", answer.body.len());
}

#[test]
fn a_client_that_does_not_read_stops_the_endpoint() {
    let body = octets(TOO_MUCH);
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(answer_of(&body)));
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_connections(1);
    let between = standing(|| endpoint.written_bytes(0));

    assert!(between < BETWEEN, "{between} octets are on the way");
    let answer = client.response();
    assert!(answer.body == body, "{} octets arrived", answer.body.len());
}

#[test]
fn an_endpoint_that_does_not_read_stops_the_client() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![Step::AwaitRelease, Step::ReadBody, Step::WriteName]),
    );
    let fiel = before(&endpoint);
    let body = octets(TOO_MUCH);
    let mut client = Client::connect(fiel.address("web"));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));

    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let sending = thread::spawn(move || {
        for piece in body.chunks(64 << 10) {
            client.send(piece);
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        (client, body)
    });
    let between = standing(|| sent.load(Ordering::Relaxed));

    assert!(between < BETWEEN, "{between} octets are on the way");
    endpoint.release();
    let (mut client, body) = sending.join().unwrap();
    assert_eq!(client.response().status, 200);
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert!(
        request.body == body,
        "{} octets arrived",
        request.body.len()
    );
}

#[test]
fn pieces_of_a_body_arrive_as_they_are_sent() {
    let endpoint = Endpoint::behaving("a", Behaviour::echo());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    for piece in ["one", "two"] {
        client.send(format!("3\r\n{piece}\r\n"));
        assert_eq!(client.read_exact(8), format!("3\r\n{piece}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_exact(5), b"0\r\n\r\n");
}

#[test]
fn an_answer_before_the_body_is_read_is_delivered() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::early("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nfirst");
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(answer.cut_short, None);
    client.read_to_end();
    endpoint.wait_for_end(0);
}

#[test]
fn an_early_answer_is_delivered_to_a_client_that_goes_on_sending() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec()),
            Step::Finish,
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {MIB}\r\n\r\n"
    ));
    client.send(vec![0; MIB]);
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(answer.cut_short, None);
}

#[test]
fn a_long_answer_goes_on_while_the_client_sends_its_body() {
    let body = octets(4 * MIB);
    let (first, second) = body.split_at(2 * MIB);
    let mut begun =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    begun.extend_from_slice(first);
    // The rest of the answer waits for the rest of the request: an answer that is over ends a body that is not.
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(begun),
            Step::ReadBody,
            Step::Write(second.to_vec()),
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");
    let head = client.head();
    let mut received = client.read_exact(first.len());
    client.send("later");
    received.extend(client.read_exact(second.len()));

    assert_eq!(head.status, 200);
    assert!(received == body, "the answer is not the same");
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.body, b"firstlater");
}
