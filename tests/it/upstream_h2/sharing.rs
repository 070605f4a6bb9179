//! Many requests over few connections, and each request to the endpoint whose turn it is.

use std::thread;

use rustix::process::Signal;

use super::{before, before_on};
use crate::support::client::{get, request};
use crate::support::h2endpoint::H2Endpoint;
use crate::support::terms::Terms;
use crate::support::{Client, Fiel, Scrape};

/// Answers when the test says so.
fn held() -> H2Endpoint {
    with_streams(None)
}

fn with_streams(most: Option<u32>) -> H2Endpoint {
    let mut builder = h2::server::Builder::new();
    if let Some(most) = most {
        builder.max_concurrent_streams(most);
    }
    H2Endpoint::with(&builder, |mut exchange| {
        Box::pin(async move {
            exchange.released().await?;
            exchange.answer("a").await
        })
    })
}

/// So many clients at once, each with a connection of its own; ends when all have their answers.
fn clients(fiel: &Fiel, count: usize) -> Vec<thread::JoinHandle<u16>> {
    let address = fiel.address("web");
    (0..count)
        .map(|_| thread::spawn(move || get(address, "/").status))
        .collect()
}

fn statuses(clients: Vec<thread::JoinHandle<u16>>) -> Vec<u16> {
    let joined = clients.into_iter().map(thread::JoinHandle::join);
    joined.map(Result::unwrap).collect()
}

