//! A worker's table of connections: the unused ones of each endpoint, and a way to cut all of a dead one's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;
use crate::config::model::Connect;
use crate::dial::{self, Way};
use crate::endpoint::{Endpoint, State};
use crate::error::{Error, Kind, Progress};
use crate::header::proxy_protocol::Origin;
use crate::metrics::PoolTraffic;
use crate::metrics::cells::WorkerId;
use crate::pool::Pool;
use crate::tls::Secure;
use crate::upstream::connect::{self, Trouble};
use crate::upstream::io::Tie;
use crate::upstream::line::Line;
use crate::upstream::opening::{Opening, Whose};

/// Taken off what an endpoint promises to keep a connection, so that a request does not cross its close on the way.
const PROMISE_MARGIN: Duration = Duration::from_secs(1);

/// All of a worker's connections to endpoints.
#[derive(Debug)]
pub(crate) struct Upstreams {
    worker: WorkerId,
    /// By the address of the endpoint's `Arc`, which the entry itself keeps alive.
    locals: RefCell<FxHashMap<usize, Rc<Local>>>,
    /// The same where endpoints are told who speaks to them: each connection there is one client's.
    told: RefCell<FxHashMap<(usize, Whose), Rc<Local>>>,
    /// Set for good when unused connections are kept no longer.
    closed: Rc<Cell<bool>>,
}

/// A worker's connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Local {
    worker: WorkerId,
    endpoint: Arc<Endpoint>,
    traffic: Arc<PoolTraffic>,
    connect: RefCell<Connect>,
    /// By what connections are secured, and how often that has changed.
    secure: RefCell<Option<Secure>>,
    terms: Cell<u64>,
    trouble: Trouble,
    /// The pool's, which holds for what is in flight when the pool itself has left the configuration.
    drain_timeout: Cell<Option<Duration>>,
    /// The one used last is taken first, so that the others grow old and go.
    unused: RefCell<VecDeque<Box<Line>>>,
    closed: Rc<Cell<bool>>,
    ties: RefCell<Ties>,
    died: Notify,
    drained_since: Cell<Option<Instant>>,
    /// What its connections begin with.
    opening: Option<Opening>,
}

#[derive(Debug, Default)]
struct Ties {
    slots: Vec<Option<Rc<Tie>>>,
    free: Vec<usize>,
}

