//! What is known of every endpoint, kept by pool and address over reloads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use rustc_hash::FxHashMap;

use crate::change::{DrainOrder, EndpointKey, Finding, Found, ProbeKind, Resolution, Verdict};
use crate::config::Config;
use crate::config::model;
use crate::control::names::{Learned, Names};
use crate::control::report::NameReport;
use crate::discovery::Wanted;
use crate::endpoint::liveness::{self, Standing};
use crate::endpoint::{Endpoint, Health, Held, Probes, State};
use crate::pool::{Entry, Judged, Roster};
use crate::probe::{Plan, Target};
use crate::snapshot::build;

/// Every endpoint of the configuration in force, and those that have left it and are not done yet.
#[derive(Debug)]
pub(crate) struct Endpoints {
    known: FxHashMap<EndpointKey, Known>,
    pools: FxHashMap<Arc<str>, usize>,
    /// Whom each pool consists of, by its name.
    rosters: FxHashMap<Arc<str>, Arc<Roster>>,
    names: Names,
    held: BTreeMap<Arc<str>, usize>,
    workers: usize,
    /// Numbers failures of liveness in their order.
    failures: u64,
    /// Changes of state that have not been logged yet.
    moves: Vec<Move>,
}

/// A change of an endpoint's state.
#[derive(Debug)]
struct Move {
    endpoint: Arc<Endpoint>,
    from: State,
    to: State,
    reason: Box<str>,
}

#[derive(Debug)]
struct Known {
    endpoint: Arc<Endpoint>,
    health: Health,
    configured: bool,
    /// When it failed liveness, counted in failures; `None` while it does not.
    failing: Option<u64>,
    reason: Box<str>,
}

