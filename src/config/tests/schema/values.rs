//! Single values, and where numbers end: the schema takes what the check takes.

use super::*;

/// Where single values stand, with a line for each kind.
pub(super) const PLACES: [(&str, &str); 17] = [
    ("route", "timeouts: { idle: VALUE }"),
    ("route", "maxBodyBytes: VALUE"),
    (
        "route",
        "split: [ { pool: app, weight: VALUE }, { pool: app2 } ]",
    ),
    ("listener", "bind: VALUE"),
    ("pool", "endpoints: [ VALUE ]"),
    ("listener", "trustedProxies: [ VALUE ]"),
    ("route", "match: { hosts: [ VALUE ] }"),
    ("route", "match: { path: { prefix: VALUE } }"),
    ("route", "match: { methods: [ VALUE ] }"),
    ("route", "rewrite: { host: VALUE }"),
    ("", "workers: VALUE"),
    ("", "accessLog: { query: VALUE }"),
    (
        "pool",
        "readinessProbe: { tcpSocket: { port: VALUE }, periodSeconds: 1 }",
    ),
    (
        "pool",
        "readinessProbe: { tcpSocket: {}, timeoutSeconds: VALUE }",
    ),
    ("", "resolver: { servers: [ VALUE ] }"),
    ("pool", "balance: VALUE"),
    ("pool", "balance: { ringHash: { on: VALUE } }"),
];

/// A configuration with a value at a place.
pub(super) fn with(place: usize, value: &str) -> String {
    let (place, line) = PLACES[place];
    let (text, _) = around(place, &line.replace("VALUE", value));
    format!("{text}\n  app2: {{ endpoints: [127.0.0.1:9002] }}")
}

