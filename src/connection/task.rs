//! The task of a client's connection: at rest on the bare socket, awake over a buffer, in a tunnel, or at its end.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::net::TcpStream;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::config::model::HalfClose;
use crate::connection::edge::{Edge, EdgeIo, Phase};
use crate::connection::ending::{linger, refuse};
use crate::connection::exchange::{After, exchange};
use crate::connection::registry::{Member, Registry};
use crate::error::Kind;
use crate::request::context::WorkerContext;
use crate::wire::{Head, HeadLimits, Unreadable, Wire};

/// How long a connection that has never brought a request may still do so when all are to end: its client has just
/// been accepted, and its first request may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(crate) async fn serve<S, B>(
    tcp: TcpStream,
    edge: Rc<Edge>,
    service: S,
    context: Rc<WorkerContext>,
    registry: Rc<Registry>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let membership = registry.join(&edge);
    let member = &membership.member;
    poll_fn(|cx| {
        member.task.replace(Some(cx.waker().clone()));
        Poll::Ready(())
    })
    .await;
    let mut tcp = tcp;
    while let Wake::Asked = rest(&tcp, member).await {
        // Boxed, so that a connection at rest does not keep the room.
        let mut waking = Box::pin(wake(tcp, member, &service, &context));
        match poll_fn(|cx| clock::turn(|| waking.as_mut().poll(cx))).await {
            Some(socket) => tcp = socket,
            None => return,
        }
    }
}

/// Why a rest is over.
enum Wake {
    /// The client has sent something, or its end.
    Asked,
    /// The connection is to be closed.
    Ended,
}

/// Waits on the bare socket, with no buffer in memory.
async fn rest(tcp: &TcpStream, member: &Member) -> Wake {
    let clocks = &member.edge.client.clocks;
    clocks.stop(Clock::Rest);
    poll_fn(|cx| {
        if let Poll::Ready(readable) = tcp.poll_read_ready(cx) {
            return Poll::Ready(match readable {
                Ok(()) => Wake::Asked,
                Err(_) => Wake::Ended,
            });
        }
        if member.ending.get() && !may_still_ask(tcp, member) || clocks.rang(Clock::Idle) {
            return Poll::Ready(Wake::Ended);
        }
        clocks.arm(cx);
        Poll::Pending
    })
    .await
}

/// Whether a connection that is to end has a request on the way that can be known of. The runtime may not have told
/// yet of octets that are here; closing with those unread would reset the connection.
fn may_still_ask(tcp: &TcpStream, member: &Member) -> bool {
    let mut octet = [0_u8; 1];
    match rustix::net::recv(tcp, &mut octet, RecvFlags::PEEK) {
        Ok((received, _)) => received > 0,
        Err(Errno::WOULDBLOCK) => member.edge.awaits_first_request(FIRST_REQUEST),
        Err(_) => false,
    }
}

/// Serves requests until the connection rests again, which gives its socket back, or is at its end.
async fn wake<S, B>(
    tcp: TcpStream,
    member: &Member,
    service: &S,
    context: &Rc<WorkerContext>,
) -> Option<TcpStream>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let edge = &member.edge;
    let limits = limits(edge);
    let wire = Wire::new(tcp, cut(edge));
    edge.client.speaks_through(Some(Rc::clone(&wire)));
    let _speaks = Speaks(edge);
    loop {
        let head = match poll_fn(|cx| next_head(&wire, member, &limits, cx)).await {
            Next::Asked(head) => head,
            Next::Resting => return wire.take_socket().map(|(tcp, _)| tcp),
            Next::Ended => return None,
            Next::Unreadable(kind) => {
                let (tcp, _) = wire.take_socket()?;
                refuse(tcp, edge, context, kind).await;
                return None;
            }
        };
        match exchange(&wire, head, member, service.clone(), context).await {
            After::Next => {
                if !wire.is_blank() {
                    // A part of the next head came along with this request.
                    edge.begin_head();
                }
            }
            After::Tunnel(tunnel) => {
                edge.begin_tunnel();
                let (tcp, read) = wire.take_socket()?;
                let io = EdgeIo::new(tcp, Rc::clone(edge), read);
                if let Err(error) = tunnel.run(io, Rc::clone(&edge.client.clocks)).await {
                    tracing::debug!(client = %edge.client.address, %error, "Tunnel broke off");
                }
                return None;
            }
            After::Unread => {
                let (tcp, _) = wire.take_socket()?;
                linger(tcp).await;
                return None;
            }
            After::Over => return None,
        }
    }
}

/// Takes the wire back from the client's connection, which must not keep it.
struct Speaks<'a>(&'a Edge);

impl Drop for Speaks<'_> {
    fn drop(&mut self) {
        self.0.client.speaks_through(None);
    }
}

/// What a body is whose client ends its side in the middle of it.
fn cut(edge: &Edge) -> Kind {
    match edge.client.listener.half_close {
        HalfClose::Cancel => Kind::ClientGone,
        HalfClose::Deliver => Kind::MalformedRequest,
    }
}

fn limits(edge: &Edge) -> HeadLimits {
    let limits = &edge.client.listener.limits;
    HeadLimits {
        octets: limits.max_header_bytes.unwrap_or(usize::MAX),
        fields: limits.max_headers.unwrap_or(usize::from(u16::MAX)),
    }
}

/// What comes on a connection without a request.
#[expect(
    clippy::large_enum_variant,
    reason = "the usual case is the large one, and a box would cost each request an allocation"
)]
enum Next {
    Asked(Head),
    /// Nothing has been asked for a while, or all are to end: the socket alone is enough.
    Resting,
    /// The client has gone, or its time is over.
    Ended,
    Unreadable(Kind),
}

fn next_head(
    wire: &Wire,
    member: &Member,
    limits: &HeadLimits,
    cx: &mut Context<'_>,
) -> Poll<Next> {
    let edge = &member.edge;
    let clocks = &edge.client.clocks;
    loop {
        match wire.head(limits) {
            Ok(Some(head)) => return Poll::Ready(Next::Asked(head)),
            Ok(None) => {}
            Err(unreadable) => return Poll::Ready(Next::Unreadable(kind(unreadable))),
        }
        match wire.poll_head(cx, limits) {
            Poll::Ready(Ok(octets @ 1..)) => edge.came(octets),
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Ended),
            Poll::Pending => break,
        }
    }
    if member.ending.get() && edge.is_resting() {
        // The bare socket knows best whether a request is on the way.
        return Poll::Ready(Next::Resting);
    }
    if clocks.rang(Clock::Head) {
        return Poll::Ready(Next::Unreadable(Kind::HeadersTooSlow));
    }
    if clocks.rang(Clock::Idle) && edge.phase() == Phase::Idle {
        return Poll::Ready(Next::Ended);
    }
    if clocks.rang(Clock::Rest) {
        clocks.stop(Clock::Rest);
        if edge.is_resting() {
            return Poll::Ready(Next::Resting);
        }
    }
    clocks.arm(cx);
    Poll::Pending
}

fn kind(unreadable: Unreadable) -> Kind {
    match unreadable {
        Unreadable::Malformed => Kind::MalformedRequest,
        Unreadable::TargetTooLong => Kind::TargetTooLong,
        Unreadable::TooLarge => Kind::HeadersTooLarge,
        Unreadable::VersionUnknown => Kind::VersionUnknown,
    }
}
