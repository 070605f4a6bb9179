//! Probes as they are shown.

use serde_json::{Value, json};

use crate::config::model::{Probe, ProbeAction, Word};
use crate::config::redact::entry::{LEFT_OUT, object, shown};

pub(super) fn probe(probe: Option<&Probe>) -> Value {
    let Some(probe) = probe else {
        return Value::Null;
    };
    let (key, action) = match &probe.action {
        ProbeAction::HttpGet {
            host,
            port,
            path,
            headers,
        } => (
            "httpGet",
            object([
                ("host", json!(host)),
                ("port", json!(port)),
                ("path", json!(&**path)),
                ("scheme", json!("HTTP")),
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
