//! Listeners that come, go and move.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::{IN_FORCE, REJECTED, reload, two_listeners};
use crate::support::client::{Client, End};
use crate::support::{Behaviour, Endpoint, Fiel, client, yaml};

/// An address that nobody has: no other process takes ports of a loopback address that is this one's own.
fn free_address() -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 3, high, low);
    let socket = TcpListener::bind((own, 0)).unwrap();
    socket.local_addr().unwrap()
}

#[test]
fn two_listeners_on_any_port_have_a_port_each() {
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&two_listeners(endpoint.address(), "extra", "127.0.0.1:0"));

    let (web, extra) = (fiel.address("web"), fiel.address("extra"));

    assert_ne!(web, extra);
    for address in [web, extra] {
        assert_eq!(client::get(address, "/").text(), "a", "{address}");
    }
}

#[test]
fn a_listener_that_is_added_answers_and_the_others_go_on() {
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&yaml::shop(&[("a", "1", &[endpoint.address()])]));
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "a");

    reload(
        &fiel,
        &two_listeners(endpoint.address(), "extra", "127.0.0.1:0"),
        1,
    );

    assert_eq!(client::get(fiel.address("extra"), "/").text(), "a");
    let again = client.get("/");
    assert_eq!(
        (again.text().as_str(), again.header("connection")),
        ("a", None)
    );
}

#[test]
fn a_listener_that_is_removed_refuses_and_its_connections_end_behind_their_next_answer() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/held", Behaviour::stall());
    let fiel = Fiel::start(&two_listeners(endpoint.address(), "extra", "127.0.0.1:0"));
    let extra = fiel.address("extra");
    let mut idle = Client::connect(extra);
    assert_eq!(idle.get("/").text(), "a");
    let mut busy = Client::connect(extra);
    busy.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(2);
    let mut other = Client::connect(fiel.address("web"));
    assert_eq!(other.get("/").text(), "a");

    reload(&fiel, &yaml::shop(&[("a", "1", &[endpoint.address()])]), 1);

    let refused = std::net::TcpStream::connect(extra);
    assert!(refused.is_err(), "{refused:?}");
    endpoint.release();
    let last = busy.response();
    assert_eq!(
        (last.text().as_str(), last.header("connection")),
        ("a", Some("close"))
    );
    assert_eq!(busy.read_to_end(), (Vec::new(), End::Fin));
    let last = idle.get("/");
    assert_eq!(
        (last.text().as_str(), last.header("connection")),
        ("a", Some("close"))
    );
    assert_eq!(idle.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(other.get("/").header("connection"), None);
}

#[test]
fn a_listener_that_moves_answers_at_its_new_address_only() {
    let endpoint = Endpoint::start("a");
    let [old, new] = [free_address(), free_address()];
    let bound_to = |address: SocketAddr| {
        yaml::shop(&[("a", "1", &[endpoint.address()])])
            .replace("    bind: 127.0.0.1:0", &format!("    bind: {address}"))
    };
    let fiel = Fiel::start(&bound_to(old));
    let mut client = Client::connect(old);
    assert_eq!(client.get("/").text(), "a");

    reload(&fiel, &bound_to(new), 1);

    assert_eq!(client::get(new, "/").text(), "a");
    let refused = std::net::TcpStream::connect(old);
    assert!(refused.is_err(), "{refused:?}");
    let last = client.get("/");
    assert_eq!(
        (last.text().as_str(), last.header("connection")),
        ("a", Some("close"))
    );
    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));

    // And back again.
    reload(&fiel, &bound_to(old), 2);
    assert_eq!(client::get(old, "/").text(), "a");
}

#[test]
fn connections_that_wait_at_a_listener_that_goes_are_served() {
    let endpoint = Endpoint::start("a");
    // With one connection taken the others wait in the kernel's queue.
    let full = two_listeners(endpoint.address(), "extra", "127.0.0.1:0").replace(
        "name: extra,",
        "name: extra, limits: { maxConnections: 1 },",
    );
    let fiel = Fiel::start(&full);
    let extra = fiel.address("extra");
    let mut taken = Client::connect(extra);
    assert_eq!(taken.get("/").text(), "a");
    let mut waiting: Vec<Client> = (0..20).map(|_| Client::connect(extra)).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    // These have connected and will ask only after the listener has gone.
    let mut late: Vec<Client> = (0..5).map(|_| Client::connect(extra)).collect();

    reload(&fiel, &yaml::shop(&[("a", "1", &[endpoint.address()])]), 1);

    for client in &mut late {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in waiting.iter_mut().chain(&mut late) {
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
        assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    }
}

#[test]
fn new_terms_of_a_listener_hold_for_new_connections() {
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&text);
    let web = fiel.address("web");
    let mut old = Client::connect(web);
    assert_eq!(old.get("/").text(), "a");

    let tight = "    bind: 127.0.0.1:0\n    limits: { maxUriBytes: 10B }";
    reload(&fiel, &text.replace("    bind: 127.0.0.1:0", tight), 1);

    assert_eq!(client::get(web, "/long/enough").status, 414);
    assert_eq!(client::get(web, "/").status, 200);
    let again = old.get("/");
    assert_eq!((again.status, again.header("connection")), (200, None));
}

#[test]
fn an_address_in_use_rejects_the_whole_reload() {
    let endpoint = Endpoint::start("a");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let fiel = Fiel::start(&yaml::shop(&[("a", "1", &[endpoint.address()])]));
    let wished = two_listeners(endpoint.address(), "extra", &address.to_string());

    fiel.rewrite(&wished.replace("shop", "front"));

    let line = fiel.wait_for_log(REJECTED);
    for part in ["extra", &address.to_string(), "in use"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    client::get(fiel.address("web"), "/");
    assert_eq!(fiel.wait_for_access_log(1)[0]["route"], "shop");

    // Freed, the very same file is right.
    drop(taken);
    fiel.rewrite(&wished);
    fiel.wait_for_log(IN_FORCE);
    assert_eq!(client::get(address, "/").text(), "a");
}
