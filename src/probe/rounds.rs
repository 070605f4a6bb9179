//! The loop of the prober: sends what is due, takes in what comes back, follows the plan.
//!
//! All of it runs on one thread, each probe in flight as a task of its own; how a probe is asked comes in from
//! outside. What is the same probing for several pools is one [`Subject`] with several subscribers. Cancelled at its
//! only `await`, the loop loses nothing but the probes in flight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};

use crate::change::{Change, EndpointKey, Finding, ProbeKind, Verdict};
use crate::endpoint::Endpoint;
use crate::probe::answer::Answer;
use crate::probe::ask::Question;
use crate::probe::counts::{Counts, ProbeResult};
use crate::probe::plan::{Identity, KINDS, Plan};
use crate::probe::schedule::{Due, Schedule, turn_after};
use crate::probe::subject::{Presence, Subject};
use crate::probe::verdict::Step;

/// The most probes in flight. Each holds a file descriptor; further ones wait, which shows as lag.
const MOST_ALOFT: usize = 4_096;

/// The most verdicts that wait for `control` before no more probes are sent: beyond it they would be told to nobody.
const MOST_UNTOLD: usize = 16_384;

/// The prober without its thread.
#[derive(Debug)]
pub(crate) struct Rounds<A> {
    ask: A,
    changes: mpsc::Sender<Change>,
    counts: Arc<Counts>,
    schedule: Schedule<Slot>,
    subjects: FxHashMap<SubjectId, Subject>,
    by_identity: FxHashMap<Arc<Identity>, SubjectId>,
    last_id: SubjectId,
    tasks: JoinSet<Asked>,
    /// What each task is about. One that is not here was dropped, and how it ended is nobody's business.
    flights: FxHashMap<task::Id, Flight>,
    untold: VecDeque<Verdict>,
}

/// Grows with each subject and never comes again.
type SubjectId = u64;

/// An entry in the schedule.
#[derive(Clone, Copy, Debug)]
struct Slot {
    subject: SubjectId,
    kind: ProbeKind,
    turn: u64,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    First,
    Later,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    planned: Duration,
    slot: Slot,
}

#[derive(Debug)]
struct Asked {
    answer: Answer,
    took: Duration,
}

