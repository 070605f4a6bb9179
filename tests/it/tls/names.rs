//! Which certificate a client gets, keys of all kinds, and what belongs on another connection.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};

use super::{Site, certificates, secure};
use crate::support::tls::{Authority, TlsClient};
use crate::support::{Endpoint, Fiel};

#[test]
fn a_name_gets_the_certificate_for_it_then_the_wildcards_then_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let authority = Authority::new("authority");
    let all = [
        &["default.example"][..],
        &["*.a.example"],
        &["x.a.example", "b.example"],
    ]
    .map(|names| authority.issue(names));
    let entries: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(index, pair)| pair.put(folder.path(), &index.to_string()))
        .collect();
    let fiel = Fiel::start(&secure(&certificates(&entries), endpoint.address()));
    for (name, expected) in [
        ("x.a.example", 2),
        ("X.A.Example", 2),
        ("y.a.example", 1),
        ("z.y.a.example", 0),
        ("b.example", 2),
        ("default.example", 0),
        ("unknown.example", 0),
        // An address is no name that could be asked for.
        ("127.0.0.1", 0),
    ] {
        let client = TlsClient::new();
        client.connect(fiel.address("web"), name);
        assert_eq!(client.shown().0, all[expected].der(), "{name}");
    }
}

/// The key inside a PKCS#8 PEM, in the older form of its kind.
fn in_the_older_form(pkcs8: &str, label: &str) -> String {
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::pki_types::pem::PemObject as _;
    let der = PrivatePkcs8KeyDer::from_pem_slice(pkcs8.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::der_parser::parse_der(der.secret_pkcs8_der()).unwrap();
    let inner = parsed.as_sequence().unwrap()[2]
        .as_slice()
        .unwrap()
        .to_vec();
    let text = base64(&inner);
    format!("-----BEGIN {label}-----\n{text}-----END {label}-----\n")
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, piece) in octets.chunks(3).enumerate() {
        let mut word = [0; 4];
        word[1..=piece.len()].copy_from_slice(piece);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let letter = (word >> (18 - 6 * place)) & 63;
            let is_there = place <= piece.len();
            text.push(if is_there {
                char::from(LETTERS[letter as usize])
            } else {
                '='
            });
        }
        if index % 16 == 15 {
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

#[test]
fn keys_of_every_kind_and_form_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let authority = Authority::new("authority");
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let ecdsa = KeyPair::generate().unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let pair = |name: &str, key: &KeyPair, label: Option<&str>| {
        let mut pair = authority.issue_with(&[name], key, |_| {});
        if let Some(label) = label {
            pair.key = in_the_older_form(&pair.key, label);
        }
        (name.to_owned(), pair)
    };
    let all = [
        pair("pkcs8.rsa.example", &rsa, None),
        pair("pkcs1.rsa.example", &rsa, Some("RSA PRIVATE KEY")),
        pair("pkcs8.ec.example", &ecdsa, None),
        pair("sec1.ec.example", &ecdsa, Some("EC PRIVATE KEY")),
        pair("p384.ec.example", &p384, None),
        pair("ed25519.example", &ed25519, None),
    ];
    let entries: Vec<String> = all
        .iter()
        .map(|(name, pair)| pair.put(folder.path(), name))
        .collect();
    let fiel = Fiel::start(&secure(&certificates(&entries), endpoint.address()));
    for (name, pair) in &all {
        for version in rustls::ALL_VERSIONS {
            let client = TlsClient::of_version(version);
            let answer = client.try_get(fiel.address("web"), name).unwrap();
            assert_eq!(answer.text(), "app", "{name}");
            assert_eq!(client.shown().0, pair.der(), "{name}");
        }
    }
}

#[test]
fn a_request_for_a_name_with_another_certificate_is_misdirected() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let authority = Authority::new("authority");
    let names = [&["a.example", "b.example"][..], &["c.example"]];
    let entries = names.iter().enumerate().map(|(index, names)| {
        authority
            .issue(names)
            .put(folder.path(), &index.to_string())
    });
    let entries: Vec<String> = entries.collect();
    let fiel = Fiel::start(&secure(&certificates(&entries), endpoint.address()));
    let address = fiel.address("web");
    let mut secure = TlsClient::new().connect(address, "a.example");

    assert_eq!(secure.get("a.example", "/").status, 200);
    assert_eq!(secure.get("B.example:8443", "/").status, 200);
    assert_eq!(secure.get("unknown.example", "/").status, 200);
    let misdirected = secure.get("c.example", "/");

    assert_eq!(misdirected.status, 421);
    assert_eq!(misdirected.header("connection"), Some("close"));
    assert_eq!(
        misdirected.header("proxy-status"),
        Some("fiel; error=http_request_denied")
    );
    let mut right = TlsClient::new().connect(address, "c.example");
    assert_eq!(right.get("c.example", "/").status, 200);
    // Each connection has its own worker, and each worker its own pace.
    let log = fiel.wait_for_access_log(5);
    let refused: Vec<_> = log.iter().filter(|line| line["status"] == 421).collect();
    assert_eq!(refused.len(), 1, "{log:?}");
    assert_eq!(refused[0]["reason"], "misdirected", "{}", refused[0]);
    assert_eq!(endpoint.requests().len(), 4);
}

#[test]
fn one_certificate_serves_every_name() {
    let site = Site::start();
    let mut secure = TlsClient::new().connect(site.address(), "site.example");
    assert_eq!(secure.get("other.example", "/").status, 200);
}
