//! What a worker's requests have at hand, what a connection's requests have in common, and what each exchange has alone.

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use rustc_hash::FxHashMap;

use crate::access_log::Logger;
use crate::clock::Clocks;
use crate::config::model::{Listener, Timeouts};
use crate::error::Kind;
use crate::header::forwarded::{Peer, Scheme};
use crate::header::proxy_protocol::Origin;
use crate::metrics::Metrics;
use crate::metrics::Traffic;
use crate::metrics::cells::WorkerId;
use crate::request::interim::Interims;
use crate::request::outcome::Ledger;
use crate::request::secured::Secured;
use crate::response::local_reply::Dialect;
use crate::response::upgrade::Tunnel;
use crate::snapshot::{Reader, Snapshot, Store};
use crate::tls::Identity;
use crate::upstream::{Hears, Upstreams};
use crate::wire::Wire;

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
    /// The second for which the date was printed last.
    date: RefCell<(u64, HeaderValue)>,
    accounts: RefCell<FxHashMap<usize, Rc<Account>>>,
    /// Answers ask their clients to close: the process is going to end.
    pub(crate) closing: Cell<bool>,
    /// What is still under way is being cut, because the process ends.
    pub(crate) cutting: Cell<bool>,
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
            date: RefCell::new((0, HeaderValue::from_static(""))),
            accounts: RefCell::default(),
            closing: Cell::new(false),
            cutting: Cell::new(false),
        }
    }

    /// The present time for the `Date` of an answer (RFC 9110 §5.6.7), printed once a second.
    pub(crate) fn date(&self) -> HeaderValue {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH);
        let second = second.map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            let printed = HeaderValue::from_str(&httpdate::fmt_http_date(now));
            // A date has no octets that a field may not have.
            date.1 = printed.unwrap_or_else(|_| HeaderValue::from_static(""));
            date.0 = second;
        }
        date.1.clone()
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

/// What all requests of a client's connection have in common, those that it has at the same time as well.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) listener: Arc<Listener>,
    peer: Peer,
    /// Who it is by the words of a proxy that passes its octets on.
    announced: OnceCell<Box<Peer>>,
    pub(crate) scheme: Scheme,
    /// What is known of its TLS session, once there is one.
    secured: OnceCell<Box<Secured>>,
    /// Both ends of its connection, where it has addresses; endpoints may be told of them.
    ends: Cell<Option<Origin>>,
    origin: OnceCell<Rc<Origin>>,
    /// The next answer asks the client to close.
    pub(crate) closing: Cell<bool>,
}

/// A client as one exchange with it goes: over HTTP/1 all exchanges of a connection, which come one after the other, over
/// HTTP/2 a stream. What it has in common with the others is the caller's.
#[derive(Debug)]
pub(crate) struct Client {
    caller: Rc<Caller>,
    pub(crate) clocks: Rc<Clocks>,
    /// How far the answer to its present request has come, as whoever serves the connection sees it.
    answering: Cell<Answering>,
    /// Its present request has come to the proxy, through whatever layers there are.
    pub(crate) reached: Cell<bool>,
    /// In what its present request is told of failures, once that is known.
    pub(crate) dialect: Cell<Dialect>,
    /// How long the client may leave what is written to it unread; the route's `timeouts.idle`.
    pub(crate) write_limit: Cell<Option<Duration>>,
    /// The socket tells when everything is written; without one, a response is over with its body.
    pub(crate) tells_flush: Cell<bool>,
    tail: RefCell<Option<Box<Ledger>>>,
    /// The book of a request that a layer gave up, until the layer has answered instead.
    given_up: RefCell<Option<Box<Ledger>>>,
    /// Boxed, so that the connections without one, which are most, do not keep the room.
    tunnel: RefCell<Option<Box<Tunnel>>>,
    /// What endpoints say before their answers.
    pub(super) interims: Interims,
    voice: RefCell<Voice>,
}

/// Where interim responses go.
#[derive(Debug, Default)]
pub(crate) enum Voice {
    /// To nobody.
    #[default]
    None,
    /// Over the connection.
    Wire(Rc<Wire>),
    /// They wait for whoever serves the exchange, who takes them when it has polled its answer.
    Kept(Vec<Response<()>>),
}

impl Caller {
    fn new(listener: Arc<Listener>, address: Option<IpAddr>, scheme: Scheme) -> Self {
        Self {
            peer: Peer::new(address, &listener.claims),
            announced: OnceCell::new(),
            listener,
            scheme,
            secured: OnceCell::new(),
            ends: Cell::new(None),
            origin: OnceCell::new(),
            closing: Cell::new(false),
        }
    }

    /// Its connection has these ends.
    pub(crate) fn came_by(&self, ends: Option<Origin>) {
        self.ends.set(ends);
    }

    /// Both ends of its connection, for as long as that lasts; made for the first endpoint that wants to know.
    pub(crate) fn origin(&self) -> Option<&Rc<Origin>> {
        let ends = self.ends.get()?;
        Some(self.origin.get_or_init(|| Rc::new(ends)))
    }

    /// Who it is: who connected, or whom the header of the PROXY protocol names.
    pub(crate) fn peer(&self) -> &Peer {
        self.announced
            .get()
            .map_or(&self.peer, |announced| announced)
    }

