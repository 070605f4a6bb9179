//! The configuration itself, and listeners.

use serde_json::json;

use crate::config::keys::{
    ADMIN_RIGHTS, CERTIFICATE, CLIENT_AUTH, CLIENT_AUTH_MODE, FORWARDED, HALF_CLOSE, LISTENER,
    LISTENER_LIMITS, LISTENER_TLS, PROTOCOLS, PROXY_PROTOCOL, ROOT, SOCKET_RIGHTS, TLS_VERSION,
};
use crate::config::model::{ListenerLimits, Protocols, SocketRights};
use crate::config::schema::shape::{
    Shape, duration, key, list, named, octets, one, size, some, whole, with_default, word,
};

pub(super) fn shapes() -> Vec<Shape> {
    let [own, of_admin] = socket_rights();
    vec![
        configuration(),
        listener(),
        own,
        of_admin,
        proxy_protocol(),
        limits(),
        tls(),
        certificate(),
        client_auth(),
    ]
}

fn configuration() -> Shape {
    let mut pools = named(one("Pool"));
    pools["minProperties"] = json!(1);
    pools["propertyNames"] = json!({
        "maxLength": 100,
        "pattern": r"^\S(.*\S)?$",
        "not": { "const": "none" },
    });
    Shape::new(
        "Configuration",
        &ROOT,
        "Only listeners, routes and pools are needed.",
        vec![
            with_default(
                "workers",
                "Threads that serve requests; auto is the cores this process may use.",
                json!({ "anyOf": [ { "const": "auto" }, whole(1, 1_024) ] }),
                "auto",
            ),
            key("zone", "Where this proxy runs; shown in the status.", one("Text")),
            key("environment", "Which environment this is; shown in the status.", one("Text")),
            key("shutdown", "What happens after SIGTERM.", one("Shutdown")),
            key("listeners", "Where clients connect to.", some(one("Listener"))),
            key(
                "routes",
                "What becomes of requests; the most specific match wins, on a tie the earlier route.",
                some(one("Route")),
            ),
            key("pools", "Endpoints of one version of a service each, by name.", pools),
            key("resolver", "How names of endpoints become addresses.", one("Resolver")),
            key("admin", "Where fiel is asked and told.", one("Admin")),
            key("accessLog", "One line for each request.", one("AccessLog")),
            key("metrics", "What is counted for whom.", one("Metrics")),
        ],
    )
    .needs(json!({ "required": ["listeners", "routes", "pools"] }))
}

fn listener() -> Shape {
    Shape::new(
        "Listener",
        &LISTENER,
        "A listening address.",
        vec![
            key("name", "Its name, a label of metrics.", one("Name")),
            key(
                "bind",
                "An address and a port, where 0.0.0.0 and [::] take all addresses; or a unix socket, such as unix:/run/fiel.sock.",
                one("ListenAddress"),
            ),
            key("unix", "Who may connect to its unix socket.", one("SocketRights")),
            with_default(
                "protocols",
                "What is spoken on it; http2 by ALPN over TLS, by prior knowledge without.",
                some(word(&PROTOCOLS)),
                json!(Protocols::default().words()),
            ),
            with_default(
                "proxyProtocol",
                "Whether connections begin with a header of the PROXY protocol, v1 or v2: those of everybody, or from some.",
                json!({ "anyOf": [ one("Boolean"), one("ProxyProtocol") ] }),
                json!(false),
            ),
            with_default(
                "halfClose",
                "What a client's FIN means while it waits: cancel what it waits for, or deliver the answer.",
                word(&HALF_CLOSE),
                "cancel",
            ),
            with_default(
                "trustedProxies",
                "Networks whose X-Forwarded-* or Forwarded is believed, unix for sockets of this host; from others it is replaced.",
                list(one("Peer")),
                json!([]),
            ),
            key(
                "trustedHops",
                "How many proxies are in front, where their addresses are not known: so many of the last entries are believed.",
                json!({ "anyOf": [ whole(1, 100), one("Variable") ] }),
            ),
            with_default(
                "forwarded",
                "In which fields it is read and written who the client is: X-Forwarded-*, Forwarded (RFC 7239), or both.",
                word(&FORWARDED),
                "xForwarded",
            ),
            key("limits", "The limits of its connections.", one("ListenerLimits")),
            key("tls", "It speaks TLS, with these certificates.", one("ListenerTls")),
        ],
    )
    .needs(json!({ "required": ["name", "bind"] }))
    .item()
}

