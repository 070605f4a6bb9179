//! The socket of a client, as hyper sees it: counts octets, tells the clocks what the client is doing, and keeps
//! hyper's own answers to unreadable heads from the client.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::model::HalfClose;
use crate::metrics::{ListenerTraffic, WorkerId};
use crate::request::context::{Answering, Client};

/// How long a connection without a request keeps the state that serves one. Making it anew costs a few microseconds, keeping
/// it some twenty kilobytes: a client that asks ten times a second or more pays neither.
const AWAKE: Duration = Duration::from_millis(100);

/// What a connection's socket and its task tell each other.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) client: Rc<Client>,
    worker: WorkerId,
    traffic: Arc<ListenerTraffic>,
    phase: Cell<Phase>,
    /// Something was handed to hyper that it has not written out yet.
    unflushed: Cell<bool>,
    /// A request is being served: from its head read to its response's body handed over.
    serving: Cell<bool>,
    /// The first octets that hyper wrote though no request was in service: its answer to an unreadable head.
    swallowed: RefCell<Vec<u8>>,
    requests: Cell<u64>,
    opened: Instant,
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
        let edge = Self {
            client,
            worker,
            traffic,
            phase: Cell::new(Phase::Idle),
            unflushed: Cell::new(false),
            serving: Cell::new(false),
            swallowed: RefCell::default(),
            requests: Cell::new(0),
            opened: Instant::now(),
        };
        edge.rest();
        Rc::new(edge)
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A head has been read and its request is being served.
    fn begin_request(&self) {
        self.phase.set(Phase::Served);
        self.unflushed.set(true);
        self.serving.set(true);
        self.client.answers(Answering::Pending);
        self.requests.set(self.requests.get() + 1);
        for clock in [Clock::Idle, Clock::Head, Clock::Rest] {
            self.client.clocks.stop(clock);
        }
        let limit = self.client.listener.limits.max_connection_age;
        if limit.is_some_and(|limit| self.opened.elapsed() >= limit) {
            self.client.closing.set(true);
        }
    }

    /// The answer's body has been handed over, or nobody waits for an answer any more.
    fn end_request(&self) {
        self.serving.set(false);
        if self.client.answering() == Answering::Pending {
            self.client.answers(Answering::Abandoned);
        }
    }

    /// A part of a head came along with the request before it.
    pub(super) fn begin_head(&self) {
        self.phase.set(Phase::Head);
        let clocks = &self.client.clocks;
        let limit = self.client.listener.limits.header_timeout;
        clocks.stop(Clock::Idle);
        clocks.start(Clock::Head, Instant::now(), limit);
    }

    pub(super) fn begin_tunnel(&self) {
        self.phase.set(Phase::Tunnel);
        // A tunnel has a clock of its own for both ways.
        self.client.write_limit.set(None);
        self.client.clocks.stop(Clock::Write);
    }

    /// What hyper answered to a head that it could not read, if it did.
    pub(super) fn swallowed_status(&self) -> Option<u16> {
        let swallowed = self.swallowed.borrow();
        let status = swallowed.get(9..12)?;
        std::str::from_utf8(status).ok()?.parse().ok()
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
        let now = Instant::now();
        let limits = &self.client.listener.limits;
        self.client
            .clocks
            .start(Clock::Idle, now, limits.idle_timeout);
        self.client.clocks.start(Clock::Rest, now, Some(AWAKE));
    }

    /// Octets were written past hyper.
    pub(super) fn wrote(&self, octets: usize) {
        self.traffic.bytes_out(self.worker, octets as u64);
    }

    fn came(&self, octets: usize) {
        self.traffic.bytes_in(self.worker, octets as u64);
        if self.phase.get() == Phase::Idle {
            self.begin_head();
        }
    }

    fn went(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(octets)) => {
                self.traffic.bytes_out(self.worker, *octets as u64);
                self.client.clocks.stop(Clock::Write);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if !self.client.clocks.runs(Clock::Write) {
                    self.client.clocks.start(
                        Clock::Write,
                        Instant::now(),
                        self.client.write_limit.get(),
                    );
                }
            }
        }
    }

    /// Everything that hyper had has been written.
    fn flushed(&self) {
        if self.serving.get() || !self.unflushed.get() {
            return;
        }
        self.unflushed.set(false);
        self.client.flushed();
        if self.phase.get() == Phase::Served {
            self.rest();
        }
    }

    /// Whether hyper is answering on its own: no request is in service, and what was answered before is out.
    fn must_swallow(&self) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Head) && !self.unflushed.get()
    }

    fn swallow<'a>(&self, slices: impl Iterator<Item = &'a [u8]>) -> usize {
        const KEPT: usize = 16;
        let mut swallowed = self.swallowed.borrow_mut();
        let mut total = 0;
        for slice in slices {
            let room = KEPT.saturating_sub(swallowed.len()).min(slice.len());
            swallowed.extend_from_slice(&slice[..room]);
            total += slice.len();
        }
        total
    }
}

