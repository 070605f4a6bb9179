//! The task of a client's connection: at rest on the bare socket, awake over a buffer, in a tunnel, or at its end.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::config::model::HalfClose;
use crate::connection::arrival::{announced, is_expected};
use crate::connection::edge::{Edge, EdgeIo, Phase};
use crate::connection::ending::{linger, part, refuse};
use crate::connection::exchange::{After, exchange};
use crate::connection::handshake::{Handshakes, shake_hands};
use crate::connection::http2;
use crate::connection::registry::{Member, Registry};
use crate::error::Kind;
use crate::header::forwarded::Scheme;
use crate::header::network;
use crate::metrics::Refusal;
use crate::request::context::{Client, Voice, WorkerContext};
use crate::tls::Server;
use crate::wire::{HeadLimits, Socket, Stream, Unreadable, Wire};

/// How a TLS handshake begins: a record of its kind, of whichever version.
const TLS_RECORD: &[u8] = &[0x16, 3];

/// HTTP/2, as a handshake calls it (RFC 9113 §3.2).
const HTTP2: &[u8] = b"h2";

/// A connection as it was accepted.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    /// What its TLS handshake goes by, where it speaks TLS.
    pub(crate) tls: Option<(Arc<Server>, Rc<Handshakes>)>,
}

/// Serves a connection to its end, by a service for each of its exchanges that may go on beside others. What is held is so
/// for as long. What few connections need is boxed, so that no other keeps the room.
pub(crate) async fn serve<S, B>(
    accepted: Accepted,
    edge: Rc<Edge>,
    service_of: impl Fn(&Rc<Client>) -> S,
    context: Rc<WorkerContext>,
    registry: Rc<Registry>,
    _held: impl Sized,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
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
    let Accepted { mut socket, tls } = accepted;
    let is_announced = is_expected(&edge);
    if (is_announced || tls.is_some())
        && let Err(error) = socket.watch()
    {
        tracing::warn!(%error, "Connection could not be taken up");
        return;
    }
    if is_announced && Box::pin(announced(&socket, member)).await.is_none() {
        return;
    }
    let mut stream = match tls {
        None => Stream::Plain(socket),
        Some((server, handshakes)) => {
            match Box::pin(shake_hands(socket, server, member, &handshakes, &context)).await {
                Some(stream) => stream,
                None => return,
            }
        }
    };
    if stream.speaks(HTTP2) {
        return Box::pin(http2::serve(
            stream,
            Bytes::new(),
            member,
            &service_of,
            &context,
        ))
        .await;
    }
    let service = service_of(&edge.client);
    while let Wake::Asked = rest(&mut stream, member).await {
        // Boxed, so that a connection at rest does not keep the room.
        let mut waking = Box::pin(wake(stream, member, &service, &context));
        match poll_fn(|cx| clock::turn(|| waking.as_mut().poll(cx))).await {
            Woken::Resting(resting) => stream = resting,
            Woken::Http2(speaking, ahead) => {
                drop(waking);
                let serving = http2::serve(speaking, ahead, member, &service_of, &context);
                return Box::pin(serving).await;
            }
            Woken::Over => return,
        }
    }
    if let Stream::Tls(_) = stream {
        Box::pin(part(stream)).await;
    }
}

/// What becomes of a connection that was asked.
enum Woken {
    /// It rests.
    Resting(Stream),
    /// It speaks HTTP/2, of which so much was read.
    Http2(Stream, Bytes),
    Over,
}

/// Why a rest is over.
enum Wake {
    /// The client has sent something, or its end.
    Asked,
    /// The connection is to be closed.
    Ended,
}

/// Waits on the bare stream, with no buffer in memory but what a session keeps.
async fn rest(stream: &mut Stream, member: &Member) -> Wake {
    let clocks = &member.edge.client.clocks;
    clocks.stop(Clock::Rest);
    poll_fn(|cx| {
        if let Poll::Ready(readable) = stream.poll_read_ready(cx) {
            return Poll::Ready(match readable {
                Ok(()) => Wake::Asked,
                Err(_) => Wake::Ended,
            });
        }
        if member.ending.get() && !may_still_ask(stream.socket(), member)
            || clocks.rang(Clock::Idle)
        {
            return Poll::Ready(Wake::Ended);
        }
        clocks.arm(cx);
        Poll::Pending
    })
    .await
}

