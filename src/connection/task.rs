//! The task of a client's connection: at rest on the bare socket, awake over a buffer, in a tunnel, or at its end.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
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
/// for as long.
///
/// What is kept in the future itself is what a connection at rest needs: most of all connections rest. It is made by hand so
/// that nothing is in it twice, as the arguments of an `async fn` are; what few need, or only those that are asked, is boxed.
pub(crate) fn serve<S, B, F, H>(
    accepted: Accepted,
    edge: &Rc<Edge>,
    service_of: F,
    context: Rc<WorkerContext>,
    registry: &Rc<Registry>,
    held: H,
) -> impl Future<Output = ()> + use<S, B, F, H>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    F: Fn(&Rc<Client>) -> S,
{
    let Accepted { socket, tls } = accepted;
    let membership = registry.join(edge);
    let (mut stream, arriving) = if is_expected(edge) || tls.is_some() {
        let member = Rc::clone(&membership.member);
        let arriving = arrive(socket, tls, member, Rc::clone(&context));
        (None, Some(Box::pin(arriving)))
    } else {
        (Some(Stream::Plain(socket)), None)
    };
    async move {
        // Kept to the end with all that is.
        let _ = &held;
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            membership.member.task.replace(Some(waker));
            Poll::Ready(())
        })
        .await;
        if let Some(arriving) = arriving {
            stream = arriving.await;
        }
        // What is handed on is so by functions: what stood here beside an `await` would be kept room for at rest.
        let agreed = agreed_on_http2(&mut stream);
        if let Some(serving) = over_http2(agreed, &membership.member, &service_of, &context) {
            return serving.await;
        }
        let service = service_of(&membership.member.edge.client);
        let begun = loop {
            match poll_fn(|cx| rest(&mut stream, &membership.member, cx)).await {
                Wake::Asked => {}
                Wake::Ended => {
                    if let Some(parting) = parting(&mut stream) {
                        parting.await;
                    }
                    return;
                }
            }
            let Some(mut waking) = waking(&mut stream, &membership.member, &service, &context)
            else {
                return;
            };
            let polled = poll_fn(|cx| clock::turn(|| waking.as_mut().poll(cx)));
            match polled.await {
                Woken::Resting(resting) => stream = Some(resting),
                Woken::Http2(begun) => break begun,
                Woken::Over => return,
            }
        };
        let begun = Some(begun);
        if let Some(serving) = over_http2(begun, &membership.member, &service_of, &context) {
            serving.await;
        }
    }
}

/// A connection of HTTP/2, where its handshake has settled on that.
fn agreed_on_http2(stream: &mut Option<Stream>) -> Option<Box<Begun>> {
    let stream = stream.take_if(|stream| stream.speaks(HTTP2))?;
    let ahead = Bytes::new();
    Some(Box::new(Begun { stream, ahead }))
}

fn waking<'a, S, B>(
    stream: &mut Option<Stream>,
    member: &'a Member,
    service: &'a S,
    context: &'a Rc<WorkerContext>,
) -> Option<Pin<Box<impl Future<Output = Woken> + use<'a, S, B>>>>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let stream = stream.take()?;
    Some(Box::pin(wake(stream, member, service, context)))
}

fn over_http2<'a, S, B, F>(
    begun: Option<Box<Begun>>,
    member: &'a Member,
    service_of: &'a F,
    context: &'a Rc<WorkerContext>,
) -> Option<Pin<Box<impl Future<Output = ()> + use<'a, S, B, F>>>>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    F: Fn(&Rc<Client>) -> S,
{
    let Begun { stream, ahead } = *begun?;
    let serving = http2::serve(stream, ahead, member, service_of, context);
    Some(Box::pin(serving))
}

/// The end of a session, in words.
fn parting(stream: &mut Option<Stream>) -> Option<Pin<Box<impl Future<Output = ()> + use<>>>> {
    match stream.take()? {
        Stream::Plain(_) => None,
        session @ Stream::Tls(_) => Some(Box::pin(part(session))),
    }
}

/// Does what comes before the first request; none where there is no connection then.
async fn arrive(
    mut socket: Socket,
    tls: Option<(Arc<Server>, Rc<Handshakes>)>,
    member: Rc<Member>,
    context: Rc<WorkerContext>,
) -> Option<Stream> {
    if let Err(error) = socket.watch() {
        tracing::warn!(%error, "Connection could not be taken up");
        return None;
    }
    if is_expected(&member.edge) {
        announced(&socket, &member).await?;
    }
    match tls {
        None => Some(Stream::Plain(socket)),
        Some((server, handshakes)) => {
            shake_hands(socket, server, &member, &handshakes, &context).await
        }
    }
}

