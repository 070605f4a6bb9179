//! The one task that owns truth: takes `Change`s, builds, publishes, reports.
//!
//! Changes that wait together make one snapshot. A configuration is read and checked on a thread of its own, so that
//! verdicts go on being acted upon meanwhile. Nothing here is on a request's way.

mod endpoints;
mod held;
pub(crate) mod reload;
pub mod report;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashSet;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::access_log::AccessLog;
use crate::change::{Change, DrainOrder, EndpointKey, Found, ReloadCause, ReloadOutcome, Verdict};
use crate::config::{Loaded, Problems};
use crate::listener::Acceptor;
use crate::snapshot::build;

pub(crate) use endpoints::Endpoints;
pub(crate) use held::Control;
use held::Reading;
use report::Settled;

/// Changes that may wait.
pub(crate) const CHANGES: usize = 16_384;

/// Changes taken together at most.
const BATCH: usize = 4_096;

/// How often endpoints that have left are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long `/readyz` waits for first verdicts.
const SETTLING: Duration = Duration::from_secs(5);

impl Control {
    /// Acts on changes until the shutdown begins, and gives back what is needed for it.
    pub(crate) async fn run(mut self) -> (Acceptor, AccessLog) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut reading: Option<Reading> = None;
        let mut next: Vec<(ReloadCause, Option<oneshot::Sender<ReloadOutcome>>)> = Vec::new();
        let mut batch = Vec::with_capacity(64);
        loop {
            tokio::select! {
                taken = self.changes.recv_many(&mut batch, BATCH) => {
                    let goes_on = taken > 0 && self.take(&mut batch, &mut next);
                    if !goes_on {
                        return (self.acceptor, self.access_log);
                    }
                }
                result = read(&mut reading) => {
                    if let Some(reading) = reading.take() {
                        self.read(result, reading).await;
                    }
                }
                _ = ticks.tick() => self.tick(began.elapsed()),
            }
            if reading.is_none() && !next.is_empty() {
                reading = Some(self.begin_reading(&mut next));
            }
        }
    }

    /// Acts on a batch; false when the shutdown begins.
    fn take(
        &mut self,
        batch: &mut Vec<Change>,
        next: &mut Vec<(ReloadCause, Option<oneshot::Sender<ReloadOutcome>>)>,
    ) -> bool {
        let mut pools = BTreeSet::new();
        let mut goes_on = true;
        for change in batch.drain(..) {
            match change {
                Change::Verdict(verdict) => self.judge(&verdict, &mut pools),
                Change::Drain {
                    endpoint,
                    order,
                    reply,
                } => {
                    let found = self.drain(&endpoint, order, &mut pools);
                    // Who asked may have gone; the order stands.
                    reply.send(found).ok();
                }
                Change::Reload { cause, reply } => next.push((cause, reply)),
                Change::ReopenLogs => self.access_log.reopen(),
                Change::ShutDown => goes_on = false,
            }
        }
        self.settle(&pools);
        goes_on
    }

    fn judge(&mut self, verdict: &Verdict, pools: &mut BTreeSet<Arc<str>>) {
        if self.endpoints.apply(verdict) {
            pools.insert(Arc::clone(&verdict.endpoint.pool));
        }
    }

    fn drain(
        &mut self,
        key: &EndpointKey,
        order: DrainOrder,
        pools: &mut BTreeSet<Arc<str>>,
    ) -> Found {
        let found = self.endpoints.drain(key, order);
        if found == Found::Known {
            pools.insert(Arc::clone(&key.pool));
        }
        found
    }

    /// Publishes what follows from changes in these pools.
    fn settle(&mut self, pools: &BTreeSet<Arc<str>>) {
        if pools.is_empty() {
            return;
        }
        let newest = self.store.newest();
        let now = SystemTime::now();
        let mut changed = FxHashSet::default();
        for name in pools {
            let Some(index) = self.endpoints.pool_index(name) else {
                continue;
            };
            let spec = &newest.config.pools[index];
            let before = newest.pools[index].standing();
            let moved = self.endpoints.rule(spec, now);
            let first_verdict = before == crate::pool::Standing::Unjudged;
            if moved || first_verdict {
                changed.insert(index);
            }
        }
        let held = self.endpoints.held();
        self.board.update(|report| report.held = held);
        if !changed.is_empty() {
            let next = build::after_states(&newest, &changed, &self.endpoints, &self.metrics);
            self.store.publish(next);
        }
        self.endpoints.log_moves();
    }

    fn tick(&mut self, running: Duration) {
        let leaving = self.endpoints.forget_the_idle();
        let settled = running >= SETTLING || self.endpoints.all_judged();
        self.board.update(|report| {
            report.leaving = leaving;
            if settled {
                report.settled = Settled::Yes;
            }
        });
        if !self.prober.is_running() {
            tracing::error!("Prober has ended");
        }
    }
}

/// Waits for a configuration that is being read, without end if none is.
async fn read(reading: &mut Option<Reading>) -> Result<Box<Loaded>, Problems> {
    match reading {
        Some(reading) => match (&mut reading.result).await {
            Ok(result) => result,
            Err(_) => Err(Problems(Vec::new())),
        },
        None => std::future::pending().await,
    }
}
