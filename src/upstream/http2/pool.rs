//! Who gets which connection: a worker's connections of HTTP/2 to one endpoint, and those who wait for one.
//!
//! A request takes the oldest connection that has room, so that the others fall idle and go. Where none has, one is made,
//! and those that come meanwhile wait for it, in order, as many as it will presumably take; for more another is begun at
//! the same time. Who waits does so no longer than making a connection may take, and fails with it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::clock;
use crate::error::Kind;
use crate::upstream::freshness::Freshness;
use crate::upstream::http2::connection::{self, Connection, STREAMS};
use crate::upstream::http2::place::{Failure, Got, Place, Placed, Ticket, Waiting};
use crate::upstream::idle::Local;
use crate::upstream::line::Line;
use crate::upstream::speaks::Speaks;

/// What an endpoint is taken to carry over one connection before it has said so; the least that RFC 9113 §6.5.2 recommends.
const PRESUMED: usize = 100;

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// The tasks of all connections, also of those being made.
    tasks: RefCell<Vec<(u64, AbortHandle)>>,
    waiting: RefCell<VecDeque<Rc<Waiting>>>,
    /// How many of them still wait.
    wanted: Cell<usize>,
    dials: Cell<usize>,
    /// What the endpoint carried over the connection made last.
    usual: Cell<usize>,
    /// Of the next connection.
    number: Cell<u64>,
    /// It has been logged that the endpoint speaks something else.
    told: Cell<bool>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            connections: RefCell::default(),
            tasks: RefCell::default(),
            waiting: RefCell::default(),
            wanted: Cell::new(0),
            dials: Cell::new(0),
            usual: Cell::new(PRESUMED),
            number: Cell::new(0),
            told: Cell::new(false),
        }
    }
}

impl Pool {
    /// Room for a request, at once or in its turn. A new connection is one that is being made or yet to be.
    pub(crate) fn place(local: &Rc<Local>, fresh: Freshness) -> Placed {
        let pool = local.http2();
        let from = match fresh {
            Freshness::Any => None,
            Freshness::New => Some(pool.number.get() - pool.dials.get() as u64),
        };
        if fresh == Freshness::Any
            && let Some(connection) = pool.with_room(None)
        {
            return Placed::At(Place::take(local, connection, fresh));
        }
        let waiting = Waiting::new(from);
        pool.waiting.borrow_mut().push_back(Rc::clone(&waiting));
        pool.wanted.set(pool.wanted.get() + 1);
        pool.dial_for_those_who_wait(local);
        Placed::Waits(Ticket::of(waiting, local))
    }

    fn with_room(&self, from: Option<u64>) -> Option<Rc<Connection>> {
        let connections = self.connections.borrow();
        let fit =
            |one: &&Rc<Connection>| from.is_none_or(|from| one.number >= from) && one.has_room();
        connections.iter().find(fit).cloned()
    }

    fn dial_for_those_who_wait(&self, local: &Rc<Local>) {
        while self.wanted.get() > self.dials.get().saturating_mul(self.usual.get()) {
            let number = self.number.get();
            self.number.set(number + 1);
            self.dials.set(self.dials.get() + 1);
            let task = connection::begin(local, number);
            let mut tasks = self.tasks.borrow_mut();
            tasks.retain(|(_, task)| !task.is_finished());
            tasks.push((number, task));
        }
    }

    /// The task of a connection.
    pub(super) fn task_of(&self, number: u64) -> Option<AbortHandle> {
        let mut tasks = self.tasks.borrow_mut();
        let at = tasks.iter().position(|(one, _)| *one == number)?;
        Some(tasks.swap_remove(at).1)
    }

    /// Gives room to those who wait, in order.
    fn grant(&self, local: &Rc<Local>) {
        let mut passed = VecDeque::new();
        loop {
            let Some(waiting) = self.waiting.borrow_mut().pop_front() else {
                break;
            };
            if waiting.gone.get() {
                continue;
            }
            match self.with_room(waiting.from) {
                Some(connection) => {
                    let place = Place::take(local, connection, waiting.asked());
                    self.settle(&waiting, Ok(Got::Place(place)));
                }
                None => {
                    let anything_will_do = waiting.from.is_none();
                    passed.push_back(waiting);
                    if anything_will_do {
                        break;
                    }
                }
            }
        }
        let mut queue = self.waiting.borrow_mut();
        while let Some(waiting) = passed.pop_back() {
            queue.push_front(waiting);
        }
    }

    fn settle(&self, waiting: &Waiting, outcome: Result<Got, Failure>) {
        self.one_less_waits();
        waiting.settle(outcome);
    }

    /// Somebody who waited has room, a failure, or left.
    pub(super) fn one_less_waits(&self) {
        self.wanted.set(self.wanted.get() - 1);
    }

    /// A connection has been polled: room may have come.
    pub(super) fn look_for_room(&self, local: &Rc<Local>, connection: &Connection) {
        if self.wanted.get() > 0 && connection.has_room() {
            self.grant(local);
        }
    }

    /// Closes unused connections that are past their time.
    pub(crate) fn sweep(&self, now: Instant) {
        let is_past = |one: &Connection| one.expires.get().is_some_and(|expires| expires <= now);
        self.retire_unused(is_past);
    }

    /// Closes all unused connections.
    pub(crate) fn close_unused(&self) {
        self.retire_unused(|_| true);
    }

