//! What comes before a connection's first request, all of it in `limits.handshakeTimeout`: whose the connection is, where a
//! header of the PROXY protocol says so.
//!
//! The header is read to its last octet and not one further: what stands behind it is for TLS or HTTP.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use crate::clock::Clock;
use crate::config::model::ProxyProtocol;
use crate::connection::edge::Edge;
use crate::connection::registry::Member;
use crate::header::network;
use crate::listener::proxy_protocol::{Fault, Source, TELLING, decode};
use crate::metrics::Refusal;
use crate::wire::Socket;

/// Reads who the client is, where the connection is one that must begin with it; `None` where there is no connection then.
pub(super) async fn announced(socket: &Socket, member: &Member) -> Option<()> {
    let edge = &member.edge;
    edge.begin_handshake();
    let read = in_time(member, read(socket)).await;
    let refusal = match read {
        Ok(Ok(source)) => {
            if let Source::Client(ends) = source {
                edge.client.is_announced(ends);
            }
            edge.has_arrived();
            return Some(());
        }
        Ok(Err(Fault::Missing)) => Refusal::NoProxyHeader,
        Ok(Err(Fault::Malformed)) => Refusal::BadProxyHeader,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Refusal::SlowProxyHeader,
        Err(error) => {
            // As who only looks whether the port is open.
            tracing::debug!(%error, "Client left before it said whose its connection is");
            return None;
        }
    };
    if !member.ending.get() {
        edge.refuses(refusal);
    }
    None
}

/// Whether a connection must begin with a header.
pub(super) fn is_expected(edge: &Edge) -> bool {
    match &edge.client.listener.proxy_protocol {
        ProxyProtocol::Off => false,
        ProxyProtocol::Everyone => true,
        ProxyProtocol::From(peers) => network::holds(peers, edge.client.address()),
    }
}

/// Does what comes before the first request, unless its time is over first.
pub(super) async fn in_time<T>(
    member: &Member,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let clocks = &member.edge.client.clocks;
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        let is_over = member.ending.get() && !member.may_bring_a_first_request();
        if is_over || clocks.rang(Clock::Head) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        clocks.arm(cx);
        Poll::Pending
    })
    .await
}

/// Reads a header. What has come is looked at first, and taken as far as it is known to belong to the header.
async fn read(socket: &Socket) -> io::Result<Result<Source, Fault>> {
    let mut octets = [0; TELLING];
    let mut taken = 0;
    loop {
        let came = socket.peek(&mut octets[taken..]).await?;
        if came == 0 {
            return match taken {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Err(Fault::Malformed)),
            };
        }
        let seen = taken + came;
        match decode(&octets[..seen]) {
            Err(fault) => return Ok(Err(fault)),
            Ok(Some(header)) => {
                skip(socket, header.length - taken).await?;
                return Ok(Ok(header.source));
            }
            // So much always tells.
            Ok(None) if seen == TELLING => return Ok(Err(Fault::Malformed)),
            Ok(None) => {
                skip(socket, came).await?;
                taken = seen;
            }
        }
    }
}

/// Takes so many octets.
async fn skip(socket: &Socket, mut octets: usize) -> io::Result<()> {
    let mut scratch = [0; TELLING];
    while octets > 0 {
        let most = octets.min(scratch.len());
        match socket.take(&mut scratch[..most]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            taken => octets -= taken,
        }
    }
    Ok(())
}