#[test]
fn many_requests_at_once_share_one_connection() {
    let endpoint = held();
    let fiel = before(&[endpoint.address()]);

    let clients = clients(&fiel, 30);
    endpoint.wait_for_requests(30);
    endpoint.state.read(|state| {
        assert_eq!(state.connections, 1);
        assert_eq!(state.peak, [30]);
    });
    Scrape::wait_for(
        &fiel,
        &[
            ("fiel_upstream_connections{pool=\"shop\"}", 1.0),
            ("fiel_upstream_connects_total{pool=\"shop\"}", 1.0),
            ("fiel_requests_in_flight{pool=\"shop\"}", 30.0),
        ],
    );
    endpoint.release();

    assert_eq!(statuses(clients), [200; 30]);
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn an_endpoint_that_takes_two_streams_gets_more_connections_and_never_too_many_streams() {
    let endpoint = with_streams(Some(2));
    let fiel = before(&[endpoint.address()]);

    let clients = clients(&fiel, 9);
    endpoint.wait_for_requests(9);
    endpoint.state.read(|state| {
        // How many connections are begun before the endpoint has said that it takes two depends on who came first.
        assert!((5..=9).contains(&state.connections), "{state:?}");
        assert!(state.peak.iter().all(|peak| *peak <= 2), "{state:?}");
    });
    endpoint.release();

    assert_eq!(statuses(clients), [200; 9]);
    let scrape = Scrape::of(&fiel);
    assert_eq!(
        scrape.value("fiel_retries_total{pool=\"shop\",reason=\"refused_stream\"}"),
        None
    );
}

#[test]
fn one_connection_of_a_client_alternates_between_two_endpoints() {
    let (a, b) = (H2Endpoint::named("a"), H2Endpoint::named("b"));
    let fiel = before(&[a.address(), b.address()]);

    let mut client = Client::connect(fiel.address("web"));
    let answers: Vec<String> = (0..40).map(|_| client.get("/").text()).collect();

    for pair in answers.windows(2) {
        assert_ne!(pair[0], pair[1], "{answers:?}");
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn a_connection_serves_one_request_after_the_other_and_closes_when_nobody_comes() {
    let endpoint = H2Endpoint::named("a");
    let fiel = before_on(&[], &["connect: { keepAlive: 1s }"], &[endpoint.address()]);

    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(endpoint.connections(), 1);
    endpoint.wait_for_open(0);
    Scrape::wait_for(
        &fiel,
        &[
            ("fiel_upstream_connections{pool=\"shop\"}", 0.0),
            ("fiel_upstream_connects_total{pool=\"shop\"}", 1.0),
        ],
    );

    assert_eq!(client.get("/").text(), "a");
    assert_eq!(endpoint.connections(), 2);
}

#[test]
fn no_unused_connection_is_kept_where_none_may_be() {
    let endpoint = H2Endpoint::named("a");
    let fiel = before_on(
        &[],
        &["connect: { maxIdlePerWorker: 0 }"],
        &[endpoint.address()],
    );

    let mut client = Client::connect(fiel.address("web"));
    for count in 1..=3 {
        assert_eq!(client.get("/").text(), "a");
        assert_eq!(endpoint.connections(), count);
        endpoint.wait_for_open(0);
    }
}

#[test]
fn a_client_that_leaves_cancels_its_stream_and_nobody_elses() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            match exchange.head.uri.path() {
                "/left" => exchange.wait_for_reset().await,
                _ => {
                    exchange.released().await?;
                    exchange.answer("a").await
                }
            }
        })
    });
    let fiel = before(&[endpoint.address()]);
    let stays = clients(&fiel, 1);
    endpoint.wait_for_requests(1);
    let mut leaves = Client::connect(fiel.address("web"));
    leaves.send("GET /left HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(2);

    drop(leaves);

    endpoint.state.wait_for("the reset", |state| {
        (state.resets == [u32::from(h2::Reason::CANCEL)]).then_some(())
    });
    endpoint.release();
    assert_eq!(statuses(stays), [200]);
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn connections_are_closed_when_fiel_ends_and_requests_go_on_to_their_end() {
    let endpoint = held();
    let fiel = before(&[endpoint.address()]);
    let waits = clients(&fiel, 2);
    endpoint.wait_for_requests(2);

    fiel.signal(Signal::TERM);
    fiel.wait_for_log("Draining");
    endpoint.release();

    assert_eq!(statuses(waits), [200; 2]);
    assert!(fiel.wait_exit().success());
    endpoint.wait_for_open(0);
}

#[test]
fn a_pool_changes_its_protocol_with_a_reload() {
    let endpoint = H2Endpoint::named("a");
    let yaml = |protocol: &str| {
        format!(
            "workers: 1
admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: shop, split: [ {{ pool: shop, weight: 1 }} ] }} ]
pools: {{ shop: {{ protocol: {protocol}, endpoints: [\"{}\"] }} }}
",
            endpoint.address()
        )
    };
    let fiel = Fiel::start(&yaml("auto"));
    // Without TLS that is HTTP/1, which the endpoint does not speak.
    assert_eq!(get(fiel.address("web"), "/").status, 502);

    fiel.rewrite(&yaml("http2"));
    fiel.wait_for_log("Configuration is in force");

    assert_eq!(get(fiel.address("web"), "/").text(), "a");
    let admin = |path| {
        let get = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        request(fiel.admin(), get).json()
    };
    let status = admin("/status");
    assert_eq!(status["pools"][0]["protocol"], "http2");
    let config = admin("/config");
    assert_eq!(config["pools"]["shop"]["protocol"], "http2");
}

#[test]
fn a_drained_endpoint_keeps_no_connection() {
    let endpoint = held();
    let fiel = Terms {
        pool: &["protocol: http2"],
        ..Terms::default()
    }
    .before_all(&[endpoint.address()]);
    let waits = clients(&fiel, 1);
    endpoint.wait_for_requests(1);

    let order = format!(
        "POST /pools/shop/endpoints/{}/drain HTTP/1.1\r\nHost: localhost\r\n\r\n",
        endpoint.address()
    );
    let answer = Client::connect(fiel.admin()).request(order);
    assert_eq!(answer.status, 200, "{}", answer.text());
    fiel.wait_for_state(endpoint.address(), "draining", 1);
    endpoint.release();

    assert_eq!(statuses(waits), [200]);
    endpoint.wait_for_open(0);
}
