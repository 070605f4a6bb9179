//! Pools, how they spread requests, and their endpoints.

use serde_json::json;

use crate::config::keys::{
    BALANCE, BALANCE_MAP, CONNECT, DEPLOYMENT, ENDPOINT, HASH_ON, HASH_ON_WORD, POOL, POOL_TLS,
    PROXY_VERSION, RING_HASH, TLS_VERSION, UPSTREAM_PROTOCOL, WHEN_NONE_READY,
};
use crate::config::model::{Balance, Connect, UpstreamProtocol};
use crate::config::schema::shape::{Shape, duration, key, named, one, some, with_default, word};

pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![pool(), deployment()];
    shapes.extend(balance());
    shapes.extend([endpoint(), tls(), connect()]);
    shapes
}

fn pool() -> Shape {
    let probe = |name, about| key(name, about, one("Probe"));
    Shape::new(
        "Pool",
        &POOL,
        "Endpoints of one version of a service.",
        vec![
            key("version", "The version that its endpoints run; a label of metrics.", one("Text")),
            key("deployment", "What was deployed; shown in the status.", one("Deployment")),
            with_default(
                "balance",
                "How its endpoints share requests: roundRobin is exact by weight, the others look at loads, chance or a key.",
                json!({ "anyOf": [ word(&BALANCE), one("Balance") ] }),
                Balance::default().word(),
            ),
            key(
                "endpoints",
                "IP:PORT, NAME:PORT, unix:PATH, or a mapping with address, weight, zone and backup.",
                some(json!({ "anyOf": [ one("EndpointAddress"), one("Endpoint") ] })),
            ),
            key("ports", "Names of ports, for probes.", named(one("Port"))),
            with_default("protocol", "What its endpoints speak; auto is http1 without TLS.", word(&UPSTREAM_PROTOCOL), UpstreamProtocol::default().word()),
            key("tls", "They are spoken to over TLS.", one("PoolTls")),
            with_default(
                "proxyProtocol",
                "Tells endpoints who speaks to them through fiel, before anything else on a connection.",
                word(&PROXY_VERSION),
                "off",
            ),
            key("connect", "How connections to its endpoints are made and kept.", one("Connect")),
            probe("startupProbe", "The other probes and all requests wait until it has succeeded."),
            probe("readinessProbe", "While it fails there are no new requests."),
            probe("livenessProbe", "When it fails, requests in flight are cut and tried elsewhere."),
            with_default(
                "whenNoneReady",
                "What happens when nobody is ready and no other pool takes it: fail, or try the unready.",
                word(&WHEN_NONE_READY),
                "fail",
            ),
            with_default(
                "drainTimeout",
                "How long requests may go on at an endpoint that leaves; 0 is to their end.",
                one("Duration"),
                duration(None),
            ),
        ],
    )
    .needs(json!({ "required": ["endpoints"] }))
}

fn deployment() -> Shape {
    Shape::new(
        "Deployment",
        &DEPLOYMENT,
        "What was deployed to a pool.",
        vec![
            key("commit", "Its commit.", one("Text")),
            key("by", "Who deployed it.", one("Text")),
            key("at", "When.", one("Text")),
        ],
    )
}

fn balance() -> [Shape; 3] {
    [
        Shape::new(
            "Balance",
            &BALANCE_MAP,
            "A balancer with its options.",
            vec![key(
                "ringHash",
                "The same key to the same endpoint.",
                one("RingHash"),
            )],
        )
        .needs(json!({ "required": ["ringHash"] })),
        Shape::new(
            "RingHash",
            &RING_HASH,
            "Consistent hashing with bounded loads.",
            vec![
                with_default(
                    "on",
                    "Where the key of a request is: clientIp, path (without its query), a header or a cookie.",
                    json!({ "anyOf": [ word(&HASH_ON_WORD), one("HashOn") ] }),
                    "clientIp",
                ),
                with_default(
                    "balanceFactor",
                    "So many times its share of the requests in flight an endpoint may have, from 1; 0 is without bound.",
                    json!({ "anyOf": [ { "const": 0 }, { "allOf": [ one("Weight"), { "minimum": 1 } ] } ] }),
                    1.25,
                ),
            ],
        ),
        Shape::new(
            "HashOn",
            &HASH_ON,
            "What of a request names its key.",
            vec![
                key("header", "The first header of this name.", one("FieldName")),
                key(
                    "cookie",
                    "The first cookie of this name.",
                    one("CookieName"),
                ),
            ],
        )
        .needs(json!({ "minProperties": 1, "maxProperties": 1 })),
    ]
}

fn endpoint() -> Shape {
    Shape::new(
        "Endpoint",
        &ENDPOINT,
        "An endpoint.",
        vec![
            key(
                "address",
                "Where it answers; a name stands for all its addresses, which share the weight.",
                one("EndpointAddress"),
            ),
            with_default(
                "weight",
                "Its weight among the pool's endpoints.",
                one("Weight"),
                1,
            ),
            key("zone", "Where it runs; shown in the status.", one("Text")),
            with_default(
                "backup",
                "Used only while no other endpoint of the pool is ready.",
                one("Boolean"),
                false,
            ),
        ],
    )
    .needs(json!({ "required": ["address"] }))
    .item()
}

fn tls() -> Shape {
    let mut versions = word(&TLS_VERSION);
    // As numbers they are as good.
    versions["anyOf"][0]["enum"] = json!(["1.2", "1.3", 1.2, 1.3]);
    Shape::new(
        "PoolTls",
        &POOL_TLS,
        "How endpoints are spoken to over TLS; an empty mapping believes the system's authorities.",
        vec![
            key(
                "serverName",
                "Whose certificate is wanted, in place of the endpoint's own name.",
                one("Text"),
            ),
            key(
                "caFile",
                "The authorities to believe instead of the system's, in PEM.",
                one("Text"),
            ),
            key(
                "certFile",
                "The certificate that is shown to them, and behind it its chain, in PEM.",
                one("Text"),
            ),
            key(
                "keyFile",
                "Its key in PEM: PKCS#8, PKCS#1 or SEC1.",
                one("Text"),
            ),
            with_default(
                "minVersion",
                "The least version that is spoken.",
                versions,
                "1.2",
            ),
            with_default(
                "insecureSkipVerify",
                "Believe whoever answers.",
                one("Boolean"),
                false,
            ),
        ],
    )
    .needs(json!({ "dependentRequired": { "certFile": ["keyFile"], "keyFile": ["certFile"] } }))
}

fn connect() -> Shape {
    let connect = Connect::default();
    Shape::new(
        "Connect",
        &CONNECT,
        "How connections to endpoints are made and kept.",
        vec![
            with_default(
                "timeout",
                "To make one; 0 is no limit.",
                one("Duration"),
                duration(connect.timeout),
            ),
            with_default(
                "keepAlive",
                "How long an unused one is kept; 0 is no limit.",
                one("Duration"),
                duration(connect.keep_alive),
            ),
            with_default(
                "maxIdlePerWorker",
                "Unused ones kept per worker and endpoint; 0 keeps none.",
                one("Limit"),
                connect.max_idle_per_worker,
            ),
        ],
    )
}
