//! One request and its answer on a connection.
//!
//! First the service is waited for, then its answer is written as its body comes; meanwhile the client is watched, since
//! one that leaves cancels. What is dropped here cancels at the endpoint.

use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use hyper::ext::ReasonPhrase;
use tokio::time::Instant;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::config::model::HalfClose;
use crate::connection::edge::{Edge, Left, Serving};
use crate::connection::panics::ask;
use crate::connection::registry::Member;
use crate::header::{hop, spare};
use crate::request::CLIENT_LEFT;
use crate::request::context::WorkerContext;
use crate::response::upgrade::Tunnel;
use crate::wire::{AcceptsTrailers, Announced, Asking, Framing, Present, Wire};

/// Octets of a body that nobody wanted, which are read all the same so that the connection can go on behind them. More is
/// not worth a connection.
const UNWANTED: u64 = 1 << 20;

/// How long a client may pause in such a body. One that waits for the end of the connection before it goes on is not to
/// wait long.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the first request of a connection waits for its answer before its client is watched.
const WATCHED_FROM: Duration = Duration::from_millis(10);

/// How a connection goes on behind an answer.
pub(super) enum After {
    /// With the next request.
    Next,
    /// As a tunnel.
    Tunnel(Tunnel),
    /// Not at all, and the client may still be sending.
    Unread,
    /// Not at all.
    Over,
}

/// Serves the request whose head has been read.
pub(super) async fn exchange<S, B>(
    wire: &Rc<Wire>,
    member: &Member,
    service: S,
    context: &Rc<WorkerContext>,
) -> After
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Some(head) = wire.take_head() else {
        return After::Over;
    };
    let edge = &member.edge;
    let _unwatched = Unwatched(edge);
    let trailers = match hop::accepts_trailers(&head.headers, head.present) {
        true => AcceptsTrailers::Yes,
        false => AcceptsTrailers::No,
    };
    let (method, version, persists) = (head.method.clone(), head.version, head.persists);
    let mut request = Request::new(RequestBody::incoming(wire));
    *request.method_mut() = head.method;
    *request.uri_mut() = head.target;
    *request.version_mut() = version;
    *request.headers_mut() = head.headers;

    let answer = {
        let serving = Serving::begin(edge, &edge.client);
        let mut answering = pin!(ask(service, request, serving, context));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            // A 100 or another interim response may be on its way out.
            let written = write(wire, edge, cx);
            if matches!(written, Poll::Ready(Err(_))) || has_left(wire, edge, &written, cx) {
                return Poll::Ready(None);
            }
            edge.client.clocks.arm(cx);
            Poll::Pending
        })
        .await
    };
    let Some(answer) = answer else {
        return After::Over;
    };

    let (mut parts, body) = answer.into_parts();
    if parts.status == CLIENT_LEFT {
        // Nobody is there to read it.
        return After::Over;
    }
    let held_back = wire.leave_held_back();
    let asking = Asking {
        method: &method,
        version,
        // A client that was never told to send its body may do so or not (RFC 9110 §10.1.1): only a new connection is clear.
        persists: persists && !held_back && !wire.is_broken() && !member.ending.get(),
        length: body.size_hint().exact(),
        date: || context.date(),
    };
    let reason = parts.extensions.remove::<ReasonPhrase>();
    let (framing, persists) =
        wire.with_out(|out| out.push_head(parts.status, &parts.headers, reason.as_ref(), &asking));
    let is_last = !persists && parts.status != StatusCode::SWITCHING_PROTOCOLS;
    let mut writing = Writing {
        wire,
        edge,
        framing,
        announced: Announced::of(&parts.headers, trailers),
        is_last,
        outcome: None,
    };
    spare::give(parts.headers);
    let mut body = pin!(Some(body));
    match poll_fn(|cx| writing.poll(body.as_mut(), cx)).await {
        Outcome::Whole if is_last => wire.end(),
        Outcome::Whole => {}
        Outcome::Broken => {
            if framing == Framing::Close {
                wire.reset_at_close();
            }
            return After::Over;
        }
        Outcome::Left => return After::Over,
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return edge.client.take_tunnel().map_or(After::Over, After::Tunnel);
    }
    if wire.body_is_over() {
        return match (persists, wire.is_blank()) {
            (true, _) => After::Next,
            (false, true) => After::Over,
            (false, false) => After::Unread,
        };
    }
    if persists && skip_body(wire, edge).await {
        After::Next
    } else {
        After::Unread
    }
}

/// An exchange whose client may be unwatched; behind it nobody looks at that clock.
struct Unwatched<'a>(&'a Edge);

impl Drop for Unwatched<'_> {
    fn drop(&mut self) {
        self.0.client.clocks.stop(Clock::Watch);
    }
}

/// Writes what waits.
fn write(wire: &Wire, edge: &Edge, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let (went, written) = wire.poll_write(cx);
    let left = match written.is_pending() {
        true => Left::Something,
        false => Left::Nothing,
    };
    edge.went(went, left);
    written
}

