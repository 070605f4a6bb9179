//! A client's socket: of TCP, or of the same host. All above them does not know which.
//!
//! What a socket of the same host lacks is a reset: one that is cut looks like one that has ended.
//!
//! One that was just accepted is asked directly first: most have brought their request along, and many are closed behind
//! its answer. Until a call would block, the runtime hears nothing of it, which saves a short connection two system calls
//! and a wake-up.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::io::{Read as _, Write as _};
use std::net::{self, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Just accepted, and nothing has been waited for.
    Fresh(Fresh),
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket of TCP that the runtime does not know.
#[derive(Debug)]
pub(crate) struct Fresh(Option<net::TcpStream>);

/// Octets that are read at once from a fresh one, which a usual head does not fill.
const FRESH_ROOM: usize = 4 << 10;

thread_local! {
    static SCRATCH: RefCell<[u8; FRESH_ROOM]> = const { RefCell::new([0; FRESH_ROOM]) };
}

/// What an operation on a fresh socket has come to.
enum Tried<T> {
    Done(io::Result<T>),
    /// It would block: now the runtime has to know.
    Waits,
}

impl<T> From<io::Result<T>> for Tried<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Waits,
            result => Self::Done(result),
        }
    }
}

impl Socket {
    /// One that was accepted, non-blocking.
    pub(crate) fn accepted(tcp: net::TcpStream) -> Self {
        Self::Fresh(Fresh(Some(tcp)))
    }

    /// Whether nothing can be waited for yet.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }

    /// Has the runtime know it, so that it can be waited for.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        if let Self::Fresh(Fresh(tcp)) = self {
            let tcp = tcp.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Tcp(TcpStream::from_std(tcp)?);
        }
        Ok(())
    }

    /// Does something with a fresh socket, as far as it goes without waiting.
    fn attempt<T>(
        &mut self,
        operation: impl FnOnce(&net::TcpStream) -> io::Result<T>,
    ) -> Option<Poll<io::Result<T>>> {
        let Self::Fresh(Fresh(tcp)) = self else {
            return None;
        };
        let tried = match tcp {
            Some(tcp) => operation(tcp).into(),
            None => Tried::Done(Err(io::ErrorKind::NotConnected.into())),
        };
        match tried {
            Tried::Done(result) => Some(Poll::Ready(result)),
            Tried::Waits => match self.watch() {
                Ok(()) => None,
                Err(error) => Some(Poll::Ready(Err(error))),
            },
        }
    }

    /// Waits until there may be something to read.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // There may be.
            Self::Fresh(_) => Poll::Ready(Ok(())),
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// What the kernel knows it by; none if it could not be made one of the runtime's.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Fresh(Fresh(tcp)) => tcp.as_ref().map(AsFd::as_fd),
            Self::Tcp(tcp) => Some(tcp.as_fd()),
            Self::Unix(unix) => Some(unix.as_fd()),
        }
    }

    /// Whether it has been reset, where the runtime has had notice of something wrong.
    pub(crate) fn is_reset(&self) -> bool {
        let look = |socket: SockRef<'_>| match socket.take_error()? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        let reset = match self {
            Self::Fresh(Fresh(tcp)) => tcp.as_ref().map_or(Ok(()), |tcp| look(tcp.into())),
            Self::Tcp(tcp) => tcp.try_io(Interest::ERROR, || look(tcp.into())),
            Self::Unix(unix) => unix.try_io(Interest::ERROR, || look(unix.into())),
        };
        reset.is_ok()
    }

    /// Has the socket reset when it is closed, where it can be.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Self::Fresh(Fresh(Some(tcp))) => SockRef::from(tcp).set_linger(Some(Duration::ZERO)),
            Self::Tcp(tcp) => tcp.set_zero_linger(),
            Self::Fresh(Fresh(None)) | Self::Unix(_) => Ok(()),
        }
    }

    /// Waits until something is here, and looks at it without taking it. 0 is the end.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::PEEK).await
    }

    /// Waits until something is here, and takes it; never more than there is room for. 0 is the end.
    pub(crate) async fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::empty()).await
    }

    async fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        loop {
            let received = match self {
                Self::Fresh(_) => return Err(io::ErrorKind::NotConnected.into()),
                Self::Tcp(tcp) => {
                    tcp.readable().await?;
                    tcp.try_io(Interest::READABLE, || receive(tcp, buffer, flags))
                }
                Self::Unix(unix) => {
                    unix.readable().await?;
                    unix.try_io(Interest::READABLE, || receive(unix, buffer, flags))
                }
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }
}

fn receive(socket: &impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (received, _) = rustix::net::recv(socket, buffer, flags)?;
    Ok(received)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let read = socket.attempt(|mut tcp| {
            // Into octets that are there already: those of the buffer would have to be cleared first, which costs more than
            // the copy of a head.
            SCRATCH.with_borrow_mut(|scratch| {
                let room = buffer.remaining().min(FRESH_ROOM);
                let octets = tcp.read(&mut scratch[..room])?;
                buffer.put_slice(&scratch[..octets]);
                Ok(())
            })
        });
        if let Some(read) = read {
            return read;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if let Some(written) = socket.attempt(|mut tcp| tcp.write(octets)) {
            return written;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, octets),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if let Some(written) = socket.attempt(|mut tcp| tcp.write_vectored(slices)) {
            return written;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Fresh(_) => Poll::Ready(Ok(())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if let Some(shut) = socket.attempt(|tcp| tcp.shutdown(Shutdown::Write)) {
            return shut;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
