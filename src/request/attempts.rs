//! The loop over tries: where the first goes, what is done when one fails, which answer wins.
//!
//! Several tries may be under way at once; the first answer wins and the others are dropped, which closes their
//! connections. Only the first try of a request counts in the exact shares.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::clock::{self, Clock};
use crate::config::model;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Progress, Side};
use crate::policy::retry::{self, Decision, Failed};
use crate::pool::Pool;
use crate::request::context::{Client, WorkerContext};
use crate::request::outcome::Ledger;
use crate::request::patience::Deadline;
use crate::request::placing::{Look, Placing, Verdict, look_again, verdict_on};
use crate::snapshot::Spoken;
use crate::upstream::{
    Answer, Attempt, AttemptFailure, BodySlot, Engaged, Entry, Freshness, Hears, Outbound,
};

/// How long a request waits for the first verdict on a pool.
const VERDICT_WAIT: Duration = Duration::from_secs(1);

/// A request on its way to an answer of an endpoint.
pub(super) struct Attempts {
    context: Rc<WorkerContext>,
    client: Rc<Client>,
    placing: Placing,
    outbound: Outbound,
    idempotent: bool,
    under_way: SmallVec<[Try; 1]>,
    /// The pool whose first verdict is waited for, and the wait.
    waiting: Option<(Arc<str>, Verdict)>,
    tried: SmallVec<[Arc<Endpoint>; 2]>,
    repeated: u32,
    /// Of a call of gRPC whose client has set one.
    deadline: Option<Deadline>,
}

/// A try under way, counted in at its endpoint.
struct Try {
    attempt: Attempt,
    engaged: Engaged,
}

/// The answer that won.
pub(super) struct Won {
    pub(super) answer: Answer,
    pub(super) engaged: Engaged,
    pub(super) body: Option<Rc<BodySlot>>,
}

impl Attempts {
    pub(super) fn new(
        context: &Rc<WorkerContext>,
        client: &Rc<Client>,
        placing: Placing,
        outbound: Outbound,
    ) -> Self {
        Self {
            context: Rc::clone(context),
            client: Rc::clone(client),
            placing,
            idempotent: retry::is_idempotent(&outbound.method),
            outbound,
            under_way: SmallVec::new(),
            waiting: None,
            tried: SmallVec::new(),
            repeated: 0,
            deadline: None,
        }
    }

    /// Has each try told how much time is left.
    pub(super) fn is_over_by(&mut self, deadline: Option<Deadline>) {
        self.deadline = deadline;
    }

    /// The configuration of the route in force for this request.
    pub(super) fn spec(&self) -> &Arc<model::Route> {
        self.placing.spec()
    }

    /// What is put into its messages.
    pub(super) fn spoken(&self) -> &Spoken {
        self.placing.spoken(self.context.worker)
    }

    /// Chooses the pool and the endpoint of the first try, and begins it.
    pub(super) fn begin(&mut self, ledger: &mut Ledger, now: Instant) -> Result<(), Error> {
        let look = self.placing.place(&self.context, ledger);
        self.begin_at(look, ledger, now)
    }

