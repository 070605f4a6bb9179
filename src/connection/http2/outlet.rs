//! What the streams of a connection may hand over to be written, all of them together.
//!
//! Each stream is bound by its window, but windows may be as large as a client likes: without a bound over all, a client that
//! does not read its connection would fill memory by a buffer a stream.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Octets that may wait for the socket. More is no use to any connection between two turns of its task.
const ROOM: usize = 256 << 10;

/// What waits for the socket of a connection.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    waiting: Cell<usize>,
    tasks: RefCell<Vec<Waker>>,
}

impl Outlet {
    /// Ready where there is room; else the task is woken when there is.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.waiting.get() < ROOM {
            return Poll::Ready(());
        }
        let tasks = &mut *self.tasks.borrow_mut();
        if !tasks.iter().any(|task| task.will_wake(cx.waker())) {
            tasks.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// So many octets were handed over.
    pub(super) fn hand(&self, octets: usize) {
        self.waiting.set(self.waiting.get() + octets);
    }

    /// Everything that was handed over has been written.
    pub(super) fn is_out(&self) {
        self.waiting.set(0);
        for task in self.tasks.take() {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_over_all_streams() {
        let outlet = Outlet::default();
        let cx = Context::from_waker(Waker::noop());
        outlet.hand(ROOM - 1);
        assert!(outlet.poll_room(&cx).is_ready());
        outlet.hand(1);
        assert!(outlet.poll_room(&cx).is_pending());
        assert_eq!(outlet.tasks.borrow().len(), 1);
        outlet.is_out();
        assert!(outlet.poll_room(&cx).is_ready());
        assert!(outlet.tasks.borrow().is_empty());
    }
}
