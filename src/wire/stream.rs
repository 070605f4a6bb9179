//! A client's stream: its bare socket, or a TLS session over it.
//!
//! Plain is a socket and nothing else. A session lies behind a pointer, so that a connection without one does not keep
//! the room. Ends by FIN and by `close_notify` are told apart only where it matters: whose end is not said may be cut.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::delegate::delegate_io;
use crate::tls::plaintext;
use crate::wire::socket::Socket;

/// A client's stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Metered>>),
}

/// A socket that tells whether anything has gone out of it: a session takes in more than the socket does, and only what the
/// socket took shows that a client still reads.
#[derive(Debug)]
pub(crate) struct Metered {
    socket: Socket,
    sent: u64,
}

impl Metered {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, sent: 0 }
    }
}

impl Stream {
    /// Whether its TLS handshake has settled on this protocol.
    pub(crate) fn speaks(&self, protocol: &[u8]) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(protocol),
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.get_ref().0.socket,
        }
    }

    /// Whether nothing can be waited for yet.
    pub(crate) fn is_fresh(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_fresh(),
            Self::Tls(_) => false,
        }
    }

    /// Octets that have gone out of the socket of a session.
    pub(crate) fn sent(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(tls) => tls.get_ref().0.sent,
        }
    }

    /// Waits until there may be something to read.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(cx),
            Self::Tls(tls) => {
                let (socket, session) = tls.get_mut();
                match plaintext::is_at_hand(session) {
                    true => Poll::Ready(Ok(())),
                    false => socket.socket.poll_read_ready(cx),
                }
            }
        }
    }
}

delegate_io!(Stream: Plain, Tls);

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, octets);
        self.count(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.count(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Metered {
    fn count(&mut self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(octets)) = polled {
            self.sent += *octets as u64;
        }
    }
}
