//! What the configuration means, key by key, and what wrong ones are told.

mod folder;
mod schema;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::{Loaded, Problems, load, read};
use crate::config::model::{Action, LogOutput, PathPattern};

const LEAST: &str = "
listeners: [ { name: web, bind: 127.0.0.1:8080 } ]
routes: [ { name: all, split: [ { pool: app } ] } ]
pools: { app: { endpoints: [127.0.0.1:9001] } }
";

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    read(text.as_bytes(), "x.yaml", Path::new(""), &env)
}

fn loaded(text: &str) -> Loaded {
    read_with(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn told(text: &str) -> String {
    match read_with(text, &[]) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_least_that_works_is_enough() {
    let config = loaded(LEAST).config;

    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.routes[0].matches.path, PathPattern::Any);
    assert_eq!(&*config.pools[0].name, "app");
    assert_eq!(config.access_log.output, LogOutput::Stdout);
    assert_eq!(config.max_endpoint_series, 1_000);
}

#[test]
fn pools_keep_their_place_in_the_file() {
    let text = LEAST.replace("pools: {", "pools: { z: { endpoints: [127.0.0.1:9002] },");
    let config = loaded(&text).config;

    let Action::Split(shares) = &config.routes[0].action else {
        panic!("{:?}", config.routes[0].action);
    };
    assert_eq!(&*config.pools[shares[0].pool.0].name, "app");
    assert_eq!(&*config.pools[0].name, "z");
}

#[test]
fn a_variable_is_typed_again() {
    let text =
        format!("workers: ${{N}}\nmetrics: {{ maxEndpoints: \"${{N}}\" }}\nzone: a$$b{LEAST}");

    let config = read_with(&text, &[("N", "7")]).unwrap().config;

    assert_eq!(config.workers.map(usize::from), Some(7));
    assert_eq!(config.max_endpoint_series, 7);
    assert_eq!(config.zone.as_deref(), Some("a$b"));
}

#[test]
fn numbers_and_booleans_are_texts_where_a_text_is_wanted() {
    let text = format!("zone: 1.10\nenvironment: true{LEAST}");
    let config = loaded(&text).config;

    assert_eq!(config.zone.as_deref(), Some("1.10"));
    assert_eq!(config.environment.as_deref(), Some("true"));
}

#[test]
fn the_hash_follows_the_text_and_the_variables() {
    let text = format!("zone: ${{Z}}{LEAST}");
    let hash = |text: &str, value| read_with(text, &[("Z", value)]).unwrap().hash;

    assert_eq!(hash(&text, "a"), hash(&text, "a"));
    assert_ne!(hash(&text, "a"), hash(&text, "b"));
    assert_ne!(hash(&text, "a"), hash(&format!("{text}# more\n"), "a"));
    assert_eq!(hash(&text, "a").len(), 16);
    // Written down: a restart of another release must not make it another configuration.
    assert_eq!(loaded(LEAST).hash, "9ae714d425fc44bb");
}

#[test]
fn secrets_are_left_out_of_what_is_shown() {
    let text = LEAST.replace(
        "name: all,",
        "name: all, match: { query: { apiToken: hidden4, plain: \"${Q}\" } }, requestHeaders: { set: { \
         authorization: hidden1, x-other: \"${S}\", x-plain: shown }, add: { x-api-key: hidden3 } },",
    );

    let loaded = read_with(&text, &[("S", "hidden2"), ("Q", "hidden5")]).unwrap();

    let shown = loaded.redacted.to_string();
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(shown.contains("\"x-plain\":\"shown\""), "{shown}");
    let set = &loaded.config.routes[0].request_headers.set;
    assert_eq!(set[1].1.as_bytes(), b"hidden2");
    assert!(!format!("{set:?}").contains("hidden"), "{set:?}");
}

#[test]
fn secrets_of_a_command_are_left_out_of_what_is_shown() {
    let command = "[check, -u, me, --password, hidden1, --api-key=hidden2, \"X-Token: hidden3\", \
        \"${S}\", /run/secrets/file:1, a=b]";
    let text = LEAST.replace(
        "endpoints:",
        &format!("readinessProbe: {{ exec: {{ command: {command} }} }}, endpoints:"),
    );

    let loaded = read_with(&text, &[("S", "hidden4")]).unwrap();

    let shown = &loaded.redacted["pools"]["app"]["readinessProbe"]["exec"]["command"];
    let out = "(left out)";
    let expected = json!([
        "check",
        "-u",
        "me",
        "--password",
        out,
        out,
        out,
        out,
        "/run/secrets/file:1",
        "a=b"
    ]);
    assert_eq!(*shown, expected);
    let debug = format!("{:?}", loaded.config);
    assert!(!debug.contains("hidden"), "{debug}");
}

#[test]
fn what_a_variable_puts_into_a_header_is_not_repeated_in_a_problem() {
    let text = LEAST.replace(
        "name: all,",
        "name: all, requestHeaders: { set: { x-a: \"${S}\" } },",
    );

    let problems = read_with(&text, &[("S", "hidden\n")])
        .unwrap_err()
        .to_string();

    assert!(!problems.contains("hidden"), "{problems}");
}

#[test]
fn a_file_is_loaded_with_what_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fiel.yaml");
    fs::write(folder.path().join("admin.token"), "secret\n").unwrap();
    let admin = "admin: { bind: 0.0.0.0:9901, tokenFile: admin.token }";
    fs::write(&path, format!("{admin}{LEAST}")).unwrap();

    let loaded = load(&path).unwrap_or_else(|problems| panic!("{problems}"));

    let token = folder.path().join("admin.token");
    assert_eq!(loaded.config.admin.token_file.as_ref(), Some(&token));
    assert_eq!(loaded.files, [path, token]);
}

#[test]
fn an_empty_token_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fiel.yaml");
    fs::write(folder.path().join("admin.token"), "\n").unwrap();
    fs::write(&path, format!("admin: {{ tokenFile: admin.token }}{LEAST}")).unwrap();

    let problems = load(&path).unwrap_err().to_string();

    assert!(problems.contains("admin.token\" is empty"), "{problems}");
}

