//! Connections to endpoints, for requests and probes alike.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects within a time; `None` waits as long as the kernel does.
///
/// # Errors
/// The kernel's, or [`io::ErrorKind::TimedOut`] at the limit.
pub async fn connect(address: SocketAddr, limit: Option<Duration>) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(address);
    let stream = match limit {
        Some(limit) => timeout(limit, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
        None => connecting.await?,
    };
    // A request is written in one piece; waiting for more to fill a segment would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}
