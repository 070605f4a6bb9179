//! Floods of every known kind: the connection is told why and closed, memory stays where it is, others go on.

use crate::support::frames::{
    CANCEL, CONTINUATION, Came, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY,
    HEADERS, PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, ask, get,
    literal,
};
use crate::support::terms::before;
use crate::support::{Behaviour, Endpoint, Fiel, Scrape};

use super::{app, assert_unharmed, wait_for_aborts};

/// Sends what `next` makes until the connection has ended, or so often; gives back the code of its GOAWAY.
fn flood(raw: &mut Raw, count: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let mut number = 0;
    while number < count {
        let batch: Vec<u8> = (number..number + 50).flat_map(&mut next).collect();
        number += 50;
        if !raw.try_write(&batch) {
            break;
        }
    }
    raw.goaway()
}

/// It was told to be calm, if it came to hear it: what is left unread may lose the answer.
#[track_caller]
fn assert_calmed(code: Option<u32>) {
    assert!(matches!(code, Some(ENHANCE_YOUR_CALM) | None), "{code:?}");
}

/// A connection was broken off, for whichever reason.
#[track_caller]
fn assert_broken_off(fiel: &Fiel) {
    let scrape = Scrape::of(fiel);
    let text = scrape.text();
    assert!(text.contains("fiel_http2_aborts_total{"), "{text}");
}

/// The stream of a client that is opened as so many others are before it.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// A whole request on this stream.
fn whole(stream: u32) -> Vec<u8> {
    Frame::octets(HEADERS, END_HEADERS | END_STREAM, stream, &get("/", &[]))
}

fn cancelled(stream: u32) -> Vec<u8> {
    Frame::octets(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A request with a cookie that is put into the table (RFC 7541 §6.2.1) and referred to so often, by an octet each time.
fn bomb(cookie: &[u8], references: usize) -> Vec<u8> {
    let mut kept = literal(b"cookie", cookie);
    kept[0] = 0x40;
    [get("/", &[]), kept, [0xbe].repeat(references)].concat()
}

/// The octets of a flood, by number.
type Next = fn(u32) -> Vec<u8>;

struct Flooded {
    endpoint: Endpoint,
    fiel: Fiel,
    other: Raw,
    raw: Raw,
}

impl Flooded {
    fn start() -> Self {
        let endpoint = Endpoint::start("app");
        let fiel = before(&endpoint);
        let mut other = Raw::connect(fiel.address("web"));
        other.request(1, &get("/", &[]));
        assert_eq!(other.outcome(1), app());
        let raw = Raw::connect(fiel.address("web"));
        Self {
            endpoint,
            fiel,
            other,
            raw,
        }
    }

    fn assert_over(mut self, reason: &str) {
        wait_for_aborts(&self.fiel, reason, 1.0);
        assert_unharmed(&self.fiel, &mut self.other, 3);
        let resident = Scrape::of(&self.fiel)
            .value("process_resident_memory_bytes")
            .unwrap();
        assert!(resident < 150e6, "{resident}");
    }
}

#[test]
fn frames_that_bring_nothing() {
    let kinds: [(&str, Next); 5] = [
        ("ping_flood", |_| Frame::octets(PING, 0, 0, &[0; 8])),
        ("settings_flood", |number| {
            let window = (number % 2 * 60_000 + 5000).to_be_bytes();
            Frame::octets(SETTINGS, 0, 0, &[&[0, 4][..], &window].concat())
        }),
        ("priority_flood", |number| {
            Frame::octets(PRIORITY, 0, stream(number), &[0, 0, 0, 0, 9])
        }),
        ("window_flood", |_| {
            Frame::octets(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])
        }),
        ("other_flood", |_| Frame::octets(0xfa, 0, 0, &[])),
    ];
    for (reason, next) in kinds {
        let mut flooded = Flooded::start();
        let code = flood(&mut flooded.raw, 20_000, next);
        assert!(
            matches!(code, Some(ENHANCE_YOUR_CALM) | None),
            "{reason}: {code:?}"
        );
        flooded.assert_over(reason);
    }
}

#[test]
fn a_flood_is_told_why_it_is_cut_off() {
    let mut flooded = Flooded::start();
    let ping = Frame::octets(PING, 0, 0, &[0; 8]);
    // What is let pass at once, then each on its own, so that nothing is left unread that could lose the answer. While it is slow,
    // some more are let pass.
    flooded.raw.write(&ping.repeat(1024));
    let (mut sent, mut answered) = (1024, 0);
    let told = loop {
        if answered == sent {
            assert!(sent < 20_000, "this is no flood to it");
            flooded.raw.write(&ping);
            sent += 1;
        }
        let frame = flooded.raw.frame().expect("it is not told");
        answered += u32::from(frame.kind == PING);
        if frame.kind == GOAWAY {
            break frame.code();
        }
    };
    assert_eq!(told, ENHANCE_YOUR_CALM);
    flooded.fiel.wait_for_log("ping_flood");
    flooded.assert_over("ping_flood");
}

#[test]
fn empty_data() {
    let mut flooded = Flooded::start();
    flooded.raw.begin(1, &ask("POST", "/", &[]));
    let code = flood(&mut flooded.raw, 20_000, |_| Frame::octets(DATA, 0, 1, &[]));
    assert_calmed(code);
    assert_broken_off(&flooded.fiel);
    assert_unharmed(&flooded.fiel, &mut flooded.other, 3);
}

#[test]
fn empty_header_blocks() {
    let mut flooded = Flooded::start();
    let code = flood(&mut flooded.raw, 20_000, |number| {
        Frame::octets(HEADERS, END_HEADERS | END_STREAM, stream(number), &[])
    });
    assert_calmed(code);
    assert_broken_off(&flooded.fiel);
    assert_eq!(flooded.endpoint.requests().len(), 1);
    assert_unharmed(&flooded.fiel, &mut flooded.other, 3);
}

#[test]
fn rapid_reset() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    let code = flood(&mut raw, 50_000, |number| {
        let stream = stream(number);
        [whole(stream), cancelled(stream)].concat()
    });
    assert_calmed(code);
    assert_broken_off(&fiel);
    // Nothing of it is left at the endpoint.
    crate::support::wait::eventually("all to be cancelled", || {
        (endpoint.open_connections() == 0).then_some(())
    });
    endpoint.behave(Behaviour::name());
    let mut other = Raw::connect(fiel.address("web"));
    assert_unharmed(&fiel, &mut other, 1);
}

