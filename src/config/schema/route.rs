//! Routes: what they match, what becomes of it, and what is changed on the way.

use serde_json::json;

use crate::config::keys::{
    CLIENT_CERT, EDITS, MATCH, PATH, POOL_BY_HOST, REDIRECT, RESPOND, RETRY, RETRY_ON, REWRITE,
    ROUTE, SCHEME, SHARE, TIMEOUTS,
};
use crate::config::model::{Retry, Timeouts};
use crate::config::schema::shape::{
    Shape, duration, key, list, named, one, some, whole, with_default, word,
};

pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![route(), matches(), client_cert(), path()];
    shapes.extend(actions());
    shapes.extend(policies());
    // A route is the item of a list, and so is whatever stands in it.
    shapes.into_iter().map(Shape::item).collect()
}

fn route() -> Shape {
    Shape::new(
        "Route",
        &ROUTE,
        "Which requests it takes, and what becomes of them: split, poolByHost, redirect or respond.",
        vec![
            key("name", "Its name, a label of metrics.", one("Name")),
            key("match", "All that is given must hold; nothing given takes every request.", one("Match")),
            key("split", "Pools by exact shares: a share is weight / sum.", some(one("Share"))),
            key("poolByHost", "Each request goes to the pool that its host names.", one("PoolByHost")),
            key("redirect", "Sends clients elsewhere.", one("Redirect")),
            key("respond", "Answers at once.", one("Respond")),
            key("timeouts", "How long requests may take.", one("Timeouts")),
            key("retry", "What is tried again, on another endpoint where one is ready.", one("Retry")),
            key("maxBodyBytes", "Of a request's body, in place of the listener's limit.", one("Size")),
            with_default(
                "pathAsReceived",
                "Forward the path as it came, not its canonical form.",
                one("Boolean"),
                false,
            ),
            key("rewrite", "What of the target is rewritten.", one("Rewrite")),
            key("requestHeaders", "Edits to a request's headers.", one("Edits")),
            key("responseHeaders", "Edits to a response's headers.", one("Edits")),
        ],
    )
    .needs(json!({
        "required": ["name"],
        "oneOf": [
            { "required": ["split"] },
            { "required": ["poolByHost"] },
            { "required": ["redirect"] },
            { "required": ["respond"] },
        ],
    }))
}

fn matches() -> Shape {
    Shape::new(
        "Match",
        &MATCH,
        "Which requests a route takes.",
        vec![
            key("listeners", "On any of these listeners.", list(one("Text"))),
            key("hosts", "For any of these hosts.", list(one("HostPattern"))),
            key(
                "clients",
                "From any of these networks.",
                list(one("Network")),
            ),
            key(
                "clientCert",
                "With a verified client certificate like this.",
                one("ClientCert"),
            ),
            key("path", "With a path like this.", one("PathMatch")),
            key("methods", "With any of these methods.", list(one("Method"))),
            key("headers", "With every one of these headers.", one("Fields")),
            key(
                "query",
                "With every one of these query parameters.",
                named(one("Text")),
            ),
        ],
    )
}

fn client_cert() -> Shape {
    Shape::new(
        "ClientCert",
        &CLIENT_CERT,
        "A verified client certificate; {} takes any.",
        vec![
            key(
                "subjects",
                "With any of these subjects, as RFC 4514 writes them: CN=a,O=b.",
                list(one("Text")),
            ),
            key(
                "sans",
                "With any of these alternative names: DNS:, URI:, email: or IP: and the name.",
                list(one("Text")),
            ),
        ],
    )
}

fn path() -> Shape {
    Shape::new(
        "PathMatch",
        &PATH,
        "A path: exactly this, on the borders of segments below this, or as a whole like this.",
        vec![
            key("exact", "This very path.", one("Path")),
            key(
                "prefix",
                "This path and all below it: /api takes /api and /api/x, not /apix.",
                one("Path"),
            ),
            key(
                "regex",
                "A regular expression of the whole path.",
                one("Text"),
            ),
        ],
    )
    .needs(json!({ "minProperties": 1, "maxProperties": 1 }))
}

