//! What a worker's requests have at hand, and what a connection's requests have in common.

use std::cell::{Cell, RefCell, RefMut};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use hyper::body::Incoming;
use rustc_hash::FxHashMap;

use crate::access_log::Logger;
use crate::body::RequestBody;
use crate::clock::Clocks;
use crate::config::model::{Listener, Timeouts};
use crate::error::Kind;
use crate::header::forwarded::{Peer, Scheme};
use crate::metrics::Metrics;
use crate::metrics::Traffic;
use crate::metrics::cells::WorkerId;
use crate::request::outcome::Ledger;
use crate::response::upgrade::Tunnel;
use crate::snapshot::{Reader, Store};
use crate::upstream::Upstreams;

/// What a worker's requests have at hand. It stays on the worker's thread.
#[derive(Debug)]
pub(crate) struct WorkerContext {
    pub(crate) worker: WorkerId,
    pub(crate) store: Arc<Store>,
    pub(crate) reader: Reader,
    pub(crate) upstreams: Upstreams,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) logger: Logger,
    random: RefCell<fastrand::Rng>,
    accounts: RefCell<FxHashMap<usize, Rc<Account>>>,
    /// Answers ask their clients to close: the process is going to end.
    pub(crate) closing: Cell<bool>,
}

/// What a request is booked on: its counters, and its names for the log. One a worker, so that booking a request
/// touches no count that other workers touch.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) version: Option<Arc<str>>,
}

impl WorkerContext {
    pub(crate) fn new(
        worker: WorkerId,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        logger: Logger,
        seed: u64,
    ) -> Self {
        Self {
            worker,
            reader: store.reader(),
            store,
            upstreams: Upstreams::new(worker),
            metrics,
            logger,
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            accounts: RefCell::default(),
            closing: Cell::new(false),
        }
    }

    /// A random number; not for secrets.
    pub(crate) fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// The worker's source of chance, for one choice.
    pub(crate) fn chance(&self) -> RefMut<'_, fastrand::Rng> {
        self.random.borrow_mut()
    }

    /// The account of these counters, made at their first request since the last snapshot.
    pub(crate) fn account(
        &self,
        traffic: &Arc<Traffic>,
        names: impl FnOnce() -> (Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>),
    ) -> Rc<Account> {
        let key = Arc::as_ptr(traffic) as usize;
        if let Some(account) = self.accounts.borrow().get(&key) {
            return Rc::clone(account);
        }
        let (route, pool, version) = names();
        let account = Rc::new(Account {
            traffic: Arc::clone(traffic),
            route,
            pool,
            version,
        });
        self.accounts.borrow_mut().insert(key, Rc::clone(&account));
        account
    }

    /// Acts on a new snapshot.
    pub(crate) fn follow(&self) {
        let view = self.reader.newest();
        self.accounts.borrow_mut().clear();
        self.upstreams.follow(&view.pools);
        self.store.acknowledge(self.worker, view.generation);
    }
}

/// Whether somebody waits for everything to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    NotAwaited,
    Awaited,
}

/// How far the answer to a request has come, seen from outside of all layers around the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// Nobody watches: the proxy is called without a connection of its own.
    Unwatched,
    /// The layers or the proxy are at it.
    Pending,
    /// The head of an answer was given, with this status.
    Begun(StatusCode),
    /// It failed outside of the proxy or by a panic; the head of the answer says so.
    Failed(Kind),
    /// The same, when its head had been given.
    BrokenOff(Kind),
    /// The client left before there was an answer.
    Abandoned,
}

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) listener: Arc<Listener>,
    pub(crate) address: IpAddr,
    pub(crate) peer: Peer,
    pub(crate) scheme: Scheme,
    pub(crate) clocks: Rc<Clocks>,
    /// The next answer asks the client to close.
    pub(crate) closing: Cell<bool>,
    /// How far the answer to its present request has come, as whoever serves the connection sees it.
    answering: Cell<Answering>,
    /// Its present request has come to the proxy, through whatever layers there are.
    pub(crate) reached: Cell<bool>,
    /// A request's body was not read to its end.
    pub(crate) abandoned: Rc<Cell<bool>>,
    /// How long the client may leave what is written to it unread; the route's `timeouts.idle`.
    pub(crate) write_limit: Cell<Option<Duration>>,
    /// The socket tells when everything is written; without one, a response is over with its body.
    pub(crate) tells_flush: Cell<bool>,
    flush: Cell<Flush>,
    tail: RefCell<Option<Box<Ledger>>>,
    /// The book of a request that a layer gave up, until the layer has answered instead.
    given_up: RefCell<Option<Box<Ledger>>>,
    tunnel: RefCell<Option<Tunnel>>,
}

impl Client {
    pub(crate) fn new(listener: Arc<Listener>, address: IpAddr, scheme: Scheme) -> Self {
        let peer = Peer::new(address, &listener.trusted_proxies);
        Self {
            listener,
            address,
            peer,
            scheme,
            clocks: Rc::default(),
            closing: Cell::new(false),
            answering: Cell::new(Answering::Unwatched),
            reached: Cell::new(false),
            abandoned: Rc::default(),
            write_limit: Cell::new(Timeouts::default().idle),
            tells_flush: Cell::new(false),
            flush: Cell::new(Flush::NotAwaited),
            tail: RefCell::default(),
            given_up: RefCell::default(),
            tunnel: RefCell::default(),
        }
    }

    /// The body of a request that hyper has read, under the connection's eye.
    pub(crate) fn receive(&self, body: Incoming) -> RequestBody {
        RequestBody::incoming(body, &self.abandoned)
    }

    /// A response's body has been handed over; its last octets may not be written yet.
    pub(super) fn handed_over(&self, ledger: Box<Ledger>) {
        if self.tells_flush.get() {
            drop(self.tail.replace(Some(ledger)));
        }
    }

    /// How far the answer has come.
    pub(crate) fn answering(&self) -> Answering {
        self.answering.get()
    }

    /// The answer has come so far.
    pub(crate) fn answers(&self, now: Answering) {
        self.answering.set(now);
        if now == Answering::Pending {
            self.reached.set(false);
        } else if let Some(mut ledger) = self.given_up.take() {
            ledger.answered_by_layer(now);
        }
    }

    /// A layer has dropped a request, or the answer to it, and owes the client another answer.
    pub(super) fn give_up(&self, ledger: Box<Ledger>) {
        drop(self.given_up.replace(Some(ledger)));
    }

    /// A body waits from now on until what was handed over before is written.
    pub(super) fn await_flush(&self) {
        if self.tells_flush.get() {
            self.flush.set(Flush::Awaited);
        }
    }

    /// Whether that is still to come.
    pub(super) fn awaits_flush(&self) -> bool {
        self.flush.get() == Flush::Awaited
    }

    /// Nothing is left to write; tells whether a body waited for that.
    pub(crate) fn nothing_unwritten(&self) -> bool {
        self.flush.replace(Flush::NotAwaited) == Flush::Awaited
    }

    /// Everything handed over has been written.
    pub(crate) fn flushed(&self) {
        if self.tail.borrow().is_some() {
            drop(self.tail.take());
        }
    }

    /// Nothing more can be written.
    pub(crate) fn gone(&self) {
        if let Some(mut ledger) = self.tail.take() {
            ledger.client_left();
        }
    }

    pub(super) fn switch_to(&self, tunnel: Tunnel) {
        self.tunnel.replace(Some(tunnel));
    }

    /// The tunnel that begins now, if the last answer was a 101.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }
}