/// Whether a connection that is to end has a request on the way that can be known of. The runtime may not have told
/// yet of octets that are here; closing with those unread would reset the connection.
fn may_still_ask(socket: &Socket, member: &Member) -> bool {
    let mut octet = [0_u8; 1];
    let Some(descriptor) = socket.descriptor() else {
        return false;
    };
    match rustix::net::recv(descriptor, &mut octet, RecvFlags::PEEK) {
        Ok((received, _)) => received > 0,
        Err(Errno::WOULDBLOCK) => member.may_bring_a_first_request(),
        Err(_) => false,
    }
}

/// Serves requests until the connection rests again, which gives its stream back, or is at its end.
async fn wake<S, B>(
    stream: Stream,
    member: &Member,
    service: &S,
    context: &Rc<WorkerContext>,
) -> Woken
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let edge = &member.edge;
    let limits = limits(edge);
    if matches!(stream, Stream::Tls(_)) || stream.is_fresh() {
        // What woke it may be a part of a record, or one that is none of ours; or it was only tried whether there is something.
        edge.stirs();
    }
    let wire = Wire::new(stream, cut(edge));
    edge.client.speaks_through(Voice::Wire(Rc::clone(&wire)));
    let _speaks = Speaks(edge);
    loop {
        match poll_fn(|cx| next_head(&wire, member, &limits, cx)).await {
            Next::Asked => {}
            Next::Resting => {
                let taken = wire.take_stream();
                return taken.map_or(Woken::Over, |(stream, _)| Woken::Resting(stream));
            }
            Next::Http2 => {
                let taken = wire.take_stream();
                return taken.map_or(Woken::Over, |(stream, ahead)| Woken::Http2(stream, ahead));
            }
            Next::Ended => break,
            Next::Unreadable(kind) => {
                if let Some((stream, read)) = wire.take_stream() {
                    if matches!(stream, Stream::Plain(_)) && read.starts_with(TLS_RECORD) {
                        edge.refuses(Refusal::Tls);
                    }
                    Box::pin(refuse(stream, edge, context, kind)).await;
                }
                return Woken::Over;
            }
        }
        match exchange(&wire, member, service.clone(), context).await {
            After::Next => {
                if wire.is_blank() {
                    wire.rests();
                } else {
                    // A part of the next head came along with this request.
                    edge.begin_head();
                }
            }
            After::Tunnel(tunnel) => {
                edge.begin_tunnel();
                let Some((stream, read)) = wire.take_stream() else {
                    return Woken::Over;
                };
                let io = EdgeIo::new(stream, Rc::clone(edge), read);
                let run = tunnel.run(io, None, Rc::clone(&edge.client.clocks));
                if let Err(error) = Box::pin(run).await {
                    let client = network::shown(edge.client.address());
                    tracing::debug!(%client, %error, "Tunnel broke off");
                }
                return Woken::Over;
            }
            After::Unread => {
                if let Some((stream, _)) = wire.take_stream() {
                    Box::pin(linger(stream)).await;
                }
                return Woken::Over;
            }
            After::Over => break,
        }
    }
    if let Some(session) = wire.take_session() {
        Box::pin(part(session)).await;
    }
    Woken::Over
}

/// Takes the wire back from the client's connection, which must not keep it.
struct Speaks<'a>(&'a Edge);

impl Drop for Speaks<'_> {
    fn drop(&mut self) {
        self.0.client.speaks_through(Voice::None);
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
enum Next {
    /// A head, which the wire has.
    Asked,
    /// Nothing has been asked for a while, or all are to end: the socket alone is enough.
    Resting,
    /// The client speaks HTTP/2 instead.
    Http2,
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
        match wire.has_head(limits) {
            Ok(true) if edge.client.listener.protocols.http1 => {
                return Poll::Ready(Next::Asked);
            }
            // A clear answer, where no other protocol could be agreed on.
            Ok(true) => return Poll::Ready(Next::Unreadable(Kind::VersionUnknown)),
            Ok(false) => {}
            Err(Unreadable::VersionUnknown) if may_speak_http2(edge) && wire.begins_http2() => {
                return Poll::Ready(Next::Http2);
            }
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

/// Whether a client may begin with HTTP/2 without having been offered it (RFC 9113 §3.3): as the first thing it says, and not
/// over TLS, where it would have been offered.
fn may_speak_http2(edge: &Edge) -> bool {
    let client = &edge.client;
    client.listener.protocols.http2 && edge.is_new() && client.scheme == Scheme::Http
}

fn kind(unreadable: Unreadable) -> Kind {
    match unreadable {
        Unreadable::Malformed => Kind::MalformedRequest,
        Unreadable::TargetTooLong => Kind::TargetTooLong,
        Unreadable::TooLarge => Kind::HeadersTooLarge,
        Unreadable::VersionUnknown => Kind::VersionUnknown,
    }
}
