//! Whether this process is alive and whether it wants traffic, as an orchestrator asks.

use std::time::Duration;

use http::StatusCode;

use crate::admin::reply::{self, Reply};
use crate::control::report::{Report, Settled};
use crate::phase::Stage;
use crate::snapshot::view::Snapshot;

/// Fails only for what a restart would mend.
pub(crate) fn livez(stuck: Option<Duration>) -> Reply {
    if let Some(silence) = stuck {
        let seconds = silence.as_secs();
        let words = format!("a worker has not turned its loop for {seconds} s");
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, words);
    }
    reply::text(StatusCode::OK, "alive")
}

/// Whether new connections are welcome, or all reasons why they are not, one a line.
pub(crate) fn readyz(snapshot: &Snapshot, report: &Report, stage: Stage) -> Reply {
    let reasons = reasons(snapshot, report, stage);
    if reasons.is_empty() {
        return reply::text(StatusCode::OK, "ready");
    }
    reply::text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n"))
}

/// That a configuration is in force need not be asked: there is a snapshot of it.
fn reasons(snapshot: &Snapshot, report: &Report, stage: Stage) -> Vec<String> {
    let mut reasons: Vec<String> = snapshot
        .config
        .listeners
        .iter()
        .filter(|listener| !report.bound.contains_key(&listener.name))
        .map(|listener| format!("listener {} is not bound yet", listener.name))
        .collect();
    if report.settled == Settled::NotYet {
        reasons.push("first verdicts of probes are outstanding".to_owned());
    }
    match stage {
        Stage::Running => {}
        Stage::Delaying | Stage::Draining | Stage::Ending => reasons.push("draining".to_owned()),
    }
    reasons
}
