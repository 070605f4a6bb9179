//! Outgoing requests: one listener in front of all pools, each asked for by its name as the host.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::client::{self, Client};
use crate::support::wait::eventually;
use crate::support::{Behaviour, Endpoint, Fiel, Scrape};

/// A route that stands before the one by hosts, and a pool for each of these.
fn egress(first: &str, pools: &[(&str, SocketAddr)]) -> String {
    let mut yaml = format!(
        "admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: out, bind: 127.0.0.1:0 }} ]
routes:
{first}  - name: out
    match: {{ listeners: [out] }}
    poolByHost: {{ suffixes: [prod, prod.svc.cluster.local] }}
pools:
"
    );
    for (name, address) in pools {
        yaml.push_str(&format!("  {name}: {{ endpoints: [ \"{address}\" ] }}\n"));
    }
    yaml
}

fn ask(fiel: &Fiel, host: &str) -> client::Response {
    let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client::request(fiel.address("out"), request)
}

fn shown(fiel: &Fiel, path: &str) -> serde_json::Value {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client::request(fiel.admin(), request).json()
}

#[test]
fn a_host_leads_to_the_pool_of_its_name_with_a_port_or_a_suffix_or_without() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    let fiel = Fiel::start(&egress(
        "",
        &[("shop", shop.address()), ("blog", blog.address())],
    ));

    for (host, expected) in [
        ("shop", "shop"),
        ("blog", "blog"),
        ("shop:8080", "shop"),
        ("SHOP.", "shop"),
        ("blog.prod", "blog"),
        ("shop.prod.svc.cluster.local:80", "shop"),
        ("shop.prod.svc.cluster.local.", "shop"),
    ] {
        let answer = ask(&fiel, host);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, expected),
            "{host}"
        );
    }

    // Whom the client asked for, the endpoint hears.
    let heard = shop.requests().pop().unwrap();
    assert_eq!(
        heard.header("host").as_deref(),
        Some("shop.prod.svc.cluster.local.")
    );
    for host in [
        "shops",
        "prod",
        "shop.test",
        "shop.svc.cluster.local",
        "a.shop",
        "10.0.0.1",
    ] {
        let answer = ask(&fiel, host);
        assert_eq!(answer.status, 404, "{host}");
        let told = answer.header("proxy-status").unwrap_or_default();
        assert!(told.contains("destination_not_found"), "{host}: {told}");
    }
}

#[test]
fn a_target_in_absolute_form_leads_by_its_own_host_as_a_forward_proxy_is_asked() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    let fiel = Fiel::start(&egress(
        "",
        &[("shop", shop.address()), ("blog", blog.address())],
    ));
    let out = fiel.address("out");

    let answer = client::request(
        out,
        "GET http://shop:80/x?y=1 HTTP/1.1\r\nHost: blog\r\n\r\n",
    );

    assert_eq!((answer.status, answer.text().as_str()), (200, "shop"));
    let heard = shop.requests().pop().unwrap();
    assert_eq!(heard.line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!(heard.header("host").as_deref(), Some("shop:80"));
    let tunnel = client::request(out, "CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n");
    assert!(matches!(tunnel.status, 405 | 501), "{}", tunnel.status);
    assert_eq!((shop.requests().len(), blog.requests().len()), (1, 0));
}

#[test]
fn a_route_of_its_own_for_a_host_stands_before_the_pools_by_host() {
    let (stable, canary) = (Endpoint::start("stable"), Endpoint::start("canary"));
    let first = "  - name: shop
    match: { listeners: [out], hosts: [shop, stable.prod] }
    split: [ { pool: stable, weight: 3 }, { pool: canary, weight: 1 } ]
";
    let fiel = Fiel::start(&egress(
        first,
        &[("stable", stable.address()), ("canary", canary.address())],
    ));

    for host in ["shop", "stable.prod"] {
        for _ in 0..4 {
            assert_eq!(ask(&fiel, host).status, 200);
        }
    }
    assert_eq!((stable.requests().len(), canary.requests().len()), (6, 2));
    assert_eq!(ask(&fiel, "canary").text(), "canary");
}

