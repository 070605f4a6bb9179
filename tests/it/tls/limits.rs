//! Handshakes that do not come to an end, and what else goes on meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;

use super::{Site, certificates, secure};
use crate::support::tls::{Authority, TlsClient};
use crate::support::wait::DEADLINE;
use crate::support::{Endpoint, Fiel};

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
fn what_is_no_tls_is_refused_and_the_next_one_is_served() {
    let site = Site::start();
    let mut tcp = silent(&site.fiel);
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
        .unwrap();
    let mut alert = Vec::new();
    // It may come with a reset behind it.
    drop(tcp.read_to_end(&mut alert));
    assert!(alert.is_empty() || alert[0] == 21, "{alert:?}");
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
