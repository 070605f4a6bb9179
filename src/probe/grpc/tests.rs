//! Probes against small servers of HTTP/2 on real sockets, each of which answers in its own way.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use h2::server::SendResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::model::{Probe, ProbeAction};
use crate::probe::ask::Question;
use crate::probe::counts::ProbeResult::{self, Failure, Success};
use crate::probe::plan::Aim;

/// Long enough for any answer on a busy machine: only a net.
const NET: Duration = Duration::from_secs(20);

const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";

async fn asked(to: SocketAddr, service: &str, timeout: Duration) -> (ProbeResult, String) {
    let question = Question::new(&Aim {
        to: to.into(),
        pool: None,
        secure: None,
        proxy_protocol: None,
        probe: Arc::new(Probe {
            action: ProbeAction::Grpc {
                port: None,
                service: service.into(),
            },
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout,
            success_threshold: NonZeroU32::MIN,
            failure_threshold: NonZeroU32::MIN,
        }),
    });
    let answer = crate::probe::ask::ask(Arc::new(question)).await;
    (answer.result, answer.detail.into_owned())
}

/// An endpoint that answers one call, and gives what it was asked when the connection has ended.
async fn answering(
    answer: impl FnOnce(SendResponse<Bytes>) + Send + 'static,
) -> (SocketAddr, JoinHandle<(Request<()>, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        let (head, mut body) = request.into_parts();
        let reading = tokio::spawn(async move {
            let mut message = Vec::new();
            while let Some(piece) = body.data().await {
                message.extend_from_slice(&piece.unwrap());
            }
            answer(respond);
            message
        });
        // Driven to its end, which the probe makes in order: with a GOAWAY.
        while let Some(next) = connection.accept().await {
            next.unwrap();
        }
        (Request::from_parts(head, ()), reading.await.unwrap())
    });
    (address, serving)
}

fn head(fields: &[(&'static str, &'static str)]) -> Response<()> {
    let mut head = Response::new(());
    for (name, value) in fields {
        head.headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    head
}

/// An answer of this message and these trailers.
fn saying(
    message: &'static [u8],
    trailers: &'static [(&'static str, &'static str)],
) -> impl FnOnce(SendResponse<Bytes>) + Send + 'static {
    move |mut respond| {
        let usual = head(&[("content-type", "application/grpc")]);
        let mut sending = respond.send_response(usual, false).unwrap();
        sending
            .send_data(Bytes::from_static(message), false)
            .unwrap();
        sending
            .send_trailers(head(trailers).headers().clone())
            .unwrap();
    }
}

/// An answer of a head alone.
fn only(
    status: u16,
    fields: &'static [(&'static str, &'static str)],
) -> impl FnOnce(SendResponse<Bytes>) + Send + 'static {
    move |mut respond| {
        let mut head = head(fields);
        *head.status_mut() = StatusCode::from_u16(status).unwrap();
        respond.send_response(head, true).unwrap();
    }
}

async fn answer_to(
    answer: impl FnOnce(SendResponse<Bytes>) + Send + 'static,
) -> (ProbeResult, String) {
    let (address, serving) = answering(answer).await;
    let found = asked(address, "", NET).await;
    serving.await.unwrap();
    found
}

#[tokio::test]
async fn serving_is_success_and_the_call_is_one_of_the_health_protocol() {
    let (address, serving) = answering(saying(SERVING, &[("grpc-status", "0")])).await;

    let found = asked(address, "shop.Cart", NET).await;

    assert_eq!(found, (Success, "SERVING".to_owned()));
    let (request, message) = serving.await.unwrap();
    assert_eq!(request.method(), Method::POST);
    let expected = format!("http://{address}/grpc.health.v1.Health/Check");
    assert_eq!(request.uri().to_string(), expected);
    assert_eq!(message, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    let fields = [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", AGENT),
        ("grpc-timeout", "20000000u"),
    ];
    for (name, value) in fields {
        assert_eq!(request.headers()[name], value, "{name}");
    }
}

#[tokio::test]
async fn any_other_health_is_a_failure_that_says_which() {
    let ok = &[("grpc-status", "0")];
    let cases: [(&[u8], &str); 5] = [
        (b"\0\0\0\0\x02\x08\x02", "NOT_SERVING"),
        (b"\0\0\0\0\x02\x08\x03", "SERVICE_UNKNOWN"),
        (b"\0\0\0\0\0", "UNKNOWN"),
        (b"\0\0\0\0\x05\x08\x01", "answer is no health status"),
        (b"", "answer is no health status"),
    ];
    for (message, word) in cases {
        let found = answer_to(saying(message, ok)).await;
        assert_eq!(found, (Failure, word.to_owned()));
    }
}

#[tokio::test]
async fn a_status_other_than_ok_is_a_failure_whatever_the_message_says() {
    let found = answer_to(saying(SERVING, &[("grpc-status", "14")])).await;
    assert_eq!(found, (Failure, "gRPC UNAVAILABLE".to_owned()));

    let unknown = only(
        200,
        &[("grpc-status", "5"), ("grpc-message", "no shop.Cart")],
    );
    let found = answer_to(unknown).await;
    assert_eq!(found, (Failure, "gRPC NOT_FOUND: no shop.Cart".to_owned()));

    let found = answer_to(only(200, &[("grpc-status", "12")])).await;
    let word = "gRPC UNIMPLEMENTED: no grpc.health.v1.Health here";
    assert_eq!(found, (Failure, word.to_owned()));
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_grpc_fails() {
    let found = answer_to(only(200, &[("content-type", "text/html")])).await;
    assert_eq!(found, (Failure, "answer is not gRPC".to_owned()));
    let found = answer_to(only(404, &[])).await;
    assert_eq!(found, (Failure, "HTTP 404".to_owned()));
    // Enough octets to fill the window that the probe gives.
    let found = answer_to(saying(&[0; 1_025], &[("grpc-status", "0")])).await;
    assert_eq!(found, (Failure, "answer is too long".to_owned()));
}

#[tokio::test]
async fn what_breaks_off_or_is_not_http_2_fails_and_says_so() {
    let cases: [(&[u8], &str); 3] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "answer is not HTTP/2"),
        (b"", "connection closed before an answer"),
        // SETTINGS, then GOAWAY with INTERNAL_ERROR.
        (
            b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02",
            "HTTP/2 INTERNAL_ERROR",
        ),
    ];
    for (bytes, reason) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The preface, so that closing does not reset.
            let mut read = [0; 24];
            stream.read_exact(&mut read).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            // Until the probe has hung up.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.ok();
        });
        let found = asked(address, "", NET).await;
        assert_eq!(found, (Failure, reason.to_owned()));
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_port_and_a_silent_endpoint_fail_as_with_any_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();

    let found = asked(address, "", Duration::from_millis(50)).await;
    assert_eq!(found, (Failure, "timeout after 50ms".to_owned()));

    drop(listener);
    let found = asked(address, "", NET).await;
    assert_eq!(found, (Failure, "connection refused".to_owned()));
}