#[test]
fn a_file_that_is_not_there_and_an_empty_folder_are_told() {
    let folder = tempfile::tempdir().unwrap();

    let missing = load(&folder.path().join("no.yaml"))
        .unwrap_err()
        .to_string();
    let is_folder = load(folder.path()).unwrap_err().to_string();

    assert!(
        missing.contains("no.yaml: there is no such file\n  help: "),
        "{missing}"
    );
    assert!(
        is_folder.contains("holds no configuration file\n  help: "),
        "{is_folder}"
    );
}

#[test]
fn problems_come_in_file_order_from_all_parts() {
    let problems = read_with(
        "zone: ${NOT_SET}\nbanana: 1\nlisteners: [ { name: web, bind: x } ]\nzone: b\nroutes: []\npools: {}\n",
        &[],
    )
    .unwrap_err();

    let lines: Vec<usize> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6], "{problems}");
}

#[test]
fn every_problem_has_a_place_and_a_remedy() {
    for entry in fs::read_dir("tests/golden").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = fs::read(&path).unwrap();
        let Err(problems) = read(&text, "x.yaml", Path::new(""), &|_| None) else {
            continue;
        };
        for problem in problems.0 {
            assert!(problem.line > 0 && problem.column > 0, "{problem}");
            assert!(
                !problem.remedy.is_empty() && !problem.message.is_empty(),
                "{problem}"
            );
            assert!(!problem.message.ends_with('.'), "{problem}");
        }
    }
}

