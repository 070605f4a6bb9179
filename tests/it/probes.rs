//! Chapter 2, probes: which states they lead to, and what these mean for requests and connections.
//!
//! Where a test needs a request at one endpoint of two, the other is a backup: it is chosen when the first is not ready.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::support::client::{self, End};
use crate::support::endpoint::Received;
use crate::support::wait::eventually;
use crate::support::{Behaviour, Client, Endpoint, Fiel, Step};

const READINESS: &str =
    "readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1, failureThreshold: 1 }";
const LIVENESS: &str =
    "livenessProbe: { httpGet: { path: /live }, periodSeconds: 0.1, failureThreshold: 1 }";
const STARTUP: &str = "startupProbe: { httpGet: { path: /started }, periodSeconds: 0.1 }";

/// One route to one pool of these endpoints with these further keys.
fn shop(endpoints: &[String], keys: &[&str]) -> String {
    let mut yaml = format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\n\
         admin: {{ bind: 127.0.0.1:0 }}\n\
         routes: [ {{ name: shop, split: [ {{ pool: shop, weight: 1 }} ] }} ]\n\
         pools:\n  shop:\n    endpoints: [ {} ]\n",
        endpoints.join(", ")
    );
    for key in keys {
        yaml.push_str(&format!("    {key}\n"));
    }
    yaml
}

fn plain(endpoint: &Endpoint) -> String {
    format!("\"{}\"", endpoint.address())
}

fn backup(endpoint: &Endpoint) -> String {
    format!("{{ address: \"{}\", backup: true }}", endpoint.address())
}

fn answers(endpoint: &Endpoint, path: &str, status: u16) {
    endpoint.behave_at(path, Behaviour::status(status));
}

/// An endpoint that answers all its probes with 200, and leaves requests to `/slow` waiting.
fn sound(name: &str) -> Endpoint {
    let endpoint = Endpoint::start(name);
    for path in ["/started", "/ready", "/live"] {
        answers(&endpoint, path, 200);
    }
    endpoint.behave_at("/slow", Behaviour::stall());
    endpoint
}

/// A main endpoint and its backup, both ready, with these probes.
fn main_and_backup(keys: &[&str]) -> (Endpoint, Endpoint, Fiel) {
    let (main, spare) = (sound("main"), sound("spare"));
    let fiel = Fiel::start(&shop(&[plain(&main), backup(&spare)], keys));
    if keys.contains(&READINESS) || keys.contains(&STARTUP) {
        fiel.wait_for_state(main.address(), "ready", 1);
        fiel.wait_for_state(spare.address(), "ready", 1);
    }
    (main, spare, fiel)
}

/// Sends a request that stalls at this endpoint, and tells on which of its connections it is.
fn stall_at(endpoint: &Endpoint, fiel: &Fiel, request: &str) -> (Client, usize) {
    let mut client = Client::connect(fiel.address("web"));
    client.send(request);
    let requests = endpoint
        .wait_for_request_list("a stalled request", |requests| requests.iter().any(is_slow));
    let stalled = requests.iter().rfind(|one| is_slow(one));
    (client, stalled.expect("it was waited for").connection)
}

fn is_slow(request: &Received) -> bool {
    request.line().contains(" /slow ")
}

const GET_SLOW: &str = "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n";
const POST_SLOW: &str = "POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";

fn ask(fiel: &Fiel) -> (u16, String) {
    let answer = client::get(fiel.address("web"), "/");
    (answer.status, answer.text())
}

fn served_by(name: &str) -> (u16, String) {
    (200, name.to_owned())
}

