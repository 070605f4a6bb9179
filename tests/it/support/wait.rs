//! Waiting for what must happen: by being told where the test has the other end, by asking where it has not.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// After this long something is taken not to happen at all. A net, never a measure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A value that threads change and tests wait on.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// A value that nobody waits for yet.
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Condvar::new(),
        }
    }

    /// Reads the value as it is.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    /// Changes the value and wakes all that wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ask` has an answer.
    ///
    /// # Panics
    /// When it has none after [`DEADLINE`]; `what` says what was waited for.
    pub(crate) fn wait_for<R>(&self, what: &str, ask: impl FnMut(&mut T) -> Option<R>) -> R {
        self.wait_within(DEADLINE, ask)
            .unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
    }

    /// Waits until `ask` has an answer, or `limit` has passed.
    pub(crate) fn wait_within<R>(
        &self,
        limit: Duration,
        mut ask: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut answer = None;
        let (guard, _) = self
            .changed
            .wait_timeout_while(self.lock(), limit, |value| {
                answer = ask(value);
                answer.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        drop(guard);
        answer
    }

    /// Waits until `ask` has an answer, however long that takes: for threads that a test ends by an answer.
    pub(crate) fn wait<R>(&self, mut ask: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut guard = self.lock();
        loop {
            if let Some(answer) = ask(&mut guard) {
                return answer;
            }
            guard = self
                .changed
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A panic of a test that held the value must not hide behind a second one.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks again and again until there is an answer: for facts that can only be asked for, as those of `/status`.
///
/// # Panics
/// When there is none after [`DEADLINE`]; `what` says what was waited for.
pub(crate) fn eventually<R>(what: &str, mut ask: impl FnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Waits until a count stands still. One that only pauses is taken for one that stands, which makes the test see less
/// and never fail.
pub(crate) fn standing(count: impl Fn() -> u64) -> u64 {
    let (mut last, mut rounds) = (count(), 0);
    while rounds < 20 {
        thread::park_timeout(Duration::from_millis(10));
        let now = count();
        rounds = if now == last && now > 0 {
            rounds + 1
        } else {
            0
        };
        last = now;
    }
    last
}
