//! What is written to a stream: the head of an answer without what only HTTP/1 has, its body as far as the client's windows and
//! its connection take it, its end.
//!
//! A body that breaks off, or is shorter than was announced, never ends its stream as a whole one does. A call of gRPC that
//! breaks off behind a whole message is told in its trailers why, since a reset says next to nothing to its client.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, EXPIRES, LAST_MODIFIED, SEC_WEBSOCKET_ACCEPT,
    TRANSFER_ENCODING, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body::Body;
use hyper::ext::ReasonPhrase;
use pin_project_lite::pin_project;

use crate::clock::{self, Clock};
use crate::connection::http2::outlet::Outlet;
use crate::error::{Error, Kind};
use crate::grpc::{Code, Messages};
use crate::header::hop::PROXY_CONNECTION;
use crate::header::keep_alive::KEEP_ALIVE;
use crate::header::present::Present;
use crate::request::context::Client;
use crate::response::local_reply::{self, Dialect};

/// Octets that are handed over at once, so that streams take turns.
const PIECE: usize = 128 << 10;

/// How the writing of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    /// Its body broke off.
    Broken,
    /// It is a call, and its time is over.
    Overdue,
    /// The client has reset the stream, or its connection is gone.
    Left,
    /// The client has let it lie for too long.
    Unread,
}

/// What becomes of the times in answers, which are others each second, in the table of fields that a connection remembers.
///
/// `h2` finds a field there by its name and then compares it with all values that this name has had, oldest first: of an old
/// connection up to half a hundred, at some 70 instructions each, where a time that is written out costs 500. And each of them would
/// keep the buffer that its answer was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dates {
    /// They are remembered: the connection is so young that they are few.
    Remembered,
    /// They are written out each time.
    Forgotten,
}

/// A body on its way, and how much of it was announced and is to come.
pub(super) struct Outgoing<B> {
    body: B,
    left: Option<u64>,
}

/// Makes the head of an answer one of HTTP/2; tells what is to follow it, if anything is.
pub(super) fn begin<B: Body>(
    parts: &mut Parts,
    body: B,
    method: &Method,
    dates: Dates,
    date: impl FnOnce() -> HeaderValue,
) -> Option<Outgoing<B>> {
    let length = body.size_hint().exact();
    let announces = adapt(parts, length, dates, date);
    let status = parts.status;
    let is_silent = *method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if is_silent {
        // RFC 9110 §9.3.2: what a GET would be told of its length.
        if let (Some(octets @ 1..), true) = (length, *method == Method::HEAD) {
            let length = parts.headers.entry(CONTENT_LENGTH);
            length.or_insert_with(|| HeaderValue::from(octets));
        }
        return None;
    }
    if let Some(octets) = length
        && !announces
    {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(octets));
    }
    let left = length.or_else(|| announced(&parts.headers));
    let is_over = body.is_end_stream() && matches!(left, None | Some(0));
    (!is_over).then_some(Outgoing { body, left })
}

/// Makes a 101 the answer by which a tunnel begins (RFC 8441 §5.1).
pub(super) fn switch(parts: &mut Parts, date: impl FnOnce() -> HeaderValue) {
    adapt(parts, None, Dates::Forgotten, date);
    parts.status = StatusCode::OK;
    // RFC 9110 §9.3.6: octets of a tunnel have no length. There was no key.
    for name in [&CONTENT_LENGTH, &SEC_WEBSOCKET_ACCEPT] {
        parts.headers.remove(name);
    }
}

/// Takes away what only HTTP/1 has, in one pass over the fields; tells whether they say this length, once and as it is
/// written here, which those of most answers do.
fn adapt(
    parts: &mut Parts,
    length: Option<u64>,
    dates: Dates,
    date: impl FnOnce() -> HeaderValue,
) -> bool {
    parts.version = Version::HTTP_2;
    parts.extensions.remove::<ReasonPhrase>();
    let mut digits = itoa::Buffer::new();
    let digits = length.map(|octets| digits.format(octets));
    let mut present = Present::default();
    let (mut is_dated, mut lines, mut announces) = (false, 0, false);
    for (name, value) in &mut parts.headers {
        present.note(name);
        if *name == CONTENT_LENGTH {
            lines += 1;
            announces = digits.is_some_and(|digits| value == digits);
        } else if *name == LAST_MODIFIED {
            // One for each resource, like an ETag, which `h2` does not remember either.
            goes_unindexed(value);
        } else if *name == DATE || *name == EXPIRES {
            is_dated |= *name == DATE;
            if dates == Dates::Forgotten {
                goes_unindexed(value);
            }
        }
    }
    // RFC 9113 §8.2.2: HTTP/2 has no use for them.
    for (field, name) in [
        (Present::CONNECTION, &CONNECTION),
        (Present::KEEP_ALIVE, &KEEP_ALIVE),
        (Present::PROXY_CONNECTION, &PROXY_CONNECTION),
        (Present::TRANSFER_ENCODING, &TRANSFER_ENCODING),
        (Present::UPGRADE, &UPGRADE),
    ] {
        if present.has(field) {
            parts.headers.remove(name);
        }
    }
    if !is_dated {
        let mut date = date();
        if dates == Dates::Forgotten {
            goes_unindexed(&mut date);
        }
        parts.headers.insert(DATE, date);
    }
    announces && lines == 1
}

