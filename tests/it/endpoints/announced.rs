//! The PROXY protocol on both sides: whom a header names to a listener, endpoints are told of.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::pool;
use crate::support::client::Client;
use crate::support::frames::{END_STREAM, Frames, HEADERS, PREFACE, SETTINGS};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::{Endpoint, Fiel};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// fiel with a listener that is told by a header who its clients are.
fn told(endpoint: SocketAddr, more: &[&str]) -> Fiel {
    Fiel::start(&listening(endpoint, more, "127.0.0.1:0"))
}

fn listening(endpoint: SocketAddr, more: &[&str], bind: &str) -> String {
    let bound = format!("bind: {bind}\n    proxyProtocol: true\nroutes:");
    pool(&endpoint.to_string(), more).replace("bind: 127.0.0.1:0\nroutes:", &bound)
}

/// Version 2 with these ends, and something of its sender's own behind them; without any it speaks for itself.
fn binary(ends: Option<(&str, &str)>) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    let own = [4, 0, 1, 0];
    let Some((source, destination)) = ends else {
        octets.extend([0x20, 0, 0, 4]);
        octets.extend(own);
        return octets;
    };
    let ends = addresses(source.parse().unwrap(), destination.parse().unwrap());
    octets.extend([0x21, if source.starts_with('[') { 0x21 } else { 0x11 }]);
    let length = u16::try_from(ends.len() + own.len()).unwrap();
    octets.extend(length.to_be_bytes());
    octets.extend(ends);
    octets.extend(own);
    octets
}

/// The addresses of a header of version 2.
fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut octets = Vec::new();
    for end in [source, destination] {
        match end {
            SocketAddr::V4(end) => octets.extend(end.ip().octets()),
            SocketAddr::V6(end) => octets.extend(end.ip().octets()),
        }
    }
    octets.extend(source.port().to_be_bytes());
    octets.extend(destination.port().to_be_bytes());
    octets
}

/// The next connection, within the deadline.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let (stream, _) = eventually("a connection", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Reads a header of version 2: its command with its family, and its addresses.
fn read_binary(stream: &mut TcpStream) -> ([u8; 2], Vec<u8>) {
    let mut head = [0; 16];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[..12], *b"\r\n\r\n\0\r\nQUIT\n");
    let length = u16::from_be_bytes([head[14], head[15]]);
    let mut addresses = vec![0; usize::from(length)];
    stream.read_exact(&mut addresses).unwrap();
    ([head[12], head[13]], addresses)
}

fn answer(mut stream: TcpStream) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = reader.lines().map(Result::unwrap);
    assert_eq!(head.next().as_deref(), Some("GET / HTTP/1.1"));
    head.find(String::is_empty).expect("the end of the head");
    let response = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    stream.write_all(response).unwrap();
}

/// Headers of both versions, and the ends that they name.
fn headers() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let four = ("192.0.2.9:4713", "198.51.100.1:443");
    let six = ("[2001:db8::9]:4714", "[2001:db8::1]:8443");
    vec![
        (
            b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 443\r\n".to_vec(),
            "192.0.2.9:4711",
            four.1,
        ),
        (
            b"PROXY TCP6 2001:db8::9 2001:db8::1 4712 8443\r\n".to_vec(),
            "[2001:db8::9]:4712",
            six.1,
        ),
        (binary(Some(four)), four.0, four.1),
        (binary(Some(six)), six.0, six.1),
    ]
}

#[test]
fn an_endpoint_is_told_in_text_whom_a_header_has_named() {
    let endpoint = Endpoint::start("app");
    let fiel = told(endpoint.address(), &["proxyProtocol: v1"]);
    for (round, (header, source, destination)) in headers().into_iter().enumerate() {
        let mut client = Client::connect(fiel.address("web"));
        client.send(&header);
        assert_eq!(client.request(REQUEST).text(), "app");
        let [source, destination]: [SocketAddr; 2] =
            [source, destination].map(|end| end.parse().unwrap());
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        let (source, destination) = (source.port(), destination.port());
        let line = format!("PROXY {family} {from} {to} {source} {destination}");
        let requests = endpoint.wait_for_whole_requests(round + 1);
        assert_eq!(requests[round].line(), line);
        let log = fiel.wait_for_access_log(round + 1);
        assert_eq!(log[round]["client"], from.to_string());
    }
    assert_eq!(endpoint.connections(), 4);
}

