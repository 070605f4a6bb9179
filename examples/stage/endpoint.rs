//! An endpoint to release: a plain HTTP server on a loopback port that says its version and counts what it answers.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A connection on which nothing comes for longer has been forgotten by its client.
const PATIENCE: Duration = Duration::from_secs(30);

/// One replica of a service.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<Vec<JoinHandle<io::Result<()>>>>,
}

struct Shared {
    version: &'static str,
    answered: AtomicU64,
    closing: AtomicBool,
}

impl Endpoint {
    /// Starts one that answers each request with its version, and `GET /ready` with 200.
    pub(crate) fn start(version: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            version,
            answered: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let accepted = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &accepted));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// How many requests it has answered, probes not counted.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Takes no more connections, and ends when the last one is closed from the other side: it cuts nothing, so a proxy
    /// that has not let go of it would hold it up.
    pub(crate) fn stop(self) -> io::Result<u64> {
        self.shared.closing.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address)?);
        let connections = self.accepting.join().map_err(|_| panicked())?;
        for connection in connections {
            let ended = connection.join().map_err(|_| panicked())?;
            // One that breaks is the affair of its client, which counts it.
            if ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Err(io::Error::other("a connection was never closed"));
            }
        }
        Ok(self.shared.answered.load(Ordering::Relaxed))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> Vec<JoinHandle<io::Result<()>>> {
    let mut connections = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        if shared.closing.load(Ordering::Acquire) {
            break;
        }
        let shared = Arc::clone(shared);
        connections.push(thread::spawn(move || serve(&stream, &shared)));
    }
    connections
}

/// Answers requests without bodies, one after the other.
fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if lines.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while lines.read_line(&mut line)? > 2 {
            line.clear();
        }
        if !first.starts_with("GET /ready ") {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        let version = shared.version;
        let length = version.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{version}");
        stream.write_all(answer.as_bytes())?;
    }
}

fn panicked() -> io::Error {
    io::Error::other("a thread of an endpoint panicked")
}
