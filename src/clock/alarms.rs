//! The alarms of all connections of a thread, behind one timer of the runtime.
//!
//! A timer for each connection would cost it an allocation, a lock and, where it is the earliest, a system call to tell the
//! event loop of its own thread. Here an alarm is a place in a table and an entry in a heap. One that is given back leaves
//! its entry behind, because most are given back long before they would ring; when such entries are the most, they are
//! thrown out together. Who has set an alarm looks whether it has rung, when it is polled next.
//!
//! Only a thread that has been given such a table has one; elsewhere each connection has a timer of its own.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::moment::Moment;

/// So many entries that mean nothing are left alone.
const FEW: usize = 64;

thread_local! {
    static ALARMS: RefCell<Option<Rc<Alarms>>> = const { RefCell::new(None) };
}

/// The alarms of a thread.
#[derive(Debug, Default)]
pub(super) struct Alarms(RefCell<Table>);

#[derive(Debug, Default)]
struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
    queue: BinaryHeap<Reverse<Entry>>,
    /// Entries that mean nothing any more.
    stale: usize,
    /// What the one timer is set for, as far as it is.
    set_for: Option<Moment>,
    /// Who has the timer.
    keeper: Option<Waker>,
}

/// One alarm.
#[derive(Debug)]
struct Place {
    /// Of its latest entry.
    number: u32,
    /// When it rings; none once it has.
    at: Option<Moment>,
    task: Option<Waker>,
}

/// When an alarm rings, as long as its number is the latest of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Moment,
    place: u32,
    number: u32,
}

/// An alarm in the table of its thread; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Shared {
    alarms: Rc<Alarms>,
    place: u32,
}

/// Takes the table from the thread again: who has nobody to keep the timer needs one of its own.
struct Given;

impl Drop for Given {
    fn drop(&mut self) {
        // The thread may be at its end, and the table with it.
        ALARMS.try_with(|alarms| alarms.replace(None)).ok();
    }
}

/// Gives this thread a table, and keeps its timer, until this is dropped.
pub(crate) async fn keep() {
    let alarms = Rc::new(Alarms::default());
    ALARMS.set(Some(Rc::clone(&alarms)));
    let _given = Given;
    let mut timer = Box::pin(sleep_until(Instant::now()));
    poll_fn(|cx| alarms.poll(timer.as_mut(), cx)).await;
}

