//! The rules of RFC 9113 and RFC 7541 as h2spec tests them, those that come to fiel: what breaks one ends its stream or its
//! connection with the right code.

use crate::support::Endpoint;
use crate::support::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, Came, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
    RST_STREAM, Raw, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, ask, get,
};
use crate::support::terms::before;

use super::app;

/// What comes of a breach: one of these codes, for the connection, or for the stream where that will do.
struct Breach {
    rule: &'static str,
    sent: Vec<u8>,
    codes: &'static [u32],
}

fn breach(rule: &'static str, sent: &[Vec<u8>], codes: &'static [u32]) -> Breach {
    Breach {
        rule,
        sent: sent.concat(),
        codes,
    }
}

const ANY: u8 = END_HEADERS | END_STREAM;
const OVER: &[u32] = &[PROTOCOL_ERROR];
const SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
const FLOW: &[u32] = &[FLOW_CONTROL_ERROR];
const HPACK: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

fn breaches() -> Vec<Breach> {
    let frame = Frame::octets;
    let open = |id| frame(HEADERS, END_HEADERS, id, &ask("POST", "/", &[]));
    let whole = |id| frame(HEADERS, ANY, id, &get("/", &[]));
    let settings = |id: u16, value: u32| {
        frame(
            SETTINGS,
            0,
            0,
            &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat(),
        )
    };
    vec![
        breach(
            "4.2 a frame larger than was agreed",
            &[open(1), frame(DATA, 0, 1, &[0; 16_385])],
            SIZE,
        ),
        breach(
            "4.3 a block that is none",
            &[frame(HEADERS, ANY, 1, &[0x80])],
            HPACK,
        ),
        breach(
            "4.3 a block broken by another frame",
            &[
                frame(HEADERS, 0, 1, &get("/", &[])),
                frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
            ],
            OVER,
        ),
        breach(
            "4.3 a block broken by another stream",
            &[frame(HEADERS, 0, 1, &get("/", &[])), whole(3)],
            OVER,
        ),
        breach(
            "5.1 DATA on an idle stream",
            &[frame(DATA, END_STREAM, 1, b"x")],
            OVER,
        ),
        breach(
            "5.1 RST_STREAM on an idle stream",
            &[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])],
            OVER,
        ),
        breach(
            "5.1 WINDOW_UPDATE on an idle stream",
            &[frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            OVER,
        ),
        breach(
            "5.1 CONTINUATION on an idle stream",
            &[frame(CONTINUATION, END_HEADERS, 1, &get("/", &[]))],
            OVER,
        ),
        breach(
            "5.1 DATA behind the end",
            &[whole(1), frame(DATA, END_STREAM, 1, b"x")],
            CLOSED,
        ),
        breach("5.1 HEADERS behind the end", &[whole(1), whole(1)], CLOSED),
        breach(
            "5.1 CONTINUATION behind the end",
            &[whole(1), frame(CONTINUATION, END_HEADERS, 1, &[])],
            OVER,
        ),
        breach("5.1.1 a stream with an even number", &[whole(2)], OVER),
        breach(
            "5.1.1 a stream with a smaller number",
            &[whole(5), whole(3)],
            CLOSED,
        ),
        breach(
            "6.1 DATA on no stream",
            &[frame(DATA, END_STREAM, 0, b"x")],
            OVER,
        ),
        breach(
            "6.1 padding longer than the frame",
            &[open(1), frame(DATA, 8 | END_STREAM, 1, &[6, 1, 2, 3])],
            OVER,
        ),
        breach("6.2 HEADERS on no stream", &[whole(0)], OVER),
        breach(
            "6.2 padding longer than the block",
            &[frame(HEADERS, ANY | 8, 1, &[255, 1, 2])],
            OVER,
        ),
        breach(
            "6.3 PRIORITY on no stream",
            &[frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 1])],
            OVER,
        ),
        breach(
            "6.3 PRIORITY of another size",
            &[frame(PRIORITY, 0, 1, &[0; 4])],
            SIZE,
        ),
        breach(
            "6.4 RST_STREAM on no stream",
            &[frame(RST_STREAM, 0, 0, &[0; 4])],
            OVER,
        ),
        breach(
            "6.4 RST_STREAM of another size",
            &[open(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            SIZE,
        ),
        breach(
            "6.5 SETTINGS that acknowledge and say something",
            &[frame(SETTINGS, ACK, 0, &[0; 6])],
            SIZE,
        ),
        breach(
            "6.5 SETTINGS on a stream",
            &[frame(SETTINGS, 0, 1, &[])],
            OVER,
        ),
        breach(
            "6.5 SETTINGS of another size",
            &[frame(SETTINGS, 0, 0, &[0; 3])],
            SIZE,
        ),
        breach("6.5.2 ENABLE_PUSH that is none", &[settings(2, 2)], OVER),
        breach(
            "6.5.2 a window beyond all",
            &[settings(4, 1 << 31)],
            &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR],
        ),
        breach("6.5.2 frames too small", &[settings(5, 16_383)], OVER),
        breach("6.5.2 frames too large", &[settings(5, 1 << 24)], OVER),
        breach(
            "6.6 PUSH_PROMISE of a client",
            &[open(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
            OVER,
        ),
        breach("6.7 PING on a stream", &[frame(PING, 0, 1, &[0; 8])], OVER),
        breach(
            "6.7 PING of another size",
            &[frame(PING, 0, 0, &[0; 6])],
            SIZE,
        ),
        breach(
            "6.8 GOAWAY on a stream",
            &[frame(GOAWAY, 0, 1, &[0; 8])],
            OVER,
        ),
        breach(
            "6.9 a window opened by nothing",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 4])],
            OVER,
        ),
        breach(
            "6.9 a stream's window opened by nothing",
            &[open(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])],
            OVER,
        ),
        breach(
            "6.9 WINDOW_UPDATE of another size",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            SIZE,
        ),
        breach(
            "6.9.1 a window opened beyond all",
            &[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])],
            FLOW,
        ),
        breach(
            "6.9.1 a stream's window opened beyond all",
            &[open(1), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 255, 255, 255])],
            FLOW,
        ),
        breach(
            "6.9.2 windows opened beyond all by settings",
            &[
                open(1),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 255, 0, 0]),
                settings(4, 0x7fff_ffff),
            ],
            FLOW,
        ),
        breach(
            "6.10 CONTINUATION on no stream",
            &[
                frame(HEADERS, 0, 1, &get("/", &[])),
                frame(CONTINUATION, END_HEADERS, 0, &[]),
            ],
            OVER,
        ),
        breach(
            "8.1 a second block that does not end",
            &[
                open(1),
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &crate::support::frames::block(&[("x", "1")]),
                ),
            ],
            OVER,
        ),
        breach(
            "RFC 7541 2.3.3 an index beyond the tables",
            &[frame(HEADERS, ANY, 1, &[0xff, 0xff, 0x7f])],
            HPACK,
        ),
        breach(
            "RFC 7541 5.2 padding of a text that is too long",
            &[frame(
                HEADERS,
                ANY,
                1,
                &[0x82, 0x86, 0x84, 0, 1, b'x', 0x82, 0xff, 0xff],
            )],
            HPACK,
        ),
        breach(
            "RFC 7541 6.3 a table larger than was agreed",
            &[frame(HEADERS, ANY, 1, &[0x3f, 0xff, 0xff, 0x7f])],
            HPACK,
        ),
    ]
}

