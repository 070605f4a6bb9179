//! HTTP/1 in octets, for both sides the decoding of bodies and the writing of messages; and one connection of a client: its
//! socket, what was read ahead of the one who wants it, and what waits to be written. Of HTTP/2 only the body of a request
//! (`inflow.rs`) and the octets of a tunnel (`duplex.rs`) are here.
//!
//! The connection's task and the body of its present request both hold it; they stay on one thread. A request's head, its
//! body and the octets behind it come out of one buffer, an answer's head and the beginning of its body go out in one
//! write. Framing is decided here once and strictly (RFC 9112 §6): what is ambiguous is refused, never repaired. Limits of
//! time, what an answer says and when a connection ends are not decided here.

mod body;
mod duplex;
pub(crate) mod frames;
mod head;
mod inflow;
mod out;
mod socket;
pub(crate) mod spare;
mod stream;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tokio::io::AsyncWrite as _;
use tokio_util::io::poll_read_buf;

pub(crate) use body::{Decoded, Decoder, Faulty};
pub(crate) use duplex::{Duplex, Resets};
pub(crate) use head::{Head, HeadLimits, Unreadable, ends};
pub(crate) use inflow::{Continue, Inflow};
pub(crate) use out::{AcceptsTrailers, Announced, Asking, Framing, Out, Went};
use socket::Last;
pub(crate) use socket::{Present, Socket};
pub(crate) use stream::{Metered, Stream};

use crate::error::Kind;

/// Room for a head and the little that may come with it.
const HEAD_ROOM: usize = 4 << 10;

/// Room for a piece of a body, at most.
const BODY_ROOM: usize = 64 << 10;

/// What a client may send ahead while its answer is awaited. What is more stays in the kernel, and its client's leaving is
/// noticed only behind the answer.
const AHEAD: usize = 16 << 10;

/// What a client says first that speaks HTTP/2 without being asked (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection.
pub(crate) struct Wire {
    inner: RefCell<Inner>,
    octets_in: Cell<u64>,
    /// What a body is whose client has ended its side in the middle.
    cut: Kind,
}

struct Inner {
    /// Gone when the connection was taken back to its stream.
    stream: Option<Stream>,
    /// The end of this connection is not to be taken for the end of what was sent.
    resets: bool,
    /// What waits is the last that is written, and the end follows at once.
    ends: bool,
    read: BytesMut,
    /// It was made for the pieces of a body.
    is_large: bool,
    /// Octets of the head under way that have been looked through in vain.
    scanned: usize,
    /// How often it has been parsed in vain.
    parsed: u32,
    /// The one that was read, until it is taken.
    head: Option<Head>,
    decoder: Decoder,
    expects: Expects,
    /// The client has ended its side.
    ended: bool,
    /// The body's grammar was broken, or it was cut: what follows means nothing.
    broken: bool,
    out: Out,
}

/// What a client waits for before it sends a body (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// A 100, which goes out when the body is asked for.
    Continue,
}

impl Wire {
    /// A connection over this stream. What a client means that ends its side in the middle of a body depends on its
    /// listener: it breaks the grammar, or it has gone.
    pub(crate) fn new(stream: Stream, cut: Kind) -> Rc<Self> {
        Rc::new(Self {
            cut,
            inner: RefCell::new(Inner {
                stream: Some(stream),
                resets: false,
                ends: false,
                read: BytesMut::new(),
                is_large: false,
                scanned: 0,
                parsed: 0,
                head: None,
                decoder: Decoder::Done,
                expects: Expects::Nothing,
                ended: false,
                broken: false,
                out: Out::default(),
            }),
            octets_in: Cell::new(0),
        })
    }

    /// The stream, with what was read too far. Who still holds a body finds it cut.
    pub(crate) fn take_stream(&self) -> Option<(Stream, Bytes)> {
        let mut inner = self.inner.borrow_mut();
        let read = match inner.read.is_empty() {
            // The buffer is not divided, so that it can be used again.
            true => Bytes::new(),
            false => inner.read.split().freeze(),
        };
        Some((inner.stream.take()?, read))
    }

    /// Octets that were read since this was last asked.
    pub(crate) fn take_octets_in(&self) -> u64 {
        self.octets_in.take()
    }

    /// Whether nothing but empty lines was read, which may stand behind a body (RFC 9112 §2.2).
    pub(crate) fn is_blank(&self) -> bool {
        let inner = self.inner.borrow();
        inner
            .read
            .iter()
            .all(|octet| matches!(octet, b'\r' | b'\n'))
    }

