//! Messages both ways, whichever versions the two sides speak.

use futures_util::{SinkExt as _, StreamExt as _};
use h2::server::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::{WAYS, before};
use crate::support::h2endpoint::H2Endpoint;
use crate::support::websocket::{Echo, Http, Two, assert_echoes, open, run};
use crate::support::{Behaviour, Client, Endpoint, Scrape, Step};

#[test]
fn messages_pings_and_the_close_go_through_all_ways() {
    for (near, far) in WAYS {
        let endpoint = Echo::over(far);
        let fiel = before(endpoint.address(), far, &[]);
        run(async {
            let mut socket = open(near, fiel.address("web")).await;
            assert_echoes(&mut socket, Message::text("hello")).await;
            let large: Vec<u8> = (0..1_u32 << 20)
                .map(|number| (number % 251) as u8)
                .collect();
            assert_echoes(&mut socket, Message::binary(large)).await;
            socket
                .send(Message::Ping("are you there".into()))
                .await
                .unwrap();
            let pong = socket.next().await.unwrap().unwrap();
            assert_eq!(
                pong,
                Message::Pong("are you there".into()),
                "{near:?} {far:?}"
            );
            socket.close(None).await.unwrap();
            // The endpoint's answer to the close, then the end.
            while let Some(message) = socket.next().await {
                let message = message.unwrap_or_else(|error| panic!("{near:?} {far:?}: {error}"));
                assert!(message.is_close());
            }
        });
        let line = &fiel.wait_for_access_log(1)[0];
        assert_eq!(line["status"], 101, "{near:?} {far:?}");
        assert_eq!(
            (&line["method"], &line["path"]),
            (&"GET".into(), &"/chat".into())
        );
        let protocol = match near {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2.0",
        };
        assert_eq!(line["protocol"], protocol);
        assert!(line["bytes_in"].as_u64().unwrap() > 1 << 20, "{line}");
        assert!(line["bytes_out"].as_u64().unwrap() > 1 << 20, "{line}");
        let series =
            |name: &str, more: &str| format!("{name}{{route=\"shop\",pool=\"shop\"{more}}}");
        Scrape::wait_for(
            &fiel,
            &[
                (&series("fiel_tunnels", ""), 0.0),
                (&series("fiel_tunnel_duration_seconds_count", ""), 1.0),
                (&series("fiel_requests_total", ",code=\"101\""), 1.0),
            ],
        );
    }
}

#[test]
fn an_endpoint_of_http_1_is_asked_as_by_a_client_of_http_1() {
    let endpoint = Echo::over(Http::One);
    let fiel = before(endpoint.address(), Http::One, &[]);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        for _ in 0..2 {
            let mut socket = two.socket("/chat").await;
            assert_echoes(&mut socket, Message::text("a")).await;
        }
    });
    let heads = endpoint.heads();
    let keys = [0, 1].map(|at: usize| {
        let field = |name: &str| heads[at][name].to_str().unwrap();
        assert_eq!(field("upgrade"), "websocket");
        assert_eq!(field("connection"), "upgrade");
        assert_eq!(field("sec-websocket-version"), "13");
        assert_eq!(field("sec-websocket-protocol"), "chat");
        assert_eq!(field("host"), "test");
        assert_eq!(field("via"), "2.0 fiel");
        field("sec-websocket-key").to_owned()
    });
    assert_eq!(keys[0].len(), 24);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn an_endpoint_of_http_2_is_told_no_key() {
    let endpoint = Echo::over(Http::Two);
    let fiel = before(endpoint.address(), Http::Two, &[]);
    run(async {
        for near in [Http::One, Http::Two] {
            let mut socket = open(near, fiel.address("web")).await;
            assert_echoes(&mut socket, Message::text("a")).await;
        }
    });
    for head in endpoint.heads() {
        assert_eq!(head["sec-websocket-version"], "13");
        for name in ["sec-websocket-key", "upgrade", "connection"] {
            assert!(!head.contains_key(name), "{name}");
        }
    }
}

#[test]
fn each_way_of_a_stream_ends_on_its_own() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![Step::Write(super::rules::SWITCH.into()), Step::Tunnel]),
    );
    let fiel = super::rules::before_key(&endpoint);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut octets = two.octets("/").await;
        octets.write_all(b"last words").await.unwrap();
        octets.shutdown().await.unwrap();
        let mut heard = Vec::new();
        octets.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words");
    });
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&10.into(), &10.into())
    );
}

#[test]
fn an_endpoint_that_has_said_everything_and_wants_no_more_is_heard_to_its_end() {
    const OCTETS: usize = 1 << 20;
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    let endpoint = H2Endpoint::with(&builder, |mut exchange| {
        Box::pin(async move {
            let mut send = exchange.head(200, &[], false)?;
            let all = bytes::Bytes::from(vec![7; OCTETS]);
            // Behind it `h2` resets the stream with NO_ERROR, since nobody reads it.
            exchange.body(&mut send, all, true).await
        })
    });
    let fiel = before(endpoint.address(), Http::Two, &[]);
    let mut client = Client::connect(fiel.address("web"));
    let answer = client.request(super::rules::UPGRADE);
    assert_eq!(answer.status, 101);
    assert_eq!(client.read_exact(OCTETS), vec![7; OCTETS]);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut octets = two.octets("/").await;
        let mut heard = Vec::new();
        octets.read_to_end(&mut heard).await.unwrap();
        assert!(heard == vec![7; OCTETS], "{} octets", heard.len());
    });
}
