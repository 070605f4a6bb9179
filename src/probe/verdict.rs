//! From results to verdicts: thresholds, and which of an endpoint's probes run at all. Pure.
//!
//! As in Kubernetes: while the startup probe has not passed only it runs; readiness is assumed failing and liveness
//! passing until they are heard. What happens after a liveness failure is not as there, because nothing here restarts
//! the endpoint: liveness alone goes on, and when it passes again, startup and readiness begin anew.

use std::num::NonZeroU32;

use crate::change::{Finding, ProbeKind};
use crate::config::model::Probe;

/// How many results in a row make a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Successes in a row.
    pub(crate) success: NonZeroU32,
    /// Failures in a row.
    pub(crate) failure: NonZeroU32,
}

impl From<&Probe> for Thresholds {
    fn from(probe: &Probe) -> Self {
        Self {
            success: probe.success_threshold,
            failure: probe.failure_threshold,
        }
    }
}

/// The way of an endpoint through its probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    startup: Option<Track>,
    readiness: Option<Track>,
    liveness: Option<Track>,
}

/// What a result leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing new.
    Same,
    /// A verdict: the first one of this probe, or another than before.
    Verdict(Finding),
    /// Liveness passes again: a verdict too, and startup and readiness begin anew.
    Revived,
}

impl Course {
    /// The beginning, for the probes that there are.
    pub(crate) fn new(thresholds: impl Fn(ProbeKind) -> Option<Thresholds>) -> Self {
        let track = |kind| thresholds(kind).map(Track::new);
        Self {
            startup: track(ProbeKind::Startup),
            readiness: track(ProbeKind::Readiness),
            liveness: track(ProbeKind::Liveness),
        }
    }

    /// The beginning for an endpoint whose probes a reload has changed: what was found stays found until the new
    /// probes say otherwise, and a probe that is new to an endpoint in service counts as passed.
    pub(crate) fn after(
        before: &Self,
        thresholds: impl Fn(ProbeKind) -> Option<Thresholds>,
    ) -> Self {
        let mut course = Self::new(thresholds);
        if before.is_dead() && course.liveness.is_none() {
            return course;
        }
        let was_started = !before.is_dead() && before.is_started();
        let was_ready = was_started && passed(before.readiness.as_ref());
        adopt(&mut course.startup, before.startup.as_ref(), was_started);
        adopt(&mut course.readiness, before.readiness.as_ref(), was_ready);
        adopt(&mut course.liveness, before.liveness.as_ref(), was_started);
        course
    }

    /// Whether this probe is to be sent at present.
    pub(crate) fn runs(&self, kind: ProbeKind) -> bool {
        let in_turn = match kind {
            ProbeKind::Startup => !self.is_dead() && !self.is_started(),
            ProbeKind::Readiness => !self.is_dead() && self.is_started(),
            ProbeKind::Liveness => self.is_dead() || self.is_started(),
        };
        in_turn && self.track(kind).is_some()
    }

    /// Takes in the result of a probe. One of a probe that does not run any more changes nothing.
    pub(crate) fn note(&mut self, kind: ProbeKind, finding: Finding) -> Step {
        if !self.runs(kind) {
            return Step::Same;
        }
        let was_dead = self.is_dead();
        let first_failure = match kind {
            ProbeKind::Startup | ProbeKind::Readiness => FirstFailure::IsVerdict,
            ProbeKind::Liveness => FirstFailure::Counts,
        };
        let verdict = match self.track_mut(kind) {
            Some(track) => track.note(finding, first_failure),
            None => None,
        };
        match verdict {
            None => Step::Same,
            Some(Finding::Passing) if was_dead => {
                self.startup = self.startup.map(|track| Track::new(track.thresholds));
                self.readiness = self.readiness.map(|track| Track::new(track.thresholds));
                Step::Revived
            }
            Some(finding) => Step::Verdict(finding),
        }
    }

    /// The last verdict of a probe.
    pub(crate) fn finding(&self, kind: ProbeKind) -> Option<Finding> {
        self.track(kind).and_then(|track| track.finding)
    }

