//! Which protocol an endpoint is spoken to in, as its pool has it.

use crate::config::model::{Pool, UpstreamProtocol};

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// A connection for each request in flight.
    Http1,
    /// Many requests over each connection.
    Http2,
    /// What the endpoint chooses.
    Either,
}

impl Speaks {
    /// What a pool's endpoints are spoken to in.
    pub(super) fn by(spec: &Pool) -> Self {
        match (spec.protocol, &spec.tls) {
            // Without TLS nothing tells which of both an endpoint speaks.
            (UpstreamProtocol::Http1, _) | (UpstreamProtocol::Auto, None) => Self::Http1,
            (UpstreamProtocol::Http2, _) => Self::Http2,
            (UpstreamProtocol::Auto, Some(_)) => Self::Either,
        }
    }
}
