//! The admin addresses: HTTP in front of the snapshot, the metrics and `control`.
//!
//! Everything that is shown is read; everything that is ordered is told to `control` as a `Change`. A request passes
//! `auth` (may it ask?), `paths` (what does it ask?), then a bounded number of requests of its kind under a timeout,
//! and ends in a room that answers it. Orders and pages have bounds of their own, so that `/livez` is answered whatever
//! waits for a reload. Bodies of requests are not read. Not here: what follows from an order.

mod accept;
mod actions;
mod auth;
mod guard;
mod health;
mod index;
mod paths;
mod ratio;
mod reply;
mod scrape;
mod status;
mod summary;
mod token;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http::{Request, StatusCode};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};

pub(crate) use accept::bind;
pub use auth::{Access, Rules};
pub use token::Token;

use crate::change::{Change, DrainOrder, EndpointKey};
use crate::control::report::Board;
use crate::metrics::Metrics;
use crate::phase::{Heartbeats, Phase};
use crate::probe;
use crate::snapshot::store::Store;
use crate::socket::Listening;
use guard::Guard;
use paths::{Ask, Page};
use reply::Reply;

/// What is read and who is told.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The configuration in force, its splits, pools and endpoints.
    pub store: Arc<Store>,
    /// What the workers count.
    pub metrics: Arc<Metrics>,
    /// What the prober counts.
    pub probes: Arc<probe::Counts>,
    /// What `control` reports.
    pub board: Board,
    /// Whether new connections are welcome.
    pub phase: Arc<Phase>,
    /// Whether the workers turn their loops.
    pub heartbeats: Arc<Heartbeats>,
    /// To `control`.
    pub changes: mpsc::Sender<Change>,
}

/// Serves an admin address until `until` is over, then a second more for answers under way. Runs wherever it is
/// polled and spawns a task a connection there.
pub(crate) async fn serve(
    listener: AsyncFd<Listening>,
    admin: Arc<Admin>,
    access: Access,
    until: impl Future,
) {
    let metrics = Arc::clone(&admin.metrics);
    let panicked = move || metrics.panicked();
    accept::accept(listener, service(admin, access), panicked, until).await;
}

/// Pages being made at once.
const MOST_PAGES: usize = 64;

/// Orders to drain that wait at once, and reloads.
const MOST_ORDERS: usize = 16;

/// For a page or an order to drain.
const SOON: Duration = Duration::from_secs(10);

/// For a reload: every worker has to read what is new.
const RELOAD: Duration = Duration::from_secs(60);

type Answering<A, E> = BoxCloneSyncService<A, Reply, E>;

/// The whole of an admin address as a service.
fn service<B: Send + 'static>(
    admin: Arc<Admin>,
    access: Access,
) -> Answering<Request<B>, Infallible> {
    let scope = access.scope();
    let shown = Arc::clone(&admin);
    let pages = bounded(MOST_PAGES, SOON, move |page| ready(shown.page(page)));
    let told = Arc::clone(&admin);
    let drains = bounded(MOST_ORDERS, SOON, move |order| {
        Arc::clone(&told).drain(order)
    });
    let told = Arc::clone(&admin);
    let leaves = bounded(MOST_ORDERS, SOON, move |()| Arc::clone(&told).leave());
    let reloads = bounded(MOST_ORDERS, RELOAD, move |()| Arc::clone(&admin).reload());
    let asks = service_fn(move |request: Request<B>| {
        let ask = paths::ask(scope, request.method(), request.uri().path());
        let (pages, drains) = (pages.clone(), drains.clone());
        let (leaves, reloads) = (leaves.clone(), reloads.clone());
        async move {
            let answered = match ask {
                Ok(Ask::Page(page)) => pages.oneshot(page).await,
                Ok(Ask::Drain(endpoint, order)) => drains.oneshot((endpoint, order)).await,
                Ok(Ask::Leave) => leaves.oneshot(()).await,
                Ok(Ask::Reload) => reloads.oneshot(()).await,
                Err(unfit) => Ok(unfit.reply()),
            };
            Ok(answered.unwrap_or_else(|error| unanswered(&error)))
        }
    });
    let guarded = ServiceBuilder::new().layer(Guard(access)).service(asks);
    BoxCloneSyncService::new(guarded)
}

/// Answers so many at once, each within so long.
fn bounded<A, F>(
    most: usize,
    within: Duration,
    answer: impl Fn(A) -> F + Clone + Send + Sync + 'static,
) -> Answering<A, BoxError>
where
    A: Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let answer = service_fn(move |asked| {
        let reply = answer(asked);
        async { Ok::<_, Infallible>(reply.await) }
    });
    let bounded = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(most)
        .timeout(within)
        .service(answer);
    BoxCloneSyncService::new(bounded)
}

/// Only the bounds fail; whoever answers, answers.
fn unanswered(error: &BoxError) -> Reply {
    if error.is::<tower::timeout::error::Elapsed>() {
        let words = "not done in time; what was ordered goes on, see /status";
        return reply::text(StatusCode::GATEWAY_TIMEOUT, words);
    }
    reply::later("too many requests of this kind wait already")
}

impl Admin {
    fn page(&self, page: Page) -> Reply {
        match page {
            Page::Index => reply::page(index::html()),
            Page::Livez => health::livez(self.heartbeats.stuck()),
            Page::Readyz => {
                let (snapshot, report) = (self.store.newest(), self.board.read());
                health::readyz(&snapshot, &report, self.phase.stage())
            }
            Page::Metrics => {
                let (snapshot, report) = (self.store.newest(), self.board.read());
                let read = scrape::families(&snapshot, &report, &self.probes);
                reply::scrape(self.metrics.text(read))
            }
            Page::Status => {
                let (snapshot, report) = (self.store.newest(), self.board.read());
                let status =
                    status::status(&snapshot, &report, self.phase.stage(), SystemTime::now());
                reply::json(StatusCode::OK, &status)
            }
            Page::Config => reply::json(StatusCode::OK, &*self.board.read().redacted),
        }
    }

    async fn reload(self: Arc<Self>) -> Reply {
        actions::reload(&self.changes, &self.board).await
    }

    async fn leave(self: Arc<Self>) -> Reply {
        actions::leave(&self.changes).await
    }

    async fn drain(self: Arc<Self>, (endpoint, order): (EndpointKey, DrainOrder)) -> Reply {
        actions::drain(&self.changes, endpoint, order).await
    }
}

#[cfg(test)]
mod tests;
