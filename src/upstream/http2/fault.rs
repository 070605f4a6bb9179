//! What an error of `h2` says of a try: whether the endpoint has processed the request, and whether it broke the rules.

use h2::Reason;

use crate::error::{Kind, Progress};
use crate::upstream::carrier::Verdict;

/// How far a stream had come when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    /// Something of an answer has come.
    pub(super) answered: bool,
    /// Its head has gone out, or begun to.
    pub(super) sent: bool,
    /// The connection had served before.
    pub(super) reused: bool,
    /// It was made because one ended under the request.
    pub(super) renewed: bool,
}

/// What it means that a stream failed before its answer's head.
pub(super) fn verdict(error: &h2::Error, stand: Stand) -> Verdict {
    // After a GOAWAY from the endpoint this error goes to streams above its last one only, and to requests that were
    // not opened at all (RFC 9113 §6.8); a refused stream was not processed either (§8.7).
    let left = error.is_go_away() && error.is_remote();
    let refused =
        error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
    let faulty = error.is_library();
    if (left || refused) && !stand.answered {
        return Verdict {
            kind: Kind::RefusedStream,
            progress: Progress::NothingSent,
            // A connection that ends in order, as one does that is old, says nothing against its endpoint.
            stale: left && !stand.renewed && error.reason() == Some(Reason::NO_ERROR),
        };
    }
    let progress = match stand {
        Stand { answered: true, .. } => Progress::Answered,
        // The fault was in what came for this very stream.
        _ if faulty && error.is_reset() => Progress::Answered,
        Stand { sent: true, .. } => Progress::MaybeSeen,
        Stand { sent: false, .. } => Progress::NothingSent,
    };
    let kind = match progress {
        Progress::Answered if faulty => Kind::MalformedResponse,
        _ => Kind::Reset,
    };
    let stale = error.is_io() && stand.reused && !stand.answered;
    Verdict {
        kind,
        progress,
        stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Stand = Stand {
        answered: false,
        sent: true,
        reused: false,
        renewed: false,
    };

    // Errors with a direction can be had from a connection only; `tests/it/upstream_h2` has them.

    fn lost() -> h2::Error {
        h2::Error::from(Reason::INTERNAL_ERROR)
    }

    #[test]
    fn an_error_without_more_is_a_reset() {
        let verdict = verdict(&lost(), FRESH);
        assert_eq!(verdict.kind, Kind::Reset);
        assert_eq!(verdict.progress, Progress::MaybeSeen);
        assert!(!verdict.stale);
    }

    #[test]
    fn what_did_not_go_out_can_go_elsewhere() {
        let stand = Stand {
            sent: false,
            ..FRESH
        };
        assert_eq!(verdict(&lost(), stand).progress, Progress::NothingSent);
    }
}