#[test]
fn a_breach_ends_its_stream_or_its_connection_with_its_code() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut wrong = Vec::new();
    for Breach { rule, sent, codes } in breaches() {
        let mut raw = Raw::connect(fiel.address("web"));
        raw.write(&sent);
        let end = raw.frame_of(|frame| {
            frame.kind == GOAWAY && frame.code() != 0
                || frame.kind == RST_STREAM && frame.code() != 0
        });
        match end {
            Some(end) if codes.contains(&end.code()) => {}
            end => wrong.push(format!("{rule}: {end:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
}

#[test]
fn what_is_unknown_or_unusual_is_passed_over() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    // 4.1, 5.5: a frame that nobody knows, on any stream. 6.5.2: a setting that nobody knows.
    raw.send(0xfa, 0xff, 0, b"anything");
    raw.send(0xfa, 0, 99, b"");
    raw.send(SETTINGS, 0, 0, &[0xff, 0xfa, 0, 0, 0, 1]);
    // 6.7: a PING is answered as it came.
    raw.send(PING, 0, 0, b"whatever");
    let pong = raw.frame_of(|frame| frame.kind == PING).unwrap();
    assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"whatever"[..]));
    // 6.2, 6.10: a block over frames; 5.3: with a priority, padded.
    let block = get("/", &[]);
    let (head, tail) = block.split_at(10);
    raw.send(
        HEADERS,
        END_STREAM | 8 | 0x20,
        1,
        &[&[2, 0, 0, 0, 0, 15], head, &[0, 0]].concat(),
    );
    raw.send(CONTINUATION, 0, 1, &[]);
    raw.send(CONTINUATION, END_HEADERS, 1, tail);
    assert_eq!(raw.outcome(1), app());
    // 5.1: PRIORITY and WINDOW_UPDATE behind the end of a stream.
    raw.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
    raw.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    raw.request(3, &get("/", &[]));
    assert_eq!(raw.outcome(3), app());
    // 6.1: padded DATA.
    raw.begin(5, &ask("POST", "/", &[("content-length", "2")]));
    raw.send(DATA, END_STREAM | 8, 5, &[3, b'o', b'k', 0, 0, 0]);
    assert_eq!(raw.outcome(5), app());
    assert_eq!(endpoint.wait_for_whole_requests(3)[2].body, b"ok");
}

#[test]
fn windows_are_kept_to() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    // 6.9.2: one octet at first, more by settings, the rest by an update.
    let mut raw = Raw::with(fiel.address("web"), &[(4, 1)]);
    raw.request(1, &get("/", &[]));
    let data = |raw: &mut Raw| raw.frame_of(|frame| frame.kind == DATA).unwrap().payload;
    assert_eq!(data(&mut raw), b"a");
    raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 2]);
    assert_eq!(data(&mut raw), b"p");
    raw.send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    assert_eq!(raw.outcome(1), Came::Answer(0, b"p".to_vec()));
}

#[test]
fn settings_are_the_first_that_is_said() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::silent(fiel.address("web"));
    raw.write(crate::support::frames::PREFACE);
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.goaway(), Some(PROTOCOL_ERROR));
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn pseudo_fields_in_trailers_are_not_passed_on() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.begin(1, &ask("POST", "/", &[("trailer", "x-sum, path")]));
    // 8.1: malformed; `h2` drops the field and goes on, which does no harm.
    let trailers = crate::support::frames::block(&[(":path", "/other"), ("x-sum", "1")]);
    raw.send(HEADERS, ANY, 1, &trailers);
    let came = raw.outcome(1);
    assert!(
        came == app() || came == Came::Reset(PROTOCOL_ERROR),
        "{came:?}"
    );
    for received in endpoint.requests() {
        assert!(
            received.trailers.iter().all(|(name, _)| name == "x-sum"),
            "{received:?}"
        );
    }
}
