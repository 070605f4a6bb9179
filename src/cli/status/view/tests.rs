//! The lines of made-up answers, within 80 columns.

use std::time::Duration;

use serde_json::json;

use super::*;

const NARROW: Paper = Paper {
    width: Some(80),
    is_coloured: false,
};

/// 2026-11-20T12:00:00Z.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_176_000)
}

fn told(status: &Value) -> String {
    lines(status, noon(), NARROW).join("\n")
}

#[test]
fn a_status_is_aligned_within_80_columns() {
    let status = json!({
        "build": { "version": "0.1.0" },
        "phase": "running",
        "zone": "a",
        "config": {
            "hash": "9ae714d425fc44bb", "loadedAt": "2026-11-20T11:56:48.000Z", "restartNeeded": ["workers"],
            "lastError": { "at": "2026-11-20T11:59:48.000Z", "problems": "a.yaml:1:1: no\n  help: yes\n\n2 problems in a.yaml" },
        },
        "listeners": [ { "name": "web", "bind": "127.0.0.1:0", "bound": "127.0.0.1:8080" } ],
        "routes": [
            { "name": "shop", "match": "path below /api", "action": "split", "split": [
                { "pool": "shop-v1", "weight": 99.9, "shareRatio": 0.999, "effectiveShareRatio": 1.0,
                  "assigned": 123456, "expected": 123456.25 },
                { "pool": "shop-v2", "weight": 0.1, "shareRatio": 0.001, "effectiveShareRatio": 0.0,
                  "assigned": 7, "expected": 6.5 },
            ] },
            { "name": "old", "match": "any request", "action": "redirect" },
        ],
        "pools": [
            { "name": "shop-v1", "version": "1.8.2", "standing": "able", "balance": "roundRobin", "names": [], "endpoints": [
                { "address": "10.0.0.1:8080", "state": "ready", "since": "2026-11-20T07:55:00.000Z", "inFlight": 3, "probes": [
                    { "kind": "readiness", "at": "2026-11-20T11:59:59.000Z", "succeeded": true },
                ] },
                { "address": "[fd00::2]:8080", "state": "dead", "since": "2026-11-17T08:00:00.000Z", "inFlight": 0, "backup": true, "probes": [
                    { "kind": "readiness", "at": "2026-11-20T11:59:59.000Z", "succeeded": true },
                    { "kind": "liveness", "at": "2026-11-20T11:59:58.000Z", "succeeded": false, "detail": "connection refused, and more words than fit" },
                ] },
            ] },
            { "name": "shop-v2", "standing": "unable", "balance": "leastRequest", "endpoints": [], "names": [
                { "name": "shop.internal:80", "addresses": ["10.0.0.3:80"], "answeredAt": "2026-11-20T11:59:00.000Z", "problem": null },
                { "name": "gone.internal:80", "addresses": [], "answeredAt": null, "problem": "NXDOMAIN" },
            ] },
        ],
        "leaving": [ { "pool": "shop-v1", "address": "10.0.0.9:8080", "state": "draining", "reason": "left the configuration", "since": "2026-11-20T11:59:00.000Z", "inFlight": 1 } ],
    });

    assert_eq!(
        told(&status),
        "\
fiel 0.1.0 running, zone a
configuration 9ae714d425fc44bb, in force for 3m12s
last reload rejected 12s ago:
  a.yaml:1:1: no
  (2 problems in a.yaml; all of them with --json)
waiting for a restart: workers

LISTENER  BIND         BOUND
web       127.0.0.1:0  127.0.0.1:8080

ROUTE / POOL  WEIGHT   SHARE    NOW  ASSIGNED   EXPECTED
shop: path below /api
  shop-v1       99.9  99.9 %  100 %    123456  123456.25
  shop-v2        0.1   0.1 %    0 %         7       6.50
old: any request: redirect

POOL / ENDPOINT            STATE     SINCE  IN FLIGHT  WHY
shop-v1: version 1.8.2
  10.0.0.1:8080            ready     4h05m          3  readiness fine 1s ago
  [fd00::2]:8080 (backup)  dead      3d04h          0  liveness failed 2s ago: …
shop-v2: leastRequest, nothing ready
  shop.internal:80: 1 address, answered 1m00s ago
  gone.internal:80: 0 addresses, not answered yet: NXDOMAIN
leaving, with requests in flight
  shop-v1 10.0.0.9:8080    draining  1m00s          1  left the configuration"
    );
}

#[test]
fn what_is_missing_or_of_another_kind_is_shown_as_such() {
    for status in [json!({}), json!(null), json!([]), json!("x")] {
        let told = told(&status);
        assert!(told.starts_with("fiel - -\n"), "{told}");
    }
    let odd = json!({
        "routes": [ {}, { "name": 7, "split": [ {}, 3 ] } ],
        "pools": [ { "endpoints": [ { "probes": [ {} ], "since": "yesterday" } ] }, null ],
        "listeners": { "name": "web" },
        "leaving": "nobody",
    });
    let told = told(&odd);
    assert!(told.contains("\n7: -\n"), "{told}");
}

#[test]
fn names_cannot_reach_the_terminal_and_long_ones_are_cut() {
    let name = format!("\u{1b}[2J{}", "x".repeat(300));
    let status = json!({
        "phase": name, "zone": name,
        "listeners": [ { "name": name, "bind": name, "bound": "y" } ],
        "routes": [ { "name": name, "match": name, "split": [ { "pool": name, "weight": 1 } ] } ],
        "pools": [ { "name": name, "endpoints": [ { "address": name, "state": "ready", "probes": [
            { "kind": name, "succeeded": false, "detail": name },
        ] } ] } ],
    });

    for line in lines(&status, noon(), NARROW) {
        assert!(!line.contains('\u{1b}'), "{line:?}");
        // A name that stands in the middle keeps its width: only the ends of a line give way.
        let is_whole =
            line.chars().count() <= 80 || line.contains("LISTENER") || line.ends_with('y');
        assert!(is_whole, "{line:?}");
    }
}

#[test]
fn states_have_colours_only_where_there_are_colours() {
    let status = json!({ "pools": [ { "name": "a", "endpoints": [ { "address": "b", "state": "dead" } ] } ] });
    let coloured = Paper {
        is_coloured: true,
        ..NARROW
    };

    let with = lines(&status, noon(), coloured).join("\n");
    let without = told(&status);

    assert!(with.contains("\u{1b}[31mdead\u{1b}[0m"), "{with:?}");
    assert!(!without.contains('\u{1b}'), "{without:?}");
    let mut stripped = with;
    for code in ["[0m", "[1m", "[31m"] {
        stripped = stripped.replace(&format!("\u{1b}{code}"), "");
    }
    assert_eq!(stripped, without, "colours take no room");
}
