//! Names that are asked for, sessions that are taken up again, protocols that are agreed on.

use std::net::SocketAddr;

use super::{Site, secured};
use crate::support::front::{Front, Manner};
use crate::support::tls::Authority;
use crate::support::wait::eventually;
use crate::support::{Fiel, client};

/// A pool that keeps no connection, so that each request makes one.
const NEW_EACH_TIME: &str = "connect: { maxIdlePerWorker: 0, timeout: 20s }";

fn without_keeping(yaml: &str) -> String {
    yaml.replace("connect: { timeout: 20s }", NEW_EACH_TIME)
}

#[test]
fn the_name_of_an_endpoint_is_asked_for_and_verified() {
    let site = Site::start();
    let hosts = site.folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 shop.internal\n").unwrap();
    let resolver = format!(
        "resolver: {{ hostsFile: {}, resolvConf: no-resolv.conf }}\n",
        hosts.display()
    );
    let port = site.address().port();
    let yaml = secured(&[format!("shop.internal:{port}")], &site.ca(), &[]);
    let fiel = Fiel::start(&format!("{resolver}{yaml}"));

    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");

    let sessions = site.front.sessions();
    assert_eq!(sessions[0].name.as_deref(), Some("shop.internal"));
}

#[test]
fn the_configured_name_takes_the_place_of_the_endpoints_own() {
    let site = Site::start();
    let tls = format!("{}, serverName: shop.internal", site.ca());
    let fiel = site.fiel_with(&tls, &[]);

    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");

    let sessions = site.front.sessions();
    assert_eq!(sessions[0].name.as_deref(), Some("shop.internal"));
}

#[test]
fn http_1_1_is_agreed_on_with_who_speaks_of_protocols() {
    let site = Site::behaving(&Manner {
        alpn: vec![b"h2", b"http/1.1"],
        ..Manner::default()
    });
    let fiel = site.fiel();

    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");

    let sessions = site.front.sessions();
    assert_eq!(sessions[0].alpn.as_deref(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_session_is_taken_up_again_by_the_next_connection() {
    let site = Site::start();
    let fiel = Fiel::start(&without_keeping(&site.configured(&site.ca(), &[])));

    for _ in 0..4 {
        assert_eq!(client::get(fiel.address("web"), "/").status, 200);
    }

    let sessions = site.front.sessions();
    let resumed: Vec<bool> = sessions.iter().map(|one| one.is_resumed).collect();
    assert_eq!(resumed, [false, true, true, true]);
}

#[test]
fn an_authority_that_runs_out_while_fiel_runs_ends_the_sessions_of_whom_it_vouched_for() {
    let site = Site::start();
    let brief = Authority::expiring("brief-authority", 3);
    let front = Front::start(&brief.issue(&["127.0.0.1"]), site.endpoint.address());
    let ca = site.folder.path().join("brief.crt");
    std::fs::write(&ca, brief.pem()).unwrap();
    let tls = format!("caFile: {}", ca.display());
    let yaml = secured(&[front.address().to_string()], &tls, &[]);
    let fiel = Fiel::start(&without_keeping(&yaml));

    let refused = eventually("the refusal", || {
        let answer = client::get(fiel.address("web"), "/");
        (answer.status != 200).then_some(answer)
    });

    let told = refused.header("proxy-status");
    assert_eq!(told, Some("fiel; error=tls_certificate_error"));
    let line = fiel.wait_for_log("TLS handshake with an endpoint fails");
    assert!(line.contains("brief-authority has expired"), "{line}");
    assert_eq!(client::get(fiel.address("web"), "/").status, 502);
}

#[test]
fn no_session_is_taken_up_under_another_certificate_of_ours_or_other_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start();
    let pairs = ["one", "two"].map(|name| {
        let pair = site.authority.issue_client(name);
        let entry = pair.put(folder.path(), name);
        (pair, entry)
    });
    let manner = Manner {
        clients: Some(site.authority.pem().to_owned()),
        ..Manner::default()
    };
    let front = Front::behaving(&site.pair, site.endpoint.address(), &manner);
    let endpoints: [SocketAddr; 1] = [front.address()];
    let yaml = |entry: &str| {
        let endpoints = endpoints.map(|one| one.to_string());
        without_keeping(&secured(
            &endpoints,
            &format!("{}, {entry}", site.ca()),
            &[],
        ))
    };
    let fiel = Fiel::start(&yaml(&pairs[0].1));
    let get = |fiel: &Fiel| assert_eq!(client::get(fiel.address("web"), "/").status, 200);
    get(&fiel);
    get(&fiel);

    fiel.rewrite(&yaml(&pairs[1].1));
    fiel.wait_for_log("Configuration is in force");
    get(&fiel);
    get(&fiel);

    let sessions = front.sessions();
    let resumed: Vec<bool> = sessions.iter().map(|one| one.is_resumed).collect();
    assert_eq!(resumed, [false, true, false, true]);
    for (session, (pair, _)) in sessions
        .iter()
        .zip([&pairs[0], &pairs[0], &pairs[1], &pairs[1]])
    {
        assert_eq!(session.client.as_deref(), Some(&*pair.der()));
    }
}
