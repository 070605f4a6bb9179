//! Endpoints that break the rules of HTTP/2, or keep them in ways that cost: each is bounded, and told in the answer.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::Duration;

use super::{before, before_on};
use crate::support::client::{Response, get};
use crate::support::frames::{self, Frames};
use crate::support::h2endpoint::RawEndpoint;
use crate::support::{Behaviour, Client, Endpoint};

/// Answers each request on any connection by this.
fn behaving(
    answer: impl Fn(&mut Frames, u32) -> std::io::Result<()> + Send + Sync + 'static,
) -> RawEndpoint {
    RawEndpoint::start(move |_, mut io| {
        if io.greet(&[]).is_err() {
            return;
        }
        while let Some(frame) = io.next_of(frames::HEADERS) {
            if answer(&mut io, frame.stream).is_err() {
                return;
            }
        }
    })
}

/// What one GET is answered with, and its reason in the log.
fn answer_before(endpoint: &RawEndpoint) -> (Response, String) {
    let fiel = before(&[endpoint.address()]);
    let answer = get(fiel.address("web"), "/");
    let reason = fiel.wait_for_access_log(1)[0]["reason"].clone();
    (answer, reason.as_str().unwrap_or_default().to_owned())
}

#[track_caller]
fn assert_refused(endpoint: &RawEndpoint, reason: &str) {
    let (answer, told) = answer_before(endpoint);
    assert_eq!((answer.status, told.as_str()), (502, reason));
}

#[test]
fn an_endpoint_that_speaks_http_1_is_told_from_one_that_speaks_http_2() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    );
    let fiel = before(&[endpoint.address()]);

    let answer = get(fiel.address("web"), "/");

    assert_eq!(answer.status, 502);
    let status = answer.header("proxy-status").unwrap();
    assert_eq!(status, "fiel; error=http_protocol_error");
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "not_http2");
    // Once for as long as it lasts, in words that tell what to do.
    fiel.wait_for_log("does not speak HTTP/2");
}

#[test]
fn an_endpoint_that_closes_or_stays_silent_before_its_greeting_has_no_connection() {
    let closes = RawEndpoint::start(|_, _| {});
    assert_refused(&closes, "reset");

    let silent = RawEndpoint::start(|_, mut io| while io.next().is_some() {});
    let fiel = before_on(
        &["retry: { attempts: 0 }"],
        &["connect: { timeout: 200ms }"],
        &[silent.address()],
    );
    let answer = get(fiel.address("web"), "/");
    assert_eq!(answer.status, 504);
    let status = answer.header("proxy-status").unwrap();
    assert_eq!(status, "fiel; error=connection_timeout");
}

#[test]
fn an_endpoint_that_takes_no_streams_refuses() {
    let endpoint = RawEndpoint::start(|_, mut io| {
        // SETTINGS_MAX_CONCURRENT_STREAMS
        if io.greet(&[(3, 0)]).is_ok() {
            while io.next().is_some() {}
        }
    });
    assert_refused(&endpoint, "refused_stream");
}

#[test]
fn pings_settings_and_frames_of_no_meaning_without_end_close_the_connection() {
    for (kind, payload) in [
        (frames::PING, vec![0; 8]),
        (frames::SETTINGS, Vec::new()),
        (frames::PRIORITY, vec![0; 5]),
        (200, Vec::new()),
        (frames::WINDOW_UPDATE, vec![0, 0, 0, 1]),
    ] {
        let endpoint = behaving(move |io, _| {
            let mut flood = Vec::new();
            // PRIORITY belongs to a stream.
            let stream = u32::from(kind == frames::PRIORITY);
            let frame = frames::Frame::octets(kind, 0, stream, &payload);
            for _ in 0..1_000 {
                flood.extend(&frame);
            }
            io.0.set_nonblocking(false)?;
            loop {
                io.write(&flood)?;
            }
        });
        let (answer, reason) = answer_before(&endpoint);
        assert_eq!(
            (answer.status, reason.as_str()),
            (502, "reset"),
            "frames of kind {kind}"
        );
    }
}

#[test]
fn a_head_without_end_closes_the_connection() {
    let endpoint = behaving(|io, stream| {
        let block = frames::block(&[(":status", "200")]);
        io.send(frames::HEADERS, 0, stream, block)?;
        loop {
            io.send(frames::CONTINUATION, 0, stream, [])?;
        }
    });
    assert_refused(&endpoint, "reset");
}

#[test]
fn a_head_that_is_too_large_or_has_too_many_fields_is_refused() {
    let large = behaving(|io, stream| {
        let block = frames::block(&[(":status", "200"), ("a", &"b".repeat(300 << 10))]);
        let mut pieces = block.chunks(16_000).peekable();
        let mut kind = frames::HEADERS;
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() {
                frames::END_HEADERS
            } else {
                0
            };
            io.send(kind, last, stream, piece)?;
            kind = frames::CONTINUATION;
        }
        Ok(())
    });
    let (answer, _) = answer_before(&large);
    assert_eq!(answer.status, 502);

    let many = behaving(|io, stream| {
        let names: Vec<String> = (0..200).map(|number| format!("a{number}")).collect();
        let mut fields = vec![(":status", "200")];
        fields.extend(names.iter().map(|name| (name.as_str(), "b")));
        io.head(stream, &fields, frames::END_STREAM)
    });
    assert_refused(&many, "malformed_response");
}

