//! The accept loops, one a listening socket: on a thread of their own, or beside the connections of the only worker.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle as Task;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::model::Listener;
use crate::listener::desk::{Desk, Handed, Hands, Here, Place, Room};
use crate::listener::rush::{LOOK, Rush};
use crate::listener::terms::Terms;
use crate::socket::{HandsOut, Listening, Seat};

/// The name of the thread.
const THREAD: &str = "fiel-accept";

/// Connections taken from one socket before the others get their turn.
const BATCH: usize = 64;

/// So many connections taken at once are each followed by a look whether one more waits, which costs a seventh of a try to take
/// one in vain. Where there are more, one such try is the cheaper way to find their end.
const LOOKED_BEHIND: usize = 4;

/// How long a socket that is to be closed takes connections still where the kernel was to keep them: it hands each out within
/// a second, and their clients take them for open.
const STRAGGLERS: Duration = Duration::from_millis(1_250);

/// How long to wait when the process or the system is out of descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Orders that may wait for the acceptor.
const ORDERS: usize = 64;

/// A socket that is bound, and what it is for.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: Listening,
    pub(crate) terms: Terms,
}

enum Order {
    /// Take connections from this socket.
    Listen(Bound),
    /// Serve new connections of this address by these terms.
    Renew(Terms, oneshot::Sender<()>),
    /// Take what waits here, then close it.
    Close(Seat, oneshot::Sender<()>),
}

/// The handle of what accepts; dropping it closes all sockets.
#[derive(Debug)]
pub(crate) struct Acceptor {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What accepts, to be run somewhere.
pub(crate) struct Accepting {
    orders: mpsc::Receiver<Order>,
    desk: Desk,
}

impl Accepting {
    /// Accepts on this thread, until its handle is dropped.
    async fn run(self) {
        // Tasks of one thread take turns; the lock is only held across a hand-over that waits for a full worker.
        obey(self.orders, Rc::new(Mutex::new(self.desk))).await;
    }

    /// Accepts on the only worker's thread, until its handle is dropped, and lets connections in there and then.
    pub(crate) async fn run_here(self, take_in: impl Fn(Handed) + 'static) {
        obey(self.orders, Rc::new(Here(take_in))).await;
        // The worker's inbox, which nothing is put in, tells that this is over.
        drop(self.desk);
    }
}

impl Acceptor {
    /// A handle, and what accepts once it is run, with nothing to listen on yet.
    pub(crate) fn new(desk: Desk) -> (Self, Accepting) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let handle = Self {
            orders: Some(sender),
            thread: None,
        };
        (handle, Accepting { orders, desk })
    }

    /// Gives what accepts a thread of its own.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub(crate) fn run_apart(&mut self, accepting: Accepting) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, accepting.run());
            })?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Takes connections from a socket from now on.
    pub(crate) async fn listen(&self, bound: Bound) {
        self.order(Order::Listen(bound)).await;
    }

    /// Serves new connections by new terms; the address is the same. Who is accepted once this is over is served by them.
    pub(crate) async fn renew(&self, terms: Terms) {
        let (done, renewed) = oneshot::channel();
        self.order(Order::Renew(terms, done)).await;
        // An error means that the thread has ended.
        renewed.await.ok();
    }

    /// Closes a listener's socket, after the connections that wait there have been taken.
    pub(crate) async fn close(&self, listener: &Listener) {
        let (done, closed) = oneshot::channel();
        self.order(Order::Close(Seat::of(listener), done)).await;
        // An error means that the thread has ended, and all its sockets with it.
        closed.await.ok();
    }

    async fn order(&self, order: Order) {
        let sent = match &self.orders {
            Some(orders) => orders.send(order).await.is_ok(),
            None => false,
        };
        if !sent {
            tracing::error!("Acceptor has ended");
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("Acceptor panicked");
        }
    }
}

struct Loop {
    terms: watch::Sender<Terms>,
    end: oneshot::Sender<()>,
    task: Task<()>,
}

