//! Handshakes that do not come to an end, and what else goes on meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;

use super::{Site, certificates, secure};
use crate::support::terms::before;
use crate::support::tls::{Authority, TlsClient};
use crate::support::wait::DEADLINE;
use crate::support::{Endpoint, Fiel, Scrape, client};

/// The beginning of a record of a handshake of 512 octets.
const BEGUN: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252];

fn silent(fiel: &Fiel) -> TcpStream {
    let tcp = TcpStream::connect(fiel.address("web")).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let pair = Authority::new("authority").issue(&["site.example"]);
    let entry = pair.put(folder.path(), "site");
    let text = secure(&certificates(&[entry]), endpoint.address());
    let fiel = Fiel::start(&text.replace("handshakeTimeout: 20s", "handshakeTimeout: 300ms"));
    for beginning in [&b""[..], BEGUN] {
        let mut tcp = silent(&fiel);
        tcp.write_all(beginning).unwrap();
        assert_eq!(tcp.read(&mut [0; 64]).unwrap_or(0), 0, "{beginning:?}");
    }
}

#[test]
fn handshakes_that_stand_still_hold_nobody_up() {
    let site = Site::start();
    let standing: Vec<TcpStream> = (0..200)
        .map(|round| {
            let mut tcp = silent(&site.fiel);
            if round % 2 == 0 {
                tcp.write_all(BEGUN).unwrap();
            }
            tcp
        })
        .collect();
    for _ in 0..4 {
        let answer = TlsClient::new().try_get(site.address(), "site.example");
        assert_eq!(answer.unwrap().text(), "app");
    }
    drop(standing);
}

#[test]
fn a_request_in_the_clear_is_told_so_and_the_next_one_is_served() {
    let site = Site::start();
    let mut tcp = silent(&site.fiel);
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
        .unwrap();
    let mut told = Vec::new();
    tcp.read_to_end(&mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
    assert!(told.contains("use https"), "{told}");
    let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"plaintext\"}";
    Scrape::wait_for(&site.fiel, &[(refused, 1.0)]);
    site.fiel.wait_for_log("why=\"plaintext\"");
    assert_eq!(site.fiel.wait_for_access_log(1)[0]["reason"], "plaintext");
    let answer = TlsClient::new().try_get(site.address(), "site.example");
    assert_eq!(answer.unwrap().text(), "app");
}

#[test]
fn an_orderly_end_waits_for_no_handshake_and_says_good_bye_to_sessions() {
    let site = Site::start();
    let _standing = silent(&site.fiel);
    let mut rested = TlsClient::new().connect(site.address(), "site.example");
    assert_eq!(rested.get("site.example", "/").status, 200);

    site.fiel.signal(Signal::TERM);

    let mut rest = Vec::new();
    // A session that ends without `close_notify` would be an error here.
    rested.stream().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert!(site.fiel.wait_exit().success());
}

#[test]
fn tls_where_none_is_spoken_is_refused_told_once_and_counted() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    for _ in 0..2 {
        let answer = TlsClient::new().try_connect(fiel.address("web"), "site.example");
        assert!(answer.is_err());
    }
    let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"tls\"}";
    Scrape::wait_for(&fiel, &[(refused, 2.0)]);
    let told = |line: &&String| line.contains("Connection refused");
    assert_eq!(fiel.log().iter().filter(told).count(), 1);
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
}

#[test]
fn a_protocol_that_nobody_knows_is_refused_by_an_alert() {
    let site = Site::start();
    for _ in 0..2 {
        let refused = TlsClient::new()
            .offering(&["gopher"])
            .try_connect(site.address(), "site.example");
        let error = refused.err().expect("nobody speaks it");
        assert!(error.contains("NoApplicationProtocol"), "{error}");
    }
    let failed = "fiel_tls_handshakes_total{listener=\"web\",result=\"failed\"}";
    let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"handshake\"}";
    Scrape::wait_for(&site.fiel, &[(failed, 2.0), (refused, 2.0)]);
    let told = |line: &&String| line.contains("Connection refused");
    assert_eq!(site.fiel.log().iter().filter(told).count(), 1);
    let answer = TlsClient::new().try_get(site.address(), "site.example");
    assert_eq!(answer.unwrap().text(), "app");
}

#[test]
fn what_is_no_handshake_is_refused_and_nobody_else_notices() {
    // A hello of SSL 2, a request in small letters, a record of another kind, and one longer than records are.
    let nonsense: [&[u8]; 4] = [
        &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        b"get / http/1.1\r\nhost: site.example\r\n\r\n",
        &[23, 3, 3, 0, 4, 1, 2, 3, 4],
        &[22, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xfb],
    ];
    let site = Site::start();
    for (round, octets) in nonsense.into_iter().enumerate() {
        let mut tcp = silent(&site.fiel);
        tcp.write_all(octets).unwrap();
        // An alert, or nothing; the end in either case.
        tcp.read_to_end(&mut Vec::new()).ok();
        let answer = TlsClient::new().try_get(site.address(), "site.example");
        assert_eq!(answer.unwrap().text(), "app", "{octets:?}");
        let count = (round + 1) as f64;
        let refused = "fiel_connections_refused_total{listener=\"web\",reason=\"handshake\"}";
        let failed = "fiel_tls_handshakes_total{listener=\"web\",result=\"failed\"}";
        let none = ("fiel_panics_total", 0.0);
        Scrape::wait_for(&site.fiel, &[(refused, count), (failed, count), none]);
    }
    let told = |line: &&String| line.contains("Connection refused");
    assert_eq!(site.fiel.log().iter().filter(told).count(), 1);
}

#[test]
fn of_too_many_handshakes_the_oldest_give_way_and_nobody_else_waits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Each of these connections has a descriptor here too.
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, most).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let pair = Authority::new("authority").issue(&["site.example"]);
    let entry = pair.put(folder.path(), "site");
    let text = secure(&certificates(&[entry]), endpoint.address());
    let text = text.replace("handshakeTimeout: 20s", "handshakeTimeout: 600s");
    let fiel = Fiel::start(&format!("workers: 1\n{text}"));
    let stand = || {
        let mut tcp = silent(&fiel);
        tcp.write_all(BEGUN).unwrap();
        tcp
    };
    let mut first = stand();
    // Whoever is served behind it shows that the first has its place.
    let answer = TlsClient::new().try_get(fiel.address("web"), "site.example");
    assert_eq!(answer.unwrap().text(), "app");
    let standing: Vec<TcpStream> = (0..1024).map(|_| stand()).collect();

    // However it ends: what it has sent lies unread.
    assert_eq!(first.read(&mut [0; 64]).unwrap_or(0), 0);

    let answer = TlsClient::new().try_get(fiel.address("web"), "site.example");
    assert_eq!(answer.unwrap().text(), "app");
    drop(standing);
}
