//! The loop of the discovery: asks for what is due, tells what came of it, follows what is wanted.
//!
//! All of it runs on one thread, each asking as a task of its own. Dropped at any `await`, it loses nothing but the
//! askings in flight.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::change::{Change, Outcome, Resolution};
use crate::discovery::ask::ask;
use crate::discovery::schedule::{Course, spread};
use crate::discovery::system::{System, Way};
use crate::discovery::wanted::Wanted;

/// The most names that are asked for at a time; further ones wait their turn.
const MOST_AT_A_TIME: usize = 64;

/// How long a new name is waited for before that is told.
const LATE: Duration = Duration::from_secs(5);

/// How long one asking may take, whatever the resolver's own timeouts add up to.
const LONGEST: Duration = Duration::from_secs(30);

/// The discovery without its thread.
#[derive(Debug)]
pub(crate) struct Rounds {
    changes: mpsc::Sender<Change>,
    system: System,
    names: BTreeMap<Arc<str>, Followed>,
    /// When each name that is not being asked for is due.
    due: BTreeSet<(Instant, Arc<str>)>,
    tasks: JoinSet<Outcome>,
    /// What each task is about. One that is not here was dropped, and how it ended is nobody's business.
    flights: HashMap<Id, Arc<str>>,
    chance: fastrand::Rng,
}

/// A name that is followed.
#[derive(Debug)]
struct Followed {
    following: u64,
    course: Course,
    /// The last good answer.
    addresses: Arc<[IpAddr]>,
    presence: Presence,
}

/// Where a name is at present.
#[derive(Debug)]
enum Presence {
    /// It is asked for then.
    Due(Instant),
    /// It is being asked for.
    Aloft(Id, AbortHandle),
}

