//! Probes over TLS: as Kubernetes sends them, or as the pool speaks.

use super::{Site, secured};
use crate::support::front::{Front, Manner};
use crate::support::tls::Authority;
use crate::support::{Endpoint, Fiel};

const READY: &str = "readinessProbe: { httpGet: { path: /ready, scheme: HTTPS, httpHeaders: [ { name: Host, value: \"shop.internal:443\" } ] } }";

#[test]
fn a_probe_believes_whoever_answers_and_asks_for_the_name_in_host() {
    let endpoint = Endpoint::start("app");
    let pair = Authority::new("nobody knows").issue(&["other.example"]);
    let front = Front::start(&pair, endpoint.address());
    let site = Site::start();
    let endpoints = [front.address().to_string()];

    // The pool itself believes others.
    let fiel = Fiel::start(&secured(&endpoints, &site.ca(), &[READY]));

    fiel.wait_for_state(front.address(), "ready", 1);
    let probe = &endpoint.requests_to("/ready")[0];
    assert_eq!(probe.header("host").as_deref(), Some("shop.internal:443"));
    let sessions = front.sessions();
    assert_eq!(sessions[0].name.as_deref(), Some("shop.internal"));
}

#[test]
fn a_probe_that_verifies_does_as_the_pool_does() {
    let site = Site::start();
    let me = site.authority.issue_client("me");
    let entry = me.put(site.folder.path(), "me");
    let manner = Manner {
        clients: Some(site.authority.pem().to_owned()),
        ..Manner::default()
    };
    let front = Front::behaving(&site.pair, site.endpoint.address(), &manner);
    let endpoints = [front.address().to_string()];
    let probe = "readinessProbe: { httpGet: { path: /ready, scheme: HTTPS, verify: true }, periodSeconds: 0.1 }";
    let right = format!("{}, {entry}, serverName: shop.internal", site.ca());
    let wrong = format!("{}, {entry}, serverName: other.internal", site.ca());

    let fiel = Fiel::start(&secured(&endpoints, &right, &[probe]));
    fiel.wait_for_state(front.address(), "ready", 1);
    let sessions = front.sessions();
    assert_eq!(sessions[0].name.as_deref(), Some("shop.internal"));
    assert_eq!(sessions[0].client.as_deref(), Some(&*me.der()));

    fiel.rewrite(&secured(&endpoints, &wrong, &[probe]));
    let line = fiel.wait_for_state(front.address(), "unready", 1).remove(0);
    assert!(line.contains("TLS: "), "{line}");
    assert!(line.contains("other.internal"), "{line}");
}

#[test]
fn a_probe_without_a_scheme_speaks_in_the_clear() {
    let site = Site::start();
    let port = site.endpoint.address().port();
    let probe = format!("readinessProbe: {{ httpGet: {{ path: /ready, port: {port} }} }}");
    let fiel = site.fiel_with(&site.ca(), &[&probe]);
    fiel.wait_for_state(site.address(), "ready", 1);
    assert_eq!(site.front.sessions().len(), 0);
}

#[test]
fn a_probe_that_verifies_speaks_http_1_1_where_the_pool_speaks_http_2() {
    let site = Site::behaving(&Manner {
        alpn: vec![b"h2", b"http/1.1"],
        ..Manner::default()
    });
    let probe = "readinessProbe: { httpGet: { path: /ready, scheme: HTTPS, verify: true } }";
    let fiel = site.fiel_with(&site.ca(), &["protocol: http2", probe]);
    fiel.wait_for_state(site.address(), "ready", 1);
    let sessions = site.front.sessions();
    assert_eq!(sessions[0].alpn.as_deref(), Some(&b"http/1.1"[..]));
}