#[test]
fn an_endpoint_without_probes_is_ready_at_once_and_never_asked() {
    let endpoint = Endpoint::start("bare");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[]));

    assert_eq!(ask(&fiel), served_by("bare"));
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn an_unready_endpoint_gets_no_new_requests_and_the_one_in_flight_ends_well() {
    let (main, _spare, fiel) = main_and_backup(&[READINESS]);
    let (mut client, _) = stall_at(&main, &fiel, GET_SLOW);

    answers(&main, "/ready", 503);
    fiel.wait_for_state(main.address(), "unready", 1);

    assert_eq!(
        [ask(&fiel), ask(&fiel)],
        [served_by("spare"), served_by("spare")]
    );
    main.release();
    let answer = client.response();
    assert_eq!((answer.status, answer.text()), served_by("main"));
    answers(&main, "/ready", 200);
    fiel.wait_for_state(main.address(), "ready", 2);
    assert_eq!(ask(&fiel), served_by("main"));
}

#[test]
fn a_dead_endpoint_loses_its_connections_and_a_get_in_flight_is_answered_elsewhere() {
    let (main, spare, fiel) = main_and_backup(&[READINESS, LIVENESS]);
    spare.release_all();
    let (mut client, busy) = stall_at(&main, &fiel, GET_SLOW);
    assert_eq!(ask(&fiel), served_by("main"));
    let unused = main.requests_to("/")[0].connection;

    answers(&main, "/live", 500);

    let answer = client.response();
    assert_eq!((answer.status, answer.text()), served_by("spare"));
    for connection in [busy, unused] {
        main.wait_for_end(connection);
    }
    fiel.wait_for_state(main.address(), "dead", 1);
    assert_eq!(ask(&fiel), served_by("spare"));
    let log = fiel.wait_for_access_log(3);
    let retried = log.iter().find(|line| line["path"] == "/slow").unwrap();
    assert_eq!(retried["attempts"], 2, "{retried}");
    assert_eq!(
        retried["endpoint"],
        spare.address().to_string(),
        "{retried}"
    );
}

#[test]
fn a_post_in_flight_at_an_endpoint_that_dies_gets_502_and_is_not_repeated() {
    let (main, spare, fiel) = main_and_backup(&[READINESS, LIVENESS]);
    let (mut client, _) = stall_at(&main, &fiel, POST_SLOW);

    answers(&main, "/live", 500);

    let answer = client.response();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=connection_terminated")
    );
    assert_eq!(spare.requests_to("/slow").len(), 0);
    let log = fiel.wait_for_access_log(1);
    assert_eq!(log[0]["reason"], "endpoint_dead", "{}", log[0]);
}

#[test]
fn a_download_from_an_endpoint_that_dies_is_cut() {
    let (main, _spare, fiel) = main_and_backup(&[READINESS, LIVENESS]);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
    main.behave_at("/slow", Behaviour::pieces([head, "later"]));
    let (mut client, connection) = stall_at(&main, &fiel, GET_SLOW);
    assert_eq!(client.head().status, 200);
    assert_eq!(client.read_exact(5), b"first");

    answers(&main, "/live", 500);

    let (rest, _) = client.read_to_end();
    assert_eq!(rest, b"", "nothing is made up");
    main.wait_for_end(connection);
}

#[test]
fn a_dead_endpoint_that_lives_again_begins_with_its_startup() {
    let (main, spare, fiel) = main_and_backup(&[STARTUP, READINESS, LIVENESS]);
    answers(&main, "/live", 500);
    fiel.wait_for_state(main.address(), "dead", 1);

    answers(&main, "/started", 503);
    answers(&main, "/live", 200);

    let revived = fiel.wait_for_state(main.address(), "starting", 1);
    // Verdicts that wait together make one change: on a slow machine the first startup probe has its say too.
    let reasons = ["liveness probe: HTTP 200", "startup probe: HTTP 503"];
    assert!(
        revived[0].contains("from=\"dead\"")
            && reasons.iter().any(|reason| revived[0].contains(reason)),
        "{}",
        revived[0]
    );
    assert_eq!(ask(&fiel), served_by("spare"));
    // Two startup probes later, a readiness probe that was on the way has come; two more later, none has followed.
    let mut ready = Vec::new();
    for _ in 0..2 {
        let started = main.requests_to("/started").len();
        main.wait_for_request_list("two more startup probes", |requests| {
            to(requests, "/started") >= started + 2
        });
        ready.push(main.requests_to("/ready").len());
    }
    assert_eq!(ready[0], ready[1], "readiness waits");
    answers(&main, "/started", 200);
    fiel.wait_for_state(main.address(), "ready", 2);
    assert_eq!(ask(&fiel), served_by("main"));
    drop(spare);
}

