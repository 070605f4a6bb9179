//! A whole request over real sockets in one process: client, proxy with one worker, endpoint, each on a thread of its own.
//!
//! What is seen is a round trip with all its wake-ups; it is good for comparing one build with another, not for
//! comparing proxies (`benches/compare` does that). Run with `cargo bench --bench request`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tower::layer::util::Identity;

const REQUEST: &[u8] =
    b"GET /a/page?x=1 HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello, world\n";

fn main() {
    divan::main();
}

/// Straight to the endpoint, which is what the others add to.
#[divan::bench]
fn without_a_proxy(bencher: divan::Bencher<'_, '_>) {
    let mut client = connect(endpoint());
    bencher.bench_local(|| round_trip(&mut client));
}

#[divan::bench(args = ["off", "file"])]
fn through_fiel(bencher: divan::Bencher<'_, '_>, log: &str) {
    let fiel = Fiel::start(log);
    let mut client = connect(fiel.address);
    bencher.bench_local(|| round_trip(&mut client));
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("it listens");
    client.set_nodelay(true).expect("a socket of ours");
    client
}

fn round_trip(client: &mut TcpStream) {
    let mut answer = [0; 1024];
    client.write_all(REQUEST).expect("the connection is kept");
    let octets = client.read(&mut answer).expect("an answer comes");
    assert!(
        answer[..octets].starts_with(b"HTTP/1.1 200"),
        "a wrong answer"
    );
}

/// An endpoint that answers each request with the same octets.
fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    let mut request = [0; 4096];
    // A request of this bench arrives in one piece; the end of the connection ends the thread.
    while stream.read(&mut request).is_ok_and(|octets| octets > 0) {
        if stream.write_all(ANSWER).is_err() {
            return;
        }
    }
}

/// The proxy, until the value is dropped.
struct Fiel {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    _folder: TempDir,
}

impl Fiel {
    fn start(log: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a moment");
        let output = match log {
            "file" => format!(
                "{{ file: \"{}\" }}",
                folder.path().join("access.log").display()
            ),
            other => format!("\"{other}\""),
        };
        let file = folder.path().join("fiel.yaml");
        let yaml = format!(
            "workers: 1\nadmin: {{ bind: 127.0.0.1:0 }}\naccessLog: {{ output: {output} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\nroutes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ \"{}\" ] }} }}\n",
            endpoint()
        );
        fs::write(&file, yaml).expect("the folder is ours");
        let (ready, address) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let tell = |running: &fiel::run::Running| {
                ready
                    .send(running.listeners[0].1.tcp().expect("it is an address"))
                    .expect("the bench waits for it");
            };
            let until = async move { drop(ended.await) };
            fiel::run::run_until(&file, Identity::new(), tell, until).expect("it comes up");
        });
        Self {
            address: address.recv().expect("it comes up"),
            end: Some(end),
            thread: Some(thread),
            _folder: folder,
        }
    }
}

impl Drop for Fiel {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends in order");
        }
    }
}
