//! Connections to endpoints, for requests and probes alike: a socket, and where the pool says so a TLS session over it.
//!
//! What a session goes by was decided before (`tls/upstream.rs`); here it is only made, within the time that making a
//! connection has as a whole. Not here: what is spoken over it, and what a failure is answered with.

mod secure;
mod stream;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use secure::Secure;
pub use stream::{Socket, Stream};

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// The kernel says so.
    Socket(io::Error),
    /// There was a connection, and no TLS session came of it.
    Handshake(io::Error),
    /// It took too long.
    TooLate,
}

/// Connects within a time; `None` waits as long as the kernel does. With `secure`, what is given back is a session whose
/// handshake is done.
///
/// # Errors
/// See [`Failure`].
pub async fn connect(
    address: SocketAddr,
    secure: Option<&Secure>,
    limit: Option<Duration>,
) -> Result<Stream, Failure> {
    let connecting = open(address, secure);
    match limit {
        Some(limit) => timeout(limit, connecting)
            .await
            .map_err(|_| Failure::TooLate)?,
        None => connecting.await,
    }
}

async fn open(address: SocketAddr, secure: Option<&Secure>) -> Result<Stream, Failure> {
    let tcp = TcpStream::connect(address).await.map_err(Failure::Socket)?;
    // A request is written in one piece; waiting for more to fill a segment would only delay it.
    tcp.set_nodelay(true).map_err(Failure::Socket)?;
    let socket = Socket::Tcp(tcp);
    match secure {
        None => Ok(Stream::Plain(socket)),
        Some(secure) => shake_hands(socket, secure).await,
    }
}

/// Makes a session over a socket.
///
/// # Errors
/// [`Failure::Handshake`].
pub async fn shake_hands(socket: Socket, secure: &Secure) -> Result<Stream, Failure> {
    let connector = TlsConnector::from(secure.config());
    let session = connector.connect(secure.name.clone(), socket).await;
    session
        .map(|session| Stream::Tls(Box::new(session)))
        .map_err(Failure::Handshake)
}

impl Failure {
    /// The same as an error, for logs.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Socket(error) | Self::Handshake(error) => error,
            Self::TooLate => io::ErrorKind::TimedOut.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) | Self::Handshake(error) => error.fmt(f),
            Self::TooLate => f.write_str("took too long"),
        }
    }
}
