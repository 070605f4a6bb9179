//! Clients with certificates of their own.

use std::fs;
use std::path::Path;

use super::{Site, secure};
use crate::support::tls::{Authority, Pair, TlsClient};
use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, Scrape, client};

const RENEWED: &str = "Authorities for client certificates are renewed";

/// `clientAuth` with the site's own authority.
fn auth(mode: &str) -> impl FnOnce(&Path, &Authority) -> String {
    let mode = mode.to_owned();
    move |folder, authority| {
        let ca = folder.join("ca.crt");
        fs::write(&ca, authority.pem()).unwrap();
        format!(", clientAuth: {{ caFile: {}, mode: {mode} }}", ca.display())
    }
}

#[test]
fn where_a_certificate_is_required_nobody_gets_in_without_a_good_one() {
    let site = Site::with(auth("require"));
    let stranger = Authority::new("stranger");
    for version in rustls::ALL_VERSIONS {
        let visit = |pair: Option<&Pair>| {
            TlsClient::with(&[version], pair).try_get(site.address(), "site.example")
        };
        let without = visit(None).unwrap_err();
        assert!(without.to_lowercase().contains("certificate"), "{without}");
        let foreign = visit(Some(&stranger.issue_client("alice"))).unwrap_err();
        assert!(foreign.contains("UnknownCA"), "{foreign}");
        assert_eq!(
            visit(Some(&site.authority.issue_client("alice")))
                .unwrap()
                .status,
            200
        );
    }
    assert_eq!(site.endpoint.requests().len(), 2);
    let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"certificate\"}";
    Scrape::wait_for(&site.fiel, &[(refused, 4.0)]);
    let told = |line: &&String| line.contains("Connection refused");
    assert_eq!(site.fiel.log().iter().filter(told).count(), 1);
}

#[test]
fn endpoints_are_told_who_a_client_is_and_clients_cannot_say_it_themselves() {
    let site = Site::with(auth("optional"));
    let forged = "GET / HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-Client-Cert: Hash=0;Subject=\"CN=root\"\r\n\
        X_Forwarded_Client_Cert: Subject=\"CN=root\"\r\nx-forwarded-client-cert: URI=spiffe://root\r\n\r\n";
    let mut known = TlsClient::known_as(&site.authority.issue_client("alice"))
        .connect(site.address(), "site.example");
    let mut unknown = TlsClient::new().connect(site.address(), "site.example");

    assert_eq!(known.request(forged).unwrap().status, 200);
    assert_eq!(unknown.request(forged).unwrap().status, 200);

    let requests = site.endpoint.wait_for_whole_requests(2);
    let told: Vec<_> = requests[0]
        .headers()
        .into_iter()
        .filter(|(name, _)| name.to_lowercase().replace('_', "-") == "x-forwarded-client-cert")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (hash, rest) = told[0].1.split_once(';').unwrap();
    assert!(
        hash.starts_with("Hash=") && hash.len() == "Hash=".len() + 64,
        "{hash}"
    );
    assert_eq!(
        rest,
        "Subject=\"CN=alice,O=Example\";URI=spiffe://example.com/alice;DNS=alice.example.com"
    );
    assert!(
        !requests[1].head.to_lowercase().contains("root"),
        "{}",
        requests[1].head
    );
}

#[test]
fn a_listener_in_the_clear_does_not_pass_such_a_claim_on_either() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&crate::support::yaml::shop(&[(
        "a",
        "1",
        &[endpoint.address()],
    )]));
    let forged =
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Subject=\"CN=root\"\r\n\r\n";
    client::request(fiel.address("web"), forged);
    let request = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(request.header("x-forwarded-client-cert"), None);
}

