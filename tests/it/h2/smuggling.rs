//! Requests that would be others over HTTP/1.1: none of them comes to an endpoint.

use crate::support::endpoint::Progress;
use crate::support::frames::{
    Came, DATA, END_STREAM, PROTOCOL_ERROR, Raw, STREAM_CLOSED, block, get,
};
use crate::support::terms::before;
use crate::support::{Endpoint, Scrape};

use super::app;

/// What comes of a request that is not served.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// Its stream is reset as malformed (RFC 9113 §8.1.1).
    Reset,
    /// It is answered with this status.
    Status(u16),
}

use Refused::{Reset, Status};

type Field = (&'static [u8], &'static [u8]);

const METHOD: Field = (b":method", b"GET");
const SCHEME: Field = (b":scheme", b"http");
const AUTHORITY: Field = (b":authority", b"test");
const PATH: Field = (b":path", b"/");

/// A usual request with one more field.
fn with(name: &'static [u8], value: &'static [u8]) -> Vec<Field> {
    vec![METHOD, SCHEME, AUTHORITY, PATH, (name, value)]
}

/// One with another pseudo-field.
fn instead(name: &'static [u8], value: &'static [u8]) -> Vec<Field> {
    let usual = [METHOD, SCHEME, AUTHORITY, PATH];
    let other = |field: Field| {
        if field.0 == name {
            (name, value)
        } else {
            field
        }
    };
    usual.map(other).to_vec()
}

fn without(name: &'static [u8]) -> Vec<Field> {
    let usual = [METHOD, SCHEME, AUTHORITY, PATH];
    usual.into_iter().filter(|field| field.0 != name).collect()
}

/// These fields and one more behind them.
fn and(mut fields: Vec<Field>, name: &'static [u8], value: &'static [u8]) -> Vec<Field> {
    fields.push((name, value));
    fields
}

/// An extended CONNECT (RFC 8441) to this protocol.
fn tunnel(protocol: &'static [u8]) -> Vec<Field> {
    and(instead(b":method", b"CONNECT"), b":protocol", protocol)
}

/// What is sent, and how it is refused. Each is a request without a body.
fn cases() -> Vec<(&'static str, Vec<Field>, Refused)> {
    vec![
        (
            "a line break in a value",
            with(b"x", b"1\r\nHost: other"),
            Reset,
        ),
        ("a bare CR in a value", with(b"x", b"1\r2"), Reset),
        ("a bare LF in a value", with(b"x", b"1\n2"), Reset),
        ("a NUL in a value", with(b"x", b"1\x002"), Reset),
        ("a line break in a name", with(b"x\r\ny", b"1"), Reset),
        ("a colon in a name", with(b"x: y", b"1"), Reset),
        ("a space in a name", with(b"x y", b"1"), Reset),
        ("a name in upper case", with(b"X-Y", b"1"), Reset),
        ("an empty name", with(b"", b"1"), Reset),
        ("a space before a value", with(b"x", b" 1"), Reset),
        ("a tab behind a value", with(b"x", b"1\t"), Reset),
        (
            "a transfer coding",
            with(b"transfer-encoding", b"chunked"),
            Reset,
        ),
        (
            "a transfer coding that is none",
            with(b"transfer-encoding", b"identity"),
            Reset,
        ),
        (
            "a field of connections",
            with(b"connection", b"close"),
            Reset,
        ),
        (
            "a field of connections that names others",
            with(b"connection", b"host"),
            Reset,
        ),
        ("keep-alive", with(b"keep-alive", b"timeout=5"), Reset),
        (
            "proxy-connection",
            with(b"proxy-connection", b"close"),
            Reset,
        ),
        ("an upgrade", with(b"upgrade", b"websocket"), Reset),
        ("codings that would be taken", with(b"te", b"gzip"), Reset),
        (
            "trailers and more that would be taken",
            with(b"te", b"trailers, deflate"),
            Reset,
        ),
        (
            "a length with a sign",
            with(b"content-length", b"+0"),
            Reset,
        ),
        (
            "a length that is none",
            with(b"content-length", b"0x0"),
            Reset,
        ),
        ("an empty length", with(b"content-length", b""), Status(400)),
        ("a list of lengths", with(b"content-length", b"0, 0"), Reset),
        (
            "a length of what does not come",
            with(b"content-length", b"5"),
            Reset,
        ),
        (
            "a length beyond all numbers",
            with(b"content-length", b"99999999999999999999999"),
            Reset,
        ),
        (
            "two lengths",
            and(with(b"content-length", b"0"), b"content-length", b"1"),
            Reset,
        ),
        (
            "the same length twice",
            and(with(b"content-length", b"0"), b"content-length", b"0"),
            Status(400),
        ),
        ("another host", with(b"host", b"other"), Reset),
        (
            "two hosts",
            and(with(b"host", b"test"), b"host", b"test"),
            Reset,
        ),
        ("no authority and no host", without(b":authority"), Reset),
        ("an empty authority", instead(b":authority", b""), Reset),
        (
            "an authority with a user",
            instead(b":authority", b"user@test"),
            Status(400),
        ),
        (
            "an authority with a space",
            instead(b":authority", b"te st"),
            Reset,
        ),
        (
            "an authority with a path",
            instead(b":authority", b"test/x"),
            Reset,
        ),
        (
            "an authority with a line break",
            instead(b":authority", b"test\r\nx: y"),
            Reset,
        ),
        (
            "an authority with a port that is none",
            instead(b":authority", b"test:x"),
            Status(400),
        ),
        (
            "a path with a space",
            instead(b":path", b"/ HTTP/1.1\r\nHost: other"),
            Reset,
        ),
        (
            "a path with a line break",
            instead(b":path", b"/\r\nx: y"),
            Reset,
        ),
        ("a path with a NUL", instead(b":path", b"/\x00"), Reset),
        (
            "a path that begins otherwise",
            instead(b":path", b"x"),
            Reset,
        ),
        ("an empty path", instead(b":path", b""), Reset),
        (
            "a path that is an URI",
            instead(b":path", b"http://other/"),
            Reset,
        ),
        (
            "an asterisk that is not for OPTIONS",
            instead(b":path", b"*"),
            Status(400),
        ),
        ("no path", without(b":path"), Reset),
        (
            "a method with a space",
            instead(b":method", b"GET / HTTP/1.1"),
            Reset,
        ),
        (
            "a method with a line break",
            instead(b":method", b"GET\r\nx"),
            Reset,
        ),
        ("an empty method", instead(b":method", b""), Reset),
        ("no method", without(b":method"), Reset),
        (
            "a method for tunnels, as a request",
            instead(b":method", b"CONNECT"),
            Reset,
        ),
        (
            "a method for tunnels",
            vec![(b":method", b"CONNECT"), (b":authority", b"test:443")],
            Status(501),
        ),
        (
            "a method for tunnels to another protocol",
            tunnel(b"connect-udp"),
            Status(501),
        ),
        (
            "a protocol that would be an upgrade with more behind it",
            tunnel(b"websocket\r\nx: y"),
            Status(501),
        ),
        (
            "a protocol for a method that is for none",
            with(b":protocol", b"websocket"),
            Reset,
        ),
        (
            "a tunnel with a length",
            and(tunnel(b"websocket"), b"content-length", b"0"),
            Reset,
        ),
        (
            "a tunnel whose fields are of a connection",
            and(tunnel(b"websocket"), b"upgrade", b"websocket"),
            Reset,
        ),
        (
            "a tunnel for another host",
            and(tunnel(b"websocket"), b"host", b"other"),
            Reset,
        ),
        (
            "a method that shows what proxies add",
            instead(b":method", b"TRACE"),
            Status(501),
        ),
        ("no scheme", without(b":scheme"), Reset),
        (
            "a scheme that is none",
            instead(b":scheme", b"ht tp"),
            Reset,
        ),
        ("another scheme", instead(b":scheme", b"ftp"), Reset),
        (
            "a scheme with a target",
            instead(b":scheme", b"http://other/?"),
            Reset,
        ),
        ("a pseudo-field twice", with(b":path", b"/other"), Reset),
        ("a pseudo-field of answers", with(b":status", b"200"), Reset),
        ("a pseudo-field that is none", with(b":x", b"1"), Reset),
        (
            "a pseudo-field behind others",
            vec![METHOD, SCHEME, AUTHORITY, (b"x", b"1"), PATH],
            Reset,
        ),
    ]
}

