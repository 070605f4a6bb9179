//! What came of one probe: what it counts as, and what came back, in a few words.

use std::borrow::Cow;

use crate::probe::counts::ProbeResult;

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What it counts as.
    pub(crate) result: ProbeResult,
    /// What came back: `HTTP 200`, `connection refused`.
    pub(crate) detail: Cow<'static, str>,
}

impl Answer {
    /// What was hoped for.
    pub(crate) fn success(detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            result: ProbeResult::Success,
            detail: detail.into(),
        }
    }

    /// Something else.
    pub(crate) fn failure(detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            result: ProbeResult::Failure,
            detail: detail.into(),
        }
    }

    /// Nothing that says anything about the endpoint.
    pub(crate) fn unknown(detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            result: ProbeResult::Unknown,
            detail: detail.into(),
        }
    }
}
