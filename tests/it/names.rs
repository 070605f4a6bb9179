//! Chapter 2, endpoints by host name: where their addresses come from, what a change of them does to requests, how a
//! weight is shared, and what happens when nobody can say.
//!
//! All addresses of a name have one port, so endpoints of one name stand on several addresses of the loopback network.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::dns::{Dns, Says};
use crate::support::{Client, Endpoint, Fiel, Scrape, client, wait};

const READYZ: &str = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const IN_FORCE: &str = "Configuration is in force";

/// One route to one pool of these endpoints, with this resolver and these further keys of the pool.
fn shop(resolver: &str, endpoints: &[&str], keys: &[&str]) -> String {
    let mut yaml = format!(
        "{resolver}listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\n\
         routes: [ {{ name: shop, split: [ {{ pool: shop, weight: 1 }} ] }} ]\n\
         pools:\n  shop:\n    endpoints: [ {} ]\n",
        endpoints.join(", ")
    );
    for key in keys {
        yaml.push_str(&format!("    {key}\n"));
    }
    yaml
}

/// An endpoint at each of these addresses of the loopback network, all on one port, named by the last number.
fn on_one_port<const N: usize>(last: [u8; N]) -> ([Endpoint; N], u16) {
    let at = |last: u8, port: u16| SocketAddr::from(([127, 0, 0, last], port));
    for _ in 0..100 {
        // The first holds the port; on the other addresses hardly anybody else is.
        let first = Endpoint::start_at(&last[0].to_string(), at(last[0], 0));
        let port = first.address().port();
        let others = last.iter().skip(1);
        if others
            .clone()
            .all(|&last| TcpListener::bind(at(last, port)).is_ok())
        {
            let others = others.map(|&last| Endpoint::start_at(&last.to_string(), at(last, port)));
            let all: Vec<Endpoint> = [first].into_iter().chain(others).collect();
            return (all.try_into().expect("one for each"), port);
        }
    }
    panic!("no port is free on all of {last:?}");
}

