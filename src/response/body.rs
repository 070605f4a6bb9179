//! The body of any answer, whoever gives it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{Empty, Full};

use crate::error::Error;
use crate::response::relay::Relay;

/// Where the octets of a response's body come from.
#[derive(Debug)]
pub(crate) enum Body {
    /// From nowhere.
    Empty(Empty<Bytes>),
    /// From the proxy itself.
    Full(Full<Bytes>),
    /// From an endpoint.
    Relay(Relay),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Empty(Empty::new())
    }

    pub(crate) fn full(octets: Bytes) -> Self {
        Self::Full(Full::new(octets))
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Empty(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Relay(relay) => relay.poll_frame(cx),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty(_) => true,
            Self::Full(body) => body.is_end_stream(),
            Self::Relay(relay) => relay.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty(body) => body.size_hint(),
            Self::Full(body) => body.size_hint(),
            Self::Relay(relay) => relay.size_hint(),
        }
    }
}