fn to(requests: &[Received], path: &str) -> usize {
    let asked = format!("GET {path} ");
    requests
        .iter()
        .filter(|one| one.line().starts_with(&asked))
        .count()
}

#[test]
fn the_startup_probe_holds_the_others_back_until_it_succeeds() {
    let endpoint = sound("late");
    answers(&endpoint, "/started", 503);
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[STARTUP, READINESS, LIVENESS]));

    let requests = endpoint.wait_for_request_list("four startup probes", |requests| {
        to(requests, "/started") >= 4
    });

    assert_eq!(to(&requests, "/started"), requests.len(), "no other probe");
    assert_eq!(ask(&fiel).0, 503, "it is starting");
    answers(&endpoint, "/started", 200);
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    assert_eq!(ask(&fiel), served_by("late"));
    let started = endpoint.requests_to("/started").len();
    endpoint.wait_for_request_list("more of the others", |requests| {
        to(requests, "/ready") >= 3 && to(requests, "/live") >= 3
    });
    let now = endpoint.requests_to("/started").len();
    assert_eq!(now, started, "the startup probe has done its part");
}

#[test]
fn thresholds_count_results_in_a_row() {
    let endpoint = Endpoint::start("counted");
    let readiness = "readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1, \
        timeoutSeconds: 60, successThreshold: 3, failureThreshold: 2 }";
    let mut probes = 0;
    // Each probe is held at the endpoint until the next result is known, so that the results are exactly these.
    let held = |status: u16| {
        let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
        Behaviour(vec![
            Step::ReadBody,
            Step::AwaitRelease,
            Step::Write(answer.into_bytes()),
        ])
    };
    let results = [503, 200, 200, 503, 200, 200, 200, 503, 200, 503, 503];
    endpoint.behave_at("/ready", held(results[0]));
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[readiness]));
    let mut answer_and_await_next = |next: u16| {
        probes += 1;
        endpoint.wait_for_request_list("the next probe", |requests| {
            to(requests, "/ready") == probes
        });
        endpoint.behave_at("/ready", held(next));
        endpoint.release();
        endpoint.wait_for_request_list("the probe after it", |requests| {
            to(requests, "/ready") == probes + 1
        });
    };

    // A failure, and twice less than three successes.
    for next in &results[1..=6] {
        assert_eq!(ask(&fiel).0, 503, "before {next}");
        answer_and_await_next(*next);
    }
    answer_and_await_next(results[7]);
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    // A failure, a success and a failure are not two failures in a row.
    for next in &results[8..=10] {
        answer_and_await_next(*next);
        assert_eq!(ask(&fiel), served_by("counted"), "before {next}");
    }
    answer_and_await_next(200);
    fiel.wait_for_state(endpoint.address(), "unready", 1);
    assert_eq!(ask(&fiel).0, 503);
}

#[test]
fn at_most_half_of_a_pool_is_dead_and_nothing_of_the_others_is_cut() {
    let [one, two] = ["one", "two"].map(sound);
    let fiel = Fiel::start(&shop(&[plain(&one), plain(&two)], &[READINESS, LIVENESS]));
    fiel.wait_for_state(one.address(), "ready", 1);
    fiel.wait_for_state(two.address(), "ready", 1);
    answers(&one, "/live", 500);
    fiel.wait_for_state(one.address(), "dead", 1);
    let (mut client, _) = stall_at(&two, &fiel, POST_SLOW);

    answers(&two, "/live", 500);

    fiel.wait_for_state(two.address(), "unready", 1);
    fiel.wait_for_log("Endpoints fail liveness beyond the bound");
    assert_eq!(ask(&fiel).0, 503);
    two.release();
    assert_eq!(client.response().text(), "two");
    // When the dead one lives again, its place goes to the one that was held back.
    answers(&one, "/live", 200);
    fiel.wait_for_state(two.address(), "dead", 1);
    fiel.wait_for_state(one.address(), "ready", 2);
    assert_eq!(ask(&fiel), served_by("one"));
}

