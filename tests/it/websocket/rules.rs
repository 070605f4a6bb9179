//! What is no tunnel: other protocols, answers that are none to this request, endpoints that offer none.

use std::fs;

use h2::Reason;
use tokio_tungstenite::tungstenite::Message;

use super::before;
use crate::support::client::request;
use crate::support::front::{Front, Manner};
use crate::support::terms::{self, Terms};
use crate::support::tls::Authority;
use crate::support::websocket::{Echo, Http, Two, assert_echoes, echo2, open, run};
use crate::support::{Behaviour, Endpoint, Fiel};

/// To the key that the route sets in `before_key`.
pub(super) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub(super) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn status_of(fiel: &Fiel, protocol: &str, path: &str) -> u16 {
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        two.ask(protocol, path).await.0.status().as_u16()
    })
}

#[test]
fn tunnels_of_other_protocols_are_refused() {
    let endpoint = Endpoint::start("a");
    let fiel = terms::before(&endpoint);
    assert_eq!(status_of(&fiel, "connect-udp", "/"), 501);
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn a_101_that_has_not_read_the_key_is_refused() {
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(SWITCH));
    let fiel = terms::before(&endpoint);
    assert_eq!(status_of(&fiel, "websocket", "/"), 502);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "upgrade_failed");
}

#[test]
fn other_answers_are_passed_on_but_for_those_that_would_be_taken_for_a_tunnel() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/403", Behaviour::status(403));
    endpoint.behave_at("/426", Behaviour::status(426));
    let fiel = terms::before(&endpoint);
    assert_eq!(status_of(&fiel, "websocket", "/403"), 403);
    assert_eq!(status_of(&fiel, "websocket", "/426"), 426);
    // The endpoint's name, with 200.
    assert_eq!(status_of(&fiel, "websocket", "/name"), 502);
}

#[test]
fn an_answer_of_the_routes_own_is_no_tunnel_either() {
    let fiel = Fiel::start(
        "\
admin: { bind: 127.0.0.1:0 }
listeners:
  - { name: web, bind: 127.0.0.1:0 }
routes:
  - name: all
    respond: { status: 200, body: hello }
pools:
  unused: { endpoints: [127.0.0.1:9] }
",
    );
    assert_eq!(status_of(&fiel, "websocket", "/"), 502);
}

#[test]
fn an_endpoint_of_http_2_that_offers_no_tunnels_is_not_asked() {
    let endpoint = echo2(false);
    let fiel = before(endpoint.address(), Http::Two, &[]);
    assert_eq!(status_of(&fiel, "websocket", "/"), 502);
    let answer = request(fiel.address("web"), UPGRADE);
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=http_upgrade_failed")
    );
    assert_eq!(endpoint.state.read(|state| state.requests.len()), 0);
    // Other requests are served.
    let plain = request(fiel.address("web"), "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(plain.text(), "plain");
}

#[test]
fn an_upgrade_to_another_protocol_goes_on_over_http_2_as_an_ordinary_request() {
    let endpoint = echo2(true);
    let fiel = before(endpoint.address(), Http::Two, &[]);
    let answer = request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "plain"));
}

#[test]
fn an_endpoint_that_may_choose_and_offers_none_over_http_2_is_asked_over_http_1() {
    let endpoint = Echo::over(Http::One);
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let file = folder.path().join("ca.crt");
    fs::write(&file, authority.pem()).unwrap();
    let pair = authority.issue(&["127.0.0.1"]);
    let manner = Manner {
        alpn: vec![b"h2", b"http/1.1"],
        ..Manner::default()
    };
    let front = Front::behaving(&pair, endpoint.address(), &manner);
    let tls = format!("tls: {{ caFile: {} }}", file.display());
    let terms = Terms {
        pool: &["protocol: auto", &tls, "connect: { timeout: 20s }"],
        ..Terms::default()
    };
    let fiel = terms.before_all(&[front.address()]);
    let web = fiel.address("web");
    run(async {
        for near in [Http::One, Http::Two] {
            let mut socket = open(near, web).await;
            assert_echoes(&mut socket, Message::text("a")).await;
        }
    });
    let plain = request(web, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(plain.text(), "plain");
    let spoken = front.sessions().into_iter().map(|one| one.alpn.unwrap());
    assert_eq!(
        spoken.collect::<Vec<_>>(),
        [&b"h2"[..], b"http/1.1", b"http/1.1"]
    );
}

#[test]
fn a_client_that_resets_its_stream_ends_the_endpoints_side() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            crate::support::Step::Write(SWITCH.into()),
            crate::support::Step::Tunnel,
        ]),
    );
    let fiel = before_key(&endpoint);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut octets = two.octets("/").await;
        octets.cancel();
        // The connection goes on.
        let mut socket = two.octets("/").await;
        socket.cancel();
    });
    endpoint.wait_for_end(0);
    assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 101);
}

#[test]
fn an_endpoint_that_breaks_off_resets_the_stream() {
    let endpoint = Endpoint::behaving("a", Behaviour::bytes_then_reset(format!("{SWITCH}ab")));
    let fiel = before_key(&endpoint);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut octets = two.octets("/").await;
        assert_eq!(octets.end().await, Some(Reason::CANCEL));
    });
}

/// A route that sets the key of the standard's example, so that a written answer can be right.
pub(super) fn before_key(endpoint: &Endpoint) -> Fiel {
    let terms = Terms {
        route: &["requestHeaders: { set: { Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== } }"],
        ..Terms::default()
    };
    terms.before(endpoint)
}
