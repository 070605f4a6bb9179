//! Probes, as Kubernetes has them.

use serde_json::{Value, json};

use crate::config::keys::{EXEC, GRPC, HTTP_GET, HTTP_HEADER, PROBE, PROBE_SCHEME, TCP_SOCKET};
use crate::config::schema::shape::{Shape, key, list, one, some, whole, with_default, word};

pub(super) fn shapes() -> [Shape; 6] {
    [
        probe(),
        http_get(),
        http_header(),
        tcp_socket(),
        grpc(),
        exec(),
    ]
}

fn probe() -> Shape {
    let seconds = |name, about, default| with_default(name, about, one("Seconds"), default);
    let times = |name, about, default: u32| with_default(name, about, whole(1, 1_000_000), default);
    Shape::new(
        "Probe",
        &PROBE,
        "A probe, as a Kubernetes probe block has it.",
        vec![
            key(
                "httpGet",
                "A GET request; 200 to 399 is success.",
                one("HttpGet"),
            ),
            key(
                "tcpSocket",
                "A connection; being accepted is success.",
                one("TcpSocket"),
            ),
            key(
                "grpc",
                "A call of gRPC's health protocol; SERVING is success.",
                one("Grpc"),
            ),
            key(
                "exec",
                "A program that runs beside fiel; exit status 0 is success.",
                one("Exec"),
            ),
            seconds("initialDelaySeconds", "Before the first one.", 0),
            seconds("periodSeconds", "From one to the next, at least 0.1.", 10),
            seconds("timeoutSeconds", "Until one counts as failed.", 1),
            times(
                "successThreshold",
                "Successes in a row that make a verdict; above 1 for readiness only.",
                1,
            ),
            times(
                "failureThreshold",
                "Failures in a row that make a verdict.",
                3,
            ),
            key(
                "terminationGracePeriodSeconds",
                "Accepted, so that a block of Kubernetes fits; without effect.",
                whole(0, u64::from(u32::MAX)),
            ),
        ],
    )
    .needs(json!({
        "oneOf": [ { "required": ["httpGet"] }, { "required": ["tcpSocket"] }, { "required": ["grpc"] }, { "required": ["exec"] } ],
    }))
}

fn http_get() -> Shape {
    Shape::new(
        "HttpGet",
        &HTTP_GET,
        "A GET request.",
        vec![
            key(
                "host",
                "An IP address in place of the endpoint's own.",
                one("IpAddress"),
            ),
            key("port", PORT, port()),
            with_default("path", "The path with its query.", one("PathAndQuery"), "/"),
            with_default(
                "scheme",
                "Over what; HTTPS believes whoever answers, as Kubernetes does.",
                word(&PROBE_SCHEME),
                "HTTP",
            ),
            with_default(
                "verify",
                "With HTTPS: speak TLS as the pool does, and verify who answers.",
                one("Boolean"),
                false,
            ),
            with_default(
                "httpHeaders",
                "Headers sent, in order; Host among them takes the place of the usual one.",
                list(one("HttpHeader")),
                json!([]),
            ),
        ],
    )
}

fn http_header() -> Shape {
    Shape::new(
        "HttpHeader",
        &HTTP_HEADER,
        "A header of a probe.",
        vec![
            key("name", "Its name.", one("FieldName")),
            key("value", "Its value.", one("Text")),
        ],
    )
    .needs(json!({ "required": ["name", "value"] }))
    .item()
}

fn tcp_socket() -> Shape {
    Shape::new(
        "TcpSocket",
        &TCP_SOCKET,
        "A connection; {} for the endpoint's own address.",
        vec![
            key(
                "host",
                "An IP address in place of the endpoint's own.",
                one("IpAddress"),
            ),
            key("port", PORT, port()),
        ],
    )
}

fn grpc() -> Shape {
    Shape::new(
        "Grpc",
        &GRPC,
        "A call of gRPC's health protocol, without TLS; {} for the endpoint's own port.",
        vec![
            key("port", PORT, port()),
            with_default(
                "service",
                "The service that is asked about; empty for the endpoint as a whole.",
                one("Text"),
                "",
            ),
        ],
    )
}

fn exec() -> Shape {
    Shape::new(
        "Exec",
        &EXEC,
        "A program, run without a shell, with FIEL_POOL and FIEL_ENDPOINT set, killed at its timeout.",
        vec![key(
            "command",
            "The program, looked for in PATH where it has no slash and else beside the configuration, and its arguments.",
            some(one("Text")),
        )],
    )
    .needs(json!({ "required": ["command"] }))
}

const PORT: &str =
    "A port in place of the endpoint's own: a number, or a name in the ports of the pool.";

fn port() -> Value {
    json!({ "anyOf": [ one("Port"), { "type": "string", "minLength": 1 } ] })
}
