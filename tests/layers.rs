//! Layers of one's own around the proxy, the bad ones above all: what panics, fails or waits in them stays with its
//! request, is counted and is booked. Everything runs in this process, through `fiel::run::run_until`.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

#[path = "layers/trouble.rs"]
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fiel::Proxy;
use fiel::ResponseBody;
use fiel::body::RequestBody;
use fiel::run::{RunError, Running, run_until};
use http::{Request, Response};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tower::util::MapResponseLayer;
use tower::{Layer, Service};

use self::trouble::{AnyError, Trouble};

/// Far more than anything here takes.
const NET: Duration = Duration::from_secs(30);

#[test]
fn a_layer_that_panics_is_answered_500_counted_and_booked() {
    for path in ["/call", "/poll", "/held", "/answered"] {
        let house = House::start(Trouble);

        let answer = Client::connect(house.web()).get(path);

        assert_eq!(answer.status, 500, "{path}: {answer:?}");
        let proxy_status = "proxy-status: fiel; error=proxy_internal_error";
        assert!(answer.head.contains(proxy_status), "{path}: {answer:?}");
        assert!(answer.body.starts_with("500 "), "{path}: {answer:?}");
        assert_eq!(house.metric("fiel_panics_total"), 1.0, "{path}");
        let line = house.end().remove(0);
        assert_eq!(line["status"], 500, "{path}: {line}");
        assert_eq!(line["reason"], "panicked", "{path}: {line}");
    }
}

#[test]
fn long_lived_connections_are_spread_evenly_over_workers() {
    for workers in [2, 4] {
        let tell_thread = MapResponseLayer::new(|mut answer: Response<ResponseBody>| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            answer
                .headers_mut()
                .insert("x-thread", name.parse().unwrap());
            answer
        });
        let house = House::of_workers(workers, tell_thread);
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(house.web())).collect();
        let mut connections: BTreeMap<String, usize> = BTreeMap::new();

        for client in &mut clients {
            let head = client.get("/").head;
            let thread = head.lines().find(|line| line.starts_with("x-thread: "));
            *connections.entry(thread.unwrap().to_owned()).or_default() += 1;
        }

        let counts: Vec<usize> = connections.into_values().collect();
        assert_eq!(counts, vec![8 / workers; workers]);
        house.end();
    }
}

#[test]
fn a_response_body_that_panics_breaks_the_connection_off() {
    let house = House::start(Trouble);
    let mut client = Client::connect(house.web());

    client.send("/body");
    let head = client.head();
    let rest = client.rest();

    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(rest, "hello ", "what came before is there, the rest is not");
    assert_eq!(house.metric("fiel_panics_total"), 1.0);
    let line = house.end().remove(0);
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&200.into(), &"panicked".into()),
        "{line}"
    );
}

#[test]
fn a_layer_that_fails_is_answered_500_and_its_connection_closes() {
    for path in ["/error", "/late-error", "/given-up"] {
        let house = House::start(Trouble);
        let mut client = Client::connect(house.web());

        let answer = client.get(path);

        assert_eq!(answer.status, 500, "{path}: {answer:?}");
        assert_eq!(client.rest(), "", "{path}");
        assert_eq!(house.metric("fiel_panics_total"), 0.0, "{path}");
        let line = house.end().remove(0);
        let booked = (&line["status"], &line["reason"]);
        assert_eq!(booked.0, 500, "{path}: {line}");
        assert_eq!(booked.1, "layer_failed", "{path}: {line}");
    }
}

#[test]
fn a_worker_serves_its_other_connections_whatever_panics_beside_them() {
    let house = House::start(Trouble);
    let mut beside = Client::connect(house.web());
    assert_eq!(beside.get("/").body, "hello world");

    for round in 0..8 {
        for path in ["/call", "/poll", "/held", "/answered"] {
            assert_eq!(Client::connect(house.web()).get(path).status, 500);
        }
        let mut broken = Client::connect(house.web());
        broken.send("/body");
        broken.rest();
        assert_eq!(beside.get("/").body, "hello world", "round {round}");
    }

    assert_eq!(house.metric("fiel_panics_total"), 40.0);
    assert_eq!(
        house.metric("fiel_pool_endpoints{pool=\"app\",state=\"ready\"}"),
        1.0
    );
    drop(beside);
    assert_eq!(house.end().len(), 49);
}

