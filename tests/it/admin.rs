//! The admin address, from outside: what it tells, what it carries out, and whom it refuses.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;

use super::support::client::{self, Client, Response};
use super::support::{Behaviour, Endpoint, Fiel, Scrape, wait, yaml};

fn ask(address: SocketAddr, line: &str, fields: &str) -> Response {
    client::request(
        address,
        format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
    )
}

fn get(fiel: &Fiel, path: &str) -> Response {
    ask(fiel.admin(), &format!("GET {path}"), "")
}

fn post(fiel: &Fiel, path: &str) -> Response {
    ask(fiel.admin(), &format!("POST {path}"), "")
}

#[test]
fn it_is_alive_and_ready_once_every_probed_endpoint_has_had_its_first_verdict() {
    let slow = Endpoint::behaving("slow", Behaviour::stall());
    let fiel = Fiel::start(&format!(
        "{}    readinessProbe: {{ httpGet: {{ path: /ready }}, timeoutSeconds: 60, periodSeconds: 60 }}\n",
        yaml::shop(&[("app", "1", &[slow.address()])])
    ));
    assert_eq!(get(&fiel, "/livez").status, 200);

    let early = get(&fiel, "/readyz");
    assert_eq!(early.status, 503, "{}", early.text());
    assert!(early.text().contains("verdict"), "{}", early.text());

    slow.release_all();
    wait::eventually("a ready fiel", || {
        (get(&fiel, "/readyz").status == 200).then_some(())
    });
}

#[test]
fn it_is_not_ready_while_it_drains() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&format!(
        "shutdown: {{ delay: 60s }}\n{}",
        yaml::shop(&[("app", "1", &[one.address()])])
    ));
    assert_eq!(get(&fiel, "/readyz").status, 200);

    fiel.signal(Signal::TERM);
    fiel.wait_for_log("Draining");

    let answer = get(&fiel, "/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("drain"), "{}", answer.text());
    assert_eq!(get(&fiel, "/livez").status, 200);
}

#[test]
fn the_status_tells_the_exact_counts_of_a_split() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&yaml::shop(&[
        ("v1", "95", &[one.address()]),
        ("v2", "5", &[two.address()]),
    ]));
    for _ in 0..40 {
        assert_eq!(client::get(fiel.address("web"), "/").status, 200);
    }

    let status = get(&fiel, "/status").json();

    let split = &status["routes"][0]["split"];
    assert_eq!(
        (&split[0]["assigned"], &split[1]["assigned"]),
        (&38.into(), &2.into())
    );
    assert_eq!(split[0]["expected"].as_f64(), Some(38.0));
    assert_eq!(status["routes"][0]["position"], 40);
    assert_eq!(status["pools"][0]["endpoints"][0]["state"], "ready");
}

#[test]
fn a_reload_is_answered_when_every_worker_reads_the_new_configuration() {
    let one = Endpoint::start("one");
    let text = |body: &str| {
        format!(
            "workers: 2\nadmin: {{ bind: 127.0.0.1:0 }}\nlisteners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, respond: {{ body: {body} }} }} ]\npools: {{ app: {{ endpoints: [\"{}\"] }} }}\n",
            one.address()
        )
    };
    let fiel = Fiel::start(&text("round0"));
    let mut clients: Vec<Client> = (0..16)
        .map(|_| Client::connect(fiel.address("web")))
        .collect();
    for round in 1..=10 {
        let body = format!("round{round}");
        fs::write(fiel.file(), text(&body)).unwrap();
        let answer = post(&fiel, "/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        for client in &mut clients {
            assert_eq!(client.get("/").text(), body);
        }
    }
}

#[test]
fn a_rejected_reload_is_answered_with_its_problems_and_shown_in_the_status() {
    let one = Endpoint::start("one");
    let right = yaml::shop(&[("app", "1", &[one.address()])]);
    let fiel = Fiel::start(&right);
    fs::write(fiel.file(), right.replace("routes:", "rutes:")).unwrap();

    let answer = post(&fiel, "/reload");

    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("did you mean \"routes\""),
        "{}",
        answer.text()
    );
    let error = get(&fiel, "/status").json()["config"]["lastError"].to_string();
    assert!(error.contains("rutes"), "{error}");
    assert_eq!(client::get(fiel.address("web"), "/").text(), "one");
}