    fn is_started(&self) -> bool {
        passed(self.startup.as_ref())
    }

    fn is_dead(&self) -> bool {
        self.finding(ProbeKind::Liveness) == Some(Finding::Failing)
    }

    fn track(&self, kind: ProbeKind) -> Option<&Track> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }

    fn track_mut(&mut self, kind: ProbeKind) -> Option<&mut Track> {
        match kind {
            ProbeKind::Startup => self.startup.as_mut(),
            ProbeKind::Readiness => self.readiness.as_mut(),
            ProbeKind::Liveness => self.liveness.as_mut(),
        }
    }
}

/// Whether a probe that is not there, or has passed, stands in nobody's way.
fn passed(track: Option<&Track>) -> bool {
    track.is_none_or(|track| track.finding == Some(Finding::Passing))
}

fn adopt(track: &mut Option<Track>, before: Option<&Track>, passed_without: bool) {
    let Some(track) = track else { return };
    track.finding = match before {
        Some(before) => before.finding,
        None => passed_without.then_some(Finding::Passing),
    };
}

/// Whether the first result of all, when it is a failure, is a verdict at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstFailure {
    /// The probe is assumed failing anyway.
    IsVerdict,
    /// The probe is assumed passing: the failure threshold decides.
    Counts,
}

/// The results of one probe in a row, and its last verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    thresholds: Thresholds,
    finding: Option<Finding>,
    last: Option<Finding>,
    in_a_row: u32,
}

