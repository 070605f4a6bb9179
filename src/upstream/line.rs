//! One connection to an endpoint: a request written, its answer read, by whoever uses it and in their task.
//!
//! The request's body flows whenever anything here is polled, so that an endpoint may answer before it has all of it.
//! Strictness about the answer's framing is `answer.rs`, about its chunks `wire/body.rs`.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use crate::dial::Stream;
use crate::error::{Kind, Progress};
use crate::header::present::Present;
use crate::upstream::answer::{self, End, Expected, Malformed};
use crate::upstream::carrier::Verdict;
use crate::upstream::connect;
use crate::upstream::idle::Local;
use crate::upstream::io::{Tie, UpstreamIo};
use crate::upstream::outbound::{BodySlot, Outbound};
use crate::upstream::switched::{Bare, Switched};
use crate::wire::spare;
use crate::wire::{AcceptsTrailers, Announced, Decoded, Decoder, Framing, Out};

/// Room for what is read at once: doubled while reads fill it, up to the second.
const ROOM: usize = 8 << 10;
const MOST_ROOM: usize = 64 << 10;

/// Why a connection broke.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Is told what an endpoint says before its answer.
pub(crate) trait Hears: fmt::Debug {
    /// An interim response has come.
    fn hear(&self, interim: Response<()>);
}

/// One connection to an endpoint.
pub(crate) struct Line {
    io: UpstreamIo,
    read: BytesMut,
    /// Octets of the head under way that have been looked through in vain.
    scanned: usize,
    room: usize,
    out: Out,
    sending: Option<Sending>,
    receiving: Receiving,
    /// Which fields the head of the answer has.
    pub(super) present: Present,
    /// Nothing has been said or seen that forbids another request.
    persists: bool,
    /// The endpoint takes nothing more, though it may still answer.
    is_deaf: bool,
    tie: Rc<Tie>,
    /// What had been received and sent when the present request began.
    received_before: u64,
    sent_before: u64,
    local: Rc<Local>,
    slot: usize,
    /// Under which of the pool's terms it was made.
    pub(super) terms: u64,
    /// When it may no longer be taken up again; `None` is never.
    pub(super) expires: Option<Instant>,
    /// What the endpoint itself said of how long it keeps the connection.
    promised: Option<Duration>,
    pub(super) reused: bool,
}

/// A request's body on its way.
struct Sending {
    body: Rc<BodySlot>,
    framing: Framing,
    announced: Announced,
}

/// Where the reading of an answer stands.
enum Receiving {
    /// Its head is awaited.
    Head(Expected),
    Body(Decoder),
    /// Its body ends with the connection.
    UntilClose,
    Over,
}

impl Line {
    /// Takes a fresh connection, made under the terms with this number.
    pub(super) fn over(stream: Stream, terms: u64, local: Rc<Local>) -> Box<Self> {
        let tie = Rc::new(Tie::default());
        let slot = local.join(Rc::clone(&tie));
        Box::new(Self {
            io: UpstreamIo::new(stream, Rc::clone(&tie)),
            read: BytesMut::new(),
            scanned: 0,
            room: ROOM,
            out: Out::default(),
            sending: None,
            receiving: Receiving::Over,
            present: Present::default(),
            persists: true,
            is_deaf: false,
            tie,
            received_before: 0,
            sent_before: 0,
            local,
            slot,
            terms,
            expires: None,
            promised: None,
            reused: false,
        })
    }

    /// Begins a request; it goes out when the line is polled.
    pub(super) fn begin(&mut self, request: &Outbound) {
        let headers = &request.headers;
        self.received_before = self.tie.received();
        self.sent_before = self.tie.sent();
        self.tie.await_head();
        self.out
            .push_request(&request.method, &request.target, headers, &request.own);
        self.receiving = Receiving::Head(Expected::to(&request.method));
        self.sending = request.body.as_ref().map(|body| Sending {
            body: Rc::clone(body),
            framing: request.framing(),
            announced: Announced::of(headers, AcceptsTrailers::Yes),
        });
    }

