//! The streams of a connection as futures within its task: each in a seat, which serves one after the other.
//!
//! A seat is made where more streams are open than ever before and kept for the next, so that a stream costs neither an
//! allocation nor the move of its future. Only seats that were woken are polled, so many in a turn; a panic of one stays
//! with it. Not here: what a stream is.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

use crate::connection::http2::bell::{Bell, Knock, Row};

/// The seats of a connection.
pub(super) struct Seats<T, F> {
    seats: Vec<Seat<T, F>>,
    /// Where nobody sits.
    free: Vec<usize>,
    /// Who is to be polled, in order.
    due: VecDeque<usize>,
    bell: Arc<Bell>,
    row: Arc<Row>,
}

struct Seat<T, F> {
    place: Rc<Place<T>>,
    /// What serves; none before it is needed, and behind a panic.
    server: Option<Pin<Box<F>>>,
    knock: Arc<Knock>,
    waker: Waker,
}

/// Where a seat's future finds what it is to serve next.
pub(super) struct Place<T> {
    given: Cell<Option<T>>,
    is_taken: Cell<bool>,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Served,
    Panicked,
}

impl<T> Place<T> {
    /// Ready when there is one to serve.
    pub(super) fn poll_given(&self) -> Poll<()> {
        match self.is_taken.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// The next one to serve; taken from here rather than handed through a future, which would copy it twice more.
    pub(super) fn take(&self) -> Option<T> {
        self.given.take()
    }

    /// It has been served.
    pub(super) fn leave(&self) {
        self.is_taken.set(false);
    }
}

impl<T, F: Future<Output = Infallible>> Seats<T, F> {
    pub(super) fn new(bell: &Arc<Bell>) -> Self {
        Self {
            seats: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            bell: Arc::clone(bell),
            row: Row::of(bell),
        }
    }

    /// A free seat, which is the caller's until it is released.
    pub(super) fn vacant(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            let index = self.seats.len();
            let knock = Knock::at(&self.row, index);
            let waker = Waker::from(Arc::clone(&knock));
            self.seats.push(Seat {
                place: Rc::new(Place {
                    given: Cell::new(None),
                    is_taken: Cell::new(false),
                }),
                server: None,
                knock,
                waker,
            });
            index
        })
    }

    /// Gives something to serve to a seat, by the future that is made where it has none.
    pub(super) fn give(&mut self, seat: usize, given: T, server: impl FnOnce(Rc<Place<T>>) -> F) {
        let Some(found) = self.seats.get_mut(seat) else {
            return;
        };
        found.place.given.set(Some(given));
        found.place.is_taken.set(true);
        let place = &found.place;
        found
            .server
            .get_or_insert_with(|| Box::pin(server(Rc::clone(place))));
        if found.knock.claim() {
            self.due.push_back(seat);
        }
    }

    /// Polls those who were woken, at most so many in all; tells who has left. There may be more afterwards.
    pub(super) fn poll(&mut self, most: &mut usize, mut left: impl FnMut(usize, Left)) {
        self.gather();
        while *most > 0
            && coop::has_budget_remaining()
            && let Some(index) = self.due.pop_front()
        {
            *most -= 1;
            let Some(seat) = self.seats.get_mut(index) else {
                continue;
            };
            seat.knock.hears();
            if let Some(end) = seat.poll() {
                left(index, end);
            }
        }
    }

    /// Whether somebody is to be polled.
    pub(super) fn has_due(&mut self) -> bool {
        self.gather();
        !self.due.is_empty()
    }

    /// A seat is free again.
    pub(super) fn release(&mut self, seat: usize) {
        self.free.push(seat);
    }

    /// How many seats there are.
    pub(super) fn count(&self) -> usize {
        self.seats.len()
    }

    /// Gives up all seats, if nobody sits there.
    pub(super) fn clear(&mut self) {
        if self.free.len() == self.seats.len() && !self.has_due() {
            // Wakers of theirs may still be about, which ring for nobody then.
            *self = Self::new(&self.bell);
        }
    }

    fn gather(&mut self) {
        let first = self.due.len();
        let seats = &self.seats;
        let due = &mut self.due;
        let knock_of = |index: usize| seats.get(index).map(|seat| &*seat.knock);
        self.row.take(knock_of, |index| due.push_back(index));
        if due.len() > first + 1 {
            due.make_contiguous()[first..].reverse();
        }
    }
}

