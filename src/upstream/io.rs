//! What a connection to an endpoint is read from and written to: counts what comes, and can be cut from beside.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dial::Stream;

/// Octets within which the head of an answer must come, with all interim responses before it: a single head has a
/// bound of its own, their number has none.
const HEADS_BYTES: u64 = 1 << 20;

/// What a connection shares with the worker's table of connections.
#[derive(Debug, Default)]
pub(super) struct Tie {
    /// Why it was cut, if it was.
    cut: Cell<Option<&'static str>>,
    received: Cell<u64>,
    /// Where reading ends while a head is awaited, counted as `received` is.
    heads_end: Cell<Option<u64>>,
    sent: Cell<u64>,
    reader: RefCell<Option<Waker>>,
}

impl Tie {
    /// Ends the connection: its next read or write fails, and who waits for it is woken.
    pub(super) fn cut(&self, why: &'static str) {
        self.cut.set(Some(why));
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// Octets received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Octets sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// A request is sent: the head of its answer is awaited from now on.
    pub(super) fn await_head(&self) {
        self.heads_end.set(Some(self.received.get() + HEADS_BYTES));
    }

    /// The head of the answer has come.
    pub(super) fn head_came(&self) {
        self.heads_end.set(None);
    }

    fn check_heads(&self) -> io::Result<()> {
        let is_over = |end| self.received.get() >= end;
        if self.heads_end.get().is_some_and(is_over) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "interim responses without end",
            ));
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.cut.get() {
            Some(why) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)),
            None => Ok(()),
        }
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut reader = self.reader.borrow_mut();
        match &mut *reader {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *reader = Some(cx.waker().clone()),
        }
    }
}

/// The stream, in the clear or over TLS.
#[derive(Debug)]
pub(super) struct UpstreamIo {
    stream: Stream,
    tie: Rc<Tie>,
}

impl UpstreamIo {
    pub(super) fn new(stream: Stream, tie: Rc<Tie>) -> Self {
        Self { stream, tie }
    }

    /// Whether it has taken octets that are not out yet.
    pub(super) fn holds_octets(&self) -> bool {
        self.stream.holds_octets()
    }

    /// Says goodbye where the protocol below has a word for it (RFC 8446 §6.1), without waiting.
    pub(super) fn say_goodbye(&mut self) {
        if let Stream::Tls(session) = &mut self.stream {
            let mut cx = Context::from_waker(Waker::noop());
            // Who does not take it now finds the connection closed.
            drop(Pin::new(session).poll_shutdown(&mut cx));
        }
    }

    /// Whether something may have come, or the connection was cut; nobody is woken when it has.
    pub(super) fn may_have_octets(&mut self) -> bool {
        self.tie.cut.get().is_some() || self.stream.may_have_octets()
    }

    /// Ready where something may have come, or the connection was cut.
    pub(super) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tie.check()?;
        let ready = self.stream.poll_read_ready(cx);
        if ready.is_pending() {
            self.tie.remember(cx);
        }
        ready
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tie.check()?;
        self.tie.check_heads()?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            self.tie.remember(cx);
        } else {
            let came = (buffer.filled().len() - before) as u64;
            self.tie.received.set(self.tie.received.get() + came);
        }
        polled
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.tie.check()?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.tie.note_sent(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tie.check()?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.tie.note_sent(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tie.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Tie {
    fn note_sent(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(octets)) = polled {
            self.sent.set(self.sent.get() + *octets as u64);
        }
    }
}