/// The rights on a listener's socket, and on that of the admin address: they differ by who may connect unless written.
fn socket_rights() -> [Shape; 2] {
    let of = |name, keys, about, rights: SocketRights| {
        Shape::new(
            name,
            keys,
            about,
            vec![
                with_default(
                    "mode",
                    "Its permissions, in octal digits.",
                    one("Permissions"),
                    format!("{:04o}", rights.mode),
                ),
                key("owner", "Whose it is, a name or a number.", one("Text")),
                key(
                    "group",
                    "Which group's it is, a name or a number.",
                    one("Text"),
                ),
            ],
        )
    };
    [
        of(
            "SocketRights",
            &SOCKET_RIGHTS,
            "The rights on a unix socket.",
            SocketRights::default(),
        ),
        of(
            "AdminSocketRights",
            &ADMIN_RIGHTS,
            "The rights on the unix socket of the admin address.",
            SocketRights::private(),
        ),
    ]
}

fn proxy_protocol() -> Shape {
    Shape::new(
        "ProxyProtocol",
        &PROXY_PROTOCOL,
        "Whose connections begin with a header of the PROXY protocol.",
        vec![key(
            "from",
            "Networks, or unix; everybody else speaks without one.",
            some(one("Peer")),
        )],
    )
    .needs(json!({ "required": ["from"] }))
    .item()
}

fn limits() -> Shape {
    let limits = ListenerLimits::default();
    let time = |name, about, limit| with_default(name, about, one("Duration"), duration(limit));
    let length = |name, about, limit| with_default(name, about, one("Size"), octets(limit));
    Shape::new(
        "ListenerLimits",
        &LISTENER_LIMITS,
        "The limits of a listener's connections; 0 is no limit.",
        vec![
            with_default(
                "maxConnections",
                "Connections open at once; more wait in the kernel.",
                one("Limit"),
                limits.max_connections.map_or(0, usize::from),
            ),
            time(
                "handshakeTimeout",
                "For a TLS handshake, with the header of the PROXY protocol before it.",
                limits.handshake_timeout,
            ),
            time(
                "headerTimeout",
                "For a request's head.",
                limits.header_timeout,
            ),
            time(
                "bodyIdleTimeout",
                "Between two octets of a request's body.",
                limits.body_idle_timeout,
            ),
            time(
                "idleTimeout",
                "For a connection without a request.",
                limits.idle_timeout,
            ),
            length(
                "maxHeaderBytes",
                "Of a request's head.",
                limits.max_header_bytes,
            ),
            with_default(
                "maxHeaders",
                "Fields of a request's head.",
                one("Limit"),
                limits.max_headers.unwrap_or(0),
            ),
            length(
                "maxUriBytes",
                "Of a request's target.",
                limits.max_uri_bytes,
            ),
            with_default(
                "maxBodyBytes",
                "Of a request's body.",
                one("Size"),
                size(limits.max_body_bytes),
            ),
            with_default(
                "maxConcurrentStreams",
                "Requests of an HTTP/2 connection at once.",
                one("Limit"),
                limits.max_concurrent_streams.unwrap_or(0),
            ),
            time(
                "maxConnectionAge",
                "Older connections are asked to close.",
                limits.max_connection_age,
            ),
        ],
    )
}

fn tls() -> Shape {
    let mut versions = word(&TLS_VERSION);
    // As numbers they are as good.
    versions["anyOf"][0]["enum"] = json!(["1.2", "1.3", 1.2, 1.3]);
    Shape::new(
        "ListenerTls",
        &LISTENER_TLS,
        "How a listener speaks TLS.",
        vec![
            key(
                "certificates",
                "Chosen by the name that a client asks for; the first is for whom no other is.",
                some(one("Certificate")),
            ),
            with_default(
                "minVersion",
                "The least version that is spoken.",
                versions,
                "1.2",
            ),
            key(
                "clientAuth",
                "Clients show certificates of their own.",
                one("ClientAuth"),
            ),
        ],
    )
    .needs(json!({ "required": ["certificates"] }))
    .item()
}

fn certificate() -> Shape {
    Shape::new(
        "Certificate",
        &CERTIFICATE,
        "A certificate and its key; the files are watched.",
        vec![
            key(
                "certFile",
                "The certificate, and behind it its chain, in PEM.",
                one("Text"),
            ),
            key(
                "keyFile",
                "Its key in PEM: PKCS#8, PKCS#1 or SEC1.",
                one("Text"),
            ),
            key(
                "ocspFile",
                "An OCSP response in DER that is stapled to it.",
                one("Text"),
            ),
        ],
    )
    .needs(json!({ "required": ["certFile", "keyFile"] }))
    .item()
}

fn client_auth() -> Shape {
    Shape::new(
        "ClientAuth",
        &CLIENT_AUTH,
        "Which certificates of clients are good.",
        vec![
            key(
                "caFile",
                "The certificates of the authorities, in PEM.",
                one("Text"),
            ),
            key("crlFile", "What these have revoked, in PEM.", one("Text")),
            key(
                "mode",
                "require lets nobody in without one; with optional a client may have none.",
                word(&CLIENT_AUTH_MODE),
            ),
        ],
    )
    .needs(json!({ "required": ["caFile", "mode"] }))
    .item()
}