fn ip(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

fn ask(fiel: &Fiel) -> (u16, String) {
    let answer = client::get(fiel.address("web"), "/");
    (answer.status, answer.text())
}

fn status(fiel: &Fiel) -> Value {
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client::request(fiel.admin(), request).json()
}

/// The pool in the status.
fn pool(fiel: &Fiel) -> Value {
    status(fiel)["pools"][0].clone()
}

/// Waits until the one name of the pool has so many addresses.
fn wait_for_addresses(fiel: &Fiel, count: usize) -> Value {
    wait::eventually(&format!("{count} addresses of the name"), || {
        let pool = pool(fiel);
        let addresses = pool["names"][0]["addresses"].as_array().map(Vec::len);
        (addresses == Some(count)).then_some(pool)
    })
}

#[test]
fn localhost_is_known_without_any_file_and_without_a_name_server() {
    let ([_endpoint], port) = on_one_port([1]);
    let resolver = "resolver: { hostsFile: no-hosts, resolvConf: no-resolv.conf }\n";
    let fiel = Fiel::start(&shop(resolver, &[&format!("localhost:{port}")], &[]));

    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    let pool = pool(&fiel);
    let name = &pool["names"][0];
    assert_eq!(name["name"], format!("localhost:{port}"));
    assert_eq!(name["addresses"][0], format!("127.0.0.1:{port}"));
    assert_eq!(name["ttlSeconds"], Value::Null);
    assert_eq!(
        pool["endpoints"][0]["names"][0],
        format!("localhost:{port}")
    );
}

#[test]
fn a_name_in_the_hosts_file_follows_the_file_and_a_missing_resolv_conf_stops_nothing() {
    let ([_one, _two], port) = on_one_port([1, 2]);
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 shop.internal\n").unwrap();
    let resolver = format!(
        "resolver: {{ hostsFile: \"{}\", resolvConf: no-resolv.conf, maxTtl: 1s }}\n",
        hosts.display()
    );
    let endpoints = [
        format!("shop.internal:{port}"),
        format!("other.internal:{port}"),
    ];
    let endpoints = endpoints.each_ref().map(String::as_str);

    let fiel = Fiel::start(&shop(&resolver, &endpoints, &[]));

    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    fiel.wait_for_log("There are no name servers");
    std::fs::write(&hosts, "127.0.0.2 shop.internal\n").unwrap();
    fiel.wait_for_state(([127, 0, 0, 1], port).into(), "draining", 1);
    assert_eq!(ask(&fiel), (200, "2".to_owned()));
    let other = &pool(&fiel)["names"][1];
    let problem = other["problem"].as_str().unwrap();
    assert!(problem.starts_with("no name servers"), "{problem}");
}

#[test]
fn another_address_takes_over_without_a_failed_request_and_what_is_in_flight_ends_well() {
    let dns = Dns::start();
    let ([one, two], port) = on_one_port([1, 2]);
    one.behave_at("/slow", crate::support::Behaviour::stall());
    dns.knows("shop.test", &[ip(1)], 1);
    let name = format!("shop.test:{port}");
    let fiel = Fiel::start(&shop(&dns.resolver(), &[&name], &[]));
    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    let mut slow = Client::connect(fiel.address("web"));
    slow.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let seen = one.wait_for_request_list("a stalled request", |requests| {
        requests.iter().any(|one| one.line().contains("/slow"))
    });
    let stalled = seen.last().unwrap();
    assert_eq!(stalled.header("host").as_deref(), Some("shop.example"));

    let is_over = AtomicBool::new(false);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let loads = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut client = Client::connect(fiel.address("web"));
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    statuses.push(client.get("/").status);
                }
                statuses
            })
        });
        dns.knows("shop.test", &[ip(2)], 1);
        fiel.wait_for_state(one.address(), "draining", 1);
        two.wait_for_requests(20);
        is_over.store(true, Ordering::Relaxed);
        loads
            .into_iter()
            .flat_map(|load| load.join().unwrap())
            .collect()
    });

    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(ask(&fiel), (200, "2".to_owned()));
    one.release();
    let answer = slow.response();
    assert_eq!((answer.status, answer.text()), (200, "1".to_owned()));
    let change = fiel.wait_for_log("no longer an address of shop.test");
    assert!(change.contains("draining"), "{change}");
}

#[test]
fn an_address_that_stays_keeps_its_health_whatever_the_order_of_the_answer() {
    let dns = Dns::start();
    let ([one, two, three], port) = on_one_port([1, 2, 3]);
    for endpoint in [&one, &two, &three] {
        endpoint.behave_at("/ready", crate::support::Behaviour::status(200));
    }
    dns.knows("shop.test", &[ip(1), ip(2)], 1);
    let name = format!("shop.test:{port}");
    let readiness = "readinessProbe: { httpGet: { path: /ready }, periodSeconds: 600 }";
    let fiel = Fiel::start(&shop(&dns.resolver(), &[&name], &[readiness]));
    for endpoint in [&one, &two] {
        fiel.wait_for_state(endpoint.address(), "ready", 1);
    }

    dns.knows("shop.test", &[ip(3), ip(2), ip(1)], 1);

    fiel.wait_for_state(three.address(), "ready", 1);
    let probes = |endpoint: &Endpoint| endpoint.requests_to("/ready").len();
    assert_eq!([&one, &two, &three].map(probes), [1, 1, 1]);
    assert_eq!(fiel.changes_to(one.address(), "draining").len(), 0);
    dns.knows("shop.test", &[ip(2), ip(1), ip(3)], 1);
    dns.wait_until_asked("shop.test", dns.asked().len() + 4);
    let changed = fiel
        .log()
        .iter()
        .filter(|l| l.contains("Name has other addresses"))
        .count();
    assert_eq!(changed, 2, "{:#?}", fiel.log());
}

