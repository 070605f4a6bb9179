//! Upgrades: octets both ways behind a 101 that was asked for, and only behind such a one.

use crate::support::client::End;
use crate::support::terms::{before, timed};
use crate::support::wait::eventually;
use crate::support::{Behaviour, Client, Endpoint, Fiel, Step};

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

fn switched(fiel: &Fiel) -> Client {
    let mut client = Client::connect(fiel.address("web"));
    let answer = client.request(UPGRADE);
    assert_eq!(answer.status, 101);
    client
}

#[test]
fn octets_go_both_ways_behind_a_101() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(UPGRADE);
    client.send(b"\x00not\r\nhttp\xff");
    let echoed = client.read_exact(11);

    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("echo"));
    let connection = answer.header("connection").map(str::to_ascii_lowercase);
    assert_eq!(connection.as_deref(), Some("upgrade"));
    assert_eq!(echoed, b"\x00not\r\nhttp\xff");
    let request = &endpoint.requests()[0];
    assert_eq!(request.header("upgrade").as_deref(), Some("echo"));
    let connection = request.header("connection").unwrap_or_default();
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{connection}");
}

#[test]
fn a_client_that_ends_its_side_still_gets_what_comes_back() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = before(&endpoint);
    let mut client = switched(&fiel);

    client.send("last words");
    client.finish_sending();

    assert_eq!(client.read_to_end(), (b"last words".to_vec(), End::Fin));
    assert_eq!(endpoint.wait_for_end(0), End::Fin);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&101.into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&10.into(), &10.into())
    );
}

#[test]
fn an_endpoint_that_ends_its_side_still_gets_what_the_client_says() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(SWITCH.into()),
            Step::Write(b"bye".to_vec()),
            Step::Finish,
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = switched(&fiel);

    assert_eq!(client.read_to_end(), (b"bye".to_vec(), End::Fin));
    client.send("heard");
    client.finish_sending();

    assert_eq!(endpoint.wait_for_end(0), End::Fin);
    let arrived = endpoint.arrived(0);
    assert!(
        arrived.ends_with(b"heard"),
        "{}",
        String::from_utf8_lossy(&arrived)
    );
}

#[test]
fn what_the_endpoint_says_right_behind_its_101_is_not_lost() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(format!("{SWITCH}hello").into()),
            Step::Tunnel,
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = switched(&fiel);

    assert_eq!(client.read_exact(5), b"hello");
}

#[test]
fn what_the_client_says_right_behind_its_head_is_not_lost() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(format!("{UPGRADE}hello"));

    assert_eq!(answer.status, 101);
    assert_eq!(client.read_exact(5), b"hello");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_ended() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = timed("idle: 200ms", &[endpoint.address()]);
    let mut client = switched(&fiel);

    client.read_to_end();
    endpoint.wait_for_end(0);

    assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 101);
}

#[test]
fn a_client_that_resets_its_tunnel_ends_the_endpoints_side() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = before(&endpoint);
    let client = switched(&fiel);

    client.reset();

    endpoint.wait_for_end(0);
    fiel.wait_for_access_log(1);
}

#[test]
fn an_upgrade_may_be_declined() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let declined = client.request(UPGRADE);
    let next = client.get("/");

    assert_eq!((declined.status, declined.text().as_str()), (200, "a"));
    assert_eq!((next.status, next.text().as_str()), (200, "a"));
}

#[test]
fn a_101_that_was_not_asked_for_is_a_bad_gateway() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = before(&endpoint);
    let other = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
    let plain = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

    for (number, request) in [plain, other].into_iter().enumerate() {
        let mut client = Client::connect(fiel.address("web"));
        let answer = client.request(request);
        assert_eq!(answer.status, 502, "{request}");
        let status = answer.header("proxy-status");
        assert_eq!(status, Some("fiel; error=http_protocol_error"), "{request}");
        endpoint.wait_for_end(number);
        let log = eventually("its line", || fiel.access_log().get(number).cloned());
        assert_eq!(log["reason"], "malformed_response", "{request}");
    }
}

#[test]
fn http_inside_http_is_not_tunnelled() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = Client::connect(fiel.address("web")).request(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    let request = &endpoint.requests()[0];
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}
