//! The endpoints over real sockets, by hand-written requests.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::cli::demo::cast::CAST;

/// One request on a connection of its own, read until the endpoint closes.
fn ask(address: SocketAddr, line: &str, fields: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}"), "")
}

fn order(address: SocketAddr, order: &str) -> String {
    ask(address, &format!("POST /demo/{order}"), "")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn an_endpoint_says_its_version_and_number() {
    let endpoints = Endpoints::start(&CAST).unwrap();

    let answers: Vec<_> = endpoints
        .addresses()
        .iter()
        .map(|&address| get(address, "/"))
        .collect();

    for (answer, part) in answers.iter().zip([
        "shop v1 (endpoint 1) answered GET /\n",
        "shop v1 (endpoint 2) answered GET /\n",
        "shop v1 (endpoint 3) answered GET /\n",
        "shop v2 (endpoint 4) answered GET /\n",
    ]) {
        assert_eq!(status(answer), "200", "{answer}");
        assert!(answer.ends_with(part), "{answer}");
    }
    assert!(answers[3].contains("x-version: v2\r\n"), "{}", answers[3]);
}

#[test]
fn an_endpoint_does_what_it_is_told_and_takes_it_back() {
    let endpoints = Endpoints::start(&CAST[..1]).unwrap();
    let address = endpoints.addresses()[0];
    for (told, path, expected) in [
        ("unready", "/ready", "503"),
        ("ready", "/ready", "200"),
        ("dead", "/live", "503"),
        ("alive", "/live", "200"),
        ("failing", "/", "500"),
        ("healthy", "/", "200"),
        ("slow?ms=1", "/", "200"),
        ("fast", "/started", "200"),
    ] {
        let told_answer = order(address, told);
        assert_eq!(status(&told_answer), "200", "{told_answer}");

        let answer = get(address, path);

        assert_eq!(status(&answer), expected, "after {told}: {answer}");
    }
}

#[test]
fn a_dead_endpoint_hangs_until_it_is_alive_again() {
    let endpoints = Endpoints::start(&CAST[..1]).unwrap();
    let address = endpoints.addresses()[0];
    order(address, "dead");
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    waiting
        .write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        .unwrap();
    let meanwhile = get(address, "/demo");
    assert!(
        meanwhile.ends_with("dead, healthy, fast; 0 answered\n"),
        "{meanwhile}"
    );

    order(address, "alive");

    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
}

#[test]
fn a_request_body_is_taken_and_counted() {
    let endpoints = Endpoints::start(&CAST[..1]).unwrap();

    let answer = ask(
        endpoints.addresses()[0],
        "POST /cart",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    );

    assert!(
        answer.ends_with("answered POST /cart with 3 octets\n"),
        "{answer}"
    );
}

#[test]
fn an_order_is_a_post_straight_to_the_endpoint() {
    let endpoints = Endpoints::start(&CAST[..1]).unwrap();
    let address = endpoints.addresses()[0];
    for (line, fields, expected) in [
        ("GET /demo/dead", "", "405"),
        ("POST /demo/dead", "Via: 1.1 fiel\r\n", "403"),
        ("POST /demo/dead", "Origin: http://example.com\r\n", "403"),
        ("POST /demo/sleepy", "", "404"),
        ("POST /demo/slow?ms=soon", "", "400"),
    ] {
        let answer = ask(address, line, fields);
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
    let unchanged = get(address, "/demo");
    assert!(
        unchanged.ends_with("ready, alive, healthy, fast; 0 answered\n"),
        "{unchanged}"
    );
}

#[test]
fn the_ports_are_free_when_the_endpoints_are_dropped() {
    let endpoints = Endpoints::start(&CAST[..1]).unwrap();
    let address = endpoints.addresses()[0];
    let kept_open = TcpStream::connect(address).unwrap();

    drop(endpoints);

    drop(kept_open);
    assert!(
        TcpStream::connect(address).is_err(),
        "{address} still answers"
    );
}
