//! One connection of HTTP/2 to an endpoint: made, driven by a task of its own, asked whether it is alive, closed.
//!
//! It counts as made when the endpoint's SETTINGS are here, as gRPC's clients have it: then it is known to speak HTTP/2
//! and how many requests it takes at once, and nothing of a request has gone to an endpoint that does not. The task
//! belongs to the worker's table of connections, which ends it; it sees the connection's end and takes it out.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::{Ping, PingPong};
use http::uri::Scheme;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::dial::Stream;
use crate::error::Kind;
use crate::upstream::answer;
use crate::upstream::http2::pace::{self, Facts, Pace, Step};
use crate::upstream::http2::place::Failure;
use crate::upstream::http2::pool;
use crate::upstream::http2::watch::{Seen, Watched};
use crate::upstream::idle::Local;
use crate::upstream::io::{Tie, UpstreamIo};
use crate::upstream::line::Line;
use crate::upstream::speaks::Speaks;

/// What ALPN calls HTTP/2 (RFC 9113 §3.2).
pub(crate) const ALPN: &[u8] = b"h2";

/// Requests that a connection carries at once, at most, however many its endpoint would take.
pub(super) const STREAMS: usize = 256;

/// What an endpoint may send ahead of the client's reading, for each answer: the bound of what one holds in memory. More room
/// is given when half of it is used, so the other half has to last until the endpoint has heard of that: on a busy machine
/// that is the time until it runs again, a millisecond or two.
const STREAM_WINDOW: u32 = 2 << 20;

/// The same for all answers of a connection together is no bound at all, or some clients that do not read would hold up all
/// others of the connection.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Octets of one frame: as much as is read from an endpoint of HTTP/1 at once. Larger ones than the 16 KiB of old make a large
/// answer cheaper.
const FRAME: u32 = 128 << 10;

/// Octets of a request's body that wait in a connection to be written.
const SEND_BUFFER: usize = 256 << 10;

/// What small frames may cost while they wait to be read.
const SMALL_FRAMES: usize = 1 << 20;

/// Streams that were given up and whose late frames are still known for what they are, and for how long.
const GIVEN_UP: usize = 4_096;
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);

/// Streams of a connection that may break the rules before it is closed.
const FAULTS: usize = 10_000;

/// How long a connection that is no longer needed may take to say so.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connection, as those who use it see it.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once it takes no new requests.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    pub(super) seen: Rc<Seen>,
    tie: Rc<Tie>,
    /// Places that are taken.
    pub(super) streams: Cell<usize>,
    opened: Cell<u64>,
    /// Whether it was begun before a moment or after is told by this.
    pub(super) number: u64,
    pub(super) scheme: Scheme,
    /// When it is closed, while nobody uses it; `None` is never.
    pub(super) expires: Cell<Option<Instant>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Connection {
    /// Whether one more request may go over it.
    pub(super) fn has_room(&self) -> bool {
        let most = {
            let mut sender = self.sender.borrow_mut();
            let Some(sender) = &mut *sender else {
                return false;
            };
            let mut cx = Context::from_waker(Waker::noop());
            match sender.poll_ready(&mut cx) {
                Poll::Ready(Ok(())) => Some(sender.current_max_send_streams().min(STREAMS)),
                // It has ended, is ending, or is out of numbers for streams.
                Poll::Ready(Err(_)) => None,
                Poll::Pending => Some(0),
            }
        };
        match most {
            Some(most) if !self.seen.is_worn() => self.streams.get() < most,
            Some(_) | None => {
                self.retire();
                false
            }
        }
    }

    /// How many requests at once the endpoint takes over it.
    pub(super) fn most_streams(&self) -> usize {
        let sender = self.sender.borrow();
        sender
            .as_ref()
            .map_or(0, |sender| sender.current_max_send_streams().min(STREAMS))
    }

    /// Whether the endpoint takes an extended CONNECT over it, as its SETTINGS say, which are waited for (RFC 8441 §3).
    pub(super) fn takes_tunnels(&self) -> bool {
        let sender = self.sender.borrow();
        sender
            .as_ref()
            .is_some_and(SendRequest::is_extended_connect_protocol_enabled)
    }

    /// Opens a stream.
    pub(super) fn open(
        &self,
        request: http::Request<()>,
        ends: bool,
    ) -> Result<(client::ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
        self.opened.set(self.opened.get() + 1);
        let mut sender = self.sender.borrow_mut();
        match &mut *sender {
            Some(sender) => sender.send_request(request, ends),
            // It went between the place given and taken; the endpoint has seen nothing.
            None => Err(h2::Reason::REFUSED_STREAM.into()),
        }
    }

    /// Takes no new requests: it closes when the last one is over.
    pub(super) fn retire(&self) {
        drop(self.sender.take());
    }

    /// Whether it takes new requests, had it room.
    pub(super) fn is_retired(&self) -> bool {
        self.sender.borrow().is_none()
    }

    /// Ends it, with all that is on it.
    pub(super) fn end(&self) {
        self.retire();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            octets: self.tie.received(),
            answers: self.seen.answers(),
            opened: self.opened.get(),
        }
    }
}

