//! The stream under `h2`: counted, watched, a limited share of it read in a turn.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::edge::Edge;
use crate::connection::http2::watch::Watch;
use crate::wire::Stream;

/// Octets that are read in one turn of a connection's task, so that a busy one does not keep the worker from the others.
const SHARE: usize = 64 << 10;

/// A client's stream and what is seen of it. The connection's task has it beside `h2`, which keeps it to its end.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: RefCell<Option<Stream>>,
    /// Octets that were read before `h2` began.
    ahead: RefCell<Bytes>,
    edge: Rc<Edge>,
    watch: RefCell<Watch>,
    /// What may still be read in this turn, about.
    share: Cell<usize>,
    /// More would have been read.
    is_spent: Cell<bool>,
    /// There was nothing to read, and who reads will be woken.
    is_dry: Cell<bool>,
    /// The socket takes nothing.
    is_blocked: Cell<bool>,
    /// It took something since this was last asked.
    has_moved: Cell<bool>,
}

impl Pipe {
    pub(super) fn new(stream: Stream, ahead: Bytes, edge: &Rc<Edge>) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(Some(stream)),
            ahead: RefCell::new(ahead),
            edge: Rc::clone(edge),
            watch: RefCell::new(Watch::new()),
            share: Cell::new(SHARE),
            is_spent: Cell::new(false),
            is_dry: Cell::new(false),
            is_blocked: Cell::new(false),
            has_moved: Cell::new(false),
        })
    }

    /// A turn of the connection's task begins.
    pub(super) fn begin_turn(&self) {
        self.share.set(SHARE);
        self.is_spent.set(false);
        self.is_dry.set(false);
    }

    /// Whether there may be more to read in another turn, for which nobody is woken.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    /// `h2` was woken: there may be something to read again. It looks for more behind every request that it hands over, and is
    /// told at once that there is none when there was none before.
    pub(super) fn look_again(&self) {
        self.is_dry.set(false);
    }

    /// Whether the socket takes nothing any more.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.get()
    }

    /// Whether the socket took something since this was last asked.
    pub(super) fn take_moved(&self) -> bool {
        self.has_moved.take()
    }

    /// What has been seen.
    pub(super) fn seen<T>(&self, look: impl FnOnce(&Watch) -> T) -> T {
        look(&self.watch.borrow())
    }

    /// The stream, from `h2` that is done with it.
    pub(super) fn take_stream(&self) -> Option<Stream> {
        self.stream.borrow_mut().take()
    }

    fn read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.watch.borrow().verdict().is_some() {
            // Nothing that it says counts any more, and its task knows.
            return Poll::Pending;
        }
        let ahead = &mut *self.ahead.borrow_mut();
        if !ahead.is_empty() {
            let count = ahead.len().min(buffer.remaining());
            buffer.put_slice(&ahead[..count]);
            self.watch.borrow_mut().came(&ahead[..count]);
            ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        if self.is_dry.get() {
            return Poll::Pending;
        }
        if self.share.get() == 0 {
            // Its task goes on in another turn.
            self.is_spent.set(true);
            return Poll::Pending;
        }
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(cx, buffer);
        self.is_dry.set(read.is_pending());
        match ready!(read) {
            // The end of a session without a word. Every message says by itself where it ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            read => read?,
        }
        let came = &buffer.filled()[before..];
        self.share.set(self.share.get().saturating_sub(came.len()));
        self.edge.read(came.len() as u64);
        self.watch.borrow_mut().came(came);
        Poll::Ready(Ok(()))
    }

    fn write(
        &self,
        write: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let sent = stream.sent();
        let written = write(Pin::new(stream));
        self.is_blocked.set(written.is_pending());
        if let Poll::Ready(Ok(octets)) = &written {
            self.edge.wrote(*octets);
            // A session takes in more than its socket, and what its socket took is what counts.
            let has_moved = matches!(stream, Stream::Plain(_)) && *octets > 0;
            self.has_moved.set(self.has_moved.get() || has_moved);
        }
        if stream.sent() != sent {
            self.has_moved.set(true);
        }
        written
    }

    fn flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let sent = stream.sent();
        let flushed = Pin::new(&mut *stream).poll_flush(cx);
        self.is_blocked.set(flushed.is_pending());
        if stream.sent() != sent {
            self.has_moved.set(true);
        }
        flushed
    }
}

/// The pipe, as `h2` reads and writes it.
#[derive(Debug)]
pub(super) struct PipeIo(pub(super) Rc<Pipe>);

impl AsyncRead for PipeIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.read(cx, buffer)
    }
}

impl AsyncWrite for PipeIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.0.write(|stream| stream.poll_write(cx, octets));
        if let Poll::Ready(Ok(count)) = &written {
            self.0.watch.borrow_mut().went(&octets[..*count]);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self
            .0
            .write(|stream| stream.poll_write_vectored(cx, slices));
        if let Poll::Ready(Ok(count)) = &written {
            let mut left = *count;
            let mut watch = self.0.watch.borrow_mut();
            for slice in slices {
                let part = left.min(slice.len());
                watch.went(&slice[..part]);
                left -= part;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flush(cx)
    }

    /// What is last is written; the end itself is the task's, which lets it arrive.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flush(cx)
    }
}
