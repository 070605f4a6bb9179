//! The whole of the metrics: what lives and goes, what is declared and scraped, and counting while being scraped.

use super::*;
use std::collections::BTreeSet;
use std::time::Duration;

const WORKER: WorkerId = WorkerId(0);
const TOOK: Duration = Duration::from_millis(4);

#[test]
fn a_name_that_stays_keeps_its_series_and_one_that_goes_leaves() {
    let metrics = Metrics::new(1);
    let old = (metrics.traffic("shop", "v1"), metrics.traffic("shop", "v2"));
    old.0.answered(WORKER, 200, Some(TOOK), TOOK);
    old.1.answered(WORKER, 200, Some(TOOK), TOOK);

    let kept = metrics.traffic("shop", "v1");
    drop(old);
    kept.answered(WORKER, 200, Some(TOOK), TOOK);

    let text = metrics.text(Vec::new());
    let line = r#"fiel_requests_total{route="shop",pool="v1",code="200"} 2"#;
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("v2"), "{text}");
}

#[test]
fn names_that_come_and_go_do_not_pile_up_when_nobody_scrapes() {
    let metrics = Metrics::new(1);
    let stays = metrics.pool("stays");
    for name in 0..10_000 {
        drop(metrics.pool(&name.to_string()));
    }
    let held = metrics.with_handles(|handles| handles.pools.handles.len());
    assert!(held < 200, "{held} names are held");
    assert!(Arc::ptr_eq(&stays, &metrics.pool("stays")));
}

#[test]
fn a_rejected_reload_shows_until_the_next_good_one() {
    let metrics = Metrics::new(1);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    metrics.configured(at(1_000));
    metrics.reloaded(Reload::Rejected, at(2_000));
    metrics.waiting_for_restart(2);
    let text = metrics.text(Vec::new());
    for line in [
        "fiel_config_last_reload_successful 0\n",
        "fiel_config_last_reload_success_timestamp_seconds 1000\n",
        "fiel_config_reloads_total{result=\"rejected\"} 1\n",
        "fiel_config_reloads_total{result=\"applied\"} 0\n",
        "fiel_config_restart_needed 1\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }

    metrics.reloaded(Reload::Unchanged, at(3_000));
    metrics.waiting_for_restart(0);
    let text = metrics.text(Vec::new());
    for line in [
        "fiel_config_last_reload_successful 1\n",
        "fiel_config_last_reload_success_timestamp_seconds 3000\n",
        "fiel_config_reloads_total{result=\"unchanged\"} 1\n",
        "fiel_config_restart_needed 0\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn every_declared_family_can_be_scraped_and_nothing_else() {
    let text = busy().text(from_a_snapshot());
    let scraped: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let declared: BTreeSet<&str> = families::ALL.iter().map(|family| family.name).collect();
    assert_eq!(scraped, declared);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        eprintln!("promtool is not installed: nothing was checked");
        return;
    };
    let text = busy().text(from_a_snapshot());
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn scrapes_beside_busy_workers_never_go_back_and_end_with_all() {
    const ROUNDS: u64 = 20_000;
    let metrics = Metrics::new(4);
    let traffic = metrics.traffic("shop", "v1");
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let traffic = &traffic;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let code = 200 + u16::try_from(round % 7).unwrap();
                    traffic.answered(WorkerId(worker), code, Some(TOOK), TOOK);
                }
            });
        }
        let mut before = 0;
        for _ in 0..100 {
            let now = requests(&metrics.text(Vec::new()));
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
    });
    assert_eq!(requests(&metrics.text(Vec::new())), 4 * ROUNDS);
}

fn requests(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix("fiel_requests_total{")?.rsplit_once(' '))
        .map(|(_, count)| count.parse::<u64>().unwrap())
        .sum()
}

/// Metrics of which each has counted something. The handles are leaked, so that the series stay.
fn busy() -> Arc<Metrics> {
    let metrics = Metrics::new(1);
    let traffic = std::mem::ManuallyDrop::new(metrics.traffic("shop", "v1"));
    traffic.answered(WORKER, 200, Some(TOOK), TOOK);
    traffic.local_reply(WORKER, 503, "no_ready_endpoint");
    traffic.call_ended(WORKER, 14);
    traffic.tunnel_opened(WORKER);
    let pool = std::mem::ManuallyDrop::new(metrics.pool("v1"));
    pool.failed(WORKER, "reset");
    pool.retried(WORKER, "reset");
    let listener = std::mem::ManuallyDrop::new(metrics.listener("web"));
    listener.opened(WORKER);
    listener.shook_hands(WORKER, Handshake::Full);
    listener.aborted(WORKER, Abort::PingFlood);
    listener.refused(WORKER, Refusal::Tls);
    metrics
}

fn from_a_snapshot() -> Vec<MetricFamily> {
    let probed: cells::Durations = cells::Durations::default();
    probed.observe(TOOK);
    let labels = ["v1", "readiness", "success"];
    vec![
        families::PROBES.with([(labels, 1.0)]),
        families::PROBE_DURATION
            .with_durations::<cells::RequestBounds, _, _>([(labels, probed.read())]),
        families::PROBE_LAG.with([([""; 0], 0.0)]),
        families::SPLIT_WEIGHT.with([(["shop", "v1"], 0.999)]),
        families::SPLIT_EFFECTIVE.with([(["shop", "v1"], 1.0)]),
        families::SPLIT_ASSIGNED.with([(["shop", "v1"], 1.0)]),
        families::POOL_ENDPOINTS.with([(["v1", "ready"], 1.0), (["v1", "dead"], 0.0)]),
        families::ENDPOINT_READY.with([(["v1", "10.0.0.1:80"], 1.0)]),
        families::ENDPOINT_LIVE.with([(["v1", "10.0.0.1:80"], 1.0)]),
        families::ENDPOINT_IN_FLIGHT.with([(["v1", "10.0.0.1:80"], 0.0)]),
        families::NAME_ADDRESSES.with([(["shop.internal"], 2.0)]),
        families::NAME_LOOKUPS.with([(["shop.internal", "found"], 7.0)]),
        families::NAME_LAST_SUCCESS.with([(["shop.internal"], 1e9)]),
        families::CERTIFICATE_NOT_AFTER.with([(["web", "shop.example.com"], 2e9)]),
        families::POOL_CERTIFICATE_NOT_AFTER.with([(["v1", "me"], 2e9)]),
        families::AUTHORITY_NOT_AFTER.with([(["none", "v1", "authority"], 2e9)]),
        families::POOL_LIVENESS_HELD.with([(["v1"], 0.0)]),
        families::POOL_INFO.with([(["v1", "1.8.2"], 1.0)]),
    ]
}
