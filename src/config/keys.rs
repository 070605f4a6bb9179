//! The one table of keys: what works in this version, and what the contract promises but this version refuses.
//!
//! A key that is in neither column is unknown. Nothing is accepted and then ignored: a key moves from `later` to
//! `works` in the commit that makes it work.

mod action;
mod edge;
mod kind;
mod pool;
mod probe;

pub(crate) use action::{POOL_BY_HOST, REDIRECT, RESPOND, SCHEME, SHARE};
pub(crate) use edge::{ADMIN_RIGHTS, FORWARDED, HALF_CLOSE, PROXY_PROTOCOL, SOCKET_RIGHTS};
pub(crate) use kind::{Keys, Words};
pub(crate) use pool::{CONNECT, DEPLOYMENT, POOL_TLS, PROXY_VERSION};
pub(crate) use probe::{EXEC, GRPC, HTTP_GET, PROBE, TCP_SOCKET};

const REMOVE: &str = "remove it";

pub(crate) const ROOT: Keys = Keys {
    kind: "a configuration",
    works: &[
        "workers",
        "zone",
        "environment",
        "shutdown",
        "listeners",
        "routes",
        "pools",
        "resolver",
        "admin",
        "accessLog",
        "metrics",
    ],
    later: &[
        ("stateDir", REMOVE),
        (
            "rollouts",
            "remove it; change the weights of the split by hand and reload meanwhile",
        ),
    ],
};

pub(crate) const SHUTDOWN: Keys = Keys {
    kind: "shutdown",
    works: &["delay", "drain"],
    later: &[],
};

pub(crate) const LISTENER: Keys = Keys {
    kind: "a listener",
    works: &[
        "name",
        "bind",
        "unix",
        "protocols",
        "proxyProtocol",
        "halfClose",
        "trustedProxies",
        "trustedHops",
        "forwarded",
        "limits",
        "tls",
    ],
    later: &[],
};

pub(crate) const LISTENER_TLS: Keys = Keys {
    kind: "the tls of a listener",
    works: &["certificates", "minVersion", "clientAuth"],
    later: &[],
};

pub(crate) const CERTIFICATE: Keys = Keys {
    kind: "a certificate",
    works: &["certFile", "keyFile", "ocspFile"],
    later: &[],
};

pub(crate) const TLS_VERSION: Words = Words {
    works: &["1.2", "1.3"],
    later: &[],
};

pub(crate) const CLIENT_AUTH: Keys = Keys {
    kind: "clientAuth",
    works: &["caFile", "crlFile", "mode"],
    later: &[],
};

pub(crate) const CLIENT_AUTH_MODE: Words = Words {
    works: &["require", "optional"],
    later: &[],
};

pub(crate) const LISTENER_LIMITS: Keys = Keys {
    kind: "the limits of a listener",
    works: &[
        "maxConnections",
        "handshakeTimeout",
        "headerTimeout",
        "bodyIdleTimeout",
        "idleTimeout",
        "maxHeaderBytes",
        "maxHeaders",
        "maxUriBytes",
        "maxBodyBytes",
        "maxConcurrentStreams",
        "maxConnectionAge",
    ],
    later: &[],
};

pub(crate) const PROTOCOLS: Words = Words {
    works: &["http1", "http2"],
    later: &[],
};

const POOL_LATER: &str = "remove it; set a limit in front of fiel or at the endpoints meanwhile";

pub(crate) const ROUTE: Keys = Keys {
    kind: "a route",
    works: &[
        "name",
        "match",
        "split",
        "poolByHost",
        "redirect",
        "respond",
        "timeouts",
        "retry",
        "maxBodyBytes",
        "pathAsReceived",
        "rewrite",
        "requestHeaders",
        "responseHeaders",
    ],
    later: &[
        (
            "sticky",
            "remove it; a route with match.headers can hold chosen users on a pool meanwhile",
        ),
        ("mirror", REMOVE),
        ("fault", REMOVE),
        (
            "rescue",
            "remove it; timeouts.tryTimeout bounds one try meanwhile",
        ),
        ("hedge", REMOVE),
        (
            "rateLimit",
            "remove it; limit rates in front of fiel meanwhile",
        ),
        ("priority", REMOVE),
        ("outlier", OUTLIER_LATER),
        ("slowStart", REMOVE),
        ("limits", POOL_LATER),
    ],
};

const OUTLIER_LATER: &str = "remove it; a readinessProbe takes failing endpoints out meanwhile";

pub(crate) const MATCH: Keys = Keys {
    kind: "match",
    works: &[
        "listeners",
        "hosts",
        "clients",
        "clientCert",
        "path",
        "methods",
        "headers",
        "query",
    ],
    later: &[],
};

pub(crate) const CLIENT_CERT: Keys = Keys {
    kind: "clientCert",
    works: &["subjects", "sans"],
    later: &[],
};

pub(crate) const PATH: Keys = Keys {
    kind: "path",
    works: &["exact", "prefix", "regex"],
    later: &[],
};

pub(crate) const TIMEOUTS: Keys = Keys {
    kind: "timeouts",
    works: &["response", "tryTimeout", "idle", "tunnel", "total"],
    later: &[],
};

pub(crate) const RETRY: Keys = Keys {
    kind: "retry",
    works: &["attempts", "on"],
    later: &[
        (
            "budgetPercent",
            "remove it; attempts bounds the tries of one request meanwhile",
        ),
        (
            "bodyBytes",
            "remove it; a request is tried again only while nothing of its body was sent meanwhile",
        ),
    ],
};

