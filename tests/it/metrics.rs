//! The metrics, from outside: that those of the contract are there by name and label, and move by the right amount.

use std::collections::BTreeMap;
use std::fs;

use super::support::client::{self, Client};
use super::support::{Behaviour, Endpoint, Fiel, Scrape, wait, yaml};

/// Every metric of the contract whose subject is in this version: name, kind, labels.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("fiel_requests_total", "counter", &["route", "pool", "code"]),
    (
        "fiel_request_duration_seconds",
        "histogram",
        &["route", "pool"],
    ),
    (
        "fiel_response_duration_seconds",
        "histogram",
        &["route", "pool"],
    ),
    ("fiel_upstream_duration_seconds", "histogram", &["pool"]),
    (
        "fiel_local_replies_total",
        "counter",
        &["route", "pool", "code", "reason"],
    ),
    (
        "fiel_grpc_responses_total",
        "counter",
        &["route", "pool", "grpc_status"],
    ),
    ("fiel_requests_in_flight", "gauge", &["pool"]),
    ("fiel_tunnels", "gauge", &["route", "pool"]),
    (
        "fiel_tunnel_duration_seconds",
        "histogram",
        &["route", "pool"],
    ),
    (
        "fiel_tunnel_bytes_total",
        "counter",
        &["route", "pool", "direction"],
    ),
    ("fiel_split_weight_ratio", "gauge", &["route", "pool"]),
    ("fiel_split_effective_ratio", "gauge", &["route", "pool"]),
    ("fiel_split_assigned_total", "counter", &["route", "pool"]),
    ("fiel_pool_endpoints", "gauge", &["pool", "state"]),
    ("fiel_name_addresses", "gauge", &["name"]),
    ("fiel_name_lookups_total", "counter", &["name", "result"]),
    (
        "fiel_name_last_success_timestamp_seconds",
        "gauge",
        &["name"],
    ),
    ("fiel_pool_liveness_held", "gauge", &["pool"]),
    ("fiel_endpoint_ready", "gauge", &["pool", "endpoint"]),
    ("fiel_endpoint_live", "gauge", &["pool", "endpoint"]),
    ("fiel_endpoint_in_flight", "gauge", &["pool", "endpoint"]),
    ("fiel_probes_total", "counter", &["pool", "probe", "result"]),
    (
        "fiel_probe_duration_seconds",
        "histogram",
        &["pool", "probe", "result"],
    ),
    ("fiel_probe_lag_seconds", "gauge", &[]),
    ("fiel_retries_total", "counter", &["pool", "reason"]),
    (
        "fiel_upstream_failures_total",
        "counter",
        &["pool", "reason"],
    ),
    ("fiel_upstream_connections", "gauge", &["pool"]),
    ("fiel_upstream_connects_total", "counter", &["pool"]),
    ("fiel_connections", "gauge", &["listener"]),
    ("fiel_connections_total", "counter", &["listener"]),
    ("fiel_worker_connections", "gauge", &["worker"]),
    ("fiel_bytes_total", "counter", &["listener", "direction"]),
    ("fiel_config_reloads_total", "counter", &["result"]),
    ("fiel_config_last_reload_successful", "gauge", &[]),
    (
        "fiel_config_last_reload_success_timestamp_seconds",
        "gauge",
        &[],
    ),
    ("fiel_config_restart_needed", "gauge", &[]),
    ("fiel_tls_certificate_faults", "gauge", &[]),
    ("fiel_panics_total", "counter", &[]),
    ("fiel_access_log_dropped_total", "counter", &[]),
    ("fiel_pool_info", "gauge", &["pool", "version"]),
    ("fiel_build_info", "gauge", &["version"]),
];

/// Those whose subject is not in this version (queues and limits, ejection) or not in this test: TLS.
const LATER: &[&str] = &[
    "fiel_requests_queued",
    "fiel_pool_limit",
    "fiel_shed_total",
    "fiel_ejections_total",
    "fiel_tls_certificate_not_after_timestamp_seconds",
];

