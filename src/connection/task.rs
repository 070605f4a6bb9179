//! The task of a client's connection: at rest on the bare socket, awake inside hyper, in a tunnel, or at its end.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::Clock;
use crate::config::model::{HalfClose, Listener};
use crate::connection::edge::{Edge, EdgeIo, Phase};
use crate::connection::panics::Served;
use crate::error::Kind;
use crate::request::context::WorkerContext;
use crate::request::refuse_unread;

/// The room that hyper may take for what it reads and what it writes, at least.
const BUFFER: usize = 64 << 10;

/// How long what a client still sends is read and thrown away after the last answer. Closing with unread octets would
/// reset the connection, and the answer might be lost with it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection that has never brought a request may still do so when all are to end: its client has just
/// been accepted, and its first request may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// A worker's connections, by which they are told to end.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: RefCell<Slots>,
    /// All are to end, those that come late from the accept queue as well.
    ending: Cell<bool>,
}

#[derive(Debug, Default)]
struct Slots {
    members: Vec<Option<Rc<Member>>>,
    free: Vec<usize>,
}

/// What a connection's task is told from outside.
#[derive(Debug)]
struct Member {
    edge: Rc<Edge>,
    ending: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Registry {
    /// Asks every connection to end: those at rest now, the others behind the answer they are waiting for.
    pub(crate) fn end_all(&self) {
        self.ending.set(true);
        for member in self.members() {
            member.end();
        }
    }

    /// Asks the connections of listeners that are gone to end behind their next answer. Those at rest stay until they
    /// ask again or their idle time is over, so that nothing is lost.
    pub(crate) fn retire(&self, is_gone: impl Fn(&Listener) -> bool) {
        for member in self.members() {
            if is_gone(&member.edge.client.listener) {
                member.edge.client.closing.set(true);
            }
        }
    }

    /// How many connections are in the middle of something.
    pub(crate) fn busy(&self) -> usize {
        self.members()
            .iter()
            .filter(|member| !member.edge.is_resting())
            .count()
    }

    fn members(&self) -> Vec<Rc<Member>> {
        self.slots
            .borrow()
            .members
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn join(self: &Rc<Self>, edge: &Rc<Edge>) -> Membership {
        let member = Rc::new(Member {
            edge: Rc::clone(edge),
            ending: Cell::new(self.ending.get()),
            task: RefCell::default(),
        });
        let mut slots = self.slots.borrow_mut();
        let slot = slots.free.pop().unwrap_or(slots.members.len());
        if slot == slots.members.len() {
            slots.members.push(None);
        }
        slots.members[slot] = Some(Rc::clone(&member));
        Membership {
            registry: Rc::clone(self),
            slot,
            member,
        }
    }
}

impl Member {
    fn end(&self) {
        self.ending.set(true);
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}

struct Membership {
    registry: Rc<Registry>,
    slot: usize,
    member: Rc<Member>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.borrow_mut();
        slots.members[self.slot] = None;
        slots.free.push(self.slot);
    }
}

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
        match Box::pin(wake(tcp, member, service.clone(), &context)).await {
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

/// Waits on the bare socket, with nothing of hyper's in memory.
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

type Hyper<S> = Connection<TokioIo<EdgeIo>, Served<S>>;

/// Serves requests until the connection rests again, which gives its socket back, or is at its end.
async fn wake<S, B>(
    tcp: TcpStream,
    member: &Member,
    service: S,
    context: &Rc<WorkerContext>,
) -> Option<TcpStream>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let edge = &member.edge;
    let mut io = EdgeIo::new(tcp, Rc::clone(edge));
    let (end, read) = loop {
        let served = Served::new(service.clone(), Rc::clone(edge), Rc::clone(context));
        let mut hyper = builder(edge).serve_connection(TokioIo::new(io), served);
        let mut asked_to_end = false;
        let end = poll_fn(|cx| drive(&mut hyper, member, &mut asked_to_end, cx)).await;
        let parts = hyper.into_parts();
        io = parts.io.into_inner();
        match end {
            End::Resting if is_blank(&parts.read_buf) => return Some(io.into_socket()),
            End::Resting => {
                // A part of the next head came along with the last request, and nothing more since.
                edge.begin_head();
                io.rewind(parts.read_buf);
            }
            end => break (end, parts.read_buf),
        }
    };
    match end {
        End::Resting | End::Cut => {}
        End::HeadTooSlow => refuse(io.into_socket(), edge, context, Kind::HeadersTooSlow).await,
        End::Done(result) => {
            if let Some(tunnel) = edge.client.take_tunnel() {
                edge.begin_tunnel();
                io.rewind(read);
                if let Err(error) = tunnel.run(io, Rc::clone(&edge.client.clocks)).await {
                    tracing::debug!(client = %edge.client.address, %error, "Tunnel broke off");
                }
            } else if let Err(error) = result {
                tracing::debug!(client = %edge.client.address, error = %Chain(&error), "Connection broke off");
                if let Some(kind) = unread(&error, edge, &read) {
                    refuse(io.into_socket(), edge, context, kind).await;
                }
            } else if edge.client.abandoned.get() {
                linger(io.into_socket()).await;
            }
        }
    }
    None
}

fn builder(edge: &Edge) -> Builder {
    let listener = &edge.client.listener;
    let limits = &listener.limits;
    let mut builder = Builder::new();
    builder
        .half_close(listener.half_close == HalfClose::Deliver)
        .header_read_timeout(None)
        .max_buf_size(limits.max_header_bytes.unwrap_or(BUFFER).max(BUFFER));
    if let Some(octets) = limits.max_header_bytes {
        builder.max_header_size(octets);
    }
    // hyper's own default is 100; another number costs it an allocation a request.
    match limits.max_headers {
        Some(100) => {}
        Some(fields) => drop(builder.max_headers(fields)),
        None => drop(builder.max_headers(usize::from(u16::MAX))),
    }
    builder
}

/// How a time inside hyper ends.
enum End {
    /// hyper is done: the client has gone, the last answer is out, or the protocol was switched.
    Done(hyper::Result<()>),
    /// Nothing has been asked for a while: the socket alone is enough.
    Resting,
    /// The head did not arrive in time.
    HeadTooSlow,
    /// The client does not read, or is no longer wanted.
    Cut,
}

fn drive<S, B>(
    hyper: &mut Hyper<S>,
    member: &Member,
    asked_to_end: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<End>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let edge = &member.edge;
    let clocks = &edge.client.clocks;
    // Bodies look at these when hyper asks for them. It does not while the client leaves unread what was written: what
    // has rung before and still rings is not going to be looked at.
    let is_late = || clocks.rang(Clock::Total) || clocks.rang(Clock::Body);
    let late = is_late();
    if let Poll::Ready(result) = Pin::new(&mut *hyper).poll(cx) {
        return Poll::Ready(End::Done(result));
    }
    if member.ending.get() && edge.is_resting() {
        // The bare socket knows best whether a request is on the way.
        return Poll::Ready(End::Resting);
    }
    // hyper would throw away the beginning of a head; its answer will ask the client to close.
    if member.ending.get() && !*asked_to_end && edge.phase() != Phase::Head {
        *asked_to_end = true;
        Pin::new(&mut *hyper).graceful_shutdown();
        if let Poll::Ready(result) = Pin::new(&mut *hyper).poll(cx) {
            return Poll::Ready(End::Done(result));
        }
    }
    if clocks.rang(Clock::Head) {
        return Poll::Ready(End::HeadTooSlow);
    }
    if clocks.rang(Clock::Write) || (clocks.rang(Clock::Idle) && edge.phase() == Phase::Idle) {
        return Poll::Ready(End::Cut);
    }
    if late && is_late() {
        return Poll::Ready(End::Cut);
    }
    if clocks.rang(Clock::Rest) {
        clocks.stop(Clock::Rest);
        if edge.is_resting() {
            return Poll::Ready(End::Resting);
        }
    }
    clocks.arm(cx);
    Poll::Pending
}

/// Whether nothing but empty lines was read, which may stand behind a body (RFC 9112 §2.2).
fn is_blank(read: &[u8]) -> bool {
    read.iter().all(|octet| matches!(octet, b'\r' | b'\n'))
}

/// Why a head could not be read, if that is what ended the connection; `read` begins with it.
fn unread(error: &hyper::Error, edge: &Edge, read: &[u8]) -> Option<Kind> {
    if error.is_parse_version_h2() {
        return Some(Kind::VersionUnknown);
    }
    match edge.swallowed_status()? {
        414 => Some(Kind::TargetTooLong),
        431 => Some(Kind::HeadersTooLarge),
        // hyper has no question for this one; the text is part of its tests.
        _ if error.to_string().contains("version") && names_version(read) => {
            Some(Kind::VersionUnknown)
        }
        _ => Some(Kind::MalformedRequest),
    }
}

/// Whether a head begins as a request of some version does, known or not: with three words, the last of them a version
/// (RFC 9112 §2.3, §3).
fn names_version(head: &[u8]) -> bool {
    let line = head
        .trim_ascii_start()
        .split(|octet| *octet == b'\n')
        .next();
    let mut words = line
        .unwrap_or_default()
        .trim_ascii_end()
        .split(|octet| *octet == b' ')
        .skip(2);
    let (version, rest) = (words.next(), words.next());
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]) => {
            rest.is_none() && major.is_ascii_digit() && minor.is_ascii_digit()
        }
        Some(_) | None => false,
    }
}

/// Answers a head that was not read to its end, and closes.
async fn refuse(mut tcp: TcpStream, edge: &Edge, context: &Rc<WorkerContext>, kind: Kind) {
    let answer = refuse_unread(context, &edge.client, kind);
    let written = timeout(LINGER, tcp.write_all(&answer)).await;
    if let Ok(Ok(())) = written {
        edge.wrote(answer.len());
        linger(tcp).await;
    }
}

/// Ends the writing side and reads what still comes, for a while, so that the answer arrives.
async fn linger(mut tcp: TcpStream) {
    let mut scratch = [0_u8; 1024];
    let drained = async {
        tcp.shutdown().await?;
        // Bounded by the time below: a client that goes on sending is cut off then.
        while tokio::io::AsyncReadExt::read(&mut tcp, &mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    // Whichever way it ends, the connection is closed now.
    drop(timeout(LINGER, drained).await);
}

/// Prints an error with its causes.
struct Chain<'a>(&'a dyn StdError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
