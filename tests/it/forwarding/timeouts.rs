//! The timeouts of a route. Limits are short and endpoints are silent until they are left, so that only an event ends
//! a wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::endpoint::Progress;
use crate::support::terms::{Terms, timed};
use crate::support::{Behaviour, Client, Endpoint, Fiel, client};

/// An address that neither takes connections nor refuses them: its queue is full.
struct Deaf {
    socket: Socket,
    _queue: Vec<Socket>,
}

impl Deaf {
    fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        // A queue of length 0 holds one connection; what comes beyond it is not answered.
        let queue = (0..4)
            .map(|_| {
                let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                client.connect(&address).ok();
                client
            })
            .collect();
        Self {
            socket,
            _queue: queue,
        }
    }

    fn address(&self) -> SocketAddr {
        let address = self.socket.local_addr().unwrap();
        address.as_socket().expect("it was bound to one")
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LONG_ANSWER: usize = 64 << 20;

fn half_an_answer() -> Behaviour {
    Behaviour::pieces([
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "never",
    ])
}

fn long_answer() -> Behaviour {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG_ANSWER}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + LONG_ANSWER, b'x');
    Behaviour::bytes(answer)
}

#[track_caller]
fn assert_too_late(fiel: &Fiel, reason: &str, attempts: i64) {
    let mut client = Client::connect(fiel.address("web"));
    let answer = client.get("/");
    assert_eq!(answer.status, 504);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=http_response_timeout")
    );
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], reason, "{line}");
    assert_eq!(line["attempts"], attempts, "{line}");
}

#[test]
fn an_answer_that_does_not_come_in_time_is_a_gateway_timeout() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = timed("response: 500ms", &[endpoint.address()]);

    assert_too_late(&fiel, "response_timeout", 1);
    endpoint.wait_for_end(0);
}

#[test]
fn the_time_for_the_answer_holds_while_the_body_is_sent_too() {
    let endpoint = Endpoint::start("a");
    let fiel = timed("response: 500ms", &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");

    assert_eq!(answer.status, 504);
    endpoint.wait_for_request_list("the cut", |requests| {
        let first = requests.first();
        first.is_some_and(|one| one.progress == Progress::CutShort)
    });
}

#[test]
fn a_try_that_takes_too_long_is_made_elsewhere() {
    let silent = Endpoint::behaving("silent", Behaviour::stall());
    let sound = Endpoint::start("sound");
    let fiel = timed(
        "tryTimeout: 1s, response: 0s",
        &[silent.address(), sound.address()],
    );
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "sound");
    }

    assert_eq!(silent.requests().len(), 1);
    silent.wait_for_end(0);
}

#[test]
fn tries_that_all_take_too_long_are_a_gateway_timeout() {
    let silent = Endpoint::behaving("silent", Behaviour::stall());
    let fiel = timed("tryTimeout: 100ms, response: 0s", &[silent.address()]);

    assert_too_late(&fiel, "try_timeout", 3);
}

#[test]
fn a_post_that_takes_too_long_is_not_tried_elsewhere() {
    let silent = Endpoint::behaving("silent", Behaviour::stall());
    let fiel = timed("tryTimeout: 1s", &[silent.address()]);

    let answer = client::request(
        fiel.address("web"),
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    );

    assert_eq!(answer.status, 504);
    assert_eq!(silent.requests().len(), 1);
}

#[test]
fn a_post_whose_connection_takes_too_long_is_tried_elsewhere() {
    let deaf = Deaf::start();
    let sound = Endpoint::start("sound");
    let terms = Terms {
        route: &["timeouts: { tryTimeout: 1s }"],
        pool: &["connect: { timeout: 0s }"],
        ..Terms::default()
    };
    let fiel = terms.before_all(&[deaf.address(), sound.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..2 {
        let answer =
            client.request("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(answer.text(), "sound");
    }

    for request in sound.wait_for_whole_requests(2) {
        assert_eq!(request.body, b"hello");
        assert_eq!(request.header("host").as_deref(), Some("test"));
    }
}

#[test]
fn an_answer_that_stands_still_is_cut() {
    let endpoint = Endpoint::behaving("a", half_an_answer());
    let fiel = timed("idle: 200ms", &[endpoint.address()]);

    let answer = client::get(fiel.address("web"), "/");

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.cut_short.is_some());
    endpoint.wait_for_end(0);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "response_too_slow");
    assert_eq!(
        (&line["status"], &line["bytes_out"]),
        (&200.into(), &5.into())
    );
}

#[test]
fn an_answer_that_a_client_does_not_read_is_cut() {
    let endpoint = Endpoint::behaving("a", long_answer());
    let fiel = timed("idle: 1s", &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);

    endpoint.wait_for_end(0);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["status"], 499, "{line}");
    let answer = client.response();
    assert!(answer.cut_short.is_some());
}

#[test]
fn total_ends_an_answer_that_has_not_begun() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = timed("total: 500ms, response: 0s", &[endpoint.address()]);

    assert_too_late(&fiel, "response_timeout", 1);
    endpoint.wait_for_end(0);
}

#[test]
fn total_ends_an_answer_that_stands_still() {
    let endpoint = Endpoint::behaving("a", half_an_answer());
    let fiel = timed("total: 1s", &[endpoint.address()]);

    let answer = client::get(fiel.address("web"), "/");

    assert!(answer.cut_short.is_some());
    endpoint.wait_for_end(0);
    assert_eq!(
        fiel.wait_for_access_log(1)[0]["reason"],
        "response_too_slow"
    );
}

#[test]
fn total_ends_an_answer_that_moves() {
    let pieces =
        std::iter::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned())
            .chain((0..100_000).map(|_| "1\r\nx\r\n".to_owned()));
    let endpoint = Endpoint::behaving("a", Behaviour::paced(pieces, Duration::from_millis(5)));
    let fiel = timed("total: 1s", &[endpoint.address()]);

    let answer = client::get(fiel.address("web"), "/");

    assert!(answer.cut_short.is_some());
    endpoint.wait_for_end(0);
    assert_eq!(
        fiel.wait_for_access_log(1)[0]["reason"],
        "response_too_slow"
    );
}

#[test]
fn total_ends_an_answer_that_a_client_does_not_read() {
    let endpoint = Endpoint::behaving("a", long_answer());
    let fiel = timed("total: 1s", &[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);

    endpoint.wait_for_end(0);
    fiel.wait_for_access_log(1);
}

#[test]
fn the_total_of_a_failed_request_ends_with_it() {
    let endpoint = Endpoint::behaving("a", Behaviour::bytes_then_finish("garbage\r\n\r\n"));
    let terms = Terms {
        listener: &["limits: { idleTimeout: 2s }"],
        route: &["timeouts: { total: 500ms }"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.get("/");
    let before = fiel.cpu_time();
    client.read_to_end();
    let spent = fiel.cpu_time() - before;

    assert_eq!(answer.status, 502);
    // A clock that rings without end keeps its task awake: that would be more than a second.
    assert!(spent < Duration::from_millis(500), "{spent:?}");
}