#[test]
fn ten_thousand_routes_and_endpoints_are_read_whole() {
    let mut text = String::from("listeners: [ { name: web, bind: 127.0.0.1:8080 } ]\nroutes:\n");
    for i in 0..10_000 {
        writeln!(
            text,
            "  - name: route-{i}\n    match: {{ hosts: [host{i}.example.com], path: {{ prefix: /api }} }}\n    \
             split: [ {{ pool: pool-{}, weight: 99.9 }} ]",
            i % 100
        )
        .unwrap();
    }
    text.push_str("pools:\n");
    for pool in 0..100 {
        writeln!(text, "  pool-{pool}:\n    endpoints:").unwrap();
        for endpoint in 0..100 {
            writeln!(text, "      - 10.0.{pool}.{endpoint}:8080").unwrap();
        }
    }
    let wrong = text.replace("{ pool: pool-", "{ pool: poul-x");

    let config = loaded(&text).config;
    let problems = read_with(&wrong, &[]).unwrap_err();

    assert_eq!(config.routes.len(), 10_000);
    assert_eq!(problems.0.len(), 10_000);
}

#[test]
fn all_options_names_every_key_that_works() {
    let text = include_str!("../../config/all-options.yaml");
    for keys in super::keys::ALL {
        for key in keys.works {
            assert!(text.contains(&format!("{key}:")), "{key} of {}", keys.kind);
        }
    }
}

#[test]
fn a_file_of_one_long_line_with_many_problems_is_told_whole() {
    let mut text = String::from("{listeners: [{name: web, bind: '127.0.0.1:80'}], routes: [");
    for i in 0..2_000 {
        write!(
            text,
            "{{name: r{i}, nmae: x, split: [{{pool: none-such}}]}}, "
        )
        .unwrap();
    }
    text.push_str("], pools: {app: {endpoints: ['127.0.0.1:81']}}}");

    let problems = read_with(&text, &[]).unwrap_err();

    let count = problems.0.len();
    assert!(count >= 4_000, "{count}");
    assert!(problems.0.iter().all(|problem| problem.excerpt.len() < 500));
}

#[test]
fn aliases_within_aliases_are_bounded_in_depth() {
    for nesting in [1, 10, 28] {
        let (open, close) = ("[".repeat(nesting), "]".repeat(nesting));
        let mut text = String::from("a0: &a0 [x]\n");
        for i in 1..400 {
            writeln!(text, "a{i}: &a{i} {open}*a{}{close}", i - 1).unwrap();
        }

        let told = told(&text);

        let is_bounded = told.contains("nested more than 32 deep") || told.contains("repeat more");
        assert!(
            is_bounded && told.ends_with("1 problem in x.yaml"),
            "{told}"
        );
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(text: Vec<u8>) {
        drop(read(&text, "x.yaml", Path::new(""), &|_| None));
    }

    #[test]
    fn no_text_made_of_its_own_words_makes_it_panic(
        words in proptest::collection::vec(
            prop_oneof![
                Just("listeners:"), Just("routes:"), Just("pools:"), Just("\n"), Just("\n  "), Just("\n  - "),
                Just("{ "), Just(" }"), Just("[ "), Just(" ]"), Just(", "), Just("name: a"), Just("bind: "),
                Just("127.0.0.1:80"), Just("split: "), Just("pool: a"), Just("weight: 1.5"), Just("${A"), Just("}"),
                Just("$$"), Just("\""), Just("'"), Just("&a "), Just("*a"), Just("match: "), Just("path: "),
                Just("regex: ("), Just("endpoints: "), Just("\u{e9}"), Just("\t"), Just("# "), Just("---"),
                Just("? "), Just("!!int "), Just("|"), Just("redirect: "), Just("<<: "), Just("\r"), Just("\0"),
            ],
            0..24,
        ),
    ) {
        let text = words.concat();
        drop(read(text.as_bytes(), "x.yaml", Path::new(""), &|_| Some("1".to_owned())));
    }

    #[test]
    fn no_change_of_a_right_file_makes_it_panic(at in 0_usize..6_000, replacement in any::<char>()) {
        let mut text: Vec<char> = include_str!("../../config/all-options.yaml").chars().collect();
        let at = at % text.len();
        text[at] = replacement;
        let text: String = text.into_iter().collect();
        drop(read(text.as_bytes(), "x.yaml", Path::new(""), &|_| None));
    }
}

/// Every key and every word of the contract's YAML (chapters 2, 6 and 7), each in its place, with whether it works.
const CONTRACT: &[(&str, &str)] = &[
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
fn around(place: &str, line: &str) -> (String, usize) {
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
