//! Requests and answers as they pass, each way.

use crate::support::endpoint::Progress;
use crate::support::frames::{
    ACK, CANCEL, Came, DATA, END_STREAM, HEADERS, INTERNAL_ERROR, NO_ERROR, PING, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, ask, block, get,
};
use crate::support::terms::{before, timed};
use crate::support::{Behaviour, Endpoint, Scrape, Step};

use super::app;

#[test]
fn a_request_goes_on_as_one_of_http_1() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example:8080"),
        (":path", "/a/../b?x=1"),
        ("cookie", "a=b"),
        ("te", "trailers"),
        ("cookie", "c=d"),
        ("x-y", "z"),
    ];

    raw.request(1, &block(&fields));
    assert_eq!(raw.outcome(1), app());

    let received = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(received.line(), "GET /b?x=1 HTTP/1.1");
    let field = |name| received.header(name).unwrap_or_default();
    assert_eq!(field("host"), "shop.example:8080");
    assert_eq!(field("cookie"), "a=b; c=d");
    assert_eq!(field("via"), "2.0 fiel");
    assert_eq!(field("x-forwarded-proto"), "http");
    assert_eq!(field("te"), "trailers");
    assert_eq!(field("x-y"), "z");
    assert!(!received.head.contains("\r\n:"), "{}", received.head);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["protocol"], "HTTP/2.0");
    assert_eq!(line["status"], 200);
}

#[test]
fn a_body_without_a_length_is_kept_whatever_the_method() {
    let endpoint = Endpoint::behaving("app", Behaviour::echo());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    for (stream, method) in [(1, "GET"), (3, "DELETE"), (5, "POST")] {
        raw.begin(stream, &ask(method, "/", &[]));
        raw.send(DATA, 0, stream, b"one ");
        raw.send(DATA, END_STREAM, stream, b"two");
        assert_eq!(
            raw.outcome(stream),
            Came::Answer(200, b"one two".to_vec()),
            "{method}"
        );
    }
    for received in endpoint.wait_for_whole_requests(3) {
        assert_eq!(
            received.header("transfer-encoding").as_deref(),
            Some("chunked")
        );
    }
}

#[test]
fn a_body_with_a_length_keeps_it() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[("content-length", "5")]));
    raw.send(DATA, END_STREAM, 1, b"hello");
    assert_eq!(raw.outcome(1), app());
    let received = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(received.header("content-length").as_deref(), Some("5"));
    assert_eq!(received.body, b"hello");
}

#[test]
fn trailers_pass_both_ways() {
    let endpoint = Endpoint::behaving("app", Behaviour::echo());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(
        1,
        &ask("POST", "/", &[("te", "trailers"), ("trailer", "x-sum")]),
    );
    raw.send(DATA, 0, 1, b"body");
    raw.send(HEADERS, 4 | END_STREAM, 1, &block(&[("x-sum", "42")]));
    let received = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(received.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let end = raw
        .frame_of(|frame| frame.stream == 1 && frame.flags & END_STREAM != 0)
        .unwrap();
    assert!(matches!(end.kind, HEADERS | DATA), "{end:?}");
}

#[test]
fn streams_go_on_beside_each_other() {
    let endpoint = Endpoint::start("app");
    endpoint.behave_at("/slow", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/slow", &[]));
    endpoint.wait_for_requests(1);
    raw.request(3, &get("/fast", &[]));
    assert_eq!(raw.outcome(3), app());
    endpoint.release_all();
    assert_eq!(raw.outcome(1), app());
}

#[test]
fn interim_responses_come_before_the_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour(vec![
            Step::ReadBody,
            Step::Write(hints.into()),
            Step::AwaitRelease,
            Step::WriteName,
        ]),
    );
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    let interim = raw.frame_of(|frame| frame.kind == HEADERS).unwrap();
    assert_eq!(interim.flags & END_STREAM, 0);
    endpoint.release_all();
    assert_eq!(raw.outcome(1), app());
}

#[test]
fn a_body_that_is_held_back_comes_when_the_endpoint_asks_for_it() {
    let endpoint = Endpoint::behaving("app", Behaviour::continue_then_echo());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(
        1,
        &ask(
            "POST",
            "/",
            &[("expect", "100-continue"), ("content-length", "2")],
        ),
    );
    let go_on = raw.frame_of(|frame| frame.kind == HEADERS).unwrap();
    assert_eq!(go_on.flags & END_STREAM, 0);
    raw.send(DATA, END_STREAM, 1, b"ok");
    assert_eq!(raw.outcome(1), Came::Answer(200, b"ok".to_vec()));
}

#[test]
fn an_answer_before_the_body_is_over_ends_its_stream_without_an_error() {
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour::early("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"),
    );
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[("content-length", "100000")]));
    raw.send(DATA, 0, 1, b"begin");
    assert_eq!(raw.outcome(1), Came::Answer(200, b"yes".to_vec()));
    let reset = raw.frame_of(|frame| frame.kind == RST_STREAM).unwrap();
    assert_eq!((reset.stream, reset.code()), (1, NO_ERROR));
}

#[test]
fn a_body_that_breaks_off_never_ends_as_a_whole_one() {
    let endpoint = Endpoint::start("app");
    for (path, broken) in [
        (
            "/length",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        ),
        (
            "/chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
    ] {
        endpoint.behave_at(path, Behaviour::bytes_then_finish(broken));
    }
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    for (stream, path) in [(1, "/length"), (3, "/chunks")] {
        raw.request(stream, &get(path, &[]));
        assert_eq!(raw.outcome(stream), Came::Reset(INTERNAL_ERROR), "{path}");
    }
    raw.request(5, &get("/", &[]));
    assert_eq!(raw.outcome(5), app());
}

#[test]
fn a_reset_cancels_at_the_endpoint() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    endpoint.wait_for_requests(1);
    raw.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    endpoint.wait_for_end(0);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&499.into(), &"client_gone".into())
    );
}

