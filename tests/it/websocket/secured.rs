//! WebSockets over TLS, to clients and to endpoints: ALPN settles the version on either side.

use std::fs;
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use super::WAYS;
use crate::support::front::{Front, Manner};
use crate::support::terms::Terms;
use crate::support::tls::Authority;
use crate::support::websocket::{Echo, Http, assert_echoes, open_secured, run};
use crate::support::{Fiel, Scrape};

/// An authority with a certificate for `site.example` in a folder.
struct Site {
    authority: Authority,
    folder: TempDir,
    listener: String,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        let entry = authority
            .issue(&["site.example"])
            .put(folder.path(), "site");
        Self {
            listener: format!("tls: {{ certificates: [ {{ {entry} }} ] }}"),
            authority,
            folder,
        }
    }

    fn before(&self, endpoint: SocketAddr, pool: &[&str]) -> Fiel {
        let terms = Terms {
            listener: &[&self.listener],
            pool,
            ..Terms::default()
        };
        terms.before_all(&[endpoint])
    }
}

fn pool(far: Http) -> &'static [&'static str] {
    match far {
        Http::One => &[],
        Http::Two => &["protocol: http2"],
    }
}

#[test]
fn messages_and_the_close_go_through_over_tls_all_ways() {
    let site = Site::new();
    for (near, far) in WAYS {
        let endpoint = Echo::over(far);
        let fiel = site.before(endpoint.address(), pool(far));
        let tunnels = |count| {
            let series = "fiel_tunnels{route=\"shop\",pool=\"shop\"}";
            Scrape::wait_for(&fiel, &[(series, count)]);
        };
        run(async {
            let mut socket = open_secured(near, fiel.address("web"), &site.authority).await;
            assert_echoes(&mut socket, Message::text("hello")).await;
            assert_echoes(&mut socket, Message::binary(vec![7; 1 << 20])).await;
            tunnels(1.0);
            socket.send(Message::Close(None)).await.unwrap();
            let close = socket.next().await.unwrap().unwrap();
            assert!(close.is_close(), "{close:?}");
        });
        let line = fiel.wait_for_access_log(1).remove(0);
        assert_eq!(line["status"], 101, "{near:?} to {far:?}: {line}");
        let protocol = match near {
            Http::One => "HTTP/1.1",
            Http::Two => "HTTP/2.0",
        };
        assert_eq!(line["protocol"], protocol, "{line}");
        assert_eq!(
            endpoint.heads()[0]["x-forwarded-proto"],
            "https",
            "{near:?} to {far:?}"
        );
        tunnels(0.0);
    }
}

#[test]
fn a_renewed_certificate_is_for_those_who_come_and_open_sockets_go_on() {
    for near in [Http::One, Http::Two] {
        let site = Site::new();
        let endpoint = Echo::over(Http::One);
        let fiel = site.before(endpoint.address(), &[]);
        run(async {
            let address = fiel.address("web");
            let mut open = open_secured(near, address, &site.authority).await;
            assert_echoes(&mut open, Message::text("before")).await;
            let renewed = site.authority.issue(&["site.example"]);
            drop(renewed.put(site.folder.path(), "site"));
            fiel.wait_for_log("Certificate is renewed");
            let mut new = open_secured(near, address, &site.authority).await;
            assert_echoes(&mut new, Message::text("new")).await;
            assert_echoes(&mut open, Message::text("behind")).await;
        });
    }
}

#[test]
fn tls_on_both_sides_carries_a_socket_whichever_versions_are_settled() {
    for (near, far) in WAYS {
        let site = Site::new();
        let endpoint = Echo::over(far);
        let manner = Manner {
            alpn: match far {
                Http::One => vec![b"http/1.1"],
                Http::Two => vec![b"h2"],
            },
            ..Manner::default()
        };
        let pair = site.authority.issue(&["shop.internal"]);
        let front = Front::behaving(&pair, endpoint.address(), &manner);
        let ca = site.folder.path().join("ca.crt");
        fs::write(&ca, site.authority.pem()).unwrap();
        let tls = format!(
            "tls: {{ caFile: {}, serverName: shop.internal }}",
            ca.display()
        );
        let fiel = site.before(front.address(), &["protocol: auto", &tls]);
        run(async {
            let mut socket = open_secured(near, fiel.address("web"), &site.authority).await;
            assert_echoes(&mut socket, Message::text("hello")).await;
            assert_echoes(&mut socket, Message::binary(vec![7; 1 << 20])).await;
        });
        assert_eq!(front.sessions()[0].alpn.as_deref(), Some(manner.alpn[0]));
    }
}
