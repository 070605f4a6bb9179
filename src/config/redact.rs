//! The configuration in force as JSON, for `GET /config`: defaults filled in, the keys of the contract, secrets left
//! out.
//!
//! It reads back as the same configuration, except for the secrets. A value is a secret when it came from an
//! environment variable into a header or a query parameter, or when the name it stands under says so (`authorization`,
//! `x-api-key`).

mod edge;
mod matching;
mod tls;

use std::collections::HashSet;
use std::time::Duration;

use http::HeaderName;
use serde_json::{Value, json};

use crate::config::model::{
    Action, Admin, Balance, Config, EndpointSpec, Family, HalfClose, HashOn, HeaderEdits, Listener,
    LogFile, LogOutput, Pool, Probe, ProbeAction, ProbeScheme, ProxyVersion, Redirect, Resolver,
    Route, Share, Word,
};
use crate::config::redact::matching::{LEFT_OUT, fields, matches, shown, texts};
use crate::units::{Weight, print_duration, print_size};

/// The whole configuration; `filled_in` are the values that came from environment variables.
pub(crate) fn redacted(config: &Config, filled_in: &[String]) -> Value {
    let filled_in: HashSet<&str> = filled_in.iter().map(String::as_str).collect();
    let log = &config.access_log;
    object([
        (
            "workers",
            config
                .workers
                .map_or(json!("auto"), |workers| json!(workers)),
        ),
        ("zone", json!(config.zone.as_deref())),
        ("environment", json!(config.environment.as_deref())),
        (
            "shutdown",
            json!({
                "delay": print_duration(config.shutdown.delay),
                "drain": print_duration(config.shutdown.drain),
            }),
        ),
        (
            "listeners",
            config.listeners.iter().map(|l| listener(l)).collect(),
        ),
        (
            "routes",
            config
                .routes
                .iter()
                .map(|r| route(config, r, &filled_in))
                .collect(),
        ),
        (
            "pools",
            Value::Object(
                config
                    .pools
                    .iter()
                    .map(|p| (p.name.to_string(), pool(p)))
                    .collect(),
            ),
        ),
        ("resolver", resolver(&config.resolver)),
        ("admin", admin(&config.admin)),
        (
            "accessLog",
            json!({
                "format": log.format.word(),
                "output": match &log.output {
                    LogOutput::Off => json!("off"),
                    LogOutput::Stdout => json!("stdout"),
                    LogOutput::Stderr => json!("stderr"),
                    LogOutput::File(file) => log_file(file),
                },
                "query": log.query,
            }),
        ),
        (
            "metrics",
            json!({ "maxEndpoints": unbounded(config.max_endpoint_series) }),
        ),
    ])
}

/// `keep` says nothing where no file is ever full, and is refused there.
fn admin(admin: &Admin) -> Value {
    let mut shown = object([
        ("bind", json!(admin.bind.to_string())),
        ("readBind", json!(admin.read_bind)),
        ("tokenFile", json!(admin.token_file)),
        ("hosts", texts(&admin.hosts)),
    ]);
    edge::put_rights(&mut shown, admin.rights.as_ref());
    shown
}

fn log_file(file: &LogFile) -> Value {
    match file.max_bytes {
        None => json!({ "file": file.path }),
        limit => json!({ "file": file.path, "maxBytes": size(limit), "keep": file.keep }),
    }
}

/// An object without the keys that have no value.
fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn unbounded(number: usize) -> usize {
    if number == usize::MAX { 0 } else { number }
}

/// A limit; none is written as 0.
fn duration(limit: Option<Duration>) -> Value {
    json!(print_duration(limit.unwrap_or_default()))
}

fn size(limit: Option<u64>) -> Value {
    json!(print_size(limit.unwrap_or(0)))
}

fn octets(limit: Option<usize>) -> Value {
    size(limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX)))
}

fn weight(weight: Weight) -> Value {
    if weight.thousandths().is_multiple_of(1_000) {
        return json!(weight.thousandths() / 1_000);
    }
    // Parsed from its decimals, the nearest double prints as these decimals again.
    weight
        .to_string()
        .parse()
        .map_or(Value::Null, |number: f64| json!(number))
}