#[test]
fn rapid_reset_at_a_walking_pace() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    // Each stream is looked at before it is reset: a PING comes back in between.
    let mut resets = 0;
    for number in 0..3000 {
        let stream = stream(number);
        let ping = Frame::octets(PING, 0, 0, &[0; 8]);
        if !raw.try_write(&[whole(stream), ping].concat())
            || raw.frame_of(|frame| frame.kind == PING).is_none()
        {
            break;
        }
        if !raw.try_write(&cancelled(stream)) {
            break;
        }
        resets += 1;
    }
    assert!(resets < 3000, "nobody minded");
    let scrape = Scrape::of(&fiel);
    assert!(scrape.text().contains("_flood\"} 1"), "{}", scrape.text());
}

#[test]
fn made_you_reset() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    // CVE-2025-8671: each stream is made to be reset by the server.
    let code = flood(&mut raw, 20_000, |number| {
        let stream = stream(number);
        let open = Frame::octets(HEADERS, END_HEADERS, stream, &ask("POST", "/", &[]));
        [open, Frame::octets(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    });
    assert!(
        matches!(code, Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR) | None),
        "{code:?}"
    );
    assert_broken_off(&fiel);
    endpoint.behave(Behaviour::name());
    let mut other = Raw::connect(fiel.address("web"));
    assert_unharmed(&fiel, &mut other, 1);
}

#[test]
fn continuations_without_end() {
    let mut flooded = Flooded::start();
    flooded.raw.send(HEADERS, END_STREAM, 1, &get("/", &[]));
    let code = flood(&mut flooded.raw, 20_000, |_| {
        Frame::octets(CONTINUATION, 0, 1, &literal(b"x", b"y"))
    });
    assert_calmed(code);
    flooded.assert_over("calm");
}

#[test]
fn a_bomb_of_references() {
    let mut flooded = Flooded::start();
    flooded.raw.request(1, &bomb(&[b'a'; 3800], 10_000));
    assert_eq!(flooded.raw.goaway(), Some(ENHANCE_YOUR_CALM));
    flooded.assert_over("calm");
}

#[test]
fn a_bomb_of_crumbs_is_too_large() {
    let mut flooded = Flooded::start();
    // Far more fields than octets (CVE-2026-47774).
    flooded.raw.request(1, &bomb(b"", 1500));
    let came = flooded.raw.outcome(1);
    assert!(matches!(came, Came::Answer(431, _)), "{came:?}");
    assert_eq!(flooded.endpoint.requests().len(), 1);
    assert_unharmed(&flooded.fiel, &mut flooded.other, 3);
}

#[test]
fn answers_in_windows_of_an_octet() {
    let body = "x".repeat(100_000);
    let mut flooded = Flooded::start();
    flooded.endpoint.behave_at(
        "/large",
        Behaviour::bytes(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
    );
    let mut raw = Raw::with(flooded.fiel.address("web"), &[(4, 0)]);
    raw.request(1, &get("/large", &[]));
    let code = flood(&mut raw, 20_000, |_| {
        Frame::octets(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])
    });
    assert_calmed(code);
    wait_for_aborts(&flooded.fiel, "window_flood", 1.0);
    assert_unharmed(&flooded.fiel, &mut flooded.other, 3);
}

#[test]
fn a_busy_connection_does_not_starve_others() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut busy = Raw::connect(fiel.address("web"));
    let mut other = Raw::connect(fiel.address("web"));
    let batch: Vec<u8> = (0..2000).flat_map(|number| whole(stream(number))).collect();
    let writer = std::thread::spawn(move || {
        busy.try_write(&batch);
        busy
    });
    for number in 0..20 {
        other.request(stream(number), &get("/", &[]));
        assert_eq!(other.outcome(stream(number)), app());
    }
    drop(writer.join().unwrap());
}