#[test]
fn the_only_endpoint_of_a_pool_may_be_dead() {
    let only = sound("only");
    let fiel = Fiel::start(&shop(&[plain(&only)], &[LIVENESS]));
    assert_eq!(
        ask(&fiel),
        served_by("only"),
        "without readiness it is ready"
    );

    answers(&only, "/live", 500);

    fiel.wait_for_state(only.address(), "dead", 1);
    assert_eq!(ask(&fiel).0, 503);
    answers(&only, "/live", 200);
    fiel.wait_for_state(only.address(), "ready", 1);
    assert_eq!(ask(&fiel), served_by("only"));
}

#[test]
fn the_same_probe_of_two_pools_is_sent_once() {
    let endpoint = Endpoint::start("shared");
    endpoint.behave_at("/ready", Behaviour::stall());
    let readiness = READINESS.replace(
        "periodSeconds: 0.1",
        "periodSeconds: 0.1, timeoutSeconds: 60",
    );
    let mut yaml = shop(&[plain(&endpoint)], &[&readiness]);
    yaml.push_str(&format!(
        "  other:\n    endpoints: [ {} ]\n    {readiness}\n",
        plain(&endpoint)
    ));
    yaml = yaml.replace(
        "routes: [ ",
        "routes: [ { name: other, match: { path: { prefix: /other } }, split: [ { pool: other, weight: 1 } ] }, ",
    );
    let fiel = Fiel::start(&yaml);

    endpoint.release();

    // One answer to one probe is a verdict for both.
    let changes = fiel.wait_for_state(endpoint.address(), "ready", 2);
    assert!(
        changes.iter().any(|line| line.contains("pool=shop ")),
        "{changes:?}"
    );
    assert!(
        changes.iter().any(|line| line.contains("pool=other ")),
        "{changes:?}"
    );
    assert_eq!(client::get(fiel.address("web"), "/other").text(), "shared");
}

#[test]
fn a_redirect_is_a_success_and_404_a_failure() {
    let endpoint = Endpoint::start("judged");
    answers(&endpoint, "/ready", 302);
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    let mut changes = fiel.wait_for_state(endpoint.address(), "ready", 1);

    for (round, status) in [(1, 404), (2, 500), (3, 199 + 201)] {
        answers(&endpoint, "/ready", status);
        let failed = fiel.wait_for_state(endpoint.address(), "unready", round);
        let reason = format!("reason=readiness probe: HTTP {status}");
        assert!(failed[round - 1].contains(&reason), "{}", failed[round - 1]);
        answers(&endpoint, "/ready", 399);
        changes = fiel.wait_for_state(endpoint.address(), "ready", round + 1);
    }
    assert!(changes[0].contains("HTTP 302"), "{}", changes[0]);
}

