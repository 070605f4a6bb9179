//! Chapter 2, routes: which one takes a request, and what becomes of it: its target, its fields, a redirect, an answer.

use crate::support::client::{self, Response};
use crate::support::{Behaviour, Client, Endpoint, Fiel};

const LISTENER: &str = "listeners: [ { name: web, bind: 127.0.0.1:0 } ]\n";

/// Routes of these names and matches, each of which answers with its name.
fn answering(routes: &[(&str, &str)]) -> String {
    let mut yaml = "routes:\n".to_owned();
    for (name, matches) in routes {
        yaml.push_str(&format!("  - name: {name}\n"));
        if !matches.is_empty() {
            yaml.push_str(&format!("    match: {{ {matches} }}\n"));
        }
        yaml.push_str(&format!("    respond: {{ status: 200, body: {name} }}\n"));
    }
    // Whatever the routes are, a configuration has a pool.
    yaml + "pools: { unused: { endpoints: [ \"127.0.0.1:9\" ] } }\n"
}

fn start(routes: &[(&str, &str)]) -> Fiel {
    Fiel::start(&format!("{LISTENER}{}", answering(routes)))
}

/// One route to one pool of this endpoint, with these further keys of the route.
fn forwarding(endpoint: &Endpoint, keys: &str) -> Fiel {
    let address = endpoint.address();
    Fiel::start(&format!(
        "{LISTENER}routes:\n  - name: shop\n    split: [ {{ pool: shop, weight: 1 }} ]\n{keys}\
         pools: {{ shop: {{ endpoints: [ \"{address}\" ] }} }}\n"
    ))
}

/// The name of the route that takes a request with these lines; `404` where none does.
fn taken_by(fiel: &Fiel, target: &str, host: &str, fields: &str) -> String {
    taken_with(fiel, "GET", target, host, fields)
}

fn taken_with(fiel: &Fiel, method: &str, target: &str, host: &str, fields: &str) -> String {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let answer = client::request(fiel.address("web"), head);
    match answer.status {
        200 => answer.text(),
        status => status.to_string(),
    }
}

#[track_caller]
fn assert_taken(fiel: &Fiel, cases: &[(&str, &str, &str, &str)]) {
    for (target, host, fields, route) in cases {
        let taken = taken_by(fiel, target, host, fields);
        assert_eq!(taken, *route, "{target} at {host} with {fields:?}");
    }
}

#[test]
fn an_exact_host_goes_before_the_longer_wildcard_before_the_shorter_before_any() {
    let fiel = start(&[
        ("any", ""),
        ("short", "hosts: [\"*.example.com\"]"),
        ("long", "hosts: [\"*.shop.example.com\"]"),
        ("exact", "hosts: [a.shop.example.com, other.test]"),
    ]);

    assert_taken(
        &fiel,
        &[
            ("/", "a.shop.example.com", "", "exact"),
            ("/", "other.test", "", "exact"),
            ("/", "b.shop.example.com", "", "long"),
            ("/", "b.c.shop.example.com", "", "long"),
            ("/", "shop.example.com", "", "short"),
            ("/", "x.y.example.com", "", "short"),
            ("/", "example.com", "", "any"),
            ("/", "badexample.com", "", "any"),
        ],
    );
}

#[test]
fn a_host_is_compared_without_case_port_and_last_dot() {
    let fiel = start(&[("shop", "hosts: [Shop.Example.com]"), ("any", "")]);

    assert_taken(
        &fiel,
        &[
            ("/", "shop.example.com", "", "shop"),
            ("/", "SHOP.EXAMPLE.COM", "", "shop"),
            ("/", "shop.example.com:8080", "", "shop"),
            ("/", "shop.example.com.", "", "shop"),
            ("/", "Shop.example.com.:80", "", "shop"),
            ("/", "shop.example.co", "", "any"),
            // The target's authority counts, not the field (RFC 9112 §3.2.2).
            ("http://shop.example.com/x", "shop.example.com", "", "shop"),
        ],
    );
}

#[test]
fn a_request_without_a_host_takes_only_a_route_for_any() {
    let fiel = start(&[("shop", "hosts: [shop.test]"), ("any", "")]);

    let answer = client::request(fiel.address("web"), "GET / HTTP/1.0\r\n\r\n");

    assert_eq!((answer.status, answer.text()), (200, "any".to_owned()));
}