async fn obey(mut orders: mpsc::Receiver<Order>, hands: Rc<impl Hands + 'static>) {
    let mut loops: HashMap<Seat, Loop> = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(bound) => {
                let seat = Seat::of(&bound.terms.listener);
                let (terms, followed) = watch::channel(bound.terms);
                let (end, ended) = oneshot::channel();
                let task = tokio::task::spawn_local(accept(
                    bound.socket,
                    followed,
                    ended,
                    Rc::clone(&hands),
                ));
                loops.insert(seat, Loop { terms, end, task });
            }
            Order::Renew(terms, done) => {
                if let Some(known) = loops.get(&Seat::of(&terms.listener)) {
                    known.terms.send_replace(terms);
                }
                // Who asked may have ended.
                done.send(()).ok();
            }
            Order::Close(seat, done) => {
                if let Some(Loop { end, task, .. }) = loops.remove(&seat) {
                    // A loop that is gone already has closed its socket.
                    end.send(()).ok();
                    if task.await.is_err_and(|error| error.is_panic()) {
                        tracing::error!(?seat, "Accept loop panicked");
                    }
                }
                done.send(()).ok();
            }
        }
    }
}

async fn accept(
    socket: Listening,
    terms: watch::Receiver<Terms>,
    mut end: oneshot::Receiver<()>,
    hands: Rc<impl Hands>,
) {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; a listener owns its descriptor, which is what is asked for"
    )]
    let mut socket = match AsyncFd::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "Listening socket cannot be waited on");
            return;
        }
    };
    let room = Arc::new(Room::default());
    let mut rush = Rush::none(Instant::now());
    // Whether a rush is over is looked for then.
    let mut look = pin!(sleep(LOOK));
    loop {
        if is_full(&terms, &room) {
            // The kernel's queue holds further connections until one of these closes.
            tokio::select! {
                () = room.freed() => continue,
                _ = &mut end => break,
            }
        }
        tokio::select! {
            biased;
            _ = &mut end => break,
            ready = socket.readable() => match ready {
                Ok(mut ready) => {
                    let (came, turn) = take(socket.get_ref(), &terms, &room, &*hands).await;
                    if let Turn::Empty = turn {
                        ready.clear_ready();
                    }
                    if rush.begins(came, Instant::now) {
                        hand_out(socket.get_ref(), HandsOut::WithOctets);
                        look.as_mut().reset(Instant::now() + LOOK);
                    }
                }
                Err(error) => tracing::error!(%error, "Waiting for connections failed"),
            },
            () = &mut look, if rush.is_on() => {
                let now = Instant::now();
                if rush.ends(now) {
                    hand_out(socket.get_ref(), HandsOut::AtOnce);
                }
                look.as_mut().reset(now + LOOK);
            }
        }
    }
    if rush.is_on() {
        hand_out(socket.get_ref(), HandsOut::AtOnce);
        let until = Instant::now() + STRAGGLERS;
        while let Ok(Ok(mut ready)) = timeout_at(until, socket.readable()).await {
            if let (_, Turn::Empty) = take(socket.get_ref(), &terms, &room, &*hands).await {
                ready.clear_ready();
            }
        }
    }
    socket.get_mut().withdraw();
    // The last ones: whoever waits in the queue is taken before the socket goes.
    while let (_, Turn::More) = take(socket.get_ref(), &terms, &room, &*hands).await {}
}

fn hand_out(socket: &Listening, hands_out: HandsOut) {
    if let Err(error) = socket.hands_out(hands_out) {
        // It only costs a little more.
        tracing::debug!(%error, ?hands_out, "Kernel does not keep connections until they bring something");
    }
}

fn is_full(terms: &watch::Receiver<Terms>, room: &Room) -> bool {
    let limit = terms.borrow().listener.limits.max_connections;
    limit.is_some_and(|limit| room.open() >= limit.get())
}

/// How a round of accepting ended.
enum Turn {
    /// Nobody waits any more.
    Empty,
    /// There may be more.
    More,
}

/// Takes those who wait, and tells how many they were.
async fn take(
    socket: &Listening,
    terms: &watch::Receiver<Terms>,
    room: &Arc<Room>,
    hands: &impl Hands,
) -> (u32, Turn) {
    let mut came = 0;
    for tried in 1..=BATCH {
        match socket.accept() {
            Ok((taken, peer)) => {
                came += 1;
                let handed = Handed {
                    taken,
                    peer,
                    terms: terms.borrow().clone(),
                    place: Place::at(room),
                };
                hands.hand(handed).await;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return (came, Turn::Empty),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                _ => {
                    tracing::warn!(%error, "Connection could not be accepted");
                    sleep(EXHAUSTED_PAUSE).await;
                    return (came, Turn::More);
                }
            },
        }
        if is_full(terms, room) {
            return (came, Turn::More);
        }
        if tried <= LOOKED_BEHIND && !socket.may_have_more() {
            return (came, Turn::Empty);
        }
    }
    tokio::task::yield_now().await;
    (came, Turn::More)
}
