//! How connections end: idle, old, by a signal, with what is under way served to its end.

use rustix::process::Signal;

use crate::support::frames::{ACK, Came, GOAWAY, NO_ERROR, PING, Raw, get};
use crate::support::terms::{before, limited};
use crate::support::{Behaviour, Endpoint, Fiel, yaml};

use super::app;

fn last_stream(goaway: &crate::support::frames::Frame) -> u32 {
    u32::from_be_bytes(goaway.payload[..4].try_into().unwrap())
}

/// The first GOAWAY, which lets streams come that are on the way, and the PING behind it.
fn told(raw: &mut Raw) -> Vec<u8> {
    let goaway = raw.frame_of(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(
        (goaway.code(), last_stream(&goaway)),
        (NO_ERROR, 0x7fff_ffff)
    );
    raw.frame_of(|frame| frame.kind == PING && frame.flags & ACK == 0)
        .unwrap()
        .payload
}

#[test]
fn what_is_under_way_when_fiel_ends_is_served_and_so_is_what_was_on_the_way() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("{text}shutdown: {{ drain: 1h }}\n"));
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    endpoint.wait_for_requests(1);

    fiel.signal(Signal::TERM);
    let ping = told(&mut raw);
    // Sent before the client could know.
    raw.request(3, &get("/", &[]));
    raw.send(PING, ACK, 0, &ping);
    endpoint.wait_for_requests(2);
    let last = raw.frame_of(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!((last.code(), last_stream(&last)), (NO_ERROR, 3));
    endpoint.release_all();

    let mut ended = Vec::new();
    while let Some(frame) = raw.frame() {
        if frame.kind == 0 && frame.flags & 1 != 0 {
            ended.push(frame.stream);
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
    assert_eq!(fiel.wait_exit().code(), Some(0));
}

#[test]
fn a_client_that_does_not_answer_holds_the_end_up_for_a_moment_only() {
    let endpoint = Endpoint::start("app");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("{text}shutdown: {{ drain: 1h }}\n"));
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
    fiel.signal(Signal::TERM);
    told(&mut raw);
    assert_eq!(fiel.wait_exit().code(), Some(0));
    drop(raw);
}

#[test]
fn an_idle_connection_is_closed_gracefully_and_pings_do_not_keep_it() {
    let endpoint = Endpoint::start("app");
    let fiel = limited("idleTimeout: 500ms", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
    raw.send(PING, 0, 0, &[0; 8]);
    let ping = told(&mut raw);
    raw.send(PING, ACK, 0, &ping);
    assert_eq!(raw.goaway(), Some(NO_ERROR));
}

#[test]
fn a_stream_keeps_a_connection_from_being_idle() {
    let endpoint = Endpoint::behaving(
        "app",
        Behaviour::slow(std::time::Duration::from_millis(900)),
    );
    let fiel = limited("idleTimeout: 200ms", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
    let ping = told(&mut raw);
    raw.send(PING, ACK, 0, &ping);
    assert_eq!(raw.goaway(), Some(NO_ERROR));
}

#[test]
fn an_old_connection_is_asked_to_end_and_serves_what_it_has() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = limited("maxConnectionAge: 500ms", &endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    let ping = told(&mut raw);
    raw.send(PING, ACK, 0, &ping);
    endpoint.release_all();
    assert_eq!(raw.outcome(1), app());
    while raw.frame().is_some() {}
}

#[test]
fn during_the_delay_a_new_connection_is_served_once_and_then_told() {
    let endpoint = Endpoint::start("app");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("{text}shutdown: {{ delay: 1h, drain: 0s }}\n"));
    fiel.signal(Signal::TERM);
    fiel.wait_for_log("elay");
    crate::support::wait::eventually("a connection to be told", || {
        let mut raw = Raw::connect(fiel.address("web"));
        raw.request(1, &get("/", &[]));
        let mut is_told = false;
        let mut is_answered = false;
        // Answered, and told or not: a PING comes back last.
        raw.send(PING, 0, 0, &[7; 8]);
        while !is_answered || !is_told {
            let frame = raw.frame().unwrap();
            is_told |= frame.kind == GOAWAY || frame.kind == PING && frame.flags & ACK == 0;
            is_answered |= frame.kind == 0 && frame.flags & 1 != 0;
            if is_answered && !is_told {
                return None;
            }
        }
        Some(())
    });
    fiel.signal(Signal::TERM);
}

#[test]
fn reloads_leave_connections_alone() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
    let text = std::fs::read_to_string(fiel.file()).unwrap();
    fiel.rewrite(&text.replace("name: shop", "name: store"));
    fiel.wait_for_logs("Configuration is in force", 1);
    raw.request(3, &get("/", &[]));
    assert_eq!(raw.outcome(3), Came::Answer(200, b"app".to_vec()));
}
