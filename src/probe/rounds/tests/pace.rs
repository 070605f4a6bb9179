//! When probes are sent: the first at once, all further ones evenly, however many there are and whatever stalls.

use std::collections::HashSet;

use tokio::time::{advance, sleep};

use super::{House, LIVENESS, READINESS, STARTUP, endpoint, ms, probe, s, target};
use crate::change::Change;
use crate::change::Finding::Passing;
use crate::change::ProbeKind::Readiness;
use crate::change::Verdict;
use crate::probe::counts::ProbeResult;
use crate::probe::rounds::MOST_ALOFT;

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_is_probed_at_once_and_then_once_a_period_without_drift() {
    let mut house = House::new(1, 16);
    let one = endpoint("shop", 1);
    house.follow(vec![target(&one, &[probe(READINESS, s(5))])]);
    sleep(s(60)).await;

    let sent = house.sent_to(READINESS);
    assert!(sent[0] <= 1, "{sent:?}");
    let after_first = sent[1] - sent[0];
    assert!((2_500..7_502).contains(&after_first), "{sent:?}");
    for (turn, at) in (0..).zip(&sent[1..]) {
        assert!(at.abs_diff(sent[1] + turn * 5_000) <= 1, "{sent:?}");
    }
    assert_eq!(
        house.verdicts(),
        [Verdict {
            endpoint: one.key().clone(),
            probe: Readiness,
            finding: Passing,
            reason: "fine".into(),
        }]
    );
    let history = one.history();
    assert!(history.probes[0].succeeded);
    assert_eq!(&*history.probes[0].detail, "fine");
    let series = house.counts.series();
    let counted = series[0].tally.of(ProbeResult::Success).read();
    assert_eq!(counted.count(), sent.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_of_each_kind_goes_out_as_soon_as_it_may_however_long_its_period() {
    let house = House::new(1, 16);
    let hourly = [READINESS, LIVENESS].map(|port| probe(port, s(3_600)));
    let started = [STARTUP, READINESS, LIVENESS].map(|port| probe(port, s(3_600)));
    house.follow(vec![
        target(&endpoint("shop", 1), &hourly),
        target(&endpoint("shop", 2), &started),
    ]);
    sleep(ms(100)).await;

    for (port, count) in [(STARTUP, 1), (READINESS, 2), (LIVENESS, 2)] {
        let sent = house.sent_to(port);
        assert_eq!(sent.len(), count, "to port {port} at {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn first_probes_of_all_kinds_together_keep_to_a_thousand_a_second() {
    let house = House::new(1, 10_000);
    let probes = [READINESS, LIVENESS].map(|port| probe(port, s(3_600)));
    let targets = (0..1_000).map(|number| target(&endpoint("shop", number), &probes));
    house.follow(targets.collect());
    sleep(s(3)).await;

    let mut sent = [house.sent_to(READINESS), house.sent_to(LIVENESS)].concat();
    sent.sort_unstable();
    assert_eq!(sent.len(), 2_000);
    let in_first_second = sent.iter().filter(|at| **at < 1_000).count();
    assert!(
        (900..=1_000).contains(&in_first_second),
        "{in_first_second}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_endpoints_leave_on_time_and_evenly() {
    let house = House::new(7, 20_000);
    let targets = (0..10_000)
        .map(|number| target(&endpoint("shop", number), &[probe(READINESS, s(5))]))
        .collect();
    house.follow(targets);
    sleep(s(20)).await;
    let first = house.sent_to(READINESS);
    let earliest: HashSet<_> = {
        let sent = house.sent.lock().unwrap();
        let early = sent.iter().filter(|(at, _)| *at <= s(1));
        early.map(|(_, to)| *to).collect()
    };
    assert!(earliest.len() <= 1_000, "{}", earliest.len());
    assert!(first.len() >= 10_000);

    house.forget_sent();
    let from = house.counts.now().as_millis();
    sleep(s(10)).await;
    let mut slices = [0_u32; 100];
    for at in house.sent_to(READINESS) {
        slices[usize::try_from((at - from) / 100).unwrap().min(99)] += 1;
    }
    assert!(
        slices.iter().sum::<u32>().abs_diff(20_000) < 30,
        "{slices:?}"
    );
    assert!(
        slices.iter().all(|count| (120..=280).contains(count)),
        "{slices:?}"
    );
    assert!(house.counts.lag() <= ms(2), "{:?}", house.counts.lag());
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_was_stalled_skips_the_turns_it_missed_and_shows_the_lag() {
    let house = House::new(3, 16);
    house.follow(vec![target(
        &endpoint("shop", 1),
        &[probe(READINESS, s(1))],
    )]);
    sleep(s(5)).await;
    let grid = house.sent_to(READINESS)[1] % 1_000;
    house.forget_sent();
    advance(ms(7_300)).await;
    sleep(s(3)).await;
    let sent = house.sent_to(READINESS);
    assert!((3..=5).contains(&sent.len()), "{sent:?}");
    for at in &sent[1..] {
        assert!((at % 1_000).abs_diff(grid) <= 1, "{sent:?} off {grid}");
    }
    let lag = house.counts.lag();
    assert!(lag > s(6) && lag < s(8), "{lag:?}");
}

#[tokio::test(start_paused = true)]
async fn control_that_takes_no_verdicts_for_a_while_misses_none_and_holds_up_no_probe() {
    let mut house = House::new(3, 1);
    let targets = (0..50)
        .map(|number| target(&endpoint("shop", number), &[probe(READINESS, s(1))]))
        .collect();
    house.follow(targets);
    sleep(s(10)).await;
    let sent = house.sent_to(READINESS).len();
    assert!((470..=530).contains(&sent), "{sent}");
    let mut told = HashSet::new();
    while told.len() < 50 {
        let Some(Change::Verdict(verdict)) = house.changes.recv().await else {
            panic!("the prober ended");
        };
        assert!(told.insert(verdict.endpoint), "told twice");
    }
}

#[tokio::test(start_paused = true)]
async fn probes_beyond_the_most_in_flight_wait_and_show_as_lag() {
    let house = House::new(3, 16);
    let targets = (0..6_000).map(|number| {
        house.answer(number, READINESS, None);
        target(&endpoint("shop", number), &[probe(READINESS, s(60))])
    });
    house.follow(targets.collect());
    sleep(s(10)).await;
    assert_eq!(house.sent_to(READINESS).len(), MOST_ALOFT);
    assert!(house.counts.lag() > s(5), "{:?}", house.counts.lag());
    house.follow(Vec::new());
    sleep(ms(10)).await;
    house.follow(vec![target(
        &endpoint("shop", 9_999),
        &[probe(READINESS, s(60))],
    )]);
    sleep(ms(10)).await;
    assert_eq!(house.sent_to(READINESS).len(), MOST_ALOFT + 1);
}
