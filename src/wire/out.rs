//! What is to be written to a client: heads and small pieces in one buffer, large pieces as they came, as many in one write
//! as have come.
//!
//! Transfer codings and lengths are written here anew for each answer, from what is known of its body; what the head said
//! of them on its way here does not count.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use hyper::ext::ReasonPhrase;

use tokio::io::AsyncWrite;

use crate::header::list::{members, members_of};
use crate::header::own::Own;

/// A piece up to this size is copied behind the head, which is cheaper than a second slice for the kernel.
const COPIED: usize = 4 << 10;

/// From so many octets on, what waits is written before more is asked for. A body that comes in small frames goes out in
/// larger writes, each of which may cost the client a wake-up.
const ENOUGH: usize = 128 << 10;

/// Slices of one write: enough for frames of 8 KiB, each with the head of its chunk. What is more goes in a second write.
const SLICES: usize = 32;

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Out {
    buffer: Vec<u8>,
    /// Octets of the buffer that are out.
    written: usize,
    pieces: VecDeque<Piece>,
    /// Octets of all pieces.
    large: usize,
}

/// A piece that was not copied, and where in the buffer it belongs.
#[derive(Debug)]
struct Piece {
    at: usize,
    octets: Bytes,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Went {
    /// Octets that were taken off what waits.
    pub(crate) octets: usize,
    /// The socket took something, so the client still reads.
    pub(crate) moved: bool,
}

/// How the end of an answer's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body, whatever the head says of one.
    None,
    /// After so many octets.
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What the head of an answer depends on besides itself.
#[derive(Debug)]
pub(crate) struct Asking<'a, D> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    /// The connection goes on behind this answer, as far as the client and the proxy are concerned.
    pub(crate) persists: bool,
    /// The length of the body, where it is known.
    pub(crate) length: Option<u64>,
    /// The date, for an answer without one (RFC 9110 §6.6.1).
    pub(crate) date: D,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.buffer.len() && self.pieces.is_empty()
    }

    /// Whether so much waits that it should be written first.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() - self.written + self.large >= ENOUGH
    }

    /// The head of an answer; tells how its body ends and whether the connection goes on.
    pub(crate) fn push_head<D: Fn() -> HeaderValue>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        reason: Option<&ReasonPhrase>,
        asking: &Asking<'_, D>,
    ) -> (Framing, bool) {
        let framing = framing(status, headers, asking);
        let out = &mut self.buffer;
        out.reserve(512);
        push_status(out, status, reason);
        let (mut closes, mut has_date, mut has_length) = (false, false, false);
        for (name, value) in headers {
            has_date |= *name == DATE;
            closes |= *name == CONNECTION && says_close(value);
            if *name == TRANSFER_ENCODING {
                continue;
            }
            if *name == CONTENT_LENGTH && matches!(framing, Framing::Length(_) | Framing::Chunked) {
                continue;
            }
            has_length |= *name == CONTENT_LENGTH;
            push_field(out, name, value.as_bytes());
        }
        if !has_date {
            push_field(out, &DATE, (asking.date)().as_bytes());
        }
        let persists = asking.persists && !closes && framing != Framing::Close;
        match framing {
            Framing::Length(octets) => {
                let mut digits = itoa::Buffer::new();
                push_field(out, &CONTENT_LENGTH, digits.format(octets).as_bytes());
            }
            Framing::Chunked => push_field(out, &TRANSFER_ENCODING, b"chunked"),
            Framing::None | Framing::Close => {
                // RFC 9110 §9.3.2: what a GET would be told of its length.
                if let (Some(octets @ 1..), false) = (asking.length, has_length)
                    && *asking.method == Method::HEAD
                {
                    let mut digits = itoa::Buffer::new();
                    push_field(out, &CONTENT_LENGTH, digits.format(octets).as_bytes());
                }
            }
        }
        if !persists && !closes && status != StatusCode::SWITCHING_PROTOCOLS {
            push_field(out, &CONNECTION, b"close");
        } else if persists && asking.version == Version::HTTP_10 {
            push_field(out, &CONNECTION, b"keep-alive");
        }
        out.extend_from_slice(b"\r\n");
        (framing, persists)
    }

    /// The head of a request as it is.
    pub(crate) fn push_request(
        &mut self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
        own: &Own,
    ) {
        let out = &mut self.buffer;
        out.reserve(512);
        out.extend_from_slice(method.as_str().as_bytes());
        out.extend_from_slice(b" ");
        let target = target
            .path_and_query()
            .map_or("/", |target| target.as_str());
        // An absolute target may go without a path (RFC 9112 §3.2.1).
        if target.starts_with('?') {
            out.extend_from_slice(b"/");
        }
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in headers.iter().chain(own.fields()) {
            push_field(out, name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The head of an interim response, which is all of it (RFC 9110 §15.2).
    pub(super) fn push_interim_head(&mut self, status: StatusCode, headers: &HeaderMap) {
        push_status(&mut self.buffer, status, None);
        for (name, value) in headers {
            push_field(&mut self.buffer, name, value.as_bytes());
        }
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// An interim response, whole.
    pub(super) fn push_interim(&mut self, head: &[u8]) {
        self.buffer.extend_from_slice(head);
    }

    /// A piece of a body; of a body with a length, what is left of that is told after it.
    pub(crate) fn push_data(&mut self, framing: &mut Framing, mut data: Bytes) {
        match framing {
            Framing::None => return,
            Framing::Length(left) => {
                // More than was announced would be taken for the next answer.
                let octets = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
                data.truncate(octets);
                *left -= octets as u64;
            }
            Framing::Chunked if data.is_empty() => return,
            Framing::Chunked => {
                write!(self.buffer, "{:x}\r\n", data.len()).expect("the buffer grows");
            }
            Framing::Close => {}
        }
        if data.len() <= COPIED {
            self.buffer.extend_from_slice(&data);
            if *framing == Framing::Chunked {
                self.buffer.extend_from_slice(b"\r\n");
            }
        } else {
            self.large += data.len();
            self.pieces.push_back(Piece {
                at: self.buffer.len(),
                octets: data,
            });
            if *framing == Framing::Chunked {
                // Goes out behind the piece.
                self.buffer.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The end of a body, with these trailers where they may be told: chunked, announced, asked for.
    pub(crate) fn push_end(
        &mut self,
        framing: Framing,
        trailers: Option<&HeaderMap>,
        announced: &Announced,
    ) {
        if framing != Framing::Chunked {
            return;
        }
        self.buffer.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            if announced.has(name) {
                push_field(&mut self.buffer, name, value.as_bytes());
            }
        }
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// Writes until all is out or the socket takes no more; tells how much went.
    pub(crate) fn write_to(
        &mut self,
        mut socket: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let mut total = 0;
        while !self.is_empty() {
            let polled = match self.only_slice() {
                Some(octets) => socket.as_mut().poll_write(cx, octets),
                None => self.write_slices(socket.as_mut(), cx),
            };
            match polled {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(octets)) => {
                    self.advance(octets);
                    total += octets;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(total)
    }

    /// One write of what lies in several places. Apart, because most answers lie in one.
    #[inline(never)]
    fn write_slices(
        &self,
        socket: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.slices(&mut slices);
        socket.poll_write_vectored(cx, &slices[..count])
    }

    /// What is to be written, where it lies in one place.
    fn only_slice(&self) -> Option<&[u8]> {
        match self.pieces.front() {
            None => Some(&self.buffer[self.written..]),
            Some(piece) if self.pieces.len() == 1 && self.written == self.buffer.len() => {
                Some(&piece.octets)
            }
            Some(_) => None,
        }
    }

    /// What is to be written next, in order; tells in how many slices.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut from, mut count) = (self.written, 0);
        let mut push = |octets: &'a [u8]| {
            if let (false, Some(slot)) = (octets.is_empty(), slices.get_mut(count)) {
                *slot = IoSlice::new(octets);
                count += 1;
            }
        };
        for piece in &self.pieces {
            push(&self.buffer[from..piece.at]);
            push(&piece.octets);
            from = piece.at;
        }
        push(&self.buffer[from..]);
        count
    }

    /// So many octets of that have been written.
    fn advance(&mut self, octets: usize) {
        let mut left = octets;
        while let Some(piece) = self.pieces.front_mut() {
            let here = left.min(piece.at - self.written);
            self.written += here;
            left -= here;
            let here = left.min(piece.octets.len());
            self.large -= here;
            piece.octets.advance(here);
            left -= here;
            if !piece.octets.is_empty() {
                break;
            }
            self.pieces.pop_front();
        }
        self.written += left;
        if self.is_empty() {
            self.written = 0;
            self.buffer.clear();
        } else if self.written >= ENOUGH {
            // What is out of a body that never pauses must not pile up.
            self.buffer.drain(..self.written);
            for piece in &mut self.pieces {
                piece.at -= self.written;
            }
            self.written = 0;
        }
    }
}

/// The trailers that an answer has announced to a client that wants them.
#[derive(Debug, Default)]
pub(crate) struct Announced(Vec<HeaderName>);

impl Announced {
    pub(crate) fn of(answer: &HeaderMap, asked: AcceptsTrailers) -> Self {
        if asked == AcceptsTrailers::No || !answer.contains_key(TRAILER) {
            return Self::default();
        }
        let names = members(answer, TRAILER).filter_map(|name| HeaderName::from_bytes(name).ok());
        // RFC 9110 §6.5.1: nothing that frames or routes may stand there.
        let allowed = |name: &HeaderName| {
            ![
                &CONTENT_LENGTH,
                &TRANSFER_ENCODING,
                &TRAILER,
                &TE,
                &CONNECTION,
            ]
            .contains(&name)
        };
        Self(names.filter(allowed).collect())
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.0.contains(name)
    }
}

/// Whether a client has said `TE: trailers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptsTrailers {
    Yes,
    No,
}

fn framing<D>(status: StatusCode, headers: &HeaderMap, asking: &Asking<'_, D>) -> Framing {
    let silent = *asking.method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if silent {
        return Framing::None;
    }
    let announced = || {
        let said = headers.get(CONTENT_LENGTH)?;
        std::str::from_utf8(said.as_bytes()).ok()?.parse().ok()
    };
    match (asking.length.or_else(announced), asking.version) {
        (Some(octets), _) => Framing::Length(octets),
        (None, Version::HTTP_10) => Framing::Close,
        (None, _) => Framing::Chunked,
    }
}

fn says_close(line: &HeaderValue) -> bool {
    members_of(line).any(|option| option.eq_ignore_ascii_case(b"close"))
}

fn push_status(out: &mut Vec<u8>, status: StatusCode, reason: Option<&ReasonPhrase>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    match reason {
        Some(reason) => out.extend_from_slice(reason.as_bytes()),
        None => {
            let usual = status.canonical_reason().unwrap_or_default();
            out.extend_from_slice(usual.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn push_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// Takes so many octets of each write, in turn; nothing where that is zero.
    struct Socket {
        takes: Vec<usize>,
        writes: usize,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(octets)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let takes = self.takes[self.writes % self.takes.len()];
            self.writes += 1;
            if takes == 0 {
                return Poll::Pending;
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = &all[..takes.min(all.len())];
            self.taken.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn pieces_of(lengths: &[usize]) -> Vec<Bytes> {
        let octet = |at| u8::try_from(at % 251).expect("below 251");
        let mut from = 0;
        let piece = |length: &usize| {
            from += 7;
            (from..from + length).map(octet).collect()
        };
        lengths.iter().map(piece).collect()
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_however_much_the_socket_takes(
            lengths in prop::collection::vec(prop_oneof![1..40_usize, COPIED - 1..COPIED + 2, 1..40_000_usize], 1..40),
            takes in prop::collection::vec(prop_oneof![Just(0), 1..60_usize, 1..200_000_usize], 1..8),
            chunked in any::<bool>(),
        ) {
            let mut socket = Socket { takes, writes: 0, taken: Vec::new() };
            // It takes something in the end.
            socket.takes.push(1_000_000);
            let (mut out, mut meant) = (Out::default(), b"head".to_vec());
            let mut cx = Context::from_waker(Waker::noop());
            out.push_interim(b"head");
            let mut framing = match chunked {
                true => Framing::Chunked,
                false => Framing::Length(lengths.iter().sum::<usize>() as u64),
            };
            for piece in pieces_of(&lengths) {
                if chunked {
                    meant.extend(format!("{:x}\r\n", piece.len()).bytes());
                }
                meant.extend(&piece);
                if chunked {
                    meant.extend(b"\r\n");
                }
                out.push_data(&mut framing, piece);
                while out.is_full() {
                    out.write_to(Pin::new(&mut socket), &mut cx).unwrap();
                }
            }
            while !out.is_empty() {
                out.write_to(Pin::new(&mut socket), &mut cx).unwrap();
            }
            prop_assert!(socket.taken == meant, "{} octets of {}", socket.taken.len(), meant.len());
        }
    }

    #[test]
    fn a_body_in_small_frames_goes_out_in_large_writes() {
        let mut out = Out::default();
        let mut socket = Socket {
            takes: vec![usize::MAX],
            writes: 0,
            taken: Vec::new(),
        };
        let mut framing = Framing::Chunked;
        for piece in pieces_of(&[ENOUGH / 8; 8]) {
            assert!(!out.is_full());
            out.push_data(&mut framing, piece);
        }
        assert!(out.is_full());
        let mut cx = Context::from_waker(Waker::noop());
        out.write_to(Pin::new(&mut socket), &mut cx).unwrap();
        assert_eq!(socket.writes, 1);
    }

    #[test]
    fn what_is_out_of_a_body_that_never_pauses_does_not_pile_up() {
        let mut out = Out::default();
        let mut socket = Socket {
            // Takes most of it each time, never all.
            takes: vec![ENOUGH - 1_000, 0],
            writes: 0,
            taken: Vec::new(),
        };
        let mut cx = Context::from_waker(Waker::noop());
        for length in [COPIED, 3 * COPIED].repeat(400) {
            out.push_data(&mut Framing::Chunked, Bytes::from(vec![0; length]));
            if out.is_full() {
                out.write_to(Pin::new(&mut socket), &mut cx).unwrap();
                assert!(!out.is_empty());
            }
            assert!(out.buffer.len() < 3 * ENOUGH, "{}", out.buffer.len());
        }
        assert!(socket.taken.len() > 20 * ENOUGH);
    }
}
