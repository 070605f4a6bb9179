//! How many connections there may be, who serves them, and how old they may grow.

use crate::support::client::End;
use crate::support::scrape::Scrape;
use crate::support::terms::limited;
use crate::support::wait::eventually;
use crate::support::{Client, Endpoint, Fiel, yaml};

#[test]
fn a_connection_too_many_waits_until_another_has_closed() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxConnections: 2", &endpoint);
    let mut first = Client::connect(fiel.address("web"));
    let mut second = Client::connect(fiel.address("web"));
    assert_eq!(
        (first.get("/1").status, second.get("/2").status),
        (200, 200)
    );

    let mut third = Client::connect(fiel.address("web"));
    third.send("GET /3 HTTP/1.1\r\nHost: test\r\n\r\n");
    // Two more rounds of the others, in which the third would have been served if it could be.
    assert_eq!(
        (first.get("/4").status, second.get("/5").status),
        (200, 200)
    );
    assert_eq!(endpoint.requests_to("/3").len(), 0);
    drop(first);

    assert_eq!(third.response().status, 200);
    assert_eq!(second.get("/6").status, 200);
}

/// Eight clients, then four that leave and four that come in their place.
fn assert_workers_have_as_many(workers: usize) {
    let endpoint = Endpoint::start("a");
    let shop = yaml::shop(&[("app", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("workers: {workers}\n{shop}"));
    let come = || {
        let mut client = Client::connect(fiel.address("web"));
        assert_eq!(client.get("/").status, 200);
        client
    };
    let spread = || {
        let scrape = Scrape::of(&fiel);
        let of = |worker| scrape.value(&format!("fiel_worker_connections{{worker=\"{worker}\"}}"));
        (0..workers).map(of).collect::<Vec<_>>()
    };
    let even = |clients: usize| vec![Some(clients as f64 / workers as f64); workers];
    let mut clients: Vec<Client> = (0..8).map(|_| come()).collect();
    assert_eq!(spread(), even(8));
    // A worker counts one as closed a moment before its place is free.
    eventually("an even spread of those who came later", || {
        clients.truncate(4);
        Scrape::wait_for(&fiel, &[("fiel_connections{listener=\"web\"}", 4.0)]);
        clients.extend((0..4).map(|_| come()));
        (spread() == even(8)).then_some(())
    });
}

#[test]
fn eight_connections_are_shared_evenly_by_two_workers() {
    assert_workers_have_as_many(2);
}

#[test]
fn eight_connections_are_shared_evenly_by_four_workers() {
    assert_workers_have_as_many(4);
}

#[test]
fn an_old_connection_that_is_not_used_is_closed() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxConnectionAge: 100ms", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    assert_eq!(client.get("/").status, 200);

    assert_eq!(client.read_to_end(), (vec![], End::Fin));
}

#[test]
fn an_old_connection_is_asked_to_close_with_its_answer() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxConnectionAge: 100ms", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    eventually("a connection that is old", || {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
        (answer.header("connection") == Some("close")).then_some(())
    });

    assert_eq!(client.read_to_end(), (vec![], End::Fin));
}

#[test]
fn a_young_connection_is_kept() {
    let endpoint = Endpoint::start("a");
    let fiel = limited("maxConnectionAge: 1h", &endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
}
