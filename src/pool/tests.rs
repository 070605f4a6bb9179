//! A history of states, held against the bounds.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::change::EndpointKey;
use crate::config::model::WhenNoneReady::{self, Fail, UseAll};
use crate::location::Location;
use crate::metrics::Metrics;
use crate::units::Weight;
use State::{Dead, Draining, Ready, Starting, Unready};

/// The endpoints of a pool and what stays with it over its rebuilding.
struct Stage {
    spec: Arc<model::Pool>,
    endpoints: Vec<Arc<Endpoint>>,
    roster: Arc<Roster>,
    metrics: Arc<Metrics>,
}

impl Stage {
    /// Of endpoints with these weights in thousandths, and whether each is a backup.
    fn new(roles: &[(u64, bool)], when_none_ready: WhenNoneReady) -> Self {
        Self::balanced(roles, when_none_ready, model::Balance::RoundRobin)
    }

    fn balanced(
        roles: &[(u64, bool)],
        when_none_ready: WhenNoneReady,
        balance: model::Balance,
    ) -> Self {
        let name: Arc<str> = "p".into();
        let address = |index: usize| {
            let port = u16::try_from(index + 1).unwrap();
            Location::Ip(([127, 0, 0, 1], port).into())
        };
        let configured = |(index, &(weight, backup)): (usize, &(u64, bool))| model::EndpointSpec {
            address: model::Address::At(address(index)),
            weight: Weight::from_thousandths(weight),
            zone: None,
            backup,
        };
        let endpoint = |index: usize| {
            let key = EndpointKey {
                pool: Arc::clone(&name),
                address: address(index),
            };
            Arc::new(Endpoint::new(key, Starting, 1, SystemTime::UNIX_EPOCH))
        };
        let spec = model::Pool {
            name: Arc::clone(&name),
            version: None,
            deployment: None,
            balance,
            endpoints: roles.iter().enumerate().map(configured).collect(),
            protocol: model::UpstreamProtocol::Http1,
            connect: model::Connect::default(),
            tls: None,
            proxy_protocol: None,
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            when_none_ready,
            drain_timeout: None,
        };
        Self {
            endpoints: (0..roles.len()).map(endpoint).collect(),
            roster: Arc::new(Roster::new(&spec, |_| &[])),
            spec: Arc::new(spec),
            metrics: Metrics::new(1),
        }
    }

    fn build(&self, states: &[State], judged: Judged, previous: Option<&Pool>) -> Pool {
        for (endpoint, state) in self.endpoints.iter().zip(states) {
            endpoint.set_state(*state, "", SystemTime::UNIX_EPOCH);
        }
        let endpoint = |entry: &Entry| {
            Arc::clone(&self.endpoints[usize::from(entry.address.ip().unwrap().port()) - 1])
        };
        let pool = Pool::build(
            Arc::clone(&self.spec),
            Arc::clone(&self.roster),
            endpoint,
            judged,
            self.metrics.pool("p"),
            previous,
        );
        pool.rotation().start();
        pool
    }

    /// The index of the endpoint that the next request gets.
    fn picked(&self, pool: &Pool) -> Option<usize> {
        match pool.pick(&mut fastrand::Rng::with_seed(7), &Keys::default()) {
            Picked::Member(member) => self
                .endpoints
                .iter()
                .position(|known| Arc::ptr_eq(known, &pool.members()[member].endpoint)),
            Picked::Nobody => None,
            Picked::Outdated => panic!("nothing follows this pool"),
        }
    }
}

#[test]
fn who_may_be_chosen_and_what_that_makes_of_the_pool() {
    let roles = [(1_000, false), (1_000, false), (1_000, true)];
    type Case<'a> = ([State; 3], WhenNoneReady, Judged, Standing, &'a [usize]);
    let cases: &[Case<'_>] = &[
        (
            [Ready, Ready, Ready],
            Fail,
            Judged::Yes,
            Standing::Able,
            &[0, 1],
        ),
        (
            [Ready, Dead, Ready],
            Fail,
            Judged::Yes,
            Standing::Able,
            &[0],
        ),
        (
            [Unready, Starting, Ready],
            UseAll,
            Judged::Yes,
            Standing::Able,
            &[2],
        ),
        (
            [Unready, Dead, Unready],
            Fail,
            Judged::Yes,
            Standing::Unable,
            &[],
        ),
        (
            [Unready, Dead, Unready],
            UseAll,
            Judged::Yes,
            Standing::LastResort,
            &[0],
        ),
        (
            [Dead, Starting, Unready],
            UseAll,
            Judged::Yes,
            Standing::LastResort,
            &[2],
        ),
        (
            [Dead, Starting, Draining],
            UseAll,
            Judged::Yes,
            Standing::Unable,
            &[],
        ),
        (
            [Unready, Unready, Unready],
            UseAll,
            Judged::NotYet,
            Standing::Unjudged,
            &[],
        ),
        (
            [Ready, Unready, Unready],
            Fail,
            Judged::NotYet,
            Standing::Able,
            &[0],
        ),
    ];
    for (states, when_none_ready, judged, standing, expected) in cases {
        let stage = Stage::new(&roles, *when_none_ready);
        let pool = stage.build(states, *judged, None);
        let mut picked: Vec<usize> = (0..6).filter_map(|_| stage.picked(&pool)).collect();
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(pool.standing(), *standing, "{states:?}");
        assert_eq!(picked, *expected, "{states:?} {when_none_ready:?}");
    }
}