/// Makes a connection and drives it, in a task that belongs to the table.
pub(super) fn begin(local: &Rc<Local>, number: u64) -> AbortHandle {
    let local = Rc::clone(local);
    let task = tokio::task::spawn_local(async move {
        let dial = pool::Dial::begin(&local);
        let limit = local.connect_timeout();
        let making = async {
            match limit.and_then(|limit| Instant::now().checked_add(limit)) {
                Some(at) => tokio::time::timeout_at(at, make(&local, number))
                    .await
                    .unwrap_or_else(|_| {
                        Err(Failure::new(Kind::ConnectTimeout, "no connection in time"))
                    }),
                None => make(&local, number).await,
            }
        };
        let made = tokio::select! {
            biased;
            made = making => made,
            () = local.died() => Err(Failure::new(Kind::EndpointDead, "the endpoint is dead")),
        };
        match made {
            Ok(Made::Otherwise(line)) => dial.made_otherwise(line),
            Ok(Made::Connection(driver, terms)) => {
                let connection = Rc::clone(&driver.connection);
                if let Some(task) = local.http2().task_of(number) {
                    connection.task.replace(Some(task));
                }
                let _member = pool::Member::join(&local, &connection);
                dial.made(&connection, terms);
                driver.run().await;
            }
            Err(failure) => dial.failed(&failure),
        }
    });
    task.abort_handle()
}

/// What comes of making a connection.
enum Made {
    /// It, and under which of the pool's terms.
    Connection(Box<Driver>, u64),
    /// The endpoint has chosen HTTP/1.
    Otherwise(Box<Line>),
}

/// Connects, greets and waits for the endpoint's greeting.
async fn make(local: &Rc<Local>, number: u64) -> Result<Made, Failure> {
    let (stream, terms) = local.dial().await.map_err(|error| Failure {
        kind: error.kind(),
        cause: std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string)
            .into(),
    })?;
    let is_secure = matches!(stream, Stream::Tls(_));
    if is_secure && stream.alpn() != Some(ALPN) {
        if !local.may_choose() {
            let cause = "the endpoint does not select h2 by ALPN";
            return Err(Failure::new(Kind::NotHttp2, cause));
        }
        return Ok(Made::Otherwise(Line::over(stream, terms, Rc::clone(local))));
    }
    if local.may_choose() {
        local.settle(Speaks::Http2);
    }
    let tie = Rc::new(Tie::default());
    let joined = Joined {
        local: Rc::clone(local),
        slot: local.join(Rc::clone(&tie)),
    };
    let seen = Seen::new(Instant::now());
    let io = Watched::new(UpstreamIo::new(stream, Rc::clone(&tie)), Rc::clone(&seen));
    let failed = |error: &h2::Error| match seen.is_foreign() {
        true => Failure::new(Kind::NotHttp2, "the endpoint does not speak HTTP/2"),
        false => Failure {
            kind: seen.tls_fault().unwrap_or(Kind::Reset),
            cause: error.to_string().into(),
        },
    };
    let handshake = settings().handshake::<_, Bytes>(io);
    let (sender, mut h2) = handshake.await.map_err(|error| failed(&error))?;
    let pings = h2.ping_pong();
    poll_fn(|cx| match Pin::new(&mut h2).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(&error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(Failure::new(
            Kind::Reset,
            "the endpoint closed the connection before its greeting",
        ))),
        Poll::Pending if seen.has_settings() => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let connection = Rc::new(Connection {
        sender: RefCell::new(Some(sender)),
        seen,
        tie,
        streams: Cell::new(0),
        opened: Cell::new(0),
        number,
        scheme: match is_secure {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        },
        expires: Cell::new(None),
        task: RefCell::new(None),
    });
    let driver = Driver {
        h2,
        pings,
        pace: Pace::default(),
        timer: None,
        connection,
        joined,
    };
    Ok(Made::Connection(Box::new(driver), terms))
}

