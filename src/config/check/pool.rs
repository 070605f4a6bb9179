//! Pools and their endpoints.
//!
//! A pool has its id by its place in the file, even when it is wrong, so that routes can be checked against it all
//! the same.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::config::check::balance::balance;
use crate::config::check::findings::{At, Findings};
use crate::config::check::probe::{Surroundings, probe};
use crate::config::check::upstream_tls::upstream_tls;
use crate::config::document::{Entry, Value};
use crate::config::keys::{
    CONNECT, DEPLOYMENT, ENDPOINT, POOL, PROXY_VERSION, UPSTREAM_PROTOCOL, WHEN_NONE_READY,
};
use crate::config::model::{
    Address, Connect, Deployment, EndpointSpec, NamedPorts, Pool, PoolId, ProxyVersion,
    UpstreamProtocol, WhenNoneReady,
};
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::units::Weight;

/// The pools, and where their names stand.
#[derive(Default)]
pub(crate) struct Pools<'n> {
    pub(crate) all: Vec<Arc<Pool>>,
    /// In file order; the position is the id. Pools with problems have theirs too.
    pub(crate) names: Vec<(&'n str, Place)>,
    ids: HashMap<&'n str, PoolId>,
}

impl Pools<'_> {
    /// The pool of a name.
    pub(crate) fn id(&self, name: &str) -> Option<PoolId> {
        self.ids.get(name).copied()
    }
}

/// Reads `pools`. Relative files, and programs of probes, lie in `base`.
pub(crate) fn pools<'n>(findings: &mut Findings<'_>, at: At<'n>, base: &Path) -> Pools<'n> {
    const REMEDY: &str = "add one, such as shop: { endpoints: [127.0.0.1:9001] }";
    let mut pools = Pools::default();
    if matches!(at.piece.value, Value::Null) {
        findings.problem(at.piece.place, "there is no pool", REMEDY);
        return pools;
    }
    let Some(entries) = findings.entries(at) else {
        return pools;
    };
    if entries.is_empty() {
        findings.problem(at.piece.place, "there is no pool", REMEDY);
    }
    for entry in entries {
        pools.ids.insert(&entry.key, PoolId(pools.names.len()));
        pools.names.push((&entry.key, entry.place));
        pools.all.extend(pool(findings, entry, base).map(Arc::new));
    }
    pools
}

fn pool(findings: &mut Findings<'_>, entry: &Entry, base: &Path) -> Option<Pool> {
    let name = entry.key.as_str();
    findings.check_name_at(entry.place, name, "pool");
    let at = At {
        what: "a pool",
        piece: &entry.value,
    };
    let fields = findings.fields(at, &POOL)?;
    let version = fields
        .get("version")
        .and_then(|at| findings.shared_text(at));
    let deployment = fields
        .get("deployment")
        .and_then(|at| deployment(findings, at));
    let balance = fields
        .get("balance")
        .map(|at| balance(findings, at))
        .unwrap_or_default();
    let endpoints = match fields.get("endpoints") {
        Some(at) => endpoints(findings, at, base),
        None => {
            let message = format!("the pool {} has no \"endpoints\"", quoted(name));
            findings.problem(entry.place, message, "add endpoints: [127.0.0.1:9001]");
            None
        }
    };
    let ports = fields
        .get("ports")
        .map(|at| ports(findings, at))
        .unwrap_or_default();
    let protocol = match fields
        .get("protocol")
        .and_then(|at| findings.word(at, &UPSTREAM_PROTOCOL))
    {
        Some("http2") => UpstreamProtocol::Http2,
        Some("auto") => UpstreamProtocol::Auto,
        _ => UpstreamProtocol::Http1,
    };
    let connect = fields
        .get("connect")
        .map(|at| connect(findings, at))
        .unwrap_or_default();
    let tls = fields.get("tls").map(|at| {
        let endpoints = endpoints.as_deref().unwrap_or_default();
        upstream_tls(findings, at, base, endpoints, protocol)
    });
    let tls = tls.flatten();
    let word = fields
        .get("proxyProtocol")
        .and_then(|at| findings.word(at, &PROXY_VERSION));
    let proxy_protocol = match word {
        Some("v1") => Some(ProxyVersion::V1),
        Some("v2") => Some(ProxyVersion::V2),
        _ => None,
    };
    let has_sockets = endpoints.iter().flatten().any(EndpointSpec::is_unix);
    let surroundings = Surroundings {
        ports: &ports,
        base,
        has_sockets,
        has_tls: fields.get("tls").is_some(),
    };
    let mut read_probe = |key| {
        let at = fields.get(key)?;
        probe(findings, at, &surroundings)
    };
    let startup_probe = read_probe("startupProbe");
    let readiness_probe = read_probe("readinessProbe");
    let liveness_probe = read_probe("livenessProbe");
    let when_none_ready = match fields
        .get("whenNoneReady")
        .and_then(|at| findings.word(at, &WHEN_NONE_READY))
    {
        Some("useAll") => WhenNoneReady::UseAll,
        _ => WhenNoneReady::Fail,
    };
    let drain_timeout = fields
        .get("drainTimeout")
        .and_then(|at| findings.duration_limit(at));
    Some(Pool {
        name: Arc::from(name),
        version,
        deployment,
        balance,
        endpoints: endpoints?,
        protocol,
        connect,
        tls,
        proxy_protocol,
        startup_probe,
        readiness_probe,
        liveness_probe,
        when_none_ready,
        drain_timeout,
    })
}

