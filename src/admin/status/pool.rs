//! A pool in the status: its version, what it can do, and each endpoint with its last probes.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::admin::status::certificate::{Authority, Certificate};
use crate::admin::status::print::{number, time, written};
use crate::config::model;
use crate::control::report::Report;
use crate::endpoint::{Endpoint, ProbeReport};
use crate::pool::{self, Standing};
use crate::tls::{Trust, Upstream};

/// A pool and its endpoints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pool<'a> {
    name: &'a str,
    version: Option<&'a str>,
    deployment: Option<Deployment<'a>>,
    balance: &'static str,
    protocol: &'static str,
    /// How its endpoints are spoken to over TLS; left out where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    /// How endpoints are told who speaks to them; left out where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_protocol: Option<&'static str>,
    standing: &'static str,
    when_none_ready: &'static str,
    /// Endpoints that fail liveness and are not declared dead, because too many others are.
    liveness_held: usize,
    /// The host names that it is configured by.
    names: Vec<Name<'a>>,
    endpoints: Vec<Member<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deployment<'a> {
    commit: Option<&'a str>,
    by: Option<&'a str>,
    at: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls<'a> {
    /// Whose certificate is wanted, where that is not the endpoint's own name.
    server_name: Option<String>,
    /// `system`, `caFile`, or `insecureSkipVerify`.
    verified_by: &'static str,
    /// Those of `caFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorities: Option<Vec<Authority<'a>>>,
    min_version: &'static str,
    /// What is shown to endpoints.
    certificate: Option<Certificate<'a>>,
}

/// A host name with its port, and the addresses that it stands for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Name<'a> {
    name: String,
    /// Of all its addresses together.
    weight: Value,
    backup: bool,
    addresses: Vec<String>,
    answered_at: Option<String>,
    /// How old the answer is.
    age_seconds: Option<f64>,
    /// How long it may be used; null where it does not come from DNS.
    ttl_seconds: Option<f64>,
    /// Why the last asking brought nothing, or not everything.
    problem: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member<'a> {
    address: &'a str,
    /// The names that lead to it, with their ports.
    names: Vec<&'a str>,
    zone: Option<&'a str>,
    weight: Value,
    backup: bool,
    #[serde(flatten)]
    present: Present,
    probes: Vec<Probe>,
}

/// An endpoint that is out of the configuration and still holds requests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Leaving<'a> {
    pool: &'a str,
    address: &'a str,
    #[serde(flatten)]
    present: Present,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Present {
    state: &'static str,
    since: Option<String>,
    reason: Box<str>,
    in_flight: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    kind: &'static str,
    at: Option<String>,
    took_seconds: f64,
    succeeded: bool,
    detail: Box<str>,
}

/// A pool as it stands.
pub(crate) fn pool<'a>(pool: &'a pool::Pool, report: &'a Report, now: SystemTime) -> Pool<'a> {
    let spec = pool.spec();
    let roster = pool.roster();
    let endpoints = pool.members().iter().zip(roster.entries());
    Pool {
        name: &spec.name,
        version: spec.version.as_deref(),
        deployment: spec.deployment.as_ref().map(deployment),
        balance: spec.balance.word(),
        protocol: spec.protocol.word(),
        tls: spec.tls.as_deref().map(tls),
        proxy_protocol: spec.proxy_protocol.map(|version| version.word()),
        standing: match pool.standing() {
            Standing::Able => "able",
            Standing::Unjudged => "unjudged",
            Standing::LastResort => "lastResort",
            Standing::Unable => "unable",
        },
        when_none_ready: spec.when_none_ready.word(),
        liveness_held: report.held.get(&spec.name).copied().unwrap_or_default(),
        names: names(spec, report, now),
        endpoints: endpoints
            .map(|(member, entry)| Member {
                address: member.endpoint.label(),
                names: entry.names.iter().map(|name| &**name).collect(),
                zone: entry.zone.as_deref(),
                weight: written(roster.weight(entry)),
                backup: member.backup,
                present: present(&member.endpoint),
                probes: probes(&member.endpoint),
            })
            .collect(),
    }
}

fn tls(upstream: &Upstream) -> Tls<'_> {
    let terms = upstream.terms();
    let server_name = terms.server_name.as_ref();
    Tls {
        server_name: server_name.map(|name| name.to_str().into_owned()),
        verified_by: match terms.trust {
            Trust::System => "system",
            Trust::Authorities(_) => "caFile",
            Trust::Anybody => "insecureSkipVerify",
        },
        authorities: match &terms.trust {
            Trust::Authorities(authorities) => Some(Authority::all(authorities.known())),
            Trust::System | Trust::Anybody => None,
        },
        min_version: terms.min_version.word(),
        certificate: terms.certificate.as_deref().map(Certificate::of),
    }
}

fn names<'a>(spec: &model::Pool, report: &'a Report, now: SystemTime) -> Vec<Name<'a>> {
    let name = |configured: &model::EndpointSpec| {
        let model::Address::Name { host, port } = &configured.address else {
            return None;
        };
        let known = report.names.get(host);
        let addresses = known.map_or(&[][..], |known| &known.addresses);
        let answered_at = known.and_then(|known| known.answered_at);
        let age = answered_at.and_then(|at| now.duration_since(at).ok());
        Some(Name {
            name: configured.address.to_string(),
            weight: number(configured.weight),
            backup: configured.backup,
            addresses: addresses
                .iter()
                .map(|&ip| SocketAddr::new(ip, *port).to_string())
                .collect(),
            answered_at: answered_at.and_then(time),
            age_seconds: age.map(|age| age.as_secs_f64()),
            ttl_seconds: known
                .and_then(|known| known.ttl)
                .map(|ttl| ttl.as_secs_f64()),
            problem: known.and_then(|known| known.problem.as_deref()),
        })
    };
    spec.endpoints.iter().filter_map(name).collect()
}

fn deployment(deployment: &model::Deployment) -> Deployment<'_> {
    Deployment {
        commit: deployment.commit.as_deref(),
        by: deployment.by.as_deref(),
        at: deployment.at.as_deref(),
    }
}

fn present(endpoint: &Endpoint) -> Present {
    let history = endpoint.history();
    Present {
        state: endpoint.state().word(),
        since: time(history.since),
        reason: history.reason,
        in_flight: endpoint.in_flight(),
    }
}

fn probes(endpoint: &Endpoint) -> Vec<Probe> {
    let mut probes = endpoint.history().probes;
    probes.sort_by_key(|report| report.probe);
    let probe = |report: ProbeReport| Probe {
        kind: report.probe.word(),
        at: time(report.at),
        took_seconds: report.took.as_secs_f64(),
        succeeded: report.succeeded,
        detail: report.detail,
    };
    probes.into_iter().map(probe).collect()
}

/// An endpoint that is leaving, as it stands.
pub(crate) fn leaving(endpoint: &Endpoint) -> Leaving<'_> {
    Leaving {
        pool: &endpoint.key().pool,
        address: endpoint.label(),
        present: present(endpoint),
    }
}
