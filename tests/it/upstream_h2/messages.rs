//! Requests and answers as they go through, whole and streamed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use http::HeaderMap;

use super::{before, before_on};
use crate::support::Client;
use crate::support::client::{get, request};
use crate::support::frames::{self, Frames};
use crate::support::h2endpoint::{H2Endpoint, RawEndpoint};
use crate::support::wait::standing;

const MIB: usize = 1 << 20;

/// Octets in which a piece that is lost, doubled or moved shows.
fn octets(count: usize) -> Bytes {
    (0_u64..)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .take(count)
        .collect()
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let fields = headers.iter();
    fields
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn a_request_arrives_as_http_2_has_it() {
    let endpoint = H2Endpoint::named("a");
    let fiel = before(&[endpoint.address()]);

    let answer = request(
        fiel.address("web"),
        "GET /a/b?c=d HTTP/1.1\r\nHost: Shop.example:81\r\nConnection: keep-alive, te, x-mine\r\nKeep-Alive: 5\r\n\
         TE: gzip, trailers\r\nX-Mine: 1\r\nCookie: a=1; b=2\r\nX-Request-Id: 7\r\n\r\n",
    );

    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(answer.header("via"), Some("2.0 fiel"));
    let heard = &endpoint.wait_for_requests(1)[0];
    assert_eq!(heard.head.method, "GET");
    let uri = heard.head.uri.clone().into_parts();
    assert_eq!(uri.scheme.unwrap().as_str(), "http");
    assert_eq!(uri.authority.unwrap(), "Shop.example:81");
    assert_eq!(uri.path_and_query.unwrap(), "/a/b?c=d");
    let mut kept = fields(&heard.head.headers);
    kept.retain(|(name, _)| !name.starts_with("x-forwarded-"));
    kept.sort();
    let expected = [
        ("cookie", "a=1; b=2"),
        ("te", "trailers"),
        ("via", "1.1 fiel"),
        ("x-request-id", "7"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(kept, expected);
}

#[test]
fn a_body_goes_up_whole_with_its_length_and_with_its_trailers() {
    let endpoint = H2Endpoint::named("a");
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    let sized = client.request("POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    let chunked = client.request(
        "POST /2 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 9\r\nContent-Length: 3\r\n\r\n",
    );
    let empty = client.request("POST /3 HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");

    assert_eq!([sized.status, chunked.status, empty.status], [200; 3]);
    let heard = endpoint.wait_for_requests(3);
    assert_eq!(heard[0].body, b"hello");
    assert_eq!(heard[0].head.headers["content-length"], "5");
    assert_eq!(heard[1].body, b"hello world");
    assert!(!heard[1].head.headers.contains_key("content-length"));
    let trailers = heard[1].trailers.as_ref().unwrap();
    assert_eq!(fields(trailers), [("x-sum".to_owned(), "9".to_owned())]);
    assert!(heard[2].body.is_empty());
}

#[test]
fn the_last_frame_of_a_body_ends_the_stream_and_no_empty_one_follows() {
    let (tell, told) = std::sync::mpsc::sync_channel(1_000);
    let endpoint = RawEndpoint::start(move |_, mut io: Frames| {
        io.greet(&[]).unwrap();
        let mut kinds = Vec::new();
        while let Some(frame) = io.next() {
            if ![frames::HEADERS, frames::DATA].contains(&frame.kind) {
                continue;
            }
            kinds.push((frame.kind, frame.flags & frames::END_STREAM));
            if frame.flags & frames::END_STREAM != 0 {
                tell.send(std::mem::take(&mut kinds)).unwrap();
                io.head(frame.stream, &[(":status", "204")], frames::END_STREAM)
                    .unwrap();
            }
        }
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    assert_eq!(client.get("/").status, 204);
    assert_eq!(told.recv().unwrap(), [(frames::HEADERS, 1)]);
    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.request(post).status, 204);
    assert_eq!(
        told.recv().unwrap(),
        [(frames::HEADERS, 0), (frames::DATA, 1)]
    );
}

#[test]
fn trailers_of_an_answer_reach_a_client_that_wants_them() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let mut stream = exchange.head(200, &[("trailer", "grpc-status")], false)?;
            exchange.body(&mut stream, "hello".into(), false).await?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("host", "evil".parse().unwrap());
            stream.send_trailers(trailers).ok()
        })
    });
    let fiel = before(&[endpoint.address()]);

    let answer = request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: te\r\nTE: trailers\r\n\r\n",
    );

    assert_eq!(answer.text(), "hello");
    let trailers = [("grpc-status".to_owned(), "0".to_owned())];
    assert_eq!(answer.trailers, trailers);
}