    /// Lets all connections go on to the end of what they serve, and no further.
    pub(crate) fn retire(&self) {
        for connection in &*self.connections.borrow() {
            connection.retire();
        }
    }

    fn retire_unused(&self, is_it: impl Fn(&Connection) -> bool) {
        for connection in &*self.connections.borrow() {
            if connection.streams.get() == 0 && is_it(connection) {
                connection.retire();
            }
        }
    }

    /// Ends all connections at once, also those being made.
    pub(crate) fn end(&self) {
        for (_, task) in self.tasks.take() {
            task.abort();
        }
        for connection in self.connections.take() {
            connection.end();
        }
    }

    /// Whether there is nothing here to be kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.borrow().is_empty() && self.dials.get() == 0
    }

    /// A request has left its connection.
    pub(super) fn left(&self, local: &Rc<Local>, connection: &Connection) {
        if self.wanted.get() > 0 {
            self.grant(local);
        }
        if connection.streams.get() > 0 || connection.is_retired() {
            return;
        }
        let (kept, most) = local.keeping();
        if most == 0 || kept.is_some_and(|kept| kept.is_zero()) || !local.keeps() {
            connection.retire();
            return;
        }
        connection
            .expires
            .set(kept.and_then(|kept| clock::now().checked_add(kept)));
        let connections = self.connections.borrow();
        let mut unused = connections
            .iter()
            .filter(|one| one.streams.get() == 0 && !one.is_retired());
        let Some(newest) = unused.next_back() else {
            return;
        };
        if unused.count() >= most {
            // The one that would be taken last.
            newest.retire();
        }
    }
}

/// A connection being made.
pub(super) struct Dial {
    local: Rc<Local>,
    is_over: bool,
}

impl Dial {
    /// The count of it was made when its task was.
    pub(super) fn begin(local: &Rc<Local>) -> Self {
        Self {
            local: Rc::clone(local),
            is_over: false,
        }
    }

    /// There it is.
    pub(super) fn made(mut self, connection: &Connection, terms: u64) {
        let local = Rc::clone(&self.local);
        let pool = local.http2();
        let most = connection.most_streams();
        if most == 0 {
            connection.retire();
            let failure = Failure::new(Kind::RefusedStream, "the endpoint takes no streams");
            return self.failed(&failure);
        }
        pool.usual.set(most.clamp(1, STREAMS));
        pool.told.set(false);
        self.over();
        pool.grant(&local);
        if !local.is_current(terms) {
            // The configuration has changed meanwhile: who waited is served.
            connection.retire();
        }
        pool.dial_for_those_who_wait(&local);
        // Nobody may have waited to the end.
        pool.left(&local, connection);
    }

    /// The endpoint has chosen HTTP/1: one of those who waited has the connection, the others make their own.
    pub(super) fn made_otherwise(mut self, line: Box<Line>) {
        self.over();
        self.local.settle(Speaks::Http1);
        let pool = self.local.http2();
        pool.told.set(false);
        let mut line = Some(line);
        loop {
            let Some(waiting) = pool.waiting.borrow_mut().pop_front() else {
                break;
            };
            if !waiting.gone.get() {
                pool.settle(&waiting, Ok(line.take().map_or(Got::NoRoom, Got::Line)));
            }
        }
        if let Some(unwanted) = line {
            unwanted.release();
        }
    }

    /// There will be none.
    pub(super) fn failed(mut self, failure: &Failure) {
        self.tell(failure);
        self.fail(failure);
    }

    /// What somebody must mend is said aloud, once for as long as it lasts.
    fn tell(&self, failure: &Failure) {
        let key = self.local.endpoint().key();
        let endpoint: &str = self.local.endpoint().label();
        let (pool, cause): (&str, &str) = (&key.pool, &failure.cause);
        if failure.kind == Kind::NotHttp2 && !self.local.http2().told.replace(true) {
            tracing::warn!(
                pool,
                endpoint,
                cause,
                "Endpoint does not speak HTTP/2; write protocol: http1 or auto, or let it speak HTTP/2"
            );
        } else {
            tracing::debug!(pool, endpoint, cause, "Connection could not be made");
        }
    }

    /// So many who waited fail as would have used it.
    fn fail(&mut self, failure: &Failure) {
        self.over();
        let pool = self.local.http2();
        let served = pool.dials.get().saturating_mul(pool.usual.get());
        while pool.wanted.get() > served {
            let Some(waiting) = pool.waiting.borrow_mut().pop_front() else {
                break;
            };
            if !waiting.gone.get() {
                pool.settle(&waiting, Err(failure.clone()));
            }
        }
    }

    fn over(&mut self) {
        self.is_over = true;
        let dials = &self.local.http2().dials;
        dials.set(dials.get() - 1);
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        if !self.is_over {
            // Its task was ended, or panicked.
            self.fail(&Failure::new(
                Kind::ConnectFailed,
                "the connection was given up",
            ));
        }
    }
}

/// A connection in the table, until its task is over.
pub(super) struct Member {
    local: Rc<Local>,
    connection: Rc<Connection>,
}

impl Member {
    pub(super) fn join(local: &Rc<Local>, connection: &Rc<Connection>) -> Self {
        let pool = local.http2();
        pool.connections.borrow_mut().push(Rc::clone(connection));
        Self {
            local: Rc::clone(local),
            connection: Rc::clone(connection),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.connection.retire();
        let pool = self.local.http2();
        let mut connections = pool.connections.borrow_mut();
        connections.retain(|one| !Rc::ptr_eq(one, &self.connection));
    }
}