    /// A request is over, and nothing of the next one is here: what waits for it holds no buffer, as long as it was of the
    /// usual size.
    pub(crate) fn rests(&self) {
        self.inner.borrow_mut().give_buffer();
    }

    /// Whether what was read, and is no head, begins as HTTP/2 does.
    pub(crate) fn begins_http2(&self) -> bool {
        let read = &self.inner.borrow().read;
        let common = read.len().min(PREFACE.len());
        read[..common] == PREFACE[..common]
    }

    /// Whether a whole head has been read, to be taken; the body behind it is the connection's body from then on.
    pub(crate) fn has_head(&self, limits: &HeadLimits) -> Result<bool, Unreadable> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.read.is_empty() {
            return Ok(false);
        }
        let read = head::read(
            &mut inner.read,
            &mut inner.scanned,
            &mut inner.parsed,
            limits,
            &mut inner.head,
        )?;
        let (Some(framing), Some(head)) = (read, &inner.head) else {
            return Ok(false);
        };
        inner.scanned = 0;
        inner.parsed = 0;
        inner.decoder = Decoder::of(framing);
        inner.expects = match head.expects_continue && !inner.decoder.is_done() {
            true => Expects::Continue,
            false => Expects::Nothing,
        };
        Ok(true)
    }

    /// The head that has been read.
    pub(crate) fn take_head(&self) -> Option<Head> {
        self.inner.borrow_mut().head.take()
    }

    /// Reads more of a head, at most so much that it is certainly too large.
    pub(crate) fn poll_head(
        &self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner.borrow_mut();
        let room = HEAD_ROOM
            .max(inner.read.len())
            .min(limits.octets.saturating_add(1));
        self.poll_fill(inner, cx, room)
    }

    /// Whether all of the request's body has been read.
    pub(crate) fn body_is_over(&self) -> bool {
        self.inner.borrow().decoder.is_done()
    }

    /// How many octets of the body are to come, where that is known.
    pub(crate) fn body_length(&self) -> Option<u64> {
        self.inner.borrow().decoder.length()
    }

    /// Whether the client holds its body back, never having been told to send it; it is not told any more.
    pub(crate) fn leave_held_back(&self) -> bool {
        let expects = &mut self.inner.borrow_mut().expects;
        std::mem::replace(expects, Expects::Nothing) == Expects::Continue
    }

    /// Whether a body has come that was none, behind which nothing can be read.
    pub(crate) fn is_broken(&self) -> bool {
        self.inner.borrow().broken
    }

    /// The next piece of the request's body.
    pub(crate) fn poll_body(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Kind>>> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.expects == Expects::Continue {
            inner.expects = Expects::Nothing;
            inner.out.push_interim(CONTINUE);
            if inner.write(cx).is_err() {
                return Poll::Ready(Some(Err(Kind::ClientGone)));
            }
        }
        loop {
            match inner.decoder.decode(&mut inner.read) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Decoded::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::More) => {}
                Err(Faulty) => {
                    inner.broken = true;
                    return Poll::Ready(Some(Err(Kind::MalformedRequest)));
                }
            }
            let wanted = inner.decoder.length().unwrap_or(u64::MAX);
            let room = usize::try_from(wanted)
                .map_or(BODY_ROOM, |wanted| wanted.clamp(HEAD_ROOM, BODY_ROOM));
            match ready!(self.poll_fill(inner, cx, room)) {
                Ok(1..) => {}
                end => {
                    inner.ended = true;
                    inner.broken = true;
                    let kind = end.map_or(Kind::ClientGone, |_| self.cut);
                    return Poll::Ready(Some(Err(kind)));
                }
            }
        }
    }

    /// Whether nobody would hear of it if the client left.
    pub(crate) fn is_unwatched(&self) -> bool {
        let inner = self.inner.borrow();
        inner.stream.as_ref().is_some_and(Stream::is_fresh)
    }

    /// Has the runtime tell if the client leaves.
    pub(crate) fn watch(&self) -> io::Result<()> {
        match &mut self.inner.borrow_mut().stream {
            Some(Stream::Plain(socket)) => socket.watch(),
            Some(Stream::Tls(_)) | None => Ok(()),
        }
    }

    /// Looks whether a client that has sent everything is still there.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Present> {
        let inner = &mut *self.inner.borrow_mut();
        let Some(socket) = inner.stream.as_ref().map(Stream::socket) else {
            return Poll::Pending;
        };
        if inner.ended {
            // Behind a FIN only a reset can tell more; the socket stays readable, so that looking costs a call only when
            // something else woke the task.
            return match socket.is_reset() {
                true => Poll::Ready(Present::Gone),
                false => Poll::Pending,
            };
        }
        if inner.read.len() >= AHEAD || !inner.decoder.is_done() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(inner, cx, HEAD_ROOM.min(AHEAD))) {
            Ok(0) => {
                inner.ended = true;
                Poll::Ready(Present::Ended)
            }
            // The next request.
            Ok(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(_) => Poll::Ready(Present::Gone),
        }
    }

    /// An interim response; dropped where a client does not read what waits already.
    pub(crate) fn push_interim(&self, status: StatusCode, headers: &HeaderMap) {
        let out = &mut self.inner.borrow_mut().out;
        if !out.is_full() {
            out.push_interim_head(status, headers);
        }
    }

    /// Adds to what is to be written.
    pub(crate) fn with_out<T>(&self, add: impl FnOnce(&mut Out) -> T) -> T {
        add(&mut self.inner.borrow_mut().out)
    }

    /// Writes what can be written; ready when nothing is left. Tells how much went.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> (Went, Poll<io::Result<()>>) {
        let inner = &mut *self.inner.borrow_mut();
        match inner.write(cx) {
            Ok((went, polled)) => (went, polled.map(Ok)),
            Err(error) => (Went::default(), Poll::Ready(Err(error))),
        }
    }

    /// What waits is the last that is written: when it is out the end is to follow at once ([`Self::end`]), and goes with it.
    pub(crate) fn says_last(&self) {
        self.inner.borrow_mut().ends = true;
    }

    /// Ends the side that is written behind its last, where that is not for a session to say.
    pub(crate) fn end(&self) {
        if let Some(Stream::Plain(socket)) = &self.inner.borrow().stream {
            socket.end();
        }
    }

    /// Lets the close reset the connection, so that a body that ends with it is not taken for whole.
    pub(crate) fn reset_at_close(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.resets = true;
        if let Some(stream) = &inner.stream {
            // Where it fails the connection is gone already.
            stream.socket().set_zero_linger().ok();
        }
    }

    /// A session that is to be closed in words, because its client could take the bare end of its connection for an attack
    /// (RFC 8446 §6.1). None where there is no session, or where its end shall be taken for just that.
    pub(crate) fn take_session(&self) -> Option<Stream> {
        let mut inner = self.inner.borrow_mut();
        match &inner.stream {
            Some(Stream::Tls(_)) if !inner.resets => inner.stream.take(),
            _ => None,
        }
    }

    fn poll_fill(
        &self,
        inner: &mut Inner,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut inner.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        // No room is made before something has come.
        ready!(stream.poll_read_ready(cx))?;
        let more = room.saturating_sub(inner.read.len()).max(1);
        inner.is_large |= more > HEAD_ROOM;
        spare::make_room(&mut inner.read, more);
        let octets = match ready!(poll_read_buf(Pin::new(stream), cx, &mut inner.read)) {
            // The end of a session without a word. Every message says by itself where it ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            octets => octets?,
        };
        self.octets_in.set(self.octets_in.get() + octets as u64);
        Poll::Ready(Ok(octets))
    }
}