fn resolver(resolver: &Resolver) -> Value {
    let servers = resolver.servers.iter().map(ToString::to_string);
    json!({
        "servers": servers.collect::<Vec<_>>(),
        "family": match resolver.family {
            Family::All => "all",
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        },
        "minTtl": print_duration(resolver.min_ttl),
        "maxTtl": print_duration(resolver.max_ttl),
        "hostsFile": resolver.hosts_file,
        "resolvConf": resolver.resolv_conf,
    })
}

fn listener(listener: &Listener) -> Value {
    let limits = &listener.limits;
    let mut shown = json!({
        "name": &*listener.name,
        "bind": listener.bind.to_string(),
        "protocols": listener.protocols.words(),
        "halfClose": match listener.half_close {
            HalfClose::Cancel => "cancel",
            HalfClose::Deliver => "deliver",
        },
        "limits": {
            "maxConnections": limits.max_connections.map_or(0, usize::from),
            "handshakeTimeout": duration(limits.handshake_timeout),
            "headerTimeout": duration(limits.header_timeout),
            "bodyIdleTimeout": duration(limits.body_idle_timeout),
            "idleTimeout": duration(limits.idle_timeout),
            "maxHeaderBytes": octets(limits.max_header_bytes),
            "maxHeaders": limits.max_headers.unwrap_or(0),
            "maxUriBytes": octets(limits.max_uri_bytes),
            "maxBodyBytes": size(limits.max_body_bytes),
            "maxConcurrentStreams": limits.max_concurrent_streams.unwrap_or(0),
            "maxConnectionAge": duration(limits.max_connection_age),
        },
    });
    edge::put(&mut shown, listener);
    if let Some(spec) = &listener.tls {
        shown["tls"] = tls::tls(spec);
    }
    shown
}

