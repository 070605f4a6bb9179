//! The loop under a paused clock, against endpoints that are asked without sockets.
//!
//! Ports tell probes apart: an endpoint's startup probe goes to port 1, its readiness probe to 2, its liveness to 3.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::time::{advance, sleep};

use super::*;
use crate::config::model::{Probe, ProbeAction};
use crate::endpoint::state::{Health, Held, Probes, State};
use crate::probe::plan::Target;
use Finding::{Failing, Passing};
use ProbeKind::{Liveness, Readiness, Startup};

const STARTUP: u16 = 1;
const READINESS: u16 = 2;
const LIVENESS: u16 = 3;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn probe(port: u16, period: Duration) -> Probe {
    Probe {
        action: ProbeAction::TcpSocket {
            host: None,
            port: Some(port),
        },
        initial_delay: Duration::ZERO,
        period,
        timeout: s(1),
        success_threshold: NonZeroU32::MIN,
        failure_threshold: NonZeroU32::MIN,
    }
}

fn ip(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 0, high, low).into()
}

fn endpoint(pool: &str, number: u16) -> Arc<Endpoint> {
    let key = EndpointKey {
        pool: pool.into(),
        address: SocketAddr::new(ip(number), 80).into(),
    };
    Arc::new(Endpoint::new(
        key,
        State::Starting,
        1,
        SystemTime::UNIX_EPOCH,
    ))
}

/// A target with these probes, told apart by their ports.
fn target(endpoint: &Arc<Endpoint>, probes: &[Probe]) -> Target {
    let find = |wanted: u16| {
        let found = probes.iter().find(|probe| {
            matches!(probe.action, ProbeAction::TcpSocket { port: Some(port), .. } if port == wanted)
        });
        found.cloned().map(Arc::new)
    };
    Target {
        endpoint: Arc::clone(endpoint),
        startup: find(STARTUP),
        readiness: find(READINESS),
        liveness: find(LIVENESS),
        secure: None,
        proxy_protocol: None,
    }
}

/// What endpoints answer: success unless said otherwise; `None` is never.
type Answers = Arc<Mutex<HashMap<SocketAddr, Option<ProbeResult>>>>;

struct House {
    plans: watch::Sender<Arc<Plan>>,
    changes: mpsc::Receiver<Change>,
    counts: Arc<Counts>,
    answers: Answers,
    sent: Arc<Mutex<Vec<(Duration, SocketAddr)>>>,
}

impl House {
    fn new(seed: u64, room_for_changes: usize) -> Self {
        let (plans, plans_taken) = watch::channel(Arc::default());
        let (tell, changes) = mpsc::channel(room_for_changes);
        let counts = Arc::new(Counts::new());
        let answers = Answers::default();
        let sent = Arc::default();
        let ask = {
            let (counts, answers, sent) =
                (Arc::clone(&counts), Arc::clone(&answers), Arc::clone(&sent));
            move |question: Arc<Question>| {
                let to = question.to().and_then(|to| to.ip()).unwrap();
                let answer = answers.lock().unwrap().get(&to).copied();
                let at = counts.now();
                let sent: &Mutex<Vec<(Duration, SocketAddr)>> = &sent;
                sent.lock().unwrap().push((at, to));
                async move {
                    let answer = match answer.unwrap_or(Some(ProbeResult::Success)) {
                        Some(ProbeResult::Success) => Answer::success("fine"),
                        Some(ProbeResult::Failure) => Answer::failure("broken"),
                        Some(ProbeResult::Unknown) => Answer::unknown("not sent"),
                        None => std::future::pending().await,
                    };
                    // Answers take a little, so that a plan can come while probes are in flight.
                    sleep(ms(10)).await;
                    answer
                }
            }
        };
        tokio::spawn(Rounds::new(ask, tell, Arc::clone(&counts), seed).run(plans_taken));
        Self {
            plans,
            changes,
            counts,
            answers,
            sent,
        }
    }

    fn follow(&self, targets: Vec<Target>) {
        self.plans.send(Arc::new(Plan { targets })).unwrap();
    }

    fn answer(&self, number: u16, port: u16, answer: Option<ProbeResult>) {
        let to = SocketAddr::new(ip(number), port);
        self.answers.lock().unwrap().insert(to, answer);
    }

    /// When probes were sent to a port so far, in milliseconds.
    fn sent_to(&self, port: u16) -> Vec<u128> {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .filter(|(_, to)| to.port() == port)
            .map(|(at, _)| at.as_millis())
            .collect()
    }

