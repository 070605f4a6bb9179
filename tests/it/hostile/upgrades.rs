//! Switches of protocol: octets are a tunnel's only where both sides agreed on the same protocol (RFC 9110 §7.8).

use super::case::SMUGGLED;
use crate::support::client::End;
use crate::support::terms::before;
use crate::support::{Behaviour, Client, Endpoint, Step};

fn asking(protocol: &str) -> String {
    format!(
        "GET /case HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    )
}

fn switching(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n")
}

#[test]
fn a_101_for_another_protocol_is_refused_and_nothing_behind_it_is_passed_on() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    for (asked, switched) in [
        ("websocket", "Connection: Upgrade\r\nUpgrade: other"),
        (
            "websocket",
            "Connection: Upgrade\r\nUpgrade: websocket, other",
        ),
        (
            "websocket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: other",
        ),
        ("websocket", "Connection: Upgrade\r\nUpgrade:"),
        ("websocket", "Connection: Upgrade"),
        ("websocket", "Connection: Upgrade\r\nUpgrade: h2c"),
        (
            "websocket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked",
        ),
        ("h2c", "Connection: Upgrade\r\nUpgrade: h2c"),
    ] {
        let says = switching(switched) + "raw octets of the endpoint";
        endpoint.behave_at(
            "/case",
            Behaviour(vec![Step::Write(says.into()), Step::Tunnel]),
        );
        let mut client = Client::connect(fiel.address("web"));

        let answer = client.request(asking(asked));

        assert_eq!(answer.status, 502, "{asked} {switched:?}: {answer:?}");
        let told = answer.header("proxy-status");
        assert_eq!(told, Some("fiel; error=http_protocol_error"));
        assert!(!answer.text().contains("raw"), "{answer:?}");
        let request = endpoint.requests_to("/case").pop().unwrap();
        endpoint.wait_for_end(request.connection);
        assert_eq!(client.get("/next").text(), "a", "{asked} {switched:?}");
    }
}

#[test]
fn what_a_client_says_before_a_switch_is_not_sent_before_it() {
    let endpoint = Endpoint::behaving("a", Behaviour(vec![Step::AwaitRelease, Step::WriteName]));
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(asking("websocket") + "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);
    let arrived = endpoint.arrived(0);
    assert!(arrived.ends_with(b"\r\n\r\n"), "{arrived:?}");
    endpoint.release_all();

    // It was declined: what follows is the next request, read as one, by the routes (CVE-2026-2833).
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 200);
    let smuggled = &endpoint.requests_to("/smuggled")[0];
    assert_eq!(
        smuggled.header("x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
}

#[test]
fn behind_a_switch_nothing_is_read_as_a_request() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(switching("Connection: Upgrade\r\nUpgrade: websocket").into()),
            Step::Tunnel,
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(asking("websocket") + SMUGGLED);
    client.finish_sending();

    assert_eq!(answer.status, 101);
    let echoed = (SMUGGLED.as_bytes().to_vec(), End::Fin);
    assert_eq!(client.read_to_end(), echoed, "as it was, both ways");
    assert_eq!(endpoint.requests().len(), 1);
    assert_eq!(fiel.wait_for_access_log(1).len(), 1);
}