#[test]
fn an_endpoint_drained_by_hand_takes_nothing_until_it_is_undrained_and_stays_so_over_a_reload() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let text = yaml::shop(&[("app", "1", &[one.address(), two.address()])]);
    let fiel = Fiel::start(&text);
    let path = format!("/pools/app/endpoints/{}", one.address());

    assert_eq!(post(&fiel, &format!("{path}/drain")).status, 200);
    fs::write(fiel.file(), format!("{text}\nzone: b\n")).unwrap();
    assert_eq!(post(&fiel, "/reload").status, 200);
    for _ in 0..6 {
        assert_eq!(client::get(fiel.address("web"), "/").text(), "two");
    }
    let state =
        |fiel: &Fiel| get(fiel, "/status").json()["pools"][0]["endpoints"][0]["state"].clone();
    assert_eq!(state(&fiel), "draining");

    assert_eq!(post(&fiel, &format!("{path}/undrain")).status, 200);
    assert_eq!(state(&fiel), "ready");
    let answers: Vec<String> = (0..4)
        .map(|_| client::get(fiel.address("web"), "/").text())
        .collect();
    assert!(answers.contains(&"one".to_owned()), "{answers:?}");

    assert_eq!(
        post(&fiel, "/pools/app/endpoints/127.0.0.1:1/drain").status,
        404
    );
}

#[test]
fn orders_need_the_token_and_reading_on_loopback_does_not() {
    let one = Endpoint::start("one");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let fiel = Fiel::start(&format!(
        "admin: {{ bind: 127.0.0.1:0, tokenFile: {} }}\n{}",
        token.display(),
        yaml::shop(&[("app", "1", &[one.address()])]).replace("admin: { bind: 127.0.0.1:0 }", "")
    ));
    let reload = |fields: &str| ask(fiel.admin(), "POST /reload", fields).status;

    assert_eq!(get(&fiel, "/status").status, 200);
    assert_eq!(reload(""), 401);
    assert_eq!(reload("Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(reload("Authorization: Bearer s3cret\r\n"), 200);
    assert!(!get(&fiel, "/config").text().contains("s3cret"));
}

#[test]
fn pages_of_other_sites_and_other_names_are_refused() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[one.address()])]));
    let order = |fields: &str| ask(fiel.admin(), "POST /reload", fields).status;
    assert_eq!(order("Origin: http://evil.example\r\n"), 403);
    assert_eq!(order("Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(order("Sec-Fetch-Site: same-origin\r\n"), 200);
    let named = client::request(
        fiel.admin(),
        "GET /status HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
    );
    assert_eq!(named.status, 403);
}

#[test]
fn the_reading_address_tells_only_what_probes_and_scrapers_ask() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&format!(
        "admin: {{ bind: 127.0.0.1:0, readBind: 127.0.0.2:0 }}\n{}",
        yaml::shop(&[("app", "1", &[one.address()])]).replace("admin: { bind: 127.0.0.1:0 }", "")
    ));
    let line = fiel.wait_for_log("Admin listening for reading");
    let address: SocketAddr = line
        .rsplit_once("address=")
        .unwrap()
        .1
        .trim()
        .parse()
        .unwrap();
    for (line, status) in [
        ("GET /livez", 200),
        ("GET /readyz", 200),
        ("GET /metrics", 200),
        ("HEAD /metrics", 200),
        ("GET /status", 404),
        ("GET /config", 404),
        ("GET /", 404),
    ] {
        assert_eq!(ask(address, line, "").status, status, "{line}");
    }
    assert_ne!(ask(address, "POST /reload", "").status, 200);
}

#[test]
fn wrong_methods_and_paths_are_told_what_there_is() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[one.address()])]));
    let wrong = ask(fiel.admin(), "DELETE /status", "");
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let unknown = get(&fiel, "/nothing");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("/status"), "{}", unknown.text());
    let page = get(&fiel, "/").text();
    for path in ["/status", "/metrics", "/config", "/livez", "/readyz"] {
        assert!(page.contains(&format!("href=\"{path}\"")), "{page}");
    }
    assert!(Scrape::of(&fiel).text().contains("fiel_build_info"));
}