impl Alarms {
    /// Rings what is due, and sees to it that this is polled again when the next is.
    fn poll(&self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let table = &mut *self.0.borrow_mut();
            table.ring(Moment::of(Instant::now()));
            table.set_for = table.queue.peek().map(|Reverse(next)| next.at);
            match &mut table.keeper {
                Some(keeper) => keeper.clone_from(cx.waker()),
                None => table.keeper = Some(cx.waker().clone()),
            }
            let Some(next) = table.set_for else {
                return Poll::Pending;
            };
            timer.as_mut().reset(next.instant());
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Table {
    fn ring(&mut self, now: Moment) {
        while let Some(Reverse(entry)) = self.queue.peek().copied() {
            let is_stale = !self.means(entry);
            if !is_stale && entry.at > now {
                return;
            }
            self.queue.pop();
            if is_stale {
                self.stale -= 1;
                continue;
            }
            let place = &mut self.places[entry.place as usize];
            place.at = None;
            if let Some(task) = &place.task {
                task.wake_by_ref();
            }
        }
    }

    fn means(&self, entry: Entry) -> bool {
        means(&self.places, entry)
    }

    /// Sets the alarm of a place, which has none or a later one. Where its time has come already it has rung, and whoever is
    /// asked for it next can tell.
    fn set(&mut self, index: u32, at: Moment) {
        let place = &mut self.places[index as usize];
        place.number = place.number.wrapping_add(1);
        let number = place.number;
        let is_over = at <= Moment::of(Instant::now());
        if is_over && let Some(task) = &place.task {
            task.wake_by_ref();
        }
        let before = std::mem::replace(&mut place.at, (!is_over).then_some(at));
        if before.is_some() {
            self.left_entry();
        }
        if is_over {
            return;
        }
        self.queue.push(Reverse(Entry {
            at,
            place: index,
            number,
        }));
        if self.set_for.is_none_or(|set_for| at < set_for) {
            self.set_for = Some(at);
            if let Some(keeper) = &self.keeper {
                keeper.wake_by_ref();
            }
        }
    }

    /// An entry has lost its meaning.
    fn left_entry(&mut self) {
        self.stale += 1;
        if self.stale > FEW && self.stale > self.queue.len() / 2 {
            let places = &self.places;
            self.queue.retain(|Reverse(entry)| means(places, *entry));
            self.stale = 0;
        }
    }
}

fn means(places: &[Place], entry: Entry) -> bool {
    let place = &places[entry.place as usize];
    place.number == entry.number && place.at.is_some()
}

impl Shared {
    /// An alarm of this thread, where it has a table.
    pub(super) fn at(at: Moment, task: &Waker) -> Option<Self> {
        let alarms = ALARMS.with_borrow(Clone::clone)?;
        let table = &mut *alarms.0.borrow_mut();
        let index = table.free.pop();
        let index = match index {
            Some(index) => index,
            None => {
                let index = u32::try_from(table.places.len()).ok()?;
                table.places.push(Place {
                    number: 0,
                    at: None,
                    task: None,
                });
                index
            }
        };
        table.places[index as usize].task = Some(task.clone());
        table.set(index, at);
        Some(Self {
            alarms: Rc::clone(&alarms),
            place: index,
        })
    }

    /// Whether it has rung.
    pub(super) fn has_rung(&self) -> bool {
        let table = self.alarms.0.borrow();
        table.places[self.place as usize].at.is_none()
    }

    /// Whom it wakes from now on.
    pub(super) fn wakes(&self, task: &Waker) {
        let known = &mut self.alarms.0.borrow_mut().places[self.place as usize].task;
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    /// Sets it anew, earlier or after it has rung.
    pub(super) fn set(&self, at: Moment) {
        self.alarms.0.borrow_mut().set(self.place, at);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let table = &mut *self.alarms.0.borrow_mut();
        let place = &mut table.places[self.place as usize];
        place.task = None;
        if place.at.take().is_some() {
            table.left_entry();
        }
        table.free.push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Clocks};

    /// Does something on a thread that has a table.
    async fn with_table<T>(work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = keep() => unreachable!("it is kept for good"),
            done = work => done,
        }
    }

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

    fn queued() -> usize {
        ALARMS.with_borrow(|alarms| {
            alarms
                .as_ref()
                .map_or(0, |table| table.0.borrow().queue.len())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn each_alarm_rings_at_its_time_in_whatever_order_they_were_set() {
        with_table(async {
            let start = Instant::now();
            let mut random = fastrand::Rng::with_seed(7);
            let mut waits = tokio::task::JoinSet::new();
            let local = tokio::task::LocalSet::new();
            for _ in 0..200 {
                let limit = Duration::from_millis(random.u64(1..5_000));
                waits.spawn_local_on(
                    async move {
                        let clocks = Clocks::default();
                        clocks.start(Clock::Response, start, Some(limit));
                        ring(&clocks, Clock::Response).await;
                        (limit, start.elapsed())
                    },
                    &local,
                );
            }
            local
                .run_until(async {
                    while let Some(rung) = waits.join_next().await {
                        let (limit, took) = rung.unwrap();
                        assert!(took >= limit, "{took:?} instead of {limit:?}");
                        assert!(
                            took <= limit + Duration::from_millis(1),
                            "{took:?}, {limit:?}"
                        );
                    }
                })
                .await;
            assert_eq!(queued(), 0);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_brings_an_alarm_forward_and_a_later_one_leaves_it() {
        with_table(async {
            let start = Instant::now();
            let clocks = Clocks::default();
            let mut cx = Context::from_waker(Waker::noop());
            clocks.start(Clock::Idle, start, Some(Duration::from_secs(75)));
            clocks.arm(&mut cx);
            clocks.start(Clock::Head, start, Some(Duration::from_secs(1)));
            clocks.arm(&mut cx);
            clocks.start(Clock::Head, start, Some(Duration::from_secs(3)));
            ring(&clocks, Clock::Head).await;
            assert_eq!(start.elapsed().as_secs(), 3);
            clocks.stop(Clock::Head);
            ring(&clocks, Clock::Idle).await;
            assert_eq!(start.elapsed().as_secs(), 75);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_is_set_again_before_anybody_has_looked_has_rung_still() {
        with_table(async {
            let clocks = Clocks::default();
            clocks.start(
                Clock::Watch,
                Instant::now(),
                Some(Duration::from_millis(10)),
            );
            let rung = poll_fn(|cx| {
                // As one who waits for several clocks does before he looks at each.
                clocks.arm(cx);
                match clocks.rang(Clock::Watch) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            tokio::time::timeout(Duration::from_secs(1), rung)
                .await
                .unwrap();
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_that_are_given_back_leave_nothing_behind_for_long() {
        with_table(async {
            let mut cx = Context::from_waker(Waker::noop());
            let far = Some(Duration::from_secs(3_600));
            let kept = Clocks::default();
            kept.start(Clock::Idle, Instant::now(), far);
            kept.arm(&mut cx);
            for _ in 0..10_000 {
                let clocks = Clocks::default();
                clocks.start(Clock::Idle, Instant::now(), far);
                clocks.arm(&mut cx);
            }
            assert!(queued() <= 2 * FEW + 1, "{}", queued());
            ring(&kept, Clock::Idle).await;
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_table_a_connection_has_a_timer_of_its_own() {
        let start = Instant::now();
        with_table(async {}).await;
        let clocks = Clocks::default();
        clocks.start(Clock::Total, start, Some(Duration::from_secs(2)));
        ring(&clocks, Clock::Total).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