    /// Drives what is under way until an answer has won or nothing is left to try.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ledger: &mut Ledger,
    ) -> Poll<Result<Won, Error>> {
        if let Some((_, verdict)) = &mut self.waiting
            && verdict.as_mut().poll(cx).is_ready()
            && let Some((pool, _)) = self.waiting.take()
        {
            self.after_verdict(&pool, ledger)?;
        }
        let mut index = 0;
        while let Some(tried) = self.under_way.get_mut(index) {
            match tried.attempt.poll(cx, &self.outbound) {
                Poll::Ready(Ok(answer)) => {
                    let Try { engaged, .. } = self.under_way.swap_remove(index);
                    return Poll::Ready(Ok(self.won(answer, engaged)));
                }
                Poll::Ready(Err(failure)) => {
                    let lost = self.under_way.swap_remove(index);
                    self.lost(&lost, failure, ledger)?;
                    // What was begun in its place is polled in this very round.
                    index = 0;
                }
                Poll::Pending => index += 1,
            }
        }
        self.look_at_clocks(cx, ledger)
    }

    fn look_at_clocks(
        &mut self,
        cx: &mut Context<'_>,
        ledger: &mut Ledger,
    ) -> Poll<Result<Won, Error>> {
        let clocks = Rc::clone(&self.client.clocks);
        if clocks.rang(Clock::Response) || clocks.rang(Clock::Total) {
            let progress = self.progress();
            self.fail_all(Kind::ResponseTimeout);
            return Poll::Ready(Err(Error::new(Kind::ResponseTimeout, progress)));
        }
        if self.waiting.is_some() && clocks.rang(Clock::Verdict) {
            self.waiting = None;
            return Poll::Ready(Err(Error::new(
                Kind::NoReadyEndpoint,
                Progress::NothingSent,
            )));
        }
        if clocks.rang(Clock::Try)
            && let Some(late) = self.under_way.pop()
        {
            let failure = AttemptFailure {
                error: Error::new(Kind::TryTimeout, late.attempt.progress()),
                stale: false,
            };
            self.lost(&late, failure, ledger)?;
            // The new try has not been polled yet: come again at once.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        clocks.arm(cx);
        Poll::Pending
    }

    fn begin_at(&mut self, look: Look, ledger: &mut Ledger, now: Instant) -> Result<(), Error> {
        match look {
            Look::At(spot) => {
                self.try_at(spot.endpoint(), spot.pool(), Freshness::Any, ledger, now);
                Ok(())
            }
            Look::Unjudged(name) => {
                let clocks = &self.client.clocks;
                clocks.start(Clock::Verdict, now, Some(VERDICT_WAIT));
                let verdict = verdict_on(&self.context.store, Arc::clone(&name));
                self.waiting = Some((name, verdict));
                Ok(())
            }
            Look::Nobody => Err(Error::new(Kind::NoReadyEndpoint, Progress::NothingSent)),
        }
    }

    fn after_verdict(&mut self, pool: &str, ledger: &mut Ledger) -> Result<(), Error> {
        self.client.clocks.stop(Clock::Verdict);
        let now = clock::now();
        ledger.queued_until(now);
        let look = look_again(&self.context, pool, self.placing.keys());
        self.begin_at(look, ledger, now)
    }

    /// Begins a try; where the pool claims, a place at the endpoint is claimed already.
    fn try_at(
        &mut self,
        endpoint: &Arc<Endpoint>,
        pool: &Arc<Pool>,
        freshness: Freshness,
        ledger: &mut Ledger,
        now: Instant,
    ) {
        let origin = || self.client.origin().map(Rc::clone);
        let local = self.context.upstreams.to(endpoint, pool, origin);
        let entry = match pool.claims() {
            true => Entry::Claimed,
            false => Entry::Counted,
        };
        let engaged = Engaged::at(&local, entry);
        ledger.tried(endpoint.label());
        let limit = self.spec().timeouts.try_timeout;
        self.client.clocks.start(Clock::Try, now, limit);
        if let Some(deadline) = &mut self.deadline {
            deadline.tell(now, &mut self.outbound.headers);
        }
        let hears = Rc::clone(&self.client) as Rc<dyn Hears>;
        let attempt = Attempt::begin(local, &self.outbound, freshness, hears, now);
        self.under_way.push(Try { attempt, engaged });
    }

    fn won(&mut self, answer: Answer, engaged: Engaged) -> Won {
        self.under_way.clear();
        self.stop_clocks();
        Won {
            answer,
            engaged,
            body: self.outbound.body.take(),
        }
    }

    /// A try has failed: begins another, or gives up with its failure unless one is still under way.
    fn lost(
        &mut self,
        lost: &Try,
        failure: AttemptFailure,
        ledger: &mut Ledger,
    ) -> Result<(), Error> {
        let AttemptFailure { error, stale } = failure;
        let kind = error.kind();
        let worker = self.context.worker;
        let endpoint = Arc::clone(lost.attempt.endpoint());
        let decision = retry::decide(
            &self.spec().retry,
            &Failed {
                kind,
                progress: error.progress(),
                stale,
                repeated: self.repeated,
                idempotent: self.idempotent,
                whole: self.outbound.is_whole(),
            },
        );
        let newest = self.context.reader.newest();
        let pool = newest.pool_named(&endpoint.key().pool).cloned();
        if decision != Decision::Reconnect
            && error.side() == Side::Endpoint
            && let Some(pool) = &pool
        {
            pool.traffic().failed(worker, kind.reason());
        }
        tracing::debug!(endpoint = %endpoint.label(), error = %error, cause = ?std::error::Error::source(&error), "Try failed");
        let now = clock::now();
        match (decision, pool) {
            (Decision::Reconnect, Some(pool)) => {
                if pool.claims() {
                    endpoint.load().claim();
                }
                self.try_at(&endpoint, &pool, Freshness::New, ledger, now);
                Ok(())
            }
            (Decision::Elsewhere, Some(pool)) => {
                self.tried.push(endpoint);
                let next = pool
                    .pick_again(&self.tried, &mut self.context.chance(), self.placing.keys())
                    .cloned();
                let Some(next) = next else {
                    return Err(error);
                };
                self.repeated += 1;
                pool.traffic().retried(worker, kind.reason());
                self.try_at(&next, &pool, Freshness::Any, ledger, now);
                Ok(())
            }
            (Decision::GiveUp, _) | (_, None) => {
                if self.under_way.is_empty() {
                    self.stop_clocks();
                    return Err(error);
                }
                Ok(())
            }
        }
    }

    fn progress(&self) -> Progress {
        let furthest = self
            .under_way
            .iter()
            .map(|tried| tried.attempt.progress())
            .max();
        furthest.unwrap_or(Progress::NothingSent)
    }

    fn fail_all(&mut self, kind: Kind) {
        let worker = self.context.worker;
        for late in self.under_way.drain(..) {
            late.engaged.traffic().failed(worker, kind.reason());
        }
        self.waiting = None;
        self.stop_clocks();
    }

    fn stop_clocks(&self) {
        for clock in [Clock::Response, Clock::Try, Clock::Verdict] {
            self.client.clocks.stop(clock);
        }
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.stop_clocks();
    }
}

#[cfg(test)]
mod tests;