impl Endpoints {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            known: FxHashMap::default(),
            pools: FxHashMap::default(),
            rosters: FxHashMap::default(),
            names: Names::default(),
            held: BTreeMap::new(),
            workers,
            failures: 0,
            moves: Vec::new(),
        }
    }

    /// Takes up a configuration: new endpoints begin, known ones go on, the others leave.
    pub(crate) fn configure(&mut self, config: &Config, now: SystemTime) {
        for known in self.known.values_mut() {
            known.configured = false;
        }
        self.names.configure(config);
        self.pools = config
            .pools
            .iter()
            .enumerate()
            .map(|(index, pool)| (Arc::clone(&pool.name), index))
            .collect();
        self.rosters.clear();
        for pool in &config.pools {
            self.enrol(pool, now);
        }
        self.dismiss(None);
        self.held.clear();
        for pool in &config.pools {
            self.rule(pool, now);
        }
        self.mark_leaving("left the configuration", now);
    }

    /// Takes in what came of asking for a name; tells which pools have to be looked at, and whether other endpoints
    /// belong to them now.
    pub(crate) fn resolve(
        &mut self,
        resolution: Resolution,
        config: &Config,
        now: SystemTime,
    ) -> (Learned, Vec<Arc<str>>) {
        let host = Arc::clone(&resolution.name);
        let learned = self.names.take(resolution, now);
        if learned == Learned::Nothing {
            return (learned, Vec::new());
        }
        let has_it = |pool: &&Arc<model::Pool>| {
            let hosts = pool.endpoints.iter().filter_map(|one| one.address.host());
            hosts.into_iter().any(|one| *one == host)
        };
        let concerned: Vec<_> = config.pools.iter().filter(has_it).collect();
        if learned == Learned::Addresses {
            let reason = format!("no longer an address of {host}");
            for pool in &concerned {
                for known in self.known.values_mut() {
                    known.configured &= known.endpoint.key().pool != pool.name;
                }
                self.enrol(pool, now);
                self.dismiss(Some(&pool.name));
            }
            self.mark_leaving(&reason, now);
        }
        let names = concerned.iter().map(|pool| Arc::clone(&pool.name));
        (learned, names.collect())
    }

    /// Makes the roster of a pool and takes up who is on it.
    fn enrol(&mut self, pool: &model::Pool, now: SystemTime) {
        let roster = Arc::new(Roster::new(pool, |host| self.names.addresses(host)));
        let probes = probes_of(pool);
        for entry in roster.entries() {
            self.configure_one(key(pool, entry), probes, now);
        }
        self.rosters.insert(Arc::clone(&pool.name), roster);
    }

    /// Lets those leave that were not taken up again, of this pool or of all.
    fn dismiss(&mut self, pool: Option<&Arc<str>>) {
        let is_of = |known: &&mut Known| pool.is_none_or(|pool| known.endpoint.key().pool == *pool);
        let known = self.known.values_mut().filter(is_of);
        for known in known.filter(|known| !known.configured) {
            known.health.leave();
            known.failing = None;
        }
    }

    fn configure_one(&mut self, key: EndpointKey, probes: Probes, now: SystemTime) {
        match self.known.get_mut(&key) {
            Some(known) => {
                let before = known.health.state(Held::Free);
                known.configured = true;
                known.health.configure(probes);
                if known.health.state(Held::Free) != before {
                    known.reason = "configured".into();
                }
            }
            None => {
                let health = Health::new(probes);
                let state = health.state(Held::Free);
                let endpoint = Arc::new(Endpoint::new(key.clone(), state, self.workers, now));
                self.known.insert(
                    key,
                    Known {
                        endpoint,
                        health,
                        configured: true,
                        failing: None,
                        reason: "configured".into(),
                    },
                );
            }
        }
    }

    fn mark_leaving(&mut self, reason: &str, now: SystemTime) {
        for known in self.known.values_mut().filter(|known| !known.configured) {
            let before = known.endpoint.state();
            if before != State::Draining {
                known.reason = reason.into();
                self.moves.push(known.enter(before, State::Draining, now));
            }
        }
    }

    /// What is to be probed.
    pub(crate) fn plan(&self, config: &Config) -> Plan {
        let mut targets = Vec::with_capacity(self.known.len());
        for pool in &config.pools {
            let [startup, readiness, liveness] = [
                &pool.startup_probe,
                &pool.readiness_probe,
                &pool.liveness_probe,
            ]
            .map(|probe| probe.clone().map(Arc::new));
            let roster = self.roster_of(pool);
            for entry in roster.entries() {
                let Some(known) = self.known.get(&key(pool, entry)) else {
                    continue;
                };
                targets.push(Target {
                    endpoint: Arc::clone(&known.endpoint),
                    startup: startup.clone(),
                    readiness: readiness.clone(),
                    liveness: liveness.clone(),
                    secure: entry.secure(pool),
                    proxy_protocol: pool.proxy_protocol,
                });
            }
        }
        Plan { targets }
    }

    /// Takes a verdict in; false if it is about nobody.
    pub(crate) fn apply(&mut self, verdict: &Verdict) -> bool {
        let Some(known) = self.known.get_mut(&verdict.endpoint) else {
            return false;
        };
        if !known.configured {
            return false;
        }
        known.health.apply(verdict.probe, verdict.finding);
        known.reason = format!("{} probe: {}", verdict.probe.word(), verdict.reason).into();
        if verdict.probe == ProbeKind::Liveness {
            known.failing = match (verdict.finding, known.failing) {
                (Finding::Passing, _) => None,
                (Finding::Failing, Some(order)) => Some(order),
                (Finding::Failing, None) => {
                    self.failures += 1;
                    Some(self.failures)
                }
            };
        }
        true
    }

    /// Carries out an order given by hand.
    pub(crate) fn drain(&mut self, key: &EndpointKey, order: DrainOrder) -> Found {
        match self.known.get_mut(key).filter(|known| known.configured) {
            Some(known) => {
                known.health.drain(order);
                known.reason = match order {
                    DrainOrder::Begin => "drained by hand".into(),
                    DrainOrder::End => "no longer drained by hand".into(),
                };
                Found::Known
            }
            None => Found::Unknown,
        }
    }

    /// Derives the states of a pool's endpoints, and tells whether one has changed.
    pub(crate) fn rule(&mut self, pool: &model::Pool, now: SystemTime) -> bool {
        let roster = self.roster_of(pool);
        let standings: Vec<Standing> = roster
            .entries()
            .iter()
            .map(|entry| match self.known.get(&key(pool, entry)) {
                Some(known) => known.standing(),
                None => Standing::Sound,
            })
            .collect();
        let ruling = liveness::rule(&standings);
        let mut moved = false;
        for (entry, held) in roster.entries().iter().zip(&ruling.held) {
            let Some(known) = self.known.get(&key(pool, entry)) else {
                continue;
            };
            let (before, after) = (known.endpoint.state(), known.health.state(*held));
            if before == after {
                continue;
            }
            moved = true;
            self.moves.push(known.enter(before, after, now));
        }
        self.hold(pool, ruling.held_count);
        moved
    }

    /// Logs the changes of state since the last call, each once. Called when the snapshot that follows from them is
    /// published, so that what the log says is in force.
    pub(crate) fn log_moves(&mut self) {
        for Move {
            endpoint,
            from,
            to,
            reason,
        } in self.moves.drain(..)
        {
            tracing::info!(
                pool = %endpoint.key().pool,
                endpoint = %endpoint.label(),
                from = from.word(),
                to = to.word(),
                %reason,
                "Endpoint changed its state"
            );
        }
    }

    fn hold(&mut self, pool: &model::Pool, count: usize) {
        let before = match count {
            0 => self.held.remove(&pool.name),
            count => self.held.insert(Arc::clone(&pool.name), count),
        };
        if before.unwrap_or(0) < count {
            tracing::warn!(pool = %pool.name, held = count, "Endpoints fail liveness beyond the bound and are unready instead of dead");
        }
    }

    /// How many endpoints of each pool are held as unready though they fail liveness.
    pub(crate) fn held(&self) -> BTreeMap<Arc<str>, usize> {
        self.held.clone()
    }

    /// Forgets those that have left and have nothing in flight; gives back those that still have.
    pub(crate) fn forget_the_idle(&mut self) -> Vec<Arc<Endpoint>> {
        self.known.retain(|_, known| {
            known.configured || known.endpoint.in_flight() > 0 || known.health.is_drained_by_hand()
        });
        let mut leaving: Vec<Arc<Endpoint>> = self
            .known
            .values()
            .filter(|known| !known.configured && known.endpoint.in_flight() > 0)
            .map(|known| Arc::clone(&known.endpoint))
            .collect();
        leaving.sort_by(|one, other| one.key().cmp(other.key()));
        leaving
    }

    /// Whether every probed endpoint has had a verdict, and every name an answer or a failure to get one.
    pub(crate) fn all_judged(&self) -> bool {
        let known = self.known.values().filter(|known| known.configured);
        let mut judged = known.map(|known| known.health.is_judged());
        !self.names.any_awaited() && judged.all(|is_judged| is_judged)
    }

    /// The names to be asked for.
    pub(crate) fn wanted(&self, config: &Config) -> Wanted {
        self.names.wanted(config)
    }

    /// What is told about names.
    pub(crate) fn names(&self) -> Arc<BTreeMap<Arc<str>, NameReport>> {
        self.names.report()
    }

    /// The position of a pool in the configuration in force.
    pub(crate) fn pool_index(&self, name: &str) -> Option<usize> {
        self.pools.get(name).copied()
    }
}