    /// The address of that; none on a socket of this host.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.peer().address()
    }

    /// The header of the PROXY protocol has told this.
    pub(crate) fn is_announced(&self, ends: Option<Origin>) {
        self.ends.set(ends);
        let address = ends.map(|ends| ends.source.ip());
        let peer = Peer::new(address, &self.listener.claims);
        // There is one header.
        self.announced.set(Box::new(peer)).ok();
    }

    /// The TLS handshake has told this.
    pub(crate) fn is_secured(&self, secured: Secured) {
        // There is one handshake.
        self.secured.set(Box::new(secured)).ok();
    }

    /// Who the client has proved to be.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.secured.get()?.identity.as_ref()
    }

    /// Whether a request for this host belongs on another connection.
    pub(crate) fn misdirects(&self, host: &str, snapshot: &Snapshot) -> bool {
        let secured = self.secured.get();
        secured.is_some_and(|secured| secured.misdirects(host, &self.listener, snapshot))
    }
}

impl Deref for Client {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Hears for Client {
    fn hear(&self, interim: Response<()>) {
        self.interims.hear(interim);
    }
}

impl Client {
    pub(crate) fn new(listener: Arc<Listener>, address: Option<IpAddr>, scheme: Scheme) -> Self {
        Self::of(Rc::new(Caller::new(listener, address, scheme)))
    }

    /// The same client in an exchange beside this one.
    pub(crate) fn beside(&self) -> Self {
        Self::of(Rc::clone(&self.caller))
    }

    /// Makes another client, whose exchange is over, the one of a next exchange beside this one: as new, but that it keeps what
    /// costs an allocation or a timer. Where anybody still has something of it, another takes its place.
    pub(crate) fn renew_beside(&self, other: &mut Rc<Self>) {
        let is_ours = |other: &&mut Self| {
            Rc::ptr_eq(&self.caller, &other.caller) && Rc::strong_count(&other.clocks) == 1
        };
        match Rc::get_mut(other).filter(is_ours) {
            Some(other) => other.renew(),
            None => *other = Rc::new(self.beside()),
        }
    }

    fn renew(&mut self) {
        let Self {
            caller: _,
            clocks,
            answering,
            reached,
            dialect,
            write_limit,
            tells_flush,
            tail,
            given_up,
            tunnel,
            // Begun anew by the request.
            interims: _,
            voice,
        } = self;
        clocks.stop_all();
        answering.set(Answering::Unwatched);
        reached.set(false);
        dialect.set(Dialect::default());
        write_limit.set(Timeouts::default().idle);
        tells_flush.set(false);
        *tail.get_mut() = None;
        *given_up.get_mut() = None;
        *tunnel.get_mut() = None;
        *voice.get_mut() = Voice::None;
    }

    fn of(caller: Rc<Caller>) -> Self {
        Self {
            caller,
            clocks: Rc::default(),
            answering: Cell::new(Answering::Unwatched),
            reached: Cell::new(false),
            dialect: Cell::default(),
            write_limit: Cell::new(Timeouts::default().idle),
            tells_flush: Cell::new(false),
            tail: RefCell::default(),
            given_up: RefCell::default(),
            tunnel: RefCell::default(),
            interims: Interims::default(),
            voice: RefCell::default(),
        }
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
            self.dialect.set(Dialect::Http);
        } else if let Some(mut ledger) = self.given_up.take() {
            ledger.answered_by_layer(now);
        }
    }

    /// A layer has dropped a request, or the answer to it, and owes the client another answer.
    pub(super) fn give_up(&self, ledger: Box<Ledger>) {
        drop(self.given_up.replace(Some(ledger)));
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
        self.tunnel.replace(Some(Box::new(tunnel)));
    }

    /// Interim responses go there from now on.
    pub(crate) fn speaks_through(&self, voice: Voice) {
        drop(self.voice.replace(voice));
    }

    /// Passes an interim response on. A proxy without a connection of its own tells nobody.
    pub(super) fn tell_interim(&self, status: StatusCode, headers: &HeaderMap) {
        match &mut *self.voice.borrow_mut() {
            Voice::None => {}
            Voice::Wire(wire) => wire.push_interim(status, headers),
            Voice::Kept(kept) => {
                let mut interim = Response::new(());
                *interim.status_mut() = status;
                interim.headers_mut().clone_from(headers);
                kept.push(interim);
            }
        }
    }

    /// The protocol that it speaks, where no head tells.
    pub(super) fn speaks(&self) -> Version {
        match &*self.voice.borrow() {
            Voice::None | Voice::Wire(_) => Version::HTTP_11,
            Voice::Kept(_) => Version::HTTP_2,
        }
    }

    /// The interim responses that wait.
    pub(crate) fn take_interims(&self) -> Vec<Response<()>> {
        match &mut *self.voice.borrow_mut() {
            Voice::None | Voice::Wire(_) => Vec::new(),
            Voice::Kept(kept) => std::mem::take(kept),
        }
    }

    /// The tunnel that begins now, if the last answer was a 101.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take().map(|tunnel| *tunnel)
    }
}