#[test]
fn a_layer_that_panics_when_it_is_put_around_a_connection_costs_that_connection_only() {
    let house = House::start(tower::layer::layer_fn(refuse_the_first()));

    let refused = Client::connect(house.web()).rest();
    let served = Client::connect(house.web()).get("/");

    assert_eq!((refused.as_str(), served.status), ("", 200));
    assert_eq!(house.metric("fiel_panics_total"), 1.0);
    house.end();
}

#[test]
fn a_call_of_grpc_that_panics_is_told_so_in_grpc() {
    let house = House::start(Trouble);
    let mut client = Client::connect(house.web());
    let call =
        "GET /answered HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/grpc\r\n\r\n";
    client.stream.write_all(call.as_bytes()).unwrap();

    let answer = client.answer();

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("grpc-status: 13\r\n"), "{answer:?}");
    let line = house.end().remove(0);
    assert_eq!(line["status"], 500, "{line}");
    assert_eq!(line["grpc_status"], 13, "{line}");
}

/// Puts nothing around a proxy, and panics the first time.
fn refuse_the_first() -> impl Fn(Proxy) -> Proxy + Clone + Send {
    let first = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    move |proxy| {
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        assert!(!is_first, "not the first one");
        proxy
    }
}

#[test]
fn a_layer_may_take_its_time_before_the_proxy_and_instead_of_it() {
    let house = House::start(Trouble);
    let mut client = Client::connect(house.web());
    // Longer than a connection without a request is kept awake.
    for path in [
        "/wait",
        "/own",
        "/wait",
        "/replaced",
        "/wait-behind",
        "/instead",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.body, "hello world", "{path}: {answer:?}");
    }
    drop(client);
    let lines = house.end();
    // What a layer answers by itself never comes to the proxy.
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines.iter().all(|line| line["status"] == 200), "{lines:?}");
}

#[test]
fn layers_that_are_not_always_ready_are_waited_for() {
    let house = House::start(
        tower::ServiceBuilder::new()
            .layer(Trouble)
            .layer(tower::limit::GlobalConcurrencyLimitLayer::new(1)),
    );
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = house.web();
            thread::spawn(move || Client::connect(address).get("/"))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap().status, 200);
    }
    let limited = House::start(tower::limit::GlobalConcurrencyLimitLayer::new(1));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = limited.web();
            thread::spawn(move || Client::connect(address).get("/slow"))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap().status, 200);
    }
    assert_eq!(
        house.metric("fiel_panics_total") + limited.metric("fiel_panics_total"),
        0.0
    );
    house.end();
    limited.end();
}

