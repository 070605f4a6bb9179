//! A tunnel: after a 101, octets go both ways as they come, each way ending on its own (half-close).

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::clock::{Clock, Clocks};
use crate::upstream::{Engaged, Switched};
use crate::wire::Resets;

/// A tunnel that begins once the client has read its 101.
pub(crate) struct Tunnel {
    far: Option<Switched>,
    idle: Option<Duration>,
    _engaged: Engaged,
    /// Called with the octets that came in and went out when it is over; also when it is cut.
    closed: Option<Box<dyn FnOnce(u64, u64)>>,
    octets: Rc<Octets>,
}

#[derive(Debug, Default)]
struct Octets {
    inward: Cell<u64>,
    outward: Cell<u64>,
}

impl Tunnel {
    pub(crate) fn new(
        far: Switched,
        engaged: Engaged,
        idle: Option<Duration>,
        closed: impl FnOnce(u64, u64) + 'static,
    ) -> Self {
        Self {
            far: Some(far),
            idle,
            _engaged: engaged,
            closed: Some(Box::new(closed)),
            octets: Rc::default(),
        }
    }

    /// Carries octets until both ways have ended, one is broken, or nothing moved for the idle time. `resets` tells of a client
    /// that resets its side.
    ///
    /// # Errors
    /// When a side broke off, or [`io::ErrorKind::TimedOut`].
    pub(crate) async fn run<C>(
        mut self,
        client: C,
        resets: Option<Resets>,
        clocks: Rc<Clocks>,
    ) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let mut far = self.far.take().ok_or(io::ErrorKind::NotConnected)?;
        let resets = [resets, far.resets()];
        let mut client = Moving {
            io: client,
            octets: Rc::clone(&self.octets),
            clocks: Rc::clone(&clocks),
            idle: self.idle,
        };
        clocks.start(Clock::Moving, Instant::now(), self.idle);
        let mut copy = std::pin::pin!(tokio::io::copy_bidirectional(&mut client, &mut far));
        let result = poll_fn(|cx| {
            use std::future::Future as _;
            if let Poll::Ready(done) = copy.as_mut().poll(cx) {
                return Poll::Ready(done.map(|_| ()));
            }
            if resets
                .iter()
                .flatten()
                .any(|reset| reset.poll(cx).is_ready())
            {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if clocks.rang(Clock::Moving) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            clocks.arm(cx);
            Poll::Pending
        })
        .await;
        clocks.stop(Clock::Moving);
        result
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(closed) = self.closed.take() {
            closed(self.octets.inward.get(), self.octets.outward.get());
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("far", &self.far)
            .finish_non_exhaustive()
    }
}

/// The client's side: every octet in either direction passes here, so this side counts and winds the clock.
struct Moving<C> {
    io: C,
    octets: Rc<Octets>,
    clocks: Rc<Clocks>,
    idle: Option<Duration>,
}

impl<C> Moving<C> {
    fn moved(&self, count: &Cell<u64>, octets: usize) {
        count.set(count.get() + octets as u64);
        self.clocks.start(Clock::Moving, Instant::now(), self.idle);
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Moving<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        if came > 0 {
            self.moved(&self.octets.inward, came);
        }
        polled
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Moving<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, octets);
        if let Poll::Ready(Ok(went)) = polled {
            self.moved(&self.octets.outward, went);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
