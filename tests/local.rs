//! [`fiel::Local`] as a program of one's own uses it: the whole path as a tower service, on one thread, without listeners.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fiel::Local;
use fiel::body::RequestBody;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::ServiceExt;

/// Far more than anything here takes.
const NET: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "local")]
async fn a_path_without_a_route_is_answered_404_with_its_request_id_and_counted() {
    let local = local("/app", &[nobody().await]);

    let request = Request::get("/other").header("x-request-id", "one-of-mine");
    let answer = ask(&local, request).await;

    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(answer.headers().contains_key("proxy-status"));
    let text = text(answer).await;
    assert!(text.contains("one-of-mine"), "{text}");
    let metrics = local.metrics();
    assert!(
        metrics.contains(r#"fiel_local_replies_total{route="none",pool="none",code="404",reason="#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_request_refused_by_one_endpoint_is_answered_by_the_other() {
    let (listener, good) = endpoint().await;
    let local = local("/", &[nobody().await, good]);
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, b"\r\n\r\n").await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood")
                .await
                .unwrap();
        }
    });

    for _ in 0..4 {
        let answer = ask(&local, Request::get("/")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(text(answer).await, "good");
    }

    let metrics = local.metrics();
    assert!(
        metrics.contains(r#"fiel_retries_total{pool="app",reason="#),
        "one of the two was tried first at least once: {metrics}"
    );
}

#[tokio::test(flavor = "local")]
async fn a_body_is_streamed_both_ways_while_neither_end_is_known() {
    let (listener, address) = endpoint().await;
    let local = local("/", &[address]);
    // Answers with its head at once, then sends back each piece as it comes.
    let echo = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        for piece in ["one", "two"] {
            let framed = format!("3\r\n{piece}\r\n");
            read_until(&mut stream, framed.as_bytes()).await;
            stream.write_all(framed.as_bytes()).await.unwrap();
        }
        read_until(&mut stream, b"0\r\n\r\n").await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        stream
    });
    let (sender, body) = streamed();

    let request = Request::post("/")
        .header("host", "test")
        .body(body)
        .unwrap();
    let answer = local
        .proxy(Ipv4Addr::LOCALHOST.into())
        .oneshot(request)
        .await
        .unwrap();
    let mut body = answer.into_body();
    for piece in ["one", "two"] {
        sender.send(piece).await.unwrap();
        assert_eq!(
            next_piece(&mut body).await.as_deref(),
            Some(piece.as_bytes())
        );
    }
    drop(sender);

    assert_eq!(next_piece(&mut body).await, None);
    drop(timeout(NET, echo).await.unwrap().unwrap());
}

#[tokio::test(flavor = "local")]
async fn an_answer_that_is_dropped_unread_closes_its_connection_to_the_endpoint() {
    let (listener, address) = endpoint().await;
    let local = local("/", &[address]);
    let closed = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome";
        stream.write_all(head).await.unwrap();
        until_closed(&mut stream).await;
    });

    let answer = ask(&local, Request::get("/")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);

    timeout(NET, closed).await.unwrap().unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_request_whose_future_is_dropped_is_cancelled_at_its_endpoint() {
    let (listener, address) = endpoint().await;
    let local = local("/", &[address]);
    let (seen, mut arrived) = mpsc::channel(1);
    let closed = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        seen.send(()).await.unwrap();
        until_closed(&mut stream).await;
    });

    tokio::select! {
        answer = ask(&local, Request::get("/")) => panic!("the endpoint is silent: {:?}", answer.status()),
        arrived = arrived.recv() => arrived.unwrap(),
    }

    timeout(NET, closed).await.unwrap().unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_second_request_takes_the_connection_that_the_first_has_left() {
    let (listener, address) = endpoint().await;
    let local = local("/", &[address]);
    // One connection only: nobody accepts another.
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            read_until(&mut stream, b"\r\n\r\n").await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    });

    for _ in 0..3 {
        let answer = ask(&local, Request::get("/")).await;
        assert_eq!(text(answer).await, "ok");
    }

    let metrics = local.metrics();
    assert!(
        metrics.contains("fiel_upstream_connects_total{pool=\"app\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "local")]
async fn no_connection_to_an_endpoint_outlives_it_and_the_answers_of_its_requests() {
    let (listener, address) = endpoint().await;
    let local = local("/", &[address]);
    let closed = tokio::task::spawn_local(async move {
        let mut accepted = [
            listener.accept().await.unwrap().0,
            listener.accept().await.unwrap().0,
        ];
        for stream in &mut accepted {
            read_until(stream, b"\r\n\r\n").await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
        for stream in &mut accepted {
            until_closed(stream).await;
        }
    });

    let (early, late) = tokio::join!(
        ask(&local, Request::get("/early")),
        ask(&local, Request::get("/late"))
    );
    assert_eq!(text(early).await, "ok");
    drop(local);
    assert_eq!(text(late).await, "ok");

    timeout(NET, closed).await.unwrap().unwrap();
}

/// A proxy of one route for this prefix, over a pool of these endpoints.
fn local(prefix: &str, endpoints: &[SocketAddr]) -> Local {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    let yaml = format!(
        "accessLog: {{ output: off }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, match: {{ path: {{ prefix: {prefix} }} }}, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ {} ] }} }}
",
        endpoints.join(", ")
    );
    let loaded = fiel::config::read(yaml.as_bytes(), "local.yaml", Path::new("."), &|_| None);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    Local::try_new(loaded.config).unwrap()
}

/// The answer's head to this request, which has no body.
async fn ask(
    local: &Local,
    request: http::request::Builder,
) -> Response<impl Body<Data = Bytes, Error: std::fmt::Debug> + Unpin + use<>> {
    let request = request
        .header("host", "test")
        .body(RequestBody::empty())
        .unwrap();
    let proxy = local.proxy(Ipv4Addr::LOCALHOST.into());
    timeout(NET, proxy.oneshot(request)).await.unwrap().unwrap()
}

/// A body of the pieces that are sent, to its end when the sender is dropped.
struct Pieces(mpsc::Receiver<&'static str>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
    }
}

fn streamed() -> (mpsc::Sender<&'static str>, RequestBody) {
    let (sender, pieces) = mpsc::channel(1);
    (sender, RequestBody::new(Pieces(pieces)))
}

/// The next octets of a body, or its end.
async fn next_piece<B>(body: &mut B) -> Option<Bytes>
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let frame = timeout(NET, body.frame()).await.unwrap()?;
    Some(frame.unwrap().into_data().unwrap())
}

/// A whole body as text; what is asked for here is a few octets long.
async fn text<B>(answer: Response<B>) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let mut body = answer.into_body();
    let mut octets = Vec::new();
    while let Some(piece) = next_piece(&mut body).await {
        octets.extend_from_slice(&piece);
    }
    String::from_utf8(octets).unwrap()
}

async fn endpoint() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where connections are refused.
async fn nobody() -> SocketAddr {
    endpoint().await.1
}

/// Reads until these octets have come.
async fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let octet = timeout(NET, stream.read_u8()).await.unwrap();
        read.push(octet.unwrap());
    }
}

/// Reads until the other side has closed, or reset.
async fn until_closed(stream: &mut TcpStream) {
    let mut octets = [0; 1024];
    while matches!(stream.read(&mut octets).await, Ok(1..)) {}
}
