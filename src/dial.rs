//! Connections to endpoints, for requests and probes alike: a socket, what is said on it before anything else, and where
//! the pool says so a TLS session over it.
//!
//! What a session goes by was decided before (`tls/upstream.rs`); here it is only made, within the time that making a
//! connection has as a whole. Not here: what is spoken over it, and what a failure is answered with.

mod stream;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::location::Location;
use crate::tls::Secure;

pub use stream::{Socket, Stream};

/// How long a unix socket is left alone at which too many wait already.
const FULL: Duration = Duration::from_millis(2);

/// Where a connection leads, and what it begins with.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where the endpoint answers.
    pub to: Location,
    /// What is sent before anything else, in the clear: who speaks through us (PROXY protocol).
    pub opening: Option<Box<[u8]>>,
    /// By what it is secured; `None` is not at all.
    pub secure: Option<Secure>,
}

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

/// Connects within a time; `None` waits as long as the kernel does. A TLS session that is given back has its handshake
/// behind it.
///
/// # Errors
/// See [`Failure`].
pub async fn connect(way: &Way, limit: Option<Duration>) -> Result<Stream, Failure> {
    let connecting = open(way);
    match limit {
        Some(limit) => timeout(limit, connecting)
            .await
            .map_err(|_| Failure::TooLate)?,
        None => connecting.await,
    }
}

async fn open(way: &Way) -> Result<Stream, Failure> {
    let mut socket = socket(&way.to).await.map_err(Failure::Socket)?;
    if let Some(opening) = &way.opening {
        socket.write_all(opening).await.map_err(Failure::Socket)?;
    }
    match &way.secure {
        None => Ok(Stream::Plain(socket)),
        Some(secure) => shake_hands(socket, secure).await,
    }
}

/// Makes a socket.
async fn socket(to: &Location) -> io::Result<Socket> {
    match to {
        Location::Ip(address) => {
            let tcp = TcpStream::connect(address).await?;
            // A request is written in one piece; waiting for more to fill a segment would only delay it.
            tcp.set_nodelay(true)?;
            Ok(Socket::Tcp(tcp))
        }
        Location::Unix(path) => {
            let path = path.to_path();
            loop {
                match UnixStream::connect(&path).await {
                    // Too many wait there to be accepted, of which no notice is given (connect(2), EAGAIN).
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
                    connected => return connected.map(Socket::Unix),
                }
            }
        }
    }
}

async fn shake_hands(socket: Socket, secure: &Secure) -> Result<Stream, Failure> {
    let connector = TlsConnector::from(Arc::clone(secure.upstream.config()));
    let session = connector.connect(secure.name.clone(), socket).await;
    let session = session.map_err(|error| secure.upstream.explained(error));
    let session = session.map_err(Failure::Handshake)?;
    let looked = secure
        .upstream
        .look_again(session.get_ref().1, &secure.name);
    looked.map_err(Failure::Handshake)?;
    Ok(Stream::Tls(Box::new(session)))
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
