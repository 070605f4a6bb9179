//! Thousands of requests that are almost right: none takes a worker down, hangs, or reaches an endpoint in pieces that
//! could be read in two ways.

use std::net::SocketAddr;
use std::thread;

use fastrand::Rng;

use super::strict;
use crate::support::{Behaviour, Client, Endpoint, Fiel, Scrape};

/// Change it, or set `FIEL_SEED`, to look elsewhere; what is found becomes a case of its own.
const SEED: u64 = 0x6669_656c;

const CLIENTS: usize = 32;
const REQUESTS_EACH: usize = 100;

/// What the mutations begin with.
const SOUND: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
    "GET /a/../b?c=d%20e HTTP/1.1\r\nHost: test:80\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
     5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "OPTIONS * HTTP/1.1\r\nHost: test\r\nMax-Forwards: 1\r\n\r\n",
    "GET http://test/x HTTP/1.1\r\nHost: other\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01raw",
    "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
     HTTP2-Settings: AAMAAABk\r\n\r\n",
];

/// What is spliced in.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"%",
    b"#",
    b"\xff",
    b"Content-Length: 3\r\n",
    b"Content-Length: +3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Host: evil\r\n",
    b"Connection: close\r\n",
    b"Connection: host\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"TE: trailers\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"GET ",
    b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n",
];

#[test]
fn noise_takes_no_worker_down_and_reaches_endpoints_in_sound_requests_only() {
    let seed = std::env::var("FIEL_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    eprintln!("seed {seed}");
    let endpoint = Endpoint::start("a");
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    endpoint.behave_at("/ws", Behaviour::bytes_then_finish(switch));
    let fiel = Fiel::start(&format!(
        "\
workers: 2
listeners:
  - name: web
    bind: 127.0.0.1:0
    limits: {{ headerTimeout: 50ms, bodyIdleTimeout: 50ms, idleTimeout: 50ms }}
routes:
  - name: shop
    split: [ {{ pool: shop, weight: 1 }} ]
    timeouts: {{ idle: 1s }}
pools:
  shop:
    endpoints: [ {} ]
",
        endpoint.address()
    ));

    let address = fiel.address("web");
    let clients: Vec<_> = (0..CLIENTS as u64)
        .map(|number| thread::spawn(move || disturb(address, Rng::with_seed(seed ^ number))))
        .collect();
    for client in clients {
        client.join().unwrap();
    }

    // New connections go to the workers in turn: each serves some of these.
    for _ in 0..8 {
        assert_eq!(Client::connect(address).get("/sound").text(), "a");
    }
    let panics = Scrape::of(&fiel).value("fiel_panics_total");
    assert_eq!(panics, Some(0.0));
    let arrived = strict::count_well_formed(&endpoint);
    assert!(
        arrived > CLIENTS * REQUESTS_EACH / 10,
        "only {arrived} arrived"
    );
}

/// Sends noise, each on a connection of its own, and waits until fiel has ended it.
fn disturb(address: SocketAddr, mut rng: Rng) {
    for _ in 0..REQUESTS_EACH {
        let noise = noise(&mut rng);
        let mut client = Client::connect(address);
        client.try_send(&noise).ok();
        let (told, _) = client.read_to_end();
        let is_answer = told.is_empty() || told.starts_with(b"HTTP/1.");
        assert!(
            is_answer,
            "{:?} was told {:?}",
            String::from_utf8_lossy(&noise),
            String::from_utf8_lossy(&told)
        );
    }
}

/// One or more sound requests, each with a few things wrong with it.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut noise = Vec::new();
    for _ in 0..rng.usize(1..=3) {
        let mut request = rng.choice(SOUND).unwrap().as_bytes().to_vec();
        for _ in 0..rng.usize(0..=3) {
            mutate(&mut request, rng);
        }
        noise.extend_from_slice(&request);
    }
    noise
}

fn mutate(request: &mut Vec<u8>, rng: &mut Rng) {
    if request.is_empty() {
        return;
    }
    let at = rng.usize(..request.len());
    let until = (at + rng.usize(1..=16)).min(request.len());
    match rng.u8(..7) {
        0 => request[at] ^= 1 << rng.u8(..8),
        1 => request[at] = rng.u8(..),
        2 => drop(request.drain(at..until)),
        3 => {
            let twice = request[at..until].to_vec();
            request.splice(at..at, twice);
        }
        4 | 5 => {
            let piece = rng.choice(PIECES).unwrap();
            request.splice(at..at, piece.iter().copied());
        }
        _ => mutate_lines(request, rng),
    }
}

/// Drops, doubles or swaps whole lines.
fn mutate_lines(request: &mut Vec<u8>, rng: &mut Rng) {
    let text = std::mem::take(request);
    let mut lines: Vec<&[u8]> = text.split_inclusive(|octet| *octet == b'\n').collect();
    let (one, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u8(..3) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one]),
        _ => lines.swap(one, other),
    }
    *request = lines.concat();
}