#[test]
fn a_further_try_goes_to_an_endpoint_that_was_not_tried_where_there_is_one() {
    let stage = Stage::new(&[(1, false), (1, false), (1, false)], Fail);
    let pool = stage.build(&[Ready, Unready, Ready], Judged::Yes, None);
    for random in 0..7 {
        let chance = &mut fastrand::Rng::with_seed(random);
        let keys = Keys::default();
        let tried = [Arc::clone(&stage.endpoints[0])];
        let again = pool.pick_again(&tried, chance, &keys).unwrap();
        assert!(Arc::ptr_eq(again, &stage.endpoints[2]), "{random}");
        let tried = [0, 2].map(|index| Arc::clone(&stage.endpoints[index]));
        let again = pool.pick_again(&tried, chance, &keys).unwrap();
        assert!(!Arc::ptr_eq(again, &stage.endpoints[1]), "{random}");
    }
    let none = stage.build(&[Dead, Unready, Dead], Judged::Yes, None);
    let chance = &mut fastrand::Rng::with_seed(7);
    assert!(none.pick_again(&[], chance, &Keys::default()).is_none());
}

#[test]
fn a_change_that_touches_no_chance_keeps_the_very_same_order() {
    let stage = Stage::new(&[(1, false), (2, false), (3, false)], Fail);
    let before = stage.build(&[Ready, Ready, Unready], Judged::Yes, None);
    let after = stage.build(&[Ready, Ready, Dead], Judged::Yes, Some(&before));
    assert!(Arc::ptr_eq(before.rotation(), after.rotation()));
}

#[test]
fn a_ring_and_the_turns_among_the_least_loaded_outlive_a_change_of_states() {
    let on = |balance| Stage::balanced(&[(1_000, false); 3], Fail, balance);
    let stage = on(model::Balance::RingHash(model::RingHash::default()));
    let ring = |pool: &Pool| match &pool.picker {
        Picker::RingHash(ring_hash) => Arc::clone(ring_hash.ring()),
        _ => panic!("a ring was asked for"),
    };
    let before = stage.build(&[Ready; 3], Judged::Yes, None);
    let after = stage.build(&[Ready, Dead, Ready], Judged::Yes, Some(&before));
    assert!(Arc::ptr_eq(&ring(&before), &ring(&after)));

    let stage = on(model::Balance::LeastRequest);
    let (chance, keys) = (&mut fastrand::Rng::with_seed(7), Keys::default());
    let mut next = |pool: &Pool| match pool.pick(chance, &keys) {
        Picked::Member(member) => {
            stage.endpoints[member].load().release();
            member
        }
        other => panic!("{other:?}"),
    };
    let before = stage.build(&[Ready; 3], Judged::Yes, None);
    assert_eq!([next(&before), next(&before)], [0, 1]);
    let after = stage.build(&[Ready, Ready, Dead], Judged::Yes, Some(&before));
    assert_eq!([next(&after), next(&after)], [0, 1]);
    let back = stage.build(&[Ready; 3], Judged::Yes, Some(&after));
    assert_ne!(next(&back), 1, "it was served last");
}

#[test]
fn the_only_endpoint_is_claimed_as_any_other() {
    for balance in balances() {
        let stage = Stage::balanced(&[(1, false), (1, false)], Fail, balance);
        let pool = stage.build(&[Ready, Dead], Judged::Yes, None);
        let chance = &mut fastrand::Rng::with_seed(7);
        assert_eq!(pool.pick(chance, &Keys::default()), Picked::Member(0));
        let claimed = stage.endpoints[0].load().claimed();
        assert_eq!(claimed, u64::from(pool.claims()));
    }
}

