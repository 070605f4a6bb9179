//! The kinds of probes among each other, and answers that are none.

use tokio::time::sleep;

use super::{House, LIVENESS, READINESS, STARTUP, endpoint, ms, probe, s, target};
use crate::change::Finding::{Failing, Passing};
use crate::change::ProbeKind::{Liveness, Readiness, Startup};
use crate::config::model::Probe;
use crate::probe::counts::ProbeResult;

#[tokio::test(start_paused = true)]
async fn startup_holds_the_others_back_and_liveness_after_death_begins_them_anew() {
    let mut house = House::new(3, 16);
    let probes = [
        probe(STARTUP, s(1)),
        probe(READINESS, s(1)),
        probe(LIVENESS, s(1)),
    ];
    house.answer(1, STARTUP, Some(ProbeResult::Failure));
    house.follow(vec![target(&endpoint("shop", 1), &probes)]);
    sleep(s(5)).await;
    assert_eq!(house.findings(), [(Startup, Failing)]);
    assert!(house.sent_to(READINESS).is_empty() && house.sent_to(LIVENESS).is_empty());

    house.answer(1, STARTUP, Some(ProbeResult::Success));
    sleep(s(3)).await;
    let expected = [
        (Startup, Passing),
        (Readiness, Passing),
        (Liveness, Passing),
    ];
    assert_eq!(house.findings(), expected);

    house.answer(1, LIVENESS, Some(ProbeResult::Failure));
    sleep(s(2)).await;
    assert_eq!(house.findings(), [(Liveness, Failing)]);
    house.forget_sent();
    sleep(s(5)).await;
    assert_eq!(house.sent_to(LIVENESS).len(), 5);
    assert!(house.sent_to(STARTUP).is_empty() && house.sent_to(READINESS).is_empty());

    house.answer(1, LIVENESS, Some(ProbeResult::Success));
    sleep(s(2)).await;
    let expected = [
        (Liveness, Passing),
        (Startup, Passing),
        (Readiness, Passing),
    ];
    assert_eq!(house.findings(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_initial_delay_counts_from_the_beginning_also_for_what_startup_holds_back() {
    let house = House::new(3, 16);
    let delayed = |port| Probe {
        initial_delay: s(10),
        ..probe(port, s(1))
    };
    let probes = [probe(STARTUP, s(60)), delayed(READINESS)];
    house.follow(vec![
        target(&endpoint("shop", 1), &probes),
        target(&endpoint("shop", 2), &[delayed(LIVENESS)]),
    ]);
    sleep(ms(9_990)).await;
    assert!(house.sent_to(READINESS).is_empty() && house.sent_to(LIVENESS).is_empty());
    sleep(ms(20)).await;
    assert_eq!(house.sent_to(READINESS).len(), 1);
    assert_eq!(house.sent_to(LIVENESS).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_counts_towards_no_threshold() {
    let mut house = House::new(3, 16);
    let one = endpoint("shop", 1);
    house.answer(1, READINESS, Some(ProbeResult::Unknown));
    house.follow(vec![target(&one, &[probe(READINESS, s(1))])]);
    sleep(s(10)).await;
    assert_eq!(house.verdicts(), []);
    assert_eq!(&*one.history().probes[0].detail, "not sent");
    house.answer(1, READINESS, Some(ProbeResult::Failure));
    sleep(s(2)).await;
    assert_eq!(house.findings(), [(Readiness, Failing)]);
}