impl Rounds {
    /// Nothing to ask for yet.
    pub(crate) fn new(changes: mpsc::Sender<Change>, seed: u64) -> Self {
        Self {
            changes,
            system: System::new(Wanted::default().resolver),
            names: BTreeMap::new(),
            due: BTreeSet::new(),
            tasks: JoinSet::new(),
            flights: HashMap::new(),
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Asks until nobody holds the other end of `wanted` any more.
    pub(crate) async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        loop {
            self.ask_for_what_is_due();
            let has_room = self.tasks.len() < MOST_AT_A_TIME;
            let next = self.due.first().map(|(at, _)| *at).filter(|_| has_room);
            tokio::select! {
                biased;
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = wanted.borrow_and_update().clone();
                    self.follow(wanted);
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    let Some(told) = self.take_in(ended) else { continue };
                    tokio::select! {
                        // Who took them has ended, and so will this.
                        sent = self.changes.send(Change::Resolution(told)) => {
                            sent.ok();
                        }
                        // A full queue must not keep the thread from ending.
                        () = closed(&mut wanted) => return,
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn follow(&mut self, wanted: Wanted) {
        let now = Instant::now();
        let is_renewed = *self.system.settings() != wanted.resolver;
        if is_renewed {
            self.system = System::new(wanted.resolver);
        }
        let mut before = std::mem::take(&mut self.names);
        for (name, following) in wanted.names {
            let known = before.remove(&name);
            let known = match known {
                Some(known) if known.following == following => known,
                other => {
                    other
                        .into_iter()
                        .for_each(|gone| self.drop_out(&name, &gone));
                    self.due.insert((now, Arc::clone(&name)));
                    Followed {
                        following,
                        course: Course::default(),
                        addresses: Arc::default(),
                        presence: Presence::Due(now),
                    }
                }
            };
            self.names.insert(name, known);
        }
        for (name, gone) in &before {
            self.drop_out(name, gone);
        }
        if is_renewed {
            self.begin_anew(now);
        }
    }

    /// Asks for every name at once: it may be another one by what is configured now.
    fn begin_anew(&mut self, now: Instant) {
        self.due.clear();
        for (name, known) in &mut self.names {
            if let Presence::Aloft(id, task) = &known.presence {
                task.abort();
                self.flights.remove(id);
            }
            known.course = Course::default();
            known.presence = Presence::Due(now);
            self.due.insert((now, Arc::clone(name)));
        }
    }

    fn drop_out(&mut self, name: &Arc<str>, gone: &Followed) {
        match &gone.presence {
            Presence::Due(at) => {
                self.due.remove(&(*at, Arc::clone(name)));
            }
            Presence::Aloft(id, task) => {
                task.abort();
                self.flights.remove(id);
            }
        }
    }

    fn ask_for_what_is_due(&mut self) {
        let now = Instant::now();
        while self.tasks.len() < MOST_AT_A_TIME
            && self.due.first().is_some_and(|(at, _)| *at <= now)
        {
            let Some((_, name)) = self.due.pop_first() else {
                return;
            };
            let Some(known) = self.names.get_mut(&name) else {
                continue;
            };
            let way = self.system.way(&name);
            let changes = self.changes.clone();
            let asking = Asking {
                name: Arc::clone(&name),
                following: known.following,
                before: Arc::clone(&known.addresses),
                is_first: known.addresses.is_empty() && known.course == Course::default(),
            };
            let task = self.tasks.spawn(asking.run(way, changes));
            known.presence = Presence::Aloft(task.id(), task.clone());
            self.flights.insert(task.id(), name);
        }
    }

    /// Takes in what came of an asking, and plans the next; gives back what is to be told.
    fn take_in(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Option<Resolution> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let problem = format!("asking for it broke off: {error}");
                (error.id(), Outcome::Failed(problem.into()))
            }
        };
        let name = self.flights.remove(&id)?;
        let known = self.names.get_mut(&name)?;
        let wait = match &outcome {
            Outcome::Found { addresses, ttl, .. } => {
                known.addresses = Arc::clone(addresses);
                known.course.after_answer(*ttl, self.system.settings())
            }
            Outcome::Missing(_) | Outcome::Failed(_) | Outcome::Late(_) => {
                known.course.after_failure()
            }
        };
        let at = Instant::now() + spread(wait, self.chance.f64());
        known.presence = Presence::Due(at);
        let following = known.following;
        self.due.insert((at, Arc::clone(&name)));
        Some(Resolution {
            name,
            following,
            outcome,
        })
    }
}

/// One asking for a name.
struct Asking {
    name: Arc<str>,
    following: u64,
    before: Arc<[IpAddr]>,
    is_first: bool,
}

impl Asking {
    async fn run(self, way: Way, changes: mpsc::Sender<Change>) -> Outcome {
        let question = match way {
            Way::Here(outcome) => return outcome,
            Way::Servers(question) => *question,
        };
        let mut asking = std::pin::pin!(ask(question, &self.before));
        if self.is_first {
            if let Ok(outcome) = timeout(LATE, &mut asking).await {
                return outcome;
            }
            let late = Resolution {
                name: Arc::clone(&self.name),
                following: self.following,
                outcome: Outcome::Late("no answer yet".into()),
            };
            // Who took them has ended, and so will this.
            changes.send(Change::Resolution(late)).await.ok();
        }
        let given_up = |_| Outcome::Failed("no answer in time".into());
        timeout(LONGEST, asking).await.unwrap_or_else(given_up)
    }
}

/// Waits until nobody holds the other end any more.
async fn closed(wanted: &mut watch::Receiver<Wanted>) {
    let mut other = wanted.clone();
    while other.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Resolver;

    /// A discovery that looks into no file and asks nobody; time runs by itself, as soon as all wait for it.
    struct Stage {
        wanted: watch::Sender<Wanted>,
        changes: mpsc::Receiver<Change>,
        folder: tempfile::TempDir,
    }

    impl Stage {
        fn new() -> Self {
            let (sender, changes) = mpsc::channel(1);
            let (wanted, taken) = watch::channel(Wanted::default());
            tokio::spawn(Rounds::new(sender, 7).run(taken));
            Self {
                wanted,
                changes,
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn follow(&self, names: &[(&str, u64)]) {
            let names = names
                .iter()
                .map(|(name, following)| ((*name).into(), *following));
            let resolver = Resolver {
                hosts_file: self.folder.path().join("hosts"),
                resolv_conf: self.folder.path().join("resolv.conf"),
                ..Resolver::default()
            };
            let names = names.collect();
            self.wanted.send(Wanted { names, resolver }).unwrap();
        }

        /// The next that is told: the name, its following, whether it was found.
        async fn told(&mut self) -> (String, u64, bool) {
            match self.changes.recv().await.unwrap() {
                Change::Resolution(told) => {
                    let is_found = matches!(told.outcome, Outcome::Found { .. });
                    (told.name.to_string(), told.following, is_found)
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn found(name: &str, following: u64) -> (String, u64, bool) {
        (name.to_owned(), following, true)
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_name_is_asked_for_at_once_and_one_that_stays_is_not() {
        let mut stage = Stage::new();
        let begin = Instant::now();
        stage.follow(&[("localhost", 1)]);
        assert_eq!(stage.told().await, found("localhost", 1));

        stage.follow(&[("localhost", 1), ("a.localhost", 2)]);
        assert_eq!(stage.told().await, found("a.localhost", 2));
        stage.follow(&[("localhost", 3), ("a.localhost", 2)]);
        assert_eq!(stage.told().await, found("localhost", 3));

        assert!(begin.elapsed() < Duration::from_secs(1));
        for _ in 0..2 {
            stage.told().await;
        }
        assert!(begin.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_knows_is_asked_for_ever_more_seldom() {
        let mut stage = Stage::new();
        stage.follow(&[("shop", 1)]);
        let mut moments = Vec::new();
        for _ in 0..8 {
            assert_eq!(stage.told().await, ("shop".to_owned(), 1, false));
            moments.push(Instant::now());
        }
        let waits: Vec<u64> = moments
            .windows(2)
            .map(|two| (two[1] - two[0]).as_secs())
            .collect();
        let within = |(wait, least): (&u64, u64)| (least..=least + least / 10).contains(wait);
        assert!(
            waits.iter().zip([1, 2, 4, 8, 16, 30, 30]).all(within),
            "{waits:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_goes_is_not_asked_for_any_more_and_a_full_queue_does_not_keep_it_alive() {
        let mut stage = Stage::new();
        stage.follow(&[("localhost", 1)]);
        assert_eq!(stage.told().await, found("localhost", 1));
        stage.follow(&[("a.localhost", 2)]);
        for _ in 0..3 {
            assert_eq!(stage.told().await, found("a.localhost", 2));
        }

        // Nobody takes what it tells; it ends all the same.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let Stage {
            wanted,
            mut changes,
            ..
        } = stage;
        drop(wanted);
        while changes.recv().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn other_settings_ask_for_everything_anew() {
        let mut stage = Stage::new();
        stage.follow(&[("localhost", 1), ("shop", 2)]);
        stage.told().await;
        stage.told().await;
        let begin = Instant::now();

        stage.folder = tempfile::tempdir().unwrap();
        stage.follow(&[("localhost", 1), ("shop", 2)]);

        let mut told = [stage.told().await, stage.told().await];
        told.sort();
        assert_eq!(told, [found("localhost", 1), ("shop".to_owned(), 2, false)]);
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}
