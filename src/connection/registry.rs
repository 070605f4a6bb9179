//! A worker's connections, by which they are told to end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::config::model::Listener;
use crate::connection::edge::Edge;

/// How long a connection that has never brought a request may still do so when all are to end: its client has just
/// been accepted, and its first request may be on the way.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

/// A worker's connections, by which they are told to end.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: RefCell<Slots>,
    /// All are to end, those that come late from the accept queue as well.
    ending: Cell<bool>,
}

#[derive(Debug, Default)]
struct Slots {
    members: Vec<Option<Rc<Member>>>,
    free: Vec<usize>,
}

/// What a connection's task is told from outside.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) edge: Rc<Edge>,
    pub(super) ending: Cell<bool>,
    pub(super) task: RefCell<Option<Waker>>,
}

impl Registry {
    /// Asks every connection to end: those at rest now, the others behind the answer they are waiting for.
    pub(crate) fn end_all(&self) {
        self.ending.set(true);
        for member in self.members() {
            member.end();
        }
    }

    /// Asks the connections of listeners that are gone to end behind their next answer. Those at rest stay until they
    /// ask again or their idle time is over, so that nothing is lost.
    pub(crate) fn retire(&self, is_gone: impl Fn(&Listener) -> bool) {
        for member in self.members() {
            if is_gone(&member.edge.client.listener) {
                member.edge.client.closing.set(true);
            }
        }
    }

    /// How many connections are in the middle of something.
    pub(crate) fn busy(&self) -> usize {
        self.members()
            .iter()
            .filter(|member| !member.edge.is_resting())
            .count()
    }

    fn members(&self) -> Vec<Rc<Member>> {
        self.slots
            .borrow()
            .members
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn join(self: &Rc<Self>, edge: &Rc<Edge>) -> Membership {
        let member = Rc::new(Member {
            edge: Rc::clone(edge),
            ending: Cell::new(self.ending.get()),
            task: RefCell::default(),
        });
        let mut slots = self.slots.borrow_mut();
        let slot = slots.free.pop().unwrap_or(slots.members.len());
        if slot == slots.members.len() {
            slots.members.push(None);
        }
        slots.members[slot] = Some(Rc::clone(&member));
        Membership {
            registry: Rc::clone(self),
            slot,
            member,
        }
    }
}

impl Member {
    /// Whether a connection that has never brought a request is so young that one may be on the way.
    pub(super) fn may_bring_a_first_request(&self) -> bool {
        self.edge.awaits_first_request(FIRST_REQUEST)
    }

    fn end(&self) {
        self.ending.set(true);
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}

pub(super) struct Membership {
    registry: Rc<Registry>,
    slot: usize,
    pub(super) member: Rc<Member>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.borrow_mut();
        slots.members[self.slot] = None;
        slots.free.push(self.slot);
    }
}
