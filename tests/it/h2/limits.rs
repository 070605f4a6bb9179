//! The limits of a listener, as a connection of HTTP/2 meets them.

use crate::support::frames::{
    CANCEL, Came, DATA, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS, RST_STREAM, Raw, SETTINGS,
    SETTINGS_TIMEOUT, WINDOW_UPDATE, ask, get,
};
use crate::support::terms::{limited, timed};
use crate::support::{Behaviour, Endpoint};

use super::{app, assert_unharmed, wait_for_aborts};

const REFUSED_STREAM: u32 = 7;

#[test]
fn what_is_too_large_has_its_status() {
    let endpoint = Endpoint::start("app");
    let limits = "maxHeaderBytes: 2KiB, maxHeaders: 10, maxUriBytes: 1KiB, maxBodyBytes: 10";
    let fiel = limited(limits, &endpoint);
    let long = "a".repeat(1100);
    let large = "a".repeat(2100);
    let many: Vec<(String, &str)> = (0..11).map(|number| (format!("x-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    let path = format!("/{long}");
    for (block, expected) in [
        (get(&path, &[]), 414),
        (get("/", &[("x", &large)]), 431),
        (get("/", &many), 431),
        (ask("POST", "/", &[("content-length", "11")]), 413),
    ] {
        let mut raw = Raw::connect(fiel.address("web"));
        raw.begin(1, &block);
        let came = raw.outcome(1);
        assert!(
            matches!(came, Came::Answer(status, _) if status == expected),
            "{expected}: {came:?}"
        );
        // The connection goes on.
        raw.request(3, &get("/", &[]));
        assert_eq!(raw.outcome(3), app());
    }
    // A body that turns out to be too long.
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[]));
    raw.send(DATA, 0, 1, b"far too long");
    assert!(matches!(raw.outcome(1), Came::Answer(413, _)));
    let reasons: Vec<_> = fiel
        .wait_for_access_log(9)
        .iter()
        .map(|line| line["reason"].clone())
        .collect();
    for reason in ["target_too_long", "headers_too_large", "body_too_large"] {
        assert!(reasons.contains(&reason.into()), "{reason}: {reasons:?}");
    }
}

#[test]
fn so_many_streams_are_open_at_once_and_no_more() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = limited("maxConcurrentStreams: 3", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    let settings = raw.frame_of(|frame| frame.kind == SETTINGS).unwrap();
    assert!(
        settings
            .payload
            .chunks(6)
            .any(|one| one == [0, 3, 0, 0, 0, 3]),
        "{settings:?}"
    );
    for stream in [1, 3, 5, 7] {
        raw.request(stream, &get("/", &[]));
    }
    assert_eq!(raw.outcome(7), Came::Reset(REFUSED_STREAM));
    endpoint.wait_for_requests(3);
    endpoint.release_all();
    for _ in [1, 3, 5] {
        assert!(
            raw.frame_of(|frame| frame.flags & END_STREAM != 0)
                .is_some()
        );
    }
    endpoint.behave(Behaviour::name());
    raw.request(9, &get("/", &[]));
    assert_eq!(raw.outcome(9), app());
}

#[test]
fn a_header_block_that_does_not_end_is_waited_for_so_long() {
    let endpoint = Endpoint::start("app");
    let fiel = limited("headerTimeout: 300ms", &endpoint);
    let mut other = Raw::connect(fiel.address("web"));
    other.request(1, &get("/", &[]));
    assert_eq!(other.outcome(1), app());
    let mut raw = Raw::connect(fiel.address("web"));
    raw.send(HEADERS, END_STREAM, 1, &get("/", &[]));
    assert_eq!(raw.goaway(), Some(ENHANCE_YOUR_CALM));
    wait_for_aborts(&fiel, "header_timeout", 1.0);
    assert_unharmed(&fiel, &mut other, 3);
}

#[test]
fn settings_are_waited_for_so_long() {
    let endpoint = Endpoint::start("app");
    let fiel = limited("handshakeTimeout: 300ms", &endpoint);
    let mut raw = Raw::silent(fiel.address("web"));
    raw.write(crate::support::frames::PREFACE);
    assert_eq!(raw.goaway(), Some(SETTINGS_TIMEOUT));
    wait_for_aborts(&fiel, "settings_timeout", 1.0);
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    let endpoint = Endpoint::start("app");
    let fiel = limited("bodyIdleTimeout: 300ms", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[("content-length", "10")]));
    raw.send(DATA, 0, 1, b"half");
    assert!(matches!(raw.outcome(1), Came::Answer(408, _)));
    endpoint.wait_for_end(0);
    raw.request(3, &get("/", &[]));
    assert_eq!(raw.outcome(3), app());
}

#[test]
fn slow_readers_are_given_up_and_hold_no_others_up() {
    let body = "x".repeat(100_000);
    let endpoint = Endpoint::start("app");
    endpoint.behave_at(
        "/large",
        Behaviour::bytes(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
    );
    let fiel = timed("idle: 500ms", &[endpoint.address()]);
    let mut other = Raw::connect(fiel.address("web"));
    // Windows of nothing at all, on many streams.
    let mut raw = Raw::with(fiel.address("web"), &[(4, 0)]);
    let streams: Vec<u32> = (0..50).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        raw.request(*stream, &get("/large", &[]));
    }
    other.request(1, &get("/", &[]));
    assert_eq!(other.outcome(1), app());
    let mut reset = Vec::new();
    while reset.len() < streams.len() {
        let frame = raw.frame_of(|frame| frame.kind == RST_STREAM).unwrap();
        assert_eq!(frame.code(), CANCEL);
        reset.push(frame.stream);
    }
    reset.sort_unstable();
    assert_eq!(reset, streams);
    for line in fiel.wait_for_access_log(51) {
        assert!(line["status"] == 499 || line["path"] == "/", "{line}");
    }
    // The connection itself is as good as ever.
    raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]);
    raw.request(101, &get("/", &[]));
    assert_eq!(raw.outcome(101), app());
}

#[test]
fn a_client_that_reads_nothing_of_its_connection_is_given_up_and_memory_is_bounded() {
    let size = 64 << 20;
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour::bytes(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}",
            "x".repeat(size)
        )),
    );
    let fiel = timed("idle: 2s", &[endpoint.address()]);
    let mut raw = Raw::with(fiel.address("web"), &[(4, 0x7fff_ffff)]);
    raw.send(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    for number in 0..4 {
        raw.request(2 * number + 1, &get("/", &[]));
    }
    wait_for_aborts(&fiel, "write_timeout", 1.0);
    let series = "process_resident_memory_bytes";
    let resident = crate::support::Scrape::of(&fiel).value(series).unwrap();
    assert!(resident < 200e6, "{resident}");
}

#[test]
fn windows_that_shrink_below_nothing_are_kept_to() {
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour::pieces(["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfour", "more"]),
    );
    let fiel = limited("maxHeaders: 50", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    let first = raw.frame_of(|frame| frame.kind == DATA).unwrap();
    assert_eq!(first.payload, b"four");
    // From 65,535 to 0: the window is -4 now.
    raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.frame_of(|frame| frame.kind == SETTINGS && frame.flags & 1 != 0)
        .unwrap();
    endpoint.release_all();
    raw.write(&Frame::octets(WINDOW_UPDATE, 0, 1, &6_u32.to_be_bytes()));
    let second = raw.frame_of(|frame| frame.kind == DATA).unwrap();
    assert_eq!(second.payload, b"mo");
    raw.send(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes());
    assert_eq!(raw.outcome(1), Came::Answer(0, b"re".to_vec()));
}
