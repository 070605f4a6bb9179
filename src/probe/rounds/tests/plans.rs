//! Plans that follow one another: what is kept, what is shared, and what ends.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::sleep;

use super::{House, LIVENESS, READINESS, endpoint, ip, ms, probe, s, target};
use crate::change::Finding::{Failing, Passing};
use crate::change::ProbeKind::{self, Liveness, Readiness};
use crate::config::model::Probe;
use crate::endpoint::state::{Health, Held, Probes, State};
use crate::probe::counts::ProbeResult;

#[tokio::test(start_paused = true)]
async fn a_hundred_reloads_that_keep_a_target_add_no_probe_and_move_none() {
    let mut timelines = Vec::new();
    for reloads in [0, 100] {
        let mut house = House::new(3, 16);
        let (kept, other) = (endpoint("shop", 1), endpoint("shop", 2));
        let probes = [probe(READINESS, s(1)), probe(LIVENESS, s(2))];
        house.follow(vec![target(&kept, &probes)]);
        sleep(ms(4_005)).await;
        for _ in 0..reloads {
            // The same probes, newly made, as a reload makes them; others come and go.
            let changing = [probe(READINESS, s(3_600))];
            house.follow(vec![target(&other, &changing), target(&kept, &probes)]);
            sleep(ms(20)).await;
            house.follow(vec![target(&kept, &probes)]);
            sleep(ms(17)).await;
        }
        sleep(s(10).saturating_sub(house.counts.now())).await;
        house
            .sent
            .lock()
            .unwrap()
            .retain(|(_, to)| to.ip() == ip(1));
        timelines.push((house.sent_to(READINESS), house.sent_to(LIVENESS)));
        let news = house.verdicts();
        let news = news
            .iter()
            .filter(|verdict| verdict.endpoint == *kept.key());
        assert_eq!(news.count(), 2);
    }
    assert_eq!(timelines[0], timelines[1]);
}

#[tokio::test(start_paused = true)]
async fn what_two_pools_ask_alike_is_sent_once_and_told_to_both() {
    let mut house = House::new(3, 16);
    let (blue, green) = (endpoint("blue", 1), endpoint("green", 1));
    let probes = [probe(READINESS, s(1))];
    house.follow(vec![target(&blue, &probes), target(&green, &probes)]);
    sleep(ms(400)).await;
    assert_eq!(house.sent_to(READINESS).len(), 1);
    let told: Vec<_> = house
        .verdicts()
        .into_iter()
        .map(|verdict| verdict.endpoint)
        .collect();
    assert_eq!(told, [blue.key().clone(), green.key().clone()]);
    assert_eq!(green.history().probes.len(), 1);
    let pools: Vec<_> = house
        .counts
        .series()
        .into_iter()
        .map(|series| series.pool)
        .collect();
    assert_eq!(pools, ["blue".into(), "green".into()]);
}

#[tokio::test(start_paused = true)]
async fn one_that_joins_a_running_probing_is_told_what_was_found_without_a_probe() {
    let mut house = House::new(3, 16);
    let (blue, green) = (endpoint("blue", 1), endpoint("green", 1));
    let probes = [probe(READINESS, s(60)), probe(LIVENESS, s(60))];
    house.follow(vec![target(&blue, &probes)]);
    sleep(s(61)).await;
    house.verdicts();
    house.forget_sent();
    house.follow(vec![target(&green, &probes), target(&blue, &probes)]);
    sleep(ms(5)).await;
    let verdicts = house.verdicts();
    assert!(
        verdicts
            .iter()
            .all(|verdict| verdict.endpoint == *green.key())
    );
    let findings: Vec<_> = verdicts
        .iter()
        .map(|verdict| (verdict.probe, verdict.finding))
        .collect();
    assert_eq!(findings, [(Liveness, Passing), (Readiness, Passing)]);
    assert_eq!(house.sent.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_one_that_joins_a_probing_that_has_not_heard_of_liveness_yet_comes_to_be_ready() {
    let mut house = House::new(3, 16);
    let (blue, green) = (endpoint("blue", 1), endpoint("green", 1));
    let mut health = Health::new(of(&[Liveness]));
    house.answer(1, LIVENESS, Some(ProbeResult::Failure));
    house.follow(vec![target(&green, &[probe(LIVENESS, s(1))])]);
    sleep(ms(100)).await;
    house
        .verdicts()
        .iter()
        .for_each(|told| health.apply(told.probe, told.finding));
    assert_eq!(health.state(Held::Free), State::Dead);

    house.answer(1, LIVENESS, Some(ProbeResult::Success));
    let probes = [probe(READINESS, s(60)), probe(LIVENESS, s(60))];
    health.configure(of(&[Readiness, Liveness]));
    house.follow(vec![target(&blue, &probes), target(&green, &probes)]);
    sleep(s(61)).await;
    for told in house.verdicts() {
        if told.endpoint == *green.key() {
            health.apply(told.probe, told.finding);
        }
    }
    assert_eq!(health.state(Held::Free), State::Ready, "{health:?}");
}

fn of(kinds: &[ProbeKind]) -> Probes {
    kinds.iter().copied().collect()
}

#[tokio::test(start_paused = true)]
async fn the_probe_in_flight_of_a_target_that_is_gone_is_dropped() {
    let mut house = House::new(3, 16);
    let gone = endpoint("shop", 1);
    house.follow(vec![target(&gone, &[probe(READINESS, s(1))])]);
    sleep(ms(5)).await;
    assert_eq!(house.sent_to(READINESS).len(), 1);
    house.follow(Vec::new());
    sleep(s(10)).await;
    assert_eq!(house.sent_to(READINESS).len(), 1);
    assert_eq!(house.verdicts(), []);
    assert!(gone.history().probes.is_empty());
    assert!(house.counts.series().is_empty());
    assert_eq!(house.counts.lag(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_changed_probe_keeps_what_was_found_until_its_own_threshold_is_reached() {
    let mut house = House::new(3, 16);
    let one = endpoint("shop", 1);
    house.follow(vec![target(&one, &[probe(READINESS, s(1))])]);
    sleep(ms(100)).await;
    assert_eq!(house.findings(), [(Readiness, Passing)]);
    house.answer(1, READINESS, Some(ProbeResult::Failure));
    let slower = Probe {
        failure_threshold: NonZeroU32::new(3).unwrap(),
        ..probe(READINESS, s(10))
    };
    house.follow(vec![target(&one, &[slower])]);
    sleep(s(15)).await;
    assert_eq!(
        house.findings(),
        [(Readiness, Passing)],
        "told again, not changed"
    );
    sleep(s(15)).await;
    assert_eq!(house.findings(), [(Readiness, Failing)]);
}
