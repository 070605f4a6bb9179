//! An HTTP/2 client of raw frames: it sends what it is told, allowed or not, and shows what comes back.
//!
//! Of an answer's fields only the status is read.

use std::collections::VecDeque;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpStream};

use super::frame::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, NO_ERROR, PREFACE, RST_STREAM,
    SETTINGS, is_end,
};
use crate::support::wait::DEADLINE;

/// How an exchange on a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer with this status and body, whole.
    Answer(u16, Vec<u8>),
    /// A RST_STREAM with this code.
    Reset(u32),
    /// A GOAWAY with this code.
    Away(u32),
    /// The end of the connection.
    End,
}

/// A connection, bare or over TLS.
pub(crate) struct Raw {
    stream: BufReader<Box<dyn Octets + Send>>,
    /// Frames of streams that nobody has asked for yet.
    aside: VecDeque<Frame>,
}

pub(crate) trait Octets: io::Read + io::Write {}

impl<T: io::Read + io::Write> Octets for T {}

impl Raw {
    /// Connects and says nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self::over(stream)
    }

    /// Over this stream, and says nothing.
    pub(crate) fn over(stream: impl Octets + Send + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
            aside: VecDeque::new(),
        }
    }

    /// Connects, with these settings.
    pub(crate) fn with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::silent(address);
        raw.greet(settings);
        raw
    }

    /// Sends the preface with these settings.
    pub(crate) fn greet(&mut self, settings: &[(u16, u32)]) {
        self.write(&[PREFACE, &Frame::settings(settings)].concat());
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[])
    }

    /// Sends octets; false where the other side has ended the connection.
    pub(crate) fn try_write(&mut self, octets: &[u8]) -> bool {
        match self.stream.get_mut().write_all(octets) {
            Ok(()) => self.stream.get_mut().flush().is_ok(),
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("could not write: {error}"),
        }
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        assert!(self.try_write(octets), "the connection has ended");
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&Frame::octets(kind, flags, stream, payload));
    }

    /// Asks with this block, and no body.
    pub(crate) fn request(&mut self, stream: u32, block: &[u8]) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, block);
    }

    /// Begins a request whose body is to come.
    pub(crate) fn begin(&mut self, stream: u32, block: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, block);
    }

    /// The next frame; none at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        Frame::read(&mut self.stream).unwrap_or_else(|error| panic!("no frame: {error}"))
    }

    /// The next frame that is one of these.
    pub(crate) fn frame_of(&mut self, is_it: impl Fn(&Frame) -> bool) -> Option<Frame> {
        // Bounded by the deadline of each read.
        loop {
            let frame = self.frame()?;
            if is_it(&frame) {
                return Some(frame);
            }
        }
    }

    /// What becomes of this stream. Settings are acknowledged on the way.
    pub(crate) fn outcome(&mut self, stream: u32) -> Came {
        let mut status = 0;
        let mut body = Vec::new();
        let mut aside = std::mem::take(&mut self.aside);
        loop {
            let frame = match aside.iter().position(|frame| frame.stream == stream) {
                Some(place) => aside.remove(place),
                None => self.frame(),
            };
            let Some(frame) = frame else {
                return Came::End;
            };
            if frame.stream != 0 && frame.stream != stream {
                aside.push_back(frame);
                continue;
            }
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    self.try_write(&Frame::octets(SETTINGS, ACK, 0, &[]));
                }
                GOAWAY if frame.code() != NO_ERROR => return Came::Away(frame.code()),
                RST_STREAM => {
                    self.aside = aside;
                    return Came::Reset(frame.code());
                }
                HEADERS if status < 200 => {
                    status = self::status(&frame.payload);
                }
                DATA => body.extend(&frame.payload),
                _ => {}
            }
            if frame.ends_stream() {
                self.aside = aside;
                return Came::Answer(status, body);
            }
        }
    }

    /// The code of the GOAWAY behind which the connection ends; none where it ends without.
    pub(crate) fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

/// The status at the front of a block (RFC 7541, Appendix A; digits by Appendix B).
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size stand before it.
    let block = match block {
        [size, rest @ ..] if size & 0xe0 == 0x20 => rest,
        block => block,
    };
    match block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [_, length, rest @ ..] if length & 0x80 != 0 => {
            let octets = &rest[..usize::from(length & 0x7f)];
            let mut bits = octets
                .iter()
                .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
            let mut digit = || {
                let mut take =
                    |count: usize| (0..count).fold(0, |code, _| code << 1 | bits.next().unwrap());
                match take(5) {
                    code @ 0..=2 => u16::from(code),
                    code => u16::from(code << 1 | take(1)) - 0x19 + 3,
                }
            };
            (0..3).fold(0, |number, _| number * 10 + digit())
        }
        [_, 3, a, b, c, ..] => [a, b, c]
            .iter()
            .fold(0, |number, digit| number * 10 + u16::from(**digit - b'0')),
        block => panic!("no status in {block:?}"),
    }
}
