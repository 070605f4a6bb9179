//! Chapter 2, exactness: shares of requests, counted from the access log by their position in the schedule.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use serde_json::Value;

use crate::support::endpoint::Refusing;
use crate::support::{Behaviour, Client, Endpoint, Fiel, client, yaml};

/// So many requests over so many connections at once, each kept alive; how many got which status.
fn load(address: SocketAddr, connections: usize, requests: usize) -> BTreeMap<u16, usize> {
    let share =
        move |index: usize| requests / connections + usize::from(index < requests % connections);
    let threads: Vec<_> = (0..connections)
        .map(|index| {
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let statuses = (0..share(index)).map(|_| client.get("/").status);
                statuses.collect::<Vec<u16>>()
            })
        })
        .collect();
    let mut counts = BTreeMap::new();
    for thread in threads {
        for status in thread.join().unwrap() {
            *counts.entry(status).or_default() += 1;
        }
    }
    counts
}

/// The pool of each slot of the schedule, in its order; an empty name is a refusal.
fn by_position(log: &[Value]) -> Vec<String> {
    let mut slots: Vec<(u64, String)> = log
        .iter()
        .map(|line| {
            let position = line["position"].as_u64();
            let position = position.unwrap_or_else(|| panic!("no position: {line}"));
            let pool = line["pool"].as_str().unwrap_or_default();
            (position, pool.to_owned())
        })
        .collect();
    slots.sort();
    for (index, (position, _)) in slots.iter().enumerate() {
        assert_eq!(*position, index as u64, "each slot is taken exactly once");
    }
    slots.into_iter().map(|(_, pool)| pool).collect()
}

/// Fails unless every prefix gives each of these (name, weight) its share: within half a request where there are two,
/// within less than one where there are more.
#[track_caller]
fn assert_exact(slots: &[String], weights: &[(&str, i64)]) {
    let sum: i64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut got = vec![0_i64; weights.len()];
    for (n, slot) in (1..).zip(slots) {
        let entry = weights.iter().position(|(name, _)| name == slot);
        let entry = entry.unwrap_or_else(|| panic!("slot {n} went to {slot:?}"));
        got[entry] += 1;
        for ((name, weight), got) in weights.iter().zip(&got) {
            let off = (got * sum - n * weight).abs();
            let within = match weights.len() {
                2 => 2 * off <= sum,
                _ => off < sum,
            };
            assert!(
                within,
                "{name} has got {got} of the first {n}, its share is {weight} of {sum}"
            );
        }
    }
}

fn count(slots: &[String], name: &str) -> usize {
    slots.iter().filter(|slot| *slot == name).count()
}

