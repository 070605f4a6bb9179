//! The life of an HTTP/2 connection: its preface, its streams, the limits on it, its end.
//!
//! It ends gracefully where it can: the client is told to open no more streams, those that are on the way are served, and the
//! connection is over with the last. A client that floods or dawdles is told why and cut off; what it had asked for is
//! dropped with it. Nothing here waits for a stream.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body::Body;
use tokio::task::JoinSet;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::config::model::ListenerLimits;
use crate::connection::ending::linger;
use crate::connection::http2::outlet::Outlet;
use crate::connection::http2::pipe::{Pipe, PipeIo};
use crate::connection::http2::shared::Shared;
use crate::connection::http2::stream::{self, Opened};
use crate::connection::registry::Member;
use crate::header::network;
use crate::metrics::Abort;
use crate::request::context::{Client, WorkerContext};
use crate::wire::Stream;

/// The window of a stream: what a client may send ahead of its endpoint.
const STREAM_WINDOW: u32 = 256 << 10;

/// The window of a connection, at most: bodies that nobody reads yet hold others back only when so much of them waits.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Octets of one stream that `h2` keeps until the socket takes them.
const SEND_BUFFER: usize = 128 << 10;

/// Fields that break the rules, after which `h2` breaks off: of a whole connection, since resets are cheap for those who
/// provoke them (CVE-2025-8671).
const PROVOKED_RESETS: usize = 1024;

/// Streams that were reset before anybody looked at them (CVE-2023-44487): as many as may be open, at least so many.
const UNSEEN_RESETS: usize = 20;

/// A header list with nothing said about its size.
const HEADER_LIST: u32 = 16 << 20;

/// What a field of a header list counts beside its octets (RFC 9113 §6.5.2).
const AROUND_FIELD: usize = 32;

/// Pseudo-fields of a request.
const PSEUDO_FIELDS: usize = 4;

/// How long a client may take to notice that its connection ends.
const PARTING: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(crate) async fn serve<S, B>(
    stream: Stream,
    ahead: Bytes,
    member: &Member,
    service_of: &impl Fn(&Rc<Client>) -> S,
    context: &Rc<WorkerContext>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let edge = &member.edge;
    let pipe = Pipe::new(stream, ahead, edge);
    if let Some(connection) = greet(&pipe, member).await {
        let mut task = Task {
            connection,
            pipe: Rc::clone(&pipe),
            member,
            shared: Rc::new(Shared {
                edge: Rc::clone(edge),
                outlet: Outlet::default(),
                context: Rc::clone(context),
            }),
            streams: JoinSet::new(),
            unwritten: Vec::new(),
            is_settled: false,
            parting: Parting::No,
        };
        poll_fn(|cx| clock::turn(|| task.poll(service_of, cx))).await;
    }
    if let Some(stream) = pipe.take_stream() {
        linger(stream).await;
    }
}

/// Waits for the client's preface, within the time of a handshake; its settings, the rest of it, are waited for afterwards.
async fn greet(pipe: &Rc<Pipe>, member: &Member) -> Option<Connection<PipeIo, Bytes>> {
    let edge = &member.edge;
    let clocks = &edge.client.clocks;
    edge.begin_preface();
    let builder = builder(&edge.client.listener.limits);
    let mut handshake = builder.handshake(PipeIo(Rc::clone(pipe)));
    poll_fn(|cx| {
        pipe.begin_turn();
        if let Poll::Ready(greeted) = Pin::new(&mut handshake).poll(cx) {
            return Poll::Ready(match greeted {
                Ok(connection) => Some(connection),
                Err(error) => {
                    tracing::debug!(client = %network::shown(edge.client.address()), %error, "No HTTP/2 preface");
                    None
                }
            });
        }
        let is_over = member.ending.get() && !member.may_bring_a_first_request();
        if is_over || clocks.rang(Clock::Head) {
            return Poll::Ready(None);
        }
        clocks.arm(cx);
        Poll::Pending
    })
    .await
}