#[test]
fn a_proxy_ends_when_its_program_wants_and_drains_first() {
    let mut house = House::start(Trouble);
    let mut client = Client::connect(house.web());
    assert_eq!(client.get("/").status, 200);
    client.send("/slow");
    house.wait_for("fiel_requests_in_flight{pool=\"app\"}", 1.0);

    house.until.take().unwrap().send(()).unwrap();
    let answer = client.answer();

    assert_eq!(answer.body, "hello world", "{answer:?}");
    assert_eq!(client.rest(), "", "the connection ends behind it");
    assert_eq!(house.end().len(), 2);
    assert!(
        TcpStream::connect(client.peer).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn over_http_2_trouble_stays_with_its_stream() {
    let house = House::start(Trouble);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(house.web()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
        let connection = tokio::spawn(connection);
        let paths = [
            ("/", 200),
            ("/call", 500),
            ("/poll", 500),
            ("/held", 500),
            ("/error", 500),
            ("/body", 200),
            ("/wait", 200),
            ("/", 200),
        ];
        for (path, status) in paths {
            client = client.ready().await.unwrap();
            let uri = format!("http://test{path}");
            let request = Request::get(uri).body(()).unwrap();
            let (answer, _) = client.send_request(request, true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            let mut body = answer.into_body();
            let mut broken = None;
            while let Some(piece) = body.data().await {
                if let Err(error) = piece {
                    broken = error.reason();
                    break;
                }
            }
            let expected = (path == "/body").then_some(h2::Reason::INTERNAL_ERROR);
            assert_eq!(broken, expected, "{path}");
        }
        drop(client);
        connection.abort();
    });
    assert_eq!(house.metric("fiel_panics_total"), 4.0);
    assert_eq!(house.end().len(), 8);
}

/// A proxy on a thread of this process, in front of one endpoint.
struct House {
    running: Running,
    until: Option<oneshot::Sender<()>>,
    thread: JoinHandle<Result<(), RunError>>,
    folder: TempDir,
}

impl House {
    fn start<L, B>(layer: L) -> Self
    where
        L: Layer<Proxy> + Clone + Send + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error: Into<AnyError>,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<AnyError>,
    {
        Self::of_workers(1, layer)
    }

    fn of_workers<L, B>(workers: usize, layer: L) -> Self
    where
        L: Layer<Proxy> + Clone + Send + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error: Into<AnyError>,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<AnyError>,
    {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fiel.yaml");
        let yaml = format!(
            "workers: {workers}
admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: {{ file: {:?} }} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [\"{}\"] }} }}
",
            folder.path().join("access.log"),
            endpoint()
        );
        fs::write(&file, yaml).unwrap();
        let (ready, running) = mpsc::sync_channel(1);
        let (until, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let ready = |running: &Running| ready.send(running.clone()).unwrap();
            run_until(&file, layer, ready, async {
                // A test that fails drops the sender, which ends the proxy as well.
                ended.await.ok();
            })
        });
        Self {
            running: running.recv_timeout(NET).unwrap(),
            until: Some(until),
            thread,
            folder,
        }
    }

    fn web(&self) -> SocketAddr {
        self.running.listeners[0].1.tcp().expect("it is an address")
    }

    /// The sample that begins so.
    fn metric(&self, name: &str) -> f64 {
        let admin = self.running.admin.tcp().expect("it is an address");
        let page = Client::connect(admin).get("/metrics").body;
        let sample = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.map_or(0.0, |value| value.parse().unwrap())
    }

    fn wait_for(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < NET, "{name} is never {value}");
            thread::yield_now();
        }
    }

    /// Drains and ends; the lines of the access log.
    fn end(self) -> Vec<serde_json::Value> {
        drop(self.until);
        self.thread.join().unwrap().unwrap();
        let log: PathBuf = self.folder.path().join("access.log");
        let lines = fs::read_to_string(log).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// An endpoint that answers `hello world`; `/slow` has it wait before, `/body` in the midst.
fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while let Some(head) = read_head(&mut stream) {
                    if head.starts_with("GET /slow ") {
                        thread::park_timeout(Duration::from_millis(200));
                    }
                    let begin = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello ";
                    stream.write_all(begin.as_bytes()).unwrap();
                    if head.starts_with("GET /body ") {
                        thread::park_timeout(Duration::from_millis(200));
                    }
                    // A proxy that has ended the exchange does not want the rest.
                    if stream.write_all(b"world").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// One connection.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(peer: SocketAddr) -> Self {
        let stream = TcpStream::connect(peer).unwrap();
        stream.set_read_timeout(Some(NET)).unwrap();
        Self { stream, peer }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send(path);
        self.answer()
    }

    fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    fn head(&mut self) -> String {
        read_head(&mut self.stream).expect("an answer")
    }

    fn answer(&mut self) -> Answer {
        let head = self.head();
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
        self.stream.read_exact(&mut body).unwrap();
        Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// What comes until the connection ends, one way or another.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let mut piece = [0; 256];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => rest.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the connection did not end: {error}"),
            }
        }
        String::from_utf8(rest).unwrap()
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    Some(String::from_utf8(head).unwrap())
}