impl Track {
    fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            finding: None,
            last: None,
            in_a_row: 0,
        }
    }

    fn note(&mut self, result: Finding, first_failure: FirstFailure) -> Option<Finding> {
        if self.last != Some(result) {
            self.last = Some(result);
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);

        let at_once = self.finding.is_none()
            && result == Finding::Failing
            && first_failure == FirstFailure::IsVerdict;
        let threshold = match result {
            Finding::Passing => self.thresholds.success,
            Finding::Failing => self.thresholds.failure,
        };
        let reached = at_once || self.in_a_row >= threshold.get();
        if !reached || self.finding == Some(result) {
            return None;
        }
        self.finding = Some(result);
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Finding::{Failing, Passing};
    use ProbeKind::{Liveness, Readiness, Startup};

    fn course(kinds: &[ProbeKind], success: u32, failure: u32) -> Course {
        let thresholds = Thresholds {
            success: NonZeroU32::new(success).unwrap(),
            failure: NonZeroU32::new(failure).unwrap(),
        };
        Course::new(|kind| kinds.contains(&kind).then_some(thresholds))
    }

    fn running(course: &Course) -> Vec<ProbeKind> {
        [Startup, Readiness, Liveness]
            .into_iter()
            .filter(|kind| course.runs(*kind))
            .collect()
    }

    /// The verdicts that a word of results leads to: `+` a success, `-` a failure, `.` no verdict.
    fn verdicts(kind: ProbeKind, success: u32, failure: u32, results: &str) -> String {
        let mut course = course(&[kind], success, failure);
        results
            .chars()
            .map(|result| {
                let result = if result == '+' { Passing } else { Failing };
                match course.note(kind, result) {
                    Step::Same => '.',
                    Step::Verdict(Passing) => '+',
                    Step::Verdict(Failing) => '-',
                    Step::Revived => 'r',
                }
            })
            .collect()
    }

    #[test]
    fn thresholds_count_results_in_a_row() {
        let cases = [
            (Readiness, 1, 3, "+--+---+", "+.....-+"),
            (Readiness, 1, 3, "-----+", "-....+"),
            (Readiness, 3, 1, "++-+++-", "..-..+-"),
            (Readiness, 2, 2, "+-++", ".-.+"),
            (Liveness, 1, 3, "+--+---", "+.....-"),
            (Liveness, 1, 3, "---+", "..-r"),
            (Liveness, 2, 1, "-+-++", "-...r"),
            (Startup, 1, 30, "---++", "-..+."),
        ];
        for (kind, success, failure, results, expected) in cases {
            let found = verdicts(kind, success, failure, results);
            assert_eq!(found, expected, "{kind:?} {success}/{failure} {results}");
        }
    }

    #[test]
    fn only_the_startup_probe_runs_until_it_has_passed() {
        let mut course = course(&[Startup, Readiness, Liveness], 1, 3);
        assert_eq!(running(&course), [Startup]);
        assert_eq!(course.note(Readiness, Passing), Step::Same);
        assert_eq!(course.note(Startup, Failing), Step::Verdict(Failing));
        assert_eq!(running(&course), [Startup]);
        assert_eq!(course.note(Startup, Passing), Step::Verdict(Passing));
        assert_eq!(running(&course), [Readiness, Liveness]);
    }

    #[test]
    fn after_death_liveness_alone_runs_and_its_success_begins_startup_and_readiness_anew() {
        let mut course = course(&[Startup, Readiness, Liveness], 1, 1);
        course.note(Startup, Passing);
        course.note(Readiness, Passing);
        assert_eq!(course.note(Liveness, Failing), Step::Verdict(Failing));
        assert_eq!(running(&course), [Liveness]);
        assert_eq!(course.note(Liveness, Passing), Step::Revived);
        assert_eq!(running(&course), [Startup]);
        course.note(Startup, Passing);
        assert_eq!(course.finding(Readiness), None);
        assert_eq!(course.note(Readiness, Failing), Step::Verdict(Failing));
    }

    #[test]
    fn a_changed_probe_takes_a_ready_endpoint_out_only_by_its_failure_threshold() {
        let mut before = course(&[Readiness], 1, 3);
        before.note(Readiness, Passing);
        let all = course(&[Startup, Readiness, Liveness], 1, 2);
        let mut after = Course::after(&before, |kind| {
            all.track(kind).map(|track| track.thresholds)
        });
        assert_eq!(running(&after), [Readiness, Liveness]);
        assert_eq!(after.note(Readiness, Failing), Step::Same);
        assert_eq!(after.note(Readiness, Failing), Step::Verdict(Failing));
    }

    #[test]
    fn a_changed_liveness_probe_leaves_the_dead_dead_until_it_passes() {
        let mut before = course(&[Readiness, Liveness], 1, 1);
        before.note(Readiness, Passing);
        before.note(Liveness, Failing);
        let thresholds = before.track(Liveness).unwrap().thresholds;
        let mut after = Course::after(&before, |_| Some(thresholds));
        assert_eq!(running(&after), [Liveness]);
        assert_eq!(after.note(Liveness, Passing), Step::Revived);
        assert_eq!(running(&after), [Startup]);
        let without = Course::after(&before, |kind| (kind == Readiness).then_some(thresholds));
        assert_eq!(without.finding(Readiness), None);
    }

    proptest! {
        #[test]
        fn a_verdict_is_news_and_what_runs_follows_from_the_verdicts(
            kinds in proptest::sample::subsequence(vec![Startup, Readiness, Liveness], 0..=3),
            success in 1..4_u32,
            failure in 1..4_u32,
            results in proptest::collection::vec((0..3_usize, any::<bool>()), 0..60),
        ) {
            let mut course = course(&kinds, success, failure);
            let mut known = [None; 3];
            for (index, succeeded) in results {
                let kind = [Startup, Readiness, Liveness][index];
                let result = if succeeded { Passing } else { Failing };
                match course.note(kind, result) {
                    Step::Same => {}
                    Step::Verdict(finding) => {
                        prop_assert_eq!(finding, result);
                        prop_assert_ne!(known[index], Some(finding));
                        known[index] = Some(finding);
                    }
                    Step::Revived => {
                        prop_assert_eq!((kind, result), (Liveness, Passing));
                        prop_assert_eq!(known[2], Some(Failing));
                        known = [None, None, Some(Passing)];
                    }
                }
                prop_assert_eq!(known, [Startup, Readiness, Liveness].map(|kind| course.finding(kind)));
                prop_assert!(!course.runs(Startup) || running(&course).len() == 1);
                prop_assert!(kinds.is_empty() || kinds == [Startup] || !running(&course).is_empty());
                prop_assert!(running(&course).iter().all(|kind| kinds.contains(kind)));
            }
        }
    }
}