#[test]
fn a_probe_goes_to_the_named_port_with_the_fields_it_was_given() {
    let (main, side) = (Endpoint::start("main"), sound("side"));
    let port = side.address().port();
    let keys = [
        format!("ports: {{ health: {port} }}"),
        "readinessProbe: { httpGet: { path: \"/ready?deep=1\", port: health, httpHeaders: [ \
         { name: Host, value: shop.example }, { name: X-Probe, value: fiel } ] }, \
         periodSeconds: 0.1 }"
            .to_owned(),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let fiel = Fiel::start(&shop(&[plain(&main)], &keys));

    fiel.wait_for_state(main.address(), "ready", 1);

    let probe = &side.requests()[0];
    assert_eq!(probe.line(), "GET /ready?deep=1 HTTP/1.1");
    let hosts: Vec<String> = probe
        .headers()
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(hosts, ["shop.example"]);
    assert_eq!(probe.header("x-probe").as_deref(), Some("fiel"));
    assert_eq!(
        main.requests().len(),
        0,
        "nothing goes to the endpoint itself"
    );
    assert_eq!(ask(&fiel), served_by("main"));
}

#[test]
fn without_further_words_a_probe_names_the_endpoint_as_its_host() {
    let endpoint = sound("plain");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);

    let probe = &endpoint.requests()[0];

    let host = endpoint.address().to_string();
    assert_eq!(probe.header("host"), Some(host));
    let agent = probe.header("user-agent").unwrap_or_default();
    assert!(agent.starts_with("fiel-probe/"), "{agent}");
}

#[test]
fn a_socket_that_opens_is_ready_and_one_that_refuses_is_not() {
    let mut endpoint = Endpoint::start("socket");
    let readiness = "readinessProbe: { tcpSocket: {}, periodSeconds: 0.1, failureThreshold: 1 }";
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[readiness]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    assert_eq!(ask(&fiel), served_by("socket"));

    endpoint.stop_listening();

    let changes = fiel.wait_for_state(endpoint.address(), "unready", 1);
    assert!(changes[0].contains("connection refused"), "{}", changes[0]);
    assert_eq!(ask(&fiel).0, 503);
    let again = Endpoint::start_at("again", endpoint.address());
    fiel.wait_for_state(again.address(), "ready", 2);
}

#[test]
fn a_probe_that_is_not_answered_in_time_has_failed() {
    let endpoint = sound("slow");
    let readiness = "readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1, \
        timeoutSeconds: 0.2, failureThreshold: 1 }";
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[readiness]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);

    endpoint.behave_at("/ready", Behaviour::stall());

    let changes = fiel.wait_for_state(endpoint.address(), "unready", 1);
    assert!(changes[0].contains("timeout after 200ms"), "{}", changes[0]);
    assert_eq!(ask(&fiel).0, 503);
}

#[test]
fn each_change_of_state_is_logged_once_with_its_reason() {
    let endpoint = sound("told");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    answers(&endpoint, "/ready", 503);
    fiel.wait_for_state(endpoint.address(), "unready", 1);
    let probes = endpoint.requests_to("/ready").len();

    endpoint.wait_for_request_list("more failing probes", |requests| {
        to(requests, "/ready") >= probes + 3
    });
    answers(&endpoint, "/ready", 200);
    fiel.wait_for_state(endpoint.address(), "ready", 2);

    let unready = fiel.changes_to(endpoint.address(), "unready");
    assert_eq!(unready.len(), 1, "{unready:?}");
    for part in [
        "pool=shop",
        "from=\"ready\"",
        "reason=readiness probe: HTTP 503",
    ] {
        assert!(unready[0].contains(part), "no {part}: {}", unready[0]);
    }
    assert_eq!(fiel.wait_for_logs("Endpoint changed its state", 3).len(), 3);
}

#[test]
fn an_endpoint_that_leaves_the_configuration_is_logged_as_draining() {
    let [stays, goes] = ["stays", "goes"].map(Endpoint::start);
    let fiel = Fiel::start(&shop(&[plain(&stays), plain(&goes)], &[]));

    reload(&fiel, &shop(&[plain(&stays)], &[]));

    let left = fiel.wait_for_state(goes.address(), "draining", 1);
    assert!(
        left[0].contains("reason=left the configuration"),
        "{}",
        left[0]
    );
    assert_eq!(
        [ask(&fiel), ask(&fiel)],
        [served_by("stays"), served_by("stays")]
    );
}

