//! What a client's connection is doing, told to its clocks and its counters; and its socket inside a tunnel.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::clock::{self, Clock};
use crate::header::network;
use crate::metrics::{Abort, Handshake, ListenerTraffic, Refusal, WorkerId};
use crate::request::context::{Answering, Client};
use crate::wire::{Stream, Went};

/// How long a connection without a request keeps the state that serves one, where its client asks often: where its last
/// request came this soon behind the answer before it. Making that state anew costs some hundred nanoseconds, keeping it some
/// kilobytes: a client that asks twenty times a second or more pays neither, but for the second time. Of all others none is
/// awake without a request, however many there are.
const AWAKE: Duration = Duration::from_millis(50);

/// How long an old connection must have been without a request to be closed without an answer, so that a client that
/// is just about to ask is not met by the close.
const UNUSED: Duration = Duration::from_secs(1);

/// How long a worker says nothing more of connections that are broken off, since those who provoke it come in crowds.
const QUIET: Duration = Duration::from_secs(1);

thread_local! {
    /// When this worker spoke of one last.
    static WARNED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What a connection's socket and its task tell each other.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) client: Rc<Client>,
    worker: WorkerId,
    traffic: Arc<ListenerTraffic>,
    phase: Cell<Phase>,
    /// An answer is owed, or not written out yet.
    unflushed: Cell<bool>,
    /// A request is being served: from its head read to its response's body handed over.
    serving: Cell<bool>,
    /// Streams of HTTP/2 that are open, or whose end is not written out yet.
    streams: Cell<usize>,
    requests: Cell<u64>,
    opened: Instant,
    /// Since when nothing has been asked, where nothing is.
    rested: Cell<Instant>,
    /// Its last request came so soon behind the answer before it that the next is worth being awake for.
    asks_often: Cell<bool>,
}

/// What the client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing: no octet of a next request has come.
    Idle,
    /// It is sending a head.
    Head,
    /// It waits for an answer, sends a body or reads one.
    Served,
    /// It switched protocols.
    Tunnel,
}