fn settings() -> client::Builder {
    let mut settings = client::Builder::new();
    settings
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(u32::try_from(answer::OCTETS).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        .max_concurrent_reset_streams(GIVEN_UP)
        .reset_stream_duration(GIVEN_UP_FOR)
        .max_local_error_reset_streams(Some(FAULTS))
        // Until the endpoint says how many it takes, which is waited for.
        .initial_max_send_streams(0);
    settings
}

/// What the task of a connection holds.
struct Driver {
    h2: client::Connection<Watched, Bytes>,
    pings: Option<PingPong>,
    pace: Pace,
    timer: Option<Timer>,
    connection: Rc<Connection>,
    joined: Joined,
}

/// What a driver's timer runs for.
struct Timer {
    until: Pin<Box<Sleep>>,
    then: Alarm,
}

/// What it means when a driver's timer rings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alarm {
    /// Requests are under way, and their endpoint has been silent.
    Silence,
    /// Nobody needs the connection, and it was given time enough to say so.
    Goodbye,
}

impl Driver {
    async fn run(mut self: Box<Self>) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.connection.seen.begin_turn();
            match Pin::new(&mut self.h2).poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "Connection to an endpoint ended");
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
            let local = &self.joined.local;
            local.http2().look_for_room(local, &self.connection);
            if !self.look_at_time(cx) {
                return Poll::Pending;
            }
            if self
                .timer
                .as_ref()
                .is_some_and(|timer| timer.then == Alarm::Goodbye)
            {
                return Poll::Ready(());
            }
            match self.pace.look(self.connection.facts(), Instant::now()) {
                Step::Wait => self.sleep(pace::SILENCE, Alarm::Silence),
                Step::Ping => {
                    self.ping(cx);
                    self.sleep(pace::PATIENCE, Alarm::Silence);
                }
                Step::Dead => {
                    // Its streams fail as those of a connection that was reset.
                    self.connection.retire();
                    self.connection.tie.cut("the endpoint is silent");
                    self.timer = None;
                }
            }
        }
    }

    /// Keeps the timer that this hour needs; true where it rings.
    fn look_at_time(&mut self, cx: &mut Context<'_>) -> bool {
        let (busy, leaves) = (
            self.connection.streams.get() > 0,
            self.connection.is_retired(),
        );
        if !busy && !leaves {
            self.timer = None;
            return false;
        }
        let (time, then) = match busy {
            true => (pace::SILENCE, Alarm::Silence),
            false => (GOODBYE, Alarm::Goodbye),
        };
        if !self.timer.as_ref().is_some_and(|timer| timer.then == then) {
            self.sleep(time, then);
            self.pace.begin(self.connection.facts());
        }
        let timer = self.timer.as_mut();
        timer.is_some_and(|timer| timer.until.as_mut().poll(cx).is_ready())
    }

    fn sleep(&mut self, time: Duration, then: Alarm) {
        let at = Instant::now() + time;
        match &mut self.timer {
            Some(timer) => {
                timer.until.as_mut().reset(at);
                timer.then = then;
            }
            None => {
                self.timer = Some(Timer {
                    until: Box::pin(sleep_until(at)),
                    then,
                });
            }
        }
    }

    fn ping(&mut self, cx: &mut Context<'_>) {
        if let Some(pings) = &mut self.pings {
            // The answer to the last one is taken out of the way; where it never came, there is none to send.
            let _last = pings.poll_pong(cx);
            pings.send_ping(Ping::opaque()).ok();
        }
    }
}

/// A connection's place in the worker's table, by which it is counted and cut.
struct Joined {
    local: Rc<Local>,
    slot: usize,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.local.leave(self.slot);
    }
}
