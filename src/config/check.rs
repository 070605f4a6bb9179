//! From the document to a [`Config`], or every problem: parse, don't validate.
//!
//! Each part has its room; here they are put together, and what concerns several of them is asked: addresses bound
//! twice, pools nobody uses, routes nobody reaches.

mod action;
mod address;
mod admin;
mod balance;
mod by_host;
mod edge;
mod field;
mod file;
mod findings;
mod host;
mod listener;
mod matching;
mod name;
mod pool;
mod probe;
mod reach;
mod resolver;
mod route;
mod target;
mod tls;
mod unix;
mod upstream_tls;
mod value;

pub(crate) use field::names_a_secret;

use std::collections::HashSet;
use std::path::Path;

use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::listener::Listeners;
use crate::config::check::pool::Pools;
use crate::config::check::route::Placed;
use crate::config::document::{Piece, Value};
use crate::config::keys::ROOT;
use crate::config::model::{AccessLog, Action, Config, MAX_ENDPOINT_SERIES, Resolver, Shutdown};
use crate::config::problem::quoted;
use crate::config::source::{Found, Place, Sources};

/// What the check came to.
pub(crate) struct Checked {
    /// To be used only when there are no problems.
    pub(crate) config: Option<Config>,
    pub(crate) problems: Vec<Found>,
    pub(crate) warnings: Vec<Found>,
}

/// Checks a document. Relative files are looked for in `base`.
pub(crate) fn check(root: &Piece, sources: &Sources, base: &Path) -> Checked {
    let mut findings = Findings::new(sources);
    let config = config(&mut findings, root, base);
    let (problems, warnings) = findings.into_parts();
    Checked {
        config,
        problems,
        warnings,
    }
}

fn config(findings: &mut Findings<'_>, root: &Piece, base: &Path) -> Option<Config> {
    const REMEDY: &str =
        "it needs listeners, routes and pools; config/quickstart.yaml has the least of each";
    let fields = match &root.value {
        Value::Null => {
            findings.problem(Place::default(), "the file holds no configuration", REMEDY);
            return None;
        }
        Value::Scalar(_) | Value::List(_) => {
            findings.problem(root.place, "a configuration is a mapping of keys", REMEDY);
            return None;
        }
        Value::Map(_) => findings.fields(
            At {
                what: "a configuration",
                piece: root,
            },
            &ROOT,
        )?,
    };
    let required = |findings: &mut Findings<'_>, key| {
        let at = fields.get(key);
        if at.is_none() {
            findings.problem(
                fields.place(),
                format!("{} is missing", quoted(key)),
                REMEDY,
            );
        }
        at
    };
    let workers = fields
        .get("workers")
        .and_then(|at| admin::workers(findings, at));
    let zone = fields.get("zone").and_then(|at| findings.shared_text(at));
    let environment = fields
        .get("environment")
        .and_then(|at| findings.shared_text(at));
    let shutdown = match fields.get("shutdown") {
        Some(at) => admin::shutdown(findings, at),
        None => Shutdown::default(),
    };
    let mut listeners = required(findings, "listeners")
        .map(|at| listener::listeners(findings, at, base))
        .unwrap_or_default();
    let pools = required(findings, "pools")
        .map(|at| pool::pools(findings, at, base))
        .unwrap_or_default();
    let routes = required(findings, "routes")
        .map(|at| route::routes(findings, at, &listeners, &pools))
        .unwrap_or_default();
    let admin = admin::admin(findings, fields.get("admin"), base, &mut listeners.binds);
    between(findings, &fields, &listeners, &pools, &routes);
    Some(Config {
        workers,
        zone,
        environment,
        shutdown,
        resolver: match fields.get("resolver") {
            Some(at) => resolver::resolver(findings, at, base),
            None => Resolver::default(),
        },
        admin,
        access_log: match fields.get("accessLog") {
            Some(at) => admin::access_log(findings, at, base),
            None => AccessLog::default(),
        },
        max_endpoint_series: match fields.get("metrics") {
            Some(at) => admin::max_endpoint_series(findings, at),
            None => MAX_ENDPOINT_SERIES,
        },
        listeners: listeners.all,
        routes: routes.into_iter().map(|placed| placed.route).collect(),
        pools: pools.all,
    })
}

/// What no part can know by itself.
fn between(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    listeners: &Listeners,
    pools: &Pools<'_>,
    routes: &[Placed],
) {
    listener::distinct(findings, &listeners.binds);
    reach::unreachable(findings, routes);
    reach::endless(findings, routes, listeners);
    reach::unknown_clients(findings, routes, listeners);
    if fields.key("routes").is_none() {
        return;
    }
    let mut used = HashSet::new();
    for placed in routes {
        match &placed.route.action {
            Action::Split(shares) => used.extend(shares.iter().map(|share| share.pool.0)),
            Action::PoolByHost(by_host) => used.extend(by_host.pools.iter().map(|pool| pool.0)),
            Action::Redirect(_) | Action::Respond(_) => {}
        }
    }
    for (id, &(name, place)) in pools.names.iter().enumerate() {
        if !used.contains(&id) {
            let message = format!("no route uses the pool {}", quoted(name));
            findings.warning(place, message, "remove it, or name it in a split");
        }
    }
}
