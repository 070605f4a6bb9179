//! Connections of an admin address: HTTP/1.1 over so many sockets at most, of TCP or of this host, each for a bounded
//! time.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::admin::reply::Reply;
use crate::config::model::{Bind, SocketRights};
use crate::socket::{Listening, Taken};
use crate::wire::Socket;

/// What answers the requests of all connections.
pub(crate) type Answers = BoxCloneSyncService<Request<Incoming>, Reply, Infallible>;

/// Connections open at once; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 256;

/// For the head of a request to come, the wait of an unused connection included.
const HEAD: Duration = Duration::from_secs(30);

/// Octets of a request's head.
const HEAD_BYTES: usize = 32 << 10;

/// How old a connection may grow before it is asked to close: whoever does not read its answer holds it no longer.
const AGE: Duration = Duration::from_secs(300);

/// From being asked to close until it is cut. Longer than any order takes.
const GRACE: Duration = Duration::from_secs(70);

/// For answers under way when everything ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Waits this long after an `accept` that failed, as it does when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds an admin address, and tells where it listens then.
///
/// # Errors
/// The kernel's, as when the address is in use.
pub(crate) fn bind(
    address: &Bind,
    rights: Option<&SocketRights>,
) -> io::Result<(AsyncFd<Listening>, Bind)> {
    let socket = Listening::bind(address, rights)?;
    let bound = socket.bound(address)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe; what listens owns its descriptor, which is what is asked for"
    )]
    let socket = AsyncFd::new(socket)?;
    Ok((socket, bound))
}

/// Serves until `until` is over; then connections that wait for nothing are closed, and the others a second later.
pub(crate) async fn accept(
    listener: AsyncFd<Listening>,
    answers: Answers,
    panicked: impl Fn(),
    until: impl Future,
) {
    let tell = |ended: Result<(), JoinError>| {
        if let Err(error) = ended
            && error.is_panic()
        {
            panicked();
            tracing::error!(%error, "Admin request panicked");
        }
    };
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (end, ending) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut until = pin!(until);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, next(&listener).await)
        };
        tokio::select! {
            _ = &mut until => break,
            Some(ended) = connections.join_next() => tell(ended),
            (slot, accepted) = next => match accepted {
                Ok(stream) => {
                    let (answers, ending) = (answers.clone(), ending.clone());
                    connections.spawn(async move {
                        connection(stream, answers, ending).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "Admin address could not accept a connection");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(end);
    let farewell = async {
        while let Some(ended) = connections.join_next().await {
            tell(ended);
        }
    };
    // What is left after that is cut by dropping the set.
    if timeout(FAREWELL, farewell).await.is_err() {
        tracing::debug!("Admin connections were cut");
    }
}

/// Waits for the next connection.
async fn next(listener: &AsyncFd<Listening>) -> io::Result<Socket> {
    loop {
        let mut ready = listener.readable().await?;
        if let Ok(taken) = ready.try_io(|listener| listener.get_ref().accept()) {
            return match taken?.0 {
                Taken::Tcp(tcp) => TcpStream::from_std(tcp).map(Socket::Tcp),
                Taken::Unix(unix) => UnixStream::from_std(unix).map(Socket::Unix),
            };
        }
    }
}

/// Serves one connection to its end, or until it is too old, or until everything ends.
async fn connection(stream: Socket, answers: Answers, mut ending: watch::Receiver<()>) {
    let service = service_fn(move |request| answers.clone().oneshot(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        // An error means that the sender has gone, which is how the end is told.
        _ = ending.changed() => None,
        () = sleep(AGE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "Admin connection broke off");
    }
}