#[test]
fn single_values_fit_as_they_are_accepted() {
    let validator = validator(Scope::Whole);
    let (
        idle,
        body,
        weight,
        bind,
        endpoint,
        network,
        host,
        path,
        method,
        name,
        workers,
        query,
        port,
        seconds,
        server,
        balance,
        on,
    ) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    for (place, texts, is_right) in [
        (
            idle,
            &[
                "0",
                "\"0\"",
                "0s",
                "250ms",
                "1m30s",
                "1.5h",
                ".5s",
                "1.s",
                "7d",
                "3us",
                "\"3µs\"",
                "\"${T}s\"",
            ][..],
            true,
        ),
        (
            idle,
            &[
                "5", "\"5\"", "5 s", "s", "-1s", "1m30", "true", "[]", "~", "1.1.1s", "1w",
            ],
            false,
        ),
        (
            body,
            &[
                "0",
                "512",
                "64KiB",
                "10 MiB",
                "1GB",
                "\"7\"",
                "7B",
                "\"${S}KiB\"",
            ],
            true,
        ),
        (
            body,
            &["-1", "KiB", "7 K", "1.5MiB", "{}", "~", "7kib"],
            false,
        ),
        (
            weight,
            &[
                "0",
                "1",
                "99.9",
                "0.001",
                ".5",
                "5.",
                "1000000000",
                "\"${W}\"",
            ],
            true,
        ),
        (
            weight,
            &["-1", "\"1\"", "a", "true", "1000000001", "[1]"],
            false,
        ),
        (
            bind,
            &[
                "127.0.0.1:0",
                "0.0.0.0:8080",
                "\"[::]:8080\"",
                "\"[fe80::1%2]:80\"",
                "\"${H}:8080\"",
            ],
            true,
        ),
        (
            bind,
            &[
                "8080",
                "localhost:8080",
                "127.0.0.1",
                "\":8080\"",
                "\"::1:80\"",
                "http://127.0.0.1:80",
                "{}",
            ],
            false,
        ),
        (
            endpoint,
            &[
                "10.0.0.1:80",
                "\"[fd00::1]:80\"",
                "shop.internal:80",
                "_shop.internal.:80",
                "{ address: \"10.0.0.1:80\", weight: 0.5 }",
            ],
            true,
        ),
        (
            endpoint,
            &[
                "10.0.0.1",
                "80",
                "{}",
                "{ adress: \"10.0.0.1:80\" }",
                "http://10.0.0.1:80",
            ],
            false,
        ),
        (
            network,
            &[
                "10.0.0.0/8",
                "127.0.0.1",
                "\"::1\"",
                "\"fd00::/8\"",
                "\"${N}/8\"",
            ],
            true,
        ),
        (network, &["ten", "10.0.0.0/", "/8", "8", "a b"], false),
        (
            host,
            &[
                "example.com",
                "\"*.example.com\"",
                "EXAMPLE.com",
                "\"[::1]\"",
                "127.0.0.1",
            ],
            true,
        ),
        (
            host,
            &["\"*\"", "\"a.*.com\"", "http://a", "a/b", "\"\"", "\"a b\""],
            false,
        ),
        (path, &["/", "/api", "/a%2Fb", "\"/${P}\""], true),
        (
            path,
            &["api", "/a?b", "\"/a#b\"", "\"/a b\"", "/é", "\"\""],
            false,
        ),
        (method, &["GET", "M-SEARCH"], true),
        (method, &["get", "\"G T\"", "\"\""], false),
        (
            name,
            &["internal.example", "internal.example:8080", "\"[::1]:80\""],
            true,
        ),
        (name, &["a/b", "\"\"", "\"*.a\""], false),
        (workers, &["auto", "1", "1024", "\"${WORKERS}\""], true),
        (
            workers,
            &["0", "1025", "many", "\"4\"", "1.5", "true", "[]"],
            false,
        ),
        (query, &["true", "false", "\"${B}\""], true),
        (query, &["yes", "on", "\"true\"", "1", "~"], false),
        (port, &["80", "65535", "\"${PORT}\""], true),
        (port, &["0", "65536", "-1", "{}", "1.5"], false),
        (seconds, &["1", "0.5", ".5", "\"${T2}\""], true),
        (seconds, &["1s", "\"1\"", "-1", "true"], false),
        (
            server,
            &[
                "10.0.0.53",
                "10.0.0.53:5353",
                "\"::1\"",
                "\"[::1]\"",
                "\"[fd00::53]:5353\"",
            ],
            true,
        ),
        (
            server,
            &["dns.internal", "udp://10.0.0.53", "\"\"", "53", "{}"],
            false,
        ),
        (
            balance,
            &[
                "random",
                "ringHash",
                "{ ringHash: {} }",
                "{ ringHash: { on: path } }",
                "{ ringHash: { balanceFactor: 0 } }",
                "{ ringHash: { balanceFactor: 1.5 } }",
            ],
            true,
        ),
        (
            balance,
            &[
                "maglev",
                "{}",
                "{ random: {} }",
                "{ ringHash: path }",
                "{ ringHash: { balanceFactor: 0.5 } }",
                "[random]",
            ],
            false,
        ),
        (
            on,
            &["clientIp", "{ header: x-user }", "{ cookie: uid }"],
            true,
        ),
        (
            on,
            &[
                "header",
                "{}",
                "{ header: \"a b\" }",
                "{ cookie: \"a=b\" }",
                "{ header: a, cookie: b }",
                "~",
            ],
            false,
        ),
    ] {
        for text in texts {
            let whole = with(place, text);
            let env = [
                ("T", "5"),
                ("S", "64"),
                ("W", "0.5"),
                ("H", "127.0.0.1"),
                ("N", "10.0.0.0"),
                ("P", "api"),
                ("WORKERS", "4"),
                ("B", "true"),
                ("PORT", "80"),
                ("T2", "1.5"),
            ];
            let told = read_with(&whole, &env)
                .map_or_else(|problems| problems.to_string(), |_| String::new());
            let faults = faults(&validator, &value(&whole).unwrap());
            assert_eq!(told.is_empty(), is_right, "{text}\n{told}");
            assert_eq!(faults.is_empty(), is_right, "{text}\n{faults}");
        }
    }
}

#[test]
fn numbers_end_where_the_check_ends_them() {
    let validator = validator(Scope::Whole);
    for (place, line, least, most) in [
        ("", "workers: VALUE", 1, 1_024),
        (
            "",
            "accessLog: { output: { file: a, maxBytes: 1KiB, keep: VALUE } }",
            0,
            1_000,
        ),
        ("route", "retry: { attempts: VALUE }", 0, 100),
        ("action", "respond: { status: VALUE }", 200, 599),
        ("pool", "ports: { http: VALUE }", 1, 65_535),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, successThreshold: VALUE }",
            1,
            1_000_000,
        ),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, failureThreshold: VALUE }",
            1,
            1_000_000,
        ),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, terminationGracePeriodSeconds: VALUE }",
            0,
            i64::from(u32::MAX),
        ),
        (
            "pool",
            "balance: { ringHash: { balanceFactor: VALUE } }",
            0,
            1_000_000_000,
        ),
    ] {
        for (number, is_right) in [
            (least, true),
            (most, true),
            (least - 1, false),
            (most + 1, false),
        ] {
            let (text, _) = around(place, &line.replace("VALUE", &number.to_string()));
            let told = told(&text);
            let faults = faults(&validator, &value(&text).unwrap());
            assert_eq!(told.is_empty(), is_right, "{line} {number}\n{told}");
            assert_eq!(faults.is_empty(), is_right, "{line} {number}\n{faults}");
        }
    }
}
