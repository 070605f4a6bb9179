//! A worker's table of connections: the unused ones of each endpoint, and a way to cut all of a dead one's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;
use crate::config::model::{self, Connect, UpstreamProtocol};
use crate::dial;
use crate::endpoint::{Endpoint, State};
use crate::error::{Error, Kind, Progress};
use crate::metrics::PoolTraffic;
use crate::metrics::cells::WorkerId;
use crate::pool::Pool;
use crate::upstream::http2;
use crate::upstream::io::Tie;
use crate::upstream::line::Line;

/// Taken off what an endpoint promises to keep a connection, so that a request does not cross its close on the way.
const PROMISE_MARGIN: Duration = Duration::from_secs(1);

/// All of a worker's connections to endpoints.
#[derive(Debug)]
pub(crate) struct Upstreams {
    worker: WorkerId,
    /// By the address of the endpoint's `Arc`, which the entry itself keeps alive.
    locals: RefCell<FxHashMap<usize, Rc<Local>>>,
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
    /// The pool's, which holds for what is in flight when the pool itself has left the configuration.
    drain_timeout: Cell<Option<Duration>>,
    speaks: Cell<Speaks>,
    http2: http2::Pool,
    /// The one used last is taken first, so that the others grow old and go.
    unused: RefCell<VecDeque<Box<Line>>>,
    closed: Rc<Cell<bool>>,
    ties: RefCell<Ties>,
    died: Notify,
    drained_since: Cell<Option<Instant>>,
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// A connection for each request in flight.
    Http1,
    /// Many requests over each connection.
    Http2,
}

impl Speaks {
    fn by(protocol: UpstreamProtocol) -> Self {
        match protocol {
            // Without TLS nothing tells which of both an endpoint speaks.
            UpstreamProtocol::Http1 | UpstreamProtocol::Auto => Self::Http1,
            UpstreamProtocol::Http2 => Self::Http2,
        }
    }
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
            closed: Rc::default(),
        }
    }

    /// The connections to an endpoint of this pool.
    pub(crate) fn to(&self, endpoint: &Arc<Endpoint>, pool: &Pool) -> Rc<Local> {
        let key = Arc::as_ptr(endpoint) as usize;
        if let Some(local) = self.locals.borrow().get(&key) {
            return Rc::clone(local);
        }
        let local = Rc::new(Local {
            worker: self.worker,
            endpoint: Arc::clone(endpoint),
            traffic: Arc::clone(pool.traffic()),
            connect: RefCell::new(pool.spec().connect.clone()),
            drain_timeout: Cell::new(pool.spec().drain_timeout),
            speaks: Cell::new(Speaks::by(pool.spec().protocol)),
            http2: http2::Pool::default(),
            unused: RefCell::default(),
            closed: Rc::clone(&self.closed),
            ties: RefCell::default(),
            died: Notify::new(),
            drained_since: Cell::new(None),
        });
        self.locals.borrow_mut().insert(key, Rc::clone(&local));
        local
    }

    /// Acts on a new snapshot: cuts what is in flight at the dead, closes the unused connections of those that drain,
    /// takes up changed settings.
    pub(crate) fn follow(&self, pools: &[Arc<Pool>]) {
        let specs: FxHashMap<&str, &Arc<model::Pool>> = pools
            .iter()
            .map(|pool| (&*pool.spec().name, pool.spec()))
            .collect();
        for local in self.all() {
            if let Some(spec) = specs.get(&*local.endpoint.key().pool) {
                if *local.connect.borrow() != spec.connect {
                    local.connect.replace(spec.connect.clone());
                }
                local.drain_timeout.set(spec.drain_timeout);
                local.speak(Speaks::by(spec.protocol));
            }
            match local.endpoint.state() {
                State::Dead => local.cut(),
                State::Draining => local.close_unused(),
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
        self.locals.borrow_mut().retain(|_, local| {
            Rc::strong_count(local) > 1
                || !local.unused.borrow().is_empty()
                || !local.http2.is_empty()
        });
    }

    /// Closes all unused connections, and each other one when its request is over.
    pub(crate) fn close_unused(&self) {
        self.closed.set(true);
        for local in self.all() {
            local.close_unused();
        }
    }

    fn all(&self) -> Vec<Rc<Local>> {
        self.locals.borrow().values().cloned().collect()
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        // An unused connection and the table that keeps it hold each other.
        self.close_unused();
        for local in self.all() {
            local.http2.end();
        }
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
        let tcp = tokio::select! {
            biased;
            dialled = self.dial() => dialled?,
            () = self.died() => return Err(Error::new(Kind::EndpointDead, Progress::NothingSent)),
        };
        Ok(Line::over(tcp, self))
    }

    /// Makes a socket's connection.
    pub(super) async fn dial(&self) -> Result<TcpStream, Error> {
        let limit = self.connect_timeout();
        let dialled = dial::connect(self.endpoint.address(), limit).await;
        dialled.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => Kind::ConnectRefused,
                io::ErrorKind::TimedOut => Kind::ConnectTimeout,
                _ => Kind::ConnectFailed,
            };
            Error::because(kind, Progress::NothingSent, error)
        })
    }

    /// Ready when the endpoint is declared dead.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// What is spoken on new connections.
    pub(super) fn speaks(&self) -> Speaks {
        self.speaks.get()
    }

    /// The connections of HTTP/2.
    pub(super) fn http2(&self) -> &http2::Pool {
        &self.http2
    }

    /// How long making a connection may take.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        self.connect.borrow().timeout
    }

    /// How long unused connections are kept, and how many.
    pub(super) fn keeping(&self) -> (Option<Duration>, usize) {
        let connect = self.connect.borrow();
        (connect.keep_alive, connect.max_idle_per_worker)
    }

    /// Whether connections are kept at all.
    pub(super) fn keeps(&self, speaks: Speaks) -> bool {
        let is_leaving = matches!(self.endpoint.state(), State::Dead | State::Draining);
        !is_leaving && !self.closed.get() && self.speaks.get() == speaks
    }

    /// Keeps an unused connection for the next request.
    pub(super) fn keep(&self, mut line: Box<Line>) {
        let connect = self.connect.borrow();
        if connect.max_idle_per_worker == 0 || !self.keeps(Speaks::Http1) {
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

    /// Takes up the protocol of a new configuration.
    fn speak(&self, speaks: Speaks) {
        if self.speaks.replace(speaks) != speaks {
            self.close_unused();
        }
    }

    fn close_unused(&self) {
        drop(self.unused.take());
        self.http2.close_unused();
    }

    fn cut(&self) {
        self.close_unused();
        self.died.notify_waiters();
        let ties: Vec<Rc<Tie>> = self.ties.borrow().slots.iter().flatten().cloned().collect();
        for tie in ties {
            tie.cut("the endpoint is dead");
        }
    }

    fn sweep(&self, now: Instant) {
        let mut unused = self.unused.take();
        unused.retain_mut(|line| line.is_fit(now));
        // Nothing else runs on this thread meanwhile, so nothing was kept in between.
        self.unused.replace(unused);
        self.http2.sweep(now);
    }
}