#[test]
fn the_weight_of_a_name_is_that_of_all_its_addresses_together() {
    let dns = Dns::start();
    let ([_one, _two, _three], port) = on_one_port([1, 2, 3]);
    dns.knows("v1.test", &[ip(1), ip(2)], 60);
    dns.knows("v2.test", &[ip(3)], 60);
    let endpoints = [
        format!("{{ address: \"v1.test:{port}\", weight: 10 }}"),
        format!("{{ address: \"v2.test:{port}\", weight: 90 }}"),
    ];
    let endpoints = endpoints.each_ref().map(String::as_str);
    let fiel = Fiel::start(&shop(&dns.resolver(), &endpoints, &[]));
    wait::eventually("both names", || {
        let all = pool(&fiel)["endpoints"].as_array().unwrap().len();
        (all == 3).then_some(())
    });

    let mut client = Client::connect(fiel.address("web"));
    let mut counts = [0; 3];
    for _ in 0..200 {
        let number: usize = client.get("/").text().parse().unwrap();
        counts[number - 1] += 1;
    }

    assert_eq!(counts, [10, 10, 180]);
    let pool = pool(&fiel);
    let weights = pool["endpoints"].as_array().unwrap().iter();
    let weights: Vec<f64> = weights.map(|one| one["weight"].as_f64().unwrap()).collect();
    assert_eq!(weights, [5.0, 5.0, 90.0]);
}

