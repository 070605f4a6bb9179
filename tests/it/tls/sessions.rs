//! Sessions by tickets: what resumes one, what outlives what, and what must not be resumed.

use std::fs;
use std::net::TcpStream;

use super::{Site, secure};
use crate::support::tls::{Authority, TlsClient};
use crate::support::{Endpoint, Fiel, Scrape};

const IN_FORCE: &str = "Configuration is in force";

/// One request, so that tickets have come, on a connection that was resumed or not.
fn visit(client: &TlsClient, fiel: &Fiel) -> bool {
    let mut secure = client.connect(fiel.address("web"), "site.example");
    assert_eq!(secure.get("site.example", "/").status, 200);
    secure.is_resumed()
}

#[test]
fn a_session_is_resumed_and_outlives_a_reload_and_a_renewed_certificate() {
    for version in rustls::ALL_VERSIONS {
        let site = Site::start();
        let client = TlsClient::of_version(version);
        assert!(!visit(&client, &site.fiel));
        assert!(visit(&client, &site.fiel));

        let text = fs::read_to_string(site.fiel.file()).unwrap();
        site.fiel.rewrite(&text.replace("20s", "15s"));
        site.fiel.wait_for_log(IN_FORCE);
        assert!(visit(&client, &site.fiel), "{version:?}");

        site.authority
            .issue(&["site.example"])
            .put(site.folder.path(), "site");
        site.fiel.wait_for_log("Certificate is renewed");
        assert!(visit(&client, &site.fiel), "{version:?}");

        TcpStream::connect(site.address()).unwrap();
        let of = |result: &str| {
            format!("fiel_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}}")
        };
        let (full, resumed, failed) = (of("full"), of("resumed"), of("failed"));
        Scrape::wait_for(&site.fiel, &[(&full, 1.0), (&resumed, 3.0), (&failed, 1.0)]);
    }
}

#[test]
fn a_session_means_nothing_under_another_client_auth_policy() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let entry = one.issue(&["site.example"]).put(folder.path(), "site");
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, one.pem()).unwrap();
    let open = format!("certificates: [ {{ {entry} }} ]");
    let auth = |mode| {
        format!(
            "{open}, clientAuth: {{ caFile: {}, mode: {mode} }}",
            ca.display()
        )
    };
    let fiel = Fiel::start(&secure(&open, endpoint.address()));
    for version in rustls::ALL_VERSIONS {
        let reload = |tls: &str, count: usize| {
            fiel.rewrite(&secure(tls, endpoint.address()));
            fiel.wait_for_logs(IN_FORCE, count);
        };
        let count = fiel
            .log()
            .iter()
            .filter(|line| line.contains(IN_FORCE))
            .count();
        // A session from before certificates were asked for does not get in without one.
        let stranger = TlsClient::of_version(version);
        assert!(!visit(&stranger, &fiel));
        reload(&auth("require"), count + 1);
        stranger
            .try_get(fiel.address("web"), "site.example")
            .expect_err("a certificate is required");

        // One that was made with a certificate goes on while the policy does, and no longer.
        let known = TlsClient::with(&[version], Some(&one.issue_client("alice")));
        assert!(!visit(&known, &fiel));
        assert!(visit(&known, &fiel));
        reload(&auth("optional"), count + 2);
        assert!(!visit(&known, &fiel));
        assert!(visit(&known, &fiel));
        fs::write(&ca, other.pem()).unwrap();
        let renewed = "Authorities for client certificates are renewed";
        fiel.wait_for_logs(renewed, if count == 0 { 1 } else { 3 });
        known
            .try_get(fiel.address("web"), "site.example")
            .expect_err("nobody vouches for it any more");
        fs::write(&ca, one.pem()).unwrap();
        fiel.wait_for_logs(renewed, if count == 0 { 2 } else { 4 });
        reload(&open, count + 3);
    }
}

#[test]
fn a_session_of_an_open_listener_does_not_get_into_a_closed_one() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let authority = Authority::new("authority");
    let entry = authority
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let open = format!("certificates: [ {{ {entry} }} ]");
    let closed = format!(
        "  - name: closed\n    bind: 127.0.0.1:0\n    tls: {{ {open}, clientAuth: {{ caFile: {}, mode: require }} }}\nroutes:",
        ca.display()
    );
    let fiel = Fiel::start(&secure(&open, endpoint.address()).replace("routes:", &closed));
    for version in rustls::ALL_VERSIONS {
        let client = TlsClient::of_version(version);
        assert!(!visit(&client, &fiel));
        assert!(visit(&client, &fiel));

        let refused = client.try_get(fiel.address("closed"), "site.example");

        let refused = refused.unwrap_err();
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    }
}

#[test]
fn a_session_ends_with_the_certificate_of_its_client_and_a_renewed_one_comes_in() {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};
    let site = Site::with(|folder, authority| {
        let ca = folder.join("ca.crt");
        fs::write(&ca, authority.pem()).unwrap();
        format!(
            ", clientAuth: {{ caFile: {}, mode: require }}",
            ca.display()
        )
    });
    let visit = |client: &TlsClient| {
        let mut secure = client.try_connect(site.address(), "site.example")?;
        secure.try_get("site.example", "/")?;
        Ok::<bool, String>(secure.is_resumed())
    };
    // A slow machine needs more time before the certificate runs out.
    let (clients, end) = [3, 9, 27]
        .into_iter()
        .find_map(|seconds| {
            let end = SystemTime::now() + Duration::from_secs(seconds);
            let key = rcgen::KeyPair::generate().unwrap();
            let pair = site.authority.issue_with(&["client"], &key, |params| {
                params.not_after = end.into();
            });
            let clients = rustls::ALL_VERSIONS
                .iter()
                .map(|version| TlsClient::with(&[version], Some(&pair)));
            let clients: Vec<TlsClient> = clients.collect();
            let are_resumed = clients
                .iter()
                .all(|client| [visit(client), visit(client)] == [Ok(false), Ok(true)]);
            are_resumed.then_some((clients, end))
        })
        .expect("sessions that are resumed");
    let seconds = end.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let over = UNIX_EPOCH + Duration::from_secs(seconds + 1);
    // The one thing that ends a certificate's time is time.
    while let Ok(left) = over.duration_since(SystemTime::now()) {
        std::thread::park_timeout(left);
    }

    let expired = "fiel_connections_refused_total{listener=\"web\",reason=\"certificate_expired\"}";
    let before = Scrape::of(&site.fiel).value(expired).unwrap_or_default();
    // As often as they like: each time by a whole handshake that says why it ends.
    for client in clients.iter().chain(&clients) {
        let refused = visit(client).unwrap_err();
        assert!(refused.contains("CertificateExpired"), "{refused}");
    }
    Scrape::wait_for(&site.fiel, &[(expired, before + 4.0)]);
    let log = site.fiel.log();
    let told = log
        .iter()
        .filter(|line| line.contains("Connection refused"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("has expired on"), "{told:?}");

    let renewed = site.authority.issue_client("alice");
    for client in &clients {
        client.renew(&renewed);
        assert_eq!([visit(client), visit(client)], [Ok(false), Ok(true)]);
    }
}
