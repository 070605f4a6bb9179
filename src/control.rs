//! The one task that owns truth: takes `Change`s, builds, publishes, reports.
//!
//! Changes that wait together make one snapshot. A configuration is read and checked on a thread of its own, so that
//! verdicts go on being acted upon meanwhile. Nothing here is on a request's way.

pub(crate) mod certificates;
mod endpoints;
mod held;
mod names;
pub(crate) mod reload;
mod renewal;
pub mod report;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashSet;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::access_log::AccessLog;
use crate::change::{Change, DrainOrder, EndpointKey, Found, ReloadOutcome, Resolution, Verdict};
use crate::phase::Stage;
use crate::snapshot::build;

pub(crate) use endpoints::Endpoints;
pub(crate) use held::Control;
use held::{Asked, Read, Reading};
use names::Learned;
use report::Settled;

/// Changes that may wait.
pub(crate) const CHANGES: usize = 16_384;

/// Changes taken together at most.
const BATCH: usize = 4_096;

/// How often endpoints that have left are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long `/readyz` waits for first verdicts.
const SETTLING: Duration = Duration::from_secs(5);

/// What a batch of changes says about the end.
#[derive(Default)]
struct Orders {
    stop_accepting: Option<oneshot::Sender<()>>,
    end: bool,
}

impl Control {
    /// Acts on changes until the end, and gives back the access log, whose last lines are still to be written.
    pub(crate) async fn run(mut self) -> AccessLog {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut reading: Option<Reading> = None;
        let mut next: Vec<Asked> = Vec::new();
        let mut batch = Vec::with_capacity(64);
        if self.settled == Settled::Yes {
            self.supervisor.ready(&self.board.read().hash);
        }
        loop {
            tokio::select! {
                taken = self.changes.recv_many(&mut batch, BATCH) => {
                    let orders = self.take(&mut batch, &mut next);
                    if let Some(done) = orders.stop_accepting {
                        self.stop_accepting().await;
                        // Who asked may have given up.
                        done.send(()).ok();
                    }
                    if orders.end || taken == 0 {
                        return self.access_log;
                    }
                }
                result = read(&mut reading) => match reading.take() {
                    Some(reading) if self.acceptor.is_some() => self.read(result, reading).await,
                    Some(reading) => next.extend(reading.who_asked()),
                    None => {}
                },
                _ = ticks.tick() => self.tick(began.elapsed()),
            }
            if self.acceptor.is_none() {
                refuse(&mut next);
            } else if reading.is_none() && !next.is_empty() {
                reading = Some(self.begin_reading(&mut next));
            }
        }
    }

    /// Acts on a batch; what concerns the end is given back.
    fn take(&mut self, batch: &mut Vec<Change>, next: &mut Vec<Asked>) -> Orders {
        let mut pools = BTreeSet::new();
        let mut drained = Vec::new();
        let mut resolutions = Vec::new();
        let mut orders = Orders::default();
        for change in batch.drain(..) {
            match change {
                Change::Verdict(verdict) => self.judge(&verdict, &mut pools),
                Change::Resolution(resolution) => resolutions.push(resolution),
                Change::Drain {
                    endpoint,
                    order,
                    reply,
                } => {
                    drained.push((reply, self.drain(&endpoint, order, &mut pools)));
                }
                Change::Leave { reply } => {
                    tracing::info!("Ordered to drain, clients are asked to go elsewhere");
                    self.phase.enter(Stage::Delaying);
                    // Who asked may have gone; the order stands.
                    reply.send(()).ok();
                }
                Change::Reload { cause, reply } => next.push((cause, reply)),
                Change::ReopenLogs => self.access_log.reopen(),
                Change::StopAccepting { done } => orders.stop_accepting = Some(done),
                Change::End => orders.end = true,
            }
        }
        let regrouped = self.resolve(resolutions, &mut pools);
        self.settle(&pools, &regrouped);
        for (reply, found) in drained {
            // Told once it is in force. Who asked may have gone; the order stands.
            reply.send(found).ok();
        }
        orders
    }

