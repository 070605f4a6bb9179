//! Pools that are asked for by the host: which hosts stand for which pool.
//!
//! A pool stands under its name and under its name with each suffix behind it. Names that no host can have stand for
//! nothing here; whether any route uses such a pool is asked where all routes are known.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::check::findings::{At, Findings};
use crate::config::check::host::host_fault;
use crate::config::check::matching::distinct;
use crate::config::check::pool::Pools;
use crate::config::document::Value;
use crate::config::keys::POOL_BY_HOST;
use crate::config::model::{HostPattern, Match, PoolByHost, PoolId};
use crate::config::problem::quoted;

/// Reads `poolByHost`.
pub(crate) fn pool_by_host(
    findings: &mut Findings<'_>,
    at: At<'_>,
    pools: &Pools<'_>,
) -> Option<PoolByHost> {
    let fields = findings.fields(at, &POOL_BY_HOST)?;
    let suffixes = match fields.get("suffixes") {
        Some(at) => distinct(findings, at, suffix),
        None => Vec::new(),
    };
    let mut by_host = PoolByHost {
        suffixes,
        pools: Vec::new(),
        hosts: FxHashMap::default(),
    };
    for (id, &(name, _)) in pools.names.iter().enumerate() {
        let host = name.to_ascii_lowercase();
        if host_fault(&host).is_some() {
            continue;
        }
        let position = by_host.pools.len();
        by_host.pools.push(PoolId(id));
        let long = by_host
            .suffixes
            .iter()
            .map(|suffix| format!("{host}.{suffix}"));
        let hosts: Vec<String> = std::iter::once(host.clone()).chain(long).collect();
        for host in hosts {
            let stood = by_host.hosts.insert(Arc::from(host.as_str()), position);
            if let Some(&PoolId(other)) = stood.and_then(|other| by_host.pools.get(other)) {
                let (other, _) = pools.names[other];
                let message = format!(
                    "the host {} stands for the pools {} and {}",
                    quoted(&host),
                    quoted(other),
                    quoted(name)
                );
                let remedy = "rename one of them, or leave a suffix out";
                findings.problem(at.piece.place, message, remedy);
            }
        }
    }
    // Pools that could not be read were told already.
    if by_host.pools.is_empty() && !pools.names.is_empty() {
        let message = "no pool has a name that is a host";
        let remedy = "name pools by letters, digits and hyphens, or use split";
        findings.problem(at.piece.place, message, remedy);
    }
    Some(by_host)
}

/// Has the route take the hosts that stand for pools, and nothing else.
pub(crate) fn take_hosts(
    findings: &mut Findings<'_>,
    matches: &mut Match,
    by_host: &PoolByHost,
    match_at: Option<At<'_>>,
) {
    if let Some(at) = match_at.filter(|_| !matches.hosts.is_empty()) {
        let place = match &at.piece.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == "hosts"),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        }
        .map_or(at.piece.place, |entry| entry.place);
        let message = "\"match.hosts\" and \"poolByHost\" contradict each other";
        let remedy = "remove hosts; the names of the pools are the hosts of this route";
        findings.problem(place, message, remedy);
    }
    let mut hosts: Vec<(usize, &Arc<str>)> = by_host
        .hosts
        .iter()
        .map(|(host, &position)| (position, host))
        .collect();
    hosts.sort();
    let exact = |(_, host): (_, &Arc<str>)| HostPattern::Exact(Arc::clone(host));
    matches.hosts = hosts.into_iter().map(exact).collect();
}

/// A suffix may be written with its dot or without.
fn suffix(findings: &mut Findings<'_>, at: At<'_>) -> Option<Arc<str>> {
    let text = findings.text(at)?;
    let lower = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
    let wildcard = || {
        let told = (
            "is a wildcard".to_owned(),
            "write each suffix out".to_owned(),
        );
        lower.contains('*').then_some(told)
    };
    if let Some((fault, remedy)) = wildcard().or_else(|| host_fault(&lower)) {
        let message = format!("the suffix {} {fault}", quoted(text));
        findings.problem(at.piece.place, message, remedy);
        return None;
    }
    Some(Arc::from(lower))
}
