//! What an endpoint says about how long it keeps an idle connection (`Keep-Alive: timeout=5, max=100`).
//!
//! The field is old practice (RFC 2068 §19.7.1.1) and no standard, but servers mean it: a connection used later than
//! that is being closed under the request.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;

use crate::header::list::{digits, members};

/// The field's name.
pub static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// For how long the endpoint keeps the connection once idle; `None` where it does not say so in whole seconds. To be
/// asked before hop-by-hop fields are removed.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    members(headers, &KEEP_ALIVE).find_map(|member| {
        let equals = member.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&member[..equals], &member[equals + 1..]);
        if !name.trim_ascii().eq_ignore_ascii_case(b"timeout") {
            return None;
        }
        digits(value.trim_ascii()).map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::tests::fields;

    fn of(value: &str) -> Option<Duration> {
        timeout(&fields(&[("keep-alive", value)]))
    }

    #[test]
    fn a_timeout_in_whole_seconds_is_understood() {
        assert_eq!(of("timeout=5"), Some(Duration::from_secs(5)));
        assert_eq!(of("max=100, Timeout = 5"), Some(Duration::from_secs(5)));
        assert_eq!(of("timeout=0"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_says_nothing() {
        for value in [
            "",
            "timeout",
            "timeout=",
            "timeout=+5",
            "timeout=5s",
            "max=5",
        ] {
            assert_eq!(of(value), None, "{value}");
        }
        assert_eq!(of("timeout=99999999999999999999"), None);
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