/// What becomes of a connection that was asked.
enum Woken {
    /// It rests.
    Resting(Stream),
    Http2(Box<Begun>),
    Over,
}

/// A connection that speaks HTTP/2, of which so much was read.
struct Begun {
    stream: Stream,
    ahead: Bytes,
}

/// Why a rest is over.
enum Wake {
    /// The client has sent something, or its end.
    Asked,
    /// The connection is to be closed.
    Ended,
}

/// Waits on the bare stream, with no buffer in memory but what a session keeps.
fn rest(stream: &mut Option<Stream>, member: &Member, cx: &mut Context<'_>) -> Poll<Wake> {
    let Some(stream) = stream else {
        return Poll::Ready(Wake::Ended);
    };
    let clocks = &member.edge.client.clocks;
    // It may run still where all are to end, and nobody here looks at it.
    clocks.stop(Clock::Rest);
    if let Poll::Ready(readable) = stream.poll_read_ready(cx) {
        return Poll::Ready(match readable {
            Ok(()) => Wake::Asked,
            Err(_) => Wake::Ended,
        });
    }
    if member.ending.get() && !may_still_ask(stream.socket(), member) || clocks.rang(Clock::Idle) {
        return Poll::Ready(Wake::Ended);
    }
    clocks.arm(cx);
    Poll::Pending
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
    if stream.is_fresh() {
        // It is only tried whether there is something, which mostly comes soon.
        edge.lingers();
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
                return taken.map_or(Woken::Over, |(stream, ahead)| {
                    Woken::Http2(Box::new(Begun { stream, ahead }))
                });
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
    /// Nothing is asked that this should be awake for, or all are to end: the socket alone is enough.
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
    }
    if edge.is_resting() && !clocks.runs(Clock::Rest) {
        // Behind the answer to one who asks now and then, or where what came was a part of a record, or one that is none of ours.
        return Poll::Ready(Next::Resting);
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::access_log::AccessLog;
    use crate::control::Endpoints;
    use crate::metrics::{Metrics, WorkerId};
    use crate::request::Proxy;
    use crate::snapshot::{Store, build};

    /// With what the runtime adds it fits into 256 octets, which is a size of the allocator's.
    const MOST: usize = 168;

    #[test]
    fn a_connection_at_rest_is_small() {
        let yaml = "accessLog: { output: \"off\" }\nlisteners: [ { name: web, bind: 127.0.0.1:0 } ]
routes: [ { name: all, split: [ { pool: app } ] } ]\npools: { app: { endpoints: [ \"127.0.0.1:1\" ] } }\n";
        let read = crate::config::read(yaml.as_bytes(), "test.yaml", Path::new("."), &|_| None);
        let config = read.unwrap().config;
        let metrics = Metrics::new(1);
        let log = AccessLog::start(&config.access_log, Arc::clone(&metrics)).unwrap();
        let mut endpoints = Endpoints::new(1);
        endpoints.configure(&config, SystemTime::now());
        let listener = Arc::clone(&config.listeners[0]);
        let first = build::whole(Arc::new(config), &endpoints, &metrics, None);
        let store = Arc::new(Store::new(first, 1));
        let traffic = metrics.listener("web");
        let (worker, log) = (WorkerId(0), log.handle());
        let context = Rc::new(WorkerContext::new(worker, store, metrics, log, 7));
        let address = Some(Ipv4Addr::LOCALHOST.into());
        let client = Rc::new(Client::new(listener, address, Scheme::Http));
        let edge = Edge::new(client, worker, traffic);
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        let accepted = Accepted {
            socket: Socket::accepted(TcpStream::connect(bound.local_addr().unwrap()).unwrap()),
            tls: None,
        };
        let (layer, ours) = (Rc::new(()), Rc::clone(&context));
        let service_of = move |client: &Rc<Client>| {
            let _layer = &layer;
            Proxy::new(Rc::clone(&ours), Rc::clone(client))
        };
        // The places in the counts.
        let held = [0_usize; 3];
        let connection = serve(accepted, &edge, service_of, context, &Rc::default(), held);
        let size = size_of_val(&connection);
        assert!(size <= MOST, "{size}");
    }
}