#[test]
fn a_reload_that_takes_the_probe_away_is_the_reason_of_the_state_it_makes() {
    let endpoint = sound("freed");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    answers(&endpoint, "/ready", 503);
    fiel.wait_for_state(endpoint.address(), "unready", 1);

    reload(&fiel, &shop(&[plain(&endpoint)], &[]));

    let ready = fiel.wait_for_state(endpoint.address(), "ready", 2);
    assert!(ready[1].contains("reason=configured"), "{}", ready[1]);
    assert_eq!(ask(&fiel), served_by("freed"));
}

fn reload(fiel: &Fiel, yaml: &str) {
    fiel.rewrite(yaml);
    fiel.signal(Signal::HUP);
}

#[test]
fn probes_go_on_during_traffic() {
    let endpoint = sound("busy");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    let (address, enough) = (fiel.address("web"), AtomicBool::new(false));

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !enough.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
        let before = endpoint.requests_to("/ready").len();
        endpoint.wait_for_request_list("ten more probes", |requests| {
            to(requests, "/ready") >= before + 10
        });
        enough.store(true, Ordering::Relaxed);
    });

    assert_eq!(fiel.changes_to(endpoint.address(), "unready"), [""; 0]);
}

#[test]
fn every_probe_has_a_connection_of_its_own_and_closes_it() {
    let endpoint = sound("probed");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[READINESS]));
    fiel.wait_for_state(endpoint.address(), "ready", 1);

    let probes = endpoint.wait_for_requests(3);

    for (index, probe) in probes.iter().take(2).enumerate() {
        assert_eq!(probe.connection, index);
        assert_eq!(probe.header("connection").as_deref(), Some("close"));
        assert_eq!(endpoint.wait_for_end(index), End::Fin);
    }
}

/// A block of Kubernetes as it stands in its documentation, with another file and period.
fn exists(file: &Path) -> String {
    format!(
        "readinessProbe:\n      exec:\n        command:\n        - cat\n        - {}\n      \
         initialDelaySeconds: 0\n      periodSeconds: 0.1\n      failureThreshold: 1",
        file.display()
    )
}

#[test]
fn a_program_decides_by_its_exit_status() {
    let endpoint = Endpoint::start("told");
    let folder = tempfile::tempdir().unwrap();
    let healthy = folder.path().join("healthy");
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[&exists(&healthy)]));
    assert_eq!(ask(&fiel).0, 503);

    fs::write(&healthy, "").unwrap();
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    assert_eq!(ask(&fiel), served_by("told"));

    fs::remove_file(&healthy).unwrap();
    let unready = fiel.wait_for_state(endpoint.address(), "unready", 1);
    assert!(unready[0].contains("exit status 1"), "{}", unready[0]);
    assert!(unready[0].contains("healthy"), "{}", unready[0]);
    assert_eq!(ask(&fiel).0, 503);
    assert_eq!(endpoint.requests().len(), 1, "it is not asked itself");
}

#[test]
fn a_program_beside_the_configuration_may_come_later() {
    use std::os::unix::fs::PermissionsExt as _;
    let endpoint = Endpoint::start("late");
    let startup = "startupProbe: { exec: { command: [./check, --now] }, periodSeconds: 0.1 }";
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[startup]));
    let status = || {
        let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = client::request(fiel.admin(), request).text();
        answer.contains("check: there is none").then_some(())
    };
    eventually("the probe to say why", status);

    let (aside, check) = (fiel.folder().join("aside"), fiel.folder().join("check"));
    fs::write(&aside, "#!/bin/sh\ntest \"$*\" = --now\n").unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(aside, check).unwrap();

    fiel.wait_for_state(endpoint.address(), "ready", 1);
    assert_eq!(ask(&fiel), served_by("late"));
}