#[test]
fn a_name_and_an_address_that_are_one_endpoint_are_one_with_both_weights() {
    let dns = Dns::start();
    let ([_one, _two], port) = on_one_port([1, 2]);
    dns.knows("shop.test", &[ip(1), ip(2)], 60);
    let endpoints = [format!("shop.test:{port}"), format!("127.0.0.1:{port}")];
    let endpoints = endpoints.each_ref().map(String::as_str);
    let fiel = Fiel::start(&shop(&dns.resolver(), &endpoints, &[]));

    let pool = wait_for_addresses(&fiel, 2);

    let endpoints = pool["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 2, "{pool}");
    assert_eq!(endpoints[0]["weight"], 1.5);
    assert_eq!(endpoints[1]["weight"], 0.5);
}

#[test]
fn a_name_that_nobody_knows_leaves_the_pool_without_it_and_says_so_everywhere() {
    let dns = Dns::start();
    let ([_one, _two], port) = on_one_port([1, 2]);
    let endpoints = [format!("nowhere.test:{port}"), format!("127.0.0.1:{port}")];
    let endpoints = endpoints.each_ref().map(String::as_str);
    let fiel = Fiel::start(&shop(&dns.resolver(), &endpoints, &[]));

    let line = fiel.wait_for_log("Name has no addresses");

    assert!(
        line.contains("nowhere.test") && line.contains("NXDOMAIN"),
        "{line}"
    );
    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    let name = &pool(&fiel)["names"][0];
    assert_eq!(name["problem"], "NXDOMAIN");
    assert_eq!(name["addresses"], serde_json::json!([]));
    assert_eq!(name["answeredAt"], Value::Null);
    let labels = "name=\"nowhere.test\"";
    let missing = format!("fiel_name_lookups_total{{{labels},result=\"missing\"}}");
    Scrape::wait_for(&fiel, &[(&format!("fiel_name_addresses{{{labels}}}"), 0.0)]);
    // It is asked for again and again, and said once.
    wait::eventually("another asking", || {
        let asked = Scrape::of(&fiel).value(&missing)?;
        (asked >= 2.0).then_some(())
    });
    let said = fiel
        .log()
        .iter()
        .filter(|l| l.contains("Name has no addresses"))
        .count();
    assert_eq!(said, 1, "{:#?}", fiel.log());
    dns.knows("nowhere.test", &[ip(2)], 60);
    wait_for_addresses(&fiel, 1);
    let success = format!("fiel_name_last_success_timestamp_seconds{{{labels}}}");
    assert!(Scrape::of(&fiel).value(&success).unwrap() > 1e9);
}

#[test]
fn a_name_server_that_fails_or_forgets_takes_nobody_out_of_service() {
    let dns = Dns::start();
    let ([one], port) = on_one_port([1]);
    dns.knows("shop.test", &[ip(1)], 1);
    let name = format!("shop.test:{port}");
    let fiel = Fiel::start(&shop(&dns.resolver(), &[&name], &[]));
    assert_eq!(ask(&fiel), (200, "1".to_owned()));

    for (says, problem) in [(Says::Failure, "SERVFAIL"), (Says::NoSuchName, "NXDOMAIN")] {
        dns.says("shop.test", says);
        let line = fiel.wait_for_log(problem);
        assert!(line.contains("Name keeps its last addresses"), "{line}");
        assert_eq!(ask(&fiel), (200, "1".to_owned()));
        let name = &pool(&fiel)["names"][0];
        assert!(
            name["problem"].as_str().unwrap().contains(problem),
            "{name}"
        );
        assert_eq!(name["addresses"].as_array().unwrap().len(), 1);
        assert!(name["ageSeconds"].as_f64().unwrap() > 0.0);
        dns.knows("shop.test", &[ip(1)], 1);
        fiel.wait_for_log("Name is answered again");
    }
    assert_eq!(fiel.changes_to(one.address(), "draining").len(), 0);
}

#[test]
fn a_reload_keeps_the_answers_of_names_that_stay() {
    let dns = Dns::start();
    let ([one, _two], port) = on_one_port([1, 2]);
    dns.knows("shop.test", &[ip(1)], 60);
    dns.says("other.test", Says::Nothing);
    let name = format!("shop.test:{port}");
    let fiel = Fiel::start(&shop(&dns.resolver(), &[&name], &[]));
    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    dns.says("shop.test", Says::Nothing);

    let asked = dns.asked().len();
    let other = format!("other.test:{port}");
    fiel.rewrite(&shop(&dns.resolver(), &[&name, &other], &[]));
    fiel.wait_for_logs(IN_FORCE, 1);

    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    dns.wait_until_asked("other.test", 1);
    assert!(!dns.asked()[asked..].contains(&"shop.test".to_owned()));
    assert_eq!(fiel.changes_to(one.address(), "draining").len(), 0);
    // One that leaves the configuration and comes back is asked for anew.
    fiel.rewrite(&shop(&dns.resolver(), &[&format!("127.0.0.2:{port}")], &[]));
    fiel.wait_for_logs(IN_FORCE, 2);
    assert_eq!(ask(&fiel), (200, "2".to_owned()));
    dns.knows("shop.test", &[ip(2)], 60);
    fiel.rewrite(&shop(&dns.resolver(), &[&name], &[]));
    fiel.wait_for_logs(IN_FORCE, 3);
    assert_eq!(ask(&fiel), (200, "2".to_owned()));
}

#[test]
fn a_silent_name_server_holds_up_neither_the_start_nor_those_who_can_be_served() {
    let dns = Dns::start();
    let ([_one, _two], port) = on_one_port([1, 2]);
    dns.says("shop.test", Says::Nothing);
    let yaml = format!(
        "{}listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\n\
         routes:\n  - {{ name: shop, split: [ {{ pool: shop }} ] }}\n  \
         - {{ name: other, match: {{ path: {{ prefix: /other }} }}, split: [ {{ pool: other }} ] }}\n\
         pools:\n  shop: {{ endpoints: [ \"shop.test:{port}\" ] }}\n  \
         other: {{ endpoints: [ \"127.0.0.2:{port}\" ] }}\n",
        dns.resolver()
    );

    let fiel = Fiel::start(&yaml);

    let readyz = || client::request(fiel.admin(), READYZ);
    let not_ready = readyz();
    assert_eq!(not_ready.status, 503, "{}", not_ready.text());
    let other = client::get(fiel.address("web"), "/other");
    assert_eq!((other.status, other.text()), (200, "2".to_owned()));
    assert_eq!(ask(&fiel).0, 503);
    wait::eventually("readiness after 5 s", || {
        (readyz().status == 200).then_some(())
    });
    dns.knows("shop.test", &[ip(1)], 60);
    wait_for_addresses(&fiel, 1);
    assert_eq!(ask(&fiel), (200, "1".to_owned()));
}

#[test]
fn the_search_list_of_the_system_applies_and_a_last_dot_makes_a_name_absolute() {
    let dns = Dns::start();
    let ([_one, _two], port) = on_one_port([1, 2]);
    dns.knows("shop.prod.svc.cluster.local", &[ip(1)], 60);
    dns.knows("shop", &[ip(2)], 60);
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("resolv.conf");
    let text = "search other.test prod.svc.cluster.local cluster.local\nnameserver 192.0.2.1\noptions ndots:5\n";
    std::fs::write(&conf, text).unwrap();
    let resolver = format!(
        "resolver: {{ servers: [\"{}\"], hostsFile: no-hosts, resolvConf: \"{}\", family: ipv4 }}\n",
        dns.address(),
        conf.display()
    );

    let fiel = Fiel::start(&shop(&resolver, &[&format!("Shop:{port}")], &[]));
    assert_eq!(ask(&fiel), (200, "1".to_owned()));
    // A question may be sent again where its answer takes long.
    let mut asked = dns.asked();
    asked.dedup();
    assert_eq!(asked, ["shop.other.test", "shop.prod.svc.cluster.local"]);

    fiel.rewrite(&shop(&resolver, &[&format!("shop.:{port}")], &[]));
    fiel.wait_for_logs(IN_FORCE, 1);
    assert_eq!(ask(&fiel), (200, "2".to_owned()));
}

#[test]
fn an_address_of_a_name_is_drained_by_hand() {
    let dns = Dns::start();
    let ([one, two], port) = on_one_port([1, 2]);
    dns.knows("shop.test", &[ip(1), ip(2)], 60);
    let name = format!("shop.test:{port}");
    let fiel = Fiel::start(&shop(&dns.resolver(), &[&name], &[]));
    wait_for_addresses(&fiel, 2);

    let path = format!("/pools/shop/endpoints/{}/drain", one.address());
    let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client::request(fiel.admin(), request).status, 200);

    let before = one.requests().len();
    for _ in 0..4 {
        assert_eq!(ask(&fiel), (200, "2".to_owned()));
    }
    assert_eq!(one.requests().len(), before);
    assert_eq!(two.requests().len(), 4);
}

