//! Calls of tonic's client to tonic's server, through fiel over HTTP/2 on both sides.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tonic::codegen::tokio_stream::{StreamExt as _, iter};
use tonic::metadata::AsciiMetadataKey;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::support::grpc::{GrpcClient, GrpcServer, messages, runtime};
use crate::support::terms::Terms;
use crate::support::tls::{Authority, trusting};
use crate::support::{Fiel, Scrape};

/// fiel in front of these servers.
fn before(servers: &[&GrpcServer]) -> Fiel {
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address()).collect();
    before_all(&addresses, &[])
}

fn before_all(addresses: &[SocketAddr], route: &[&str]) -> Fiel {
    Terms {
        pool: &["protocol: http2"],
        route,
        ..Terms::default()
    }
    .before_all(addresses)
}

/// Runs a client of its own.
fn with_client<T>(fiel: &Fiel, test: impl AsyncFnOnce(GrpcClient) -> T) -> T {
    let address = fiel.address("web");
    runtime().block_on(async { test(GrpcClient::connect(address).await).await })
}

#[track_caller]
fn assert_refused(status: &Status, code: Code, message: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().starts_with(message), "{status:?}");
    assert!(status.message().contains(", request id "), "{status:?}");
}

#[test]
fn a_unary_call_goes_through_with_its_metadata_both_ways() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    let blob: Vec<u8> = (0..=255).collect();

    with_client(&fiel, async |client| {
        let mut request = Request::new(iter([Bytes::from_static(b"hello")]));
        let metadata = request.metadata_mut();
        metadata.insert("x-text", "some text".parse().unwrap());
        metadata.insert_bin(
            "x-blob-bin",
            tonic::metadata::MetadataValue::from_bytes(&blob),
        );

        let answer = client.call("Collect", request).await.unwrap();

        assert_eq!(answer.metadata().get("x-text").unwrap(), "some text");
        let back = answer.metadata().get_bin("x-blob-bin").unwrap();
        assert_eq!(back.to_bytes().unwrap(), blob);
        let mut messages = answer.into_inner();
        assert_eq!(messages.next().await.unwrap().unwrap(), "hello");
        assert!(messages.next().await.is_none());
    });

    let asked = server.wait_for_call("Collect");
    assert_eq!(asked.get("te").unwrap(), "trailers");
    Scrape::wait_for(
        &fiel,
        &[(
            "fiel_grpc_responses_total{route=\"shop\",pool=\"shop\",grpc_status=\"0\"}",
            1.0,
        )],
    );
    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["grpc_status"], 0, "{line}");
    assert_eq!(line["protocol"], "HTTP/2.0", "{line}");
}

#[test]
fn streams_of_either_side_go_through_whole() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let pieces = (0..100).map(|number| Bytes::from(format!("{number},")));
        let expected: String = (0..100).map(|number| format!("{number},")).collect();
        let answer = client.call("Collect", Request::new(iter(pieces))).await;
        let message = answer.unwrap().into_inner().next().await.unwrap().unwrap();
        assert_eq!(message, expected);

        let request = Request::new(iter([Bytes::from_static(b"again")]));
        let repeated = client.call("Repeat", request).await.unwrap().into_inner();
        let repeated: Vec<_> = repeated.map(Result::unwrap).collect().await;
        assert_eq!(repeated, vec![Bytes::from_static(b"again"); 100]);
    });
}

#[test]
fn no_message_of_a_conversation_is_held_back() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let (say, said) = messages();
        let mut answers = None;
        let mut asked = Some(Box::pin(client.call("Chat", Request::new(said))));
        for number in 0..50 {
            let message = Bytes::from(format!("message {number}"));
            say.send(message.clone()).await.unwrap();
            let answers = match &mut answers {
                Some(answers) => answers,
                None => {
                    let asked = asked.take().unwrap().await.unwrap();
                    answers.insert(asked.into_inner())
                }
            };
            // The next is sent when this one is back: nothing else can push it through.
            assert_eq!(answers.next().await.unwrap().unwrap(), message);
        }
        drop(say);
        assert!(answers.unwrap().next().await.is_none());
    });
}