#[test]
fn no_request_that_breaks_the_rules_comes_to_an_endpoint() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut wrong = Vec::new();
    for (what, fields, refused) in cases() {
        let mut raw = Raw::connect(fiel.address("web"));
        raw.request(1, &block(&fields));
        let came = raw.outcome(1);
        let is_so = match (&came, refused) {
            (Came::Reset(code), Reset) => *code == PROTOCOL_ERROR,
            // A block that is no block ends the connection.
            (Came::Away(PROTOCOL_ERROR), Reset) => true,
            (Came::Answer(status, _), Status(expected)) => *status == expected,
            _ => false,
        };
        if !is_so {
            wrong.push(format!("{what}: {came:?}, not {refused:?}"));
        }
        assert_eq!(endpoint.requests().len(), 0, "{what} came through");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
}

#[test]
fn what_is_malformed_for_the_proxy_alone_is_booked() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &block(&with(b"host", b"other")));
    assert_eq!(raw.outcome(1), Came::Reset(PROTOCOL_ERROR));
    // The connection goes on.
    raw.request(3, &get("/", &[]));
    assert_eq!(raw.outcome(3), app());
    let line = &fiel.wait_for_access_log(2)[0];
    assert_eq!(line["protocol"], "HTTP/2.0");
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&400.into(), &"malformed_request".into())
    );
    let series = "fiel_local_replies_total{route=\"none\",pool=\"none\",code=\"400\",reason=\"malformed_request\"}";
    Scrape::wait_for(&fiel, &[(series, 1.0)]);
}

#[test]
fn a_body_of_another_length_never_ends_at_the_endpoint() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let bodies: [(&[u8], &[u8]); 2] = [(b"10", b"short"), (b"2", b"far too long")];
    for (number, (length, body)) in bodies.into_iter().enumerate() {
        let mut raw = Raw::connect(fiel.address("web"));
        let fields = [
            (&b":method"[..], &b"POST"[..]),
            SCHEME,
            AUTHORITY,
            PATH,
            (b"content-length", length),
        ];
        raw.begin(1, &block(&fields));
        endpoint.wait_for_requests(number + 1);
        raw.send(DATA, END_STREAM, 1, body);
        let came = raw.outcome(1);
        let is_refused = matches!(
            came,
            Came::Reset(PROTOCOL_ERROR | STREAM_CLOSED) | Came::Answer(400, _)
        );
        assert!(is_refused, "{came:?}");
        endpoint.wait_for_end(number);
    }
    let received = endpoint.requests();
    assert!(received.iter().all(|one| one.progress != Progress::Whole));
}

#[test]
fn what_stands_behind_a_fragment_is_not_passed_on() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &block(&instead(b":path", b"/a#/b")));
    match raw.outcome(1) {
        Came::Answer(200, _) => {
            assert_eq!(
                endpoint.wait_for_whole_requests(1)[0].line(),
                "GET /a HTTP/1.1"
            );
        }
        came => assert_eq!(came, Came::Reset(PROTOCOL_ERROR)),
    }
}
