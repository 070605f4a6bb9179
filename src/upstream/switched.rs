//! A connection to an endpoint that speaks another protocol now, or a stream that does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::http2::Tunnel;
use crate::upstream::line::Line;
use crate::wire::Resets;

/// The endpoint's side of a tunnel. It keeps its place in the worker's table, by which a dead endpoint's connections are cut.
#[derive(Debug)]
pub(crate) enum Switched {
    /// A whole connection of HTTP/1.
    Line(Bare),
    /// A stream of a connection of HTTP/2.
    Stream(Box<Tunnel>),
}

/// A connection, with what the endpoint said right behind its head first.
#[derive(Debug)]
pub(crate) struct Bare {
    line: Box<Line>,
    ahead: Bytes,
}

impl Bare {
    pub(super) fn new(line: Box<Line>, ahead: Bytes) -> Self {
        Self { line, ahead }
    }
}

impl Switched {
    /// Tells when the endpoint resets its side, where reading and writing would not.
    pub(crate) fn resets(&self) -> Option<Resets> {
        match self {
            Self::Line(_) => None,
            Self::Stream(stream) => Some(stream.duplex.resets()),
        }
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Line(Bare { line, ahead }) if ahead.is_empty() => {
                line.socket().poll_read(cx, buffer)
            }
            Self::Line(Bare { ahead, .. }) => {
                let count = ahead.len().min(buffer.remaining());
                buffer.put_slice(&ahead[..count]);
                ahead.advance(count);
                Poll::Ready(Ok(()))
            }
            Self::Stream(stream) => Pin::new(&mut stream.duplex).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Line(bare) => bare.line.socket().poll_write(cx, octets),
            Self::Stream(stream) => Pin::new(&mut stream.duplex).poll_write(cx, octets),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Line(bare) => bare.line.socket().poll_flush(cx),
            Self::Stream(stream) => Pin::new(&mut stream.duplex).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Line(bare) => bare.line.socket().poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(&mut stream.duplex).poll_shutdown(cx),
        }
    }
}