#[test]
fn messages_of_several_megabytes_go_through_both_ways() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    let large: Bytes = (0_u32..3 << 20).flat_map(u32::to_be_bytes).collect();
    with_client(&fiel, async |client| {
        let back = client.unary("Collect", large.clone()).await.unwrap();
        assert!(back == large, "{} octets came back", back.len());
    });
}

#[test]
fn a_status_comes_through_with_its_words_whether_messages_came_before_it_or_not() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let at_once = client.unary("Fail", "x").await.unwrap_err();
        let request = Request::new(iter([Bytes::from_static(b"x")]));
        let mut late = client.call("FailLate", request).await.unwrap().into_inner();
        assert_eq!(late.next().await.unwrap().unwrap(), "first");
        let late = late.next().await.unwrap().unwrap_err();
        for status in [at_once, late] {
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!(status.message(), "50 % – no");
            assert_eq!(status.metadata().get("x-why").unwrap(), "because");
        }
    });
    let series = "fiel_grpc_responses_total{route=\"shop\",pool=\"shop\",grpc_status=\"9\"}";
    Scrape::wait_for(&fiel, &[(series, 2.0)]);
}

/// Takes streams, answers none, and tells how each was reset.
async fn be_silent(listener: TcpListener, tell: mpsc::Sender<Reason>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let reason = poll_fn(|cx| respond.poll_reset(cx)).await;
                    tell.send(reason.unwrap()).await.unwrap();
                    drop(request);
                });
            }
        });
    }
}

#[test]
fn a_call_past_its_deadline_is_told_so_and_cancelled_at_its_endpoint() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        let (tell, mut told) = mpsc::channel(1);
        tokio::spawn(be_silent(listener, tell));
        // Set by the route, so that the client's own clock does not end it first.
        let route = ["requestHeaders: { set: { grpc-timeout: 200m } }"];
        let starting = move || before_all(&[endpoint], &route);
        let fiel = tokio::task::spawn_blocking(starting).await.unwrap();

        let client = GrpcClient::connect(fiel.address("web")).await;
        let status = client.unary("Silence", "x").await.unwrap_err();

        assert_refused(&status, Code::DeadlineExceeded, "504 Gateway Timeout");
        assert_eq!(told.recv().await, Some(Reason::CANCEL));
    });
}

#[test]
fn an_endpoint_sees_the_deadline_of_its_client() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let mut request = Request::new(iter([Bytes::from_static(b"x")]));
        request.set_timeout(Duration::from_secs(20));
        client.call("Name", request).await.unwrap();
    });
    let told = server.wait_for_call("Name");
    assert_eq!(told.get("grpc-timeout").unwrap(), "20000000u");
}

#[test]
fn a_dead_endpoint_makes_a_call_unavailable() {
    let mut server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    server.stop();
    with_client(&fiel, async |client| {
        let status = client.unary("Name", "x").await.unwrap_err();
        assert_refused(&status, Code::Unavailable, "502 Bad Gateway");
    });
}

#[test]
fn an_endpoint_that_dies_in_the_middle_of_a_stream_never_makes_it_look_whole() {
    let mut server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let request = Request::new(iter([Bytes::from_static(b"x")]));
        let mut stream = client.call("Trickle", request).await.unwrap().into_inner();
        assert_eq!(stream.next().await.unwrap().unwrap(), "first");
        server.stop();
        let status = stream.next().await.unwrap().unwrap_err();
        assert_ne!(status.code(), Code::Ok, "{status:?}");
    });
    let series = "fiel_grpc_responses_total{route=\"shop\",pool=\"shop\",grpc_status=\"14\"}";
    Scrape::wait_for(&fiel, &[(series, 1.0)]);
}

#[test]
fn a_call_without_a_route_is_unimplemented() {
    let server = GrpcServer::start("a");
    let route = ["match: { path: { prefix: /other.Service/ } }"];
    let fiel = before_all(&[server.address()], &route);
    with_client(&fiel, async |client| {
        let status = client.unary("Name", "x").await.unwrap_err();
        assert_refused(&status, Code::Unimplemented, "404 Not Found");
    });
}

