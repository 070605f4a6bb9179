//! Stories told by chance: in the end the states agree with the answers, whatever happened before.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::sleep;

use super::{House, LIVENESS, READINESS, STARTUP, endpoint, ip, ms, probe, s, target};
use crate::change::EndpointKey;
use crate::change::ProbeKind::{Liveness, Readiness, Startup};
use crate::endpoint::Endpoint;
use crate::endpoint::state::{Health, Held, Probes, State};
use crate::probe::counts::ProbeResult;
use crate::probe::plan::Target;

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