#[test]
fn a_large_body_goes_both_ways_whole() {
    // It answers with what it is sent, as it comes.
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let mut stream = exchange.head(200, &[], false)?;
            while let Some(data) = exchange.body.data().await {
                let data = data.ok()?;
                let flow = exchange.body.flow_control();
                flow.release_capacity(data.len()).ok()?;
                exchange.body(&mut stream, data, false).await?;
            }
            stream.send_data(Bytes::new(), true).ok()
        })
    });
    let fiel = before(&[endpoint.address()]);
    let body = octets(20 * MIB);
    let mut client = Client::connect(fiel.address("web"));

    let sent = body.clone();
    let mut writer = client.twin();
    let sending = thread::spawn(move || {
        writer.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        ));
        writer.send(&sent);
    });
    let answer = client.response();
    sending.join().unwrap();

    assert_eq!(answer.cut_short, None);
    assert!(answer.body == body, "{} octets came", answer.body.len());
}

#[test]
fn a_client_that_does_not_read_stops_its_own_answer_and_no_other() {
    let body = octets(60 * MIB);
    let large = body.clone();
    let endpoint = H2Endpoint::start(move |mut exchange| {
        let large = large.clone();
        Box::pin(async move {
            match exchange.head.uri.path() {
                "/large" => exchange.answer(large).await,
                _ => exchange.answer("small").await,
            }
        })
    });
    let fiel = before(&[endpoint.address()]);

    let mut slow: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::connect(fiel.address("web"));
            client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
            client
        })
        .collect();
    endpoint.wait_for_requests(8);
    let between = standing(|| endpoint.state.read(|state| state.written));

    // A window each, and what the kernel keeps for each client.
    assert!(
        between < 8 * 12 * MIB as u64,
        "{between} octets are on the way"
    );
    for _ in 0..10 {
        assert_eq!(get(fiel.address("web"), "/small").text(), "small");
    }
    assert_eq!(endpoint.connections(), 1);
    let answer = slow[0].response();
    assert!(answer.body == body, "{} octets came", answer.body.len());
}

#[test]
fn an_endpoint_that_does_not_read_stops_the_client() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange.released().await?;
            exchange.read().await?;
            exchange.answer("a").await
        })
    });
    let fiel = before(&[endpoint.address()]);
    let body = octets(60 * MIB);
    let mut client = Client::connect(fiel.address("web"));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));

    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let whole = body.clone();
    let sending = thread::spawn(move || {
        for piece in whole.chunks(64 << 10) {
            client.send(piece);
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        client.response()
    });
    endpoint.wait_for_requests(1);
    let between = standing(|| sent.load(Ordering::Relaxed));
    assert!(between < 20 * MIB as u64, "{between} octets are on the way");
    endpoint.release();

    assert_eq!(sending.join().unwrap().status, 200);
    let arrived = endpoint.state.read(|state| state.requests[0].body == body);
    assert!(arrived);
}

#[test]
fn interim_responses_are_passed_on_and_a_hundred_opens_the_body() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let mut hints = http::Response::builder().status(103);
            hints = hints.header("link", "</a.css>; rel=preload");
            let respond = &mut exchange.respond;
            respond.send_informational(hints.body(()).unwrap()).ok()?;
            let go_on = http::Response::builder().status(100).body(()).unwrap();
            respond.send_informational(go_on).ok()?;
            exchange.read().await?;
            exchange.answer("a").await
        })
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut interim = [client.one_head(), client.one_head()];
    interim.sort_by_key(|one| one.status);
    assert_eq!((interim[0].status, interim[1].status), (100, 103));
    assert_eq!(interim[1].header("link"), Some("</a.css>; rel=preload"));
    client.send("hello");

    assert_eq!(client.response().status, 200);
    assert_eq!(endpoint.wait_for_requests(1)[0].body, b"hello");
}

