//! A client's socket: of TCP, or of the same host. All above them does not know which.
//!
//! What a socket of the same host lacks is a reset: one that is cut looks like one that has ended.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Waits until there may be something to read.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// Whether it has been reset, where the runtime has had notice of something wrong.
    pub(crate) fn is_reset(&self) -> bool {
        let look = |socket: SockRef<'_>| match socket.take_error()? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        let reset = match self {
            Self::Tcp(tcp) => tcp.try_io(Interest::ERROR, || look(tcp.into())),
            Self::Unix(unix) => unix.try_io(Interest::ERROR, || look(unix.into())),
        };
        reset.is_ok()
    }

    /// Has the socket reset when it is closed, where it can be.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_zero_linger(),
            Self::Unix(_) => Ok(()),
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

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
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
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, octets),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