#[test]
fn a_program_whose_pool_dies_by_it_is_killed_with_its_group_at_its_timeout() {
    let endpoint = Endpoint::start("slow");
    let folder = tempfile::tempdir().unwrap();
    let (slow, numbers) = (folder.path().join("slow"), folder.path().join("numbers"));
    let script = format!(
        "test ! -e {} && exit 0; sleep 1000 & echo $$ $! >> {}; wait",
        slow.display(),
        numbers.display()
    );
    let liveness = format!(
        "livenessProbe: {{ exec: {{ command: [sh, -c, \"{script}\"] }}, periodSeconds: 0.1, \
         timeoutSeconds: 2, failureThreshold: 1 }}"
    );
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[&liveness]));
    assert_eq!(ask(&fiel), served_by("slow"));

    fs::write(&slow, "").unwrap();
    let dead = fiel.wait_for_state(endpoint.address(), "dead", 1);
    assert!(dead[0].contains("timeout after 2s"), "{}", dead[0]);
    assert_eq!(ask(&fiel).0, 503);
    fs::remove_file(&slow).unwrap();
    fiel.wait_for_state(endpoint.address(), "ready", 1);

    // Nothing, where it was too slow to say anything.
    let text = fs::read_to_string(numbers).unwrap_or_default();
    for number in text.split_whitespace() {
        wait_until_ended(number);
    }
    eventually("no zombies", || zombies_of(&fiel).is_empty().then_some(()));
}

#[test]
fn programs_that_run_when_fiel_ends_end_too() {
    let endpoint = Endpoint::start("ended");
    let folder = tempfile::tempdir().unwrap();
    let numbers = folder.path().join("numbers");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", numbers.display());
    let readiness = format!(
        "readinessProbe: {{ exec: {{ command: [sh, -c, \"{script}\"] }}, timeoutSeconds: 1000, periodSeconds: 1000 }}"
    );
    let fiel = Fiel::start(&shop(&[plain(&endpoint)], &[&readiness]));
    let text = eventually("the program to run", || {
        let text = fs::read_to_string(&numbers).ok()?;
        text.ends_with('\n').then_some(text)
    });

    fiel.signal(Signal::TERM);

    assert!(fiel.wait_exit().success());
    for number in text.split_whitespace() {
        wait_until_ended(number);
    }
}

#[test]
fn a_program_is_run_for_each_pool_and_told_which() {
    let endpoint = Endpoint::start("shared");
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = format!(
        "echo $FIEL_POOL $FIEL_ENDPOINT >> {}; test $FIEL_POOL = shop",
        told.display()
    );
    let readiness = format!(
        "readinessProbe: {{ exec: {{ command: [sh, -c, \"{script}\"] }}, periodSeconds: 1000, timeoutSeconds: 60 }}"
    );
    let mut yaml = shop(&[plain(&endpoint)], &[&readiness]);
    yaml.push_str(&format!(
        "  other:\n    endpoints: [ {} ]\n    {readiness}\n",
        plain(&endpoint)
    ));
    let fiel = Fiel::start(&yaml);

    fiel.wait_for_state(endpoint.address(), "ready", 1);
    let lines = eventually("both pools", || {
        let text = fs::read_to_string(&told).ok()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (lines.len() >= 2).then_some(lines)
    });

    let address = endpoint.address();
    assert_eq!(
        lines,
        [format!("other {address}"), format!("shop {address}")]
    );
    assert_eq!(ask(&fiel), served_by("shared"));
}

/// Waits until this process has ended; one that its parent has not waited for has.
fn wait_until_ended(number: &str) {
    eventually(&format!("the end of {number}"), || {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        let (_, behind) = stat.rsplit_once(") ").unwrap_or_default();
        (behind.is_empty() || behind.starts_with('Z')).then_some(())
    });
}

/// The children of fiel that have ended and that it has not waited for.
fn zombies_of(fiel: &Fiel) -> Vec<String> {
    let own = format!("Z {} ", fiel.pid());
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            let (_, behind) = stat.rsplit_once(") ").unwrap_or_default();
            behind.starts_with(&own)
        })
        .collect()
}
