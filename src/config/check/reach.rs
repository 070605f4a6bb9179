//! What routes do to each other: one that an earlier one covers is never reached, and a redirect that leads to its
//! own route never ends.
//!
//! Both are told only when they are certain. A route is covered when, for each of its hosts, an earlier route asks
//! for that very host, the same path and the same conditions, and takes its listeners and clients too; how the table
//! ranks routes that differ in more is not decided here.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;

use crate::config::check::findings::Findings;
use crate::config::check::listener::Listeners;
use crate::config::check::route::Placed;
use crate::config::model::{Action, HostPattern, Listener, Match, PathPattern, Redirect};
use crate::config::problem::quoted;

/// Reports every route that is never reached.
pub(crate) fn unreachable(findings: &mut Findings<'_>, routes: &[Placed]) {
    let mut earlier: HashMap<(String, Option<&HostPattern>), Vec<&Placed>> = HashMap::new();
    for placed in routes {
        let matches = &placed.route.matches;
        let asked = conditions(matches);
        let hosts: Vec<Option<&HostPattern>> = if matches.hosts.is_empty() {
            vec![None]
        } else {
            matches.hosts.iter().map(Some).collect()
        };
        let mut covering = None;
        let is_covered = hosts.iter().all(|&host| {
            let candidates = earlier.get(&(asked.clone(), host));
            let found = candidates.and_then(|routes| {
                routes
                    .iter()
                    .find(|other| takes_all(&other.route.matches, matches))
            });
            covering = covering.or(found.copied());
            found.is_some()
        });
        if let Some(cover) = covering.filter(|_| is_covered) {
            let line = findings.line(cover.place);
            let message = format!(
                "the route {} is never reached: {} in line {line} takes all its requests",
                quoted(&placed.route.name),
                quoted(&cover.route.name)
            );
            findings.problem(
                placed.place,
                message,
                "remove it, or ask for more in its match",
            );
        }
        for host in hosts {
            let same = earlier.entry((asked.clone(), host)).or_default();
            // Routes that differ in listeners and clients only are few; the bound keeps ten thousand cheap.
            if same.len() < MAX_COMPARED {
                same.push(placed);
            }
        }
    }
}

const MAX_COMPARED: usize = 64;

/// The path and the conditions as one text, in an order of their own.
fn conditions(matches: &Match) -> String {
    let mut key = match &matches.path {
        PathPattern::Any => "any".to_owned(),
        PathPattern::Exact(path) => format!("exact {path}"),
        PathPattern::Prefix(path) => format!("prefix {path}"),
        PathPattern::Regex(pattern) => format!("regex {}", pattern.text),
    };
    let methods: BTreeSet<&str> = matches.methods.iter().map(Method::as_str).collect();
    let headers: BTreeSet<(&str, &[u8])> = matches
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let query: BTreeSet<_> = matches.query.iter().collect();
    let client_cert = &matches.client_cert;
    write!(
        key,
        "\n{methods:?}\n{headers:?}\n{query:?}\n{client_cert:?}"
    )
    .expect("writing to a string cannot fail");
    key
}

fn takes_all(earlier: &Match, later: &Match) -> bool {
    fn covers<T: PartialEq>(earlier: &[T], later: &[T]) -> bool {
        earlier.is_empty() == later.is_empty() && later.iter().all(|item| earlier.contains(item))
    }
    covers(&earlier.listeners, &later.listeners) && covers(&earlier.clients, &later.clients)
}

/// Reports every redirect whose target is certain to come back to its own route.
pub(crate) fn endless(findings: &mut Findings<'_>, routes: &[Placed], listeners: &Listeners) {
    // The search among the other routes is linear; that many redirects to their own path are no real file.
    const MAX_SEARCHED: usize = 100;
    let looping = routes.iter().filter(|placed| match &placed.route.action {
        Action::Redirect(redirect) => comes_back(&placed.route.matches, redirect, listeners),
        Action::Split(_) | Action::PoolByHost(_) | Action::Respond(_) => false,
    });
    for placed in looping.take(MAX_SEARCHED) {
        let Action::Redirect(redirect) = &placed.route.action else {
            continue;
        };
        let may_go_elsewhere = path_of(redirect).is_some_and(|path| {
            routes
                .iter()
                .filter(|other| !std::ptr::eq(*other, placed))
                .any(|other| takes_path(&other.route.matches.path, path))
        });
        if !may_go_elsewhere {
            let message = format!(
                "the redirect of the route {} leads back to the same route",
                quoted(&placed.route.name)
            );
            let remedy = "lead to a path or a host that this route does not match";
            findings.problem(placed.place, message, remedy);
        }
    }
}

/// Warns of routes that ask for client certificates where no listener asks clients for one.
pub(crate) fn unknown_clients(
    findings: &mut Findings<'_>,
    routes: &[Placed],
    listeners: &Listeners,
) {
    let asks = |one: &Listener| {
        one.tls
            .as_ref()
            .is_some_and(|tls| tls.client_auth.is_some())
    };
    for placed in routes {
        let matches = &placed.route.matches;
        let takes =
            |one: &Listener| matches.listeners.is_empty() || matches.listeners.contains(&one.name);
        let is_never = !listeners.all.iter().any(|one| takes(one) && asks(one));
        if matches.client_cert.is_some() && is_never {
            let name = quoted(&placed.route.name);
            let message = format!(
                "the route {name} is never reached: no listener asks for client certificates"
            );
            let remedy = "add tls.clientAuth to a listener, or remove clientCert";
            findings.warning(placed.place, message, remedy);
        }
    }
}

fn comes_back(matches: &Match, redirect: &Redirect, listeners: &Listeners) -> bool {
    // What is spoken elsewhere is elsewhere.
    let is_asked =
        |name: &Arc<str>| matches.listeners.is_empty() || matches.listeners.contains(name);
    let mut own = listeners.all.iter().filter(|one| is_asked(&one.name));
    let speaks = |scheme: &str| own.any(|one| one.tls.is_some() == (scheme == "https"));
    if !redirect.scheme.as_deref().is_none_or(speaks) {
        return false;
    }
    let gets = [Method::GET, Method::HEAD];
    let becomes_get = redirect.status == http::StatusCode::SEE_OTHER;
    if becomes_get
        && !matches.methods.is_empty()
        && !matches.methods.iter().any(|m| gets.contains(m))
    {
        return false;
    }
    if let Some(host) = &redirect.host {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (&**host, None),
        };
        let own = listeners
            .binds
            .iter()
            .filter_map(|bound| bound.address.tcp());
        let is_ours = |port: u16| own.clone().any(|address| address.port() == port);
        if !port.is_none_or(is_ours) || !matches.hosts.iter().any(|h| takes_host(h, name)) {
            return false;
        }
    }
    match path_of(redirect) {
        // What the query of the new target is, the file does not say.
        Some(path) => matches.query.is_empty() && takes_path(&matches.path, path),
        None => true,
    }
}

/// The path that a redirect leads to, without its query.
fn path_of(redirect: &Redirect) -> Option<&str> {
    let path = redirect.path.as_deref()?;
    Some(path.split_once('?').map_or(path, |(path, _)| path))
}

fn takes_host(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(exact) => &**exact == host,
        HostPattern::Wildcard(suffix) => host
            .strip_suffix(&**suffix)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
    }
}

fn takes_path(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Any => true,
        PathPattern::Exact(exact) => &**exact == path,
        PathPattern::Prefix(prefix) => path
            .strip_prefix(&**prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        PathPattern::Regex(pattern) => pattern.regex.is_match(path),
    }
}
