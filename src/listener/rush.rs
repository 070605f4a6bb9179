//! Whether connections come so thick that the kernel should keep each until its first octets are here.
//!
//! Accepted at once, a connection mostly comes some microseconds before its request. In a rush that costs each of them a
//! wake-up of its own, two calls to have it watched and not, and a look in vain; one that is kept until it has brought
//! something is served in one go (a tenth of the whole cost of a request on a connection of its own). A client that says
//! nothing is handed out a second later then, which is why it is done in a rush only. It opens no sockets and reads no clock.

use std::time::Duration;

use tokio::time::Instant;

/// So many connections, each in less than a millisecond, are a rush.
const MANY: u32 = 256;
const SOON: Duration = Duration::from_millis(256);

/// How often it is looked whether one is over, and how many connections are too few for it.
pub(super) const LOOK: Duration = Duration::from_secs(1);
const FEW: u32 = 500;

/// The connections of a socket, as they come.
#[derive(Debug)]
pub(super) struct Rush {
    since: Instant,
    came: u32,
    is_on: bool,
}

impl Rush {
    pub(super) fn none(now: Instant) -> Self {
        Self {
            since: now,
            came: 0,
            is_on: false,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// So many have come; whether a rush has begun with them. The time is asked for where it matters.
    pub(super) fn begins(&mut self, came: u32, now: impl FnOnce() -> Instant) -> bool {
        self.came = self.came.saturating_add(came);
        if self.is_on || self.came < MANY {
            return false;
        }
        let now = now();
        self.is_on = now.duration_since(self.since) < SOON;
        self.restart(now);
        self.is_on
    }

    /// Whether a rush is over, to be asked [`LOOK`] after it has begun and again after each.
    pub(super) fn ends(&mut self, now: Instant) -> bool {
        let is_over = self.is_on && self.came < FEW;
        self.is_on &= !is_over;
        self.restart(now);
        is_over
    }

    fn restart(&mut self, now: Instant) {
        self.since = now;
        self.came = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections that come so far apart, so many of them; when the first rush has begun.
    fn comes(rush: &mut Rush, start: Instant, apart: Duration, connections: u32) -> Option<u32> {
        (1..=connections).find(|number| rush.begins(1, || start + apart * *number))
    }

    #[test]
    fn a_rush_is_connections_that_come_by_the_thousand() {
        let start = Instant::now();
        let mut rush = Rush::none(start);
        let begun = comes(&mut rush, start, Duration::from_micros(900), 1_000);
        assert_eq!(begun, Some(MANY));
        assert!(rush.is_on());
    }

    #[test]
    fn fewer_are_none_however_long_they_come() {
        let start = Instant::now();
        let mut rush = Rush::none(start);
        let begun = comes(&mut rush, start, Duration::from_micros(1_100), 100_000);
        assert_eq!(begun, None);
    }

    #[test]
    fn a_crowd_after_a_long_rest_is_a_rush_by_its_second_few_hundred() {
        let start = Instant::now();
        let mut rush = Rush::none(start);
        let later = start + Duration::from_secs(3_600);
        assert!(!rush.begins(MANY, || later));
        assert!(rush.begins(MANY, || later));
    }

    #[test]
    fn a_rush_goes_on_while_enough_come_in_each_second_and_ends_when_they_do_not() {
        let start = Instant::now();
        let mut rush = Rush::none(start);
        assert!(rush.begins(MANY, || start));
        for second in 1..10 {
            assert!(!rush.begins(FEW, || unreachable!("it has begun")));
            assert!(!rush.ends(start + LOOK * second));
        }
        assert!(!rush.begins(FEW - 1, || unreachable!("it has begun")));
        assert!(rush.ends(start + LOOK * 10));
        assert!(!rush.is_on());
        assert!(!rush.ends(start + LOOK * 11));
    }
}
