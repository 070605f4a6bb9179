//! When something that goes on is worth a line in the log: at its beginning, at its change, at its end. Pure.
//!
//! What comes and goes quickly by the same cause, such as a disk on which others make room and use it, is told of once
//! in a while only.

use std::time::{Duration, Instant};

/// From one telling of a cause to the next at least this long.
const PERIOD: Duration = Duration::from_secs(10);

/// A trouble that comes from a cause and costs lines.
#[derive(Debug)]
pub(super) struct Trouble<C> {
    cause: Option<C>,
    /// The present cause has been told.
    is_told: bool,
    /// What was told last, and when.
    last: Option<(C, Instant)>,
    lost: u64,
}

impl<C: Copy + PartialEq> Trouble<C> {
    pub(super) fn none() -> Self {
        Self {
            cause: None,
            is_told: false,
            last: None,
            lost: 0,
        }
    }

    /// It is there, and has cost so many lines more. Whether to tell of it.
    #[must_use]
    pub(super) fn is_news(&mut self, cause: C, lost: u64, now: Instant) -> bool {
        self.lost += lost;
        if self.cause != Some(cause) {
            self.cause = Some(cause);
            self.is_told = false;
        }
        let is_due = self.last.is_none_or(|(told, then)| {
            told != cause || now.saturating_duration_since(then) >= PERIOD
        });
        if self.is_told || !is_due {
            return false;
        }
        self.is_told = true;
        self.last = Some((cause, now));
        true
    }

    /// It is over. How many lines it has cost, where its beginning was told.
    #[must_use]
    pub(super) fn over(&mut self) -> Option<u64> {
        self.cause = None;
        if !std::mem::take(&mut self.is_told) {
            return None;
        }
        Some(std::mem::take(&mut self.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_when_it_changes_and_when_it_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut trouble = Trouble::none();
        assert_eq!(trouble.over(), None);
        assert!(trouble.is_news("full", 3, at(0)));
        assert!(!trouble.is_news("full", 2, at(100)));
        assert!(trouble.is_news("broken", 1, at(101)));
        assert_eq!(trouble.over(), Some(6));
        assert_eq!(trouble.over(), None);
    }

    #[test]
    fn what_comes_and_goes_is_told_once_in_a_while_and_loses_no_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut trouble = Trouble::none();
        assert!(trouble.is_news("full", 1, at(0)));
        assert_eq!(trouble.over(), Some(1));
        assert!(!trouble.is_news("full", 1, at(1)));
        assert_eq!(trouble.over(), None);
        assert!(!trouble.is_news("full", 1, at(2)));
        assert!(trouble.is_news("broken", 1, at(3)), "that is another");
        assert_eq!(trouble.over(), Some(3));
        assert!(!trouble.is_news("broken", 1, at(4)));
        assert!(trouble.is_news("broken", 1, at(13)));
    }
}
