//! The life of an HTTP/2 connection behind its preface: its streams in turns, the limits on it, its end.
//!
//! It ends gracefully where it can: the client is told to open no more streams, those that are on the way are served, and the
//! connection is over with the last. A client that floods or dawdles is told why and cut off; what it had asked for is
//! dropped with it. Nothing here waits for a stream.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::connection::ending::linger;
use crate::connection::http2::bell::Bell;
use crate::connection::http2::greeting::greet;
use crate::connection::http2::pipe::{Pipe, PipeIo};
use crate::connection::http2::seats::{Left, Place, Seats};
use crate::connection::http2::shared::Shared;
use crate::connection::http2::stream::{self, Opened};
use crate::connection::registry::Member;
use crate::header::network;
use crate::metrics::Abort;
use crate::request::context::{Client, WorkerContext};
use crate::wire::Stream;

/// Streams that are polled in one turn of a connection's task, so that a busy one does not keep the worker from the others.
const POLLS: usize = 64;

/// How often `h2` and the streams are asked in one turn, each after the other: for requests that have come, for their answers, for
/// what is asked behind them.
const ROUNDS: usize = 4;

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
        let shared = Rc::new(Shared::new(edge, context));
        let bell = poll_fn(|cx| Poll::Ready(Bell::of(cx.waker()))).await;
        let mut task = Task {
            connection,
            pipe: Rc::clone(&pipe),
            member,
            waker: Waker::from(Arc::clone(&bell)),
            seats: Seats::new(&bell),
            bell,
            server: |place| stream::serve(place, Rc::clone(&shared), service_of),
            shared: Rc::clone(&shared),
            clients: Vec::new(),
            unwritten: Vec::new(),
            is_settled: false,
            parting: Parting::No,
        };
        poll_fn(|cx| clock::turn(|| task.poll(cx))).await;
    }
    if let Some(stream) = pipe.take_stream() {
        linger(stream).await;
    }
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

struct Task<'a, M, F> {
    connection: Connection<PipeIo, Bytes>,
    pipe: Rc<Pipe>,
    member: &'a Member,
    shared: Rc<Shared>,
    bell: Arc<Bell>,
    /// The bell, as `h2` rings it.
    waker: Waker,
    /// The streams. They end with this.
    seats: Seats<Opened, F>,
    /// Makes what serves streams in a seat.
    server: M,
    /// Who sits in each seat, or has sat there last.
    clients: Vec<Rc<Client>>,
    /// Whose streams are at their end, as far as that can be said before everything is written.
    unwritten: Vec<usize>,
    /// The client's settings have come.
    is_settled: bool,
    parting: Parting,
}

impl<M, F> Task<'_, M, F>
where
    M: Fn(Rc<Place<Opened>>) -> F,
    F: Future<Output = Infallible>,
{
    /// One turn. Its waker must be the same in all of them, as that of a task is.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.begin_turn();
        self.pipe.begin_turn();
        let polled = self.turn();
        if self.pipe.is_spent() {
            self.bell.ring();
        }
        self.bell.end_turn();
        if polled.is_pending() {
            // What is left for the next, and what was noted behind the last look.
            if self.bell.is_rung() || self.seats.has_due() {
                cx.waker().wake_by_ref();
            }
            self.member.edge.client.clocks.arm(cx);
        }
        polled
    }

    fn turn(&mut self) -> Poll<()> {
        let mut polls = POLLS;
        loop {
            for _ in 0..ROUNDS {
                self.look_at_the_end();
                if self.bell.take_rung() {
                    if self.advance().is_ready() {
                        return Poll::Ready(());
                    }
                    if !self.pipe.is_blocked() {
                        self.is_written();
                    }
                }
                self.serve_streams(&mut polls);
                if !self.bell.is_rung() {
                    break;
                }
            }
            if !self.bell.is_rung() && !self.pipe.is_blocked() {
                // Streams that had nothing to write.
                self.is_written();
            }
            match self.look_around() {
                Next::Wait => return Poll::Pending,
                Next::Again => {}
                Next::Over => return Poll::Ready(()),
            }
        }
    }

    /// Lets `h2` read and write all that it can; ready when the connection is over.
    fn advance(&mut self) -> Poll<()> {
        self.pipe.look_again();
        loop {
            let mut cx = Context::from_waker(&self.waker);
            match self.connection.poll_accept(&mut cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    self.failed(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    self.is_written();
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let edge = &self.member.edge;
        let seat = self.seats.vacant();
        match self.clients.get_mut(seat) {
            Some(client) => edge.client.renew_beside(client),
            None => self.clients.push(Rc::new(edge.client.beside())),
        }
        let opened = Opened {
            client: Rc::clone(&self.clients[seat]),
            request,
            respond,
        };
        edge.begin_stream();
        self.seats.give(seat, opened, &self.server);
    }

    /// Polls streams that were woken, and takes leave of those that are over.
    fn serve_streams(&mut self, polls: &mut usize) {
        let (clients, unwritten) = (&mut self.clients, &mut self.unwritten);
        let (edge, metrics) = (&self.member.edge, &self.shared.context.metrics);
        self.seats.poll(polls, |seat, left| {
            unwritten.push(seat);
            if left == Left::Panicked {
                metrics.panicked();
                tracing::error!("Stream panicked");
                // What it had told its client is in no order that can be relied upon.
                clients[seat] = Rc::new(edge.client.beside());
            }
        });
    }

    /// Everything that streams have handed over is written.
    fn is_written(&mut self) {
        self.shared.outlet.is_out();
        for seat in self.unwritten.drain(..) {
            self.clients[seat].flushed();
            self.seats.release(seat);
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
            self.bell.ring();
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
        if clocks.rang(Clock::Rest) {
            // Nothing has been under way for a while, and what serves streams may go.
            clocks.stop(Clock::Rest);
            self.seats.clear();
            self.clients.truncate(self.seats.count());
            self.shared.last_host.forget();
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
        self.bell.ring();
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

impl<M, F> Drop for Task<'_, M, F> {
    fn drop(&mut self) {
        for seat in self.unwritten.drain(..) {
            self.clients[seat].gone();
        }
    }
}