impl Edge {
    pub(crate) fn new(
        client: Rc<Client>,
        worker: WorkerId,
        traffic: Arc<ListenerTraffic>,
    ) -> Rc<Self> {
        traffic.opened(worker);
        client.tells_flush.set(true);
        let opened = Instant::now();
        let edge = Self {
            client,
            worker,
            traffic,
            phase: Cell::new(Phase::Idle),
            unflushed: Cell::new(false),
            serving: Cell::new(false),
            streams: Cell::new(0),
            requests: Cell::new(0),
            opened,
            rested: Cell::new(opened),
            asks_often: Cell::new(false),
        };
        edge.rest();
        Rc::new(edge)
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A head has been read and its request is being served.
    fn begin_request(&self, client: &Client) {
        self.phase.set(Phase::Served);
        self.unflushed.set(true);
        self.serving.set(true);
        client.answers(Answering::Pending);
        let silent = clock::now().duration_since(self.rested.get());
        self.asks_often.set(!self.is_new() && silent < AWAKE);
        self.requests.set(self.requests.get() + 1);
        for clock in [Clock::Idle, Clock::Head, Clock::Rest] {
            self.client.clocks.stop(clock);
        }
        let limit = self.client.listener.limits.max_connection_age;
        if limit.is_some_and(|limit| clock::now().duration_since(self.opened) >= limit) {
            self.client.closing.set(true);
        }
    }

    /// The answer's body has been handed over, or nobody waits for an answer any more.
    fn end_request(&self, client: &Client) {
        self.serving.set(false);
        if client.answering() == Answering::Pending {
            client.answers(Answering::Abandoned);
        }
    }

    /// The TLS handshake is to be over in its time.
    pub(super) fn begin_handshake(&self) {
        let limit = self.client.listener.limits.handshake_timeout;
        self.client.clocks.start(Clock::Head, self.opened, limit);
    }

    /// What came before the TLS handshake or the first request is over.
    pub(super) fn has_arrived(&self) {
        self.client.clocks.stop(Clock::Head);
        self.rest();
    }

    /// A connection is turned away. The first of its kind is told, all are counted.
    pub(super) fn refuses(&self, refusal: Refusal) {
        self.refuses_for(refusal, None);
    }

    /// The same, where there is more to say about it.
    pub(super) fn refuses_for(&self, refusal: Refusal, error: Option<&io::Error>) {
        let (client, why) = (network::shown(self.client.address()), refusal.word());
        let error = error.map(tracing::field::display);
        let listener = &self.client.listener.name;
        if self.traffic.refused(self.worker, refusal) {
            tracing::warn!(%listener, %client, why, error, "Connection refused; further ones are only counted");
        } else {
            tracing::debug!(%listener, %client, why, error, "Connection refused");
        }
    }

    /// The TLS handshake is over.
    pub(super) fn end_handshake(&self, result: Handshake) {
        self.traffic.shook_hands(self.worker, result);
        self.has_arrived();
    }

    /// The connection is kept awake for a while, although nothing has been asked.
    pub(super) fn lingers(&self) {
        self.client
            .clocks
            .start(Clock::Rest, clock::now(), Some(AWAKE));
    }

    /// A part of a head came along with the request before it.
    pub(super) fn begin_head(&self) {
        self.phase.set(Phase::Head);
        let clocks = &self.client.clocks;
        let limit = self.client.listener.limits.header_timeout;
        clocks.stop(Clock::Idle);
        clocks.start(Clock::Head, clock::now(), limit);
    }

    /// The client speaks HTTP/2 from now on, and its preface is to be there in time.
    pub(super) fn begin_preface(&self) {
        self.phase.set(Phase::Head);
        let clocks = &self.client.clocks;
        let limit = self.client.listener.limits.handshake_timeout;
        clocks.stop(Clock::Idle);
        clocks.stop(Clock::Rest);
        clocks.start(Clock::Head, clock::now(), limit);
    }

    /// All of its preface is there.
    pub(super) fn greeted(&self) {
        let clocks = &self.client.clocks;
        clocks.stop(Clock::Head);
        let age = self.client.listener.limits.max_connection_age;
        clocks.start(Clock::Age, self.opened, age);
        if self.streams.get() == 0 {
            self.rest();
            self.lingers();
        }
    }

    /// A header block has begun, and its end is to be there in time.
    pub(super) fn begin_block(&self) {
        let clocks = &self.client.clocks;
        if !clocks.runs(Clock::Head) {
            let limit = self.client.listener.limits.header_timeout;
            clocks.start(Clock::Head, clock::now(), limit);
        }
    }

    /// A stream has been opened.
    pub(super) fn begin_stream(&self) {
        self.streams.set(self.streams.get() + 1);
        self.phase.set(Phase::Served);
        self.client.clocks.stop(Clock::Idle);
        self.client.clocks.stop(Clock::Rest);
    }

    /// A stream is over, and written out.
    pub(super) fn end_stream(&self) {
        self.streams.set(self.streams.get() - 1);
        if self.streams.get() == 0 {
            self.unflushed.set(false);
            self.serving.set(false);
            self.rest();
            self.lingers();
        }
    }

    /// The connection is broken off.
    pub(super) fn aborts(&self, abort: Abort) {
        self.traffic.aborted(self.worker, abort);
        let client = network::shown(self.client.address());
        let listener = &self.client.listener.name;
        tracing::debug!(%listener, %client, reason = abort.word(), "HTTP/2 connection broken off");
        if abort.is_hostile()
            && WARNED
                .replace(Some(clock::now()))
                .is_none_or(|last| last.elapsed() >= QUIET)
        {
            tracing::warn!(
                %listener, %client, reason = abort.word(),
                "HTTP/2 connection broken off; fiel_http2_aborts_total counts all",
            );
        }
    }

    /// Whether no request has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.requests.get() == 0
    }

    pub(super) fn begin_tunnel(&self) {
        self.phase.set(Phase::Tunnel);
        // A tunnel has a clock of its own for both ways.
        self.client.write_limit.set(None);
        self.client.clocks.stop(Clock::Write);
    }

