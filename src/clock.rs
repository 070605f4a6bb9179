//! The clocks of one client connection, behind a single lazy timer.
//!
//! Every stage of a request sets and clears deadlines; doing so is a store. One timer a connection is armed for the
//! earliest deadline and left alone while deadlines only move later, so that a keep-alive request costs no timer
//! operation. On a worker's thread that timer is a place among those of all its connections (`alarms.rs`). Who set a
//! clock looks whether it rang when it is next polled; nothing is called back. The time itself is read once in a
//! [`turn`] of a connection's task, however many ask for it.

mod alarms;
mod moment;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use alarms::Shared;
pub(crate) use alarms::keep;
use moment::Moment;

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Clock {
    /// The next request of a connection that has none (`idleTimeout`).
    Idle,
    /// The end of a request's head (`headerTimeout`).
    Head,
    /// The next octet of a request's body (`bodyIdleTimeout`).
    Body,
    /// Room in the client's receive window while something is to be written (`timeouts.idle`).
    Write,
    /// The head of the response (`timeouts.response`).
    Response,
    /// The head of the response to one try (`timeouts.tryTimeout`).
    Try,
    /// The next octet of the response's body (`timeouts.idle`).
    Moving,
    /// The end of the response's body (`timeouts.total`).
    Total,
    /// The end of the wait for a pool's first verdict.
    Verdict,
    /// The next octet of a body that nobody wants.
    Unwanted,
    /// The moment from which an idle connection is kept as a bare socket.
    Rest,
    /// The age at which a connection with many requests at once is asked to end (`maxConnectionAge`).
    Age,
    /// The moment from which a connection just accepted is watched while it waits for its answer.
    Watch,
}

const CLOCKS: usize = Clock::Watch as usize + 1;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
}

#[derive(Clone, Copy)]
enum Turn {
    /// Nobody's.
    None,
    /// Nobody has asked for the time in it yet.
    Unread,
    Read(Instant),
}

/// Does what a task does when it is polled: as far as [`now`] can tell, no time passes meanwhile.
pub fn turn<T>(poll: impl FnOnce() -> T) -> T {
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            TURN.set(Turn::None);
        }
    }
    let _ends = Ends;
    TURN.set(Turn::Unread);
    poll()
}

/// The time, in a [`turn`] the one at which it was first asked for.
#[must_use]
pub fn now() -> Instant {
    match TURN.get() {
        Turn::Read(now) => now,
        Turn::Unread => {
            let now = Instant::now();
            TURN.set(Turn::Read(now));
            now
        }
        Turn::None => Instant::now(),
    }
}

/// The clocks of one connection; they stay with its task.
#[derive(Debug, Default)]
pub struct Clocks {
    /// Never, where it is not running.
    deadlines: [Cell<Moment>; CLOCKS],
    /// No clock has an earlier deadline.
    bound: Cell<Moment>,
    alarm: RefCell<Option<Alarm>>,
}

/// What wakes the task at the earliest deadline, or before it.
#[derive(Debug)]
struct Alarm {
    at: Moment,
    means: Means,
}

#[derive(Debug)]
enum Means {
    /// One of the thread's alarms.
    Shared(Shared),
    /// A timer of its own.
    Own(Box<Own>),
}

#[derive(Debug)]
struct Own {
    sleep: Pin<Box<Sleep>>,
    waker: Waker,
}

impl Clocks {
    /// Starts a clock; `None` as the limit stops it.
    pub fn start(&self, clock: Clock, now: Instant, limit: Option<Duration>) {
        let deadline = limit.map_or(Moment::NEVER, |limit| Moment::after(now, limit));
        self.deadlines[clock as usize].set(deadline);
        if deadline < self.bound.get() {
            self.bound.set(deadline);
        }
    }

    /// Stops a clock.
    pub fn stop(&self, clock: Clock) {
        self.deadlines[clock as usize].set(Moment::NEVER);
    }

    /// Stops all of them. The timer is left to ring for nobody.
    pub fn stop_all(&self) {
        for deadline in &self.deadlines {
            deadline.set(Moment::NEVER);
        }
    }

    /// Whether a clock is running.
    #[must_use]
    pub fn runs(&self, clock: Clock) -> bool {
        self.deadlines[clock as usize].get() != Moment::NEVER
    }

    /// Whether a clock is running and its deadline has come. It asks for the time only when the timer has fired, so
    /// that looking at a clock costs next to nothing.
    #[must_use]
    #[inline]
    pub fn rang(&self, clock: Clock) -> bool {
        let deadline = self.deadlines[clock as usize].get();
        deadline != Moment::NEVER && self.has_come(deadline)
    }