#[test]
fn calls_over_one_channel_are_shared_exactly_among_servers() {
    let (first, second) = (GrpcServer::start("first"), GrpcServer::start("second"));
    let fiel = before(&[&first, &second]);
    with_client(&fiel, async |client| {
        let mut names = Vec::new();
        for _ in 0..10 {
            names.push(client.unary("Name", "x").await.unwrap());
        }
        for name in ["first", "second"] {
            assert_eq!(
                names.iter().filter(|one| *one == name).count(),
                5,
                "{names:?}"
            );
        }
    });
    assert_eq!(first.calls("Name").len(), 5);
    assert_eq!(second.calls("Name").len(), 5);
}

#[test]
fn a_call_that_its_client_gives_up_is_given_up_at_its_server() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);
    with_client(&fiel, async |client| {
        let request = Request::new(iter([Bytes::from_static(b"x")]));
        let hanging = client.call("Hang", request);
        let noticed = async {
            while server.calls("Hang").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answered = hanging => panic!("{answered:?}"),
            () = noticed => {}
        }
        // The channel lives on, and is of use: it is the stream that ends.
        assert_eq!(client.unary("Name", "x").await.unwrap(), "a");
        while server.cancelled() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let series = "fiel_grpc_responses_total{route=\"shop\",pool=\"shop\",grpc_status=\"1\"}";
    Scrape::wait_for(&fiel, &[(series, 1.0)]);
}

#[test]
fn a_call_whose_endpoint_is_gone_goes_to_another() {
    let (mut gone, good) = (GrpcServer::start("gone"), GrpcServer::start("good"));
    let fiel = before(&[&gone, &good]);
    gone.stop();
    with_client(&fiel, async |client| {
        for _ in 0..4 {
            assert_eq!(client.unary("Name", "x").await.unwrap(), "good");
        }
    });
    assert_eq!(good.calls("Name").len(), 4);
}

#[test]
fn calls_go_through_over_tls_to_the_client() {
    let server = GrpcServer::start("a");
    let authority = Authority::new("site");
    let folder = tempfile::tempdir().unwrap();
    let pair = authority
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let tls = format!("tls: {{ certificates: [ {{ {pair} }} ] }}");
    let fiel = Terms {
        listener: &[&tls],
        pool: &["protocol: http2"],
        ..Terms::default()
    }
    .before_all(&[server.address()]);
    let config = trusting(&authority, &["h2"]);
    let address = fiel.address("web");

    runtime().block_on(async {
        let connector = tower::service_fn(move |_: http::Uri| {
            let connector = TlsConnector::from(Arc::clone(&config));
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("site.example").unwrap();
                let stream = connector.connect(name, stream).await?;
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .origin("https://site.example".parse().unwrap())
            .connect_with_connector(connector)
            .await
            .unwrap();
        let client = GrpcClient::over(channel);
        assert_eq!(client.unary("Collect", "secret").await.unwrap(), "secret");
    });
}

#[test]
fn a_call_over_http_1_reaches_an_endpoint_over_http_2_and_is_booked_by_its_trailers() {
    let server = GrpcServer::start("a");
    let fiel = before(&[&server]);

    let answer = super::call(&fiel, "/test.Echo/Name");

    assert_eq!(answer.body, b"\0\0\0\0\x01a", "{answer:?}");
    let line = fiel.wait_for_access_log(1).remove(0);
    assert_eq!(line["grpc_status"], 0, "{line}");
}

#[test]
fn a_call_with_more_metadata_than_may_be_is_told_so_as_grpc_tells_it() {
    let server = GrpcServer::start("a");
    let fiel = Terms {
        listener: &["limits: { maxHeaders: 20 }"],
        pool: &["protocol: http2"],
        ..Terms::default()
    }
    .before_all(&[server.address()]);
    with_client(&fiel, async |client| {
        let mut request = Request::new(iter([Bytes::from_static(b"x")]));
        for number in 0..30 {
            let name: AsciiMetadataKey = format!("x-{number}").parse().unwrap();
            request.metadata_mut().insert(name, "a".parse().unwrap());
        }
        let status = client.call("Name", request).await.unwrap_err();
        let words = "431 Request Header Fields Too Large";
        assert_refused(&status, Code::ResourceExhausted, words);
    });
    let series = "fiel_grpc_responses_total{route=\"none\",pool=\"none\",grpc_status=\"8\"}";
    Scrape::wait_for(&fiel, &[(series, 1.0)]);
}
