//! What is probed as one: its subscribers, its way through the probes, and where each probe is at present.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use crate::change::{Finding, ProbeKind, Verdict};
use crate::endpoint::{Endpoint, ProbeReport};
use crate::probe::answer::Answer;
use crate::probe::ask::Question;
use crate::probe::counts::{Counts, ProbeResult, Tally};
use crate::probe::plan::{Identity, KINDS};
use crate::probe::verdict::{Course, Thresholds};

/// One probing, for every endpoint that has asked for just this.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its key among the subjects.
    pub(crate) identity: Arc<Identity>,
    /// Whom the verdicts are about.
    pub(crate) subscribers: Vec<Arc<Endpoint>>,
    /// What has been found.
    pub(crate) course: Course,
    /// From when initial delays count: when it was first planned, or came back from the dead. The kubelet counts them
    /// from the start of the container, also for probes that the startup probe holds back.
    pub(crate) began: Duration,
    arms: [Option<Arm>; 3],
}

/// One probe of a subject.
#[derive(Debug)]
pub(crate) struct Arm {
    /// What is asked.
    pub(crate) question: Arc<Question>,
    /// From one turn to the next.
    pub(crate) period: Duration,
    /// Before the first one.
    pub(crate) initial_delay: Duration,
    /// Where it is at present.
    pub(crate) presence: Presence,
    /// Counts how often it was planned: of its entries in the schedule only the last one is good.
    pub(crate) turn: u64,
    /// Why the last verdict is what it is.
    reason: Box<str>,
    /// One a pool.
    tallies: Vec<Arc<Tally>>,
}

/// Where a probe is at present.
#[derive(Debug)]
pub(crate) enum Presence {
    /// Held back by another probe.
    Resting,
    /// In the schedule.
    Planned,
    /// In flight.
    Aloft(AbortHandle),
}

impl Subject {
    /// One that has just come into the plan; what is known of it from the probes it had before comes with it.
    pub(crate) fn new(identity: Arc<Identity>, before: Option<&Course>, now: Duration) -> Self {
        let thresholds = |kind| {
            let aim = identity.aim(kind)?;
            Some(Thresholds::from(&*aim.probe))
        };
        let course = match before {
            Some(before) => Course::after(before, thresholds),
            None => Course::new(thresholds),
        };
        let arms = KINDS.map(|kind| {
            identity.aim(kind).map(|aim| Arm {
                question: Arc::new(Question::new(aim)),
                period: aim.probe.period,
                initial_delay: aim.probe.initial_delay,
                presence: Presence::Resting,
                turn: 0,
                reason: "as found before the reload".into(),
                tallies: Vec::new(),
            })
        });
        Self {
            identity,
            subscribers: Vec::new(),
            course,
            began: now,
            arms,
        }
    }

    /// The probe of a kind.
    pub(crate) fn arm(&self, kind: ProbeKind) -> Option<&Arm> {
        self.arms[kind as usize].as_ref()
    }

    /// The probe of a kind.
    pub(crate) fn arm_mut(&mut self, kind: ProbeKind) -> Option<&mut Arm> {
        self.arms[kind as usize].as_mut()
    }

    /// Takes over who asked for it, and with that the pools in which it counts.
    pub(crate) fn subscribe(&mut self, subscribers: Vec<Arc<Endpoint>>, counts: &Counts) {
        let mut pools: Vec<&Arc<str>> = subscribers.iter().map(|one| &one.key().pool).collect();
        pools.sort_unstable();
        pools.dedup();
        for (kind, arm) in KINDS.into_iter().zip(&mut self.arms) {
            if let Some(arm) = arm {
                arm.tallies = pools.iter().map(|pool| counts.tally(pool, kind)).collect();
            }
        }
        self.subscribers = subscribers;
    }

    /// Leaves a result with each subscriber and counts it.
    pub(crate) fn report(&self, kind: ProbeKind, answer: &Answer, took: Duration) {
        let at = SystemTime::now();
        for endpoint in &self.subscribers {
            endpoint.report_probe(ProbeReport {
                probe: kind,
                at,
                took,
                succeeded: answer.result == ProbeResult::Success,
                detail: answer.detail.as_ref().into(),
            });
        }
        for tally in self.arm(kind).iter().flat_map(|arm| &arm.tallies) {
            tally.of(answer.result).observe(took);
        }
    }

    /// The verdicts that a new finding makes, one a subscriber.
    pub(crate) fn verdicts(
        &mut self,
        kind: ProbeKind,
        finding: Finding,
        reason: &str,
    ) -> impl Iterator<Item = Verdict> {
        if let Some(arm) = self.arm_mut(kind) {
            arm.reason = reason.into();
        }
        self.subscribers
            .iter()
            .map(move |endpoint| verdict(endpoint, kind, finding, reason))
    }

    /// Everything found so far, for one that joins. Liveness goes first, because its success would begin the others
    /// anew.
    pub(crate) fn found(&self, endpoint: &Endpoint) -> impl Iterator<Item = Verdict> {
        let kinds = [
            ProbeKind::Liveness,
            ProbeKind::Startup,
            ProbeKind::Readiness,
        ];
        kinds.into_iter().filter_map(|kind| {
            let finding = self.course.finding(kind)?;
            Some(verdict(endpoint, kind, finding, &self.arm(kind)?.reason))
        })
    }

    /// The assumption that it lives, while liveness is unheard of here: for one that joins from another subject and may
    /// count as dead by what was found there.
    pub(crate) fn assumed(&self, endpoint: &Endpoint) -> Option<Verdict> {
        let kind = ProbeKind::Liveness;
        let unheard = self.arm(kind).is_some() && self.course.finding(kind).is_none();
        unheard.then(|| {
            verdict(
                endpoint,
                kind,
                Finding::Passing,
                "assumed until it is probed",
            )
        })
    }

    /// Drops what is in flight.
    pub(crate) fn abort(&self) {
        for arm in self.arms.iter().flatten() {
            if let Presence::Aloft(flight) = &arm.presence {
                flight.abort();
            }
        }
    }
}

fn verdict(endpoint: &Endpoint, probe: ProbeKind, finding: Finding, reason: &str) -> Verdict {
    Verdict {
        endpoint: endpoint.key().clone(),
        probe,
        finding,
        reason: reason.into(),
    }
}
