//! Every key that users may write, in its place, and whether it works yet.

use super::told;
use crate::config::keys;

/// Every key and every word of the contract's YAML (chapters 2, 6 and 7), each in its place, with whether it works.
pub(super) const CONTRACT: &[(&str, &str)] = &[
    ("", "workers: auto"),
    ("", "zone: a"),
    ("", "environment: pro"),
    ("", "stateDir: /var/lib/fiel #later"),
    ("", "shutdown: { delay: 0s, drain: 25s }"),
    ("", "rollouts: [] #later"),
    (
        "",
        "admin: { bind: 127.0.0.1:9901, readBind: 0.0.0.0:9902, hosts: [a] }",
    ),
    ("", "admin: { bind: unix:/run/fiel.sock }"),
    (
        "",
        "admin: { bind: unix:/run/fiel.sock, unix: { mode: \"0660\", owner: fiel, group: \"0\" } }",
    ),
    (
        "",
        "accessLog: { format: json, output: stdout, query: true }",
    ),
    ("", "accessLog: { format: ecs }"),
    ("", "accessLog: { format: common }"),
    ("", "accessLog: { format: combined }"),
    ("", "accessLog: { output: stderr }"),
    ("", "accessLog: { output: off }"),
    ("", "accessLog: { output: { file: access.log } }"),
    (
        "",
        "accessLog: { output: { file: access.log, maxBytes: 50KiB } }",
    ),
    (
        "",
        "accessLog: { output: { file: access.log, maxBytes: 50KiB, keep: 2 } }",
    ),
    (
        "",
        "resolver: { servers: [10.0.0.53, \"[fd00::53]:5353\"], family: ipv4, minTtl: 1s, maxTtl: 5m, hostsFile: hosts, resolvConf: resolv.conf }",
    ),
    ("", "metrics: { maxEndpoints: 1000 }"),
    ("listener", "protocols: [http1]"),
    ("listener", "protocols: [http1, http2]"),
    ("listener", "protocols: [http2]"),
    ("listener", "bind: unix:/run/fiel.sock"),
    (
        "listener",
        "bind: unix:/run/fiel.sock\n    unix: { mode: \"0660\", owner: root, group: root }",
    ),
    ("listener", "proxyProtocol: false"),
    ("listener", "proxyProtocol: true"),
    ("listener", "proxyProtocol: { from: [10.0.0.0/8, unix] }"),
    ("listener", "halfClose: cancel"),
    ("listener", "halfClose: deliver"),
    ("listener", "trustedProxies: []"),
    ("listener", "trustedProxies: [10.0.0.0/8, unix]"),
    ("listener", "trustedHops: 2"),
    ("listener", "forwarded: xForwarded"),
    ("listener", "forwarded: rfc7239"),
    ("listener", "forwarded: both"),
    ("listener", "limits: { maxConnections: 65536 }"),
    ("listener", "limits: { handshakeTimeout: 10s }"),
    ("listener", "limits: { headerTimeout: 10s }"),
    ("listener", "limits: { bodyIdleTimeout: 30s }"),
    ("listener", "limits: { idleTimeout: 75s }"),
    ("listener", "limits: { maxHeaderBytes: 32KiB }"),
    ("listener", "limits: { maxHeaders: 100 }"),
    ("listener", "limits: { maxUriBytes: 8KiB }"),
    ("listener", "limits: { maxBodyBytes: 0 }"),
    ("listener", "limits: { maxConcurrentStreams: 128 }"),
    ("listener", "limits: { maxConnectionAge: 0s }"),
    (
        "listener",
        "tls: { certificates: [ { certFile: config/tls/site.crt, keyFile: config/tls/site.key } ], minVersion: \"1.2\", clientAuth: { caFile: config/tls/ca.crt, mode: require } }",
    ),
    (
        "listener",
        "tls: { certificates: [ { certFile: config/tls/site.crt, keyFile: config/tls/site.key, ocspFile: config/tls/site.ocsp } ], minVersion: 1.3, clientAuth: { caFile: config/tls/ca.crt, crlFile: config/tls/ca.crl, mode: optional } }",
    ),
    ("route", "match: { listeners: [web] }"),
    (
        "route",
        "match: { hosts: [shop.example.com, \"*.shop.example.com\"] }",
    ),
    ("route", "match: { clients: [\"10.0.0.0/8\"] }"),
    (
        "route",
        "match: { clientCert: { subjects: [\"CN=a\"], sans: [\"URI:spiffe://a/b\"] } }",
    ),
    ("route", "match: { path: { prefix: /api } }"),
    ("route", "match: { path: { exact: /old } }"),
    ("route", "match: { path: { regex: \"/ping/?\" } }"),
    ("route", "match: { methods: [GET, POST] }"),
    ("route", "match: { headers: { x-beta: \"1\" } }"),
    ("route", "match: { query: { debug: \"1\" } }"),
    (
        "route",
        "split: [ { pool: app, weight: 99.9, strict: true } ]",
    ),
    (
        "route",
        "timeouts: { response: 30s, tryTimeout: 10s, idle: 5m, tunnel: 1h, total: 0s }",
    ),
    (
        "route",
        "retry: { attempts: 2, on: [connectFailure, refusedStream, reset] }",
    ),
    ("route", "retry: { on: [\"503\"] } #later"),
    ("route", "retry: { budgetPercent: 20 } #later"),
    ("route", "retry: { bodyBytes: 64KiB } #later"),
    ("route", "maxBodyBytes: 0"),
    ("route", "pathAsReceived: true"),
    ("route", "rewrite: { prefix: /, host: internal.example }"),
    ("route", "requestHeaders: { set: {}, add: {}, remove: [] }"),
    ("route", "responseHeaders: { set: {}, add: {}, remove: [] }"),
    ("route", "rescue: auto #later"),
    ("route", "hedge: off #later"),
    ("route", "hedge: { after: 200ms, quantile: 0.99 } #later"),
    (
        "route",
        "rateLimit: { by: clientIp, rate: 100, per: 1s, burst: 50 } #later",
    ),
    ("route", "priority: normal #later"),
    (
        "route",
        "sticky: { by: { cookie: uid }, create: { maxAge: 30d, secure: true, sameSite: Lax } } #later",
    ),
    (
        "route",
        "mirror: { pool: app, percent: 10, bodyBytes: 64KiB } #later",
    ),
    (
        "route",
        "fault: { until: 2027-01-31T00:00:00Z, match: {}, delay: { percent: 5, duration: 2s }, abort: { percent: 1, status: 503 } } #later",
    ),
    (
        "action",
        "redirect: { scheme: https, host: example.com, path: /new, status: 308 }",
    ),
    ("action", "respond: { status: 200, body: pong }"),
    (
        "action",
        "poolByHost: { suffixes: [prod, .svc.cluster.local] }",
    ),
    ("pool", "version: \"1.8.2\""),
    (
        "pool",
        "deployment: { commit: 643217c, by: ignas, at: 2026-11-20T11:29:22Z }",
    ),
    ("pool", "balance: roundRobin"),
    ("pool", "balance: leastRequest"),
    ("pool", "balance: powerOfTwo"),
    ("pool", "balance: random"),
    ("pool", "balance: ringHash"),
    (
        "pool",
        "balance: { ringHash: { on: { header: x-user }, balanceFactor: 1.25 } }",
    ),
    (
        "pool",
        "endpoints: [ { address: 10.0.0.2:8080, weight: 3, zone: a, backup: false } ]",
    ),
    ("pool", "endpoints: [ shop.internal:8080 ]"),
    ("pool", "endpoints: [ { address: shop.internal:8080 } ]"),
    ("pool", "endpoints: [ unix:/run/app.sock ]"),
    (
        "pool",
        "endpoints: [ { address: \"unix:@app\", weight: 3 } ]",
    ),
    ("pool", "proxyProtocol: v1"),
    ("pool", "proxyProtocol: v2"),
    ("pool", "proxyProtocol: off"),
    ("pool", "ports: { http: 8080 }"),
    ("pool", "protocol: http1"),
    ("pool", "protocol: http2"),
    ("pool", "protocol: auto"),
    (
        "pool",
        "tls: { serverName: shop.internal, caFile: config/tls/ca.crt, certFile: config/tls/site.crt, keyFile: config/tls/site.key }",
    ),
    (
        "pool",
        "connect: { timeout: 1s, keepAlive: 60s, maxIdlePerWorker: 256 }",
    ),
    (
        "pool",
        "startupProbe: { httpGet: { path: /started }, periodSeconds: 1, failureThreshold: 30 }",
    ),
    (
        "pool",
        "readinessProbe: { httpGet: { path: /ready, port: 80, host: 10.0.0.1, scheme: HTTP, httpHeaders: [ { name: Host, value: shop } ] }, initialDelaySeconds: 0.5, periodSeconds: 5, timeoutSeconds: 1, successThreshold: 2, failureThreshold: 3, terminationGracePeriodSeconds: 30 }",
    ),
    (
        "pool",
        "livenessProbe: { tcpSocket: { host: 10.0.0.1, port: 80 }, periodSeconds: 10 }",
    ),
    (
        "pool",
        "readinessProbe: { httpGet: { scheme: HTTPS, verify: false } }",
    ),
    ("pool", "readinessProbe: { exec: { command: [a] } }"),
    ("pool", "readinessProbe: { grpc: { port: 1, service: a } }"),
    (
        "pool",
        "onDead: { hook: { url: \"http://127.0.0.1:9000/dead\" } } #later",
    ),
    ("pool", "whenNoneReady: fail"),
    ("pool", "whenNoneReady: useAll"),
    ("pool", "drainTimeout: 0s"),
    (
        "pool",
        "outlier: { consecutive: 5, baseEjection: 10s, maxEjectedPercent: 50 } #later",
    ),
    ("pool", "slowStart: 0s #later"),
    (
        "pool",
        "limits: { maxInFlight: 0, maxInFlightPerEndpoint: 0, queue: 1024, queueTimeout: 1s, adaptive: auto } #later",
    ),
    (
        "pool",
        "autoscale: { metric: latency, quantile: 0.95, low: 50ms, high: 200ms, min: 1, max: 5 } #later",
    ),
];