#[test]
fn routes_match_who_a_client_has_proved_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let entry = authority
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let tls = format!(
        "certificates: [ {{ {entry} }} ]{}",
        auth("optional")(folder.path(), &authority)
    );
    let endpoint = Endpoint::start("app");
    let text = secure(&tls, endpoint.address()).replace(
        "routes:\n",
        "\
routes:
  - { name: alice, match: { clientCert: { subjects: [\"CN=alice,O=Example\"] } }, respond: { body: alice } }
  - { name: bob, match: { clientCert: { sans: [\"URI:spiffe://example.com/bob\"] } }, respond: { body: bob } }
  - { name: both, match: { clientCert: { subjects: [\"CN=carol,O=Example\"], sans: [\"DNS:dave.example.com\"] } }, respond: { body: both } }
  - { name: known, match: { path: { prefix: /known }, clientCert: {} }, respond: { body: known } }
",
    );
    let fiel = Fiel::start(&text);
    let visit = |client: TlsClient, path: &str| {
        let mut secure = client.connect(fiel.address("web"), "site.example");
        secure.get("site.example", path).text()
    };
    let known_as = |name: &str| TlsClient::known_as(&authority.issue_client(name));

    assert_eq!(visit(known_as("alice"), "/"), "alice");
    assert_eq!(visit(known_as("bob"), "/"), "bob");
    assert_eq!(visit(known_as("carol"), "/"), "app");
    assert_eq!(visit(known_as("dave"), "/"), "app");
    assert_eq!(visit(known_as("carol"), "/known"), "known");
    assert_eq!(visit(TlsClient::new(), "/known"), "app");
}

#[test]
fn what_is_revoked_is_refused_as_soon_as_the_list_says_so() {
    let site = Site::with(|folder, authority| {
        let (ca, crl) = (folder.join("ca.crt"), folder.join("ca.crl"));
        fs::write(&ca, authority.pem()).unwrap();
        fs::write(&crl, authority.revoke(&[])).unwrap();
        let (ca, crl) = (ca.display(), crl.display());
        format!(", clientAuth: {{ caFile: {ca}, crlFile: {crl}, mode: require }}")
    });
    let (alice, bob) = (
        site.authority.issue_client("alice"),
        site.authority.issue_client("bob"),
    );
    let (alices, bobs) = (TlsClient::known_as(&alice), TlsClient::known_as(&bob));
    let mut open = alices.connect(site.address(), "site.example");
    assert_eq!(open.get("site.example", "/").status, 200);
    assert_eq!(
        bobs.try_get(site.address(), "site.example").unwrap().status,
        200
    );

    fs::write(
        site.folder.path().join("ca.crl"),
        site.authority.revoke(&[&alice]),
    )
    .unwrap();
    site.fiel.wait_for_log(RENEWED);

    let refused = alices.try_get(site.address(), "site.example").unwrap_err();
    assert!(refused.contains("CertificateRevoked"), "{refused}");
    assert_eq!(
        bobs.try_get(site.address(), "site.example").unwrap().status,
        200
    );
    assert_eq!(
        open.get("site.example", "/").status,
        200,
        "old connections go on"
    );
}

#[test]
fn a_connection_from_before_another_policy_is_told_to_come_again() {
    let site = Site::start();
    let mut open = TlsClient::new().connect(site.address(), "site.example");
    assert_eq!(open.get("site.example", "/").status, 200);

    let more = auth("require")(site.folder.path(), &site.authority);
    let text = fs::read_to_string(site.fiel.file()).unwrap();
    site.fiel
        .rewrite(&text.replace(" } ] }", &format!(" }} ]{more} }}")));
    site.fiel.wait_for_log("Configuration is in force");

    assert_eq!(open.get("site.example", "/").status, 421);
}

#[test]
fn an_authority_that_runs_out_while_fiel_runs_ends_what_it_vouched_for_sessions_too() {
    for version in rustls::ALL_VERSIONS {
        let brief = Authority::expiring("brief-authority", 3);
        let site = Site::with(|folder, _| auth("require")(folder, &brief));
        // Its connections take up sessions, while they may.
        let client = TlsClient::with(&[version], Some(&brief.issue_client("alice")));
        eventually("the refusal", || {
            let visited = client.try_get(site.address(), "site.example");
            let refused = visited.err()?;
            refused.contains("CertificateExpired").then_some(())
        });
        let told = site.fiel.wait_for_log("Connection refused");
        assert!(told.contains("brief-authority has expired"), "{told}");
    }
}

#[test]
fn an_authority_that_has_run_out_vouches_for_no_client_any_more() {
    let old = Authority::expired("old-authority");
    let site = Site::with(|folder, authority| {
        let ca = folder.join("ca.crt");
        fs::write(&ca, format!("{}{}", authority.pem(), old.pem())).unwrap();
        format!(
            ", clientAuth: {{ caFile: {}, mode: optional }}",
            ca.display()
        )
    });
    let stale = old.issue_client("alice");
    for version in rustls::ALL_VERSIONS {
        let visit = |pair: &Pair| {
            TlsClient::with(&[version], Some(pair)).try_get(site.address(), "site.example")
        };
        let refused = visit(&stale).unwrap_err();
        assert!(refused.contains("CertificateExpired"), "{refused}");
        let good = visit(&site.authority.issue_client("alice"));
        assert_eq!(good.unwrap().status, 200);
    }

    let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"certificate_expired\"}";
    let failed = "fiel_tls_handshakes_total{listener=\"web\",result=\"failed\"}";
    Scrape::wait_for(&site.fiel, &[(refused, 2.0), (failed, 2.0)]);
    let log = site.fiel.log();
    let told: Vec<_> = log
        .iter()
        .filter(|line| line.contains("Connection refused"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let why = "the certificate of the authority old-authority has expired on 2020-02-01T00:00:00Z";
    assert!(told[0].contains(why), "{told:?}");
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let status = client::request(site.fiel.admin(), request).json();
    let auth = &status["listeners"][0]["clientAuth"];
    assert_eq!(auth["mode"], "optional", "{auth}");
    assert_eq!(auth["authorities"][1]["name"], "old-authority", "{auth}");
    let end = &auth["authorities"][1]["notAfter"];
    assert_eq!(end, "2020-02-01T00:00:00.000Z", "{auth}");
}