    /// Whether nothing of a request has come and nothing of an answer is left to write.
    pub(super) fn is_resting(&self) -> bool {
        self.phase.get() == Phase::Idle && !self.unflushed.get() && !self.serving.get()
    }

    /// Whether no request has come yet on a connection that is younger than this; the idle clock rings when it is not.
    pub(super) fn awaits_first_request(&self, limit: Duration) -> bool {
        let awaits = self.requests.get() == 0 && self.opened.elapsed() < limit;
        if awaits {
            let clocks = &self.client.clocks;
            clocks.start(Clock::Idle, self.opened, Some(limit));
        }
        awaits
    }

    fn rest(&self) {
        self.phase.set(Phase::Idle);
        let now = clock::now();
        let limits = &self.client.listener.limits;
        // An old connection that is used is asked to close with its next answer; one that is not is closed at its age.
        let young = limits.max_connection_age.map(|age| {
            let young = age.saturating_sub(now.duration_since(self.opened));
            young.max(UNUSED)
        });
        let limit = match (limits.idle_timeout, young) {
            (Some(idle), Some(young)) => Some(idle.min(young)),
            (idle, young) => idle.or(young),
        };
        self.client.clocks.start(Clock::Idle, now, limit);
        self.rested.set(now);
    }

    /// Octets were written.
    pub(super) fn wrote(&self, octets: usize) {
        self.traffic.bytes_out(self.worker, octets as u64);
    }

    /// Octets of a head have come.
    pub(super) fn came(&self, octets: usize) {
        self.read(octets as u64);
        if self.phase.get() == Phase::Idle {
            self.begin_head();
        }
    }

    /// Octets were read.
    pub(super) fn read(&self, octets: u64) {
        if octets > 0 {
            self.traffic.bytes_in(self.worker, octets);
        }
    }

    /// What came of writing: a client that takes nothing for too long is given up.
    pub(super) fn went(&self, went: Went, left: Left) {
        let clocks = &self.client.clocks;
        if went.octets > 0 {
            self.wrote(went.octets);
        }
        if left == Left::Nothing || went.moved {
            clocks.stop(Clock::Write);
        }
        if left == Left::Something && !clocks.runs(Clock::Write) {
            clocks.start(Clock::Write, clock::now(), self.client.write_limit.get());
        }
    }

    /// Everything that was owed has been written.
    pub(super) fn flushed(&self) {
        self.unflushed.set(false);
        self.client.flushed();
        if self.phase.get() == Phase::Served {
            self.rest();
            if self.asks_often.get() {
                self.lingers();
            }
        }
    }
}

/// What is left to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Something,
}

/// A request in service; it ends when this is dropped. The connection holds it and not the proxy, because a layer may be
/// at work before the proxy is called and after it has answered.
#[derive(Debug)]
pub(super) struct Serving {
    edge: Rc<Edge>,
    client: Rc<Client>,
}

impl Serving {
    /// A head of this client has been read.
    pub(super) fn begin(edge: &Rc<Edge>, client: &Rc<Client>) -> Self {
        edge.begin_request(client);
        Self {
            edge: Rc::clone(edge),
            client: Rc::clone(client),
        }
    }

    /// Whose request it is.
    pub(super) fn client(&self) -> &Rc<Client> {
        &self.client
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.edge.end_request(&self.client);
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.client.gone();
        self.traffic.closed(self.worker);
    }
}

/// The client's stream inside a tunnel.
pub(super) struct EdgeIo {
    stream: Stream,
    edge: Rc<Edge>,
    /// Octets that were read before the tunnel began.
    ahead: Bytes,
}

impl EdgeIo {
    pub(super) fn new(stream: Stream, edge: Rc<Edge>, ahead: Bytes) -> Self {
        Self {
            stream,
            edge,
            ahead,
        }
    }
}

impl AsyncRead for EdgeIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.edge.read((buffer.filled().len() - before) as u64);
        polled
    }
}

impl AsyncWrite for EdgeIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, octets);
        if let Poll::Ready(Ok(octets)) = &polled {
            self.edge.wrote(*octets);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for EdgeIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeIo")
            .field("edge", &self.edge)
            .finish_non_exhaustive()
    }
}
