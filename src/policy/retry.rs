//! Whether a try that failed is repeated, and how. Decided here and nowhere else.
//!
//! A request is sent again when that is safe: nothing of it was sent, or its method is idempotent and nothing of a
//! response came (RFC 9110 §9.2.2), or the endpoint says that it did nothing with it (RFC 9113 §8.7). A connection that
//! had served before and died under a request is replaced by a new one without counting as a try: its end says nothing
//! about the endpoint.

use http::Method;

use crate::config::model::Retry;
use crate::error::{Kind, Progress};

/// What is known when a try has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub kind: Kind,
    /// How far it had come.
    pub progress: Progress,
    /// The connection had served before and ended before any octet of a response.
    pub stale: bool,
    /// Tries made after the first.
    pub repeated: u32,
    /// Whether the method may be repeated although it was perhaps carried out.
    pub idempotent: bool,
    /// Whether the request can still be sent whole: its body has not been read from the client.
    pub whole: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it to the same endpoint over a new connection.
    Reconnect,
    /// Try another endpoint.
    Elsewhere,
    /// Answer with the failure.
    GiveUp,
}

/// Decides.
#[must_use]
pub fn decide(rules: &Retry, failed: &Failed) -> Decision {
    let safe = failed.whole
        && match failed.progress {
            Progress::NothingSent => true,
            Progress::MaybeSeen => failed.idempotent,
            Progress::Answered => false,
        };
    if !safe {
        return Decision::GiveUp;
    }
    let allowed = match failed.kind {
        Kind::ConnectRefused
        | Kind::ConnectFailed
        | Kind::ConnectTimeout
        | Kind::NotHttp2
        | Kind::UpgradeFailed => rules.on_connect_failure,
        // A session may be refused when the request is on its way already.
        Kind::TlsCertificate | Kind::TlsProtocol | Kind::TlsAlert => match failed.progress {
            Progress::NothingSent => rules.on_connect_failure,
            Progress::MaybeSeen | Progress::Answered => rules.on_reset,
        },
        Kind::Reset | Kind::RefusedStream if failed.stale => return Decision::Reconnect,
        Kind::RefusedStream => rules.on_refused_stream,
        // No octet of a response came in the time of one try: that is what `reset` stands for.
        Kind::Reset | Kind::EndpointDead | Kind::TryTimeout => rules.on_reset,
        Kind::MalformedRequest
        | Kind::Plaintext
        | Kind::BadHost
        | Kind::UnknownTransferCoding
        | Kind::HeadersTooSlow
        | Kind::HeadersTooLarge
        | Kind::TargetTooLong
        | Kind::BodyTooLarge
        | Kind::BodyTooSlow
        | Kind::ClientGone
        | Kind::VersionUnknown
        | Kind::MethodRefused
        | Kind::Misdirected
        | Kind::NoRoute
        | Kind::NoReadyEndpoint
        | Kind::Panicked
        | Kind::LayerFailed
        | Kind::ShuttingDown
        | Kind::ResponseTimeout
        | Kind::MalformedResponse
        | Kind::ResponseCut
        | Kind::ResponseTooSlow => false,
    };
    if allowed && failed.repeated < rules.attempts {
        Decision::Elsewhere
    } else {
        Decision::GiveUp
    }
}

/// Whether a method may be repeated without changing what one request does (RFC 9110 §9.2.2).
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ]
    .contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Failed = Failed {
        kind: Kind::Reset,
        progress: Progress::MaybeSeen,
        stale: false,
        repeated: 0,
        idempotent: true,
        whole: true,
    };

    #[test]
    fn the_table_of_decisions() {
        let refused = Failed {
            kind: Kind::ConnectRefused,
            progress: Progress::NothingSent,
            idempotent: false,
            ..SENT
        };
        let post = Failed {
            idempotent: false,
            ..SENT
        };
        for (failed, decision, case) in [
            (
                refused,
                Decision::Elsewhere,
                "a POST that was not sent goes elsewhere",
            ),
            (
                Failed {
                    repeated: 2,
                    ..refused
                },
                Decision::GiveUp,
                "tries are used up",
            ),
            (
                Failed {
                    whole: false,
                    ..refused
                },
                Decision::GiveUp,
                "its body has been read",
            ),
            (
                SENT,
                Decision::Elsewhere,
                "a GET that was cut goes elsewhere",
            ),
            (
                post,
                Decision::GiveUp,
                "a POST that may have been seen is not repeated",
            ),
            (
                Failed {
                    stale: true,
                    ..post
                },
                Decision::GiveUp,
                "nor on a reused connection",
            ),
            (
                Failed {
                    stale: true,
                    progress: Progress::NothingSent,
                    ..post
                },
                Decision::Reconnect,
                "but where nothing was sent it is",
            ),
            (
                Failed {
                    stale: true,
                    repeated: 2,
                    ..SENT
                },
                Decision::Reconnect,
                "a reconnect is free",
            ),
            (
                Failed {
                    progress: Progress::Answered,
                    ..SENT
                },
                Decision::GiveUp,
                "an answer had begun",
            ),
            (
                Failed {
                    kind: Kind::RefusedStream,
                    progress: Progress::NothingSent,
                    ..post
                },
                Decision::Elsewhere,
                "a POST that the endpoint refused unprocessed goes elsewhere",
            ),
            (
                Failed {
                    kind: Kind::RefusedStream,
                    progress: Progress::NothingSent,
                    whole: false,
                    ..SENT
                },
                Decision::GiveUp,
                "but not where its body has begun",
            ),
            (
                Failed {
                    kind: Kind::RefusedStream,
                    progress: Progress::NothingSent,
                    stale: true,
                    repeated: 2,
                    ..post
                },
                Decision::Reconnect,
                "an old connection that ends in order is replaced",
            ),
            (
                Failed {
                    kind: Kind::NotHttp2,
                    progress: Progress::NothingSent,
                    ..post
                },
                Decision::Elsewhere,
                "an endpoint that cannot be spoken to is like one that cannot be reached",
            ),
            (
                Failed {
                    kind: Kind::EndpointDead,
                    ..SENT
                },
                Decision::Elsewhere,
                "its endpoint died",
            ),
            (
                Failed {
                    kind: Kind::TryTimeout,
                    ..SENT
                },
                Decision::Elsewhere,
                "one try took too long",
            ),
            (
                Failed {
                    kind: Kind::ResponseTimeout,
                    ..SENT
                },
                Decision::GiveUp,
                "no time is left",
            ),
        ] {
            assert_eq!(decide(&Retry::default(), &failed), decision, "{case}");
        }
    }

    #[test]
    fn a_cause_that_the_route_leaves_out_is_not_repeated() {
        let rules = Retry {
            on_reset: false,
            on_refused_stream: false,
            ..Retry::default()
        };
        assert_eq!(decide(&rules, &SENT), Decision::GiveUp);
        let refused = Failed {
            kind: Kind::RefusedStream,
            progress: Progress::NothingSent,
            ..SENT
        };
        assert_eq!(decide(&rules, &refused), Decision::GiveUp);
    }

    #[test]
    fn posts_and_patches_are_not_idempotent() {
        assert!(is_idempotent(&Method::PUT));
        assert!(!is_idempotent(&Method::POST));
        assert!(!is_idempotent(&Method::PATCH));
        assert!(!is_idempotent(&Method::from_bytes(b"PURGE").unwrap()));
    }
}