#[test]
fn an_exact_path_goes_before_a_regex_before_the_longer_prefix_before_any() {
    let fiel = start(&[
        ("any", ""),
        ("api", "path: { prefix: /api }"),
        ("users", "path: { prefix: /api/users }"),
        ("number", "path: { regex: \"/api/users/[0-9]+\" }"),
        ("one", "path: { exact: /api/users/1 }"),
    ]);

    assert_taken(
        &fiel,
        &[
            ("/api/users/1", "h", "", "one"),
            ("/api/users/2", "h", "", "number"),
            ("/api/users/12?x=1", "h", "", "number"),
            // A regular expression is about the whole path.
            ("/api/users/12/x", "h", "", "users"),
            ("/api/users/x", "h", "", "users"),
            ("/api/users", "h", "", "users"),
            ("/api/users1", "h", "", "api"),
            ("/api", "h", "", "api"),
            ("/api/", "h", "", "api"),
            ("/api?users", "h", "", "api"),
            ("/apis", "h", "", "any"),
            ("/API", "h", "", "any"),
            ("/", "h", "", "any"),
        ],
    );
}

#[test]
fn a_prefix_written_with_a_slash_at_its_end_is_the_same_prefix() {
    let fiel = start(&[
        ("api", "path: { prefix: /api/ }"),
        ("any", "path: { prefix: / }"),
    ]);

    assert_taken(
        &fiel,
        &[
            ("/api", "h", "", "api"),
            ("/api/x", "h", "", "api"),
            ("/apix", "h", "", "any"),
        ],
    );
}

#[test]
fn the_most_specific_route_wins_whatever_the_order_in_the_file() {
    let mut routes = vec![
        ("any", ""),
        ("host", "hosts: [h.test]"),
        ("path", "path: { prefix: /p }"),
        ("both", "hosts: [h.test], path: { prefix: /p }"),
        (
            "method",
            "hosts: [h.test], path: { prefix: /p }, methods: [PUT]",
        ),
        (
            "header",
            "hosts: [h.test], path: { prefix: /p }, headers: { x-beta: \"1\" }",
        ),
        (
            "headers",
            "hosts: [h.test], path: { prefix: /p }, headers: { x-beta: \"1\", x-more: \"2\" }",
        ),
        (
            "query",
            "hosts: [h.test], path: { prefix: /p }, query: { debug: \"1\" }",
        ),
    ];
    let more = "x-beta: 1\r\nx-more: 2\r\n";
    for _ in 0..2 {
        let fiel = start(&routes);
        assert_taken(
            &fiel,
            &[
                ("/", "other", "", "any"),
                ("/", "h.test", "", "host"),
                ("/p", "other", "", "path"),
                ("/p", "h.test", "", "both"),
                // A host is more specific than a path.
                ("/q", "h.test", "", "host"),
                ("/p", "h.test", "x-beta: 1\r\n", "header"),
                ("/p", "h.test", "x-beta: 2\r\n", "both"),
                ("/p", "h.test", more, "headers"),
                ("/p?debug=1", "h.test", "", "query"),
                ("/p?debug=1", "h.test", "x-beta: 1\r\n", "header"),
            ],
        );
        let by_method = taken_with(&fiel, "PUT", "/p?debug=1", "h.test", more);
        assert_eq!(by_method, "method", "a method goes before fields");
        routes.reverse();
    }
}

#[test]
fn on_a_tie_the_earlier_route_wins() {
    let one_way = [
        ("one", "path: { prefix: /p }, headers: { x-one: \"1\" }"),
        ("two", "path: { prefix: /p }, headers: { x-two: \"2\" }"),
    ];
    let other_way = [one_way[1], one_way[0]];
    let both = "x-one: 1\r\nx-two: 2\r\n";

    assert_taken(&start(&one_way), &[("/p/x", "h", both, "one")]);
    assert_taken(&start(&other_way), &[("/p/x", "h", both, "two")]);
}

#[test]
fn methods_are_matched_in_their_case() {
    let fiel = start(&[
        ("read", "methods: [GET, HEAD]"),
        ("write", "methods: [POST, PURGE]"),
    ]);

    for (method, route) in [
        ("GET", "read"),
        ("POST", "write"),
        ("PURGE", "write"),
        ("DELETE", "404"),
        ("get", "404"),
    ] {
        let taken = taken_with(&fiel, method, "/", "h", "Content-Length: 0\r\n");
        assert_eq!(taken, route, "{method}");
    }
}

