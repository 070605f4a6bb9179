//! A connection to an endpoint that speaks another protocol now.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::line::Line;

/// The connection. It keeps its place in the worker's table, by which a dead endpoint's connections are cut.
#[derive(Debug)]
pub(crate) struct Switched {
    line: Box<Line>,
    ahead: Bytes,
}

impl Switched {
    pub(super) fn new(line: Box<Line>, ahead: Bytes) -> Self {
        Self { line, ahead }
    }

    /// What the endpoint said right behind its head.
    pub(crate) fn take_ahead(&mut self) -> Bytes {
        std::mem::take(&mut self.ahead)
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.socket().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.socket().poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.socket().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.socket().poll_shutdown(cx)
    }
}