#[test]
fn the_metrics_are_those_of_the_contract_name_by_name() {
    // One of everything: an answer, a refusal, a tunnel, a failed try that goes elsewhere, probes.
    let good = Endpoint::start("good");
    good.behave_at("/tunnel", Behaviour::upgrade());
    let mut gone = Endpoint::start("gone");
    let gone_address = gone.address();
    gone.stop_listening();
    let fiel = Fiel::start(&format!(
        "{}    version: \"1.2\"\n    livenessProbe: {{ tcpSocket: {{ port: {} }} }}\n  \
         named: {{ version: a, endpoints: [\"localhost:9\"] }}\n",
        yaml::shop(&[("app", "1", &[good.address(), gone_address])]),
        good.address().port(),
    ));
    for _ in 0..4 {
        assert_eq!(client::get(fiel.address("web"), "/").text(), "good");
    }
    client::request(fiel.address("web"), "GET / HTTP/1.1\r\n\r\n");
    let call = "GET / HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc\r\n\r\n";
    client::request(fiel.address("web"), call);
    let mut tunnel = Client::connect(fiel.address("web"));
    tunnel
        .send("GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(tunnel.head().status, 101);

    let families = wait::eventually("a scrape with everything", || {
        let families = Scrape::of(&fiel).families();
        let all = [
            "fiel_tunnels",
            "fiel_name_last_success_timestamp_seconds",
            "fiel_probes_total",
            "fiel_retries_total",
            "fiel_local_replies_total",
            "fiel_grpc_responses_total",
        ];
        all.iter()
            .all(|name| families.contains_key(*name))
            .then_some(families)
    });

    let found: BTreeMap<&str, (&str, Vec<Vec<String>>)> = families
        .iter()
        .filter(|(name, _)| name.starts_with("fiel_"))
        .map(|(name, family)| {
            (
                name.as_str(),
                (
                    family.kind.as_str(),
                    family.labels.iter().cloned().collect(),
                ),
            )
        })
        .collect();
    let expected: BTreeMap<&str, (&str, Vec<Vec<String>>)> = TABLE
        .iter()
        .map(|(name, kind, labels)| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            (*name, (*kind, vec![labels]))
        })
        .collect();
    assert_eq!(found, expected);
    assert!(families.contains_key("process_cpu_seconds_total"));
    assert!(LATER.iter().all(|name| !families.contains_key(*name)));
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let one = Endpoint::start("one");
    one.behave_at("/missing", Behaviour::status(404));
    one.behave_at("/hangs", Behaviour::stall());
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[one.address()])]));
    let mut client = Client::connect(fiel.address("web"));
    for path in ["/", "/", "/missing"] {
        client.get(path);
    }
    let mut leaving = Client::connect(fiel.address("web"));
    leaving.send("GET /hangs HTTP/1.1\r\nHost: test\r\n\r\n");
    one.wait_for_requests(4);
    leaving.reset();

    let series = "route=\"shop\",pool=\"app\"";
    let scrape = Scrape::wait_for(
        &fiel,
        &[
            (
                &format!("fiel_requests_total{{{series},code=\"200\"}}"),
                2.0,
            ),
            (
                &format!("fiel_requests_total{{{series},code=\"404\"}}"),
                1.0,
            ),
            (
                &format!("fiel_requests_total{{{series},code=\"499\"}}"),
                1.0,
            ),
            (
                &format!("fiel_request_duration_seconds_count{{{series}}}"),
                4.0,
            ),
            (
                &format!("fiel_request_duration_seconds_bucket{{{series},le=\"+Inf\"}}"),
                4.0,
            ),
            (
                &format!("fiel_response_duration_seconds_count{{{series}}}"),
                3.0,
            ),
            ("fiel_upstream_duration_seconds_count{pool=\"app\"}", 3.0),
            ("fiel_requests_in_flight{pool=\"app\"}", 0.0),
            ("fiel_connections{listener=\"web\"}", 1.0),
            ("fiel_connections_total{listener=\"web\"}", 2.0),
            (&format!("fiel_split_assigned_total{{{series}}}"), 4.0),
        ],
    );
    let octets = scrape.value("fiel_bytes_total{listener=\"web\",direction=\"in\"}");
    assert!(octets > Some(100.0), "{octets:?}");
}

#[test]
fn reloads_are_counted_by_their_result() {
    let one = Endpoint::start("one");
    let text = yaml::shop(&[("app", "1", &[one.address()])]);
    let fiel = Fiel::start(&text);
    let reload = |text: &str| {
        fs::write(fiel.file(), text).unwrap();
        client::request(
            fiel.admin(),
            "POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .status
    };
    // What the file watcher sees besides is unchanged by then.
    assert_eq!(reload(&format!("{text}zone: a\n")), 200);
    assert_eq!(reload(&format!("{text}zone: [\n")), 400);
    Scrape::wait_for(
        &fiel,
        &[
            ("fiel_config_last_reload_successful", 0.0),
            ("fiel_config_reloads_total{result=\"applied\"}", 1.0),
        ],
    );
    assert_eq!(reload(&format!("{text}zone: a\nworkers: 7\n")), 200);
    Scrape::wait_for(
        &fiel,
        &[
            ("fiel_config_last_reload_successful", 1.0),
            ("fiel_config_restart_needed", 1.0),
        ],
    );
}

#[test]
fn series_of_a_pool_that_has_left_go_when_it_has_drained() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&yaml::shop(&[("old", "1", &[one.address()])]));
    assert_eq!(client::get(fiel.address("web"), "/").text(), "one");
    assert!(Scrape::of(&fiel).text().contains("pool=\"old\""));

    fiel.rewrite(&yaml::shop(&[("new", "1", &[two.address()])]));
    fiel.wait_for_log("Configuration is in force");

    wait::eventually("a scrape without the old pool", || {
        let text = Scrape::of(&fiel).text().to_owned();
        (!text.contains("pool=\"old\"")).then_some(())
    });
}

#[test]
fn nothing_that_a_client_sends_adds_a_series() {
    let one = Endpoint::start("one");
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[one.address()])]));
    let mut client = Client::connect(fiel.address("web"));
    client.get("/");
    let before = wait::eventually("a counted request", || {
        let scrape = Scrape::of(&fiel);
        scrape
            .text()
            .contains("fiel_requests_total{")
            .then_some(scrape)
    });
    for number in 0..50 {
        let odd = format!(
            "ODD{number} /{number} HTTP/1.1\r\nHost: h{number}.example\r\nX-{number}: 1\r\n\r\n"
        );
        assert_eq!(client.request(odd).status, 200);
    }
    let after = Scrape::wait_for(
        &fiel,
        &[(
            "fiel_requests_total{route=\"shop\",pool=\"app\",code=\"200\"}",
            51.0,
        )],
    );
    assert_eq!(before.series(), after.series());
}