impl<T, F: Future<Output = Infallible>> Seat<T, F> {
    /// Polls who sits there; tells when it has left.
    fn poll(&mut self) -> Option<Left> {
        if !self.place.is_taken.get() {
            // Something that had served before rang late.
            return None;
        }
        let server = self.server.as_mut()?.as_mut();
        let mut cx = Context::from_waker(&self.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| server.poll(&mut cx)));
        if polled.is_err() {
            // What is dropped there may panic as well.
            catch_unwind(AssertUnwindSafe(|| self.server = None)).ok();
            self.place.given.take();
            self.place.leave();
            return Some(Left::Panicked);
        }
        (!self.place.is_taken.get()).then_some(Left::Served)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use super::*;

    type Server = Pin<Box<dyn Future<Output = Infallible>>>;

    /// The task of a connection, as far as it is woken.
    #[derive(Default)]
    struct Task {
        wakes: AtomicUsize,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.wakes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What is served: by so many polls, and by a panic where there are none.
    struct Guest {
        name: usize,
        polls: usize,
    }

    /// Who was polled, and the waker of each.
    #[derive(Default)]
    struct Seen {
        polled: RefCell<Vec<usize>>,
        wakers: RefCell<Vec<Option<Waker>>>,
    }

    async fn serve(place: Rc<Place<Guest>>, seen: Rc<Seen>) -> Infallible {
        loop {
            poll_fn(|_| place.poll_given()).await;
            let Guest { name, mut polls } = place.take().unwrap();
            poll_fn(|cx| {
                seen.polled.borrow_mut().push(name);
                let mut wakers = seen.wakers.borrow_mut();
                if wakers.len() <= name {
                    wakers.resize(name + 1, None);
                }
                wakers[name] = Some(cx.waker().clone());
                assert_ne!(polls, 0, "this guest panics");
                polls -= 1;
                match polls {
                    0 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
            place.leave();
        }
    }

    struct House {
        task: Arc<Task>,
        bell: Arc<Bell>,
        seats: Seats<Guest, Server>,
        seen: Rc<Seen>,
    }

    impl House {
        fn new() -> Self {
            let task = Arc::new(Task::default());
            let bell = Bell::of(&Waker::from(Arc::clone(&task)));
            Self {
                task,
                seats: Seats::new(&bell),
                bell,
                seen: Rc::default(),
            }
        }

        fn seat(&mut self, name: usize, polls: usize) -> usize {
            let seat = self.seats.vacant();
            let seen = &self.seen;
            let server = |place| Box::pin(serve(place, Rc::clone(seen))) as Server;
            self.seats.give(seat, Guest { name, polls }, server);
            seat
        }

        /// Polls so many at most; who was polled, and who has left.
        fn poll(&mut self, mut most: usize) -> (Vec<usize>, Vec<(usize, Left)>) {
            let mut left = Vec::new();
            self.seats
                .poll(&mut most, |seat, how| left.push((seat, how)));
            (self.seen.polled.take(), left)
        }

        fn wake(&self, name: usize) {
            let waker = self.seen.wakers.borrow()[name].clone();
            waker.unwrap().wake();
        }

        fn wakes(&self) -> usize {
            self.task.wakes.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn only_those_who_were_woken_are_polled_in_the_order_of_their_waking() {
        let mut house = House::new();
        for name in 0..5 {
            house.seat(name, 9);
        }
        assert_eq!(house.poll(9), (vec![0, 1, 2, 3, 4], vec![]));
        assert_eq!(house.poll(9), (vec![], vec![]));
        for name in [3, 0, 4, 3] {
            house.wake(name);
        }
        assert!(house.seats.has_due());
        assert_eq!(house.poll(9), (vec![3, 0, 4], vec![]));
        assert!(!house.seats.has_due());
    }

    #[test]
    fn those_whom_a_turn_does_not_reach_are_first_in_the_next() {
        let mut house = House::new();
        for name in 0..4 {
            house.seat(name, 9);
        }
        assert_eq!(house.poll(3).0, [0, 1, 2]);
        house.wake(1);
        assert_eq!(house.poll(9).0, [3, 1]);
    }

    #[test]
    fn a_task_is_woken_between_its_turns_and_not_during_one() {
        let mut house = House::new();
        house.seat(0, 9);
        house.bell.begin_turn();
        house.poll(9);
        house.wake(0);
        house.bell.ring();
        house.bell.end_turn();
        assert_eq!(house.wakes(), 0);
        assert!(house.seats.has_due() && house.bell.take_rung() && !house.bell.is_rung());
        house.poll(9);
        house.wake(0);
        house.wake(0);
        assert_eq!(house.wakes(), 1);
        house.bell.ring();
        assert_eq!(house.wakes(), 2);
    }

    #[test]
    fn a_seat_serves_one_after_the_other_by_one_future() {
        let mut house = House::new();
        let seat = house.seat(0, 1);
        assert_eq!(house.poll(9), (vec![0], vec![(seat, Left::Served)]));
        house.seats.release(seat);
        assert_eq!(house.seat(1, 2), seat);
        assert_eq!(house.poll(9), (vec![1], vec![]));
        house.wake(1);
        assert_eq!(house.poll(9), (vec![1], vec![(seat, Left::Served)]));
        // It has left, whoever still has its waker.
        house.wake(1);
        assert_eq!(house.poll(9), (vec![], vec![]));
        assert_eq!(house.seats.count(), 1);
    }

    #[test]
    fn a_panic_ends_one_stream_and_its_seat_serves_the_next() {
        let mut house = House::new();
        house.seat(0, 2);
        let seat = house.seat(1, 0);
        assert_eq!(house.poll(9), (vec![0, 1], vec![(seat, Left::Panicked)]));
        house.seats.release(seat);
        assert_eq!(house.seat(2, 1), seat);
        house.wake(0);
        let left = vec![(seat, Left::Served), (0, Left::Served)];
        assert_eq!(house.poll(9), (vec![2, 0], left));
    }

    #[test]
    fn wakers_of_seats_that_were_given_up_ring_for_nobody() {
        let mut house = House::new();
        let seats = [house.seat(0, 1), house.seat(1, 1)];
        house.poll(9);
        house.seats.clear();
        assert_eq!(house.seats.count(), 2, "they are not free yet");
        for seat in seats {
            house.seats.release(seat);
        }
        house.seats.clear();
        assert_eq!(house.seats.count(), 0);
        house.seat(2, 9);
        house.seat(3, 9);
        assert_eq!(house.poll(9).0, [2, 3]);
        for name in [0, 3, 1, 2] {
            house.wake(name);
        }
        assert_eq!(house.poll(9).0, [3, 2]);
    }

    #[test]
    fn no_waking_by_another_thread_is_lost() {
        const SEATS: usize = 4;
        const ROUNDS: usize = 500;
        let mut house = House::new();
        for name in 0..SEATS {
            house.seat(name, usize::MAX);
        }
        house.poll(SEATS);
        let wakers: Vec<Waker> = house.seen.wakers.take().into_iter().flatten().collect();
        let told: [AtomicUsize; SEATS] = Default::default();
        let heard: [AtomicUsize; SEATS] = Default::default();
        thread::scope(|scope| {
            for ((waker, told), heard) in wakers.iter().zip(&told).zip(&heard) {
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        told.store(round, Ordering::SeqCst);
                        waker.wake_by_ref();
                        // The next one is told when this one was heard, so that a lost one would be waited for without end.
                        while heard.load(Ordering::SeqCst) < round {
                            thread::yield_now();
                        }
                    }
                });
            }
            while heard
                .iter()
                .any(|heard| heard.load(Ordering::SeqCst) < ROUNDS)
            {
                for name in house.poll(SEATS).0 {
                    heard[name].store(told[name].load(Ordering::SeqCst), Ordering::SeqCst);
                }
                thread::yield_now();
            }
        });
    }
}
