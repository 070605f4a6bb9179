//! What `/metrics` has of the snapshot, of `control` and of the prober.

use super::*;

fn scraped(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect()
}

#[tokio::test]
async fn the_scrape_has_the_known_families_and_no_others() {
    let expected = "fiel_access_log_dropped_total fiel_build_info fiel_bytes_total \
        fiel_config_last_reload_success_timestamp_seconds fiel_config_last_reload_successful \
        fiel_config_reloads_total fiel_config_restart_needed fiel_connections fiel_connections_total \
        fiel_endpoint_in_flight fiel_endpoint_live fiel_endpoint_ready fiel_local_replies_total \
        fiel_panics_total fiel_pool_endpoints fiel_pool_info fiel_pool_liveness_held \
        fiel_probe_duration_seconds fiel_probe_lag_seconds fiel_probes_total \
        fiel_request_duration_seconds fiel_requests_in_flight fiel_requests_total \
        fiel_response_duration_seconds fiel_retries_total fiel_split_assigned_total \
        fiel_split_effective_ratio fiel_split_weight_ratio fiel_tls_certificate_faults fiel_tunnel_bytes_total \
        fiel_tunnel_duration_seconds fiel_tunnels fiel_upstream_connections \
        fiel_upstream_connects_total fiel_upstream_duration_seconds fiel_upstream_failures_total \
        fiel_worker_connections \
        process_cpu_seconds_total process_max_fds process_open_fds process_resident_memory_bytes \
        process_start_time_seconds process_threads process_virtual_memory_bytes";
    let house = house(|_| {});
    let took = Duration::from_millis(4);
    let worker = WorkerId(0);
    let traffic = house.admin.metrics.traffic("shop", "v1");
    traffic.answered(worker, 200, Some(took), took);
    traffic.local_reply(worker, 503, "no_ready_endpoint");
    traffic.tunnel_opened(worker);
    let pool = house.admin.metrics.pool("v1");
    pool.failed(worker, "reset");
    pool.retried(worker, "reset");
    let listener = house.admin.metrics.listener("web");
    listener.opened(worker);
    let tally = house.admin.probes.tally(&"v1".into(), ProbeKind::Readiness);
    tally.of(ProbeResult::Failure).observe(took);

    let (status, text) = ask(&house.admin, "GET", "/metrics").await;

    assert_eq!(status, 200);
    let expected: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(scraped(&text), expected);
    for line in [
        r#"fiel_probes_total{pool="v1",probe="readiness",result="failure"} 1"#,
        r#"fiel_probes_total{pool="v1",probe="readiness",result="success"} 0"#,
        r#"fiel_probe_duration_seconds_count{pool="v1",probe="readiness",result="failure"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[tokio::test]
async fn a_scrape_reads_splits_pools_and_endpoints() {
    let endpoints = Fixed {
        states: BTreeMap::from([
            ("10.0.0.1:80".parse().unwrap(), State::Dead),
            ("[::1]:80".parse().unwrap(), State::Unready),
        ]),
        ..Fixed::default()
    };
    let house = house_with(&endpoints, |report| {
        report.held = BTreeMap::from([("v2".into(), 1)]);
    });
    let snapshot = house.admin.store.newest();
    let shop = snapshot.routes[0].split().unwrap();
    assert!(matches!(shop.take(), Turn::Entry { .. }));
    let blog = snapshot.routes[1].split().unwrap();
    blog.entries()[0].traffic.picked(WorkerId(0));

    let (_, text) = ask(&house.admin, "GET", "/metrics").await;

    for line in [
        r#"fiel_split_weight_ratio{route="shop",pool="v1"} 0.999"#,
        r#"fiel_split_weight_ratio{route="shop",pool="v2"} 0.001"#,
        r#"fiel_split_effective_ratio{route="shop",pool="v1"} 1"#,
        r#"fiel_split_effective_ratio{route="shop",pool="v2"} 0"#,
        r#"fiel_split_effective_ratio{route="blog",pool="v2"} 0"#,
        r#"fiel_split_assigned_total{route="shop",pool="v1"} 1"#,
        r#"fiel_split_assigned_total{route="blog",pool="v2"} 1"#,
        r#"fiel_pool_endpoints{pool="v1",state="starting"} 0"#,
        r#"fiel_pool_endpoints{pool="v1",state="ready"} 1"#,
        r#"fiel_pool_endpoints{pool="v1",state="unready"} 0"#,
        r#"fiel_pool_endpoints{pool="v1",state="dead"} 1"#,
        r#"fiel_pool_endpoints{pool="v1",state="draining"} 0"#,
        r#"fiel_pool_endpoints{pool="v2",state="unready"} 1"#,
        r#"fiel_endpoint_ready{pool="v1",endpoint="10.0.0.1:80"} 0"#,
        r#"fiel_endpoint_live{pool="v1",endpoint="10.0.0.1:80"} 0"#,
        r#"fiel_endpoint_ready{pool="v1",endpoint="10.0.0.2:80"} 1"#,
        r#"fiel_endpoint_live{pool="v2",endpoint="[::1]:80"} 1"#,
        r#"fiel_endpoint_in_flight{pool="v2",endpoint="[::1]:80"} 0"#,
        r#"fiel_pool_liveness_held{pool="v1"} 0"#,
        r#"fiel_pool_liveness_held{pool="v2"} 1"#,
        r#"fiel_pool_info{pool="v1",version="1.8.2"} 1"#,
        r#"fiel_pool_info{pool="v2",version=""} 1"#,
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[tokio::test]
async fn endpoints_that_leave_count_as_draining_and_above_the_bound_none_has_series() {
    let house = house(|report| {
        report.leaving = vec![endpoint(key("v0", "10.0.0.9:80"), State::Draining)];
    });
    let (_, text) = ask(&house.admin, "GET", "/metrics").await;
    let line = r#"fiel_pool_endpoints{pool="v0",state="draining"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("fiel_endpoint_"), "{text}");
}

#[tokio::test]
async fn an_endpoint_that_left_and_came_back_has_one_series() {
    let back = endpoint(key("v1", "10.0.0.1:80"), State::Draining);
    let house = house(|report| report.leaving = vec![back]);
    let (_, text) = ask(&house.admin, "GET", "/metrics").await;
    let series = r#"fiel_endpoint_ready{pool="v1",endpoint="10.0.0.1:80"}"#;
    assert_eq!(text.matches(series).count(), 1, "{text}");
    assert!(text.contains(&format!("{series} 1")), "{text}");
    let line = r#"fiel_pool_endpoints{pool="v1",state="draining"} 1"#;
    assert!(text.contains(line), "{text}");
}
