//! Why a request failed: what happened, whose doing it was, and what of it may be sent again.
//!
//! Imports nothing of the crate. Which status a failure becomes is decided in one place,
//! `response/local_reply.rs`; whether it is tried again in another, `policy/retry.rs`.

use std::error::Error as StdError;
use std::fmt;

/// A failure on the request's way.
pub struct Error {
    kind: Kind,
    progress: Progress,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong, in one word of a closed vocabulary.
///
/// Adding a kind means deciding its status, its `Proxy-Status` token and its reason in `response/local_reply.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The client's message breaks the grammar of RFC 9112, or its framing is ambiguous.
    MalformedRequest,
    /// `Host` is missing, doubled or no authority (RFC 9112 §3.2).
    BadHost,
    /// A transfer coding other than exactly one `chunked` (RFC 9112 §6.1).
    UnknownTransferCoding,
    /// The head of the request did not arrive in `headerTimeout`.
    HeadersTooSlow,
    /// The head of the request is larger than `maxHeaderBytes`, or has more fields than `maxHeaders`.
    HeadersTooLarge,
    /// The request target is longer than `maxUriBytes`.
    TargetTooLong,
    /// The body of the request is larger than `maxBodyBytes`.
    BodyTooLarge,
    /// No octet of the request's body arrived for `bodyIdleTimeout`.
    BodyTooSlow,
    /// The client closed its connection before it was answered.
    ClientGone,
    /// A request in the clear where TLS is spoken.
    Plaintext,
    /// An HTTP version other than 1.0 and 1.1.
    VersionUnknown,
    /// A method that a proxy must not pass on: CONNECT, or TRACE.
    MethodRefused,
    /// The authority is served here under another certificate or client-auth policy than the connection's.
    Misdirected,
    /// No route matches.
    NoRoute,
    /// The pools of the route have no endpoint that may take the request.
    NoReadyEndpoint,
    /// A panic was caught while the request was served.
    Panicked,
    /// A layer around the proxy gave an error instead of an answer.
    LayerFailed,
    /// The proxy ended before the request did.
    ShuttingDown,
    /// The head of the response did not arrive within `timeouts.response`.
    ResponseTimeout,
    /// One try did not see the head of the response within `timeouts.tryTimeout`.
    TryTimeout,
    /// The endpoint refused the connection.
    ConnectRefused,
    /// The connection could not be made for another reason.
    ConnectFailed,
    /// The connection was not made within `connect.timeout`.
    ConnectTimeout,
    /// The endpoint does not speak HTTP/2, as its pool says.
    NotHttp2,
    /// A WebSocket was asked for, and the endpoint offers none over HTTP/2, or has not read the handshake that it answers.
    UpgradeFailed,
    /// The endpoint refused the request before it did anything with it: `REFUSED_STREAM`, or a connection that it was ending.
    RefusedStream,
    /// The endpoint's certificate is not one to believe.
    TlsCertificate,
    /// The endpoint speaks no TLS, or not as it should.
    TlsProtocol,
    /// The endpoint refused the TLS session and said why.
    TlsAlert,
    /// The endpoint closed or reset the connection before any octet of a response.
    Reset,
    /// The endpoint's answer breaks the grammar of RFC 9112, or was not asked for.
    MalformedResponse,
    /// The endpoint was declared dead while it held the request.
    EndpointDead,
    /// The endpoint broke off in the middle of the response's body.
    ResponseCut,
    /// The response's body did not move for `timeouts.idle`, or was not over by `timeouts.total`.
    ResponseTooSlow,
}

/// Whose doing a failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// The proxy's own, or its configuration's.
    Proxy,
    /// The endpoint's.
    Endpoint,
}

/// How far a try had come when it failed, which decides whether it may be repeated (RFC 9110 §9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// No octet of the request can have reached the endpoint.
    NothingSent,
    /// Some of the request may have been seen, no octet of a response has come.
    MaybeSeen,
    /// The response had begun: it can only be ended, never repeated.
    Answered,
}

impl Error {
    /// A failure without a deeper cause.
    #[must_use]
    pub fn new(kind: Kind, progress: Progress) -> Self {
        Self {
            kind,
            progress,
            source: None,
        }
    }

    /// A failure with what caused it, for the log only.
    pub fn because(
        kind: Kind,
        progress: Progress,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            progress,
            source: Some(source.into()),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How far the try had come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whose doing it was.
    #[must_use]
    pub fn side(&self) -> Side {
        self.kind.side()
    }
}

impl Kind {
    /// Whose doing a failure of this kind is.
    #[must_use]
    pub fn side(self) -> Side {
        match self {
            Self::MalformedRequest
            | Self::BadHost
            | Self::UnknownTransferCoding
            | Self::HeadersTooSlow
            | Self::HeadersTooLarge
            | Self::TargetTooLong
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::ClientGone
            | Self::Plaintext
            | Self::VersionUnknown
            | Self::MethodRefused
            | Self::Misdirected => Side::Client,
            Self::NoRoute
            | Self::NoReadyEndpoint
            | Self::Panicked
            | Self::LayerFailed
            | Self::ShuttingDown => Side::Proxy,
            Self::ResponseTimeout
            | Self::TryTimeout
            | Self::ConnectRefused
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::NotHttp2
            | Self::UpgradeFailed
            | Self::RefusedStream
            | Self::TlsCertificate
            | Self::TlsProtocol
            | Self::TlsAlert
            | Self::Reset
            | Self::MalformedResponse
            | Self::EndpointDead
            | Self::ResponseCut
            | Self::ResponseTooSlow => Side::Endpoint,
        }
    }

    /// The reason as logs and metrics name it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::BadHost => "bad_host",
            Self::UnknownTransferCoding => "unknown_transfer_coding",
            Self::HeadersTooSlow => "headers_too_slow",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::ClientGone => "client_gone",
            Self::Plaintext => "plaintext",
            Self::VersionUnknown => "version_unknown",
            Self::MethodRefused => "method_refused",
            Self::Misdirected => "misdirected",
            Self::NoRoute => "no_route",
            Self::NoReadyEndpoint => "no_ready_endpoint",
            Self::Panicked => "panicked",
            Self::LayerFailed => "layer_failed",
            Self::ShuttingDown => "shutting_down",
            Self::ResponseTimeout => "response_timeout",
            Self::TryTimeout => "try_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::NotHttp2 => "not_http2",
            Self::UpgradeFailed => "upgrade_failed",
            Self::RefusedStream => "refused_stream",
            Self::TlsCertificate => "tls_certificate",
            Self::TlsProtocol => "tls_protocol",
            Self::TlsAlert => "tls_alert",
            Self::Reset => "reset",
            Self::MalformedResponse => "malformed_response",
            Self::EndpointDead => "endpoint_dead",
            Self::ResponseCut => "response_cut",
            Self::ResponseTooSlow => "response_too_slow",
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("progress", &self.progress)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.reason())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
