//! What finding a route costs, and that it does not grow with the number of routes: `cargo bench --bench route`.
//!
//! `one_host` asks for the same host again and again, which shows the work itself; `many_hosts` goes through 1,024 of
//! the hosts, which adds what the processor's caches miss.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use fiel::config::model::{
    Action, HeaderEdits, HostPattern, Match, PathPattern, Respond, Retry, Rewrite, Route, Timeouts,
};
use fiel::route::{Facts, Table};
use http::{HeaderMap, Method, StatusCode};

const COUNTS: [usize; 3] = [1, 1_000, 10_000];

fn main() {
    divan::main();
}

fn route(matches: Match) -> Arc<Route> {
    Arc::new(Route {
        name: "bench".into(),
        matches,
        action: Action::Respond(Respond {
            status: StatusCode::OK,
            body: bytes::Bytes::new(),
        }),
        timeouts: Timeouts::default(),
        retry: Retry::default(),
        max_body_bytes: None,
        path_as_received: false,
        rewrite: Rewrite::default(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    })
}

fn host(number: usize) -> String {
    format!("host-{number:05}.shop.example.com")
}

fn path(number: usize) -> String {
    format!("/api/service-{number:05}")
}

fn on_hosts(count: usize) -> Vec<Arc<Route>> {
    let on_host = |number| Match {
        hosts: vec![HostPattern::Exact(host(number).into())],
        ..Match::default()
    };
    (0..count).map(|number| route(on_host(number))).collect()
}

fn on_paths(count: usize) -> Vec<Arc<Route>> {
    let on_path = |number: usize| Match {
        hosts: vec![HostPattern::Exact(host(0).into())],
        path: PathPattern::Prefix(path(number).into()),
        ..Match::default()
    };
    (0..count).map(|number| route(on_path(number))).collect()
}

/// Finds each of these hosts and paths in turn.
fn find_each(bencher: Bencher<'_, '_>, routes: &[Arc<Route>], requests: &[(String, String)]) {
    let table = Table::of(routes);
    let headers = HeaderMap::new();
    bencher
        .counter(ItemsCount::new(requests.len()))
        .bench_local(|| {
            for (host, path) in requests {
                let found = table.find(&Facts {
                    listener: "web",
                    host: black_box(host),
                    client: Some(IpAddr::from([10, 0, 0, 1])),
                    identity: None,
                    path: black_box(path),
                    method: &Method::GET,
                    headers: &headers,
                    query: None,
                });
                assert!(black_box(found).is_some());
            }
        });
}

/// 1,024 requests spread over this many hosts or paths.
fn spread(count: usize, request: impl Fn(usize) -> (String, String)) -> Vec<(String, String)> {
    (0..1_024)
        .map(|turn| request(turn * 7_919 % count))
        .collect()
}

#[divan::bench(args = COUNTS)]
fn one_host(bencher: Bencher<'_, '_>, count: usize) {
    let requests = vec![(host(count / 2), "/cart/items/1".to_owned()); 1_024];
    find_each(bencher, &on_hosts(count), &requests);
}

#[divan::bench(args = COUNTS)]
fn many_hosts(bencher: Bencher<'_, '_>, count: usize) {
    let requests = spread(count, |number| (host(number), "/cart/items/1".to_owned()));
    find_each(bencher, &on_hosts(count), &requests);
}

#[divan::bench(args = COUNTS)]
fn one_prefix(bencher: Bencher<'_, '_>, count: usize) {
    let requests = vec![(host(0), path(count / 2) + "/items/1"); 1_024];
    find_each(bencher, &on_paths(count), &requests);
}

#[divan::bench(args = COUNTS)]
fn many_prefixes(bencher: Bencher<'_, '_>, count: usize) {
    let requests = spread(count, |number| (host(0), path(number) + "/items/1"));
    find_each(bencher, &on_paths(count), &requests);
}

#[divan::bench(args = COUNTS)]
fn build_hosts(bencher: Bencher<'_, '_>, count: usize) {
    let routes = on_hosts(count);
    bencher.bench_local(|| Table::of(black_box(&routes)));
}

#[divan::bench(args = COUNTS)]
fn build_prefixes(bencher: Bencher<'_, '_>, count: usize) {
    let routes = on_paths(count);
    bencher.bench_local(|| Table::of(black_box(&routes)));
}