fn route(config: &Config, route: &Route, filled_in: &HashSet<&str>) -> Value {
    let timeouts = &route.timeouts;
    let mut entries = vec![
        ("name", json!(&*route.name)),
        ("match", matches(route, filled_in)),
        (
            "timeouts",
            json!({
                "response": duration(timeouts.response),
                "tryTimeout": duration(timeouts.try_timeout),
                "idle": duration(timeouts.idle),
                "tunnel": duration(timeouts.tunnel),
                "total": duration(timeouts.total),
            }),
        ),
        (
            "maxBodyBytes",
            route.max_body_bytes.map_or(Value::Null, size),
        ),
        ("responseHeaders", edits(&route.response_headers)),
    ];
    match &route.action {
        Action::Split(shares) => {
            entries.push(("split", shares.iter().map(|s| share(config, s)).collect()));
            entries.extend(on_the_way(route));
        }
        Action::PoolByHost(by_host) => {
            let suffixes = json!({ "suffixes": texts(&by_host.suffixes) });
            entries.push(("poolByHost", suffixes));
            entries.extend(on_the_way(route));
        }
        Action::Redirect(redirect) => entries.push(("redirect", redirection(redirect))),
        Action::Respond(respond) => entries.push((
            "respond",
            json!({
                "status": respond.status.as_u16(),
                "body": String::from_utf8_lossy(&respond.body),
            }),
        )),
    }
    let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// What a route does to requests on their way to a pool.
fn on_the_way(route: &Route) -> [(&'static str, Value); 4] {
    let host = route.rewrite.host.as_ref();
    let rewrite = object([
        ("prefix", json!(route.rewrite.prefix.as_deref())),
        ("host", json!(host.and_then(|host| host.to_str().ok()))),
    ]);
    [
        ("retry", retry(route)),
        ("pathAsReceived", json!(route.path_as_received)),
        ("rewrite", rewrite),
        ("requestHeaders", edits(&route.request_headers)),
    ]
}

fn retry(route: &Route) -> Value {
    let on = [
        ("connectFailure", route.retry.on_connect_failure),
        ("refusedStream", route.retry.on_refused_stream),
        ("reset", route.retry.on_reset),
    ];
    let on: Vec<&str> = on
        .iter()
        .filter(|(_, is_on)| *is_on)
        .map(|(word, _)| *word)
        .collect();
    json!({ "attempts": route.retry.attempts, "on": on })
}

fn share(config: &Config, share: &Share) -> Value {
    json!({
        "pool": config.pools.get(share.pool.0).map(|pool| &*pool.name),
        "weight": weight(share.weight),
        "strict": share.strict,
    })
}

fn redirection(redirect: &Redirect) -> Value {
    object([
        ("scheme", json!(redirect.scheme.as_deref())),
        ("host", json!(redirect.host.as_deref())),
        ("path", json!(redirect.path.as_deref())),
        ("status", json!(redirect.status.as_u16())),
    ])
}

fn edits(edits: &HeaderEdits) -> Value {
    json!({
        "set": fields(&edits.set),
        "add": fields(&edits.add),
        "remove": edits.remove.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
    })
}

fn pool(pool: &Pool) -> Value {
    let tls = pool.tls.as_deref().map_or(Value::Null, tls::upstream);
    let proxy_protocol = pool.proxy_protocol.map_or("off", ProxyVersion::word);
    let connect = &pool.connect;
    object([
        ("version", json!(pool.version.as_deref())),
        (
            "deployment",
            pool.deployment.as_ref().map_or(Value::Null, |deployment| {
                object([
                    ("commit", json!(deployment.commit.as_deref())),
                    ("by", json!(deployment.by.as_deref())),
                    ("at", json!(deployment.at.as_deref())),
                ])
            }),
        ),
        ("balance", balance(&pool.balance)),
        ("endpoints", pool.endpoints.iter().map(endpoint).collect()),
        ("protocol", json!(pool.protocol.word())),
        ("tls", tls),
        ("proxyProtocol", json!(proxy_protocol)),
        (
            "connect",
            json!({
                "timeout": duration(connect.timeout),
                "keepAlive": duration(connect.keep_alive),
                "maxIdlePerWorker": connect.max_idle_per_worker,
            }),
        ),
        ("startupProbe", probe(pool.startup_probe.as_ref())),
        ("readinessProbe", probe(pool.readiness_probe.as_ref())),
        ("livenessProbe", probe(pool.liveness_probe.as_ref())),
        ("whenNoneReady", json!(pool.when_none_ready.word())),
        ("drainTimeout", duration(pool.drain_timeout)),
    ])
}

fn balance(balance: &Balance) -> Value {
    let Balance::RingHash(ring_hash) = balance else {
        return json!(balance.word());
    };
    let on = match &ring_hash.on {
        HashOn::ClientIp => json!("clientIp"),
        HashOn::Path => json!("path"),
        HashOn::Header(name) => json!({ "header": name.as_str() }),
        HashOn::Cookie(name) => json!({ "cookie": &**name }),
    };
    let factor = ring_hash.balance_factor.unwrap_or(Weight::ZERO);
    json!({ "ringHash": { "on": on, "balanceFactor": weight(factor) } })
}

fn endpoint(endpoint: &EndpointSpec) -> Value {
    object([
        ("address", json!(endpoint.address.to_string())),
        ("weight", weight(endpoint.weight)),
        ("zone", json!(endpoint.zone.as_deref())),
        ("backup", json!(endpoint.backup)),
    ])
}

fn probe(probe: Option<&Probe>) -> Value {
    let Some(probe) = probe else {
        return Value::Null;
    };
    let (key, action) = match &probe.action {
        ProbeAction::HttpGet {
            host,
            port,
            path,
            headers,
            scheme,
        } => (
            "httpGet",
            object([
                ("host", json!(host)),
                ("port", json!(port)),
                ("path", json!(&**path)),
                ("scheme", json!(scheme.word())),
                ("verify", json!(*scheme == ProbeScheme::VerifiedHttps)),
                (
                    "httpHeaders",
                    headers
                        .iter()
                        .map(
                            |(name, value)| json!({ "name": name.as_str(), "value": shown(value) }),
                        )
                        .collect(),
                ),
            ]),
        ),
        ProbeAction::TcpSocket { host, port } => (
            "tcpSocket",
            object([("host", json!(host)), ("port", json!(port))]),
        ),
        ProbeAction::Grpc { port, service } => (
            "grpc",
            object([("port", json!(port)), ("service", json!(&**service))]),
        ),
        ProbeAction::Exec { command } => {
            let word = |word: &Word| match word.is_secret {
                true => LEFT_OUT.to_owned(),
                false => word.text.to_string(),
            };
            let command: Vec<String> = command.iter().map(word).collect();
            ("exec", json!({ "command": command }))
        }
    };
    json!({
        key: action,
        "initialDelaySeconds": probe.initial_delay.as_secs_f64(),
        "periodSeconds": probe.period.as_secs_f64(),
        "timeoutSeconds": probe.timeout.as_secs_f64(),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    })
}