impl<A, F> Rounds<A>
where
    A: Fn(Arc<Question>) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    /// Nothing to probe yet.
    pub(crate) fn new(
        ask: A,
        changes: mpsc::Sender<Change>,
        counts: Arc<Counts>,
        seed: u64,
    ) -> Self {
        Self {
            ask,
            changes,
            counts,
            schedule: Schedule::new(seed),
            subjects: FxHashMap::default(),
            by_identity: FxHashMap::default(),
            last_id: 0,
            tasks: JoinSet::new(),
            flights: FxHashMap::default(),
            untold: VecDeque::new(),
        }
    }

    /// Probes until nobody holds the other end of `plans` any more.
    pub(crate) async fn run(mut self, mut plans: watch::Receiver<Arc<Plan>>) {
        let changes = self.changes.clone();
        loop {
            self.tell();
            self.send_due();
            let next = self.next();
            let moment = self.counts.moment(next.unwrap_or_default());
            tokio::select! {
                biased;
                changed = plans.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let plan = Arc::clone(&plans.borrow_and_update());
                    self.follow(&plan);
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.take_in(ended);
                    while let Some(ended) = self.tasks.try_join_next_with_id() {
                        self.take_in(ended);
                    }
                }
                permit = changes.reserve(), if !self.untold.is_empty() => {
                    if let Ok(permit) = permit {
                        tell_next(permit, &mut self.untold);
                    }
                }
                () = tokio::time::sleep_until(moment), if next.is_some() => {}
            }
        }
    }

    /// When the loop has to look at the schedule again, unless something else wakes it.
    fn next(&self) -> Option<Duration> {
        self.schedule.next().filter(|_| self.may_send())
    }

    fn may_send(&self) -> bool {
        self.tasks.len() < MOST_ALOFT && self.untold.len() < MOST_UNTOLD
    }

    /// Tells what can be told without waiting.
    fn tell(&mut self) {
        while !self.untold.is_empty() {
            match self.changes.try_reserve() {
                Ok(permit) => tell_next(permit, &mut self.untold),
                Err(TrySendError::Full(())) => return,
                // Control has ended before us: nobody is left to be told.
                Err(TrySendError::Closed(())) => self.untold.clear(),
            }
        }
    }

    fn send_due(&mut self) {
        let now = self.counts.now();
        while self.may_send()
            && let Some(due) = self.schedule.take(now)
        {
            self.send(due);
        }
        self.counts.note_next(self.schedule.next());
    }

    fn send(&mut self, due: Due<Slot>) {
        let slot = due.item;
        let arm = self
            .subjects
            .get_mut(&slot.subject)
            .and_then(|subject| subject.arm_mut(slot.kind))
            .filter(|arm| arm.turn == slot.turn);
        let Some(arm) = arm else { return };

        let question = Arc::clone(&arm.question);
        let asking = (self.ask)(Arc::clone(&question));
        let counts = Arc::clone(&self.counts);
        let task = self.tasks.spawn(async move {
            let _turn = question.turn().await;
            // Taken when the task runs: what it had to wait for the thread, or for its turn, is lag too, and not the
            // endpoint's time.
            let began = counts.now();
            counts.note_sent(due.planned, began);
            let answer = asking.await;
            let took = counts.now().saturating_sub(began);
            Asked { answer, took }
        });
        let flight = Flight {
            planned: due.planned,
            slot,
        };
        self.flights.insert(task.id(), flight);
        arm.presence = Presence::Aloft(task);
    }

    fn take_in(&mut self, ended: Result<(task::Id, Asked), JoinError>) {
        let (id, asked) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "Probe panicked");
                }
                let answer = Answer::unknown("the probe panicked");
                let took = Duration::ZERO;
                (error.id(), Asked { answer, took })
            }
        };
        let Some(Flight { planned, slot }) = self.flights.remove(&id) else {
            return;
        };
        let Some(subject) = self.subjects.get_mut(&slot.subject) else {
            return;
        };
        subject.report(slot.kind, &asked.answer, asked.took);
        let now = self.counts.now();
        let step = match asked.answer.result {
            ProbeResult::Success => subject.course.note(slot.kind, Finding::Passing),
            ProbeResult::Failure => subject.course.note(slot.kind, Finding::Failing),
            ProbeResult::Unknown => Step::Same,
        };
        let finding = match step {
            Step::Same => None,
            Step::Verdict(finding) => Some(finding),
            Step::Revived => {
                subject.began = now;
                Some(Finding::Passing)
            }
        };
        if let Some(finding) = finding {
            let verdicts = subject.verdicts(slot.kind, finding, &asked.answer.detail);
            self.untold.extend(verdicts);
        }
        self.plan_turn(planned, slot, now);
        if finding.is_some() {
            self.settle(slot.subject, now);
        }
    }

    /// Plans the turn after the one that has just ended; whether it still is to come, `settle` decides.
    fn plan_turn(&mut self, planned: Duration, slot: Slot, now: Duration) {
        let arm = self
            .subjects
            .get_mut(&slot.subject)
            .and_then(|subject| subject.arm_mut(slot.kind));
        let Some(arm) = arm else { return };
        let next = match slot.order {
            Order::First => {
                let next = self.schedule.first_turn(planned, arm.period);
                if next > now {
                    next
                } else {
                    turn_after(next, arm.period, now)
                }
            }
            Order::Later => turn_after(planned, arm.period, now),
        };
        arm.turn += 1;
        arm.presence = Presence::Planned;
        let slot = Slot {
            turn: arm.turn,
            order: Order::Later,
            ..slot
        };
        self.schedule.enter_turn(next, slot);
    }

    /// Begins the probes whose time has come and ends those that are held back now.
    fn settle(&mut self, id: SubjectId, now: Duration) {
        let Some(subject) = self.subjects.get_mut(&id) else {
            return;
        };
        for kind in KINDS {
            let runs = subject.course.runs(kind);
            let began = subject.began;
            let Some(arm) = subject.arm_mut(kind) else {
                continue;
            };
            match (&arm.presence, runs) {
                (Presence::Resting, true) => {
                    arm.turn += 1;
                    arm.presence = Presence::Planned;
                    let slot = Slot {
                        subject: id,
                        kind,
                        turn: arm.turn,
                        order: Order::First,
                    };
                    let from = now.max(began + arm.initial_delay);
                    self.schedule.enter_first(from, slot);
                }
                (Presence::Planned, false) => {
                    arm.turn += 1;
                    arm.presence = Presence::Resting;
                }
                (Presence::Aloft(flight), false) => {
                    flight.abort();
                    self.flights.remove(&flight.id());
                    arm.turn += 1;
                    arm.presence = Presence::Resting;
                }
                (Presence::Resting, false) | (Presence::Planned | Presence::Aloft(_), true) => {}
            }
        }
    }

    /// Takes over a plan.
    #[expect(
        clippy::mutable_key_type,
        reason = "what changes within is the memory of sessions, which no comparison looks at"
    )]
    fn follow(&mut self, plan: &Plan) {
        let now = self.counts.now();
        let known = self.known();
        let mut left = std::mem::take(&mut self.by_identity);
        for (identity, subscribers) in plan.grouped() {
            let origin = |endpoint: &Arc<Endpoint>| {
                let (known, id) = known.get(endpoint.key())?;
                Arc::ptr_eq(known, endpoint).then_some(*id)
            };
            let kept = left.remove(&identity);
            let before = subscribers.first().and_then(origin);
            let id = kept.unwrap_or_else(|| self.add(identity, before, now));
            let Some(subject) = self.subjects.get_mut(&id) else {
                continue;
            };
            for endpoint in &subscribers {
                let origin = origin(endpoint);
                if origin == Some(id) {
                    continue;
                }
                if origin.is_some() {
                    self.untold.extend(subject.assumed(endpoint));
                }
                self.untold.extend(subject.found(endpoint));
            }
            subject.subscribe(subscribers, &self.counts);
            self.by_identity.insert(Arc::clone(&subject.identity), id);
            self.settle(id, now);
        }
        for id in left.into_values() {
            if let Some(subject) = self.subjects.remove(&id) {
                subject.abort();
            }
        }
        self.forget_the_gone(plan);
    }

    fn add(&mut self, identity: Identity, before: Option<SubjectId>, now: Duration) -> SubjectId {
        let before = before.and_then(|id| self.subjects.get(&id));
        let course = before.map(|subject| &subject.course);
        let subject = Subject::new(Arc::new(identity), course, now);
        self.last_id += 1;
        self.subjects.insert(self.last_id, subject);
        self.last_id
    }

    /// Who was probed until now, and as part of what.
    fn known(&self) -> FxHashMap<EndpointKey, (Arc<Endpoint>, SubjectId)> {
        let subscribers = self.subjects.iter().flat_map(|(id, subject)| {
            subject
                .subscribers
                .iter()
                .map(move |endpoint| (endpoint.key().clone(), (Arc::clone(endpoint), *id)))
        });
        subscribers.collect()
    }

    /// Drops what is left of targets that are gone: entries in the schedule, tallies, verdicts not told yet.
    fn forget_the_gone(&mut self, plan: &Plan) {
        let subjects = &self.subjects;
        self.schedule.retain(|slot| {
            let arm = subjects
                .get(&slot.subject)
                .and_then(|subject| subject.arm(slot.kind));
            arm.is_some_and(|arm| arm.turn == slot.turn)
        });
        let endpoints: FxHashSet<&EndpointKey> = plan
            .targets
            .iter()
            .map(|target| target.endpoint.key())
            .collect();
        self.untold
            .retain(|verdict| endpoints.contains(&verdict.endpoint));
        let counted: FxHashSet<(&str, ProbeKind)> = plan
            .targets
            .iter()
            .flat_map(|target| {
                target
                    .kinds()
                    .map(|kind| (&*target.endpoint.key().pool, kind))
            })
            .collect();
        self.counts
            .retain(|pool, kind| counted.contains(&(pool, kind)));
    }
}

fn tell_next(permit: mpsc::Permit<'_, Change>, untold: &mut VecDeque<Verdict>) {
    if let Some(verdict) = untold.pop_front() {
        permit.send(Change::Verdict(verdict));
    }
}

#[cfg(test)]
mod tests;