impl Inner {
    fn give_buffer(&mut self) {
        if self.read.is_empty() && !self.is_large {
            spare::give(std::mem::take(&mut self.read));
        }
    }

    /// Writes until all is out or the socket takes no more.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<(Went, Poll<()>)> {
        let Some(stream) = &mut self.stream else {
            return match self.out.is_empty() {
                true => Ok((Went::default(), Poll::Ready(()))),
                false => Err(io::ErrorKind::NotConnected.into()),
            };
        };
        if let Stream::Plain(socket) = stream {
            let octets = match self.ends {
                true => self.out.write_to(Pin::new(&mut Last(socket)), cx)?,
                false => self.out.write_to(Pin::new(socket), cx)?,
            };
            let moved = octets > 0;
            return Ok((Went { octets, moved }, self.is_out()));
        }
        // A session has taken more than its socket, and what it holds is not out yet.
        let sent = stream.sent();
        let octets = self.out.write_to(Pin::new(stream), cx)?;
        let flushed = Pin::new(&mut *stream).poll_flush(cx)?;
        let moved = stream.sent() != sent;
        let out = if flushed.is_pending() {
            Poll::Pending
        } else {
            self.is_out()
        };
        Ok((Went { octets, moved }, out))
    }

    fn is_out(&self) -> Poll<()> {
        match self.out.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_buffer();
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
