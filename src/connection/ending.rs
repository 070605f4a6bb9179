//! The last words on a connection: an answer to what could not be read, and a close that does not lose it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::connection::edge::Edge;
use crate::error::Kind;
use crate::request::context::WorkerContext;
use crate::request::refuse_unread;
use crate::wire::Stream;

/// How long what a client still sends is read and thrown away after the last answer. Closing with unread octets would
/// reset the connection, and the answer might be lost with it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Answers a head that was not read to its end, and closes.
pub(super) async fn refuse(
    mut stream: Stream,
    edge: &Edge,
    context: &Rc<WorkerContext>,
    kind: Kind,
) {
    let answer = refuse_unread(context, &edge.client, kind);
    let written = timeout(LINGER, stream.write_all(&answer)).await;
    if let Ok(Ok(())) = written {
        edge.wrote(answer.len());
        linger(stream).await;
    }
}

/// Ends the writing side and reads what still comes, for a while, so that the answer arrives.
pub(super) async fn linger(mut stream: Stream) {
    let mut scratch = [0_u8; 1024];
    let drained = async {
        stream.shutdown().await?;
        // Bounded by the time below: a client that goes on sending is cut off then.
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    // Whichever way it ends, the connection is closed now.
    drop(timeout(LINGER, drained).await);
}

/// Closes a session in words, as far as its client takes them.
pub(super) async fn part(mut stream: Stream) {
    // Whichever way it ends, the connection is closed now.
    drop(timeout(LINGER, stream.shutdown()).await);
}
