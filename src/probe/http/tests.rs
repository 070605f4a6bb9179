//! Probes against small endpoints on real sockets, each of which answers in its own way.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::model::{Probe, ProbeAction, ProbeScheme};
use crate::probe::ask::Question;
use crate::probe::counts::ProbeResult::{self, Failure, Success};
use crate::probe::plan::Aim;

/// An endpoint that takes one connection, reads a request's head, writes this and closes. Gives the head.
async fn answering(bytes: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let bytes = bytes.into();
    let (address, listener) = listening().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head_of(&mut stream).await;
        stream.write_all(&bytes).await.unwrap();
        head
    });
    (address, serving)
}

async fn listening() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn get() -> ProbeAction {
    ProbeAction::HttpGet {
        host: None,
        port: None,
        path: "/ready?deep=1".into(),
        headers: Vec::new(),
        scheme: ProbeScheme::Http,
    }
}

async fn asked(to: SocketAddr, action: ProbeAction, timeout: Duration) -> (ProbeResult, String) {
    let question = Question::new(&Aim {
        to: to.into(),
        pool: None,
        probe: Arc::new(Probe {
            action,
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout,
            success_threshold: NonZeroU32::MIN,
            failure_threshold: NonZeroU32::MIN,
        }),
        secure: None,
        proxy_protocol: None,
    });
    let answer = crate::probe::ask::ask(Arc::new(question)).await;
    (answer.result, answer.detail.into_owned())
}

/// Long enough for any answer on a busy machine: only a net.
const NET: Duration = Duration::from_secs(20);

async fn answer_to_bytes(bytes: impl Into<Vec<u8>>) -> (ProbeResult, String) {
    let (address, serving) = answering(bytes).await;
    let answer = asked(address, get(), NET).await;
    serving.await.unwrap();
    answer
}

#[tokio::test]
async fn a_status_from_200_to_399_is_success_and_nothing_is_followed() {
    let cases = [
        ("200 OK", Success),
        ("204 No Content", Success),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", Success),
        ("399 Odd", Success),
        ("400 Bad Request", Failure),
        ("404 Not Found", Failure),
        ("503 Service Unavailable", Failure),
    ];
    for (line, result) in cases {
        let found = answer_to_bytes(format!("HTTP/1.1 {line}\r\n\r\n")).await;
        assert_eq!(found, (result, format!("HTTP {}", &line[..3])), "{line}");
    }
}

#[tokio::test]
async fn a_whole_body_of_any_framing_is_success() {
    let bodies = [
        "Content-Length: 2\r\n\r\nok",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "\r\nok until the end",
    ];
    for body in bodies {
        let found = answer_to_bytes(format!("HTTP/1.1 200 OK\r\n{body}")).await;
        assert_eq!(found, (Success, "HTTP 200".to_owned()), "{body}");
    }
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answer_to_bytes(interim).await.0, Success);
}

#[tokio::test]
async fn what_breaks_off_or_is_not_http_fails_and_says_so() {
    let long_head = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(4 * HEAD_BYTES)
    );
    let cases = [
        ("", "connection closed before an answer"),
        ("HTTP/1.1 200", "connection closed before an answer"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "answer is not HTTP"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            "connection closed before the end of its answer",
        ),
        (&long_head, "head of the answer is too long"),
    ];
    for (bytes, reason) in cases {
        let (address, listener) = listening().await;
        let bytes = bytes.to_owned();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            head_of(&mut stream).await;
            // The prober may hang up on what is too long.
            drop(stream.write_all(bytes.as_bytes()).await);
        });
        let found = asked(address, get(), NET).await;
        assert_eq!(found, (Failure, reason.to_owned()));
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_port_refuses_for_both_kinds() {
    let (address, listener) = listening().await;
    drop(listener);
    let tcp = ProbeAction::TcpSocket {
        host: None,
        port: None,
    };
    for action in [get(), tcp] {
        let found = asked(address, action, NET).await;
        assert_eq!(found, (Failure, "connection refused".to_owned()));
    }
}

#[tokio::test]
async fn an_open_port_is_all_that_a_tcp_probe_asks_for_and_it_closes_without_a_reset() {
    let (address, listener) = listening().await;
    let tcp = ProbeAction::TcpSocket {
        host: None,
        port: None,
    };
    let found = asked(address, tcp, NET).await;
    assert_eq!(found, (Success, "connected".to_owned()));
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_endpoint_that_stalls_fails_by_the_timeout() {
    let (address, listener) = listening().await;
    let found = asked(address, get(), Duration::from_millis(200)).await;
    assert_eq!(found, (Failure, "timeout after 200ms".to_owned()));
    drop(listener);
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_its_bound_and_dropped() {
    let (address, listener) = listening().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head_of(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut written = 0_u64;
        while let Ok(count) = stream.write(&[b'x'; 1024]).await {
            written += count as u64;
        }
        written
    });
    assert_eq!(
        asked(address, get(), NET).await,
        (Success, "HTTP 200".to_owned())
    );
    assert!(serving.await.unwrap() >= BODY_BYTES as u64);
}

#[tokio::test]
async fn the_request_has_the_usual_fields_and_asks_for_a_close() {
    let (address, serving) = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    asked(address, get(), NET).await;
    let head = serving.await.unwrap();
    let (line, fields) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "GET /ready?deep=1 HTTP/1.1");
    let mut fields: Vec<&str> = fields.trim_end().split("\r\n").collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "Accept: */*",
            "Connection: close",
            &format!("Host: {address}"),
            &format!("User-Agent: {AGENT}"),
        ]
    );
}

#[test]
fn configured_fields_take_the_place_of_the_usual_ones_but_for_those_that_frame() {
    let fields = [
        ("host", "shop"),
        ("host", "second"),
        ("user-agent", "mine"),
        ("x-two", "a"),
        ("x-two", "b"),
        ("connection", "keep-alive"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
    ];
    let fields = fields.map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let headers = headers(&"[::1]:80".parse().unwrap(), &fields);
    let all = |name: &str| -> Vec<_> { headers.get_all(name).into_iter().cloned().collect() };
    assert_eq!(all("host"), ["shop"]);
    assert_eq!(all("user-agent"), ["mine"]);
    assert_eq!(all("x-two"), ["a", "b"]);
    assert_eq!(all("connection"), ["close"]);
    assert_eq!(all("content-length"), [""; 0]);
    assert_eq!(all("transfer-encoding"), [""; 0]);
}

#[test]
fn the_path_gets_its_leading_slash_and_an_impossible_one_is_refused() {
    let way = Way {
        to: "[::1]:80".parse().unwrap(),
        opening: None,
        secure: None,
    };
    let get = Get::try_new(way.clone(), "healthz", &[]).unwrap();
    assert_eq!(get.request.uri().path(), "/healthz");
    assert_eq!(get.request.headers()[HOST], "[::1]:80");
    assert!(Get::try_new(way, "/a b", &[]).is_err());
}
