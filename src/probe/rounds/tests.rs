//! The loop under a paused clock, against endpoints that are asked without sockets.
//!
//! Ports tell probes apart: an endpoint's startup probe goes to port 1, its readiness probe to 2, its liveness to 3.

mod kinds;
mod pace;
mod plans;
mod stories;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::time::sleep;

use super::*;
use crate::config::model::{Probe, ProbeAction};
use crate::endpoint::state::State;
use crate::probe::plan::Target;

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
