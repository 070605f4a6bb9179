//! Who takes the next connection: the worker that has the fewest, in turn where several have as few.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, Notify, mpsc};

use crate::listener::terms::Terms;
use crate::socket::Taken;

/// Connections handed to a worker that it has not taken up yet.
const INBOX: usize = 1024;

/// A connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) taken: Taken,
    /// Its client's address; none on a socket of this host.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) terms: Terms,
    /// Its places in the counts; given up when it is closed.
    pub(crate) place: Place,
}

/// Whom accepted connections are given to.
pub(super) trait Hands {
    /// Gives a connection away; waits while nobody can take it.
    async fn hand(&self, handed: Handed);
}

/// Takes connections in on the thread that accepts them.
pub(super) struct Here<F>(pub(super) F);

impl<F: Fn(Handed)> Hands for Here<F> {
    async fn hand(&self, handed: Handed) {
        self.0(handed);
    }
}

impl Hands for Mutex<Desk> {
    async fn hand(&self, handed: Handed) {
        self.lock().await.hand(handed).await;
    }
}

/// Hands connections to workers.
#[derive(Debug)]
pub(crate) struct Desk {
    workers: Vec<Inbox>,
    next: usize,
}

#[derive(Debug)]
struct Inbox {
    sender: mpsc::Sender<Handed>,
    open: Arc<AtomicUsize>,
}

/// What a connection counts against while it is open.
#[derive(Debug)]
pub(crate) struct Place {
    /// The worker's connections. Relaxed: a count that is a moment old only makes the spread a little less even.
    worker: Option<Arc<AtomicUsize>>,
    listener: Arc<Room>,
}

/// How many connections a listener has open, and a wake-up for the acceptor when one closes.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Relaxed: only the acceptor adds, and a place given up a moment later is noticed by the wake-up.
    open: AtomicUsize,
    freed: Notify,
}

impl Room {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits until a connection has closed.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Place {
    pub(super) fn at(listener: &Arc<Room>) -> Self {
        listener.open.fetch_add(1, Ordering::Relaxed);
        Self {
            worker: None,
            listener: Arc::clone(listener),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.fetch_sub(1, Ordering::Relaxed);
        }
        self.listener.open.fetch_sub(1, Ordering::Relaxed);
        self.listener.freed.notify_one();
    }
}

impl Desk {
    /// A desk for so many workers, and what each takes its connections from.
    pub(crate) fn new(workers: usize) -> (Self, Vec<mpsc::Receiver<Handed>>) {
        let (workers, inboxes) = (0..workers)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(INBOX);
                let open = Arc::default();
                (Inbox { sender, open }, receiver)
            })
            .unzip();
        (Self { workers, next: 0 }, inboxes)
    }

    /// Hands a connection over. Waits only when the chosen worker has [`INBOX`] untaken ones already: the kernel's
    /// queue then holds the rest. A connection for a worker that has ended is closed.
    pub(super) async fn hand(&mut self, mut handed: Handed) {
        let chosen = self.choose();
        let inbox = &self.workers[chosen];
        inbox.open.fetch_add(1, Ordering::Relaxed);
        handed.place.worker = Some(Arc::clone(&inbox.open));
        if inbox.sender.send(handed).await.is_err() {
            tracing::error!(
                worker = chosen,
                "Worker has ended, its connection is closed"
            );
        }
    }

    fn choose(&mut self) -> usize {
        let count = self.workers.len();
        let open = |index: usize| self.workers[index].open.load(Ordering::Relaxed);
        let chosen = (0..count)
            .map(|step| (self.next + step) % count)
            .min_by_key(|index| open(*index))
            .unwrap_or(0);
        self.next = (chosen + 1) % count;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(desk: &Desk) -> Vec<usize> {
        desk.workers
            .iter()
            .map(|inbox| inbox.open.load(Ordering::Relaxed))
            .collect()
    }

    #[test]
    fn connections_go_to_the_worker_with_the_fewest_and_in_turn_among_equals() {
        let (mut desk, _inboxes) = Desk::new(3);
        for _ in 0..7 {
            let chosen = desk.choose();
            desk.workers[chosen].open.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(open(&desk), [3, 2, 2]);
        desk.workers[1].open.fetch_sub(2, Ordering::Relaxed);
        assert_eq!(desk.choose(), 1);
    }

    #[test]
    fn a_place_is_given_up_when_its_connection_closes() {
        let room = Arc::new(Room::default());
        let place = Place::at(&room);
        assert_eq!(room.open(), 1);
        drop(place);
        assert_eq!(room.open(), 0);
    }
}