#[test]
fn an_endpoint_that_does_not_expect_the_body_gets_none_of_it() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange
                .head(417, &[("content-length", "0")], true)
                .map(drop)
        })
    });
    let fiel = before(&[endpoint.address()]);

    let answer = request(
        fiel.address("web"),
        "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );

    assert_eq!(answer.status, 417);
    assert!(answer.interim.is_empty());
    assert!(endpoint.wait_for_requests(1)[0].body.is_empty());
}

#[test]
fn answers_without_a_body_have_none() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let sized = [("content-length", "7")];
            match exchange.head.uri.path() {
                "/204" => exchange.head(204, &[], true),
                "/304" => exchange.head(304, &sized, true),
                // Servers end it so too.
                "/late" => {
                    let mut stream = exchange.head(200, &sized, false)?;
                    stream.send_data(Bytes::new(), true).ok()?;
                    Some(stream)
                }
                _ => exchange.head(200, &sized, true),
            }
            .map(drop)
        })
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for (method, path, status) in [
        ("HEAD", "/", 200),
        ("HEAD", "/late", 200),
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("HEAD", "/", 200),
    ] {
        let answer = client.request(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(answer.status, status, "{method} {path}");
        let length = (status != 204).then_some("7");
        assert_eq!(answer.header("content-length"), length, "{method} {path}");
    }
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn an_answer_that_is_reset_in_its_body_never_looks_whole() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let sized = [("content-length", "9")];
            let head: &[_] = match exchange.head.uri.path() {
                "/sized" => &sized,
                _ => &[],
            };
            let mut stream = exchange.head(200, head, false)?;
            exchange.body(&mut stream, "hello".into(), false).await?;
            exchange.released().await?;
            stream.send_reset(h2::Reason::INTERNAL_ERROR);
            Some(())
        })
    });
    let fiel = before(&[endpoint.address()]);

    let mut clients = ["/sized", "/open"].map(|path| {
        let mut client = Client::connect(fiel.address("web"));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        // Its first octets are through before the reset, which would take along what waits at the endpoint.
        let begun = client.one_head();
        assert_eq!(begun.status, 200);
        client
    });
    endpoint.release();
    let [sized, open] = clients.each_mut().map(|client| client.read_to_end().0);
    assert_eq!(sized, b"hello");
    // A chunk, and no last one.
    assert_eq!(String::from_utf8_lossy(&open), "5\r\nhello\r\n");
    let lines = fiel.wait_for_access_log(2);
    assert_eq!(lines[0]["reason"], "response_cut");
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn an_answer_before_the_end_of_the_request_is_whole_though_the_rest_is_not_wanted() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange.body.data().await?.ok()?;
            exchange.answer("enough").await
            // What is dropped here says RST_STREAM with NO_ERROR.
        })
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nhello");
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (200, "enough"));
    assert_eq!(answer.cut_short, None);
    assert_eq!(get(fiel.address("web"), "/").status, 502);
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn a_client_that_breaks_its_body_off_cancels_it_at_the_endpoint() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            let read = exchange.read().await;
            // Its end is a reset, never the end of a body.
            assert_eq!(read, None);
            exchange.state.change(|state| state.resets.push(0));
            None
        })
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    endpoint.wait_for_requests(1);

    client.reset();

    endpoint
        .state
        .wait_for("the end", |state| (state.resets.len() == 1).then_some(()));
}

#[test]
fn a_try_that_takes_too_long_is_cancelled() {
    let endpoint =
        H2Endpoint::start(|mut exchange| Box::pin(async move { exchange.wait_for_reset().await }));
    let fiel = before_on(
        &["timeouts: { response: 200ms }"],
        &[],
        &[endpoint.address()],
    );

    assert_eq!(get(fiel.address("web"), "/").status, 504);
    endpoint
        .state
        .wait_for("the reset", |state| (state.resets == [8]).then_some(()));
}