/// A request in service; it ends when this is dropped. The connection holds it and not the proxy, because a layer may be
/// at work before the proxy is called and after it has answered.
#[derive(Debug)]
pub(super) struct Serving(Rc<Edge>);

impl Serving {
    /// A head has been read.
    pub(super) fn begin(edge: &Rc<Edge>) -> Self {
        edge.begin_request();
        Self(Rc::clone(edge))
    }

    /// Whose request it is.
    pub(super) fn client(&self) -> &Rc<Client> {
        &self.0.client
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.client.gone();
        self.traffic.closed(self.worker);
    }
}

/// The socket.
pub(super) struct EdgeIo {
    tcp: TcpStream,
    edge: Rc<Edge>,
    /// Octets that were read before and are to be read again.
    rewound: Bytes,
}

impl EdgeIo {
    pub(super) fn new(tcp: TcpStream, edge: Rc<Edge>) -> Self {
        Self {
            tcp,
            edge,
            rewound: Bytes::new(),
        }
    }

    /// Gives back octets that were read too far.
    pub(super) fn rewind(&mut self, octets: Bytes) {
        self.rewound = octets;
    }

    pub(super) fn into_socket(self) -> TcpStream {
        self.tcp
    }

    /// Finds out that a client has gone by a reset while its answer is awaited. hyper does not read then where a FIN
    /// means nothing; a reset behind a FIN is noticed when something is written.
    fn look_for_reset(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let delivers = self.edge.client.listener.half_close == HalfClose::Deliver;
        if delivers
            && self.edge.phase() == Phase::Served
            && self.tcp.poll_read_ready(cx).is_ready()
            && let Some(error) = self.tcp.take_error()?
        {
            return Err(error);
        }
        Ok(())
    }
}

impl AsyncRead for EdgeIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.rewound.is_empty() {
            let count = self.rewound.len().min(buffer.remaining());
            buffer.put_slice(&self.rewound[..count]);
            self.rewound.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let octets = buffer.filled().len() - before;
        if octets > 0 {
            self.edge.came(octets);
        }
        polled
    }
}

impl AsyncWrite for EdgeIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.edge.must_swallow() {
            return Poll::Ready(Ok(self.edge.swallow(std::iter::once(octets))));
        }
        let polled = Pin::new(&mut self.tcp).poll_write(cx, octets);
        self.edge.went(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.edge.must_swallow() {
            return Poll::Ready(Ok(self.edge.swallow(slices.iter().map(|slice| &**slice))));
        }
        let polled = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.edge.went(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when its own buffer is empty; a TCP socket has none.
        if self.edge.client.nothing_unwritten() {
            cx.waker().wake_by_ref();
        }
        self.edge.flushed();
        self.look_for_reset(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.edge.swallowed.borrow().is_empty() {
            // Our own answer is still to be written.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl fmt::Debug for EdgeIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeIo")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
