//! An endpoint's end of a connection: it sends any frames it likes and shows those that came.
//!
//! That the other side has left is an error to hand on, or an end: which it is depends on the test.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::frame::{ACK, END_HEADERS, Frame, HEADERS, PREFACE, SETTINGS, block};
use crate::support::wait::DEADLINE;

/// The end.
#[derive(Debug)]
pub(crate) struct Frames(pub(crate) TcpStream);

impl Frames {
    /// Over this socket.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }

    /// Writes these octets as they are.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets)
    }

    /// Sends a frame.
    pub(crate) fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: impl AsRef<[u8]>,
    ) -> io::Result<()> {
        self.write(&Frame::octets(kind, flags, stream, payload.as_ref()))
    }

    /// Sends a whole head.
    pub(crate) fn head(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        flags: u8,
    ) -> io::Result<()> {
        self.send(HEADERS, END_HEADERS | flags, stream, block(fields))
    }

    /// The next frame; `None` at the end of the connection, however it ends.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        Frame::read(&mut self.0).ok().flatten()
    }

    /// The next frame of this kind, whatever comes before it.
    pub(crate) fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Takes a client's preface and its settings, and greets it with these settings.
    pub(crate) fn greet(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.0.read_exact(&mut preface)?;
        assert_eq!(preface, PREFACE);
        self.write(&Frame::settings(settings))?;
        self.send(SETTINGS, ACK, 0, [])
    }
}
