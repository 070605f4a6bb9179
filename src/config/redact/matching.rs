//! `match` and fields as they are shown.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::config::check::names_a_secret;
use crate::config::model::{Action, HostPattern, PathPattern, Route};
use crate::config::redact::tls;

/// Stands in the place of a secret.
pub(super) const LEFT_OUT: &str = "(left out)";

pub(super) fn matches(route: &Route, filled_in: &HashSet<&str>) -> Value {
    let matches = &route.matches;
    // What follows from the names of pools was not written down.
    let hosts = match &route.action {
        Action::PoolByHost(_) => &[],
        Action::Split(_) | Action::Redirect(_) | Action::Respond(_) => matches.hosts.as_slice(),
    };
    let host = |host: &HostPattern| match host {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
    };
    let query = matches.query.iter().map(|(name, value)| {
        let is_secret = names_a_secret(name) || filled_in.contains(&**value);
        let shown = if is_secret { LEFT_OUT } else { value };
        (name.to_string(), json!(shown))
    });
    let mut shown = json!({
        "listeners": texts(&matches.listeners),
        "hosts": hosts.iter().map(host).collect::<Vec<_>>(),
        "clients": matches.clients.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": match &matches.path {
            PathPattern::Any => json!({ "prefix": "/" }),
            PathPattern::Exact(path) => json!({ "exact": &**path }),
            PathPattern::Prefix(path) => json!({ "prefix": &**path }),
            PathPattern::Regex(pattern) => json!({ "regex": &*pattern.text }),
        },
        "methods": matches.methods.iter().map(http::Method::as_str).collect::<Vec<_>>(),
        "headers": fields(&matches.headers),
        "query": Value::Object(query.collect::<Map<_, _>>()),
    });
    if let Some(wanted) = &matches.client_cert {
        shown["clientCert"] = tls::client_cert(wanted);
    }
    shown
}

pub(super) fn texts(texts: &[impl AsRef<str>]) -> Value {
    texts.iter().map(|text| json!(text.as_ref())).collect()
}

pub(super) fn shown(value: &HeaderValue) -> String {
    if value.is_sensitive() {
        return LEFT_OUT.to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

pub(super) fn fields(fields: &[(HeaderName, HeaderValue)]) -> Value {
    let entries = fields
        .iter()
        .map(|(name, value)| (name.to_string(), json!(shown(value))));
    Value::Object(entries.collect())
}
