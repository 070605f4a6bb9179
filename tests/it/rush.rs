//! Connections that come by the thousand: the kernel keeps each until it has brought something, and none is lost by that.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::support::client::{Client, End};
use crate::support::scrape::Scrape;
use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, yaml};

const ASK: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// How the kernel lists a connection of which it has told nobody (`TCP_SYN_RECV`).
const KEPT: &str = "03";

fn start(endpoint: &Endpoint, terms: &str) -> Fiel {
    let shop = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    Fiel::start(&format!("{terms}\n{shop}"))
}

fn start_with_limits(endpoint: &Endpoint, limits: &str) -> Fiel {
    let shop = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let bind = "    bind: 127.0.0.1:0";
    let limited = format!("{bind}\n    limits: {{ {limits} }}");
    Fiel::start(&shop.replace(bind, &limited))
}

/// Whether the kernel keeps this client's connection still.
fn is_kept(web: SocketAddr, client: &Client) -> bool {
    let port = |of: SocketAddr| format!(":{:04X} ", of.port());
    let (here, there) = (port(web), port(client.local_address()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // Number, address here, address there, state.
    let ends = format!("{there}{KEPT} ");
    table
        .lines()
        .any(|line| line.contains(&ends) && line.contains(&here))
}

/// Makes a rush, and a client in it that says nothing.
fn rush(web: SocketAddr) -> Client {
    eventually("the kernel to keep a connection", || {
        for _ in 0..600 {
            drop(TcpStream::connect(web));
        }
        let silent = Client::connect(web);
        is_kept(web, &silent).then_some(silent)
    })
}

#[test]
fn in_a_rush_a_connection_that_is_kept_until_its_request_is_here_is_like_any_other() {
    for workers in [1, 2] {
        let endpoint = Endpoint::start("a");
        let fiel = start(&endpoint, &format!("workers: {workers}"));
        let mut client = rush(fiel.address("web"));

        for _ in 0..2 {
            assert_eq!(client.get("/").text(), "a");
        }
        let body = "x".repeat(100_000);
        let length = body.len();
        let upload =
            format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}");
        assert_eq!(client.request(upload).text(), "a");
        client.send(ASK.repeat(2));
        assert_eq!(client.response().text(), "a");
        assert_eq!(client.response().text(), "a");
    }
}

#[test]
fn in_a_rush_a_head_that_comes_in_pieces_is_waited_for() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "");
    let web = fiel.address("web");
    let mut client = rush(web);
    let (begin, end) = ASK.split_at(20);

    client.send(begin);
    eventually("the connection to be handed out", || {
        (!is_kept(web, &client)).then_some(())
    });
    client.send(end);

    assert_eq!(client.response().text(), "a");
}

#[test]
fn in_a_rush_one_that_says_nothing_is_handed_out_a_little_later_and_closed_in_time() {
    let endpoint = Endpoint::start("a");
    let fiel = start_with_limits(&endpoint, "idleTimeout: 100ms");
    let mut silent = rush(fiel.address("web"));

    assert_eq!(silent.read_to_end(), (vec![], End::Fin));
}

#[test]
fn in_a_rush_one_that_leaves_without_a_word_leaves_nothing_behind() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "");
    let mut silent = rush(fiel.address("web"));

    silent.finish_sending();

    assert_eq!(silent.read_to_end(), (vec![], End::Fin));
    Scrape::wait_for(&fiel, &[("fiel_connections{listener=\"web\"}", 0.0)]);
}

#[test]
fn when_a_rush_is_over_connections_are_handed_out_at_once() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "");
    let web = fiel.address("web");
    drop(rush(web));

    eventually("a connection that is not kept", || {
        let silent = Client::connect(web);
        (!is_kept(web, &silent)).then_some(())
    });
}

#[test]
fn an_end_in_a_rush_loses_nobody_who_is_kept() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "shutdown: { drain: 0s }");
    let web = fiel.address("web");
    let mut kept = vec![rush(web)];
    kept.extend((0..20).map(|_| Client::connect(web)));

    fiel.signal(Signal::TERM);

    // One each way: taken because its time has come, and because it has brought its request.
    eventually("the first to be handed out", || {
        (!is_kept(web, &kept[0])).then_some(())
    });
    for client in &mut kept {
        client.send(ASK);
        let answer = client.response();
        assert_eq!(
            (answer.text().as_str(), answer.header("connection")),
            ("a", Some("close"))
        );
        assert_eq!(client.read_to_end(), (vec![], End::Fin));
    }
    assert_eq!(fiel.wait_exit().code(), Some(0));
}
