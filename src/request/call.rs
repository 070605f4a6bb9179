//! Whether a request is a call of gRPC, and how that ended.

use http::{HeaderMap, StatusCode};

use crate::error::Kind;
use crate::grpc::{self, Code};
use crate::response::local_reply::{self, Dialect};

/// Whether a request is a call, and how that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It is none.
    None,
    /// Nobody has said how it ended.
    Open,
    /// It has ended so.
    Ended(Code),
}

impl Call {
    /// What a request is before its answer.
    pub(super) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Http => Self::None,
            Dialect::Grpc => Self::Open,
        }
    }

    /// These fields of the answer, in its head or behind its body, may say how it ended.
    pub(super) fn read(&mut self, fields: &HeaderMap) {
        if *self != Self::None
            && let Some(code) = grpc::status(fields)
        {
            *self = Self::Ended(code);
        }
    }

    /// A failure has ended it, whatever the endpoint had said.
    pub(super) fn fail(&mut self, kind: Kind) {
        if *self != Self::None {
            *self = Self::Ended(local_reply::reply_to(kind).code);
        }
    }

    /// How it ended; where nobody has said so, what its client takes the status of its answer for.
    pub(super) fn code(self, status: u16) -> Option<Code> {
        match self {
            Self::None => None,
            Self::Open => Some(StatusCode::from_u16(status).map_or(Code::Unknown, Code::of_http)),
            Self::Ended(code) => Some(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::grpc::GRPC_STATUS;

    fn ending(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(GRPC_STATUS.clone(), HeaderValue::from_static(status))])
    }

    #[test]
    fn the_trailers_have_the_last_word_and_a_failure_behind_them_the_very_last() {
        let mut call = Call::of(Dialect::Grpc);
        assert_eq!(call.code(200), Some(Code::Unknown));
        assert_eq!(call.code(503), Some(Code::Unavailable));
        call.read(&ending("0"));
        call.read(&HeaderMap::new());
        assert_eq!(call.code(200), Some(Code::Ok));
        call.read(&ending("5"));
        assert_eq!(call.code(200), Some(Code::NotFound));
        call.fail(Kind::ClientGone);
        assert_eq!(call.code(499), Some(Code::Cancelled));
    }

    #[test]
    fn what_is_no_call_has_no_status_whatever_its_fields_say() {
        let mut call = Call::of(Dialect::Http);
        call.read(&ending("0"));
        call.fail(Kind::Reset);
        assert_eq!(call.code(502), None);
    }
}
