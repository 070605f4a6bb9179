//! What a route takes, in words: `host shop.example.com, path below /api, method GET or POST`.

use crate::config::model::{Action, HostPattern, Match, PathPattern, Route};

/// The words for a match. Values of headers that may be secret, and those of query parameters, stay out.
pub(crate) fn words(route: &Route) -> String {
    let matches = &route.matches;
    match &route.action {
        Action::PoolByHost(_) => of(matches, vec!["of a pool".to_owned()]),
        Action::Split(_) | Action::Redirect(_) | Action::Respond(_) => {
            of(matches, matches.hosts.iter().map(host).collect())
        }
    }
}

fn of(matches: &Match, hosts: Vec<String>) -> String {
    let mut parts = Vec::new();
    let mut part = |what: &str, any_of: Vec<String>| {
        if !any_of.is_empty() {
            parts.push(format!("{what} {}", any_of.join(" or ")));
        }
    };
    part("host", hosts);
    part("path", path(&matches.path).into_iter().collect());
    part(
        "method",
        matches.methods.iter().map(ToString::to_string).collect(),
    );
    part(
        "client in",
        matches.clients.iter().map(ToString::to_string).collect(),
    );
    if let Some(wanted) = &matches.client_cert {
        let subjects = wanted.subjects.iter().map(ToString::to_string);
        part("client certificate of", subjects.collect());
        let sans = wanted.sans.iter().map(ToString::to_string);
        part("client certificate for", sans.collect());
        if wanted.subjects.is_empty() && wanted.sans.is_empty() {
            part("client certificate", vec!["of anybody".to_owned()]);
        }
    }
    part(
        "listener",
        matches.listeners.iter().map(ToString::to_string).collect(),
    );
    for (name, value) in &matches.headers {
        let shown = match value.to_str() {
            Ok(shown) if !value.is_sensitive() => shown,
            Ok(_) | Err(_) => "(left out)",
        };
        parts.push(format!("header {name}: {shown}"));
    }
    for (name, _) in &matches.query {
        parts.push(format!("query parameter {name}"));
    }
    if parts.is_empty() {
        return "any request".to_owned();
    }
    parts.join(", ")
}

fn host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
    }
}

fn path(path: &PathPattern) -> Option<String> {
    match path {
        PathPattern::Any => None,
        PathPattern::Exact(path) => Some(path.to_string()),
        PathPattern::Prefix(path) => Some(format!("{path} and below")),
        PathPattern::Regex(pattern) => Some(format!("matching {}", pattern.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::ClientCert;
    use crate::tls::San;
    use http::HeaderValue;

    #[test]
    fn a_match_without_conditions_takes_any_request() {
        assert_eq!(of(&Match::default(), Vec::new()), "any request");
    }

    #[test]
    fn conditions_come_in_words_and_secrets_do_not() {
        let mut secret = HeaderValue::from_static("hunter2");
        secret.set_sensitive(true);
        let matches = Match {
            hosts: vec![
                HostPattern::Exact("a.example".into()),
                HostPattern::Wildcard("b.example".into()),
            ],
            path: PathPattern::Prefix("/api".into()),
            methods: vec![http::Method::GET, http::Method::POST],
            clients: vec!["10.0.0.0/8".parse().unwrap()],
            client_cert: Some(ClientCert {
                subjects: vec!["CN=a".into()],
                sans: vec![San::parse("DNS:b").unwrap()],
            }),
            listeners: vec!["web".into()],
            headers: vec![
                (
                    http::HeaderName::from_static("x-beta"),
                    HeaderValue::from_static("1"),
                ),
                (http::HeaderName::from_static("x-api-key"), secret),
            ],
            query: vec![("token".into(), "hunter3".into())],
        };
        assert_eq!(
            of(&matches, matches.hosts.iter().map(host).collect()),
            "host a.example or *.b.example, path /api and below, method GET or POST, client in 10.0.0.0/8, \
             client certificate of CN=a, client certificate for DNS:b, listener web, header x-beta: 1, header x-api-key: (left out), query parameter token"
        );
    }
}
