//! Fields that belong to one connection, and fields that claim what only a proxy can know (RFC 9110 §7.6).

use super::case::{Case, Part, forwarded, forwarded_last, get, judge, post};
use crate::support::Endpoint;
use crate::support::terms::before;

const HOP: &str = "RFC 9110 §7.6.1";
const CLAIM: &str = "`trustedProxies`: anybody could say so";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = hops();
    cases.extend(claims());
    cases
}

fn hops() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("Keep-Alive", "Keep-Alive: timeout=1000", "keep-alive"),
        (
            "Proxy-Connection",
            "Proxy-Connection: close",
            "proxy-connection",
        ),
        (
            "Upgrade without Connection",
            "Upgrade: websocket",
            "upgrade",
        ),
        (
            "Connection: upgrade without Upgrade",
            "Connection: upgrade",
            "connection",
        ),
        ("TE: gzip", "TE: gzip\r\nConnection: TE", "te"),
        (
            "a field named in Connection",
            "Connection: X-A, keep-alive\r\nX-A: 1",
            "x-a",
        ),
        (
            "Connection of junk",
            "Connection: , ,;,\"x\", a b,",
            "connection",
        ),
    ]
    .map(|(label, fields, gone)| forwarded(label, get(fields), [Part::Without(gone)], HOP))
    .into();
    cases.extend([
        forwarded(
            "TE: trailers",
            get("TE: gzip, trailers;q=0.5, trailers"),
            [Part::Field("te", "trailers"), Part::Field("connection", "te")],
            "RFC 9110 §10.1.4: said anew",
        ),
        forwarded(
            "Proxy-Authorization",
            get("Proxy-Authorization: Basic YTpi"),
            [Part::Without("proxy-authorization")],
            "RFC 9110 §11.7.2: for the next proxy only",
        ),
        forwarded_last(
            "Connection: close with a field",
            get("Connection: close, x-a\r\nX-A: 1"),
            [Part::Without("x-a"), Part::Without("connection")],
            "RFC 9112 §9.6",
        ),
        forwarded(
            "Connection names what proxies say",
            get(
                "Connection: x-forwarded-for, X-Forwarded-Proto, x-forwarded-host, via, x-request-id",
            ),
            [
                Part::Field("x-forwarded-for", "127.0.0.1"),
                Part::Field("x-forwarded-proto", "http"),
                Part::Field("x-forwarded-host", "test"),
                Part::Field("via", "1.1 fiel"),
            ],
            "CVE-2024-45410",
        ),
        forwarded(
            "Expect of junk",
            post("Expect: junk, 100-continue\r\nContent-Length: 5", "hello"),
            [Part::Field("expect", "junk, 100-continue"), Part::Body("hello")],
            "RFC 9110 §10.1.1: the endpoint decides",
        ),
        forwarded(
            "Expect: 100-continue without a body",
            get("Expect: 100-continue"),
            [Part::Field("expect", "100-continue"), Part::Body("")],
            "RFC 9110 §10.1.1",
        ),
        forwarded_last(
            "Expect: 100-continue in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            [Part::Body("hello")],
            "RFC 9110 §10.1.1: ignored",
        ),
        forwarded(
            "an upgrade to h2c",
            get(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                 HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            ),
            [
                Part::Without("upgrade"),
                Part::Without("http2-settings"),
                Part::Without("connection"),
            ],
            "RFC 9113 §3.1: requests inside would pass by everything",
        ),
        forwarded(
            "an upgrade to h2c that hides its settings",
            get("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
            [
                Part::Without("upgrade"),
                Part::Without("http2-settings"),
                Part::Without("connection"),
            ],
            "RFC 9113 §3.1",
        ),
        forwarded(
            "an upgrade to one of two protocols",
            get("Connection: Upgrade\r\nUpgrade: websocket, h2c"),
            [Part::Without("upgrade"), Part::Without("connection")],
            "RFC 9110 §7.8: may be ignored",
        ),
        forwarded(
            "an upgrade with a body",
            post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", "hello"),
            [Part::Without("upgrade"), Part::Body("hello")],
            "RFC 9110 §7.8: may be ignored",
        ),
        forwarded(
            "an upgrade that nobody knows",
            get("Connection: Upgrade\r\nUpgrade: junk/7"),
            [
                Part::Field("upgrade", "junk/7"),
                Part::Field("connection", "upgrade"),
            ],
            "RFC 9110 §7.8: the endpoint decides",
        ),
        forwarded(
            "a WebSocket without a key",
            get("Connection: Upgrade\r\nUpgrade: websocket"),
            [
                Part::Field("upgrade", "websocket"),
                Part::Without("sec-websocket-key"),
            ],
            "RFC 6455 §4.2.1: the endpoint decides",
        ),
    ]);
    cases
}