#[test]
fn a_connection_that_ends_cancels_all_of_its_streams() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    for stream in [1, 3, 5] {
        raw.request(stream, &get("/", &[]));
    }
    endpoint.wait_for_requests(3);
    drop(raw);
    for connection in 0..3 {
        endpoint.wait_for_end(connection);
    }
    for line in fiel.wait_for_access_log(3) {
        assert_eq!(line["status"], 499);
    }
}

#[test]
fn a_body_that_is_cut_is_cut_at_the_endpoint() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[("content-length", "10")]));
    raw.send(DATA, 0, 1, b"half");
    endpoint.wait_for_requests(1);
    raw.send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    let received = endpoint.wait_for_request_list("a request cut short", |requests| {
        requests
            .first()
            .is_some_and(|request| request.progress == Progress::CutShort)
    });
    assert_eq!(received[0].body, b"half");
}

#[test]
fn failures_are_answered_as_over_http_1() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = timed("response: 200ms", &[endpoint.address()]);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    let Came::Answer(504, text) = raw.outcome(1) else {
        panic!("no 504");
    };
    assert!(text.starts_with(b"504 Gateway Timeout\nrequest id: "));
    Scrape::wait_for(
        &fiel,
        &[(
            "fiel_requests_total{route=\"shop\",pool=\"shop\",code=\"504\"}",
            1.0,
        )],
    );
}

#[test]
fn a_head_has_the_length_and_no_body() {
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour::bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    );
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &ask("HEAD", "/", &[]));
    assert_eq!(raw.outcome(1), Came::Answer(200, Vec::new()));
}

#[test]
fn a_large_body_passes_both_ways_and_a_slow_endpoint_is_felt() {
    let endpoint = Endpoint::behaving("app", Behaviour::echo());
    let fiel = before(&endpoint);
    // Windows of the client's own that never close.
    let mut raw = Raw::with(fiel.address("web"), &[(4, 0x7fff_ffff)]);
    raw.send(8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    raw.frame_of(|frame| frame.kind == WINDOW_UPDATE).unwrap();
    // The larger window of a stream holds from here on.
    raw.send(SETTINGS, ACK, 0, &[]);
    raw.begin(1, &ask("POST", "/", &[]));
    let piece: Vec<u8> = (0..16_384_u32).map(|at| at.to_le_bytes()[0]).collect();
    // As much as a stream takes without a word of the other side.
    for _ in 0..15 {
        raw.send(DATA, 0, 1, &piece);
    }
    raw.send(DATA, END_STREAM, 1, &piece);
    match raw.outcome(1) {
        Came::Answer(200, body) => assert!(body == piece.repeat(16)),
        came => panic!("{came:?}"),
    }
}

#[test]
fn an_endpoint_that_does_not_read_is_felt_by_the_client() {
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour(vec![Step::AwaitRelease, Step::ReadBody, Step::WriteName]),
    );
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.frame_of(|frame| frame.kind == WINDOW_UPDATE).unwrap();
    raw.send(SETTINGS, ACK, 0, &[]);
    raw.begin(1, &ask("POST", "/", &[]));
    let mut upload = Upload {
        raw,
        stream: 256 << 10,
        connection: 8 << 20,
        sent: 0,
    };
    let more = 64 << 20;
    while upload.sent < more && upload.go_on() {}
    assert!(upload.sent < more, "nobody held it back");
    assert!(
        upload.connection > 3 << 20,
        "the connection's window is for all streams"
    );
    // Another stream is not held up by it, nor is it lost.
    endpoint.behave_at("/other", Behaviour::name());
    upload.raw.request(3, &get("/other", &[]));
    assert_eq!(upload.raw.outcome(3), app());
    endpoint.release_all();
    upload.raw.send(DATA, END_STREAM, 1, b"");
    assert_eq!(upload.raw.outcome(1), app());
    let received = endpoint.wait_for_whole_requests(2);
    assert!(received.iter().any(|one| one.body.len() == upload.sent));
}

/// A body on its way, as far as windows let it.
struct Upload {
    raw: Raw,
    stream: usize,
    connection: usize,
    sent: usize,
}

impl Upload {
    /// Sends a piece; false when the windows stay closed, however often the other side has answered a PING since.
    fn go_on(&mut self) -> bool {
        let piece = self.stream.min(self.connection).min(16_384);
        if piece > 0 {
            self.raw.send(DATA, 0, 1, &vec![b'x'; piece]);
            self.stream -= piece;
            self.connection -= piece;
            self.sent += piece;
            return true;
        }
        for _ in 0..50 {
            self.raw.send(PING, 0, 0, &[0; 8]);
            while let Some(frame) = self.raw.frame() {
                match (frame.kind, frame.stream) {
                    (WINDOW_UPDATE, 0) => self.connection += increment(&frame.payload),
                    (WINDOW_UPDATE, _) => self.stream += increment(&frame.payload),
                    (PING, _) => break,
                    _ => {}
                }
            }
            if self.stream > 0 {
                return true;
            }
        }
        false
    }
}

fn increment(payload: &[u8]) -> usize {
    u32::from_be_bytes(payload.try_into().unwrap()) as usize
}
