//! `examples/embed` at work, in this very process: a layer of one's own around the whole path, and the orderly end.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

#[path = "../examples/embed/api_key.rs"]
mod api_key;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use http::HeaderValue;
use rustix::process::{Signal, getpid, kill_process};

use self::api_key::ApiKeyLayer;

/// Far more than anything here takes.
const NET: Duration = Duration::from_secs(30);

#[test]
fn a_layer_of_ones_own_answers_before_the_proxy_and_the_process_drains() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("embed.yaml");
    let yaml = format!(
        "workers: 1
admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: off }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [\"{}\"] }} }}
",
        endpoint()
    );
    fs::write(&file, yaml).unwrap();
    let (ready, address) = mpsc::sync_channel(1);
    let layer = ApiKeyLayer::new(HeaderValue::from_static("secret"));
    let proxy = thread::spawn(move || {
        fiel::run::run_with(&file, layer, |running| {
            ready
                .send(running.listeners[0].1.tcp().expect("it is an address"))
                .unwrap();
        })
    });
    let address = address.recv_timeout(NET).unwrap();

    // One connection for all three: a refusal leaves it as good as new.
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(NET)).unwrap();
    let without = exchange(&mut client, "");
    let wrong = exchange(&mut client, "x-api-key: secreT\r\n");
    let right = exchange(&mut client, "x-api-key: secret\r\n");

    assert!(without.starts_with("HTTP/1.1 401 "), "{without}");
    assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
    assert!(right.starts_with("HTTP/1.1 200 "), "{right}");
    assert!(
        right.ends_with("\r\n\r\nkey seen: false\n"),
        "the endpoint's own answer, and it has not seen the key: {right}"
    );

    drop(client);
    kill_process(getpid(), Signal::TERM).unwrap();
    proxy.join().unwrap().unwrap();
}

/// An endpoint that says whether it was sent the key, one request a connection.
fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = read_head(&mut stream).to_ascii_lowercase();
            let body = format!("key seen: {}\n", head.contains("x-api-key"));
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// A request with this field, and its whole answer.
fn exchange(stream: &mut TcpStream, field: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{field}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(stream);
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    String::from_utf8(head).unwrap()
}
