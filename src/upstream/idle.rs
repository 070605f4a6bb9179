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
use crate::dial::{self, Stream, Way};
use crate::endpoint::{Endpoint, State};
use crate::error::{Error, Kind, Progress};
use crate::header::proxy_protocol::Origin;
use crate::metrics::PoolTraffic;
use crate::metrics::cells::WorkerId;
use crate::pool::Pool;
use crate::tls::Secure;
use crate::upstream::basis::Basis;
use crate::upstream::connect::{self, Trouble};
use crate::upstream::http2;
use crate::upstream::io::Tie;
use crate::upstream::line::Line;
use crate::upstream::opening::{Opening, Whose};
use crate::upstream::speaks::Speaks;

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
    pub(super) worker: WorkerId,
    endpoint: Arc<Endpoint>,
    pub(super) traffic: Arc<PoolTraffic>,
    basis: RefCell<Basis>,
    /// By what connections are secured, and how often that has changed.
    secure: RefCell<Option<Secure>>,
    terms: Cell<u64>,
    trouble: Trouble,
    speaks: Cell<Speaks>,
    /// What the endpoint has chosen last, where it may.
    settled: Cell<Option<Speaks>>,
    http2: http2::Pool,
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
            basis: RefCell::new(Basis::new(pool)),
            secure: RefCell::new(connect::secure(pool, endpoint.address())),
            terms: Cell::new(0),
            trouble: Trouble::default(),
            speaks: Cell::new(Speaks::by(pool.spec())),
            settled: Cell::new(None),
            http2: http2::Pool::default(),
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
            let limit = local.basis.borrow().pool.drain_timeout;
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
        let is_used = |local: &Rc<Local>| {
            Rc::strong_count(local) > 1
                || !local.unused.borrow().is_empty()
                || !local.http2.is_empty()
        };
        self.locals.borrow_mut().retain(|_, local| is_used(local));
        self.told.borrow_mut().retain(|_, local| is_used(local));
    }

    /// Closes all unused connections, and each other one when its request is over.
    pub(crate) fn close_unused(&self) {
        self.closed.set(true);
        for local in self.all() {
            local.close_unused();
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
        for local in self.all() {
            local.http2.end();
        }
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

    /// Makes a connection of HTTP/1; none where the endpoint has chosen HTTP/2 meanwhile.
    pub(super) async fn connect(self: Rc<Self>) -> Result<Option<Box<Line>>, Error> {
        let (stream, terms) = tokio::select! {
            biased;
            dialled = self.dial() => dialled?,
            () = self.died() => return Err(Error::new(Kind::EndpointDead, Progress::NothingSent)),
        };
        if self.may_choose() && stream.alpn() == Some(http2::ALPN) {
            self.settle(Speaks::Http2);
            return Ok(None);
        }
        Ok(Some(Line::over(stream, terms, self)))
    }

    /// Makes a connection of HTTP/1 to an endpoint that may choose, whatever it would.
    pub(super) async fn connect_http1(self: Rc<Self>) -> Result<Option<Box<Line>>, Error> {
        let secure = self.secure.borrow().as_ref().map(Secure::for_http1);
        let (stream, terms) = tokio::select! {
            biased;
            dialled = self.dial_by(secure) => dialled?,
            () = self.died() => return Err(Error::new(Kind::EndpointDead, Progress::NothingSent)),
        };
        Ok(Some(Line::over(stream, terms, self)))
    }

    /// Makes a socket's connection, secured where the pool says so; and under which of its terms.
    pub(super) async fn dial(&self) -> Result<(Stream, u64), Error> {
        let secure = self.secure.borrow().clone();
        self.dial_by(secure).await
    }

    async fn dial_by(&self, secure: Option<Secure>) -> Result<(Stream, u64), Error> {
        let limit = self.connect_timeout();
        let terms = self.terms.get();
        let way = Way {
            to: self.endpoint.address().clone(),
            opening: self.opening.as_ref().map(Opening::octets),
            secure,
        };
        let dialled = dial::connect(&way, limit).await;
        let (pool, label) = (&self.endpoint.key().pool, self.endpoint.label());
        match dialled {
            Ok(stream) => {
                self.trouble.is_over(pool, label);
                Ok((stream, terms))
            }
            Err(failure) => {
                self.trouble.tell(pool, label, &failure);
                Err(connect::called(failure))
            }
        }
    }

    /// Takes up changed settings. Connections that were made by others serve what they are at and nothing after it.
    fn follow(&self, pool: &Pool) {
        if self.basis.borrow().is(pool) {
            return;
        }
        self.basis.replace(Basis::new(pool));
        let spec = pool.spec();
        let speaks = Speaks::by(spec);
        let version = self.opening.as_ref().map(Opening::version);
        let is_told = spec.proxy_protocol != version;
        // Whoever asks now is given others.
        if is_told | (self.speaks.replace(speaks) != speaks) {
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
        self.settled.set(None);
        drop(self.unused.take());
        self.http2.retire();
    }

    /// Ready when the endpoint is declared dead.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// What is spoken on new connections, as far as it is known.
    pub(super) fn speaks(&self) -> Speaks {
        match self.speaks.get() {
            Speaks::Either => self.settled.get().unwrap_or(Speaks::Either),
            one => one,
        }
    }

    /// Whether it is the endpoint's to choose.
    pub(super) fn may_choose(&self) -> bool {
        self.speaks.get() == Speaks::Either
    }

    /// What the endpoint has chosen that may be spoken to in either way.
    pub(super) fn settle(&self, speaks: Speaks) {
        self.settled.set(Some(speaks));
    }

    /// Whether connections that were made under these terms may take new requests.
    pub(super) fn is_current(&self, terms: u64) -> bool {
        self.terms.get() == terms
    }

    /// The connections of HTTP/2.
    pub(super) fn http2(&self) -> &http2::Pool {
        &self.http2
    }

    /// How long making a connection may take.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        self.basis.borrow().pool.connect.timeout
    }

    /// How long unused connections are kept, and how many.
    pub(super) fn keeping(&self) -> (Option<Duration>, usize) {
        let connect = &self.basis.borrow().pool.connect;
        (connect.keep_alive, connect.max_idle_per_worker)
    }

    /// Whether unused connections are kept at all.
    pub(super) fn keeps(&self) -> bool {
        let is_leaving = matches!(self.endpoint.state(), State::Dead | State::Draining);
        !is_leaving && !self.closed.get()
    }

    /// Keeps an unused connection for the next request.
    pub(super) fn keep(&self, mut line: Box<Line>) {
        let connect = &self.basis.borrow().pool.connect;
        if connect.max_idle_per_worker == 0 || !self.is_current(line.terms) || !self.keeps() {
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

    pub(super) fn traffic(&self) -> &PoolTraffic {
        &self.traffic
    }

    pub(super) fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
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
        if self.opening.as_ref().is_some_and(Opening::is_orphaned) {
            self.http2.close_unused();
            return;
        }
        unused.retain_mut(|line| line.is_fit(now));
        // Nothing else runs on this thread meanwhile, so nothing was kept in between.
        self.unused.replace(unused);
        self.http2.sweep(now);
    }
}