#[test]
fn a_header_condition_holds_for_any_line_of_that_name_and_exactly_that_value() {
    let fiel = start(&[("beta", "headers: { X-Beta: \"1\" }"), ("any", "")]);

    assert_taken(
        &fiel,
        &[
            ("/", "h", "x-beta: 1\r\n", "beta"),
            ("/", "h", "X-BETA:  1 \r\n", "beta"),
            ("/", "h", "x-beta: 0\r\nx-beta: 1\r\n", "beta"),
            ("/", "h", "x-beta: 11\r\n", "any"),
            ("/", "h", "x-beta: 0, 1\r\n", "any"),
            ("/", "h", "x-beta:\r\n", "any"),
            ("/", "h", "", "any"),
        ],
    );
}

#[test]
fn a_query_condition_is_compared_after_decoding() {
    let fiel = start(&[("found", "query: { \"a b\": \"c/ü&=\" }"), ("any", "")]);

    assert_taken(
        &fiel,
        &[
            ("/?a%20b=c%2F%C3%BC%26%3D", "h", "", "found"),
            ("/?x=y&a+b=c/%c3%bc%26%3D&z", "h", "", "found"),
            ("/?a%20b=c", "h", "", "any"),
            ("/?a%20b", "h", "", "any"),
            ("/", "h", "", "any"),
        ],
    );
}

#[test]
fn the_longest_network_that_holds_the_client_wins_and_only_trusted_proxies_tell_who_it_is() {
    let routes = answering(&[
        ("any", ""),
        ("ten", "clients: [\"10.0.0.0/8\"]"),
        ("near", "clients: [\"10.1.0.0/16\", \"192.168.0.0/16\"]"),
        ("local", "clients: [\"127.0.0.0/8\"]"),
        ("six", "clients: [\"2001:db8::/32\"]"),
    ]);
    let trusting = Fiel::start(&format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0, trustedProxies: [\"127.0.0.0/8\", \"10.9.0.0/16\"] }} ]\n{routes}"
    ));
    let wary = Fiel::start(&format!("{LISTENER}{routes}"));

    for (forwarded, route) in [
        ("10.2.3.4", "ten"),
        ("10.1.3.4", "near"),
        ("192.168.7.7", "near"),
        ("2001:db8::5", "six"),
        ("203.0.113.9", "any"),
        // The last that no trusted proxy wrote.
        ("10.1.1.1, 203.0.113.9", "any"),
        ("203.0.113.9, 10.2.3.4, 10.9.0.1", "ten"),
    ] {
        let field = format!("X-Forwarded-For: {forwarded}\r\n");
        assert_eq!(taken_by(&trusting, "/", "h", &field), route, "{forwarded}");
        assert_eq!(taken_by(&wary, "/", "h", &field), "local", "{forwarded}");
    }
    assert_eq!(taken_by(&trusting, "/", "h", ""), "local");
    let log = trusting.wait_for_access_log(8);
    let told = log.iter().any(|line| line["client"] == "2001:db8::5");
    assert!(told, "the log names the client behind the proxy: {log:?}");
}

#[test]
fn two_listeners_may_serve_the_same_host_each_with_its_own_routes() {
    let fiel = Fiel::start(&format!(
        "listeners:\n  - {{ name: web, bind: 127.0.0.1:0 }}\n  - {{ name: inside, bind: 127.0.0.2:0 }}\n{}",
        answering(&[
            ("outer", "listeners: [web], hosts: [h.test]"),
            ("inner", "listeners: [inside], hosts: [h.test]"),
            ("both", "hosts: [h.test], path: { prefix: /both }"),
        ])
    ));
    let ask = |listener: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n");
        client::request(fiel.address(listener), head).text()
    };

    assert_eq!([ask("web", "/"), ask("inside", "/")], ["outer", "inner"]);
    assert_eq!([ask("web", "/both"), ask("inside", "/both/x")], ["both"; 2]);
    let log = fiel.wait_for_access_log(4);
    let mut seen: Vec<_> = log
        .iter()
        .map(|line| (line["listener"].as_str(), line["route"].as_str()))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            (Some("inside"), Some("both")),
            (Some("inside"), Some("inner")),
            (Some("web"), Some("both")),
            (Some("web"), Some("outer")),
        ]
    );
}

#[test]
fn what_no_route_takes_gets_404_with_its_reason_and_the_connection_goes_on() {
    let fiel = start(&[("shop", "path: { prefix: /shop }")]);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.get("/elsewhere");

    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=destination_not_found")
    );
    assert_eq!(client.get("/shop").text(), "shop");
    let log = fiel.wait_for_access_log(2);
    assert_eq!(log[0]["reason"], "no_route", "{}", log[0]);
    assert_eq!(log[0]["status"], 404, "{}", log[0]);
    assert!(log[0].get("pool").is_none(), "{}", log[0]);
}

