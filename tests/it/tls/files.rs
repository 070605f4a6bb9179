//! Files of certificates that change, in all the ways in which they do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Site, certificates, secure};
use crate::support::tls::{Authority, Pair, TlsClient};
use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, Scrape};

const RENEWED: &str = "Certificate is renewed";
const STAYS: &str = "Certificate cannot be taken up, the old one stays";

fn shown(fiel: &Fiel) -> Vec<u8> {
    let client = TlsClient::new();
    client.connect(fiel.address("web"), "site.example");
    client.shown().0
}

#[track_caller]
fn assert_shows(fiel: &Fiel, pair: &Pair) {
    eventually("the new certificate", || {
        (shown(fiel) == pair.der()).then_some(())
    });
}

fn rename_over(pair: &Pair, folder: &Path) {
    pair.put(folder, ".new");
    let (cert, key) = Pair::paths(folder, ".new");
    let (old_cert, old_key) = Pair::paths(folder, "site");
    fs::rename(key, old_key).unwrap();
    fs::rename(cert, old_cert).unwrap();
}

#[test]
fn a_renewed_certificate_is_for_new_connections_and_old_ones_go_on() {
    let site = Site::start();
    let mut open = TlsClient::new().connect(site.address(), "site.example");
    assert_eq!(open.get("site.example", "/").status, 200);
    assert_eq!(shown(&site.fiel), site.pair.der());

    for round in 1..4 {
        let renewed = site.authority.issue(&["site.example"]);
        match round % 2 {
            0 => drop(renewed.put(site.folder.path(), "site")),
            _ => rename_over(&renewed, site.folder.path()),
        }
        site.fiel.wait_for_logs(RENEWED, round);
        assert_shows(&site.fiel, &renewed);
    }

    assert_eq!(open.get("site.example", "/").status, 200);
    assert_eq!(site.endpoint.requests().len(), 2);
    let log = site.fiel.log().join("\n");
    assert!(!log.contains(STAYS), "{log}");
}

#[test]
fn a_secret_that_is_swapped_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let endpoint = Endpoint::start("app");
    let authority = Authority::new("authority");
    let lay = |name: &str, pair: &Pair| {
        fs::create_dir(root.join(name)).unwrap();
        pair.put(&root.join(name), "tls");
    };
    lay("..1", &authority.issue(&["site.example"]));
    symlink("..1", root.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), root.join(file)).unwrap();
    }
    let (cert, key) = (root.join("tls.crt"), root.join("tls.key"));
    let entry = format!("certFile: {}, keyFile: {}", cert.display(), key.display());
    let fiel = Fiel::start(&secure(&certificates(&[entry]), endpoint.address()));

    for round in 2..5 {
        let renewed = authority.issue(&["site.example"]);
        let name = format!("..{round}");
        lay(&name, &renewed);
        symlink(&name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(format!("..{}", round - 1))).unwrap();
        assert_shows(&fiel, &renewed);
    }
    let log = fiel.log().join("\n");
    assert!(!log.contains(STAYS), "{log}");
}

#[test]
fn a_broken_pair_is_named_and_the_old_one_stays_until_it_is_mended() {
    let site = Site::start();
    let renewed = site.authority.issue(&["site.example"]);
    let (cert, _) = Pair::paths(site.folder.path(), "site");

    // A certificate without its key, and for longer than one is waited for.
    fs::write(&cert, &renewed.cert).unwrap();
    let line = site.fiel.wait_for_log(STAYS);

    assert!(line.contains("is not the key of the certificate"), "{line}");
    assert!(line.contains("site.key"), "{line}");
    assert_eq!(shown(&site.fiel), site.pair.der());
    Scrape::wait_for(&site.fiel, &[("fiel_tls_certificate_faults", 1.0)]);
    renewed.put(site.folder.path(), "site");
    assert_shows(&site.fiel, &renewed);
    Scrape::wait_for(&site.fiel, &[("fiel_tls_certificate_faults", 0.0)]);
    let told = |line: &&String| line.contains(STAYS);
    assert_eq!(site.fiel.log().iter().filter(told).count(), 1);
}

#[test]
fn a_certificate_is_renewed_although_the_configuration_is_wrong() {
    let site = Site::start();
    fs::write(site.fiel.file(), "nonsense: true\n").unwrap();
    site.fiel.wait_for_log("Configuration rejected");

    let renewed = site.authority.issue(&["site.example"]);
    renewed.put(site.folder.path(), "site");

    assert_shows(&site.fiel, &renewed);
}

#[test]
fn a_reload_with_a_broken_pair_is_refused_with_its_place() {
    let site = Site::start();
    let text = fs::read_to_string(site.fiel.file()).unwrap();
    site.fiel.rewrite(&text.replace("site.key", "none.key"));
    let line = site.fiel.wait_for_log("Configuration rejected");
    assert!(line.contains("none.key"), "{line}");
    let rejected = "fiel_config_reloads_total{result=\"rejected\"}";
    Scrape::wait_for(&site.fiel, &[(rejected, 1.0)]);
    assert_eq!(shown(&site.fiel), site.pair.der());
}

#[test]
fn certificates_and_authorities_that_have_run_out_are_warned_of_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let long_ago = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    };
    let authority = Authority::expired("old-authority");
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = authority.issue_with(&["site.example"], &key, long_ago);
    let entry = expired.put(folder.path(), "site");
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let ca = format!("caFile: {}", ca.display());
    let tls = certificates(&[entry]);
    let tls = format!("{tls}, clientAuth: {{ {ca}, mode: optional }}");
    let text = secure(&tls, "127.0.0.1:9".parse().unwrap());
    let file = folder.path().join("fiel.yaml");
    fs::write(&file, format!("{text}    tls: {{ {ca} }}\n")).unwrap();

    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();

    let told = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}");
    let site = "the certificate of site.example has expired on 2020-02-01T00:00:00Z";
    assert_eq!(told.matches(site).count(), 1, "{told}");
    let file = folder.path().join("ca.crt");
    let file = file.display();
    for warning in [
        format!("the authority old-authority in \"{file}\" has expired on 2020-02-01T00:00:00Z"),
        format!("no authority in \"{file}\" is good: nobody is believed by them"),
    ] {
        assert_eq!(told.matches(&warning).count(), 2, "{told}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start_and_nothing_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let (one, other) = (
        authority.issue(&["a.example"]),
        authority.issue(&["b.example"]),
    );
    let broken = |cert: &str, key: &str| Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        serial: 0,
    };
    let middle = one.cert.len() / 2;
    let cut = one.cert[..middle].to_owned();
    let garbled = one.cert.replacen("MII", "AAA", 1);
    for (pair, why) in [
        (broken(&cut, &one.key), "is no PEM"),
        (
            broken(&garbled, &one.key),
            "holds a certificate that is broken",
        ),
        (broken("", &one.key), "holds no certificate"),
        (
            broken(&one.cert, &other.key),
            "is not the key of the certificate",
        ),
        (broken(&one.cert, &one.cert), "holds no private key"),
    ] {
        let entry = pair.put(folder.path(), "site");
        let text = secure(&certificates(&[entry]), "127.0.0.1:9".parse().unwrap());
        let fiel = Fiel::launch(&text);
        assert_eq!(fiel.wait_exit().code(), Some(1), "{why}");
        let line = fiel.wait_for_log(why);
        assert!(line.contains("/site."), "{line}");
    }
}
