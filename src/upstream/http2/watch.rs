//! The octets of an HTTP/2 connection on their way through: what `h2` does not tell is read off the heads of frames.
//!
//! That is: whether the endpoint speaks HTTP/2 at all, whether the head of a request has gone out, and whether the endpoint
//! sends frames that cost much and carry nothing. `h2` bounds the octets of a head and its CONTINUATION frames, empty and
//! tiny DATA and streams that break the rules; frames of SETTINGS, PING and their like and interim responses it does not count.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::error::Kind;
use crate::upstream::connect;
use crate::upstream::io::UpstreamIo;
use crate::wire::frames::{self, Head, Scanner};

/// Frames that carry nothing of a request or an answer, in a burst. More come with time, and with what is carried.
const BURST: u32 = 4_096;

/// One more in such a time.
const PERIOD: Duration = Duration::from_millis(10);

/// More with each request: its interim responses, its answer, its trailers, what the endpoint has to say of its windows.
const PER_REQUEST: u32 = 16;

/// More with each frame of a body, in either direction: endpoints measure by PINGs how much they may send, and give
/// room as it is used.
const PER_DATA: u32 = 4;

/// Heads that are read in one turn of the connection's task; then those who wait for them have theirs.
const HEADS_PER_TURN: u32 = 64;

/// Octets that are read in one turn, about. Then those who pass them on do so, while they are still in the processor's cache and
/// the endpoint sends more: a turn that read all that the windows allow would let the endpoint stand still for as long as that
/// is written, and whoever else shares the worker.
const OCTETS_PER_TURN: usize = 128 << 10;

/// Empty frames of DATA after which a connection takes no new requests: `h2` ends one at the hundredth, however old it is.
const EMPTY: u32 = 50;

/// What is known of a connection from its frames; shared with its streams.
#[derive(Debug)]
pub(super) struct Seen {
    /// The endpoint's first frame has come, and was its SETTINGS.
    settings: Cell<bool>,
    /// The first thing that came was no SETTINGS.
    foreign: Cell<bool>,
    /// What broke the TLS session, if something did.
    tls: Cell<Option<Kind>>,
    /// Frames of HEADERS and DATA that came.
    answers: Cell<u64>,
    /// The highest stream whose HEADERS have begun to go out.
    highest: Cell<u32>,
    empty: Cell<u32>,
    heads_in_turn: Cell<u32>,
    /// Of what came.
    octets_in_turn: Cell<usize>,
    allowance: Cell<u32>,
    counted: Cell<Instant>,
}