/// How often each value of a field of the access log occurs.
fn tally(log: &[Value], field: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in log {
        let value = line[field].as_str().unwrap_or_default();
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    counts
}

fn with_workers(workers: usize, yaml: &str) -> String {
    format!("workers: {workers}\n{yaml}")
}

/// One endpoint a pool, `workers` threads, 64 connections, 10,000 requests: every prefix is exact.
#[track_caller]
fn assert_split_is_exact(workers: usize, weights: &[(&str, &str, i64)]) {
    let endpoints: Vec<Endpoint> = weights
        .iter()
        .map(|(name, _, _)| Endpoint::start(name))
        .collect();
    let addresses: Vec<[SocketAddr; 1]> = endpoints.iter().map(|one| [one.address()]).collect();
    let pools: Vec<(&str, &str, &[SocketAddr])> = weights
        .iter()
        .zip(&addresses)
        .map(|((name, weight, _), addresses)| (*name, *weight, addresses.as_slice()))
        .collect();
    let fiel = Fiel::start(&with_workers(workers, &yaml::shop(&pools)));

    let statuses = load(fiel.address("web"), 64, 10_000);

    assert_eq!(statuses, BTreeMap::from([(200, 10_000)]));
    let slots = by_position(&fiel.wait_for_access_log(10_000));
    let shares: Vec<(&str, i64)> = weights
        .iter()
        .map(|(name, _, share)| (*name, *share))
        .collect();
    assert_exact(&slots, &shares);
    for (name, endpoint) in weights.iter().map(|(name, _, _)| name).zip(&endpoints) {
        assert_eq!(endpoint.requests().len(), count(&slots, name), "{name}");
    }
}

#[test]
fn a_canary_of_five_percent_is_within_half_a_request_at_every_prefix_over_two_workers() {
    assert_split_is_exact(2, &[("v1", "95", 95), ("v2", "5", 5)]);
}

#[test]
fn a_canary_of_a_thousandth_is_within_half_a_request_at_every_prefix_over_four_workers() {
    assert_split_is_exact(4, &[("v1", "99.9", 999), ("v2", "0.1", 1)]);
}

#[test]
fn three_pools_with_weights_of_three_decimals_are_within_one_request_over_four_workers() {
    let weights = [
        ("v1", "70.125", 70_125),
        ("v2", "29.374", 29_374),
        ("v3", "0.501", 501),
    ];
    assert_split_is_exact(4, &weights);
}

#[test]
fn five_pools_are_within_one_request_over_two_workers() {
    let weights = [
        ("v1", "12", 12),
        ("v2", "1", 1),
        ("v3", "14", 14),
        ("v4", "1", 1),
        ("v5", "12", 12),
    ];
    assert_split_is_exact(2, &weights);
}

#[test]
fn the_endpoints_of_a_pool_get_their_weights_shares_over_two_workers() {
    let [heavy, light] = ["heavy", "light"].map(Endpoint::start);
    let yaml = yaml::shop(&[("shop-v1", "1", &[])])
        + &format!(
            "      - {{ address: {}, weight: 3 }}\n      - {{ address: {}, weight: 1 }}\n",
            heavy.address(),
            light.address()
        );
    let fiel = Fiel::start(&with_workers(2, &yaml));

    load(fiel.address("web"), 16, 1_001);

    let [heavy, light] = [heavy.requests().len(), light.requests().len()];
    assert_eq!(heavy + light, 1_001);
    assert!((750..=751).contains(&heavy), "{heavy} of 1001 at 3 to 1");
}

#[test]
fn the_number_of_replicas_behind_a_pool_does_not_change_its_share() {
    let many: Vec<Endpoint> = (0..5).map(|_| Endpoint::start("many")).collect();
    let one = Endpoint::start("one");
    let addresses: Vec<SocketAddr> = many.iter().map(Endpoint::address).collect();
    let fiel = Fiel::start(&with_workers(
        2,
        &yaml::shop(&[("v1", "3", &[one.address()]), ("v2", "1", &addresses)]),
    ));

    load(fiel.address("web"), 8, 1_000);

    let slots = by_position(&fiel.wait_for_access_log(1_000));
    assert_exact(&slots, &[("v1", 3), ("v2", 1)]);
    for replica in &many {
        assert_eq!(replica.requests().len(), 50, "of 250 over five");
    }
}

#[test]
fn a_weight_of_zero_is_never_chosen() {
    let [all, none] = ["all", "none"].map(Endpoint::start);
    let fiel = Fiel::start(&yaml::shop(&[
        ("v1", "0.001", &[all.address()]),
        ("v2", "0", &[none.address()]),
    ]));

    let statuses = load(fiel.address("web"), 8, 500);

    assert_eq!(statuses, BTreeMap::from([(200, 500)]));
    assert_eq!(none.connections(), 0);
}

#[test]
fn retries_do_not_count_in_the_shares() {
    let [stable, canary] = ["stable", "canary"].map(Endpoint::start);
    let refusing = Refusing::start();
    let fiel = Fiel::start(&with_workers(
        2,
        &yaml::shop(&[
            ("v1", "80", &[stable.address()]),
            ("v2", "20", &[refusing.address(), canary.address()]),
        ]),
    ));

    let statuses = load(fiel.address("web"), 16, 2_000);

    assert_eq!(statuses, BTreeMap::from([(200, 2_000)]));
    let log = fiel.wait_for_access_log(2_000);
    assert_exact(&by_position(&log), &[("v1", 80), ("v2", 20)]);
    let repeated = log.iter().filter(|line| line["attempts"] == 2).count();
    assert_eq!(repeated, 200, "every other request of the canary");
    assert_eq!(canary.requests().len(), 400);
}

/// A pool with an endpoint and a readiness probe of `/ready`, every 100 ms.
const PROBED: &str =
    "    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1, failureThreshold: 1 }\n";

fn ready(endpoint: &Endpoint) {
    endpoint.behave_at("/ready", Behaviour::status(200));
}

fn unready(endpoint: &Endpoint) {
    endpoint.behave_at("/ready", Behaviour::status(503));
}

/// A route over pools of one probed endpoint each, with these entries of its split and these further keys of each
/// pool.
fn probed(entries: &[(&str, &str)], endpoints: &[&Endpoint], keys: &str) -> String {
    let mut yaml = "workers: 2\nlisteners: [ { name: web, bind: 127.0.0.1:0 } ]\n\
        admin: { bind: 127.0.0.1:0 }\nroutes:\n  - name: shop\n    split:\n"
        .to_owned();
    for (pool, rest) in entries {
        yaml.push_str(&format!("      - {{ pool: {pool}, {rest} }}\n"));
    }
    yaml.push_str("pools:\n");
    for ((pool, _), endpoint) in entries.iter().zip(endpoints) {
        let address = endpoint.address();
        yaml.push_str(&format!(
            "  {pool}:\n    endpoints: [ \"{address}\" ]\n{PROBED}{keys}"
        ));
    }
    yaml
}

#[test]
fn a_pool_with_nothing_ready_gives_its_share_to_the_others_and_takes_it_back_without_a_burst() {
    let endpoints = ["v1", "v2", "v3"].map(Endpoint::start);
    let [v1, v2, v3] = &endpoints;
    endpoints.iter().for_each(ready);
    let entries = [
        ("v1", "weight: 50"),
        ("v2", "weight: 30"),
        ("v3", "weight: 20"),
    ];
    let fiel = Fiel::start(&probed(&entries, &[v1, v2, v3], ""));
    for endpoint in &endpoints {
        fiel.wait_for_state(endpoint.address(), "ready", 1);
    }
    let mut sent = 0;
    let mut phase = |requests: usize| -> Vec<String> {
        let statuses = load(fiel.address("web"), 8, requests);
        assert_eq!(statuses, BTreeMap::from([(200, requests)]));
        let slots = by_position(&fiel.wait_for_access_log(sent + requests));
        let slots = slots[sent..].to_vec();
        sent += requests;
        slots
    };

    let before = phase(1_000);
    assert_exact(&before, &[("v1", 50), ("v2", 30), ("v3", 20)]);

    unready(v1);
    fiel.wait_for_state(v1.address(), "unready", 1);
    let without = phase(500);
    assert_eq!(count(&without, "v1"), 0);
    assert_near(&without, &[("v2", 30), ("v3", 20)]);

    ready(v1);
    fiel.wait_for_state(v1.address(), "ready", 2);
    let after = phase(1_000);
    assert_near(&after, &[("v1", 50), ("v2", 30), ("v3", 20)]);
}

/// As [`assert_exact`] over a part of the schedule that begins with what was carried over: no prefix of it is further
/// off than the bounds on what is carried and on the sequence together.
#[track_caller]
fn assert_near(slots: &[String], weights: &[(&str, i64)]) {
    let sum: i64 = weights.iter().map(|(_, weight)| weight).sum();
    for (name, weight) in weights {
        let mut got = 0;
        for (n, slot) in (1..).zip(slots) {
            got += i64::from(slot == name);
            let off = (got * sum - n * weight).abs();
            assert!(
                off < 2 * sum,
                "{name} has got {got} of {n} since the change, its share is {weight} of {sum}"
            );
        }
    }
}

#[test]
fn a_share_that_flaps_leaves_no_burst() {
    let [v1, v2] = ["v1", "v2"].map(Endpoint::start);
    ready(&v1);
    ready(&v2);
    let entries = [("v1", "weight: 90"), ("v2", "weight: 10")];
    let fiel = Fiel::start(&probed(&entries, &[&v1, &v2], ""));
    fiel.wait_for_state(v1.address(), "ready", 1);
    fiel.wait_for_state(v2.address(), "ready", 1);
    let mut sent = 0;
    let mut parts = Vec::new();
    for round in 1..=5 {
        load(fiel.address("web"), 4, 33);
        sent += 33;
        parts.push((sent, Flap::Up));
        unready(&v2);
        fiel.wait_for_state(v2.address(), "unready", round);
        load(fiel.address("web"), 4, 33);
        sent += 33;
        parts.push((sent, Flap::Down));
        ready(&v2);
        fiel.wait_for_state(v2.address(), "ready", round + 1);
    }

    let slots = by_position(&fiel.wait_for_access_log(sent));
    let (mut from, mut due, mut got) = (0, 0.0, 0.0);
    for (to, flap) in parts {
        for slot in &slots[from..to] {
            due += if flap == Flap::Up { 0.1 } else { 0.0 };
            got += if slot == "v2" { 1.0 } else { 0.0 };
            let off: f64 = due - got;
            assert!(off.abs() <= 0.5 + 1e-9, "{got} instead of {due}");
        }
        from = to;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flap {
    Up,
    Down,
}

/// A running fiel over these entries, all ready at first; then those named `down` are not.
fn with_down(entries: &[(&str, &str)], down: &[&str], keys: &str) -> (Fiel, Vec<Endpoint>) {
    let endpoints: Vec<Endpoint> = entries
        .iter()
        .map(|(name, _)| Endpoint::start(name))
        .collect();
    endpoints.iter().for_each(ready);
    let all: Vec<&Endpoint> = endpoints.iter().collect();
    let fiel = Fiel::start(&probed(entries, &all, keys));
    for endpoint in &endpoints {
        fiel.wait_for_state(endpoint.address(), "ready", 1);
    }
    for ((name, _), endpoint) in entries.iter().zip(&endpoints) {
        if down.contains(name) {
            unready(endpoint);
            fiel.wait_for_state(endpoint.address(), "unready", 1);
        }
    }
    (fiel, endpoints)
}

#[test]
fn a_canary_is_no_spare_and_what_nobody_may_take_is_refused_by_its_exact_share() {
    let entries = [("v1", "weight: 95"), ("v2", "weight: 5")];
    let (fiel, _endpoints) = with_down(&entries, &["v1"], "");

    let statuses = load(fiel.address("web"), 8, 1_000);

    assert_eq!(statuses, BTreeMap::from([(200, 50), (503, 950)]));
    let log = fiel.wait_for_access_log(1_000);
    assert_exact(&by_position(&log), &[("", 95), ("v2", 5)]);
    let reasons = BTreeMap::from([(String::new(), 50), ("no_ready_endpoint".to_owned(), 950)]);
    assert_eq!(tally(&log, "reason"), reasons);
}

#[test]
fn a_refusal_says_that_nothing_is_there_and_when_to_come_again() {
    let (fiel, _endpoints) = with_down(&[("v1", "weight: 1")], &["v1"], "");

    let answer = client::get(fiel.address("web"), "/");

    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=destination_unavailable")
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[test]
fn a_strict_entry_neither_gives_nor_takes() {
    let entries = [
        ("v1", "weight: 40"),
        ("v2", "weight: 40, strict: true"),
        ("v3", "weight: 20"),
    ];
    let (fiel, _endpoints) = with_down(&entries, &["v1", "v2"], "");

    load(fiel.address("web"), 4, 500);

    // The first gives all it has to the third, the strict one keeps its refusals to itself.
    let slots = by_position(&fiel.wait_for_access_log(500));
    assert_exact(&slots, &[("v3", 60), ("", 40)]);
}

#[test]
fn a_last_resort_is_tried_for_what_nobody_else_takes() {
    let entries = [("v1", "weight: 95"), ("v2", "weight: 5")];
    let (fiel, _endpoints) = with_down(&entries, &["v1"], "    whenNoneReady: useAll\n");

    let statuses = load(fiel.address("web"), 4, 400);

    assert_eq!(statuses, BTreeMap::from([(200, 400)]));
    let slots = by_position(&fiel.wait_for_access_log(400));
    assert_exact(&slots, &[("v1", 95), ("v2", 5)]);
}

#[test]
fn a_last_resort_is_not_tried_while_another_pool_takes_its_share() {
    let entries = [("v1", "weight: 50"), ("v2", "weight: 50")];
    let (fiel, _endpoints) = with_down(&entries, &["v1"], "    whenNoneReady: useAll\n");

    load(fiel.address("web"), 4, 100);

    let slots = by_position(&fiel.wait_for_access_log(100));
    assert_eq!(count(&slots, "v2"), 100);
}

#[test]
fn a_backup_is_chosen_only_while_no_other_endpoint_is_ready() {
    let [main, backup] = ["main", "backup"].map(Endpoint::start);
    ready(&main);
    ready(&backup);
    let yaml = yaml::shop(&[("shop-v1", "1", &[])])
        + &format!(
            "      - {}\n      - {{ address: {}, backup: true }}\n{PROBED}",
            main.address(),
            backup.address()
        );
    let fiel = Fiel::start(&yaml);
    fiel.wait_for_state(main.address(), "ready", 1);
    fiel.wait_for_state(backup.address(), "ready", 1);
    let ask = || client::get(fiel.address("web"), "/").text();

    assert_eq!([ask(), ask(), ask()], ["main"; 3]);
    unready(&main);
    fiel.wait_for_state(main.address(), "unready", 1);
    assert_eq!([ask(), ask()], ["backup"; 2]);
    ready(&main);
    fiel.wait_for_state(main.address(), "ready", 2);
    assert_eq!([ask(), ask(), ask()], ["main"; 3]);
}

#[test]
fn a_request_that_meets_a_pool_without_a_verdict_waits_for_it_and_is_served() {
    let endpoint = Endpoint::start("late");
    endpoint.behave_at("/ready", Behaviour::stall());
    let yaml = probed(&[("v1", "weight: 1")], &[&endpoint], "");
    let fiel = Fiel::start(&yaml.replace("periodSeconds: 0.1", "timeoutSeconds: 30"));
    endpoint.wait_for_requests(1);
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET /first HTTP/1.1\r\nHost: test\r\n\r\n");
    let probe = thread::spawn({
        let mut second = Client::connect(fiel.address("web"));
        move || second.get("/never").status
    });

    endpoint.release_all();

    let answer = client.response();
    assert_eq!((answer.status, answer.text()), (200, "late".to_owned()));
    assert_eq!(probe.join().unwrap(), 200);
}

#[test]
fn a_request_waits_for_a_verdict_one_second_and_no_longer() {
    let endpoint = Endpoint::start("never");
    endpoint.behave_at("/ready", Behaviour::stall());
    let yaml = probed(&[("v1", "weight: 1")], &[&endpoint], "");
    let fiel = Fiel::start(&yaml.replace("periodSeconds: 0.1", "timeoutSeconds: 30"));

    let answer = client::get(fiel.address("web"), "/");

    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let log = fiel.wait_for_access_log(1);
    assert_eq!(log[0]["reason"], "no_ready_endpoint", "{}", log[0]);
    assert_eq!(log[0]["pool"], "v1", "{}", log[0]);
    let waited = log[0]["duration"].as_f64().unwrap();
    assert!(waited >= 1.0, "{waited}");
    assert_eq!(
        tally(&log, "endpoint"),
        BTreeMap::from([(String::new(), 1)])
    );
}
