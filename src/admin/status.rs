//! `GET /status`: the whole state as JSON, for people and for programs; its keys are those of the configuration.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::admin::ratio::Ratio;
use crate::admin::scrape::assigned_of;
use crate::admin::summary;
use crate::config::model::{Action, Deployment, WhenNoneReady};
use crate::control::report::Report;
use crate::endpoint::{Endpoint, ProbeReport};
use crate::phase::Stage;
use crate::pool::{Pool, Standing};
use crate::snapshot::view::{RouteView, Snapshot};
use crate::split::Split;
use crate::units::Weight;

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
    pools: Vec<PoolStatus<'a>>,
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Route<'a> {
    name: &'a str,
    #[serde(rename = "match")]
    matches: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<Vec<Share<'a>>>,
    /// Requests that the split has placed, with those that nobody could take.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Share<'a> {
    pool: &'a str,
    weight: Value,
    strict: bool,
    /// As configured, as a fraction in lowest terms and as a number.
    share: String,
    share_ratio: f64,
    /// With what pools without a ready endpoint have given away.
    effective_share: String,
    effective_share_ratio: f64,
    assigned: u64,
    /// What exactness would have given: `assigned` differs from it by less than 1.
    expected: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolStatus<'a> {
    name: &'a str,
    version: Option<&'a str>,
    deployment: Option<DeploymentStatus<'a>>,
    standing: &'static str,
    when_none_ready: &'static str,
    /// Endpoints that fail liveness and are not declared dead, because too many others are.
    liveness_held: usize,
    endpoints: Vec<EndpointStatus<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentStatus<'a> {
    commit: Option<&'a str>,
    by: Option<&'a str>,
    at: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointStatus<'a> {
    address: &'a str,
    zone: Option<&'a str>,
    weight: Value,
    backup: bool,
    #[serde(flatten)]
    present: Present,
    probes: Vec<Probe>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leaving<'a> {
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

/// The state of everything at this moment.
pub(crate) fn status<'a>(snapshot: &'a Snapshot, report: &'a Report, stage: Stage) -> Status<'a> {
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
        },
        listeners: config
            .listeners
            .iter()
            .map(|listener| Listener {
                name: &listener.name,
                bind: listener.bind.to_string(),
                bound: report.bound.get(&listener.name).map(ToString::to_string),
            })
            .collect(),
        routes: snapshot.routes.iter().map(|view| route(view)).collect(),
        pools: snapshot.pools.iter().map(|one| pool(one, report)).collect(),
        leaving: report
            .leaving
            .iter()
            .map(|endpoint| Leaving {
                pool: &endpoint.key().pool,
                address: endpoint.label(),
                present: present(endpoint),
            })
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

fn route(view: &RouteView) -> Route<'_> {
    let split = view.split();
    Route {
        name: &view.spec.name,
        matches: summary::words(&view.spec.matches),
        action: match view.spec.action {
            Action::Split(_) => "split",
            Action::Redirect(_) => "redirect",
            Action::Respond(_) => "respond",
        },
        split: split.map(shares),
        position: split.map(position),
    }
}

/// A single pool has no schedule that would count for it.
fn position(split: &Split) -> u64 {
    match split.entries() {
        [only] => only.traffic.picked_total(),
        _ => split.rotation().position(),
    }
}

fn shares(split: &Split) -> Vec<Share<'_>> {
    let configured: Vec<u64> = split
        .entries()
        .iter()
        .map(|entry| entry.weight.thousandths())
        .collect();
    let counts: Vec<(u64, f64)> = match split.entries() {
        [_] => assigned_of(split)
            .into_iter()
            .map(|assigned| (assigned, assigned as f64))
            .collect(),
        _ => split
            .rotation()
            .tally()
            .iter()
            .map(|tally| (tally.assigned, tally.expected()))
            .collect(),
    };
    let entries = split.entries().iter().zip(counts).enumerate();
    entries
        .map(|(index, (entry, (assigned, expected)))| {
            let share = Ratio::of(&configured, index);
            let effective = Ratio::of(split.rotation().weights(), index);
            Share {
                pool: &entry.name,
                weight: number(entry.weight),
                strict: entry.strict,
                share: share.to_string(),
                share_ratio: share.as_f64(),
                effective_share: effective.to_string(),
                effective_share_ratio: effective.as_f64(),
                assigned,
                expected,
            }
        })
        .collect()
}

fn pool<'a>(pool: &'a Pool, report: &Report) -> PoolStatus<'a> {
    let spec = pool.spec();
    let endpoints = pool.members().iter().zip(&spec.endpoints);
    PoolStatus {
        name: &spec.name,
        version: spec.version.as_deref(),
        deployment: spec.deployment.as_ref().map(deployment),
        standing: match pool.standing() {
            Standing::Able => "able",
            Standing::Unjudged => "unjudged",
            Standing::LastResort => "lastResort",
            Standing::Unable => "unable",
        },
        when_none_ready: match spec.when_none_ready {
            WhenNoneReady::Fail => "fail",
            WhenNoneReady::UseAll => "useAll",
        },
        liveness_held: report.held.get(&spec.name).copied().unwrap_or_default(),
        endpoints: endpoints
            .map(|(member, configured)| EndpointStatus {
                address: member.endpoint.label(),
                zone: configured.zone.as_deref(),
                weight: number(member.weight),
                backup: member.backup,
                present: present(&member.endpoint),
                probes: probes(&member.endpoint),
            })
            .collect(),
    }
}

fn deployment(deployment: &Deployment) -> DeploymentStatus<'_> {
    DeploymentStatus {
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

/// A weight as it was written: whole where it is.
fn number(weight: Weight) -> Value {
    let thousandths = weight.thousandths();
    if thousandths.is_multiple_of(1_000) {
        return Value::from(thousandths / 1_000);
    }
    // Read from its decimals, the nearest number prints as these decimals again.
    weight
        .to_string()
        .parse()
        .map_or(Value::Null, |number: f64| Value::from(number))
}

/// As RFC 3339 writes it, in UTC to the millisecond; `None` beyond the year 9999.
fn time(at: SystemTime) -> Option<String> {
    let at = Timestamp::try_from(at).ok()?;
    Some(format!("{at:.3}"))
}