fn balances() -> [model::Balance; 6] {
    use model::Balance::{LeastRequest, PowerOfTwo, Random, RingHash, RoundRobin};
    let unbounded = model::RingHash {
        balance_factor: None,
        ..model::RingHash::default()
    };
    let bounded = model::RingHash::default();
    [
        RoundRobin,
        LeastRequest,
        PowerOfTwo,
        Random,
        RingHash(bounded),
        RingHash(unbounded),
    ]
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![5 => Just(Ready), 2 => Just(Unready), 1 => Just(Dead), 1 => Just(Starting)]
}

/// Weights and roles, and then again and again: the states, and how many requests come while they last.
#[expect(clippy::type_complexity, reason = "the parts of a made-up history")]
fn history() -> impl Strategy<Value = (Vec<(u64, bool)>, Vec<(Vec<State>, usize)>)> {
    (1_usize..6).prop_flat_map(|count| {
        let role = (0_u64..5_000, prop::bool::weighted(0.2));
        let phase = (prop::collection::vec(state(), count), 0_usize..120);
        (
            prop::collection::vec(role, count),
            prop::collection::vec(phase, 1..12),
        )
    })
}

proptest! {
    #[test]
    fn over_any_history_only_those_are_chosen_that_may_be_and_nothing_makes_a_burst(
        (roles, history) in history(),
        uses_all in any::<bool>(),
    ) {
        let stage = Stage::new(&roles, if uses_all { UseAll } else { Fail });
        let mut current: Option<Pool> = None;
        let mut before_all_else = true;
        for (states, requests) in history {
            let pool = stage.build(&states, Judged::Yes, current.as_ref());
            let (chances, standing) = chances(pool.members(), stage.spec.when_none_ready, Judged::Yes);
            let sum = chances.iter().sum::<u64>() as f64;
            prop_assert_eq!(sum > 0.0, matches!(standing, Standing::Able | Standing::LastResort));
            let choosable = chances.iter().filter(|chance| **chance > 0).count();
            let mut got = vec![0_u64; roles.len()];
            for n in 1..=requests {
                let picked = stage.picked(&pool);
                prop_assert_eq!(picked.is_some(), sum > 0.0);
                let Some(picked) = picked else { continue };
                prop_assert!(chances[picked] > 0, "{picked} of {chances:?}");
                got[picked] += 1;
                // From the beginning within the bound of the sequence; later what is carried over comes to it.
                let bound = match (before_all_else, choosable) {
                    (true, 0..=2) => 0.5 + 1e-9,
                    (true, _) => 1.0,
                    (false, _) => 3.0,
                };
                for (got, &chance) in got.iter().zip(&chances) {
                    let off = *got as f64 - n as f64 * chance as f64 / sum;
                    prop_assert!(off.abs() <= bound, "{off} after {n} of {chances:?}");
                }
            }
            before_all_else = false;
            current = Some(pool);
        }
    }

    #[test]
    fn by_any_balancer_and_over_any_history_only_those_are_chosen_that_may_be(
        (roles, history) in history(),
        which in 0_usize..6,
        seed in any::<u64>(),
    ) {
        let stage = Stage::balanced(&roles, UseAll, balances()[which].clone());
        let chance = &mut fastrand::Rng::with_seed(seed);
        let mut current: Option<Pool> = None;
        for (states, requests) in history {
            let pool = stage.build(&states, Judged::Yes, current.as_ref());
            let (chances, _) = chances(pool.members(), UseAll, Judged::Yes);
            let choosable = chances.iter().filter(|chance| **chance > 0).count();
            for _ in 0..requests {
                let mut keys = Keys::default();
                if let Some(source) = pool.key_source().filter(|_| chance.bool()) {
                    keys.add(source, chance.u64(..));
                }
                let Picked::Member(first) = pool.pick(chance, &keys) else {
                    prop_assert_eq!(choosable, 0);
                    continue;
                };
                prop_assert!(chances[first] > 0, "{first} of {chances:?}");
                let tried = [Arc::clone(&stage.endpoints[first])];
                let again = pool.pick_again(&tried, chance, &keys).unwrap();
                prop_assert_eq!(Arc::ptr_eq(again, &tried[0]), choosable == 1);
                let place = stage.endpoints.iter().position(|one| Arc::ptr_eq(one, again));
                prop_assert!(chances[place.unwrap()] > 0);
                if pool.claims() {
                    again.load().release();
                    tried[0].load().release();
                }
            }
            current = Some(pool);
        }
        for endpoint in &stage.endpoints {
            prop_assert_eq!(endpoint.in_flight(), 0);
        }
    }
}
