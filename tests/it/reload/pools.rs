//! Endpoints that come and go, and settings of pools and routes.

use std::net::SocketAddr;

use super::reload;
use crate::support::client::{Client, End};
use crate::support::{Behaviour, Endpoint, Fiel, client, yaml};

fn pool_of(endpoints: &[&Endpoint]) -> String {
    let addresses: Vec<SocketAddr> = endpoints.iter().map(|one| one.address()).collect();
    yaml::shop(&[("a", "1", &addresses)])
}

#[test]
fn an_endpoint_that_is_added_takes_its_turn() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&pool_of(&[&one]));
    let web = fiel.address("web");
    assert_eq!(client::get(web, "/").text(), "one");

    reload(&fiel, &pool_of(&[&one, &two]), 1);

    let mut answers: Vec<String> = (0..4).map(|_| client::get(web, "/").text()).collect();
    answers.sort();
    assert_eq!(answers, ["one", "one", "two", "two"]);
}

#[test]
fn a_request_at_an_endpoint_that_is_removed_goes_on_to_its_end() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let pieces = ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234", "5678"];
    one.behave_at("/held", Behaviour::pieces(pieces));
    let fiel = Fiel::start(&pool_of(&[&one]));
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.read_exact(4), b"1234");

    reload(&fiel, &pool_of(&[&two]), 1);

    assert_eq!(client::get(fiel.address("web"), "/").text(), "two");
    one.release();
    assert_eq!(client.read_exact(4), b"5678");
    assert_eq!(client.get("/").text(), "two");
    // What is over is not kept for a next request.
    assert_eq!(one.wait_for_end(0), End::Fin);
    assert_eq!(one.requests().len(), 1);
}

#[test]
fn unused_connections_of_an_endpoint_that_is_removed_are_closed() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&pool_of(&[&one]));
    assert_eq!(client::get(fiel.address("web"), "/").text(), "one");
    assert_eq!(one.open_connections(), 1);

    reload(&fiel, &pool_of(&[&two]), 1);

    assert_eq!(one.wait_for_end(0), End::Fin);
}

#[test]
fn an_endpoint_that_comes_back_while_it_drains_is_as_before() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    one.behave_at("/held", Behaviour::stall());
    let fiel = Fiel::start(&pool_of(&[&one]));
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    one.wait_for_requests(1);

    reload(&fiel, &pool_of(&[&two]), 1);
    reload(&fiel, &pool_of(&[&one]), 2);

    assert_eq!(client::get(fiel.address("web"), "/").text(), "one");
    one.release();
    assert_eq!(client.response().text(), "one");
}

#[test]
fn a_drain_timeout_cuts_what_an_endpoint_that_is_removed_still_does() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    one.behave(Behaviour::pieces([
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234",
        "5678",
    ]));
    let bounded =
        |endpoints: &[&Endpoint]| format!("{}    drainTimeout: 50ms\n", pool_of(endpoints));
    let fiel = Fiel::start(&bounded(&[&one]));
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().status, 200);

    reload(&fiel, &bounded(&[&two]), 1);

    let (rest, _) = client.read_to_end();
    assert_eq!(rest, b"1234", "the rest is never released");
    assert_eq!(fiel.wait_for_access_log(1)[0]["bytes_out"], 4);
}

#[test]
fn a_drain_timeout_holds_for_a_pool_that_is_removed_as_a_whole() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    one.behave(Behaviour::pieces([
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234",
        "5678",
    ]));
    let fiel = Fiel::start(&format!("{}    drainTimeout: 50ms\n", pool_of(&[&one])));
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().status, 200);

    reload(&fiel, &yaml::shop(&[("b", "1", &[two.address()])]), 1);

    let (rest, _) = client.read_to_end();
    assert_eq!(rest, b"1234", "the rest is never released");
}

#[test]
fn an_unchanged_endpoint_keeps_its_connection_and_is_not_probed_anew() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let text = |rest: &str| {
        let pools = yaml::shop(&[("b", "0", &[two.address()]), ("a", "1", &[one.address()])]);
        format!(
            "{pools}    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 3600 }}
{rest}"
        )
    };
    let fiel = Fiel::start(&text(""));
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/page").text(), "one");
    let connection = one.requests_to("/page")[0].connection;

    for round in 1..=10 {
        let rest = format!("  c{round}:\n    endpoints: [{}]\n", two.address());
        reload(&fiel, &text(&rest), round);
        assert_eq!(client.get("/page").text(), "one");
    }

    let pages = one.requests_to("/page");
    let connections: Vec<_> = pages.iter().map(|request| request.connection).collect();
    assert_eq!(connections, vec![connection; 11]);
    assert_eq!(one.requests_to("/ready").len(), 1);
    let log = fiel.log();
    let changes = log
        .iter()
        .filter(|line| line.contains("Endpoint changed its state pool=a "));
    assert_eq!(changes.count(), 1, "{log:#?}");
}

#[test]
fn changed_settings_of_a_pool_keep_its_connections() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&pool_of(&[&one]));
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "one");

    for (round, settings) in [
        "connect: { timeout: 2s }",
        "connect: { timeout: 2s, keepAlive: 30s }",
        "version: \"2\"",
        "drainTimeout: 1s",
    ]
    .into_iter()
    .enumerate()
    {
        reload(
            &fiel,
            &format!("{}    {settings}\n", pool_of(&[&one])),
            round + 1,
        );
        assert_eq!(client.get("/").text(), "one");
    }

    assert_eq!(one.connections(), 1);
    let log = fiel.wait_for_access_log(5);
    let versions: Vec<_> = log.iter().map(|line| line["version"].clone()).collect();
    assert_eq!(versions[3], "2", "{versions:?}");
}

#[test]
fn a_shorter_keep_alive_of_a_pool_holds_for_connections_it_has() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&pool_of(&[&one]));
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "one");

    let short = format!("{}    connect: {{ keepAlive: 10ms }}\n", pool_of(&[&one]));
    reload(&fiel, &short, 1);
    assert_eq!(client.get("/").text(), "one");

    assert_eq!(one.wait_for_end(0), End::Fin);
}

#[test]
fn changed_settings_of_a_route_hold_for_the_next_request() {
    let one = Endpoint::behaving("one", Behaviour::stall());
    let text = pool_of(&[&one]);
    let fiel = Fiel::start(&text);
    let mut client = Client::connect(fiel.address("web"));
    let mut patient = Client::connect(fiel.address("web"));
    patient.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    one.wait_for_requests(1);

    let hurried = text.replace("    split:", "    timeouts: { response: 50ms }\n    split:");
    reload(&fiel, &hurried, 1);

    assert_eq!(client.get("/").status, 504);
    one.release_all();
    assert_eq!(
        patient.response().text(),
        "one",
        "it began under other terms"
    );
}