#[test]
fn what_goes_to_a_pool_by_its_host_is_counted_under_route_and_pool_and_shown_in_the_status() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    let fiel = Fiel::start(&egress(
        "",
        &[("shop", shop.address()), ("blog", blog.address())],
    ));
    for host in ["shop", "shop.prod", "blog"] {
        assert_eq!(ask(&fiel, host).status, 200);
    }

    Scrape::wait_for(
        &fiel,
        &[
            (
                "fiel_requests_total{route=\"out\",pool=\"shop\",code=\"200\"}",
                2.0,
            ),
            (
                "fiel_requests_total{route=\"out\",pool=\"blog\",code=\"200\"}",
                1.0,
            ),
            (
                "fiel_split_assigned_total{route=\"out\",pool=\"shop\"}",
                2.0,
            ),
            ("fiel_split_weight_ratio{route=\"out\",pool=\"shop\"}", 1.0),
        ],
    );
    // Each client is another worker's, and the lines of two workers come in any order.
    let lines = fiel.wait_for_access_log(3);
    assert!(lines.iter().all(|line| line["route"] == "out"), "{lines:?}");
    let mut pools: Vec<_> = lines.iter().map(|line| line["pool"].as_str()).collect();
    pools.sort_unstable();
    assert_eq!(pools, [Some("blog"), Some("shop"), Some("shop")]);
    let status = shown(&fiel, "/status");
    let route = &status["routes"][0];
    assert_eq!(route["action"], "poolByHost");
    assert_eq!(route["match"], "host of a pool, listener out");
    assert_eq!(
        route["poolByHost"][0],
        serde_json::json!({
            "pool": "shop",
            "hosts": ["shop", "shop.prod", "shop.prod.svc.cluster.local"],
            "assigned": 2,
        })
    );
    let table = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args(["status", "--admin", &fiel.admin().to_string()])
        .output()
        .unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let row = |line: &str| {
        line.split_whitespace()
            .eq(["shop", "-", "-", "-", "2", "-"])
    };
    assert!(table.lines().any(row), "{table}");
    let config = shown(&fiel, "/config");
    assert_eq!(
        config["routes"][0]["poolByHost"]["suffixes"],
        serde_json::json!(["prod", "prod.svc.cluster.local"])
    );
    assert_eq!(config["routes"][0]["match"]["hosts"], serde_json::json!([]));
}

#[test]
fn pools_come_and_go_with_a_reload_and_the_count_of_one_that_stays_goes_on() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    let fiel = Fiel::start(&egress("", &[("shop", shop.address())]));
    assert_eq!(ask(&fiel, "shop").status, 200);
    assert_eq!(ask(&fiel, "blog").status, 404);

    fiel.rewrite(&egress(
        "",
        &[("blog", blog.address()), ("shop", shop.address())],
    ));

    eventually("the new pool to be asked", || {
        (ask(&fiel, "blog").status == 200).then_some(())
    });
    assert_eq!(ask(&fiel, "shop").text(), "shop");
    let counted = "fiel_split_assigned_total{route=\"out\",pool=\"shop\"}";
    Scrape::wait_for(&fiel, &[(counted, 2.0)]);
    fiel.rewrite(&egress("", &[("blog", blog.address())]));
    eventually("the old pool to be gone", || {
        (ask(&fiel, "shop").status == 404).then_some(())
    });
    assert_eq!(ask(&fiel, "blog").text(), "blog");
}

#[test]
fn a_pool_with_nothing_ready_is_503_and_the_others_are_not_asked_in_its_place() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    shop.behave_at("/ready", Behaviour::status(503));
    let yaml = egress("", &[("blog", blog.address()), ("shop", shop.address())]);
    let probe = ", readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1, failureThreshold: 1 } }";
    let fiel = Fiel::start(&format!(
        "{}{probe}\n",
        yaml.trim_end().trim_end_matches(" }")
    ));

    shop.wait_for_requests(1);
    let answer = ask(&fiel, "shop");
    assert_eq!(answer.status, 503);
    assert_eq!(ask(&fiel, "blog").text(), "blog");

    shop.behave_at("/ready", Behaviour::status(200));
    fiel.wait_for_state(shop.address(), "ready", 1);
    assert_eq!(ask(&fiel, "shop").text(), "shop");
    assert_eq!(blog.requests_to("/x").len(), 1);
}

#[test]
fn a_connection_goes_from_pool_to_pool_as_its_requests_say() {
    let (shop, blog) = (Endpoint::start("shop"), Endpoint::start("blog"));
    let fiel = Fiel::start(&egress(
        "",
        &[("shop", shop.address()), ("blog", blog.address())],
    ));
    let mut client = Client::connect(fiel.address("out"));

    for host in ["shop", "blog", "shop", "blog.prod"] {
        let answer = client.request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.text(), host.trim_end_matches(".prod"));
    }
}
