//! Orders: each is told to `control`, which alone carries it out, and answered with what came of it.
//!
//! An order that is given up on (its client left, or its time is over) has been told all the same and goes on.

use http::StatusCode;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::admin::reply::{self, Reply};
use crate::change::{Change, DrainOrder, EndpointKey, Found, ReloadCause, ReloadOutcome};
use crate::control::report::Board;

/// Loads the configuration again.
pub(crate) async fn reload(changes: &mpsc::Sender<Change>, board: &Board) -> Reply {
    let outcome = ask(changes, |reply| Change::Reload {
        cause: ReloadCause::Admin,
        reply: Some(reply),
    });
    let (result, restart_needed) = match outcome.await {
        Some(ReloadOutcome::Applied { restart_needed }) => ("applied", restart_needed),
        Some(ReloadOutcome::Unchanged) => ("unchanged", board.read().restart_needed),
        Some(ReloadOutcome::Rejected { problems }) => {
            return reply::text(StatusCode::BAD_REQUEST, problems);
        }
        None => return stopping(),
    };
    let reloaded = Reloaded {
        result,
        hash: board.read().hash,
        restart_needed,
    };
    reply::json(StatusCode::OK, &reloaded)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reloaded {
    result: &'static str,
    hash: String,
    restart_needed: Vec<String>,
}

/// Has clients go elsewhere.
pub(crate) async fn leave(changes: &mpsc::Sender<Change>) -> Reply {
    match ask(changes, |reply| Change::Leave { reply }).await {
        Some(()) => reply::json(StatusCode::OK, &Leaving { draining: true }),
        None => stopping(),
    }
}

#[derive(Serialize)]
struct Leaving {
    draining: bool,
}

/// Drains an endpoint, or ends that.
pub(crate) async fn drain(
    changes: &mpsc::Sender<Change>,
    endpoint: EndpointKey,
    order: DrainOrder,
) -> Reply {
    let found = ask(changes, |reply| Change::Drain {
        endpoint: endpoint.clone(),
        order,
        reply,
    });
    match found.await {
        Some(Found::Known) => {
            let drained = Drained {
                pool: &endpoint.pool,
                endpoint: endpoint.address.to_string(),
                drained: order == DrainOrder::Begin,
            };
            reply::json(StatusCode::OK, &drained)
        }
        Some(Found::Unknown) => {
            let EndpointKey { pool, address } = endpoint;
            let words = format!("no endpoint {address} in pool {pool:?}; /status names them all");
            reply::text(StatusCode::NOT_FOUND, words)
        }
        None => stopping(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Drained<'a> {
    pool: &'a str,
    endpoint: String,
    drained: bool,
}

/// Tells `control` and waits for its answer; `None` when it has gone.
async fn ask<T>(
    changes: &mpsc::Sender<Change>,
    change: impl FnOnce(oneshot::Sender<T>) -> Change,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    changes.send(change(reply)).await.ok()?;
    answer.await.ok()
}

fn stopping() -> Reply {
    reply::text(
        StatusCode::SERVICE_UNAVAILABLE,
        "fiel is stopping and takes no orders any more",
    )
}
