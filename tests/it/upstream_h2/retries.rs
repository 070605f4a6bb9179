//! What is tried again: what the endpoint says it did nothing with, and what a connection took with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{before, before_on};
use crate::support::client::{get, request};
use crate::support::frames::{self, Frames};
use crate::support::h2endpoint::{H2Endpoint, RawEndpoint};
use crate::support::{Client, Scrape};

/// A net, never a measure.
const PATIENCE: Duration = Duration::from_secs(90);

const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n";

fn refusing() -> H2Endpoint {
    H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange.respond.send_reset(h2::Reason::REFUSED_STREAM);
            None
        })
    })
}

/// Answers this stream with 200 and no body.
fn answer(io: &mut Frames, stream: u32) {
    io.head(stream, &[(":status", "200")], frames::END_STREAM)
        .unwrap();
}

/// GOAWAY: nothing above this stream was processed.
fn go_away(io: &mut Frames, last: u32, code: u32) {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    io.send(frames::GOAWAY, 0, 0, payload).unwrap();
}

#[test]
fn a_refused_post_is_tried_elsewhere() {
    let (refuses, takes) = (refusing(), H2Endpoint::named("a"));
    let fiel = before(&[refuses.address(), takes.address()]);

    for _ in 0..4 {
        assert_eq!(request(fiel.address("web"), POST).text(), "a");
    }
    assert_eq!(refuses.connections(), 1);
    let retried = "fiel_retries_total{pool=\"shop\",reason=\"refused_stream\"}";
    Scrape::wait_for(&fiel, &[(retried, 2.0)]);
}

#[test]
fn a_refused_request_is_answered_so_where_the_route_does_not_try_again() {
    let (refuses, takes) = (refusing(), H2Endpoint::named("a"));
    let fiel = before_on(
        &["retry: { on: [connectFailure, reset] }"],
        &[],
        &[refuses.address(), takes.address()],
    );

    let mut statuses = [0; 2].map(|_: i32| get(fiel.address("web"), "/").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    let mut reasons: Vec<_> = fiel.wait_for_access_log(2);
    reasons.retain(|line| line["status"] == 502);
    assert_eq!(reasons[0]["reason"], "refused_stream");
}

#[test]
fn a_request_whose_body_has_begun_is_not_sent_twice() {
    let refuses = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange.body.data().await?.ok()?;
            exchange.respond.send_reset(h2::Reason::REFUSED_STREAM);
            None
        })
    });
    let takes = H2Endpoint::named("a");
    let fiel = before(&[refuses.address(), takes.address()]);

    let post = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    let statuses = [0; 2].map(|_: i32| request(fiel.address("web"), post).status);
    assert!(statuses.contains(&502), "{statuses:?}");
    assert_eq!(takes.wait_for_requests(1).len(), 1);
}

#[test]
fn streams_above_the_last_of_a_goaway_are_sent_again_and_the_others_go_on() {
    let (tell, told) = mpsc::sync_channel(1_000);
    let endpoint = RawEndpoint::start(move |number, mut io| {
        io.greet(&[]).unwrap();
        let first = io.next_of(frames::HEADERS).unwrap();
        tell.send(()).unwrap();
        if number > 0 {
            answer(&mut io, first.stream);
            while let Some(frame) = io.next_of(frames::HEADERS) {
                answer(&mut io, frame.stream);
            }
            return;
        }
        io.next_of(frames::HEADERS).unwrap();
        go_away(&mut io, first.stream, 0);
        answer(&mut io, first.stream);
        while io.next().is_some() {}
    });
    let fiel = before_on(&["retry: { attempts: 0 }"], &[], &[endpoint.address()]);
    let mut first = Client::connect(fiel.address("web"));
    let mut second = Client::connect(fiel.address("web"));

    first.send(POST);
    // The second finds the connection there, so that its end says nothing about the endpoint.
    told.recv().unwrap();
    second.send(POST);

    assert_eq!(second.response().status, 200);
    assert_eq!(first.response().status, 200);
}