impl Upstreams {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            locals: RefCell::default(),
            told: RefCell::default(),
            closed: Rc::default(),
        }
    }

    /// The connections to an endpoint of this pool, for a client who came this way.
    pub(crate) fn to(
        &self,
        endpoint: &Arc<Endpoint>,
        pool: &Pool,
        origin: impl FnOnce() -> Option<Rc<Origin>>,
    ) -> Rc<Local> {
        let key = Arc::as_ptr(endpoint) as usize;
        if let Some(version) = pool.spec().proxy_protocol {
            let origin = origin();
            let key = (key, Whose::new(version, origin.as_deref()));
            if let Some(local) = self.told.borrow().get(&key) {
                return Rc::clone(local);
            }
            let local = self.local(endpoint, pool, Some(Opening::new(version, origin.as_ref())));
            self.told.borrow_mut().insert(key, Rc::clone(&local));
            return local;
        }
        if let Some(local) = self.locals.borrow().get(&key) {
            return Rc::clone(local);
        }
        let local = self.local(endpoint, pool, None);
        self.locals.borrow_mut().insert(key, Rc::clone(&local));
        local
    }

    fn local(&self, endpoint: &Arc<Endpoint>, pool: &Pool, opening: Option<Opening>) -> Rc<Local> {
        Rc::new(Local {
            worker: self.worker,
            endpoint: Arc::clone(endpoint),
            traffic: Arc::clone(pool.traffic()),
            connect: RefCell::new(pool.spec().connect.clone()),
            secure: RefCell::new(connect::secure(pool, endpoint.address())),
            terms: Cell::new(0),
            trouble: Trouble::default(),
            drain_timeout: Cell::new(pool.spec().drain_timeout),
            unused: RefCell::default(),
            closed: Rc::clone(&self.closed),
            ties: RefCell::default(),
            died: Notify::new(),
            drained_since: Cell::new(None),
            opening,
        })
    }

    /// Acts on a new snapshot: cuts what is in flight at the dead, closes the unused connections of those that drain,
    /// takes up changed settings.
    pub(crate) fn follow(&self, pools: &[Arc<Pool>]) {
        let pools: FxHashMap<&str, &Arc<Pool>> = pools
            .iter()
            .map(|pool| (&*pool.spec().name, pool))
            .collect();
        for local in self.all() {
            if let Some(pool) = pools.get(&*local.endpoint.key().pool) {
                local.follow(pool);
            }
            match local.endpoint.state() {
                State::Dead => local.cut(),
                State::Draining => drop(local.unused.take()),
                State::Starting | State::Ready | State::Unready => local.drained_since.set(None),
            }
        }
    }

    /// Cuts what is in flight at endpoints that have been draining for longer than their pool allows.
    pub(crate) fn bound_drains(&self, now: Instant) {
        for local in self.all() {
            if local.endpoint.state() != State::Draining {
                continue;
            }
            let since = local.drained_since.get().unwrap_or(now);
            local.drained_since.set(Some(since));
            let limit = local.drain_timeout.get();
            if limit.is_some_and(|limit| now.duration_since(since) >= limit) {
                local.cut();
            }
        }
    }

    /// Closes unused connections that are past their time or that the endpoint has closed, and forgets endpoints
    /// without any.
    pub(crate) fn sweep(&self, now: Instant) {
        for local in self.all() {
            local.sweep(now);
        }
        let is_used =
            |local: &Rc<Local>| Rc::strong_count(local) > 1 || !local.unused.borrow().is_empty();
        self.locals.borrow_mut().retain(|_, local| is_used(local));
        self.told.borrow_mut().retain(|_, local| is_used(local));
    }

    /// Closes all unused connections, and each other one when its request is over.
    pub(crate) fn close_unused(&self) {
        self.closed.set(true);
        for local in self.all() {
            drop(local.unused.take());
        }
    }

    fn all(&self) -> Vec<Rc<Local>> {
        let (locals, told) = (self.locals.borrow(), self.told.borrow());
        locals.values().chain(told.values()).cloned().collect()
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        // An unused connection and the table that keeps it hold each other.
        self.close_unused();
    }
}

/// Counts a request in at its endpoint and its pool while it lives. It is the worker's own, so that no count of the
/// endpoint's `Arc` is touched per request.
#[derive(Debug)]
pub(crate) struct Engaged {
    local: Rc<Local>,
    entry: Entry,
}

/// How a request is counted in at its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// In the worker's own cell.
    Counted,
    /// By a place that was claimed when the endpoint was chosen, and that is given back in the end.
    Claimed,
}

impl Engaged {
    pub(crate) fn at(local: &Rc<Local>, entry: Entry) -> Self {
        if entry == Entry::Counted {
            local.endpoint.load().entered(local.worker);
        }
        local.traffic.in_flight(local.worker, 1);
        Self {
            local: Rc::clone(local),
            entry,
        }
    }

    /// The counters of its pool.
    pub(crate) fn traffic(&self) -> &PoolTraffic {
        &self.local.traffic
    }

    /// The worker that counts.
    pub(crate) fn worker(&self) -> WorkerId {
        self.local.worker
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        match self.entry {
            Entry::Counted => self.local.endpoint.load().left(self.local.worker),
            Entry::Claimed => self.local.endpoint.load().release(),
        }
        self.local.traffic.in_flight(self.local.worker, -1);
    }
}

impl Local {
    /// An unused connection that is good for another request.
    pub(super) fn take_unused(&self, now: Instant) -> Option<Box<Line>> {
        loop {
            let mut line = self.unused.borrow_mut().pop_back()?;
            if line.is_fit(now) {
                line.reused = true;
                return Some(line);
            }
        }
    }

