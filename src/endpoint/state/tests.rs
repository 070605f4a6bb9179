//! The state machine: a table of its rules, and what holds whatever arrives.

use proptest::prelude::*;

use super::*;
use Finding::{Failing, Passing};
use ProbeKind::{Liveness, Readiness, Startup};

/// A step of a story told to a [`Health`].
#[derive(Clone, Copy, Debug)]
enum Step {
    Verdict(ProbeKind, Finding),
    Drain(DrainOrder),
    Leave,
    Configure(Probes),
}

fn told(probes: Probes, steps: &[Step]) -> Health {
    let mut health = Health::new(probes);
    for step in steps {
        tell(&mut health, *step);
    }
    health
}

fn tell(health: &mut Health, step: Step) {
    match step {
        Step::Verdict(probe, finding) => health.apply(probe, finding),
        Step::Drain(order) => health.drain(order),
        Step::Leave => health.leave(),
        Step::Configure(probes) => health.configure(probes),
    }
}

fn of(kinds: &[ProbeKind]) -> Probes {
    kinds.iter().copied().collect()
}

#[test]
fn verdicts_lead_to_the_states_of_the_contract() {
    use State::{Dead, Ready, Starting, Unready};
    use Step::Verdict as V;
    let all = of(&[Startup, Readiness, Liveness]);
    let cases: [(&str, Probes, &[Step], State, bool); 15] = [
        ("no probes", Probes::NONE, &[], Ready, true),
        ("readiness unknown", of(&[Readiness]), &[], Unready, false),
        (
            "readiness failed first",
            of(&[Readiness]),
            &[V(Readiness, Failing)],
            Unready,
            true,
        ),
        (
            "readiness passed",
            of(&[Readiness]),
            &[V(Readiness, Passing)],
            Ready,
            true,
        ),
        ("liveness alone", of(&[Liveness]), &[], Ready, true),
        (
            "liveness alone failed",
            of(&[Liveness]),
            &[V(Liveness, Failing)],
            Dead,
            true,
        ),
        (
            "liveness alone back",
            of(&[Liveness]),
            &[V(Liveness, Failing), V(Liveness, Passing)],
            Ready,
            true,
        ),
        ("startup unknown", of(&[Startup]), &[], Starting, false),
        (
            "startup failed",
            of(&[Startup]),
            &[V(Startup, Failing)],
            Starting,
            true,
        ),
        (
            "startup passed, nothing follows",
            of(&[Startup]),
            &[V(Startup, Passing)],
            Ready,
            true,
        ),
        (
            "startup passed, readiness awaited",
            all,
            &[V(Startup, Passing)],
            Unready,
            false,
        ),
        (
            "startup holds readiness back",
            all,
            &[V(Readiness, Passing)],
            Starting,
            false,
        ),
        (
            "all passed",
            all,
            &[
                V(Startup, Passing),
                V(Readiness, Passing),
                V(Liveness, Passing),
            ],
            Ready,
            true,
        ),
        (
            "dead",
            all,
            &[
                V(Startup, Passing),
                V(Readiness, Passing),
                V(Liveness, Failing),
            ],
            Dead,
            true,
        ),
        (
            "back from the dead: startup and readiness must pass anew",
            all,
            &[
                V(Startup, Passing),
                V(Readiness, Passing),
                V(Liveness, Failing),
                V(Liveness, Passing),
            ],
            Starting,
            true,
        ),
    ];
    for (name, probes, steps, state, judged) in cases {
        let health = told(probes, steps);
        assert_eq!(health.state(Held::Free), state, "{name}");
        assert_eq!(health.is_judged(), judged, "{name}");
    }
}

#[test]
fn one_that_is_held_back_is_unready_instead_of_dead() {
    let health = told(of(&[Liveness]), &[Step::Verdict(Liveness, Failing)]);
    assert_eq!(health.state(Held::Held), State::Unready);
    assert!(!health.is_live());
}