impl Seen {
    pub(super) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            settings: Cell::new(false),
            foreign: Cell::new(false),
            tls: Cell::new(None),
            answers: Cell::new(0),
            highest: Cell::new(0),
            empty: Cell::new(0),
            heads_in_turn: Cell::new(0),
            octets_in_turn: Cell::new(0),
            allowance: Cell::new(BURST),
            counted: Cell::new(now),
        })
    }

    /// Whether the endpoint's SETTINGS have come.
    pub(super) fn has_settings(&self) -> bool {
        self.settings.get()
    }

    /// Whether the endpoint has answered in something else than HTTP/2.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign.get()
    }

    /// What broke the TLS session, if something did: the endpoint may refuse it as late as its first word.
    pub(super) fn tls_fault(&self) -> Option<Kind> {
        self.tls.get()
    }

    /// Frames of answers that have come.
    pub(super) fn answers(&self) -> u64 {
        self.answers.get()
    }

    /// Whether something of this stream has gone out.
    pub(super) fn has_sent(&self, stream: u32) -> bool {
        self.highest.get() >= stream
    }

    /// Whether the connection should take no new requests, because its days are counted.
    pub(super) fn is_worn(&self) -> bool {
        self.empty.get() >= EMPTY
    }

    /// A turn of the connection's task begins.
    pub(super) fn begin_turn(&self) {
        self.heads_in_turn.set(0);
        self.octets_in_turn.set(0);
    }

    /// Whether this turn has read its share.
    fn has_had_its_turn(&self) -> bool {
        self.heads_in_turn.get() >= HEADS_PER_TURN || self.octets_in_turn.get() >= OCTETS_PER_TURN
    }

    fn goes_out(&self, head: Head) {
        match head.kind {
            frames::HEADERS if head.stream > self.highest.get() => {
                self.highest.set(head.stream);
                self.gain(PER_REQUEST);
            }
            frames::DATA => self.gain(PER_DATA),
            _ => {}
        }
    }

    fn comes(&self, head: Head, now: impl FnOnce() -> Instant) -> io::Result<()> {
        if !self.settings.get() {
            let is_first =
                head.kind == frames::SETTINGS && head.stream == 0 && head.flags & frames::ACK == 0;
            if !is_first {
                self.foreign.set(true);
                return Err(refused("the endpoint does not speak HTTP/2"));
            }
            self.settings.set(true);
        }
        match head.kind {
            frames::DATA => {
                self.answers.set(self.answers.get() + 1);
                if head.length > 0 {
                    self.gain(PER_DATA);
                    return Ok(());
                }
                if head.flags & frames::END_STREAM == 0 {
                    self.empty.set(self.empty.get().saturating_add(1));
                }
            }
            frames::HEADERS => {
                self.answers.set(self.answers.get() + 1);
                self.heads_in_turn.set(self.heads_in_turn.get() + 1);
            }
            // Their number in a head, or in all, is bounded elsewhere.
            frames::CONTINUATION | frames::GOAWAY => return Ok(()),
            _ => {}
        }
        match self.spend(now) {
            true => Ok(()),
            false => Err(refused("the endpoint floods the connection with frames")),
        }
    }

    fn gain(&self, frames: u32) {
        self.allowance
            .set(self.allowance.get().saturating_add(frames).min(BURST));
    }

    fn spend(&self, now: impl FnOnce() -> Instant) -> bool {
        if self.allowance.get() == 0 {
            let now = now();
            let passed = now.duration_since(self.counted.get()).as_millis() / PERIOD.as_millis();
            self.gain(u32::try_from(passed).unwrap_or(BURST));
            self.counted.set(now);
        }
        let Some(left) = self.allowance.get().checked_sub(1) else {
            return false;
        };
        self.allowance.set(left);
        true
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The connection as `h2` reads and writes it.
#[derive(Debug)]
pub(super) struct Watched {
    io: UpstreamIo,
    seen: Rc<Seen>,
    inward: Scanner,
    outward: Scanner,
    /// Why the endpoint takes nothing more. What it has said before is read all the same: it may tell why.
    deaf: Option<io::Error>,
}

impl Watched {
    pub(super) fn new(io: UpstreamIo, seen: Rc<Seen>) -> Self {
        Self {
            io,
            seen,
            inward: Scanner::default(),
            outward: Scanner::behind_the_preface(),
            deaf: None,
        }
    }

    /// What is written to an endpoint that takes nothing more is lost, until all that it said has been read.
    fn written(
        &mut self,
        cx: &Context<'_>,
        written: io::Result<usize>,
        octets: usize,
    ) -> (usize, usize) {
        match written {
            Ok(octets) => (octets, octets),
            Err(error) => {
                self.deaf = Some(error);
                cx.waker().wake_by_ref();
                (octets, 0)
            }
        }
    }

    fn went_out(&mut self, octets: &[u8]) {
        let Ok(()) = self.outward.scan(octets, |head| {
            self.seen.goes_out(head);
            Ok::<_, std::convert::Infallible>(())
        });
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.seen.has_had_its_turn() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = match (
            Pin::new(&mut this.io).poll_read(cx, buffer),
            this.deaf.take(),
        ) {
            (Poll::Ready(read), deaf) => {
                this.deaf = deaf;
                read
            }
            (Poll::Pending, Some(error)) => Err(error),
            (Poll::Pending, None) => return Poll::Pending,
        };
        read.inspect_err(|error| this.seen.tls.set(connect::tls_fault(error)))?;
        let came = &buffer.filled()[before..];
        let octets = &this.seen.octets_in_turn;
        octets.set(octets.get() + came.len());
        this.inward
            .scan(came, |head| this.seen.comes(head, Instant::now))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf.is_some() {
            return Poll::Ready(Ok(octets.len()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, octets));
        let (taken, out) = self.written(cx, written, octets.len());
        self.went_out(&octets[..out]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let octets = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf.is_some() {
            return Poll::Ready(Ok(octets));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices));
        let (taken, mut rest) = self.written(cx, written, octets);
        for slice in slices {
            let here = rest.min(slice.len());
            self.went_out(&slice[..here]);
            rest -= here;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf.is_none()
            && let Err(error) = ready!(Pin::new(&mut self.io).poll_flush(cx))
        {
            self.deaf = Some(error);
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    const fn head(kind: u8, stream: u32, length: u32) -> Head {
        Head {
            length,
            kind,
            flags: 0,
            stream,
        }
    }

    fn greeted(now: Instant) -> Rc<Seen> {
        let seen = Seen::new(now);
        seen.comes(head(frames::SETTINGS, 0, 0), || now).unwrap();
        seen
    }

    #[test]
    fn what_begins_without_settings_is_no_http_2() {
        let now = Instant::now();
        // "HTTP/1.1 400": the fourth octet is a P.
        for kind in [b'P', frames::HEADERS, PING] {
            let seen = Seen::new(now);
            assert!(seen.comes(head(kind, 0, 8), || now).is_err());
            assert!(seen.is_foreign() && !seen.has_settings());
        }
        assert!(greeted(now).has_settings());
    }

    #[test]
    fn pings_without_end_are_refused_and_those_that_measure_a_flow_are_not() {
        let now = Instant::now();
        let (flood, measure) = (greeted(now), greeted(now));
        let mut refused = None;
        for round in 0..100_000_u32 {
            if flood.comes(head(PING, 0, 8), || now).is_err() {
                refused.get_or_insert(round);
            }
            measure.goes_out(head(frames::DATA, 1, 16_384));
            measure.comes(head(PING, 0, 8), || now).unwrap();
        }
        assert_eq!(refused, Some(BURST - 1));
    }

    #[test]
    fn a_connection_may_be_told_something_every_now_and_then_for_ever() {
        let mut now = Instant::now();
        let seen = greeted(now);
        for _ in 0..100_000 {
            now += Duration::from_millis(20);
            seen.comes(head(PING, 0, 8), || now).unwrap();
        }
    }

    #[test]
    fn interim_responses_without_end_are_refused_and_many_requests_are_not() {
        let now = Instant::now();
        let seen = greeted(now);
        for request in 0..100_000_u32 {
            seen.goes_out(head(frames::HEADERS, request * 2 + 1, 30));
            for _ in 0..5 {
                seen.comes(head(frames::HEADERS, request * 2 + 1, 10), || now)
                    .unwrap();
            }
        }
        let flood =
            (0..BURST + 1).find(|_| seen.comes(head(frames::HEADERS, 1, 10), || now).is_err());
        assert!(flood.is_some());
    }

    #[test]
    fn a_stream_is_sent_from_its_first_frame_on() {
        let seen = greeted(Instant::now());
        seen.goes_out(head(frames::HEADERS, 3, 10));
        assert!(seen.has_sent(1) && seen.has_sent(3) && !seen.has_sent(5));
    }
}
