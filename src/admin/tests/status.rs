//! What `/status` says.

use super::*;

async fn status_of(admin: &Arc<Admin>) -> Value {
    let (status, text) = ask(admin, "GET", "/status").await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_status_has_the_exact_state_of_every_split() {
    let house = house(|_| {});
    let snapshot = house.admin.store.newest();
    for _ in 0..10 {
        assert!(matches!(
            snapshot.routes[0].split().unwrap().take(),
            Turn::Entry { .. }
        ));
    }
    let blog = snapshot.routes[1].split().unwrap();
    blog.entries()[0].traffic.picked(WorkerId(0));

    let status = status_of(&house.admin).await;

    let shop = &status["routes"][0];
    assert_eq!(shop["name"], "shop");
    assert_eq!(shop["match"], "host shop.example, path /api and below");
    assert_eq!(shop["action"], "split");
    assert_eq!(shop["position"], 10);
    let first = json!({
        "pool": "v1", "weight": 99.9, "strict": false, "share": "999/1000", "shareRatio": 0.999,
        "effectiveShare": "999/1000", "effectiveShareRatio": 0.999, "assigned": 10, "expected": 9.99,
    });
    assert_eq!(shop["split"][0], first);
    assert_eq!(shop["split"][1]["expected"], 0.01);
    let expected = json!([{
        "pool": "v2", "weight": 1, "strict": false, "share": "1", "shareRatio": 1.0,
        "effectiveShare": "1", "effectiveShareRatio": 1.0, "assigned": 1, "expected": 1.0,
    }]);
    assert_eq!(status["routes"][1]["split"], expected);
    assert_eq!(status["routes"][1]["position"], 1);
    let expected = json!({ "name": "ping", "match": "path /ping", "action": "respond" });
    assert_eq!(status["routes"][2], expected);
}

#[tokio::test]
async fn the_status_has_every_endpoint_and_its_last_probes() {
    let house = house(|report| {
        report.leaving = vec![endpoint(key("v0", "10.0.0.9:80"), State::Draining)];
    });
    let snapshot = house.admin.store.newest();
    let endpoint = &snapshot.pools[0].members()[0].endpoint;
    endpoint.load().entered(WorkerId(0));
    endpoint.report_probe(ProbeReport {
        probe: ProbeKind::Readiness,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(2),
        took: Duration::from_millis(3),
        succeeded: false,
        detail: "HTTP 503".into(),
    });

    let status = status_of(&house.admin).await;

    let expected = json!({
        "name": "v1", "version": "1.8.2",
        "deployment": { "commit": "643217c", "by": "ignas", "at": null },
        "balance": "roundRobin", "protocol": "http1",
        "standing": "able", "whenNoneReady": "useAll", "livenessHeld": 0,
        "names": [],
        "endpoints": [
            {
                "address": "10.0.0.1:80", "names": [], "zone": "b", "weight": 3, "backup": false, "state": "ready",
                "since": "1970-01-01T00:00:00.000Z", "reason": "configured", "inFlight": 1,
                "probes": [{
                    "kind": "readiness", "at": "1970-01-01T00:00:02.000Z", "tookSeconds": 0.003,
                    "succeeded": false, "detail": "HTTP 503",
                }],
            },
            {
                "address": "10.0.0.2:80", "names": [], "zone": null, "weight": 1, "backup": true, "state": "ready",
                "since": "1970-01-01T00:00:00.000Z", "reason": "configured", "inFlight": 0, "probes": [],
            },
        ],
    });
    assert_eq!(status["pools"][0], expected);
    assert_eq!(status["pools"][1]["endpoints"][0]["address"], "[::1]:80");
    assert_eq!(status["leaving"][0]["pool"], "v0");
    assert_eq!(status["leaving"][0]["state"], "draining");
}

#[tokio::test]
async fn the_status_says_what_runs_and_what_was_rejected() {
    let house = house(|report| {
        report.restart_needed = vec!["workers".to_owned()];
        report.last_error = Some(Rejected {
            at: SystemTime::UNIX_EPOCH,
            problems: "t.yaml:3:1: wrong".into(),
        });
    });
    let status = status_of(&house.admin).await;
    assert_eq!(status["build"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["phase"], "running");
    assert_eq!(status["environment"], "test");
    assert_eq!(status["zone"], "a");
    let config = &status["config"];
    assert_eq!(config["hash"].as_str().unwrap().len(), 16);
    assert_eq!(config["loadedAt"], "1970-01-01T00:00:01.500Z");
    assert_eq!(config["lastError"]["problems"], "t.yaml:3:1: wrong");
    assert_eq!(config["restartNeeded"], json!(["workers"]));
    let web = json!({
        "name": "web",
        "bind": "127.0.0.1:8080",
        "bound": "127.0.0.1:8080",
        "protocols": ["http1", "http2"],
        "proxyProtocol": "nobody",
    });
    assert_eq!(status["listeners"], json!([web]));
}