#[test]
fn draining_by_hand_outlives_verdicts_and_leaving_the_configuration_until_it_is_ended() {
    let mut health = told(
        of(&[Readiness, Liveness]),
        &[
            Step::Drain(DrainOrder::Begin),
            Step::Verdict(Readiness, Passing),
            Step::Verdict(Liveness, Failing),
        ],
    );
    assert_eq!(health.state(Held::Free), State::Draining);
    health.leave();
    health.configure(Probes::NONE);
    assert_eq!(health.state(Held::Free), State::Draining);
    health.drain(DrainOrder::End);
    assert_eq!(health.state(Held::Free), State::Ready);
}

#[test]
fn what_left_the_configuration_drains_and_comes_back_as_new() {
    let probes = of(&[Readiness]);
    let mut health = told(probes, &[Step::Verdict(Readiness, Passing), Step::Leave]);
    assert_eq!(health.state(Held::Free), State::Draining);
    health.configure(probes);
    assert_eq!(health, Health::new(probes));
}

#[test]
fn a_reload_that_adds_probes_takes_no_ready_endpoint_out() {
    let all = of(&[Startup, Readiness, Liveness]);
    let mut health = Health::new(Probes::NONE);
    health.configure(all);
    assert_eq!(health.state(Held::Free), State::Ready);
    health.apply(Readiness, Failing);
    assert_eq!(health.state(Held::Free), State::Unready);
}

#[test]
fn a_reload_that_adds_probes_does_not_start_what_had_not_started() {
    let mut health = told(of(&[Startup]), &[Step::Verdict(Startup, Failing)]);
    health.configure(of(&[Startup, Readiness]));
    assert_eq!(health.state(Held::Free), State::Starting);
    health.apply(Startup, Passing);
    assert_eq!(health.state(Held::Free), State::Unready);
}

#[test]
fn a_reload_that_takes_the_liveness_probe_away_brings_the_dead_back_to_starting() {
    let mut health = told(
        of(&[Readiness, Liveness]),
        &[
            Step::Verdict(Readiness, Passing),
            Step::Verdict(Liveness, Failing),
        ],
    );
    health.configure(of(&[Readiness]));
    assert_eq!(health.state(Held::Free), State::Unready);
}

fn kinds() -> impl Strategy<Value = ProbeKind> {
    prop_oneof![Just(Startup), Just(Readiness), Just(Liveness)]
}

fn probe_sets() -> impl Strategy<Value = Probes> {
    proptest::collection::vec(kinds(), 0..3).prop_map(|kinds| of(&kinds))
}

fn steps() -> impl Strategy<Value = Step> {
    let findings = prop_oneof![Just(Passing), Just(Failing)];
    prop_oneof![
        6 => (kinds(), findings).prop_map(|(kind, finding)| Step::Verdict(kind, finding)),
        1 => Just(Step::Drain(DrainOrder::Begin)),
        1 => Just(Step::Drain(DrainOrder::End)),
        1 => Just(Step::Leave),
        1 => probe_sets().prop_map(Step::Configure),
    ]
}

proptest! {
    #[test]
    fn whatever_arrives_the_state_is_borne_out_by_the_facts(
        probes in probe_sets(),
        story in proptest::collection::vec(steps(), 0..30),
    ) {
        let mut health = Health::new(probes);
        for step in story {
            let judged = health.is_judged();
            let before = health.clone();
            tell(&mut health, step);

            let (free, held) = (health.state(Held::Free), health.state(Held::Held));
            prop_assert_ne!(held, State::Dead);
            prop_assert!(free == held || (free, held) == (State::Dead, State::Unready));
            let drains = health.is_drained_by_hand() || health.membership == Membership::Left;
            prop_assert_eq!(free == State::Draining, drains);
            if free == State::Ready {
                prop_assert!(health.is_live() && health.is_judged());
                prop_assert!(!health.probes.has(Startup) || health.startup == Some(Passing));
                prop_assert!(!health.probes.has(Readiness) || health.readiness == Some(Passing));
            }
            if !drains && !health.is_live() {
                prop_assert_eq!(free, State::Dead);
            }
            if before.membership == Membership::Configured {
                prop_assert!(health.is_judged() || !judged, "a judgement was taken back");
            }
            if let Step::Configure(_) = step && before.state(Held::Free) == State::Ready {
                prop_assert_eq!(free, State::Ready, "a reload took a ready endpoint out");
            }
        }
    }
}