fn deployment(findings: &mut Findings<'_>, at: At<'_>) -> Option<Deployment> {
    let fields = findings.fields(at, &DEPLOYMENT)?;
    let mut text = |key| fields.get(key).and_then(|at| findings.shared_text(at));
    Some(Deployment {
        commit: text("commit"),
        by: text("by"),
        at: text("at"),
    })
}

fn ports(findings: &mut Findings<'_>, at: At<'_>) -> NamedPorts {
    let mut ports = NamedPorts::new();
    for entry in findings.entries(at).unwrap_or_default() {
        let at = At {
            what: &entry.key,
            piece: &entry.value,
        };
        if let Some(port) = findings.port(at) {
            ports.insert(Arc::from(entry.key.as_str()), port);
        }
    }
    ports
}

fn connect(findings: &mut Findings<'_>, at: At<'_>) -> Connect {
    let mut connect = Connect::default();
    let Some(fields) = findings.fields(at, &CONNECT) else {
        return connect;
    };
    if let Some(at) = fields.get("timeout") {
        connect.timeout = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("keepAlive") {
        connect.keep_alive = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("maxIdlePerWorker") {
        connect.max_idle_per_worker = findings.limit(at).unwrap_or(0);
    }
    connect
}

fn endpoints(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<Vec<EndpointSpec>> {
    let mut specs = Vec::new();
    let mut places: HashMap<Address, Place> = HashMap::new();
    let mut count = 0_usize;
    for item in findings.list(at)? {
        count += 1;
        let Some((spec, place)) = endpoint(findings, item, base) else {
            continue;
        };
        if let Some(&first) = places.get(&spec.address) {
            let line = findings.line(first);
            let message = format!(
                "{} stands in this pool twice, first in line {line}",
                spec.address
            );
            let remedy = "keep one of them; for more traffic give it a larger weight";
            findings.problem(place, message, remedy);
            continue;
        }
        places.insert(spec.address.clone(), place);
        specs.push(spec);
    }
    if count == 0 {
        let message = "this pool has no endpoints";
        findings.problem(
            at.piece.place,
            message,
            "add at least one, as in [127.0.0.1:9001]",
        );
        return None;
    }
    if specs.len() == count && specs.iter().all(|spec| spec.weight.is_zero()) {
        let message = "all endpoints of this pool have weight 0, so none is ever chosen";
        findings.problem(
            at.piece.place,
            message,
            "give at least one a weight above 0",
        );
    }
    Some(specs)
}

fn endpoint(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<(EndpointSpec, Place)> {
    let mut spec = EndpointSpec {
        address: Address::At(SocketAddr::from(([0, 0, 0, 0], 0)).into()),
        weight: Weight::ONE,
        zone: None,
        backup: false,
    };
    let what = "an endpoint";
    let at = At {
        what,
        piece: at.piece,
    };
    if !matches!(at.piece.value, Value::Map(_)) {
        spec.address = findings.endpoint_address(at, base)?;
        return Some((spec, at.piece.place));
    }
    let fields = findings.fields(at, &ENDPOINT)?;
    if let Some(at) = fields.get("weight") {
        spec.weight = findings.weight(at);
    }
    spec.zone = fields.get("zone").and_then(|at| findings.shared_text(at));
    if let Some(at) = fields.get("backup") {
        spec.backup = findings.boolean(at);
    }
    let Some(at) = fields.get("address") else {
        let message = "this endpoint has no \"address\"";
        findings.problem(fields.place(), message, "add address: 127.0.0.1:9001");
        return None;
    };
    spec.address = findings.endpoint_address(at, base)?;
    Some((spec, at.piece.place))
}
