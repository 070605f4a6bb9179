//! HTTP/2 over TLS: by ALPN where the pool asks for it, or as the endpoint chooses.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use tempfile::TempDir;

use super::before_on;
use crate::support::client::{get, request};
use crate::support::front::{Front, Manner};
use crate::support::h2endpoint::H2Endpoint;
use crate::support::terms::Terms;
use crate::support::tls::Authority;
use crate::support::{Endpoint, Fiel, Scrape};

/// TLS in front of an endpoint, which agrees to these protocols; and what a pool says to believe it.
struct Site {
    front: Front,
    tls: String,
    _folder: TempDir,
}

impl Site {
    fn before(endpoint: SocketAddr, manner: &Manner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        let file = folder.path().join("ca.crt");
        fs::write(&file, authority.pem()).unwrap();
        let pair = authority.issue(&["shop.internal", "127.0.0.1"]);
        Self {
            front: Front::behaving(&pair, endpoint, manner),
            tls: format!("tls: {{ caFile: {} }}", file.display()),
            _folder: folder,
        }
    }

    fn agreeing(endpoint: SocketAddr, alpn: &[&'static [u8]]) -> Self {
        let manner = Manner {
            alpn: alpn.to_vec(),
            ..Manner::default()
        };
        Self::before(endpoint, &manner)
    }

    fn fiel(&self, protocol: &str) -> Fiel {
        let protocol = format!("protocol: {protocol}");
        let terms = Terms {
            pool: &[&protocol, &self.tls, "connect: { timeout: 20s }"],
            ..Terms::default()
        };
        terms.before_all(&[self.front.address()])
    }
}

fn in_parallel(fiel: &Fiel, count: usize) -> Vec<u16> {
    let address = fiel.address("web");
    let clients: Vec<_> = (0..count)
        .map(|_| thread::spawn(move || get(address, "/").status))
        .collect();
    let joined = clients.into_iter().map(thread::JoinHandle::join);
    joined.map(Result::unwrap).collect()
}

#[test]
fn a_pool_of_http_2_asks_for_it_by_alpn_and_says_https() {
    let endpoint = H2Endpoint::named("a");
    let site = Site::agreeing(endpoint.address(), &[b"http/1.1", b"h2"]);
    let fiel = site.fiel("http2");

    assert_eq!(in_parallel(&fiel, 10), [200; 10]);

    let heard = endpoint.wait_for_requests(10);
    assert_eq!(heard[0].head.uri.scheme_str(), Some("https"));
    let sessions = site.front.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].alpn.as_deref(), Some(&b"h2"[..]));
}

#[test]
fn bodies_go_both_ways_whole_over_tls() {
    let endpoint = H2Endpoint::start(|mut exchange| {
        Box::pin(async move {
            exchange.read().await?;
            let body = exchange.state.read(|state| state.requests[0].body.clone());
            exchange.answer(body).await
        })
    });
    let site = Site::agreeing(endpoint.address(), &[b"h2"]);
    let fiel = site.fiel("http2");
    let body = "0123456789abcdef".repeat(256 << 10);

    let answer = request(
        fiel.address("web"),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );

    assert_eq!(answer.cut_short, None);
    assert!(answer.text() == body, "{} octets", answer.body.len());
}

#[test]
fn an_endpoint_that_does_not_select_h2_is_a_502_that_says_so() {
    let endpoint = Endpoint::start("a");
    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let site = Site::agreeing(endpoint.address(), alpn);
        let fiel = site.fiel("http2");

        let answer = get(fiel.address("web"), "/");

        assert_eq!(answer.status, 502);
        let line = &fiel.wait_for_access_log(1)[0];
        // A server that shares no protocol may refuse the session instead (RFC 7301 §3.2).
        let reasons = ["not_http2", "tls_alert"];
        assert!(
            reasons.contains(&line["reason"].as_str().unwrap()),
            "{line}"
        );
    }
    assert!(endpoint.requests().is_empty());
}

#[test]
fn auto_is_what_the_endpoint_selects() {
    let two = H2Endpoint::named("two");
    let site = Site::agreeing(two.address(), &[b"h2", b"http/1.1"]);
    let fiel = site.fiel("auto");
    assert_eq!(in_parallel(&fiel, 8), [200; 8]);
    assert_eq!(get(fiel.address("web"), "/").text(), "two");
    assert_eq!(two.connections(), 1);

    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let one = Endpoint::start("one");
        let site = Site::agreeing(one.address(), alpn);
        let fiel = site.fiel("auto");
        assert_eq!(in_parallel(&fiel, 8), [200; 8]);
        assert_eq!(get(fiel.address("web"), "/").text(), "one");
        one.wait_for_whole_requests(9);
        let connects = Scrape::of(&fiel).value("fiel_upstream_connects_total{pool=\"shop\"}");
        assert!(connects.is_some_and(|count| count <= 8.0), "{connects:?}");
    }
}

#[test]
fn a_certificate_that_the_endpoint_wants_and_does_not_get_is_told() {
    let endpoint = H2Endpoint::named("a");
    let site = Site::before(
        endpoint.address(),
        &Manner {
            clients: Some(Authority::new("clients").pem().to_owned()),
            alpn: vec![b"h2"],
            ..Manner::default()
        },
    );
    let fiel = site.fiel("http2");

    let answer = get(fiel.address("web"), "/");

    assert_eq!(answer.status, 502);
    let status = answer.header("proxy-status").unwrap();
    // The alert may be lost behind the reset that follows it, which the kernel delivers first.
    let told = ["tls_alert_received", "connection_terminated"];
    let told = told.map(|error| format!("fiel; error={error}"));
    assert!(told.iter().any(|told| told == status), "{status}");
    assert_eq!(endpoint.wait_for_requests(0).len(), 0);
}

#[test]
fn a_certificate_nobody_believes_is_told_as_with_http_1() {
    let endpoint = H2Endpoint::named("a");
    let site = Site::agreeing(endpoint.address(), &[b"h2"]);
    let other = Site::agreeing(endpoint.address(), &[b"h2"]);
    let fiel = before_on(&[], &[&other.tls], &[site.front.address()]);

    let answer = get(fiel.address("web"), "/");

    assert_eq!(answer.status, 502);
    let status = answer.header("proxy-status").unwrap();
    assert_eq!(status, "fiel; error=tls_certificate_error");
}