    /// Makes a connection.
    pub(super) async fn connect(self: Rc<Self>) -> Result<Box<Line>, Error> {
        let limit = self.connect.borrow().timeout;
        let terms = self.terms.get();
        let way = Way {
            to: self.endpoint.address().clone(),
            opening: self.opening.as_ref().map(Opening::octets),
            secure: self.secure.borrow().clone(),
        };
        let dialled = tokio::select! {
            biased;
            dialled = dial::connect(&way, limit) => dialled,
            () = self.died.notified() => return Err(Error::new(Kind::EndpointDead, Progress::NothingSent)),
        };
        let (pool, label) = (&self.endpoint.key().pool, self.endpoint.label());
        match dialled {
            Ok(stream) => {
                self.trouble.is_over(pool, label);
                Ok(Line::over(stream, terms, self))
            }
            Err(failure) => {
                self.trouble.tell(pool, label, &failure);
                Err(connect::called(failure))
            }
        }
    }

    /// Takes up changed settings. Connections that were made by others serve what they are at and nothing after it.
    fn follow(&self, pool: &Pool) {
        let spec = pool.spec();
        if *self.connect.borrow() != spec.connect {
            self.connect.replace(spec.connect.clone());
        }
        self.drain_timeout.set(spec.drain_timeout);
        let version = self.opening.as_ref().map(Opening::version);
        if spec.proxy_protocol != version {
            // Whoever asks now is given others.
            self.expire();
        }
        if spec.tls.is_none() && self.secure.borrow().is_none() {
            return;
        }
        let secure = connect::secure(pool, self.endpoint.address());
        if *self.secure.borrow() != secure {
            self.secure.replace(secure);
            self.expire();
        }
    }

    /// Lets connections go on to the end of what they serve, and no further.
    fn expire(&self) {
        self.terms.set(self.terms.get() + 1);
        drop(self.unused.take());
    }

    /// Keeps an unused connection for the next request.
    pub(super) fn keep(&self, mut line: Box<Line>) {
        let state = self.endpoint.state();
        let connect = self.connect.borrow();
        let is_leaving = matches!(state, State::Dead | State::Draining);
        let is_outdated = line.terms != self.terms.get();
        if connect.max_idle_per_worker == 0 || is_leaving || is_outdated || self.closed.get() {
            return;
        }
        let promised = line
            .promised()
            .map(|kept| kept.saturating_sub(PROMISE_MARGIN));
        let kept = match (promised, connect.keep_alive) {
            (Some(promised), Some(configured)) => Some(promised.min(configured)),
            (one, other) => one.or(other),
        };
        if kept.is_some_and(|kept| kept.is_zero()) {
            return;
        }
        line.expires = kept.and_then(|kept| clock::now().checked_add(kept));
        let mut unused = self.unused.borrow_mut();
        let oldest = (unused.len() >= connect.max_idle_per_worker).then(|| unused.pop_front());
        unused.push_back(line);
        drop(unused);
        drop(oldest);
    }

    pub(super) fn join(&self, tie: Rc<Tie>) -> usize {
        self.traffic.connected(self.worker);
        let mut ties = self.ties.borrow_mut();
        match ties.free.pop() {
            Some(slot) => {
                ties.slots[slot] = Some(tie);
                slot
            }
            None => {
                ties.slots.push(Some(tie));
                ties.slots.len() - 1
            }
        }
    }

    pub(super) fn leave(&self, slot: usize) {
        self.traffic.disconnected(self.worker);
        let mut ties = self.ties.borrow_mut();
        ties.slots[slot] = None;
        ties.free.push(slot);
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    fn cut(&self) {
        drop(self.unused.take());
        self.died.notify_waiters();
        let ties: Vec<Rc<Tie>> = self.ties.borrow().slots.iter().flatten().cloned().collect();
        for tie in ties {
            tie.cut();
        }
    }

    fn sweep(&self, now: Instant) {
        let mut unused = self.unused.take();
        if self.opening.as_ref().is_some_and(Opening::is_orphaned) {
            return;
        }
        unused.retain_mut(|line| line.is_fit(now));
        // Nothing else runs on this thread meanwhile, so nothing was kept in between.
        self.unused.replace(unused);
    }
}