fn location_of(fiel: &Fiel, target: &str, host: &str) -> Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client::request(fiel.address("web"), head)
}

#[test]
fn a_redirect_changes_what_it_names_and_keeps_the_rest() {
    let redirects = [
        ("scheme", "scheme: https"),
        ("host", "host: new.test, status: 301"),
        ("port", "host: \"new.test:81\", status: 302"),
        ("path", "path: /new, status: 307"),
        ("other", "path: /newer, status: 303"),
        ("all", "scheme: https, host: new.test, path: /new"),
    ];
    let mut yaml = LISTENER.to_owned() + "routes:\n";
    for (name, redirect) in redirects {
        yaml.push_str(&format!(
            "  - {{ name: {name}, match: {{ path: {{ prefix: /{name} }} }}, redirect: {{ {redirect} }} }}\n"
        ));
    }
    let fiel = Fiel::start(&(yaml + "pools: { unused: { endpoints: [ \"127.0.0.1:9\" ] } }\n"));

    for (target, status, location) in [
        ("/scheme/a?b=c", 308, "https://old.test/scheme/a?b=c"),
        ("/host/a?b=c", 301, "http://new.test/host/a?b=c"),
        ("/port/./a//b", 302, "http://new.test:81/port/a/b"),
        ("/path/a?b=c", 307, "http://old.test:8080/new?b=c"),
        ("/other/a", 303, "http://old.test:8080/newer"),
        ("/all/a?b=c", 308, "https://new.test/new?b=c"),
    ] {
        let answer = location_of(&fiel, target, "old.test:8080");
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("location"), Some(location), "{target}");
        assert_eq!(answer.headers_named("location").len(), 1, "{target}");
    }
}

#[test]
fn a_fixed_answer_has_its_status_body_and_fields() {
    let fiel = Fiel::start(&format!(
        "{LISTENER}routes:\n  - name: ping\n    match: {{ path: {{ regex: \"/ping/?\" }} }}\n    \
         respond: {{ status: 203, body: pong }}\n    \
         responseHeaders: {{ set: {{ x-made: \"here\" }} }}\n  \
         - {{ name: empty, match: {{ path: {{ exact: /empty }} }}, respond: {{ status: 204 }} }}\n\
         pools: {{ unused: {{ endpoints: [ \"127.0.0.1:9\" ] }} }}\n"
    ));
    let mut client = Client::connect(fiel.address("web"));

    let pong = client.get("/ping/");

    assert_eq!((pong.status, pong.text()), (203, "pong".to_owned()));
    assert_eq!(pong.header("x-made"), Some("here"));
    assert_eq!(pong.header("content-length"), Some("4"));
    let head = client.request("HEAD /ping HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((head.status, head.text()), (203, String::new()));
    assert_eq!(client.get("/empty").status, 204);
    assert_eq!(client.get("/pings").status, 404);
}

#[test]
fn a_rewrite_replaces_the_matched_prefix_and_the_host() {
    let endpoint = Endpoint::start("shop");
    let fiel = forwarding(
        &endpoint,
        "    match: { path: { prefix: /api } }\n    rewrite: { prefix: /v2/, host: internal.example }\n",
    );

    for (target, forwarded) in [
        ("/api", "/v2"),
        ("/api/", "/v2/"),
        ("/api/x?a=%7E&b", "/v2/x?a=%7E&b"),
        ("/api//x/../y", "/v2/y"),
        ("/api?q", "/v2?q"),
        ("/api/a%2Fb", "/v2/a%2Fb"),
    ] {
        let before = endpoint.requests().len();
        let head = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        assert_eq!(client::request(fiel.address("web"), head).status, 200);
        let requests = endpoint.requests();
        let request = &requests[before];
        assert_eq!(request.line(), format!("GET {forwarded} HTTP/1.1"));
        assert_eq!(request.header("host").as_deref(), Some("internal.example"));
        let told = request.header("x-forwarded-host");
        assert_eq!(told.as_deref(), Some("shop.test"));
    }
}

#[test]
fn a_rewrite_to_the_root_leaves_no_double_slash() {
    let endpoint = Endpoint::start("shop");
    let fiel = forwarding(
        &endpoint,
        "    match: { path: { prefix: /api } }\n    rewrite: { prefix: / }\n",
    );

    for (target, forwarded) in [("/api", "/"), ("/api/", "/"), ("/api/x/", "/x/")] {
        let before = endpoint.requests().len();
        client::get(fiel.address("web"), target);
        let line = endpoint.requests()[before].line().to_owned();
        assert_eq!(line, format!("GET {forwarded} HTTP/1.1"), "{target}");
    }
}

#[test]
fn fields_are_set_added_and_removed_on_both_ways() {
    let endpoint = Endpoint::behaving(
        "shop",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: shop/1\r\nX-Both: theirs\r\nX-More: 1\r\n\r\n",
        ),
    );
    let fiel = forwarding(
        &endpoint,
        "    requestHeaders: { set: { x-set: new, x-fresh: made }, add: { x-more: \"2\" }, remove: [x-secret] }\n    \
             responseHeaders: { set: { x-both: ours }, add: { x-more: \"2\" }, remove: [Server] }\n",
    );

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: h\r\nX-Set: old\r\nX-Set: older\r\nX-More: 1\r\nX-Secret: s\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    let named = |name: &str| -> Vec<String> {
        let fields = request.headers().into_iter();
        let named = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    };
    assert_eq!(named("x-set"), ["new"]);
    assert_eq!(named("x-fresh"), ["made"]);
    assert_eq!(named("x-more"), ["1", "2"]);
    assert_eq!(named("x-secret"), [""; 0]);
    assert_eq!(answer.headers_named("x-both"), ["ours"]);
    assert_eq!(answer.headers_named("x-more"), ["1", "2"]);
    assert_eq!(answer.headers_named("server"), [""; 0]);
}

