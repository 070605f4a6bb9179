//! What the access log says of each outcome.

use serde_json::{Value, json};

use crate::support::endpoint::Refusing;
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Endpoint, Fiel, client};

/// The one line, and that it has these fields; `null` is a field that is left out.
#[track_caller]
fn assert_line(fiel: &Fiel, fields: Value) -> Value {
    let line = fiel.wait_for_access_log(1).remove(0);
    let Value::Object(fields) = fields else {
        panic!("fields are a map");
    };
    for (name, value) in fields {
        assert_eq!(line[&name], value, "{name} in {line}");
    }
    line
}

#[test]
fn a_served_request_is_told_in_full() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        pool: &["version: \"1.8.2\""],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    client::request(
        fiel.address("web"),
        "POST /form?secret=1 HTTP/1.1\r\nHost: Shop.example:81\r\nContent-Length: 5\r\n\r\nhello",
    );

    let line = assert_line(
        &fiel,
        json!({
            "client": "127.0.0.1", "listener": "web", "method": "POST", "host": "Shop.example",
            "path": "/form", "protocol": "HTTP/1.1", "status": 200, "reason": null,
            "route": "shop", "pool": "shop", "version": "1.8.2",
            "endpoint": endpoint.address().to_string(), "attempts": 1, "bytes_in": 5,
            "bytes_out": 1,
        }),
    );
    let duration = line["duration"].as_f64().unwrap_or(-1.0);
    for part in ["connect", "first_byte"] {
        let seconds = line[part].as_f64().unwrap_or(-1.0);
        assert!((0.0..=duration).contains(&seconds), "{part} in {line}");
    }
}

#[test]
fn octets_in_chunks_are_counted_without_their_framing() {
    let endpoint = Endpoint::behaving("a", Behaviour::echo());
    let fiel = before(&endpoint);

    client::request(
        fiel.address("web"),
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );

    assert_line(&fiel, json!({ "bytes_in": 5, "bytes_out": 5 }));
}

#[test]
fn an_answer_to_head_has_no_octets() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    client::request(fiel.address("web"), "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");

    assert_line(
        &fiel,
        json!({ "status": 200, "reason": null, "bytes_out": 0 }),
    );
}

#[test]
fn an_error_of_the_endpoint_is_its_own() {
    let endpoint = Endpoint::behaving("a", Behaviour::status(503));
    let fiel = before(&endpoint);

    client::get(fiel.address("web"), "/");

    assert_line(
        &fiel,
        json!({ "status": 503, "reason": null, "attempts": 1 }),
    );
}

#[test]
fn a_refused_connection_is_named() {
    let refusing = Refusing::start();
    let fiel = Terms::default().before_all(&[refusing.address()]);

    client::get(fiel.address("web"), "/");

    assert_line(
        &fiel,
        json!({
            "status": 502, "reason": "connect_refused", "attempts": 3,
            "endpoint": refusing.address().to_string(), "connect": null, "first_byte": null,
        }),
    );
}

#[test]
fn a_request_without_a_route_is_told_too() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        route: &["match: { path: { exact: /only } }"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    client::get(fiel.address("web"), "/other");

    assert_line(
        &fiel,
        json!({
            "status": 404, "reason": "no_route", "path": "/other", "route": null, "pool": null,
            "endpoint": null, "attempts": 0,
        }),
    );
}

#[test]
fn a_head_that_cannot_be_read_is_told_by_its_id() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(fiel.address("web"), "GET / HTTP/1.1\r\nno colon\r\n\r\n");

    let line = assert_line(
        &fiel,
        json!({
            "status": 400, "reason": "malformed_request", "listener": "web",
            "client": "127.0.0.1", "attempts": 0,
        }),
    );
    let id = line["request_id"].as_str().unwrap_or("no id");
    assert!(answer.text().contains(id), "{} without {id}", answer.text());
}

#[test]
fn a_head_that_is_read_and_refused_is_told_too() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    let answer = client::request(
        fiel.address("web"),
        "GET /x HTTP/1.1\r\nHost: a b\r\nX-Request-Id: mine\r\n\r\n",
    );

    assert_eq!(answer.status, 400);
    assert_line(
        &fiel,
        json!({
            "status": 400, "reason": "bad_host", "request_id": "mine", "method": "GET",
            "path": "/x", "listener": "web", "route": null, "attempts": 0,
        }),
    );
}
