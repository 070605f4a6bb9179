//! Chapter 1, signals: how a proxy ends, and what it finishes first.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::support::client::{Client, End};
use crate::support::wait::eventually;
use crate::support::{Behaviour, Endpoint, Fiel, client, yaml};

const ASK: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const UPGRADE: &str =
    "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// One endpoint, and `shutdown` as given.
fn ending(endpoint: &Endpoint, shutdown: &str) -> String {
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    format!("{text}shutdown: {{ {shutdown} }}\n")
}

fn start(endpoint: &Endpoint, shutdown: &str) -> Fiel {
    Fiel::start(&ending(endpoint, shutdown))
}

fn wait_until_refused(web: SocketAddr) {
    eventually("new connections to be refused", || {
        TcpStream::connect(web).is_err().then_some(())
    });
}

#[track_caller]
fn assert_exits(fiel: &Fiel) {
    assert_eq!(fiel.wait_exit().code(), Some(0));
}

#[test]
fn during_the_delay_connections_are_accepted_and_asked_to_close() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let endpoint = Endpoint::start("a");
        let fiel = start(&endpoint, "delay: 1h, drain: 0s");
        let web = fiel.address("web");
        let mut old = Client::connect(web);
        assert_eq!(old.get("/").header("connection"), None);

        fiel.signal(signal);

        eventually("new connections to be asked to close", || {
            let answer = client::get(web, "/");
            assert_eq!(answer.status, 200);
            (answer.header("connection") == Some("close")).then_some(())
        });
        let last = eventually("the old connection to be asked to close", || {
            let answer = old.get("/");
            assert_eq!(answer.status, 200);
            answer.header("connection").map(str::to_owned)
        });
        assert_eq!(last, "close");
        assert_eq!(old.read_to_end(), (Vec::new(), End::Fin));
        fiel.signal(signal);
        assert_exits(&fiel);
    }
}

#[test]
fn what_is_in_flight_is_finished_while_new_connections_are_refused() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/held", Behaviour::stall());
    let begun = ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234", "5678"];
    endpoint.behave_at("/begun", Behaviour::pieces(begun));
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut held = Client::connect(web);
    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);
    let mut begun = Client::connect(web);
    begun.send("GET /begun HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(begun.head().status, 200);
    assert_eq!(begun.read_exact(4), b"1234");

    fiel.signal(Signal::TERM);
    wait_until_refused(web);
    endpoint.release_all();

    let answer = held.response();
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("a", Some("close"))
    );
    assert_eq!(held.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(begun.read_to_end(), (b"5678".to_vec(), End::Fin));
    assert_exits(&fiel);
    assert_eq!(fiel.access_log().len(), 2);
}

#[test]
fn a_connection_to_an_endpoint_is_closed_when_its_request_is_over_and_not_when_the_process_ends() {
    let endpoint = Endpoint::start("a");
    endpoint.behave(Behaviour::stall());
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut clients = [Client::connect(web), Client::connect(web)];
    for (sent, client) in clients.iter_mut().enumerate() {
        client.send(ASK);
        endpoint.wait_for_requests(sent + 1);
    }
    fiel.signal(Signal::TERM);
    wait_until_refused(web);

    endpoint.release();
    eventually("one connection to be closed", || {
        (endpoint.open_connections() == 1).then_some(())
    });

    endpoint.release_all();
    for client in &mut clients {
        assert_eq!(client.response().text(), "a");
    }
    assert_exits(&fiel);
}

#[test]
fn a_request_whose_head_is_on_its_way_is_still_answered() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/held", Behaviour::stall());
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut held = Client::connect(web);
    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);
    // On one it is the first, on the other the second, and fiel has read the beginning of both.
    let (mut first, mut second) = (Client::connect(web), Client::connect(web));
    assert_eq!(second.get("/").text(), "a");
    let (begin, end) = ASK.split_at(20);
    first.send(begin);
    second.send(begin);
    let mut witness = Client::connect(web);
    for _ in 0..20 {
        assert_eq!(witness.get("/").text(), "a");
    }

    fiel.signal(Signal::TERM);
    wait_until_refused(web);

    for client in [&mut first, &mut second] {
        client.send(end);
        let answer = client.response();
        assert_eq!(
            (answer.text().as_str(), answer.header("connection")),
            ("a", Some("close"))
        );
        assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    }
    endpoint.release();
    assert_eq!(held.response().text(), "a");
    assert_exits(&fiel);
}