fn builder(limits: &ListenerLimits) -> Builder {
    let mut builder = Builder::new();
    let streams = limits.max_concurrent_streams;
    let window = match streams {
        Some(streams) => u32::try_from(streams)
            .unwrap_or(u32::MAX)
            .saturating_mul(STREAM_WINDOW)
            .min(CONNECTION_WINDOW),
        None => CONNECTION_WINDOW,
    };
    if let Some(streams) = streams {
        builder.max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX));
    }
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(window)
        .max_header_list_size(header_list(limits))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(streams.unwrap_or(UNSEEN_RESETS).max(UNSEEN_RESETS))
        .max_local_error_reset_streams(Some(PROVOKED_RESETS))
        // RFC 8441: WebSockets.
        .enable_connect_protocol();
    builder
}

/// The size of a header list that `h2` lets pass: twice what is served, so that what is a little too large has an answer of
/// ours and a line in the log.
fn header_list(limits: &ListenerLimits) -> u32 {
    let (Some(octets), Some(fields)) = (limits.max_header_bytes, limits.max_headers) else {
        return HEADER_LIST;
    };
    let fields = fields.saturating_add(PSEUDO_FIELDS);
    let list = octets.saturating_add(fields.saturating_mul(AROUND_FIELD));
    u32::try_from(list.saturating_mul(2))
        .unwrap_or(HEADER_LIST)
        .min(HEADER_LIST)
}

/// Whether a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    No,
    /// The client has been told to open no more streams.
    Told,
    /// It is told why it is cut off.
    Cut,
}

/// How a turn goes on.
enum Next {
    /// There is nothing to do before something happens.
    Wait,
    /// The client is to be told something.
    Again,
    Over,
}

struct Task<'a> {
    connection: Connection<PipeIo, Bytes>,
    pipe: Rc<Pipe>,
    member: &'a Member,
    shared: Rc<Shared>,
    /// The tasks of streams. They end with this.
    streams: JoinSet<Rc<Client>>,
    /// Whose streams are at their end, as far as that can be said before everything is written.
    unwritten: Vec<Rc<Client>>,
    /// The client's settings have come.
    is_settled: bool,
    parting: Parting,
}