fn claims() -> Vec<Case> {
    let long = "a".repeat(4096);
    let fresh = |label: &str, id: String, why| {
        forwarded(
            label,
            get(&format!("X-Request-Id: {id}")),
            [Part::NewId("x-request-id")],
            why,
        )
    };
    let mut cases: Vec<Case> = [
        (
            "X-Forwarded-For",
            "X-Forwarded-For: 9.9.9.9",
            "x-forwarded-for",
            "127.0.0.1",
        ),
        (
            "two lines of X-Forwarded-For",
            "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8",
            "x-forwarded-for",
            "127.0.0.1",
        ),
        (
            "X-Forwarded-Proto",
            "X-Forwarded-Proto: https",
            "x-forwarded-proto",
            "http",
        ),
        (
            "X-Forwarded-Host",
            "X-Forwarded-Host: evil",
            "x-forwarded-host",
            "test",
        ),
    ]
    .map(|(label, fields, name, value)| {
        forwarded(label, get(fields), [Part::Field(name, value)], CLAIM)
    })
    .into();
    cases.extend(
        [
            (
                "X-Forwarded-Port",
                "X-Forwarded-Port: 443",
                "x-forwarded-port",
            ),
            (
                "X-Forwarded-Prefix",
                "X-Forwarded-Prefix: /admin",
                "x-forwarded-prefix",
            ),
            ("Forwarded", "Forwarded: for=9.9.9.9;host=evil", "forwarded"),
            ("X-Real-IP", "X-Real-IP: 9.9.9.9", "x-real-ip"),
        ]
        .map(|(label, fields, name)| forwarded(label, get(fields), [Part::Without(name)], CLAIM)),
    );
    cases.extend(
        [
            (
                "X_Forwarded_For",
                "X_Forwarded_For: 9.9.9.9",
                "x_forwarded_for",
            ),
            (
                "X-Forwarded_Host",
                "X-Forwarded_Host: evil",
                "x-forwarded_host",
            ),
            ("X_Real_IP", "X_Real_IP: 9.9.9.9", "x_real_ip"),
        ]
        .map(|(label, fields, name)| {
            forwarded(label, get(fields), [Part::Without(name)], "CVE-2026-39858")
        }),
    );
    cases.extend([
        fresh("X-Request-Id of 4 KiB", long, "kept up to 128 characters"),
        fresh(
            "X-Request-Id with a space",
            "a b".into(),
            "kept when visible ASCII",
        ),
        fresh(
            "X-Request-Id beyond ASCII",
            "é".into(),
            "kept when visible ASCII",
        ),
        fresh("an empty X-Request-Id", String::new(), "made where missing"),
        fresh(
            "two lines of X-Request-Id",
            "a\r\nX-Request-Id: b".into(),
            "kept when one",
        ),
        forwarded(
            "X-Request-Id with markup",
            get("X-Request-Id: <b>${jndi:x}"),
            [Part::Field("x-request-id", "<b>${jndi:x}")],
            "kept when visible ASCII; told as text/plain only",
        ),
        forwarded(
            "traceparent of junk",
            get("traceparent: junk\r\ntracestate: junk"),
            [
                Part::Field("traceparent", "junk"),
                Part::Field("tracestate", "junk"),
            ],
            "passed on, never logged as a trace",
        ),
    ]);
    cases
}

#[test]
fn fields_of_one_connection_and_claims_are_not_passed_on() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    judge(&cases(), &fiel, &endpoint);
}