/// Keeps a time out of the table of fields that the connection remembers.
fn goes_unindexed(time: &mut HeaderValue) {
    time.set_sensitive(true);
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_LENGTH)?;
    std::str::from_utf8(value.as_bytes()).ok()?.parse().ok()
}

/// Writes a body to its end.
pub(super) fn write<'a, B>(
    stream: SendStream<Bytes>,
    outgoing: Outgoing<B>,
    client: &'a Client,
    outlet: &'a Outlet,
) -> Writing<'a, B> {
    Writing {
        body: outgoing.body,
        way: Way {
            stream,
            client,
            outlet,
            piece: Bytes::new(),
            left: outgoing.left,
            call: match client.dialect.get() {
                Dialect::Http => None,
                Dialect::Grpc => Some(Messages::default()),
            },
        },
    }
}

pin_project! {
    /// A body that is being written.
    pub(super) struct Writing<'a, B> {
        #[pin]
        body: B,
        way: Way<'a>,
    }
}

impl<B> Future for Writing<'_, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Output = Ending;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let this = self.project();
        let ending = ready!(this.way.poll(this.body, cx));
        this.way.client.clocks.stop(Clock::Write);
        Poll::Ready(ending)
    }
}

/// The way of a body to the client.
struct Way<'a> {
    stream: SendStream<Bytes>,
    client: &'a Client,
    outlet: &'a Outlet,
    /// What waits for room.
    piece: Bytes,
    /// Octets that the body still owes, where that is known.
    left: Option<u64>,
    /// Its messages, where it answers a call.
    call: Option<Messages>,
}

/// What comes behind a piece of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    /// More of it, or trailers, or its end.
    Something,
}

impl Behind {
    fn of(body: &impl Body) -> Self {
        match body.is_end_stream() {
            true => Self::Nothing,
            false => Self::Something,
        }
    }
}

impl Way<'_> {
    fn poll<B>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Ending>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        loop {
            if !self.piece.is_empty() {
                match self.hand_over(Behind::of(&*body), cx) {
                    Poll::Ready(Some(ending)) => return Poll::Ready(ending),
                    Poll::Ready(None) => continue,
                    Poll::Pending => return self.stall(cx),
                }
            }
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                return self.wait(cx);
            };
            let frame = match frame {
                None => return Poll::Ready(self.end(None)),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(self.break_off(&*error.into())),
            };
            match frame.into_data() {
                Ok(data) => {
                    if let Some(left) = &mut self.left {
                        let Some(rest) = left.checked_sub(data.len() as u64) else {
                            // More than was announced.
                            return Poll::Ready(Ending::Broken);
                        };
                        *left = rest;
                    }
                    if let Some(call) = &mut self.call {
                        call.pass(&data);
                    }
                    self.piece = data;
                }
                Err(frame) => return Poll::Ready(self.end(frame.into_trailers().ok())),
            }
        }
    }

    /// Hands over as much as there is room for; tells the end, where that was all.
    fn hand_over(&mut self, behind: Behind, cx: &mut Context<'_>) -> Poll<Option<Ending>> {
        ready!(self.outlet.poll_room(cx));
        self.stream.reserve_capacity(self.piece.len().min(PIECE));
        let mut room = self.stream.capacity();
        if room == 0 {
            room = match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(octets)) => octets,
                Some(Err(_)) | None => return Poll::Ready(Some(Ending::Left)),
            };
        }
        let data = self.piece.split_to(room.min(self.piece.len()));
        let is_last = behind == Behind::Nothing && self.piece.is_empty() && self.owes_nothing();
        self.outlet.hand(data.len());
        self.client.clocks.stop(Clock::Write);
        Poll::Ready(match self.stream.send_data(data, is_last) {
            Ok(()) => is_last.then_some(Ending::Whole),
            Err(_) => Some(Ending::Left),
        })
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Ending {
        if !self.owes_nothing() {
            return Ending::Broken;
        }
        let ended = match trailers.filter(|trailers| !trailers.is_empty()) {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        ended.map_or(Ending::Left, |()| Ending::Whole)
    }

    /// The body has failed; all that came before has been handed over.
    fn break_off(&mut self, error: &(dyn StdError + Send + Sync + 'static)) -> Ending {
        let Some(call) = self.call else {
            return Ending::Broken;
        };
        let kind = error.downcast_ref().map_or(Kind::ResponseCut, Error::kind);
        if call.are_whole() && self.owes_nothing() {
            return self.end(Some(local_reply::trailers(kind)));
        }
        match local_reply::reply_to(kind).code {
            Code::DeadlineExceeded => Ending::Overdue,
            _ => Ending::Broken,
        }
    }

    fn owes_nothing(&self) -> bool {
        matches!(self.left, None | Some(0))
    }

    /// The client takes nothing.
    fn stall(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let clocks = &self.client.clocks;
        // Bodies look at the last two when they are asked, which they are not while nothing can be written.
        if [Clock::Write, Clock::Total, Clock::Body]
            .iter()
            .any(|clock| clocks.rang(*clock))
        {
            return Poll::Ready(Ending::Unread);
        }
        if !clocks.runs(Clock::Write) {
            clocks.start(Clock::Write, clock::now(), self.client.write_limit.get());
        }
        self.wait(cx)
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Ending::Left);
        }
        self.client.clocks.arm(cx);
        Poll::Pending
    }
}
