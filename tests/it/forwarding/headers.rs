//! Header rules from end to end.

use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Endpoint, client};

#[test]
fn fields_of_one_connection_stay_on_it() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nConnection: x-own\r\nX-Own: 1\r\nProxy-Connection: keep-alive\r\n\
             Keep-Alive: timeout=60\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, x-own\r\nX-Own: 1\r\n\
         Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=60\r\nTE: gzip\r\nUpgrade: x\r\n\
         X-Kept: 1\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    for name in [
        "connection",
        "x-own",
        "proxy-connection",
        "keep-alive",
        "te",
        "upgrade",
    ] {
        assert_eq!(request.header(name), None, "request: {name}");
        assert_eq!(answer.header(name), None, "answer: {name}");
    }
    assert_eq!(request.header("x-kept").as_deref(), Some("1"));
    assert_eq!(answer.header("x-kept"), Some("1"));
}

#[test]
fn both_directions_name_the_proxy() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes("HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\r\n"),
    );
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nVia: 1.1 outer\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    let vias: Vec<String> = request
        .headers()
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("via"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(vias, ["1.1 outer", "1.1 fiel"]);
    assert_eq!(answer.headers_named("via"), ["1.1 inner", "1.1 fiel"]);
}

#[test]
fn claims_of_a_client_are_replaced() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 9.9.9.9\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Real-IP: 9.9.9.9\r\n\
         Forwarded: for=9.9.9.9\r\nX_Forwarded_For: 9.9.9.9\r\n\
         Connection: x-forwarded-for, x-forwarded-proto, x-request-id\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    for (name, value) in [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("shop.example")),
        ("x-real-ip", None),
        ("forwarded", None),
        ("x_forwarded_for", None),
    ] {
        assert_eq!(request.header(name).as_deref(), value, "{name}");
    }
    assert!(request.header("x-request-id").is_some());
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "127.0.0.1");
}

#[test]
fn claims_of_a_trusted_proxy_are_kept_and_it_is_added() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        listener: &["trustedProxies: [127.0.0.0/8]"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: inner.example\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    for (name, value) in [
        ("x-forwarded-for", "1.2.3.4, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ] {
        assert_eq!(request.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "1.2.3.4");
}

#[test]
fn a_request_has_an_id_its_own_or_a_new_one() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    client::request(
        fiel.address("web"),
        "GET /own HTTP/1.1\r\nHost: test\r\nX-Request-Id: my-id-7\r\n\r\n",
    );
    client::get(fiel.address("web"), "/new");

    let own = &endpoint.requests_to("/own")[0];
    assert_eq!(own.header("x-request-id").as_deref(), Some("my-id-7"));
    let new = endpoint.requests_to("/new")[0]
        .header("x-request-id")
        .unwrap_or_default();
    assert_eq!(new.len(), 32, "{new}");
    let ids: Vec<_> = fiel
        .wait_for_access_log(2)
        .iter()
        .map(|line| line["request_id"].clone())
        .collect();
    assert_eq!(ids, ["my-id-7", new.as_str()]);
}

#[test]
fn a_trace_is_passed_on_and_logged() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    client::request(
        fiel.address("web"),
        format!("GET / HTTP/1.1\r\nHost: test\r\ntraceparent: {parent}\r\ntracestate: a=b\r\n\r\n"),
    );

    let request = &endpoint.requests()[0];
    assert_eq!(request.header("traceparent").as_deref(), Some(parent));
    assert_eq!(request.header("tracestate").as_deref(), Some("a=b"));
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn the_host_is_kept_unless_the_route_gives_another() {
    let endpoint = Endpoint::start("a");
    let kept = before(&endpoint);
    let terms = Terms {
        route: &["rewrite: { host: internal.example }"],
        ..Terms::default()
    };
    let rewritten = terms.before(&endpoint);

    for (fiel, host) in [(&kept, "Shop.example:81"), (&rewritten, "internal.example")] {
        client::request(
            fiel.address("web"),
            "GET / HTTP/1.1\r\nHost: Shop.example:81\r\n\r\n",
        );
        let request = endpoint.requests().pop().unwrap();
        assert_eq!(request.header("host").as_deref(), Some(host));
        assert_eq!(
            request.header("x-forwarded-host").as_deref(),
            Some("Shop.example:81")
        );
    }
}

#[test]
fn a_route_edits_fields_both_ways() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nServer: inner/1\r\nX-B: old\r\nX-C: 1\r\nContent-Length: 0\r\n\r\n",
        ),
    );
    let terms = Terms {
        route: &[
            "requestHeaders: { set: { x-b: new }, add: { x-c: \"2\" }, remove: [x-a] }",
            "responseHeaders: { set: { x-b: new }, add: { x-c: \"2\" }, remove: [server] }",
        ],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r\nX-B: old\r\nX-C: 1\r\n\r\n",
    );

    let request = &endpoint.requests()[0];
    let of = |wanted: &str| {
        let fields = request.headers().into_iter();
        let values = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(of("x-a"), Vec::<String>::new());
    assert_eq!(of("x-b"), ["new"]);
    assert_eq!(of("x-c"), ["1", "2"]);
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.headers_named("x-b"), ["new"]);
    assert_eq!(answer.headers_named("x-c"), ["1", "2"]);
}

#[test]
fn lines_of_one_name_keep_their_order_and_their_number() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Between: 1\r\nSet-Cookie: b=2; Path=/\r\n\
             Content-Length: 0\r\n\r\n",
        ),
    );
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nAccept: a\r\nX-Between: 1\r\nAccept: b\r\n\r\n",
    );

    assert_eq!(answer.headers_named("set-cookie"), ["a=1", "b=2; Path=/"]);
    let accepted: Vec<String> = endpoint.requests()[0]
        .headers()
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("accept"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(accepted, ["a", "b"]);
}

#[test]
fn octets_beyond_ascii_in_a_value_are_passed_on() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET / HTTP/1.1\r\nHost: test\r\nX-Name: grün\r\n\r\n",
    );

    assert_eq!(answer.status, 200);
    assert_eq!(
        endpoint.requests()[0].header("x-name").as_deref(),
        Some("grün")
    );
}