fn actions() -> [Shape; 4] {
    [
        Shape::new(
            "Share",
            &SHARE,
            "A pool and its weight.",
            vec![
                key("pool", "The name of the pool.", one("Text")),
                with_default("weight", "Its share is weight / sum; with 0 it is never chosen.", one("Weight"), 1),
                with_default(
                    "strict",
                    "Neither gives its share to others nor takes theirs when a pool has nothing ready.",
                    one("Boolean"),
                    false,
                ),
            ],
        )
        .needs(json!({ "required": ["pool"] })),
        Shape::new(
            "PoolByHost",
            &POOL_BY_HOST,
            "Every pool for the requests whose host is its name.",
            vec![key(
                "suffixes",
                "What may stand behind a pool's name, such as prod.svc.cluster.local.",
                list(one("Host")),
            )],
        ),
        Shape::new(
            "Redirect",
            &REDIRECT,
            "What is not given is taken from the request.",
            vec![
                key("scheme", "http or https.", word(&SCHEME)),
                key("host", "The host, with its port where one is meant.", one("Host")),
                key("path", "The path, with its query where one is meant.", one("PathAndQuery")),
                with_default(
                    "status",
                    "Which redirect.",
                    json!({ "anyOf": [ { "enum": [301, 302, 303, 307, 308] }, one("Variable") ] }),
                    308,
                ),
            ],
        )
        .needs(json!({
            "anyOf": [ { "required": ["scheme"] }, { "required": ["host"] }, { "required": ["path"] } ],
        })),
        Shape::new(
            "Respond",
            &RESPOND,
            "A fixed answer.",
            vec![
                with_default("status", "Its status.", whole(200, 599), 200),
                with_default("body", "Its body, text/plain unless responseHeaders say otherwise.", one("Text"), ""),
            ],
        ),
    ]
}

fn policies() -> [Shape; 4] {
    let timeouts = Timeouts::default();
    let retry = Retry::default();
    let time = |name, about, limit| with_default(name, about, one("Duration"), duration(limit));
    let on = [
        ("connectFailure", retry.on_connect_failure),
        ("refusedStream", retry.on_refused_stream),
        ("reset", retry.on_reset),
    ];
    let on: Vec<&str> = on
        .iter()
        .filter(|(_, is_on)| *is_on)
        .map(|(word, _)| *word)
        .collect();
    [
        Shape::new(
            "Timeouts",
            &TIMEOUTS,
            "How long requests may take; 0 is no limit.",
            vec![
                time(
                    "response",
                    "To the response's head, with all tries.",
                    timeouts.response,
                ),
                time("tryTimeout", "For one try.", timeouts.try_timeout),
                time(
                    "idle",
                    "Without an octet in either direction on a body.",
                    timeouts.idle,
                ),
                time(
                    "tunnel",
                    "The same in a tunnel, as a WebSocket is one; as idle, where that is given.",
                    timeouts.tunnel,
                ),
                time("total", "To the response's last octet.", timeouts.total),
            ],
        ),
        Shape::new(
            "Retry",
            &RETRY,
            "What is tried again.",
            vec![
                with_default(
                    "attempts",
                    "Tries beside the first.",
                    whole(0, 100),
                    retry.attempts,
                ),
                with_default("on", "After what.", list(word(&RETRY_ON)), on),
            ],
        ),
        Shape::new(
            "Rewrite",
            &REWRITE,
            "What of the target is rewritten.",
            vec![
                key(
                    "prefix",
                    "Takes the place of the matched prefix.",
                    one("Path"),
                ),
                key("host", "Takes the place of Host.", one("Host")),
            ],
        ),
        Shape::new(
            "Edits",
            &EDITS,
            "Edits of headers: first remove, then set, then add.",
            vec![
                key("set", "Takes the place of all of that name.", one("Fields")),
                key("add", "Is put beside others of that name.", one("Fields")),
                key("remove", "Goes away.", list(one("FieldName"))),
            ],
        ),
    ]
}
