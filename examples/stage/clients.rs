//! Clients that ask for `/`, each on a connection of its own that is kept, and tally what they are told.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answers by the version that gave them.
    pub(crate) versions: BTreeMap<String, u64>,
    /// Requests without a 200, and those whose connection broke.
    pub(crate) failed: u64,
}

impl Tally {
    /// Answers of this version.
    pub(crate) fn of(&self, version: &str) -> u64 {
        self.versions.get(version).copied().unwrap_or(0)
    }

    fn add(&mut self, other: Self) {
        self.failed += other.failed;
        for (version, count) in other.versions {
            *self.versions.entry(version).or_default() += count;
        }
    }
}

/// Sends so many requests over so many connections, and waits for their answers.
pub(crate) fn ask(proxy: SocketAddr, requests: u64, clients: usize) -> io::Result<Tally> {
    let sent = Arc::new(AtomicU64::new(0));
    let more = move || sent.fetch_add(1, Ordering::Relaxed) < requests;
    Clients::start(proxy, clients, more).join()
}

/// Clients at work.
pub(crate) struct Clients(Vec<JoinHandle<Tally>>);

impl Clients {
    pub(crate) fn start<F>(proxy: SocketAddr, clients: usize, more: F) -> Self
    where
        F: Fn() -> bool + Clone + Send + 'static,
    {
        let start = |_| {
            let more = more.clone();
            thread::spawn(move || one_client(proxy, &more))
        };
        Self((0..clients).map(start).collect())
    }

    pub(crate) fn join(self) -> io::Result<Tally> {
        let mut all = Tally::default();
        for client in self.0 {
            let tally = client.join();
            all.add(tally.map_err(|_| io::Error::other("a client panicked"))?);
        }
        Ok(all)
    }
}

fn one_client(proxy: SocketAddr, more: &dyn Fn() -> bool) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while more() {
        match one_request(proxy, &mut kept) {
            Ok(version) => *tally.versions.entry(version).or_default() += 1,
            Err(_) => {
                tally.failed += 1;
                kept = None;
            }
        }
    }
    tally
}

/// The body of the answer, which is a version; an error for all but a 200.
fn one_request(proxy: SocketAddr, kept: &mut Option<BufReader<TcpStream>>) -> io::Result<String> {
    let stream = match kept {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(proxy)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            kept.insert(BufReader::new(stream))
        }
    };
    let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    stream.get_mut().write_all(request)?;
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if first.starts_with("HTTP/1.1 200 ") {
        String::from_utf8(body).map_err(io::Error::other)
    } else {
        Err(io::Error::other(first))
    }
}
