//! Who the client is behind proxies: by their addresses, by their number, in `Forwarded` and in `X-Forwarded-*`.

use crate::support::terms::Terms;
use crate::support::{Endpoint, Fiel, client};

fn with(endpoint: &Endpoint, listener: &[&str]) -> Fiel {
    let terms = Terms {
        listener,
        ..Terms::default()
    };
    terms.before(endpoint)
}

fn ask(fiel: &Fiel, fields: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
    client::request(fiel.address("web"), request).status
}

#[test]
fn forwarded_is_written_and_nothing_else_where_it_is_spoken() {
    let endpoint = Endpoint::start("a");
    let fiel = with(&endpoint, &["forwarded: rfc7239"]);
    assert_eq!(
        ask(
            &fiel,
            "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n"
        ),
        200
    );
    let request = &endpoint.requests()[0];
    assert_eq!(
        request.header("forwarded").as_deref(),
        Some("for=127.0.0.1;host=a.example;proto=http")
    );
    assert_eq!(request.header("x-forwarded-for"), None);
    assert_eq!(request.header("x-forwarded-proto"), None);
}

#[test]
fn a_trusted_proxy_tells_of_its_client_in_forwarded() {
    let endpoint = Endpoint::start("a");
    let fiel = with(
        &endpoint,
        &["forwarded: rfc7239", "trustedProxies: [127.0.0.0/8]"],
    );
    let said = "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https";
    assert_eq!(ask(&fiel, &format!("Forwarded: {said}\r\n")), 200);
    assert_eq!(
        endpoint.requests()[0].header("forwarded").unwrap(),
        format!("{said}, for=127.0.0.1;host=a.example;proto=http")
    );
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "2001:db8::1");
    // What cannot be read was not written by the proxy alone.
    assert_eq!(ask(&fiel, "Forwarded: for=\"6.6.6.6, for=1.2.3.4\r\n"), 400);
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn what_a_proxy_does_not_know_its_clients_do_not_get_through() {
    let endpoint = Endpoint::start("a");
    let fiel = with(&endpoint, &["trustedProxies: [127.0.0.0/8]"]);
    assert_eq!(
        ask(
            &fiel,
            "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6\r\n"
        ),
        200
    );
    let request = &endpoint.requests()[0];
    assert_eq!(request.header("forwarded"), None);
    assert_eq!(
        request.header("x-forwarded-for").as_deref(),
        Some("1.2.3.4, 127.0.0.1")
    );
}

#[test]
fn ways_of_telling_must_agree() {
    let endpoint = Endpoint::start("a");
    let fiel = with(
        &endpoint,
        &["forwarded: both", "trustedProxies: [127.0.0.0/8]"],
    );
    assert_eq!(
        ask(
            &fiel,
            "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6\r\n"
        ),
        400
    );
    assert_eq!(
        ask(
            &fiel,
            "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"
        ),
        200
    );
    assert_eq!(ask(&fiel, "Forwarded: for=1.2.3.4\r\n"), 200);
    let requests = endpoint.requests();
    for request in &requests {
        assert_eq!(
            request.header("x-forwarded-for").as_deref(),
            Some("1.2.3.4, 127.0.0.1")
        );
        assert_eq!(
            request.header("forwarded").as_deref(),
            Some("for=1.2.3.4, for=127.0.0.1;host=a.example;proto=http")
        );
    }
    assert_eq!(requests.len(), 2);
}

#[test]
fn hops_are_counted_where_addresses_are_not_known() {
    let endpoint = Endpoint::start("a");
    let fiel = with(&endpoint, &["trustedHops: 2"]);
    ask(&fiel, "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 5.6.7.8\r\n");
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "1.2.3.4");
    // Who has not come past both is nobody's client.
    ask(&fiel, "X-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(fiel.wait_for_access_log(2)[1]["client"], "127.0.0.1");
    let request = &endpoint.requests()[1];
    assert_eq!(
        request.header("x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
}
