//! The octets of a tunnel over one stream of HTTP/2 (RFC 8441), from either end of a connection.
//!
//! Octets are taken from the stream's window as they are read, and written as the peer's windows let them, so that each side
//! feels the other; no more than a window waits in memory. The end of a stream's one side is the end of octets that way. A
//! stream that is dropped before both have ended is reset by `h2` (RFC 8441 §5: CANCEL).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ways of a stream.
pub(crate) struct Duplex {
    send: Rc<RefCell<SendStream<Bytes>>>,
    receive: RecvStream,
    /// What has come and has not been taken.
    rest: Bytes,
    /// The peer has ended its way.
    is_over: bool,
    /// Our way has been ended.
    has_ended: bool,
}

/// Tells when the peer resets a stream. Who only waits for something to write would not be told.
pub(crate) struct Resets(Rc<RefCell<SendStream<Bytes>>>);

impl Duplex {
    pub(crate) fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self {
            send: Rc::new(RefCell::new(send)),
            receive,
            rest: Bytes::new(),
            is_over: false,
            has_ended: false,
        }
    }

    pub(crate) fn resets(&self) -> Resets {
        Resets(Rc::clone(&self.send))
    }
}

impl Resets {
    /// Ready when the stream is reset, or its connection gone; not when the peer has ended in order and only wants no more.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.0.borrow_mut().poll_reset(cx)) {
            Ok(Reason::NO_ERROR) => Poll::Pending,
            Ok(_) | Err(_) => Poll::Ready(()),
        }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            if this.is_over {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.receive.poll_data(cx)) {
                // Frames without an octet are passed over; `h2` lets no more than a few of them wait.
                Some(Ok(data)) => this.rest = data,
                // RFC 9113 §8.1: it has said everything, and wants to hear no more.
                Some(Err(error))
                    if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) =>
                {
                    this.is_over = true;
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                // Trailers mean nothing in a tunnel.
                None => this.is_over = true,
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        // A stream that has been reset meanwhile has no window any more.
        this.receive.flow_control().release_capacity(count).ok();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut send = self.send.borrow_mut();
        send.reserve_capacity(octets.len());
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(capacity) => capacity.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(octets.len());
        let data = Bytes::copy_from_slice(&octets[..count]);
        send.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task writes by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        self.has_ended = true;
        let mut send = self.send.borrow_mut();
        send.reserve_capacity(0);
        Poll::Ready(send.send_data(Bytes::new(), true).map_err(broken))
    }
}

fn broken(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error
            .into_io()
            .unwrap_or(io::ErrorKind::ConnectionReset.into()),
        false => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