pub(crate) const RETRY_ON: Words = Words {
    works: &["connectFailure", "refusedStream", "reset"],
    later: &[],
};

pub(crate) const REWRITE: Keys = Keys {
    kind: "rewrite",
    works: &["prefix", "host"],
    later: &[],
};

pub(crate) const EDITS: Keys = Keys {
    kind: "edits of headers",
    works: &["set", "add", "remove"],
    later: &[],
};

pub(crate) const POOL: Keys = Keys {
    kind: "a pool",
    works: &[
        "version",
        "deployment",
        "balance",
        "endpoints",
        "ports",
        "protocol",
        "tls",
        "proxyProtocol",
        "connect",
        "startupProbe",
        "readinessProbe",
        "livenessProbe",
        "whenNoneReady",
        "drainTimeout",
    ],
    later: &[
        (
            "onDead",
            "remove it; watch fiel_endpoint_live in the metrics meanwhile",
        ),
        ("outlier", OUTLIER_LATER),
        ("slowStart", REMOVE),
        ("limits", POOL_LATER),
        ("rescue", REMOVE),
        ("hedge", REMOVE),
        (
            "rateLimit",
            "remove it; limit rates in front of fiel meanwhile",
        ),
        ("priority", REMOVE),
        (
            "autoscale",
            "remove it; scale by the metrics of fiel with another scaler meanwhile",
        ),
    ],
};

pub(crate) const BALANCE: Words = Words {
    works: &[
        "roundRobin",
        "leastRequest",
        "powerOfTwo",
        "random",
        "ringHash",
    ],
    later: &[],
};

pub(crate) const BALANCE_MAP: Keys = Keys {
    kind: "balance",
    works: &["ringHash"],
    later: &[],
};

pub(crate) const RING_HASH: Keys = Keys {
    kind: "ringHash",
    works: &["on", "balanceFactor"],
    later: &[],
};

pub(crate) const HASH_ON: Keys = Keys {
    kind: "on",
    works: &["header", "cookie"],
    later: &[],
};

pub(crate) const HASH_ON_WORD: Words = Words {
    works: &["clientIp", "path"],
    later: &[],
};

pub(crate) const ENDPOINT: Keys = Keys {
    kind: "an endpoint",
    works: &["address", "weight", "zone", "backup"],
    later: &[],
};

pub(crate) const UPSTREAM_PROTOCOL: Words = Words {
    works: &["http1", "http2", "auto"],
    later: &[],
};

pub(crate) const WHEN_NONE_READY: Words = Words {
    works: &["fail", "useAll"],
    later: &[],
};

pub(crate) const PROBE_SCHEME: Words = Words {
    works: &["HTTP", "HTTPS"],
    later: &[],
};

pub(crate) const HTTP_HEADER: Keys = Keys {
    kind: "an entry of httpHeaders",
    works: &["name", "value"],
    later: &[],
};

pub(crate) const RESOLVER: Keys = Keys {
    kind: "resolver",
    works: &[
        "servers",
        "family",
        "minTtl",
        "maxTtl",
        "hostsFile",
        "resolvConf",
    ],
    later: &[],
};

pub(crate) const FAMILY: Words = Words {
    works: &["all", "ipv4", "ipv6"],
    later: &[],
};

pub(crate) const ADMIN: Keys = Keys {
    kind: "admin",
    works: &["bind", "unix", "readBind", "tokenFile", "hosts"],
    later: &[],
};

pub(crate) const ACCESS_LOG: Keys = Keys {
    kind: "accessLog",
    works: &["format", "output", "query"],
    later: &[],
};

pub(crate) const LOG_FORMAT: Words = Words {
    works: &["json", "ecs", "common", "combined"],
    later: &[],
};

pub(crate) const LOG_OUTPUT: Words = Words {
    works: &["stdout", "stderr", "off"],
    later: &[],
};

pub(crate) const LOG_FILE: Keys = Keys {
    kind: "the output of accessLog",
    works: &["file", "maxBytes", "keep"],
    later: &[],
};

pub(crate) const METRICS: Keys = Keys {
    kind: "metrics",
    works: &["maxEndpoints"],
    later: &[],
};

/// All mappings, to say where a key that stands in the wrong one belongs.
pub(crate) const ALL: &[&Keys] = &[
    &ROOT,
    &SHUTDOWN,
    &LISTENER,
    &SOCKET_RIGHTS,
    &ADMIN_RIGHTS,
    &PROXY_PROTOCOL,
    &LISTENER_LIMITS,
    &LISTENER_TLS,
    &CERTIFICATE,
    &CLIENT_AUTH,
    &ROUTE,
    &MATCH,
    &CLIENT_CERT,
    &PATH,
    &SHARE,
    &POOL_BY_HOST,
    &REDIRECT,
    &RESPOND,
    &TIMEOUTS,
    &RETRY,
    &REWRITE,
    &EDITS,
    &POOL,
    &DEPLOYMENT,
    &BALANCE_MAP,
    &RING_HASH,
    &HASH_ON,
    &ENDPOINT,
    &POOL_TLS,
    &CONNECT,
    &PROBE,
    &HTTP_GET,
    &TCP_SOCKET,
    &GRPC,
    &EXEC,
    &RESOLVER,
    &ADMIN,
    &ACCESS_LOG,
    &LOG_FILE,
    &METRICS,
    &HTTP_HEADER,
];
