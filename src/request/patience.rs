//! How long a client waits for its call, where it says so: the deadline of gRPC, which bounds the route's own timeouts.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::grpc::{GRPC_TIMEOUT, parse_timeout, print_timeout};
use crate::response::local_reply::Dialect;

/// How long the client waits for all of its answer; `None` where it does not say, or in no way that can be read. What
/// cannot be read is forwarded as it came, for the endpoint to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience(Option<Duration>);

/// The end of a call's time, and how much of it the endpoint is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deadline {
    at: Instant,
    told: Duration,
}

impl Patience {
    /// What the head of a request says, as it is forwarded: a route that sets or removes `grpc-timeout` decides.
    pub(super) fn of(dialect: Dialect, headers: &HeaderMap) -> Self {
        match dialect {
            Dialect::Http => Self(None),
            Dialect::Grpc => Self(
                headers
                    .get(&GRPC_TIMEOUT)
                    .and_then(|value| parse_timeout(value.as_bytes())),
            ),
        }
    }

    /// The shorter of it and a limit.
    pub(super) fn within(self, limit: Option<Duration>) -> Option<Duration> {
        match (self.0, limit) {
            (Some(patience), Some(limit)) => Some(patience.min(limit)),
            (patience, limit) => patience.or(limit),
        }
    }

    /// When a call that begins now is over at the latest, where the client has said anything. One beyond the end of
    /// the clock never comes.
    pub(super) fn deadline(self, now: Instant, total: Option<Duration>) -> Option<Deadline> {
        let told = self.0?;
        let at = now.checked_add(total?)?;
        Some(Deadline { at, told })
    }
}

impl Deadline {
    /// Writes how much time is left into the head for the next try, where it says another.
    pub(super) fn tell(&mut self, now: Instant, headers: &mut HeaderMap) {
        let left = self.at.saturating_duration_since(now);
        if left == self.told {
            return;
        }
        self.told = left;
        if let Some(said) = headers.get_mut(&GRPC_TIMEOUT)
            && let Ok(value) = HeaderValue::try_from(print_timeout(left))
        {
            *said = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn saying(timeout: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(GRPC_TIMEOUT.clone(), HeaderValue::from_static(timeout))])
    }

    #[test]
    fn the_shorter_of_deadline_and_limit_counts() {
        let patience = Patience::of(Dialect::Grpc, &saying("5S"));
        assert_eq!(patience.within(Some(30 * SECOND)), Some(5 * SECOND));
        assert_eq!(patience.within(Some(SECOND)), Some(SECOND));
        assert_eq!(patience.within(None), Some(5 * SECOND));
    }

    #[test]
    fn what_is_no_call_or_no_timeout_changes_nothing() {
        for (dialect, headers) in [
            (Dialect::Http, saying("5S")),
            (Dialect::Grpc, saying("5 seconds")),
            (Dialect::Grpc, HeaderMap::new()),
        ] {
            let patience = Patience::of(dialect, &headers);
            assert_eq!(patience.within(None), None);
            assert_eq!(patience.within(Some(SECOND)), Some(SECOND));
            assert_eq!(patience.deadline(Instant::now(), Some(SECOND)), None);
        }
    }

    #[test]
    fn a_first_try_says_what_the_client_said_and_a_later_one_what_is_left() {
        let now = Instant::now();
        let mut headers = saying("5S");
        let patience = Patience::of(Dialect::Grpc, &headers);
        let mut deadline = patience.deadline(now, patience.within(None)).unwrap();
        deadline.tell(now, &mut headers);
        assert_eq!(headers[&GRPC_TIMEOUT], "5S");
        deadline.tell(now + 2 * SECOND, &mut headers);
        assert_eq!(headers[&GRPC_TIMEOUT], "3000000u");
        deadline.tell(now + 9 * SECOND, &mut headers);
        assert_eq!(headers[&GRPC_TIMEOUT], "1n");
    }

    #[test]
    fn a_route_with_less_time_tells_its_own() {
        let now = Instant::now();
        let mut headers = saying("1H");
        let patience = Patience::of(Dialect::Grpc, &headers);
        let total = patience.within(Some(10 * SECOND));
        patience
            .deadline(now, total)
            .unwrap()
            .tell(now, &mut headers);
        assert_eq!(headers[&GRPC_TIMEOUT], "10000000u");
    }
}