#[test]
fn the_canonical_path_is_matched_logged_and_forwarded() {
    let endpoint = Endpoint::start("shop");
    let fiel = forwarding(&endpoint, "    match: { path: { prefix: /a/b } }\n");

    let cases = [
        ("/a/./b//c/%7Ed/../x", "/a/b/c/x"),
        ("/a/b/%7euser/%41", "/a/b/~user/A"),
        ("/z/../a/b", "/a/b"),
        ("/a/%2e%2e/a/b/", "/a/b/"),
        ("/a/b/c%2fd%5c;v=1", "/a/b/c%2Fd%5C;v=1"),
        ("/a/b/..%2fsecret", "/a/b/..%2Fsecret"),
    ];
    for (target, canonical) in cases {
        let before = endpoint.requests().len();
        let answer = client::get(fiel.address("web"), &format!("{target}?q=%7E/../"));
        assert_eq!(answer.status, 200, "{target}");
        let line = endpoint.requests()[before].line().to_owned();
        assert_eq!(line, format!("GET {canonical}?q=%7E/../ HTTP/1.1"));
        let log = fiel.wait_for_access_log(before + 1);
        assert_eq!(log[before]["path"], canonical, "{}", log[before]);
    }
    for elsewhere in ["/a/b/../c", "/a/b/%2e%2e/", "/a%2Fb", "/a/bc"] {
        let answer = client::get(fiel.address("web"), elsewhere);
        assert_eq!(answer.status, 404, "{elsewhere}");
    }
}

#[test]
fn the_path_is_forwarded_as_received_where_a_route_says_so() {
    let endpoint = Endpoint::start("shop");
    let fiel = forwarding(
        &endpoint,
        "    match: { path: { prefix: /a/b } }\n    pathAsReceived: true\n",
    );

    let target = "/a/./b//c/%7Ed/../x?q=%7E";
    assert_eq!(client::get(fiel.address("web"), target).status, 200);

    let line = endpoint.requests()[0].line().to_owned();
    assert_eq!(line, format!("GET {target} HTTP/1.1"));
    let log = fiel.wait_for_access_log(1);
    assert_eq!(log[0]["path"], "/a/b/c/x", "{}", log[0]);
}

#[test]
fn an_absolute_target_is_forwarded_as_a_path_with_its_authority_as_host() {
    let endpoint = Endpoint::start("shop");
    let fiel = forwarding(&endpoint, "    match: { hosts: [shop.test] }\n");

    let answer = client::request(
        fiel.address("web"),
        "GET http://shop.test:81/x?y HTTP/1.1\r\nHost: shop.test:81\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    let request = &endpoint.requests()[0];
    assert_eq!(request.line(), "GET /x?y HTTP/1.1");
    assert_eq!(request.header("host").as_deref(), Some("shop.test:81"));
}