#[test]
fn an_endpoint_is_told_in_octets_whom_a_header_has_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fiel = told(listener.local_addr().unwrap(), &["proxyProtocol: v2"]);
    for (header, source, destination) in headers() {
        let mut client = Client::connect(fiel.address("web"));
        client.send(header);
        client.send(REQUEST);
        let mut taken = accept(&listener);
        let (kind, ends) = read_binary(&mut taken);
        let family = if source.starts_with('[') { 0x21 } else { 0x11 };
        assert_eq!(kind, [0x21, family]);
        let wanted = addresses(source.parse().unwrap(), destination.parse().unwrap());
        assert_eq!(ends, wanted, "{source}");
        answer(taken);
        assert_eq!(client.response().status, 204);
    }
}

#[test]
fn who_speaks_for_itself_is_told_as_it_came() {
    let endpoint = Endpoint::start("app");
    let fiel = told(endpoint.address(), &["proxyProtocol: v1"]);
    let web = fiel.address("web");
    let headers = [binary(None), b"PROXY UNKNOWN\r\n".to_vec()];
    for (round, header) in headers.into_iter().enumerate() {
        let mut client = Client::connect(web);
        client.send(header);
        assert_eq!(client.request(REQUEST).text(), "app");
        let own = client.local_address().port();
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {}", web.port());
        let requests = endpoint.wait_for_whole_requests(round + 1);
        assert_eq!(requests[round].line(), line);
    }
}

#[test]
fn a_listener_on_all_addresses_tells_the_one_that_was_reached() {
    let endpoint = Endpoint::start("app");
    let all = |more: &[&str]| {
        pool(&endpoint.address().to_string(), more)
            .replace("bind: 127.0.0.1:0\nroutes:", "bind: 0.0.0.0:0\nroutes:")
    };
    let fiel = Fiel::start(&all(&[]));
    let port = fiel.address("web").port();
    let mut early = Client::connect(SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(early.request(REQUEST).text(), "app");
    fiel.rewrite(&all(&["proxyProtocol: v1"]));
    fiel.wait_for_log("Configuration is in force");

    let later = Client::connect(SocketAddr::from(([127, 0, 0, 2], port)));
    // One that came before any endpoint was told, too.
    for (round, (mut client, host)) in [(later, 2), (early, 1)].into_iter().enumerate() {
        assert_eq!(client.request(REQUEST).text(), "app");
        let own = client.local_address();
        let (from, source) = (own.ip(), own.port());
        let line = format!("PROXY TCP4 {from} 127.0.0.{host} {source} {port}");
        let requests = endpoint.wait_for_whole_requests(round + 2);
        assert_eq!(requests[round + 1].line(), line);
    }
}

#[test]
fn over_http2_each_client_has_a_connection_that_begins_with_its_header() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let more = ["protocol: http2", "proxyProtocol: v2"];
    let fiel = told(listener.local_addr().unwrap(), &more);
    let destination = "198.51.100.1:443";
    let mut clients = Vec::new();
    for source in ["192.0.2.9:4711", "192.0.2.10:4711"] {
        let mut client = Client::connect(fiel.address("web"));
        client.send(binary(Some((source, destination))));
        client.send(REQUEST);
        let mut taken = accept(&listener);
        let (kind, ends) = read_binary(&mut taken);
        assert_eq!(kind, [0x21, 0x11]);
        let wanted = addresses(source.parse().unwrap(), destination.parse().unwrap());
        assert_eq!(ends, wanted, "{source}");
        let mut preface = vec![0; PREFACE.len()];
        taken.read_exact(&mut preface).unwrap();
        assert_eq!(preface, PREFACE);
        let mut frames = Frames::over(taken);
        frames.send(SETTINGS, 0, 0, b"").unwrap();
        // Kept to the end, so that the next could share it.
        clients.push((client, frames));
    }
    // The second request of each goes the way of its first.
    for stream in [1, 3] {
        for (client, frames) in &mut clients {
            if stream > 1 {
                client.send(REQUEST);
            }
            loop {
                let frame = frames.next().expect("a request");
                if frame.kind == HEADERS {
                    assert_eq!(frame.stream, stream);
                    break;
                }
            }
            let head = [(":status", "204")];
            frames.head(stream, &head, END_STREAM).unwrap();
            assert_eq!(client.response().status, 204);
        }
    }
}