    /// Closes the listening sockets, and what leads from them to the workers, so that these see when all are taken.
    async fn stop_accepting(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.close(&self.store.newest().config.listeners).await;
        }
    }

    fn judge(&mut self, verdict: &Verdict, pools: &mut BTreeSet<Arc<str>>) {
        if self.endpoints.apply(verdict) {
            pools.insert(Arc::clone(&verdict.endpoint.pool));
        }
    }

    /// Takes in what came of asking for names; gives back the pools to which other endpoints belong now.
    fn resolve(
        &mut self,
        resolutions: Vec<Resolution>,
        pools: &mut BTreeSet<Arc<str>>,
    ) -> BTreeSet<Arc<str>> {
        let mut regrouped = BTreeSet::new();
        if resolutions.is_empty() {
            return regrouped;
        }
        let config = Arc::clone(&self.store.newest().config);
        let now = SystemTime::now();
        for resolution in resolutions {
            let (learned, concerned) = self.endpoints.resolve(resolution, &config, now);
            if learned == Learned::Addresses {
                regrouped.extend(concerned.iter().cloned());
            }
            pools.extend(concerned);
        }
        let names = self.endpoints.names();
        self.board.update(|report| report.names = names);
        self.look_whether_settled(false);
        regrouped
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

    /// Publishes what follows from changes in these pools; to the `regrouped` ones among them belong other endpoints.
    fn settle(&mut self, pools: &BTreeSet<Arc<str>>, regrouped: &BTreeSet<Arc<str>>) {
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
            if moved || first_verdict || regrouped.contains(name) {
                changed.insert(index);
            }
        }
        let held = self.endpoints.held();
        self.board.update(|report| report.held = held);
        self.look_whether_settled(false);
        if !changed.is_empty() {
            let next = build::after_states(&newest, &changed, &self.endpoints, &self.metrics);
            self.store.publish(next);
        }
        self.endpoints.log_moves();
        if !regrouped.is_empty() {
            self.prober.follow(self.endpoints.plan(&newest.config));
        }
    }

    /// `/readyz` waits for the first verdicts, but not for ever.
    fn look_whether_settled(&mut self, waited_long_enough: bool) {
        if self.settled == Settled::NotYet && (waited_long_enough || self.endpoints.all_judged()) {
            self.settled = Settled::Yes;
            self.board.update(|report| report.settled = Settled::Yes);
            self.supervisor.ready(&self.board.read().hash);
        }
    }

    fn tick(&mut self, running: Duration) {
        let leaving = self.endpoints.forget_the_idle();
        self.board.update(|report| report.leaving = leaving);
        self.look_whether_settled(running >= SETTLING);
        if !self.prober.is_running() {
            tracing::error!("Prober has ended");
        }
        if !self.discovery.is_running() {
            tracing::error!("Discovery has ended, names keep their addresses");
        }
    }
}

/// Refuses to reload: new sockets would accept what nobody serves to its end.
fn refuse(next: &mut Vec<Asked>) {
    for (cause, reply) in next.drain(..) {
        tracing::warn!(
            ?cause,
            "Configuration is not reloaded, the proxy is draining"
        );
        if let Some(reply) = reply {
            let problems = "error: not reloaded, the proxy is draining\n".to_owned();
            // Who asked may have gone.
            reply.send(ReloadOutcome::Rejected { problems }).ok();
        }
    }
}

/// Waits for a configuration that is being read, without end if none is.
async fn read(reading: &mut Option<Reading>) -> Result<Read, String> {
    match reading {
        Some(reading) => match (&mut reading.result).await {
            Ok(result) => result.map_err(|problems| problems.to_string()),
            Err(_) => Err("error: the thread that reads the configuration has ended\n".to_owned()),
        },
        None => std::future::pending().await,
    }
}
