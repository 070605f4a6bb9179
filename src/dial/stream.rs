//! What a connection to an endpoint is read from and written to: a bare socket, or a TLS session over one.
//!
//! A session lies behind a pointer, so that a connection without one does not keep the room. It may hold octets that no
//! notice of the socket tells of: decrypted ones that were not taken yet, and written ones that are not out yet.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::delegate::delegate_io;
use crate::tls::plaintext;

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
                match plaintext::is_at_hand(session) {
                    true => Poll::Ready(Ok(())),
                    false => socket.poll_read_ready(cx),
                }
            }
        }
    }

    /// Whether there may be something to read, as far as the runtime has been told. Nobody is woken when there is.
    #[must_use]
    pub fn may_have_octets(&mut self) -> bool {
        match self {
            Self::Plain(socket) => socket.may_have_octets(),
            Self::Tls(tls) => {
                let (socket, session) = tls.get_mut();
                plaintext::is_at_hand(session) || socket.may_have_octets()
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

    fn may_have_octets(&self) -> bool {
        let told = match self {
            Self::Tcp(tcp) => tcp.try_io(Interest::READABLE, || Ok(())),
            Self::Unix(unix) => unix.try_io(Interest::READABLE, || Ok(())),
        };
        told.is_ok()
    }
}

delegate_io!(Stream: Plain, Tls);
delegate_io!(Socket: Tcp, Unix);
