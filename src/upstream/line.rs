//! One connection to an endpoint, with hyper's two halves of it in one hand.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::upstream::attempt::UpstreamBody;
use crate::upstream::idle::Local;
use crate::upstream::io::{Tie, UpstreamIo};

/// The most of a response's head, in octets.
const HEAD_LIMIT: usize = 256 << 10;

/// One connection to an endpoint.
pub(crate) struct Line {
    pub(super) sender: SendRequest<UpstreamBody>,
    connection: Option<Connection<TokioIo<UpstreamIo>, UpstreamBody>>,
    pub(super) tie: Rc<Tie>,
    local: Rc<Local>,
    slot: usize,
    /// When it may no longer be taken up again; `None` is never.
    pub(super) expires: Option<Instant>,
    /// What the endpoint itself said of how long it keeps the connection.
    pub(super) promised: Option<Duration>,
    pub(super) reused: bool,
}

impl Line {
    /// Takes a fresh socket.
    pub(super) async fn over(tcp: TcpStream, local: Rc<Local>) -> hyper::Result<Box<Self>> {
        let tie = Rc::new(Tie::default());
        let io = TokioIo::new(UpstreamIo::new(tcp, Rc::clone(&tie)));
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_LIMIT)
            .handshake(io)
            .await?;
        let slot = local.join(Rc::clone(&tie));
        Ok(Box::new(Self {
            sender,
            connection: Some(connection),
            tie,
            local,
            slot,
            expires: None,
            promised: None,
            reused: false,
        }))
    }

    /// Drives it; ready when it has ended, one way or another.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match &mut self.connection {
            Some(connection) => connection.poll_without_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Looks at an unused connection: still open, nothing unasked has come, not past its time.
    pub(super) fn is_fit(&mut self, now: Instant) -> bool {
        if self.expires.is_some_and(|expires| expires <= now) {
            return false;
        }
        let mut cx = Context::from_waker(Waker::noop());
        self.poll(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Gives it back for further requests, if it is good for any.
    pub(crate) fn release(mut self: Box<Self>, cx: &mut Context<'_>) {
        if self.poll(cx).is_pending() && self.sender.is_ready() {
            let local = Rc::clone(&self.local);
            local.keep(self);
        }
    }

    /// Notes how long the endpoint promised to keep the connection (`Keep-Alive: timeout`).
    pub(crate) fn promise(&mut self, kept: Option<Duration>) {
        self.promised = kept;
    }

    /// Drives the connection in a task of its own from now on, because its user may be held up by the client while
    /// the request's body still flows.
    pub(crate) fn detach(mut self: Box<Self>) -> Drive {
        let driver = tokio::task::spawn_local(async move {
            // How it ended reaches its user through the response's body.
            drop(std::future::poll_fn(|cx| self.poll(cx)).await);
        });
        Drive::Detached {
            _task: Detached(driver),
        }
    }

    /// Takes the socket out, with what was read beyond the head, after the endpoint switched protocols.
    pub(crate) fn switch(mut self: Box<Self>) -> Option<Switched> {
        let parts = self.connection.take()?.into_parts();
        Some(Switched {
            io: parts.io.into_inner(),
            ahead: parts.read_buf,
            _line: self,
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.local.leave(self.slot);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}

/// Who drives a connection while its response is relayed.
#[derive(Debug)]
pub(crate) enum Drive {
    /// Whoever relays the response.
    Inline(Box<Line>),
    /// A task of its own.
    Detached {
        /// Ends the task when it is dropped.
        _task: Detached,
    },
    /// Nobody any more.
    Over,
}

/// A task that ends with its handle.
#[derive(Debug)]
pub(crate) struct Detached(JoinHandle<()>);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection that speaks another protocol now.
#[derive(Debug)]
pub(crate) struct Switched {
    io: UpstreamIo,
    ahead: Bytes,
    // Holds the connection's place in the worker's table, by which a dead endpoint's connections are cut.
    _line: Box<Line>,
}

impl Switched {
    /// What the endpoint said right behind its head.
    pub(crate) fn take_ahead(&mut self) -> Bytes {
        std::mem::take(&mut self.ahead)
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// hyper's answer to a request that was handed to it.
pub(super) type Reply = Pin<
    Box<
        dyn Future<
            Output = Result<
                hyper::Response<hyper::body::Incoming>,
                hyper::client::conn::TrySendError<hyper::Request<UpstreamBody>>,
            >,
        >,
    >,
>;