impl Known {
    /// Puts the endpoint into another state, for the reason known.
    fn enter(&self, from: State, to: State, now: SystemTime) -> Move {
        self.endpoint.set_state(to, &self.reason, now);
        Move {
            endpoint: Arc::clone(&self.endpoint),
            from,
            to,
            reason: self.reason.clone(),
        }
    }

    fn standing(&self) -> Standing {
        if self.health.is_drained_by_hand() {
            return Standing::Sound;
        }
        match self.failing {
            None => Standing::Sound,
            Some(_) if self.endpoint.state() == State::Dead => Standing::Dead,
            Some(order) => Standing::Failing { order },
        }
    }
}

impl build::Endpoints for Endpoints {
    fn roster(&self, pool: &model::Pool) -> Arc<Roster> {
        self.roster_of(pool)
    }

    fn endpoint(&self, key: &EndpointKey) -> Arc<Endpoint> {
        let known = self.known.get(key);
        known.map_or_else(
            || {
                debug_assert!(
                    false,
                    "every endpoint of a configuration is taken up before it is built"
                );
                let now = SystemTime::UNIX_EPOCH;
                Arc::new(Endpoint::new(
                    key.clone(),
                    State::Unready,
                    self.workers,
                    now,
                ))
            },
            |known| Arc::clone(&known.endpoint),
        )
    }

    fn judged(&self, pool: &model::Pool) -> Judged {
        let roster = self.roster_of(pool);
        let known = roster
            .entries()
            .iter()
            .filter_map(|entry| self.known.get(&key(pool, entry)));
        let mut known = known.peekable();
        // Names that nobody could resolve leave nothing to wait for.
        let is_bare = known.peek().is_none();
        let hosts = pool.endpoints.iter().filter_map(|one| one.address.host());
        let mut awaited = hosts.map(|host| self.names.is_awaited(host));
        let nothing_to_come = is_bare && !awaited.any(|is_awaited| is_awaited);
        match nothing_to_come || known.any(|known| known.health.is_judged()) {
            true => Judged::Yes,
            false => Judged::NotYet,
        }
    }
}

impl Endpoints {
    fn roster_of(&self, pool: &model::Pool) -> Arc<Roster> {
        let roster = self.rosters.get(&pool.name);
        // The rest is for one that was never taken up, which `endpoint` objects to.
        roster.map_or_else(|| Arc::new(Roster::new(pool, |_| &[])), Arc::clone)
    }
}

fn key(pool: &model::Pool, entry: &Entry) -> EndpointKey {
    EndpointKey {
        pool: Arc::clone(&pool.name),
        address: entry.address.clone(),
    }
}

fn probes_of(pool: &model::Pool) -> Probes {
    [
        (ProbeKind::Startup, &pool.startup_probe),
        (ProbeKind::Readiness, &pool.readiness_probe),
        (ProbeKind::Liveness, &pool.liveness_probe),
    ]
    .into_iter()
    .filter_map(|(kind, probe)| probe.as_ref().map(|_| kind))
    .collect()
}