#[test]
fn connections_that_wait_to_be_accepted_are_served() {
    let endpoint = Endpoint::start("a");
    let text = ending(&endpoint, "drain: 0s");
    let one_at_a_time = "    bind: 127.0.0.1:0\n    limits: { maxConnections: 1 }";
    let fiel = Fiel::start(&text.replace("    bind: 127.0.0.1:0", one_at_a_time));
    let web = fiel.address("web");
    let mut taken = Client::connect(web);
    assert_eq!(taken.get("/").text(), "a");
    let mut waiting: Vec<Client> = (0..30).map(|_| Client::connect(web)).collect();
    for client in &mut waiting {
        client.send(ASK);
    }

    fiel.signal(Signal::TERM);

    for client in &mut waiting {
        let answer = client.response();
        assert_eq!(
            (answer.text().as_str(), answer.header("connection")),
            ("a", Some("close"))
        );
        assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    }
    assert_eq!(taken.read_to_end(), (Vec::new(), End::Fin));
    assert_exits(&fiel);
    assert_eq!(fiel.access_log().len(), 31);
}

#[test]
fn connections_without_a_request_do_not_hold_the_end_up() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut used = Client::connect(web);
    assert_eq!(used.get("/").text(), "a");
    let mut silent = Client::connect(web);
    // Accepted after the silent one, so that that one is no longer in the queue.
    assert_eq!(client::get(web, "/").text(), "a");

    fiel.signal(Signal::TERM);

    assert_exits(&fiel);
    assert_eq!(used.read_to_end(), (Vec::new(), End::Fin));
    assert_eq!(silent.read_to_end(), (Vec::new(), End::Fin));
}

#[test]
fn an_interrupt_skips_the_delay() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "delay: 1h");

    fiel.signal(Signal::INT);

    assert_exits(&fiel);
}

#[test]
fn what_outlives_the_drain_is_cut_counted_and_logged() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/held", Behaviour::stall());
    let begun = ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234", "5678"];
    endpoint.behave_at("/begun", Behaviour::pieces(begun));
    endpoint.behave(Behaviour::upgrade());
    let fiel = start(&endpoint, "drain: 50ms");
    let web = fiel.address("web");
    let mut held = Client::connect(web);
    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);
    let mut begun = Client::connect(web);
    begun.send("GET /begun HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(begun.head().status, 200);
    assert_eq!(begun.read_exact(4), b"1234");
    let mut tunnel = Client::connect(web);
    assert_eq!(tunnel.request(UPGRADE).status, 101);

    fiel.signal(Signal::TERM);

    assert_exits(&fiel);
    let line = fiel.wait_for_log("Time to drain is over");
    assert!(
        line.contains("connections=3") && line.contains("WARN"),
        "{line}"
    );
    for client in [&mut held, &mut begun, &mut tunnel] {
        assert_eq!(client.read_to_end().0, b"");
    }
    let mut told: Vec<_> = fiel
        .access_log()
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (
                text("path"),
                line["status"].as_u64().unwrap(),
                text("reason"),
            )
        })
        .collect();
    told.sort();
    let told: Vec<_> = told
        .iter()
        .map(|(path, status, reason)| (path.as_str(), *status, reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("/", 101, ""),
            ("/begun", 200, "shutting_down"),
            ("/held", 503, "shutting_down"),
        ]
    );
}

#[test]
fn a_drain_without_a_limit_waits_for_a_tunnel_to_end() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut tunnel = Client::connect(web);
    assert_eq!(tunnel.request(UPGRADE).status, 101);

    fiel.signal(Signal::TERM);
    wait_until_refused(web);

    for word in ["still", "there"] {
        tunnel.send(word);
        assert_eq!(tunnel.read_exact(5), word.as_bytes());
    }
    tunnel.finish_sending();
    assert_eq!(tunnel.read_to_end(), (Vec::new(), End::Fin));
    assert_exits(&fiel);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let endpoint = Endpoint::behaving("a", Behaviour::stall());
        let fiel = start(&endpoint, "drain: 0s");
        let mut held = Client::connect(fiel.address("web"));
        held.send(ASK);
        endpoint.wait_for_requests(1);
        fiel.signal(Signal::TERM);
        wait_until_refused(fiel.address("web"));

        fiel.signal(second);

        assert_exits(&fiel);
        fiel.wait_for_log("Second signal");
    }
}