/// A whole configuration with a line in its place, and the number of that line.
pub(super) fn around(place: &str, line: &str) -> (String, usize) {
    let takes = |key: &str| line.starts_with(key);
    let mut lines = Vec::new();
    let mut at = 0;
    let mut put = |lines: &mut Vec<String>, here: &str, indent: usize| {
        if here == place {
            lines.push(format!("{:indent$}{line}", ""));
            at = lines.len();
        }
    };
    put(&mut lines, "", 0);
    lines.extend(["listeners:", "  - name: web"].map(String::from));
    if !(place == "listener" && takes("bind")) {
        lines.push("    bind: 127.0.0.1:8080".to_owned());
    }
    put(&mut lines, "listener", 4);
    lines.extend(["routes:", "  - name: all"].map(String::from));
    if place == "action" {
        lines.push("    match: { path: { exact: /old } }".to_owned());
    } else if !(place == "route" && takes("split")) {
        lines.push("    split: [ { pool: app } ]".to_owned());
    }
    put(&mut lines, "route", 4);
    put(&mut lines, "action", 4);
    lines.extend(["pools:", "  app:"].map(String::from));
    if !(place == "pool" && takes("endpoints")) {
        lines.push("    endpoints: [127.0.0.1:9001]".to_owned());
    }
    put(&mut lines, "pool", 4);
    (lines.join("\n"), at)
}

#[test]
fn every_key_of_the_contract_works_or_is_refused_as_not_in_this_version() {
    for (place, line) in CONTRACT {
        let (line, is_later) = match line.strip_suffix(" #later") {
            Some(line) => (line, true),
            None => (*line, false),
        };
        let (text, at) = around(place, line);

        let told = told(&text);

        if !is_later {
            assert_eq!(told, "", "{text}");
            continue;
        }
        let heading = told.lines().next().unwrap_or_default();
        assert!(
            heading.starts_with(&format!("x.yaml:{at}:")),
            "{line}\n{told}"
        );
        assert!(
            heading.ends_with("is not in this version"),
            "{line}\n{told}"
        );
        assert!(told.ends_with("1 problem in x.yaml"), "{line}\n{told}");
    }
}

#[test]
fn all_options_names_every_key_that_works() {
    let text = include_str!("../../../config/all-options.yaml");
    for keys in keys::ALL {
        for key in keys.works {
            assert!(text.contains(&format!("{key}:")), "{key} of {}", keys.kind);
        }
    }
}