#[test]
fn several_pools_with_one_name_ask_for_it_once() {
    let dns = Dns::start();
    let ([_one], port) = on_one_port([1]);
    dns.knows("shop.test", &[ip(1)], 60);
    let yaml = format!(
        "{}listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\n\
         routes: [ {{ name: shop, split: [ {{ pool: a }}, {{ pool: b }} ] }} ]\n\
         pools:\n  a: {{ endpoints: [ \"shop.test:{port}\" ] }}\n  \
         b: {{ endpoints: [ \"SHOP.test:{port}\" ] }}\n",
        dns.resolver()
    );

    let fiel = Fiel::start(&yaml);

    for _ in 0..4 {
        assert_eq!(ask(&fiel), (200, "1".to_owned()));
    }
    let lookups = "fiel_name_lookups_total{name=\"shop.test\",result=\"found\"}";
    Scrape::wait_for(&fiel, &[(lookups, 1.0)]);
}

#[test]
fn an_answer_too_long_for_a_packet_is_asked_for_over_tcp() {
    let dns = Dns::start();
    let addresses: Vec<IpAddr> = (1..=60).map(|last| [127, 0, 1, last].into()).collect();
    dns.knows("many.test", &addresses, 60);
    let fiel = Fiel::start(&shop(&dns.resolver(), &["many.test:9"], &[]));

    let pool = wait_for_addresses(&fiel, 60);

    assert_eq!(pool["endpoints"].as_array().unwrap().len(), 60);
    assert_eq!(pool["endpoints"][0]["address"], "127.0.1.1:9");
}

#[test]
fn a_silent_name_server_does_not_hold_up_the_end() {
    let dns = Dns::start();
    dns.says("shop.test", Says::Nothing);
    let fiel = Fiel::start(&shop(&dns.resolver(), &["shop.test:9"], &[]));
    dns.wait_until_asked("shop.test", 1);

    fiel.signal(Signal::TERM);

    assert!(fiel.wait_exit().success());
}