#[test]
fn interim_responses_without_end_are_refused() {
    let small = behaving(|io, stream| {
        loop {
            io.head(stream, &[(":status", "103")], 0)?;
        }
    });
    let (answer, reason) = answer_before(&small);
    assert_eq!(answer.status, 502);
    assert!(["reset", "malformed_response"].contains(&reason.as_str()));

    let large = behaving(|io, stream| {
        let value = "b".repeat(15_000);
        loop {
            io.head(stream, &[(":status", "103"), ("a", &value)], 0)?;
        }
    });
    assert_refused(&large, "malformed_response");
}

#[test]
fn there_is_no_switch_of_protocols() {
    let endpoint = behaving(|io, stream| io.head(stream, &[(":status", "101")], 0));
    assert_refused(&endpoint, "malformed_response");
}

#[test]
fn an_answer_is_as_long_as_it_says_or_broken() {
    let long = behaving(|io, stream| {
        io.head(stream, &[(":status", "200"), ("content-length", "3")], 0)?;
        io.send(frames::DATA, frames::END_STREAM, stream, "hello")
    });
    let (answer, _) = answer_before(&long);
    assert!(answer.status == 502 || answer.cut_short.is_some());

    let short = behaving(|io, stream| {
        io.head(stream, &[(":status", "200"), ("content-length", "9")], 0)?;
        io.send(frames::DATA, frames::END_STREAM, stream, "hello")
    });
    let (answer, _) = answer_before(&short);
    assert!(answer.status == 502 || answer.cut_short.is_some());

    let none = behaving(|io, stream| {
        let fields = [(":status", "200"), ("content-length", "9")];
        io.head(stream, &fields, frames::END_STREAM)
    });
    assert_refused(&none, "malformed_response");
}

#[test]
fn lengths_that_can_be_read_in_two_ways_are_refused() {
    for lengths in [&["5", "6"][..], &["5", "5"], &["+5"], &["5, 5"], &[""]] {
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        let endpoint = behaving(move |io, stream| {
            let mut fields = vec![(":status", "200")];
            fields.extend(
                lengths
                    .iter()
                    .map(|length| ("content-length", length.as_str())),
            );
            io.head(stream, &fields, 0)?;
            io.send(frames::DATA, frames::END_STREAM, stream, "hello")
        });
        let (answer, _) = answer_before(&endpoint);
        assert_eq!(answer.status, 502);
    }
}

#[test]
fn fields_that_belong_to_http_1_are_refused() {
    for field in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "a"),
        ("Upper", "a"),
        ("a", "b\r\nc: d"),
        ("a", "b\0"),
    ] {
        let endpoint = behaving(move |io, stream| {
            io.head(stream, &[(":status", "200"), field], frames::END_STREAM)
        });
        let (answer, _) = answer_before(&endpoint);
        assert_eq!(answer.status, 502, "{field:?}");
    }
}

#[test]
fn an_endpoint_that_sends_more_than_its_window_is_cut_off() {
    let (tell, told) = mpsc::sync_channel(1_000);
    let endpoint = behaving(move |io, stream| {
        io.head(stream, &[(":status", "200")], 0)?;
        let mut sent = 0_u64;
        loop {
            if let Err(error) = io.send(frames::DATA, 0, stream, vec![0; 16_000]) {
                tell.send(sent).ok();
                return Err(error);
            }
            sent += 16_000;
            if sent > 200 << 20 {
                tell.send(sent).ok();
                return Ok(());
            }
        }
    });
    let fiel = before(&[endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");

    // The client does not read, and fiel does not keep what the endpoint may not send.
    told.recv_timeout(Duration::from_secs(30)).unwrap();
    let answer = client.response();
    assert!(answer.cut_short.is_some());
    assert!(answer.body.len() < 64 << 20);
}

#[test]
fn a_pushed_answer_that_nobody_wanted_closes_the_connection() {
    let endpoint = behaving(|io, stream| {
        let mut promise = 2_u32.to_be_bytes().to_vec();
        promise.extend(frames::block(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/"),
        ]));
        io.send(frames::PUSH_PROMISE, frames::END_HEADERS, stream, promise)?;
        // fiel says why it leaves.
        let left = io.next_of(frames::GOAWAY);
        assert!(left.is_none_or(|frame| frame.code() == 1));
        Ok(())
    });
    assert_refused(&endpoint, "reset");
}

#[test]
fn data_without_a_head_and_frames_of_streams_that_nobody_opened_close_the_connection() {
    let early = behaving(|io, stream| io.send(frames::DATA, 0, stream, "hello"));
    let (answer, _) = answer_before(&early);
    assert_eq!(answer.status, 502);

    let strange = behaving(|io, _| io.send(frames::DATA, 0, 99, "hello"));
    assert_refused(&strange, "reset");
}

#[test]
fn octets_that_are_no_frames_close_the_connection() {
    let endpoint = behaving(|io, _| {
        io.write(&[0xff; 4_096])?;
        let mut rest = Vec::new();
        io.0.read_to_end(&mut rest)?;
        Ok(())
    });
    assert_refused(&endpoint, "reset");
}

#[test]
fn an_endpoint_that_resets_streams_before_it_answers_fails_each_and_keeps_its_connection() {
    let endpoint = behaving(|io, stream| {
        // INTERNAL_ERROR
        io.send(frames::RST_STREAM, 0, stream, 2_u32.to_be_bytes())
    });
    let fiel = before_on(&["retry: { attempts: 0 }"], &[], &[endpoint.address()]);
    for _ in 0..5 {
        assert_eq!(get(fiel.address("web"), "/").status, 502);
    }
    let connects = "fiel_upstream_connects_total{pool=\"shop\"}";
    crate::support::Scrape::wait_for(&fiel, &[(connects, 1.0)]);
}
