//! `GET /status`: the whole state as JSON, for people and for programs; its keys are those of the configuration.

mod certificate;
mod pool;
mod print;
mod route;

use std::time::SystemTime;

use serde::Serialize;

use crate::control::report::Report;
use crate::phase::Stage;
use crate::snapshot::view::Snapshot;
use certificate::{Authority, Certificate};
use pool::{Leaving, Pool};
use print::time;
use route::Route;

/// Everything.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status<'a> {
    build: Build,
    phase: &'static str,
    environment: Option<&'a str>,
    zone: Option<&'a str>,
    config: Config<'a>,
    listeners: Vec<Listener<'a>>,
    routes: Vec<Route<'a>>,
    pools: Vec<Pool<'a>>,
    /// Endpoints that are out of the configuration and still hold requests.
    leaving: Vec<Leaving<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Build {
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    hash: &'a str,
    loaded_at: Option<String>,
    last_error: Option<Rejected<'a>>,
    restart_needed: &'a [String],
    /// Files of certificates that changed and cannot be used; what was read before stays.
    certificate_faults: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejected<'a> {
    at: Option<String>,
    problems: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listener<'a> {
    name: &'a str,
    bind: String,
    /// The port is another one where `bind` asks for any; null until it is bound.
    bound: Option<String>,
    protocols: Vec<&'static str>,
    /// Who begins with a header of the PROXY protocol: `nobody`, `everybody`, or `some`, which the configuration names.
    proxy_protocol: &'static str,
    /// Those it shows, where it speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Vec<Certificate<'a>>>,
    /// The least version of TLS that it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'static str>,
    /// Whom it lets in by certificates of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_auth: Option<ClientAuth<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientAuth<'a> {
    mode: &'static str,
    authorities: Vec<Authority<'a>>,
}

/// The state of everything at this moment.
pub(crate) fn status<'a>(
    snapshot: &'a Snapshot,
    report: &'a Report,
    stage: Stage,
    now: SystemTime,
) -> Status<'a> {
    let config = &*snapshot.config;
    Status {
        build: Build {
            version: env!("CARGO_PKG_VERSION"),
        },
        phase: phase(stage),
        environment: config.environment.as_deref(),
        zone: config.zone.as_deref(),
        config: Config {
            hash: &report.hash,
            loaded_at: time(report.loaded_at),
            last_error: report.last_error.as_ref().map(|rejected| Rejected {
                at: time(rejected.at),
                problems: &rejected.problems,
            }),
            restart_needed: &report.restart_needed,
            certificate_faults: &report.certificate_faults,
        },
        listeners: config
            .listeners
            .iter()
            .map(|listener| Listener {
                name: &listener.name,
                bind: listener.bind.to_string(),
                bound: report.bound.get(&listener.name).map(ToString::to_string),
                protocols: listener.protocols.words(),
                proxy_protocol: listener.proxy_protocol.word(),
                certificates: listener.tls.as_ref().map(|spec| {
                    let all = spec.certificates.iter();
                    all.map(|one| Certificate::of(one)).collect()
                }),
                min_version: listener.tls.as_ref().map(|spec| spec.min_version.word()),
                client_auth: listener.tls.as_ref().and_then(|spec| {
                    let auth = spec.client_auth.as_ref()?;
                    Some(ClientAuth {
                        mode: auth.mode.word(),
                        authorities: Authority::all(auth.known()),
                    })
                }),
            })
            .collect(),
        routes: snapshot
            .routes
            .iter()
            .map(|view| route::route(view))
            .collect(),
        pools: snapshot
            .pools
            .iter()
            .map(|pool| pool::pool(pool, report, now))
            .collect(),
        leaving: report
            .leaving
            .iter()
            .map(|endpoint| pool::leaving(endpoint))
            .collect(),
    }
}

fn phase(stage: Stage) -> &'static str {
    match stage {
        Stage::Running => "running",
        Stage::Delaying => "delaying",
        Stage::Draining => "draining",
        Stage::Ending => "ending",
    }
}