    fn forget_sent(&self) {
        self.sent.lock().unwrap().clear();
    }

    /// The verdicts told since they were asked for last.
    fn verdicts(&mut self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        while let Ok(change) = self.changes.try_recv() {
            let Change::Verdict(verdict) = change else {
                panic!("only verdicts are told: {change:?}");
            };
            verdicts.push(verdict);
        }
        verdicts
    }

    fn findings(&mut self) -> Vec<(ProbeKind, Finding)> {
        let verdicts = self.verdicts();
        verdicts
            .iter()
            .map(|verdict| (verdict.probe, verdict.finding))
            .collect()
    }
}

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
    let earliest: std::collections::HashSet<_> = {
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
    let mut told = std::collections::HashSet::new();
    while told.len() < 50 {
        let Some(Change::Verdict(verdict)) = house.changes.recv().await else {
            panic!("the prober ended");
        };
        assert!(told.insert(verdict.endpoint), "told twice");
    }
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

/// Endpoints that fail and recover under reloads that change probes, merge and part pools: whatever happened, once
/// things stand still, each endpoint is in the state that its answers mean.
#[tokio::test(start_paused = true)]
async fn after_any_story_the_states_come_to_agree_with_the_answers() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut house = House::new(seed, 4);
        let endpoints: Vec<_> = ["blue", "green"]
            .into_iter()
            .flat_map(|pool| (0..3).map(move |number| endpoint(pool, number)))
            .collect();
        let mut healths: HashMap<EndpointKey, Health> = HashMap::new();
        let mut truths = [[true; 3]; 3];
        for step in 0..60 {
            if step == 0 || random.u8(..4) == 0 {
                reload(&house, &mut random, &endpoints, &mut healths);
            }
            for (number, truth) in (0..).zip(&mut truths) {
                for (port, passes) in (1..).zip(truth) {
                    *passes = if step < 59 { random.bool() } else { *passes };
                    let result = if *passes {
                        ProbeResult::Success
                    } else {
                        ProbeResult::Failure
                    };
                    house.answer(number, port, Some(result));
                }
            }
            let mut left = if step < 59 {
                random.u64(..3_000)
            } else {
                60_000
            };
            while left > 0 {
                let part = left.min(50);
                sleep(ms(part)).await;
                left -= part;
                for verdict in house.verdicts() {
                    let health = healths.get_mut(&verdict.endpoint).unwrap();
                    health.apply(verdict.probe, verdict.finding);
                }
            }
        }
        for endpoint in &endpoints {
            let health = &healths[endpoint.key()];
            let number = usize::from(endpoint.address().ip().unwrap().ip() == ip(1))
                + 2 * usize::from(endpoint.address().ip().unwrap().ip() == ip(2));
            let [starts, ready, lives] = truths[number];
            let has = |kind| health.probes().has(kind);
            let state = health.state(Held::Free);
            let context = format!(
                "seed {seed}, {:?}, {:?}, {health:?}",
                endpoint.key(),
                truths[number]
            );
            // Where startup was passed before, it is not asked again; where liveness fails, death depends on whether
            // startup let it be asked.
            match state {
                State::Dead => assert!(has(Liveness) && !lives, "{context}"),
                State::Starting => assert!(has(Startup) && !starts, "{context}"),
                State::Unready => assert!(has(Readiness) && !ready, "{context}"),
                State::Ready => assert!(
                    (!has(Readiness) || ready) && (!has(Liveness) || lives),
                    "{context}"
                ),
                State::Draining => panic!("{context}"),
            }
        }
    }
}

fn reload(
    house: &House,
    random: &mut fastrand::Rng,
    endpoints: &[Arc<Endpoint>],
    healths: &mut HashMap<EndpointKey, Health>,
) {
    let targets: Vec<Target> = endpoints
        .iter()
        .map(|endpoint| {
            let mut probes = Vec::new();
            for port in [STARTUP, READINESS, LIVENESS] {
                if random.bool() {
                    probes.push(probe(port, s(random.u64(1..3))));
                }
            }
            target(endpoint, &probes)
        })
        .collect();
    for target in &targets {
        let probes: Probes = target.kinds().collect();
        healths
            .entry(target.endpoint.key().clone())
            .and_modify(|health| health.configure(probes))
            .or_insert_with(|| Health::new(probes));
    }
    house.follow(targets);
}