impl Task<'_> {
    fn poll<S, B>(
        &mut self,
        service_of: &impl Fn(&Rc<Client>) -> S,
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.pipe.begin_turn();
        loop {
            self.look_at_the_end();
            self.reap(cx);
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond, service_of);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    self.is_written();
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
            if !self.pipe.is_blocked() {
                self.is_written();
            }
            match self.look_around() {
                Next::Wait => break,
                Next::Again => {}
                Next::Over => return Poll::Ready(()),
            }
        }
        self.member.edge.client.clocks.arm(cx);
        Poll::Pending
    }

    fn begin<S, B>(
        &mut self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        service_of: &impl Fn(&Rc<Client>) -> S,
    ) where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let edge = &self.member.edge;
        let client = Rc::new(edge.client.beside());
        let service = service_of(&client);
        edge.begin_stream();
        let opened = Opened {
            client: Rc::clone(&client),
            request,
            respond,
            shared: Rc::clone(&self.shared),
        };
        self.streams.spawn_local(async move {
            let mut serving = pin!(stream::serve(opened, service));
            poll_fn(|cx| clock::turn(|| serving.as_mut().poll(cx))).await;
            client
        });
    }

    /// Takes leave of streams that are over.
    fn reap(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(cx) {
            match ended {
                Ok(client) => self.unwritten.push(client),
                Err(error) => {
                    if error.is_panic() {
                        self.shared.context.metrics.panicked();
                        tracing::error!("Stream panicked");
                    }
                    self.member.edge.end_stream();
                }
            }
        }
    }

    /// Everything that streams have handed over is written.
    fn is_written(&mut self) {
        self.shared.outlet.is_out();
        for client in self.unwritten.drain(..) {
            client.flushed();
            self.member.edge.end_stream();
        }
    }

    /// Tells the client that the connection ends, where that is due.
    fn look_at_the_end(&mut self) {
        let client = &self.member.edge.client;
        let clocks = &client.clocks;
        if self.parting != Parting::No {
            return;
        }
        // One request at least is served: a client that is sent away before it could ask would only come again.
        let is_used = !self.member.edge.is_new();
        let is_due = is_used && (client.closing.get() || self.shared.context.closing.get())
            || self.member.ending.get() && !self.member.may_bring_a_first_request()
            || clocks.rang(Clock::Idle)
            || clocks.rang(Clock::Age);
        if is_due {
            self.parting = Parting::Told;
            self.connection.graceful_shutdown();
        }
    }

    /// Looks at what has come and at the clocks.
    fn look_around(&mut self) -> Next {
        let edge = &self.member.edge;
        let clocks = &edge.client.clocks;
        if self.parting != Parting::No {
            clocks.stop(Clock::Idle);
            clocks.stop(Clock::Age);
        }
        if self.parting == Parting::Cut {
            return match clocks.rang(Clock::Unwanted) {
                true => Next::Over,
                false => Next::Wait,
            };
        }
        if let Some(abort) = self.abort() {
            return self.cut(abort);
        }
        if self.parting == Parting::Told && edge.is_resting() {
            // Nothing is under way, and the client has had its time to notice.
            if clocks.rang(Clock::Unwanted) {
                return self.cut_off(Reason::NO_ERROR);
            }
            if !clocks.runs(Clock::Unwanted) {
                clocks.start(Clock::Unwanted, clock::now(), Some(PARTING));
            }
        } else {
            clocks.stop(Clock::Unwanted);
        }
        Next::Wait
    }

    /// Why the connection is to be broken off, if it is; winds the clocks for that.
    fn abort(&mut self) -> Option<Abort> {
        let edge = &self.member.edge;
        let clocks = &edge.client.clocks;
        let (verdict, is_settled, has_open_block) = self.pipe.seen(|watch| {
            let verdict = watch.verdict();
            (verdict, watch.is_settled(), watch.has_open_block())
        });
        if verdict.is_some() {
            return verdict;
        }
        if is_settled && !self.is_settled {
            self.is_settled = true;
            edge.greeted();
        }
        if clocks.rang(Clock::Head) {
            return Some(match is_settled {
                true => Abort::HeaderTimeout,
                false => Abort::SettingsTimeout,
            });
        }
        if has_open_block {
            edge.begin_block();
        } else if is_settled {
            clocks.stop(Clock::Head);
        }
        let is_blocked = self.pipe.is_blocked();
        if self.pipe.take_moved() || !is_blocked {
            clocks.stop(Clock::Write);
        }
        if is_blocked && !clocks.runs(Clock::Write) {
            clocks.start(Clock::Write, clock::now(), edge.client.write_limit.get());
        }
        clocks.rang(Clock::Write).then_some(Abort::WriteTimeout)
    }

    /// Breaks off for a reason that is counted and told.
    fn cut(&mut self, abort: Abort) -> Next {
        let edge = &self.member.edge;
        edge.aborts(abort);
        match abort {
            Abort::Protocol => self.cut_off(Reason::PROTOCOL_ERROR),
            Abort::SettingsTimeout => self.cut_off(Reason::SETTINGS_TIMEOUT),
            // It reads nothing.
            Abort::WriteTimeout => Next::Over,
            Abort::Calm
            | Abort::HeaderTimeout
            | Abort::ResetFlood
            | Abort::SettingsFlood
            | Abort::PingFlood
            | Abort::PriorityFlood
            | Abort::WindowFlood
            | Abort::EmptyFlood
            | Abort::OtherFlood => self.cut_off(Reason::ENHANCE_YOUR_CALM),
        }
    }

    fn cut_off(&mut self, reason: Reason) -> Next {
        let clocks = &self.member.edge.client.clocks;
        for clock in [Clock::Idle, Clock::Age, Clock::Head, Clock::Write] {
            clocks.stop(clock);
        }
        clocks.start(Clock::Unwanted, clock::now(), Some(PARTING));
        self.parting = Parting::Cut;
        self.connection.abrupt_shutdown(reason);
        Next::Again
    }

    /// `h2` has ended the connection, and told the client why.
    fn failed(&mut self, error: &h2::Error) {
        let edge = &self.member.edge;
        tracing::debug!(client = %network::shown(edge.client.address()), %error, "HTTP/2 connection failed");
        if self.parting != Parting::Cut && error.is_library() && error.is_go_away() {
            edge.aborts(match error.reason() {
                Some(Reason::ENHANCE_YOUR_CALM) => Abort::Calm,
                _ => Abort::Protocol,
            });
        }
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.reap(&mut Context::from_waker(Waker::noop()));
        for client in self.unwritten.drain(..) {
            client.gone();
        }
    }
}