    /// The head of the answer.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        hears: &dyn Hears,
    ) -> Poll<Result<Response<()>, Cause>> {
        self.send(cx)?;
        let Receiving::Head(expected) = self.receiving else {
            return Poll::Pending;
        };
        loop {
            while let Some(head) = answer::read(&mut self.read, &mut self.scanned, expected)? {
                let status = head.response.status();
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                    hears.hear(head.response);
                    // The body may have been asked for.
                    self.send(cx)?;
                    continue;
                }
                self.persists &= head.persists;
                self.promised = head.kept;
                self.present = head.present;
                self.receiving = match head.end {
                    _ if status == StatusCode::SWITCHING_PROTOCOLS => Receiving::Over,
                    End::Framed(framing) => Receiving::Body(Decoder::of(framing)),
                    End::Close => Receiving::UntilClose,
                };
                self.rest_if_over();
                self.tie.head_came();
                return Poll::Ready(Ok(head.response));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        loop {
            match &mut self.receiving {
                Receiving::Body(decoder) => match decoder.decode(&mut self.read) {
                    Ok(Decoded::Data(data)) => {
                        self.rest_if_over();
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(Decoded::Trailers(trailers)) => {
                        self.rest_if_over();
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                    Ok(Decoded::End) => {
                        self.rest_if_over();
                        return Poll::Ready(None);
                    }
                    Ok(Decoded::More) => {}
                    Err(_) => return self.broken(Malformed.into()),
                },
                Receiving::UntilClose if !self.read.is_empty() => {
                    let data = self.read.split().freeze();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Receiving::UntilClose => {}
                Receiving::Head(_) | Receiving::Over => return Poll::Ready(None),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(1..) => {}
                Ok(0) if matches!(self.receiving, Receiving::UntilClose) => {
                    self.receiving = Receiving::Over;
                    self.persists = false;
                    return Poll::Ready(None);
                }
                Ok(0) => return self.broken(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Err(error) => return self.broken(error.into()),
            }
        }
    }

    /// Sends of the request what can be sent. A connection that takes no more may still have an answer, so that only the
    /// body's own failure is one here.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Cause> {
        loop {
            let waits = self.fill(cx)?;
            if self.out.is_empty() {
                break;
            }
            if self.out.write_to(Pin::new(&mut self.io), cx).is_err() {
                self.takes_no_more();
                return Ok(());
            }
            if waits.is_pending() || !self.out.is_empty() {
                break;
            }
        }
        // A session has taken more than its socket may have.
        if !self.has_sent()
            && self.io.holds_octets()
            && let Poll::Ready(Err(_)) = Pin::new(&mut self.io).poll_flush(cx)
        {
            self.takes_no_more();
        }
        Ok(())
    }

    fn takes_no_more(&mut self) {
        self.persists = false;
        self.is_deaf = true;
        self.sending = None;
        self.out = Out::default();
    }

    /// Whether all of the request is out, or nobody takes the rest.
    pub(crate) fn has_sent(&self) -> bool {
        let is_out = self.is_deaf || !self.io.holds_octets();
        self.sending.is_none() && self.out.is_empty() && is_out
    }

    /// Takes from the request's body until enough waits to be written; pending where it has no more for now.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        while let Some(sending) = &mut self.sending {
            if self.out.is_full() {
                return Ok(Poll::Ready(()));
            }
            let (frame, trailers) = match sending.body.poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => (Some(data), None),
                    Err(frame) => (None, frame.into_trailers().ok()),
                },
                Poll::Ready(None) => (None, None),
                Poll::Ready(Some(Err(cause))) => {
                    self.persists = false;
                    self.sending = None;
                    return Err(cause);
                }
            };
            if let Some(data) = frame {
                self.out.push_data(&mut sending.framing, data);
                if !sending.body.is_end_stream() {
                    continue;
                }
            }
            let (framing, announced) = (sending.framing, &sending.announced);
            self.out.push_end(framing, trailers.as_ref(), announced);
            if let Framing::Length(1..) = framing {
                // Less than was announced: whatever followed would be taken for the rest.
                self.persists = false;
            }
            self.sending = None;
        }
        Ok(Poll::Pending)
    }

    fn broken<T>(&mut self, cause: Cause) -> Poll<Option<Result<T, Cause>>> {
        self.persists = false;
        self.receiving = Receiving::Over;
        Poll::Ready(Some(Err(cause)))
    }

    /// Notes that the answer is read to its end.
    fn rest_if_over(&mut self) {
        if let Receiving::Body(decoder) = &self.receiving
            && decoder.is_done()
        {
            self.receiving = Receiving::Over;
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // No room is made before something has come: a request that waits holds no buffer, and the next one to be answered
        // uses the last one's while it is still in the cache.
        ready!(self.io.poll_read_ready(cx))?;
        spare::make_room(&mut self.read, self.room);
        let room = self.read.capacity() - self.read.len();
        let octets = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read))?;
        if octets >= room && self.room < MOST_ROOM {
            self.room *= 2;
        }
        Poll::Ready(Ok(octets))
    }

    /// Whether the answer's body has been read to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    /// How much of the answer's body is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.receiving {
            Receiving::Body(decoder) => decoder
                .length()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
            Receiving::Over => SizeHint::with_exact(0),
            Receiving::Head(_) | Receiving::UntilClose => SizeHint::new(),
        }
    }

    /// Looks at an unused connection: still open, nothing unasked has come, not past its time.
    pub(super) fn is_fit(&mut self, now: Instant) -> bool {
        if self.expires.is_some_and(|expires| expires <= now) {
            return false;
        }
        if !self.is_done() {
            return false;
        }
        !self.io.may_have_octets() || self.takes_in_nothing()
    }

    /// Whether what has come was the session's own affair, such as a ticket.
    #[cold]
    fn takes_in_nothing(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let is_quiet = self.poll_fill(&mut cx).is_pending();
        self.read = BytesMut::new();
        is_quiet
    }

    /// Whether request and answer are over, and nothing was said that forbids others.
    fn is_done(&self) -> bool {
        self.persists && self.is_over() && self.has_sent() && self.read.is_empty()
    }

    /// Gives it back for further requests, if it is good for any.
    pub(crate) fn release(mut self: Box<Self>) {
        if self.is_done() {
            let read = std::mem::take(&mut self.read);
            if self.room == ROOM {
                spare::give(read);
            }
            let local = Rc::clone(&self.local);
            local.keep(self);
        }
    }

    pub(super) fn promised(&self) -> Option<Duration> {
        self.promised
    }

    /// Ready when the request has been sent whole.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.send(cx)?;
        match self.has_sent() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Ends the connection: whoever reads from it is woken and finds it broken.
    pub(super) fn cut(&self) {
        self.tie.cut("the request broke off");
    }

    /// Whether octets of the present request have gone out.
    pub(super) fn may_be_seen(&self) -> bool {
        self.tie.sent() > self.sent_before
    }

    /// What it means that the head of the answer did not come.
    pub(super) fn verdict(&self, cause: &Cause) -> Verdict {
        let answered = self.tie.received() > self.received_before;
        let (mut kind, progress) = match (answered, self.may_be_seen()) {
            (true, _) => (Kind::MalformedResponse, Progress::Answered),
            (false, true) => (Kind::Reset, Progress::MaybeSeen),
            (false, false) => (Kind::Reset, Progress::NothingSent),
        };
        // A TLS session that broke under a request. A client's certificate may be refused as late as that (RFC 8446
        // §4.4.2), because nobody tells a client of TLS 1.3 when its certificate is good.
        if !self.reused
            && let Some(error) = cause.downcast_ref::<io::Error>()
            && let Some(tls) = connect::tls_fault(error)
        {
            kind = tls;
        }
        Verdict {
            kind,
            progress,
            stale: self.reused && !answered,
        }
    }

    /// The connection behind a switch of protocols, with what was read beyond the head.
    pub(crate) fn switch(mut self: Box<Self>) -> Switched {
        let ahead = self.read.split().freeze();
        Switched::Line(Bare::new(self, ahead))
    }

    pub(super) fn socket(&mut self) -> Pin<&mut UpstreamIo> {
        Pin::new(&mut self.io)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_done() {
            self.io.say_goodbye();
        }
        self.local.leave(self.slot);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