    fn has_come(&self, deadline: Moment) -> bool {
        let fired = self.alarm.borrow().as_ref().is_some_and(Alarm::has_fired);
        fired && deadline <= Moment::of(Instant::now())
    }

    /// Sees to it that the task is woken at the earliest deadline. Called where a poll ends pending.
    pub fn arm(&self, cx: &mut Context<'_>) {
        let mut alarm = self.alarm.borrow_mut();
        if let Some(alarm) = &mut *alarm
            && alarm.at <= self.bound.get()
            && !alarm.has_fired()
        {
            // While deadlines only move later, it rings too early, and never too late.
            return alarm.wakes(cx);
        }
        let deadlines = self.deadlines.iter().map(Cell::get);
        let earliest = deadlines.fold(Moment::NEVER, Moment::min);
        self.bound.set(earliest);
        if earliest == Moment::NEVER {
            return;
        }
        match &mut *alarm {
            Some(alarm) => {
                if alarm.has_fired() || alarm.at > earliest {
                    alarm.set(earliest);
                }
                alarm.wakes(cx);
            }
            None => *alarm = Some(Alarm::at(earliest, cx)),
        }
    }
}

impl Alarm {
    fn at(at: Moment, cx: &mut Context<'_>) -> Self {
        if let Some(shared) = Shared::at(at, cx.waker()) {
            let means = Means::Shared(shared);
            return Self { at, means };
        }
        let own = Own {
            sleep: Box::pin(sleep_until(at.instant())),
            waker: Waker::noop().clone(),
        };
        let means = Means::Own(Box::new(own));
        let mut alarm = Self { at, means };
        alarm.wakes(cx);
        alarm
    }

    fn has_fired(&self) -> bool {
        match &self.means {
            Means::Shared(shared) => shared.has_rung(),
            Means::Own(own) => own.sleep.is_elapsed(),
        }
    }

    fn set(&mut self, at: Moment) {
        self.at = at;
        match &mut self.means {
            Means::Shared(shared) => shared.set(at),
            Means::Own(own) => {
                own.sleep.as_mut().reset(at.instant());
                own.waker = Waker::noop().clone();
            }
        }
    }

    /// Has it wake this task from now on.
    fn wakes(&mut self, cx: &mut Context<'_>) {
        match &mut self.means {
            Means::Shared(shared) => shared.wakes(cx.waker()),
            Means::Own(own) if own.waker.will_wake(cx.waker()) => {}
            Means::Own(own) => {
                own.waker.clone_from(cx.waker());
                if own.sleep.as_mut().poll(cx).is_ready() {
                    // The deadline has come already: whoever set the clock finds out at the next poll.
                    cx.waker().wake_by_ref();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    async fn ring(clocks: &Clocks, clock: Clock) {
        poll_fn(|cx| {
            if clocks.rang(clock) {
                return Poll::Ready(());
            }
            clocks.arm(cx);
            Poll::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_rings_at_its_deadline_and_not_before() {
        let clocks = Clocks::default();
        let start = Instant::now();
        clocks.start(Clock::Response, start, Some(Duration::from_secs(30)));
        ring(&clocks, Clock::Response).await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_later_is_kept_although_the_timer_was_armed_for_the_earlier() {
        let clocks = Clocks::default();
        let start = Instant::now();
        clocks.start(Clock::Idle, start, Some(Duration::from_secs(5)));
        clocks.arm(&mut Context::from_waker(Waker::noop()));
        clocks.start(Clock::Idle, start, Some(Duration::from_secs(9)));
        ring(&clocks, Clock::Idle).await;
        assert_eq!(start.elapsed().as_secs(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_brings_the_timer_forward() {
        let clocks = Clocks::default();
        let start = Instant::now();
        clocks.start(Clock::Idle, start, Some(Duration::from_secs(75)));
        clocks.arm(&mut Context::from_waker(Waker::noop()));
        clocks.start(Clock::Head, start, Some(Duration::from_secs(1)));
        ring(&clocks, Clock::Head).await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[test]
    fn a_connection_keeps_few_octets_for_all_its_clocks() {
        assert!(size_of::<Clocks>() <= 144, "{}", size_of::<Clocks>());
    }

    #[test]
    fn a_limit_of_none_never_rings() {
        let clocks = Clocks::default();
        clocks.start(Clock::Total, Instant::now(), None);
        assert!(!clocks.runs(Clock::Total) && !clocks.rang(Clock::Total));
    }
}