#[test]
fn a_connection_that_is_ending_serves_its_requests_to_their_end() {
    let endpoint = RawEndpoint::start(|number, mut io| {
        io.greet(&[]).unwrap();
        let first = io.next_of(frames::HEADERS).unwrap();
        if number == 0 {
            go_away(&mut io, first.stream, 0);
            // fiel answers a PING when it has read the GOAWAY before it.
            io.send(frames::PING, 0, 0, [1; 8]).unwrap();
            io.next_of(frames::PING).unwrap();
        }
        answer(&mut io, first.stream);
        while io.next().is_some() {}
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    assert_eq!(client.request(POST).status, 200);
    assert_eq!(client.request(POST).status, 200);
    let connects = "fiel_upstream_connects_total{pool=\"shop\"}";
    Scrape::wait_for(&fiel, &[(connects, 2.0)]);
}

#[test]
fn requests_that_a_lost_connection_took_along_are_sent_again_where_that_is_safe() {
    let endpoint = RawEndpoint::start(|number, mut io| {
        io.greet(&[]).unwrap();
        while let Some(frame) = io.next_of(frames::HEADERS) {
            if number == 0 && frame.stream > 1 {
                // Ends without a word.
                return;
            }
            answer(&mut io, frame.stream);
        }
    });
    let fiel = before_on(&["retry: { attempts: 0 }"], &[], &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    assert_eq!(client.get("/").status, 200);
    // The connection has served before: a new one takes its place, without counting as a try.
    assert_eq!(client.get("/").status, 200);
    let connects = "fiel_upstream_connects_total{pool=\"shop\"}";
    Scrape::wait_for(&fiel, &[(connects, 2.0)]);
}

#[test]
fn a_post_that_may_have_been_seen_is_not_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let endpoint = RawEndpoint::start(move |_, mut io| {
        io.greet(&[]).unwrap();
        if io.next_of(frames::HEADERS).is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let fiel = before(&[endpoint.address()]);

    let answer = request(fiel.address("web"), POST);

    assert_eq!(answer.status, 502);
    let status = answer.header("proxy-status").unwrap();
    assert_eq!(status, "fiel; error=connection_terminated");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_on_a_dead_endpoint_is_cut_and_tried_elsewhere() {
    // It takes requests and answers none.
    let holds =
        H2Endpoint::start(|mut exchange| Box::pin(async move { exchange.wait_for_reset().await }));
    let takes = H2Endpoint::named("a");
    let folder = tempfile::tempdir().unwrap();
    let liveness = format!(
        "livenessProbe: {{ exec: {{ command: [sh, -c, 'test ! -e \"{}/$$FIEL_ENDPOINT\"'] }}, periodSeconds: 0.1, failureThreshold: 1 }}",
        folder.path().display()
    );
    let fiel = before_on(&[], &[&liveness], &[holds.address(), takes.address()]);
    let mut clients: Vec<Client> = (0..4)
        .map(|_| Client::connect(fiel.address("web")))
        .collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    holds.wait_for_requests(2);

    std::fs::write(folder.path().join(holds.address().to_string()), "").unwrap();

    for client in &mut clients {
        assert_eq!(client.response().text(), "a");
    }
    holds.wait_for_open(0);
}

#[test]
fn a_connection_that_answers_nothing_not_even_a_ping_is_given_up() {
    let (tell, told) = mpsc::sync_channel(1_000);
    let endpoint = RawEndpoint::start(move |number, mut io| {
        io.greet(&[]).unwrap();
        while let Some(frame) = io.next() {
            match frame.kind {
                frames::PING if number == 0 => tell.send(frame.flags).unwrap(),
                frames::HEADERS if number > 0 => answer(&mut io, frame.stream),
                _ => {}
            }
        }
    });
    let route = ["timeouts: { response: 2m }"];
    let fiel = before_on(&route, &[], &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");

    // It is asked when a look that comes every 10 s has seen nothing since the one before, and once.
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 0);
    // 10 s later the request is on another connection.
    assert_eq!(client.response().status, 200);
    assert!(told.try_recv().is_err());
}

#[test]
fn nothing_is_lost_while_an_endpoint_ends_one_connection_after_the_other() {
    let endpoint = RawEndpoint::start(|_, mut io| {
        io.greet(&[]).unwrap();
        let mut served = 0;
        while let Some(frame) = io.next_of(frames::HEADERS) {
            served += 1;
            if io
                .head(frame.stream, &[(":status", "200")], frames::END_STREAM)
                .is_err()
            {
                return;
            }
            if served == 7 {
                go_away(&mut io, frame.stream, 0);
                while io.next().is_some() {}
                return;
            }
        }
    });
    let fiel = before_on(&["retry: { attempts: 0 }"], &[], &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..100 {
        assert_eq!(client.request(POST).status, 200);
    }
}
