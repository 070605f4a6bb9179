//! The PROXY protocol from clients: who begins with its header, what it says, and what becomes of those who do not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::support::client::Client;
use crate::support::terms::Terms;
use crate::support::tls::Authority;
use crate::support::wait::DEADLINE;
use crate::support::{Endpoint, Fiel, Scrape};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

fn expecting(endpoint: &Endpoint, listener: &[&str]) -> Fiel {
    let terms = Terms {
        listener,
        ..Terms::default()
    };
    terms.before(endpoint)
}

/// Version 2 for a client at 192.0.2.9, with so many octets behind the addresses.
fn binary(command: u8, behind: usize) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    octets.extend([0x20 | command, 0x11]);
    octets.extend(u16::try_from(12 + behind).unwrap().to_be_bytes());
    octets.extend([192, 0, 2, 9, 10, 0, 0, 1, 1, 0, 0, 80]);
    octets.extend(vec![b'G'; behind]);
    octets
}

fn refused(fiel: &Fiel, reason: &str, count: f64) {
    let series = format!("fiel_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}}");
    Scrape::wait_for(fiel, &[(&series, count)]);
}

#[test]
fn the_client_is_whom_the_header_names() {
    let endpoint = Endpoint::start("a");
    let fiel = expecting(&endpoint, &["proxyProtocol: true"]);
    let headers = [
        (
            b"PROXY TCP4 192.0.2.9 10.0.0.1 256 80\r\n".to_vec(),
            "192.0.2.9",
        ),
        (
            b"PROXY TCP6 2001:db8::9 ::1 256 80\r\n".to_vec(),
            "2001:db8::9",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (binary(1, 0), "192.0.2.9"),
        (binary(1, 4000), "192.0.2.9"),
        (binary(0, 7), "127.0.0.1"),
    ];
    for (index, (header, client)) in headers.iter().enumerate() {
        let mut connection = Client::connect(fiel.address("web"));
        let answer = connection.request([&header[..], REQUEST.as_bytes()].concat());
        assert_eq!(answer.status, 200, "{client}");
        assert_eq!(connection.get("/again").status, 200, "{client}");
        let request = &endpoint.requests_to("/a")[index];
        assert_eq!(request.header("x-forwarded-for").as_deref(), Some(*client));
        let log = fiel.wait_for_access_log(2 * index + 2);
        assert_eq!(log[2 * index]["client"], *client);
        assert_eq!(log[2 * index + 1]["client"], *client);
    }
}

#[test]
fn a_header_may_come_in_pieces() {
    let endpoint = Endpoint::start("a");
    let fiel = expecting(&endpoint, &["proxyProtocol: true"]);
    for header in [
        binary(1, 300),
        b"PROXY TCP4 192.0.2.9 10.0.0.1 256 80\r\n".to_vec(),
    ] {
        for at in [1, 5, 12, 15, 16, 27, 30, 37, header.len() - 1, header.len()] {
            let (first, second) = header.split_at(at.min(header.len()));
            let mut connection = Client::connect(fiel.address("web"));
            connection.send(first);
            std::thread::yield_now();
            let answer = connection.request([second, REQUEST.as_bytes()].concat());
            assert_eq!(answer.status, 200, "{at}");
        }
    }
    let requests = endpoint.requests_to("/a");
    assert_eq!(requests.len(), 20);
    for request in &requests {
        assert_eq!(
            request.header("x-forwarded-for").as_deref(),
            Some("192.0.2.9")
        );
    }
}

#[test]
fn trusted_proxies_are_looked_for_where_the_header_says() {
    let endpoint = Endpoint::start("a");
    let fiel = expecting(
        &endpoint,
        &["proxyProtocol: true", "trustedProxies: [192.0.2.0/24]"],
    );
    let cases = [
        ("192.0.2.9", "203.0.113.7"),
        ("198.51.100.1", "198.51.100.1"),
    ];
    for (index, (from, client)) in cases.into_iter().enumerate() {
        let header = format!("PROXY TCP4 {from} 10.0.0.1 256 80\r\n");
        let request = "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";
        Client::connect(fiel.address("web")).request(format!("{header}{request}"));
        assert_eq!(fiel.wait_for_access_log(index + 1)[index]["client"], client);
    }
}

#[test]
fn who_does_not_begin_with_a_header_is_refused_told_once_and_counted() {
    let endpoint = Endpoint::start("a");
    let fiel = expecting(&endpoint, &["proxyProtocol: true"]);
    for _ in 0..2 {
        let mut connection = Client::connect(fiel.address("web"));
        connection.send(REQUEST);
        assert_eq!(connection.read_to_end().0, b"");
    }
    let mut connection = Client::connect(fiel.address("web"));
    connection.send("PROXY TCP4 nonsense\r\n");
    assert_eq!(connection.read_to_end().0, b"");
    // Only looks whether the port is open.
    drop(Client::connect(fiel.address("web")));

    refused(&fiel, "proxy_header_missing", 2.0);
    refused(&fiel, "proxy_header_malformed", 1.0);
    let told = |line: &String| line.contains("Connection refused") && line.contains("missing");
    assert_eq!(fiel.log().iter().filter(|line| told(line)).count(), 1);
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let endpoint = Endpoint::start("a");
    let fiel = expecting(
        &endpoint,
        &["proxyProtocol: true", "limits: { handshakeTimeout: 100ms }"],
    );
    let mut silent = Client::connect(fiel.address("web"));
    silent.send("PROXY TC");
    assert_eq!(silent.read_to_end().0, b"");
    refused(&fiel, "proxy_header_too_slow", 1.0);
    // Nobody else has waited for it.
    let header = "PROXY UNKNOWN\r\n";
    let mut other = Client::connect(fiel.address("web"));
    assert_eq!(other.request(format!("{header}{REQUEST}")).status, 200);
}

#[test]
fn only_named_senders_begin_with_a_header() {
    let endpoint = Endpoint::start("a");
    let named = expecting(&endpoint, &["proxyProtocol: { from: [127.0.0.0/8] }"]);
    let header = "PROXY TCP4 192.0.2.9 10.0.0.1 256 80\r\n";
    let mut connection = Client::connect(named.address("web"));
    assert_eq!(connection.request(format!("{header}{REQUEST}")).status, 200);
    assert_eq!(named.wait_for_access_log(1)[0]["client"], "192.0.2.9");

    let other = expecting(&endpoint, &["proxyProtocol: { from: [10.0.0.0/8, unix] }"]);
    let mut connection = Client::connect(other.address("web"));
    assert_eq!(connection.request(REQUEST).status, 200);
    let mut connection = Client::connect(other.address("web"));
    let answer = connection.request(format!("{header}{REQUEST}"));
    assert_eq!(answer.status, 400, "a stranger claims an address");
}

#[test]
fn the_header_comes_before_tls() {
    let endpoint = Endpoint::start("a");
    let folder = tempfile::tempdir().unwrap();
    let entry = Authority::new("authority")
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let tls = format!("tls: {{ certificates: [ {{ {entry} }} ] }}");
    let fiel = expecting(&endpoint, &["proxyProtocol: true", &tls]);

    let mut tcp = TcpStream::connect_timeout(&fiel.address("web"), DEADLINE).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.write_all(&binary(1, 20)).unwrap();
    let mut secure = crate::support::tls::TlsClient::new()
        .try_connect_over(tcp, "site.example")
        .unwrap();
    assert_eq!(secure.get("site.example", "/").text(), "a");
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "192.0.2.9");

    // Without one, a handshake is no header.
    let mut tcp = TcpStream::connect_timeout(&fiel.address("web"), DEADLINE).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    // It may come with a reset.
    drop(tcp.read_to_end(&mut rest));
    assert_eq!(rest, b"");
    refused(&fiel, "proxy_header_missing", 1.0);
}
