//! What wakes a connection: `h2` with its socket, and each of its streams, told apart without asking all of them.
//!
//! The task of the connection is woken once, by whoever rings first while it sleeps. Who rings during its turn is
//! noted and served in the same turn; wakers may be called on any thread and at any time, and none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// Nobody, where the number of a seat counts from one.
const NOBODY: usize = 0;

/// The bell of a connection; as a waker it is that of `h2`.
///
/// Whoever rings notes what for and then looks whether a turn is on; a turn is over first and then looks at what was noted.
/// Both are sequentially consistent, so that one at least sees the other.
#[derive(Debug)]
pub(super) struct Bell {
    task: Waker,
    /// A turn of the task is on, which will see what is noted.
    in_turn: AtomicBool,
    /// `h2` is to be asked.
    is_rung: AtomicBool,
}

/// The seats that were rung for: a list without a lock, of which the task takes all at once.
#[derive(Debug)]
pub(super) struct Row {
    bell: Arc<Bell>,
    /// Who came last; each knows the one before.
    last: AtomicUsize,
}

/// The waker of one seat.
#[derive(Debug)]
pub(super) struct Knock {
    row: Arc<Row>,
    /// Its number, from one.
    number: usize,
    /// It stands in the row of those who were rung for, or is about to be polled.
    is_noted: AtomicBool,
    /// Who stands before it in that row.
    before: AtomicUsize,
}

impl Bell {
    /// The bell of a task whose first turn is to come.
    pub(super) fn of(task: &Waker) -> Arc<Self> {
        Arc::new(Self {
            task: task.clone(),
            in_turn: AtomicBool::new(false),
            is_rung: AtomicBool::new(true),
        })
    }

    /// A turn begins: who rings need not wake the task.
    pub(super) fn begin_turn(&self) {
        // Who does not see it yet wakes the task for nothing, and no more.
        self.in_turn.store(true, Ordering::Relaxed);
    }

    /// A turn is over: what was noted before is to be looked for once more.
    pub(super) fn end_turn(&self) {
        self.in_turn.store(false, Ordering::SeqCst);
    }

    /// Asks `h2` in this turn or the next.
    pub(super) fn ring(&self) {
        self.is_rung.store(true, Ordering::SeqCst);
        self.call();
    }

    /// Whether `h2` is to be asked.
    pub(super) fn is_rung(&self) -> bool {
        self.is_rung.load(Ordering::SeqCst)
    }

    /// The same, and that it is done now.
    pub(super) fn take_rung(&self) -> bool {
        // Nobody else takes it back, so that most looks are no more than that.
        self.is_rung() && self.is_rung.swap(false, Ordering::SeqCst)
    }

    fn call(&self) {
        if !self.in_turn.load(Ordering::SeqCst) {
            self.task.wake_by_ref();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Row {
    pub(super) fn of(bell: &Arc<Bell>) -> Arc<Self> {
        Arc::new(Self {
            bell: Arc::clone(bell),
            last: AtomicUsize::new(NOBODY),
        })
    }

    /// Takes the indices of all who stand there, the last one first.
    pub(super) fn take<'k>(
        &self,
        knock_of: impl Fn(usize) -> Option<&'k Knock>,
        mut take: impl FnMut(usize),
    ) {
        if self.last.load(Ordering::SeqCst) == NOBODY {
            return;
        }
        let mut number = self.last.swap(NOBODY, Ordering::SeqCst);
        while let Some(index) = number.checked_sub(1) {
            // It does not change before that seat hears again.
            number = knock_of(index).map_or(NOBODY, |knock| knock.before.load(Ordering::Relaxed));
            take(index);
        }
    }
}

impl Knock {
    /// The waker of the seat with this index.
    pub(super) fn at(row: &Arc<Row>, index: usize) -> Arc<Self> {
        Arc::new(Self {
            row: Arc::clone(row),
            number: index + 1,
            is_noted: AtomicBool::new(false),
            before: AtomicUsize::new(NOBODY),
        })
    }

    /// Claims the right to note it; whoever has it may do so once.
    pub(super) fn claim(&self) -> bool {
        !self.is_noted.swap(true, Ordering::SeqCst)
    }

    /// It is going to be polled: who rings from now on is heard anew.
    pub(super) fn hears(&self) {
        self.is_noted.store(false, Ordering::SeqCst);
    }

    fn knock(&self) {
        if !self.claim() {
            return;
        }
        let last = &self.row.last;
        let mut before = last.load(Ordering::SeqCst);
        loop {
            // Read by nobody before the exchange that follows.
            self.before.store(before, Ordering::Relaxed);
            match last.compare_exchange_weak(
                before,
                self.number,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => break,
                Err(other) => before = other,
            }
        }
        self.row.bell.call();
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.knock();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.knock();
    }
}
