//! What a connection to an endpoint is read from and written to: a bare socket, or a TLS session over one.
//!
//! A session lies behind a pointer, so that a connection without one does not keep the room. It may hold octets that no
//! notice of the socket tells of: decrypted ones that were not taken yet, and written ones that are not out yet.

use std::io::{self, BufRead as _, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection to an endpoint.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(Socket),
    /// Over TLS; the handshake is done.
    Tls(Box<TlsStream<Socket>>),
}

/// A socket, of the one kind or the other.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// The protocol that both sides agreed on (ALPN, RFC 7301), if they spoke of it: `http/1.1`, `h2`.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.get_ref().1.alpn_protocol(),
        }
    }

    /// The local end of a TCP connection in the clear.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(Socket::Tcp(tcp)) => tcp.local_addr().ok(),
            Self::Plain(Socket::Unix(_)) | Self::Tls(_) => None,
        }
    }

    /// Waits until there may be something to read.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::Tls(tls) => {
                let (socket, session) = tls.get_mut();
                match session.reader().fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        socket.poll_read_ready(cx)
                    }
                    Ok(_) | Err(_) => Poll::Ready(Ok(())),
                }
            }
        }
    }

    /// Whether it has taken octets that its socket has not: they are to be flushed.
    #[must_use]
    pub fn holds_octets(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.get_ref().1.wants_write(),
        }
    }
}

impl Socket {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
        }
    }
}

/// Hands what is asked of a stream on to whichever it is.
macro_rules! either {
    ($stream:expr, $one:ident | $other:ident, $inner:ident => $asked:expr) => {
        match $stream.get_mut() {
            Self::$one($inner) => $asked,
            Self::$other($inner) => $asked,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, Plain | Tls, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, Plain | Tls, inner => Pin::new(inner).poll_write(cx, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, Plain | Tls, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, Plain | Tls, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, Plain | Tls, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, Tcp | Unix, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, Tcp | Unix, inner => Pin::new(inner).poll_write(cx, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, Tcp | Unix, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, Tcp | Unix, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, Tcp | Unix, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