/// Whether a client whose answer is awaited has left, or has let what was written lie for too long.
fn has_left(
    wire: &Wire,
    edge: &Edge,
    written: &Poll<io::Result<()>>,
    cx: &mut Context<'_>,
) -> bool {
    let clocks = &edge.client.clocks;
    if wire.is_unwatched() {
        if !clocks.rang(Clock::Watch) {
            // Most are answered before it is worth a system call to be told.
            if !clocks.runs(Clock::Watch) {
                clocks.start(Clock::Watch, clock::now(), Some(WATCHED_FROM));
            }
            return false;
        }
        if wire.watch().is_err() {
            return true;
        }
    }
    clocks.stop(Clock::Watch);
    let seen = wire.poll_left(cx);
    edge.read(wire.take_octets_in());
    if let Poll::Ready(present) = seen
        && (present == Present::Gone || edge.client.listener.half_close == HalfClose::Cancel)
    {
        return true;
    }
    // Bodies look at these two when they are asked, which they are not while nothing can be written.
    clocks.rang(Clock::Write)
        || (written.is_pending() && (clocks.rang(Clock::Total) || clocks.rang(Clock::Body)))
}

/// How the writing of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Whole,
    /// Its body broke off.
    Broken,
    /// The client did not stay for it.
    Left,
}

/// An answer whose head has been handed over.
struct Writing<'a> {
    wire: &'a Wire,
    edge: &'a Edge,
    framing: Framing,
    announced: Announced,
    /// The connection ends behind it.
    is_last: bool,
    /// How the body has ended.
    outcome: Option<Outcome>,
}

impl Writing<'_> {
    fn poll<B>(&mut self, mut body: Pin<&mut Option<B>>, cx: &mut Context<'_>) -> Poll<Outcome>
    where
        B: Body<Data = Bytes>,
    {
        loop {
            let filled = match self.outcome {
                Some(_) => Poll::Ready(()),
                None => self.fill(body.as_mut(), cx),
            };
            if self.outcome.is_some() {
                // Before the last octet is out: what it holds at the endpoint is free, and its book is closed when everything
                // is written.
                body.set(None);
            }
            if self.is_last && self.outcome == Some(Outcome::Whole) {
                self.wire.says_last();
            }
            let written = write(self.wire, self.edge, cx);
            match (&written, self.outcome) {
                (Poll::Ready(Err(_)), _) => return Poll::Ready(Outcome::Left),
                (Poll::Ready(Ok(())), Some(outcome)) => {
                    if outcome == Outcome::Whole {
                        self.edge.flushed();
                    }
                    return Poll::Ready(outcome);
                }
                (Poll::Ready(Ok(())), None) if filled.is_ready() => continue,
                (Poll::Ready(Ok(())) | Poll::Pending, _) => {}
            }
            if has_left(self.wire, self.edge, &written, cx) {
                return Poll::Ready(Outcome::Left);
            }
            self.edge.client.clocks.arm(cx);
            return Poll::Pending;
        }
    }

    /// Takes from the body until it is over, has nothing, or enough waits to be written; pending where it has nothing.
    fn fill<B>(&mut self, mut body: Pin<&mut Option<B>>, cx: &mut Context<'_>) -> Poll<()>
    where
        B: Body<Data = Bytes>,
    {
        if self.framing == Framing::None {
            self.outcome = Some(Outcome::Whole);
            return Poll::Ready(());
        }
        while !self.wire.with_out(|out| out.is_full()) {
            let Some(body) = body.as_mut().as_pin_mut() else {
                return Poll::Ready(());
            };
            if body.is_end_stream() {
                self.end(None);
                return Poll::Ready(());
            }
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self
                        .wire
                        .with_out(|out| out.push_data(&mut self.framing, data)),
                    Err(frame) => {
                        self.end(frame.into_trailers().ok().as_ref());
                        return Poll::Ready(());
                    }
                },
                None => {
                    self.end(None);
                    return Poll::Ready(());
                }
                Some(Err(_)) => {
                    self.outcome = Some(Outcome::Broken);
                    return Poll::Ready(());
                }
            }
        }
        Poll::Ready(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.wire
            .with_out(|out| out.push_end(self.framing, trailers, &self.announced));
        self.outcome = Some(match self.framing {
            // Less than was announced.
            Framing::Length(1..) => Outcome::Broken,
            Framing::None | Framing::Length(0) | Framing::Chunked | Framing::Close => {
                Outcome::Whole
            }
        });
    }
}

/// Reads a body that nobody wants to its end; false where that is not worth it.
async fn skip_body(wire: &Wire, edge: &Edge) -> bool {
    let clocks = &edge.client.clocks;
    let mut skipped = 0;
    clocks.start(Clock::Unwanted, Instant::now(), Some(PAUSE));
    let over = poll_fn(|cx| {
        loop {
            let polled = wire.poll_body(cx);
            edge.read(wire.take_octets_in());
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    skipped += frame.data_ref().map_or(0, |data| data.len() as u64);
                    if skipped > UNWANTED {
                        return Poll::Ready(false);
                    }
                    clocks.start(Clock::Unwanted, Instant::now(), Some(PAUSE));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending if clocks.rang(Clock::Unwanted) => return Poll::Ready(false),
                Poll::Pending => {
                    clocks.arm(cx);
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
    clocks.stop(Clock::Unwanted);
    over
}
