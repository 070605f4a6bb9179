//! Which route takes a request, against a plain model of the order.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use crate::config::model::{
    Action, HeaderEdits, HostPattern, Match, PathPattern, Pattern, Respond, Retry, Rewrite, Route,
    RouteId, Timeouts,
};
use crate::route::host::{self, HostBuffer};
use crate::route::summary::Summary;
use crate::route::{Facts, Found, PathMatch, Table};

fn route(matches: Match) -> Arc<Route> {
    Arc::new(Route {
        name: "test".into(),
        matches,
        action: Action::Respond(Respond {
            status: http::StatusCode::OK,
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

fn table(matches: &[Match]) -> Table {
    let routes: Vec<_> = matches.iter().cloned().map(route).collect();
    Table::of(&routes)
}

fn exact(host: &str) -> HostPattern {
    HostPattern::Exact(host.into())
}

fn wildcard(suffix: &str) -> HostPattern {
    HostPattern::Wildcard(suffix.into())
}

fn regex(text: &str) -> PathPattern {
    PathPattern::Regex(Pattern {
        text: text.into(),
        regex: regex::Regex::new(&format!("^(?:{text})$")).unwrap(),
    })
}

fn prefix(path: &str) -> PathPattern {
    PathPattern::Prefix(path.into())
}

/// A request that tests change where it matters.
#[derive(Clone, Debug)]
struct Asked {
    listener: &'static str,
    host: &'static str,
    client: IpAddr,
    path: &'static str,
    method: Method,
    headers: HeaderMap,
    query: Option<&'static str>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            listener: "web",
            host: "shop.example.com",
            client: IpAddr::from([10, 0, 0, 1]),
            path: "/api/x",
            method: Method::GET,
            headers: HeaderMap::new(),
            query: None,
        }
    }
}

impl Asked {
    fn facts(&self) -> Facts<'_> {
        Facts {
            listener: self.listener,
            host: self.host,
            client: Some(self.client),
            identity: None,
            path: self.path,
            method: &self.method,
            headers: &self.headers,
            query: self.query,
        }
    }

    fn of(&self, matches: &[Match]) -> Option<usize> {
        table(matches)
            .find(&self.facts())
            .map(|found| found.route.0)
    }
}

/// Which of two matches wins, whichever comes first in the file.
fn assert_first_wins(winner: &Match, loser: &Match, asked: &Asked) {
    let in_order = [winner.clone(), loser.clone()];
    let reversed = [loser.clone(), winner.clone()];
    assert_eq!(asked.of(&in_order), Some(0), "in order: {in_order:?}");
    assert_eq!(asked.of(&reversed), Some(1), "reversed: {reversed:?}");
}

fn on_host(pattern: HostPattern) -> Match {
    Match {
        hosts: vec![pattern],
        ..Match::default()
    }
}

fn on_path(path: PathPattern) -> Match {
    Match {
        path,
        ..Match::default()
    }
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_a_longer_wildcard_over_a_shorter() {
    let asked = Asked::default();
    let ranked = [
        on_host(exact("shop.example.com")),
        on_host(wildcard("example.com")),
        on_host(wildcard("com")),
        Match::default(),
    ];
    for pair in ranked.windows(2) {
        assert_first_wins(&pair[0], &pair[1], &asked);
    }
}

#[test]
fn an_exact_path_wins_over_a_regex_and_a_regex_over_prefixes() {
    let asked = Asked::default();
    let ranked = [
        on_path(PathPattern::Exact("/api/x".into())),
        on_path(regex("/api/.*")),
        on_path(prefix("/api/x")),
        on_path(prefix("/api")),
        Match::default(),
    ];
    for pair in ranked.windows(2) {
        assert_first_wins(&pair[0], &pair[1], &asked);
    }
}

#[test]
fn the_host_counts_more_than_the_path_and_the_path_more_than_conditions() {
    let mut by_conditions = on_path(prefix("/api"));
    by_conditions.methods = vec![Method::GET];
    let asked = Asked::default();
    assert_first_wins(
        &on_host(exact("shop.example.com")),
        &on_path(PathPattern::Exact("/api/x".into())),
        &asked,
    );
    assert_first_wins(&on_path(prefix("/api/x")), &by_conditions, &asked);
}

#[test]
fn conditions_count_in_the_order_method_headers_query_client_listener() {
    let mut asked = Asked {
        query: Some("debug=1"),
        ..Asked::default()
    };
    asked
        .headers
        .insert("x-beta", HeaderValue::from_static("1"));
    let ranked = [
        Match {
            methods: vec![Method::GET],
            ..Match::default()
        },
        Match {
            headers: vec![(
                HeaderName::from_static("x-beta"),
                HeaderValue::from_static("1"),
            )],
            ..Match::default()
        },
        Match {
            query: vec![("debug".into(), "1".into())],
            ..Match::default()
        },
        Match {
            clients: vec!["10.0.0.0/16".parse().unwrap()],
            ..Match::default()
        },
        Match {
            clients: vec![
                "10.0.0.0/8".parse().unwrap(),
                "192.168.0.0/24".parse().unwrap(),
            ],
            ..Match::default()
        },
        Match {
            clients: vec!["0.0.0.0/0".parse().unwrap()],
            ..Match::default()
        },
        Match {
            listeners: vec!["web".into()],
            ..Match::default()
        },
        Match::default(),
    ];
    for pair in ranked.windows(2) {
        assert_first_wins(&pair[0], &pair[1], &asked);
    }
}

#[test]
fn on_a_tie_the_earlier_in_the_file_wins() {
    let asked = Asked::default();
    assert_eq!(asked.of(&[Match::default(), Match::default()]), Some(0));
    let regexes = [on_path(regex("/api/[a-z]")), on_path(regex("/api/x"))];
    assert_eq!(asked.of(&regexes), Some(0));
}

#[test]
fn a_host_whose_paths_do_not_match_leaves_the_request_to_less_specific_hosts() {
    let mut narrow = on_host(exact("shop.example.com"));
    narrow.path = prefix("/admin");
    let mut wide = on_host(wildcard("example.com"));
    wide.path = prefix("/api");
    assert_eq!(Asked::default().of(&[narrow, wide]), Some(1));
}

#[test]
fn a_condition_that_is_not_met_leaves_the_request_to_less_specific_routes() {
    let mut beta = on_path(PathPattern::Exact("/api/x".into()));
    beta.headers = vec![(
        HeaderName::from_static("x-beta"),
        HeaderValue::from_static("1"),
    )];
    let matches = [beta, on_path(prefix("/api"))];
    let mut asked = Asked::default();
    assert_eq!(asked.of(&matches), Some(1));
    asked
        .headers
        .append("x-beta", HeaderValue::from_static("0"));
    asked
        .headers
        .append("x-beta", HeaderValue::from_static("1"));
    assert_eq!(asked.of(&matches), Some(0), "any line of the name counts");
}

#[test]
fn nothing_matches_where_no_route_does() {
    assert_eq!(Asked::default().of(&[]), None);
    assert_eq!(Asked::default().of(&[on_host(exact("example.com"))]), None);
}

#[test]
fn a_request_without_a_host_reaches_routes_that_ask_for_none() {
    let asked = Asked {
        host: "",
        ..Asked::default()
    };
    let matches = [
        on_host(exact("example.com")),
        on_host(wildcard("com")),
        Match::default(),
    ];
    assert_eq!(asked.of(&matches), Some(2));
}

#[test]
fn what_was_matched_of_the_path_is_told() {
    let asked = Asked::default();
    let told = |matches: Match| table(&[matches]).find(&asked.facts());
    let found = |path| {
        Some(Found {
            route: RouteId(0),
            path,
        })
    };
    assert_eq!(told(on_path(prefix("/api"))), found(PathMatch::Prefix(4)));
    assert_eq!(told(on_path(regex("/api/.*"))), found(PathMatch::Whole));
    assert_eq!(told(Match::default()), found(PathMatch::Prefix(0)));
}

#[test]
fn options_for_the_whole_endpoint_reaches_routes_of_any_path_only() {
    let asked = Asked {
        path: "*",
        method: Method::OPTIONS,
        ..Asked::default()
    };
    assert_eq!(
        asked.of(&[on_path(prefix("/api")), Match::default()]),
        Some(1)
    );
}

/// The definition: ask every route, the greatest summary wins, on a tie the earlier.
fn by_definition(matches: &[Match], asked: &Asked) -> Option<usize> {
    let mut buffer = HostBuffer::new();
    let facts = Facts {
        host: host::normalized(asked.host, &mut buffer),
        ..asked.facts()
    };
    let mut best: Option<(Summary, usize)> = None;
    for (position, matches) in matches.iter().enumerate() {
        if let Some(summary) = Summary::of(matches, &facts)
            && best.is_none_or(|(known, _)| summary > known)
        {
            best = Some((summary, position));
        }
    }
    best.map(|(_, position)| position)
}

fn any_match() -> impl Strategy<Value = Match> {
    let hosts = prop_oneof![
        Just(exact("a.b.c")),
        Just(exact("b.c")),
        Just(wildcard("b.c")),
        Just(wildcard("c")),
    ];
    let paths = prop_oneof![
        2 => Just(PathPattern::Any),
        1 => Just(PathPattern::Exact("/x".into())),
        1 => Just(PathPattern::Exact("/x/y".into())),
        1 => Just(prefix("/x")),
        1 => Just(prefix("/x/y")),
        1 => Just(regex("/x/?.*")),
        1 => Just(regex("/x/y")),
    ];
    let networks = prop_oneof![
        Just("0.0.0.0/0"),
        Just("10.0.0.0/8"),
        Just("10.0.0.0/16"),
        Just("::/0")
    ];
    let methods = prop_oneof![Just(Method::GET), Just(Method::POST)];
    (
        prop::collection::vec(hosts, 0..3),
        paths,
        prop::collection::vec(networks, 0..3),
        prop::collection::vec(methods, 0..2),
        prop::collection::vec(prop_oneof![Just("h"), Just("i")], 0..2),
        prop::collection::vec(prop_oneof![Just("q"), Just("r")], 0..2),
        prop::collection::vec(prop_oneof![Just("web"), Just("other")], 0..2),
    )
        .prop_map(
            |(hosts, path, clients, methods, headers, query, listeners)| Match {
                hosts,
                path,
                clients: clients.iter().map(|text| text.parse().unwrap()).collect(),
                client_cert: None,
                methods,
                headers: headers
                    .into_iter()
                    .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
                    .collect(),
                query: query
                    .into_iter()
                    .map(|name| (name.into(), "1".into()))
                    .collect(),
                listeners: listeners.into_iter().map(Into::into).collect(),
            },
        )
}

fn any_request() -> impl Strategy<Value = Asked> {
    (
        prop::sample::select(vec!["a.b.c", "B.C", "z.a.b.c", "c", "z.c.", ""]),
        prop::sample::select(vec!["/", "/x", "/x/", "/x/y", "/x/y/z", "/xy", "*"]),
        prop::sample::select(vec![
            "10.0.0.1",
            "10.1.0.1",
            "1.1.1.1",
            "::1",
            "::ffff:10.0.0.1",
        ]),
        prop::sample::select(vec![Method::GET, Method::POST]),
        prop::sample::select(vec![
            None,
            Some("q=1"),
            Some("r=1&q=1"),
            Some("q=0&%71=%31"),
        ]),
        prop::collection::vec(prop_oneof![Just("h"), Just("i")], 0..3),
        prop::sample::select(vec!["web", "other"]),
    )
        .prop_map(|(host, path, client, method, query, fields, listener)| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(field, HeaderValue::from_static("1"));
            }
            Asked {
                listener,
                host,
                client: client.parse().unwrap(),
                path,
                method,
                headers,
                query,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_table_finds_what_asking_every_route_finds(
        matches in prop::collection::vec(any_match(), 0..12),
        requests in prop::collection::vec(any_request(), 1..8),
    ) {
        let table = table(&matches);
        for asked in &requests {
            let found = table.find(&asked.facts()).map(|found| found.route.0);
            prop_assert_eq!(found, by_definition(&matches, asked), "{:?} {:?}", matches, asked);
        }
    }

    #[test]
    fn the_order_in_the_file_decides_nothing_but_ties(
        (matches, shuffled) in prop::collection::vec(any_match(), 1..12).prop_flat_map(|matches| {
            let shuffled = Just(matches.clone()).prop_shuffle();
            (Just(matches), shuffled)
        }),
        asked in any_request(),
    ) {
        let facts = asked.facts();
        let mut buffer = HostBuffer::new();
        let normalized = Facts { host: host::normalized(asked.host, &mut buffer), ..facts };
        let summary = |matches: &[Match]| {
            let found = table(matches).find(&facts)?;
            Some(Summary::of(&matches[found.route.0], &normalized).unwrap())
        };
        prop_assert_eq!(summary(&matches), summary(&shuffled));
    }
}