#[test]
fn an_endpoint_that_dies_while_it_drains_is_given_up() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    for endpoint in [&one, &two] {
        endpoint.behave_at("/live", Behaviour::status(200));
        endpoint.behave(Behaviour::stall());
    }
    let pools = yaml::shop(&[("a", "1", &[one.address(), two.address()])]);
    let fiel = Fiel::start(&format!(
        "{pools}    livenessProbe: {{ httpGet: {{ path: /live }}, periodSeconds: 0.1, failureThreshold: 1 }}
shutdown: {{ drain: 0s }}
"
    ));
    let web = fiel.address("web");
    let mut clients = [Client::connect(web), Client::connect(web)];
    for client in &mut clients {
        client.send(ASK);
    }
    for endpoint in [&one, &two] {
        endpoint.wait_for_request_list("a request", |requests| {
            requests
                .iter()
                .any(|request| request.line().contains("GET / "))
        });
    }
    fiel.signal(Signal::TERM);
    wait_until_refused(web);

    one.behave_at("/live", Behaviour::status(503));
    // What the dead one held is tried at the other.
    eventually("a second request", || {
        (two.requests_to("/").len() == 2).then_some(())
    });
    two.release_all();

    for client in &mut clients {
        assert_eq!(client.response().text(), "two");
    }
    assert_exits(&fiel);
}

#[test]
fn the_last_lines_of_the_access_log_are_there() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "drain: 1s");
    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..500 {
        assert_eq!(client.get("/").status, 200);
    }

    fiel.signal(Signal::TERM);

    assert_exits(&fiel);
    assert_eq!(fiel.access_log().len(), 500);
}

#[test]
fn a_log_that_was_moved_away_is_reopened_at_a_signal_even_while_it_drains() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/held", Behaviour::stall());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let fiel = Fiel::start(&format!(
        "{}accessLog: {{ output: {{ file: {} }} }}\n",
        ending(&endpoint, "drain: 0s"),
        log.display()
    ));
    let web = fiel.address("web");
    let mut held = Client::connect(web);
    let lines = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        text.lines().count()
    };
    let wait_for_lines = |name: &str, count: usize| {
        eventually(&format!("{count} lines in {name}"), || {
            (lines(name) == count).then_some(())
        });
    };
    let rotate = |to: &str| {
        fs::rename(&log, folder.path().join(to)).unwrap();
        fiel.signal(Signal::USR1);
        eventually("a new file", || log.exists().then_some(()));
    };
    assert_eq!(held.get("/").status, 200);
    wait_for_lines("access.log", 1);
    rotate("first.log");
    assert_eq!(held.get("/").status, 200);
    wait_for_lines("access.log", 1);

    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(3);
    fiel.signal(Signal::TERM);
    wait_until_refused(web);
    rotate("second.log");
    endpoint.release();

    assert_eq!(held.response().status, 200);
    assert_exits(&fiel);
    assert_eq!(
        ["first.log", "second.log", "access.log"].map(lines),
        [1, 1, 1]
    );
}

#[test]
fn a_signal_for_an_upgrade_is_refused_and_changes_nothing() {
    let endpoint = Endpoint::start("a");
    let fiel = start(&endpoint, "drain: 1s");

    fiel.signal(Signal::USR2);

    fiel.wait_for_log("not in this version");
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
}

#[test]
fn a_reload_is_not_taken_up_while_it_drains() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = start(&endpoint, "drain: 0s");
    let web = fiel.address("web");
    let mut held = Client::connect(web);
    held.send(ASK);
    endpoint.wait_for_requests(1);
    fiel.signal(Signal::TERM);
    wait_until_refused(web);

    fiel.rewrite(&ending(&endpoint, "drain: 1s").replace("name: web", "name: other"));
    fiel.signal(Signal::HUP);

    fiel.wait_for_log("Configuration is not reloaded");
    endpoint.release();
    assert_eq!(held.response().text(), "a");
    assert_exits(&fiel);
    let log = fiel.log().join("\n");
    assert!(!log.contains("listener=other"), "{log}");
}
