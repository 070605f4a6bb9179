//! Answers of calls that break off when they have begun: what their clients are told, and their endpoints.

use std::future::poll_fn;

use bytes::Bytes;
use tonic::codegen::tokio_stream::{StreamExt as _, iter};
use tonic::{Code, Request};

use crate::support::Fiel;
use crate::support::frames::{CANCEL, Came, INTERNAL_ERROR, Raw, ask};
use crate::support::grpc::{GrpcClient, GrpcServer, runtime};
use crate::support::h2endpoint::H2Endpoint;
use crate::support::terms::Terms;

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn before(endpoint: std::net::SocketAddr, route: &[&str]) -> Fiel {
    let terms = Terms {
        route,
        pool: &["protocol: http2"],
        ..Terms::default()
    };
    terms.before_all(&[endpoint])
}

/// Answers with these octets and no end; notes how it is reset.
fn beginning(octets: &'static [u8]) -> H2Endpoint {
    H2Endpoint::start(move |mut exchange| {
        Box::pin(async move {
            let fields = [("content-type", "application/grpc")];
            let mut stream = exchange.head(200, &fields, false)?;
            exchange
                .body(&mut stream, Bytes::from_static(octets), false)
                .await?;
            let code = poll_fn(|cx| stream.poll_reset(cx)).await.ok()?;
            exchange
                .state
                .change(|state| state.resets.push(code.into()));
            Some(())
        })
    })
}

#[test]
fn a_stream_that_is_over_its_time_behind_a_message_has_exceeded_its_deadline() {
    let server = GrpcServer::start("a");
    let fiel = before(server.address(), &["timeouts: { total: 300ms }"]);
    let address = fiel.address("web");

    runtime().block_on(async {
        let client = GrpcClient::connect(address).await;
        let request = Request::new(iter([Bytes::from_static(b"x")]));
        let mut stream = client.call("Trickle", request).await.unwrap().into_inner();
        assert_eq!(stream.next().await.unwrap().unwrap(), "first");
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(status.message(), "504 Gateway Timeout");
    });

    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["grpc_status"], 4, "{line}");
    assert_eq!(line["reason"], "response_too_slow", "{line}");
}

#[test]
fn an_endpoint_that_dies_behind_a_message_makes_the_call_unavailable() {
    let mut server = GrpcServer::start("a");
    let fiel = before(server.address(), &[]);
    let address = fiel.address("web");
    runtime().block_on(async {
        let client = GrpcClient::connect(address).await;
        let request = Request::new(iter([Bytes::from_static(b"x")]));
        let mut stream = client.call("Trickle", request).await.unwrap().into_inner();
        assert_eq!(stream.next().await.unwrap().unwrap(), "first");
        server.stop();
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(status.message(), "502 Bad Gateway");
    });
}

#[test]
fn within_a_message_a_call_that_is_over_its_time_is_cancelled_on_both_sides() {
    let endpoint = beginning(b"\0\0\0\0\x05ab");
    let fiel = before(endpoint.address(), &["timeouts: { total: 300ms }"]);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/test.Echo/Trickle", &CALL));

    assert_eq!(raw.outcome(1), Came::Reset(CANCEL));

    endpoint
        .state
        .wait_for("a reset", |state| (state.resets == [CANCEL]).then_some(()));
}

#[test]
fn what_is_no_call_is_not_ended_by_trailers() {
    let endpoint = beginning(b"\0\0\0\0\0");
    let fiel = before(endpoint.address(), &["timeouts: { total: 300ms }"]);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &ask("GET", "/", &[]));
    assert_eq!(raw.outcome(1), Came::Reset(INTERNAL_ERROR));
}
