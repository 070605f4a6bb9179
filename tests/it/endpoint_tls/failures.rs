//! Sessions that do not come about: what the client is told, what the log says, what is tried again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Site, secured};
use crate::support::front::{Front, Manner};
use crate::support::tls::{Authority, Pair};
use crate::support::{Endpoint, Fiel, Scrape, client};

#[track_caller]
fn assert_fails(fiel: &Fiel, error: &str, reason: &str) {
    let answer = client::get(fiel.address("web"), "/");
    assert_eq!(answer.status, 502, "{}", answer.text());
    let told = answer.header("proxy-status").unwrap_or_default();
    assert_eq!(told, format!("fiel; error={error}"));
    assert!(!answer.text().contains("certificate"), "{}", answer.text());
    let line = fiel.wait_for_log("TLS handshake with an endpoint fails");
    assert!(line.contains(reason), "{reason:?} is not in {line}");
    assert!(line.contains("pool=shop"), "{line}");
}

#[test]
fn a_certificate_of_another_authority_is_a_502_with_its_reason_in_the_log() {
    let site = Site::start();
    let other = Authority::new("other");
    std::fs::write(site.folder.path().join("ca.crt"), other.pem()).unwrap();
    let fiel = site.fiel();

    assert_fails(&fiel, "tls_certificate_error", "UnknownIssuer");

    assert_eq!(site.endpoint.requests().len(), 0);
    let failures = site.front.wait_for_failures(1);
    assert!(failures[0].contains("UnknownCA"), "{failures:?}");
    let lines = fiel.wait_for_access_log(1);
    assert_eq!(lines[0]["reason"], "tls_certificate", "{}", lines[0]);
    // Each further one is worth no line of its own.
    assert_eq!(client::get(fiel.address("web"), "/").status, 502);
    let log = fiel.log();
    let told = log.iter().filter(|line| line.contains("TLS handshake"));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let site = Site::start();
    let tls = format!("{}, serverName: other.internal", site.ca());
    let fiel = site.fiel_with(&tls, &[]);
    assert_fails(&fiel, "tls_certificate_error", "other.internal");
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let site = Site::start();
    let key = KeyPair::generate().unwrap();
    let expired = site.authority.issue_with(&["127.0.0.1"], &key, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let front = Front::start(&expired, site.endpoint.address());
    let endpoints = [front.address().to_string()];
    let fiel = Fiel::start(&secured(&endpoints, &site.ca(), &[]));
    assert_fails(&fiel, "tls_certificate_error", "expired");
}

#[test]
fn an_authority_that_has_run_out_vouches_for_no_endpoint_any_more() {
    let site = Site::start();
    let old = Authority::expired("old-authority");
    let front = Front::start(&old.issue(&["127.0.0.1"]), site.endpoint.address());
    let ca = site.folder.path().join("both.crt");
    std::fs::write(&ca, format!("{}{}", old.pem(), site.authority.pem())).unwrap();
    let ca = format!("caFile: {}", ca.display());
    let endpoints = [front.address().to_string()];
    let fiel = Fiel::start(&secured(&endpoints, &ca, &[]));

    let why = "the certificate of the authority old-authority has expired on 2020-02-01T00:00:00Z";
    assert_fails(&fiel, "tls_certificate_error", why);

    let failures = front.wait_for_failures(1);
    assert!(failures[0].contains("CertificateExpired"), "{failures:?}");
    // Two more tries were made.
    let count = r#"fiel_upstream_failures_total{pool="shop",reason="tls_certificate"}"#;
    Scrape::wait_for(&fiel, &[(count, 3.0)]);
    // Whoever is vouched for by the other one is believed.
    let text = secured(&[site.address().to_string()], &ca, &[]);
    fiel.rewrite(&text);
    fiel.wait_for_log("Configuration is in force");
    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");
}

#[test]
fn an_endpoint_that_speaks_no_tls_is_a_protocol_error() {
    let site = Site::start();
    // Whatever comes, it answers in the clear.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoints = [plain.local_addr().unwrap().to_string()];
    let speaking = thread::spawn(move || {
        // Two more tries are made.
        for _ in 0..3 {
            let (mut stream, _) = plain.accept().unwrap();
            let mut hello = [0; 64];
            stream.read_exact(&mut hello).unwrap();
            let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            stream.read_to_end(&mut Vec::new()).ok();
        }
    });
    let fiel = Fiel::start(&secured(&endpoints, &site.ca(), &[]));

    assert_fails(&fiel, "tls_protocol_error", "");

    speaking.join().unwrap();
}

#[test]
fn an_endpoint_that_refuses_the_protocol_is_heard() {
    let site = Site::behaving(&Manner {
        alpn: vec![b"other"],
        ..Manner::default()
    });
    let fiel = site.fiel();
    assert_fails(&fiel, "tls_alert_received", "NoApplicationProtocol");
}

#[test]
fn an_endpoint_that_misses_a_certificate_of_ours_is_heard() {
    let site = Site::start();
    let manner = Manner {
        clients: Some(site.authority.pem().to_owned()),
        ..Manner::default()
    };
    let front = Front::behaving(&site.pair, site.endpoint.address(), &manner);
    let endpoints = [front.address().to_string()];
    let fiel = Fiel::start(&secured(&endpoints, &site.ca(), &[]));

    let answer = client::get(fiel.address("web"), "/");

    // TLS 1.3 refuses it behind the handshake, when the request is on its way.
    assert_eq!(answer.status, 502);
    let told = answer.header("proxy-status");
    assert_eq!(told, Some("fiel; error=tls_alert_received"));
    let failures = front.wait_for_failures(1);
    assert!(failures[0].contains("no certificates"), "{failures:?}");
}

#[test]
fn a_session_that_does_not_come_about_is_tried_elsewhere_whatever_the_method() {
    let site = Site::start();
    let other = Authority::new("other").issue(&["127.0.0.1"]);
    let wrong = Front::start(&other, site.endpoint.address());
    let endpoints = [wrong.address(), site.address()].map(|one| one.to_string());
    let fiel = Fiel::start(&secured(&endpoints, &site.ca(), &[]));

    for _ in 0..4 {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        let answer = client::request(fiel.address("web"), request);
        assert_eq!((answer.status, answer.text()), (200, "app".to_owned()));
    }

    let retries = r#"fiel_retries_total{pool="shop",reason="tls_certificate"}"#;
    Scrape::wait_for(&fiel, &[(retries, 2.0)]);
}

#[test]
fn a_handshake_that_stalls_is_given_up_with_the_time_to_connect() {
    let site = Site::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoints = [silent.local_addr().unwrap().to_string()];
    let yaml = secured(&endpoints, &site.ca(), &[]).replace("timeout: 20s", "timeout: 300ms");
    let fiel = Fiel::start(&yaml);

    let answer = client::get(fiel.address("web"), "/");

    assert_eq!(answer.status, 504);
    let told = answer.header("proxy-status");
    assert_eq!(told, Some("fiel; error=connection_timeout"));
}

#[test]
fn anybody_is_believed_where_that_is_asked_for() {
    let endpoint = Endpoint::start("app");
    let pair = Authority::new("nobody knows").issue(&["other.example"]);
    let front = Front::start(&pair, endpoint.address());
    let endpoints = [front.address().to_string()];
    let fiel = Fiel::start(&secured(&endpoints, "insecureSkipVerify: true", &[]));
    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");
}

#[test]
fn the_systems_authorities_are_believed_where_no_file_is_named() {
    let site = Site::start();
    let yaml = site.configured("", &[]);
    let store = site.folder.path().join("ca.crt");

    let fiel = run_by(&yaml, &[("SSL_CERT_FILE", &store)]);
    fiel.wait_until_ready();
    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");

    // Those of the system count in their own time, as those of a file do.
    let old = Authority::expired("old-authority");
    let front = Front::start(&old.issue(&["127.0.0.1"]), site.endpoint.address());
    let yaml = secured(&[front.address().to_string()], "", &[]);
    let store = site.folder.path().join("old.crt");
    std::fs::write(&store, old.pem()).unwrap();
    let fiel = run_by(&yaml, &[("SSL_CERT_FILE", &store)]);
    fiel.wait_until_ready();
    let why = "the certificate of the authority old-authority has expired";
    assert_fails(&fiel, "tls_certificate_error", why);

    let fiel = run_by(
        &yaml,
        &[("SSL_CERT_FILE", Path::new("/nowhere/at/all.pem"))],
    );
    fiel.wait_for_log("the system has no store of authorities: ");
    assert_eq!(fiel.wait_exit().code(), Some(1));
}

/// The system's store is where these say, and nowhere else.
fn run_by(yaml: &str, store: &[(&str, &Path)]) -> Fiel {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fiel.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.arg("run").arg("--config").arg(file);
    command
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .envs(store.iter().copied());
    Fiel::command(command, folder)
}

#[test]
fn folders_are_a_store_of_the_system_too_and_an_empty_one_is_none() {
    let site = Site::start();
    let yaml = site.configured("", &[]);
    let folder = |name: &str| {
        let folder = site.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (empty, full, other) = (folder("empty"), folder("full"), folder("other"));
    std::fs::write(full.join("any-name.pem"), site.authority.pem()).unwrap();
    let stranger = Authority::new("stranger");
    std::fs::write(other.join("stranger.pem"), stranger.pem()).unwrap();
    let both = std::env::join_paths([&other, &empty, &full]).unwrap();
    let (both, file) = (Path::new(&both), site.folder.path().join("ca.crt"));

    for store in [
        &[("SSL_CERT_DIR", &*full)][..],
        &[("SSL_CERT_DIR", both)],
        &[("SSL_CERT_DIR", &*empty), ("SSL_CERT_FILE", &*file)],
        &[("SSL_CERT_DIR", &*other), ("SSL_CERT_FILE", &*file)],
    ] {
        let fiel = run_by(&yaml, store);
        fiel.wait_until_ready();
        assert_eq!(
            client::get(fiel.address("web"), "/").text(),
            "app",
            "{store:?}"
        );
    }

    let fiel = run_by(&yaml, &[("SSL_CERT_DIR", &other)]);
    fiel.wait_until_ready();
    assert_fails(&fiel, "tls_certificate_error", "UnknownIssuer");

    let fiel = run_by(&yaml, &[("SSL_CERT_DIR", &empty)]);
    let why = "there is no certificate in what SSL_CERT_FILE and SSL_CERT_DIR name";
    fiel.wait_for_log(why);
    assert_eq!(fiel.wait_exit().code(), Some(1));
}

#[test]
fn a_certificate_that_signed_itself_is_good_where_it_is_named_itself() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("own.crt");
    let own = |is_ca: bool| {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
            serial: 1,
        }
    };
    let endpoint = Endpoint::start("app");
    for is_ca in [true, false] {
        let pair = own(is_ca);
        std::fs::write(&ca, &pair.cert).unwrap();
        let front = Front::start(&pair, endpoint.address());
        let endpoints = [front.address().to_string()];
        let tls = format!("caFile: {}", ca.display());
        let fiel = Fiel::start(&secured(&endpoints, &tls, &[]));
        assert_eq!(client::get(fiel.address("web"), "/").text(), "app");

        let tls = format!("{tls}, serverName: other.internal");
        let fiel = Fiel::start(&secured(&endpoints, &tls, &[]));
        assert_fails(&fiel, "tls_certificate_error", "other.internal");
    }
}
