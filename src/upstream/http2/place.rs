//! Room for one request on a connection of HTTP/2, and a place in the queue of those who wait for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::Request;
use http::uri::Scheme;

use crate::error::{Error, Kind, Progress};
use crate::upstream::freshness::Freshness;
use crate::upstream::http2::connection::Connection;
use crate::upstream::http2::watch::Seen;
use crate::upstream::idle::Local;
use crate::upstream::line::Line;

/// What a request gets that asks for a connection.
pub(crate) enum Placed {
    At(Place),
    Waits(Ticket),
}

/// Room for one request on a connection, given back when it is dropped.
pub(crate) struct Place {
    connection: Rc<Connection>,
    local: Rc<Local>,
    /// The connection had served before.
    served: bool,
    /// The request had asked for a new one.
    renewed: bool,
}

/// What comes of waiting.
pub(crate) enum Got {
    Place(Place),
    /// The endpoint has chosen HTTP/1: this is the connection that was made.
    Line(Box<Line>),
    /// The same, and somebody else has the connection.
    NoRoom,
}

/// A place in the queue.
pub(crate) struct Ticket {
    waiting: Rc<Waiting>,
    local: Rc<Local>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    /// Connections that were begun before this one will not do, where any will not.
    pub(super) from: Option<u64>,
    pub(super) gone: Cell<bool>,
    outcome: RefCell<Option<Result<Got, Failure>>>,
    waker: RefCell<Option<Waker>>,
}

/// Why no connection could be made; told to all who waited for it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) cause: Arc<str>,
}

impl Failure {
    pub(super) fn new(kind: Kind, cause: &str) -> Self {
        Self {
            kind,
            cause: cause.into(),
        }
    }
}

impl Place {
    pub(super) fn take(local: &Rc<Local>, connection: Rc<Connection>, fresh: Freshness) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self {
            served: connection.seen.answers() > 0,
            renewed: fresh == Freshness::New,
            connection,
            local: Rc::clone(local),
        }
    }

    /// Opens the stream that the place is for.
    pub(super) fn open(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.connection.open(request, ends)
    }

    /// Whether the endpoint takes an extended CONNECT over it (RFC 8441 §3).
    pub(super) fn takes_tunnels(&self) -> bool {
        self.connection.takes_tunnels()
    }

    /// Whether the connection's end under the request would say nothing about the endpoint: it had served before. For a
    /// request that has got a new connection because of that it says something, or an endpoint that ends each
    /// connection would be asked for ever.
    pub(super) fn is_reused(&self) -> bool {
        self.served && !self.renewed
    }

    /// Whether the request has got a new connection because one ended under it.
    pub(super) fn is_renewed(&self) -> bool {
        self.renewed
    }

    /// How the connection is secured.
    pub(super) fn scheme(&self) -> &Scheme {
        &self.connection.scheme
    }

    /// What is known of the connection's frames.
    pub(super) fn seen(&self) -> &Seen {
        &self.connection.seen
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let streams = self.connection.streams.get();
        self.connection.streams.set(streams - 1);
        self.local.http2().left(&self.local, &self.connection);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("connection", &self.connection.number)
            .field("renewed", &self.renewed)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Line(line) => line.fmt(f),
            Self::NoRoom => f.write_str("NoRoom"),
        }
    }
}

impl Waiting {
    pub(super) fn new(from: Option<u64>) -> Rc<Self> {
        Rc::new(Self {
            from,
            gone: Cell::new(false),
            outcome: RefCell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// What the request has asked for.
    pub(super) fn asked(&self) -> Freshness {
        match self.from {
            None => Freshness::Any,
            Some(_) => Freshness::New,
        }
    }

    /// Says what there is, and wakes who waits.
    pub(super) fn settle(&self, outcome: Result<Got, Failure>) {
        self.gone.set(true);
        self.outcome.replace(Some(outcome));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Ticket {
    pub(super) fn of(waiting: Rc<Waiting>, local: &Rc<Local>) -> Self {
        Self {
            waiting,
            local: Rc::clone(local),
        }
    }

    /// Ready when there is room, or nothing to wait for.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Got, Error>> {
        match self.waiting.outcome.take() {
            Some(Ok(got)) => Poll::Ready(Ok(got)),
            Some(Err(Failure { kind, cause })) => Poll::Ready(Err(Error::because(
                kind,
                Progress::NothingSent,
                cause.to_string(),
            ))),
            None => {
                self.waiting.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.waiting.gone.replace(true) {
            self.local.http2().one_less_waits();
        }
        // Room that was given and not taken goes to the next.
        drop(self.waiting.outcome.take());
    }
}
