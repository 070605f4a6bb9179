//! When a name is asked for again.
//!
//! After an answer: when its TTL is over, within the floor and the ceiling of the configuration. After a failure: after
//! 1 s, 2 s, 4 s and so on up to 30 s, whether there was an answer before or not. To each wait up to a tenth is added by
//! chance, so that many proxies that were started together do not ask together for ever; added and not taken away,
//! because a resolver asked a moment before a TTL ends says what it said before.

use std::time::Duration;

use crate::config::model::Resolver;

/// The wait after the first failure in a row.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often a name in the hosts file is looked up again. A look costs no packet, and the file is read only when it
/// has changed.
const HOSTS_LOOK: Duration = Duration::from_secs(5);

/// The failures in a row of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Course {
    failures: u32,
}

impl Course {
    /// How long an answer with this TTL is left alone; `None` is for one that did not come from DNS.
    pub(crate) fn after_answer(&mut self, ttl: Option<Duration>, settings: &Resolver) -> Duration {
        self.failures = 0;
        let ceiling = settings.max_ttl.max(settings.min_ttl);
        match ttl {
            Some(ttl) => ttl.clamp(settings.min_ttl, ceiling),
            None => HOSTS_LOOK.min(ceiling),
        }
    }

    /// How long to wait after a failure.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let doublings = self.failures.min(5);
        self.failures = self.failures.saturating_add(1);
        (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
    }
}

/// A wait with up to a tenth more; `chance` is 0 to 1.
pub(crate) fn spread(wait: Duration, chance: f64) -> Duration {
    wait + (wait / 10).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn settings(min_ttl: u64, max_ttl: u64) -> Resolver {
        Resolver {
            min_ttl: seconds(min_ttl),
            max_ttl: seconds(max_ttl),
            ..Resolver::default()
        }
    }

    #[test]
    fn an_answer_is_left_alone_for_its_ttl_within_floor_and_ceiling() {
        let settings = settings(2, 60);
        let mut course = Course::default();
        for (ttl, wait) in [(0, 2), (1, 2), (2, 2), (30, 30), (60, 60), (86_400, 60)] {
            let after = course.after_answer(Some(seconds(ttl)), &settings);
            assert_eq!(after, seconds(wait), "{ttl}");
        }
        assert_eq!(course.after_answer(None, &settings), seconds(5));
    }

    #[test]
    fn failures_are_waited_for_twice_as_long_each_time_up_to_a_bound_until_an_answer() {
        let mut course = Course::default();
        let waits: Vec<u64> = (0..8).map(|_| course.after_failure().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);

        course.after_answer(Some(seconds(9)), &settings(1, 60));
        assert_eq!(course.after_failure(), seconds(1));
    }

    #[test]
    fn failures_without_end_are_counted_without_harm() {
        let mut course = Course { failures: u32::MAX };
        assert_eq!(course.after_failure(), LONGEST_WAIT);
        assert_eq!(course.after_failure(), LONGEST_WAIT);
    }

    proptest! {
        #[test]
        fn chance_adds_at_most_a_tenth(millis in 0_u64..86_400_000, chance in -1.0..2.0_f64) {
            let wait = Duration::from_millis(millis);
            let spread = spread(wait, chance);
            prop_assert!(spread >= wait && spread <= wait + wait / 10 + Duration::from_nanos(1));
        }
    }
}
