//! One line for each request, written by a thread of its own.
//!
//! A request hands its [`Record`] to a [`Logger`] and goes on: the queue is bounded and lock-free, and when it is full,
//! because the output is slower than the traffic, the record is dropped and counted (`fiel_access_log_dropped_total`).
//! No request ever waits for a disk or for the reader of a pipe. Relies on nothing of the request path; does not know
//! what a record means.

mod clf;
mod ecs;
mod format;
mod gauge;
mod json;
mod lanes;
mod line;
mod orders;
mod output;
mod query;
mod record;
mod rotation;
mod sink;
mod trouble;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crate::config::model::{self, LogFormat, LogOutput};
use crate::metrics::Metrics;

pub use lanes::QUEUE_RECORDS;
pub use record::{Record, Text};

use format::Style;
use gauge::Gauge;
use lanes::{Lanes, Marks};
use orders::{Orders, Step, changes_output};
use output::Output;
use sink::Sink;

/// From this size on the texts of a record are counted against [`LARGE_BUDGET_BYTES`]; smaller ones are bounded by
/// their number.
const LARGE_BYTES: usize = 1 << 10;

/// What the large ones among the waiting records may hold together, so that long targets and a stalled output cannot
/// fill the memory.
const LARGE_BUDGET_BYTES: usize = 16 << 20;

/// How long the thread lets records come together, once woken.
const LINGER: Duration = Duration::from_millis(10);

/// The access log and its thread. Ends with [`AccessLog::close`]; dropped, it ends without anyone waiting for it.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    config: model::AccessLog,
    thread: Option<JoinHandle<()>>,
}

/// By which requests reach the log: one a worker, with a lane of its own.
#[derive(Clone, Debug)]
pub struct Logger {
    shared: Arc<Shared>,
    lane: usize,
}

/// How a log was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// All lines are with the output.
    Flushed,
    /// The output took too long; what was still waiting is lost.
    CutShort,
}

impl AccessLog {
    /// Opens the output and starts the thread.
    ///
    /// # Errors
    /// When the output cannot be opened, or no thread be had.
    pub fn start(config: &model::AccessLog, metrics: Arc<Metrics>) -> io::Result<Self> {
        let gauge = Arc::new(Gauge::default());
        let output = Output::open(&config.output)?;
        let sink = Sink::new(output, Arc::clone(&gauge), Arc::clone(&metrics));
        let shared = Arc::new(Shared {
            queue: Lanes::new(metrics.workers()),
            handles: AtomicUsize::new(0),
            large_bytes: AtomicUsize::new(0),
            pending: AtomicBool::new(false),
            wanted: AtomicU8::new(wanted(config)),
            thread: OnceLock::new(),
            orders: Mutex::default(),
            ended: Mutex::new(false),
            end: Condvar::new(),
            gauge,
            metrics,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            sink,
            style: Style::of(config),
            lane: 0,
        };
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())?;
        shared.thread.get_or_init(|| thread.thread().clone());
        Ok(Self {
            shared,
            config: config.clone(),
            thread: Some(thread),
        })
    }

    /// What the requests of a worker log by: another lane for each, as long as there are any.
    #[must_use]
    pub fn handle(&self) -> Logger {
        let handles = self.shared.handles.fetch_add(1, Ordering::Relaxed);
        Logger {
            shared: Arc::clone(&self.shared),
            lane: handles % self.shared.queue.count(),
        }
    }

    /// Goes on as this configuration says: what was logged before still goes to the old output in the old format. An
    /// output that stays the same is left open; an old one that stands still for a second is given up, and what it has
    /// not taken goes to the new one, but for the lines that were on their way. To be called as the last step of a
    /// reload that can fail. Does not wait for the thread.
    ///
    /// # Errors
    /// When the new output cannot be opened; then nothing has changed.
    pub fn reconfigure(&mut self, config: &model::AccessLog) -> io::Result<()> {
        let output = if config.output == self.config.output {
            None
        } else {
            Some(Output::open(&config.output)?)
        };
        self.config = config.clone();
        // Off before the order and on after it, so that no record is taken for an output that is off.
        let wanted = wanted(config);
        if wanted == NOTHING {
            self.shared.wanted.store(wanted, Ordering::Relaxed);
        }
        self.shared.order(|orders| {
            if output.is_some() {
                self.shared.gauge.set_impatient(true);
            }
            orders.add(Step {
                after: self.shared.queue.logged(),
                output,
                style: Some(Style::of(config)),
                reopen: false,
            });
        });
        self.shared.wanted.store(wanted, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the file anew under its name (SIGUSR1), after something has moved it away.
    pub fn reopen(&self) {
        self.shared.order(|orders| {
            orders.add(Step {
                after: self.shared.queue.logged(),
                output: None,
                style: None,
                reopen: true,
            });
        });
    }

    /// Takes no more records and waits until those taken are written, at most so long. Blocks its thread.
    #[must_use]
    pub fn close(mut self, within: Duration) -> Closed {
        self.shared.close();
        let (ended, _) = self
            .shared
            .end
            .wait_timeout_while(unpoisoned(&self.shared.ended), within, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        let closed = if *ended && self.shared.queue.is_empty() {
            Closed::Flushed
        } else {
            Closed::CutShort
        };
        // A thread that is still at it ends when it sees that nothing moves.
        self.shared.gauge.abandon();
        if *ended
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("Access log thread panicked");
        }
        closed
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Logger {
    /// Whether records are wanted at all. When not, the request path makes none.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.wanted() != NOTHING
    }

    /// Whether the lines tell of `Referer` and `User-Agent`, which are not worth a look otherwise.
    #[must_use]
    pub fn wants_agent(&self) -> bool {
        self.wanted() == AGENTS
    }

    fn wanted(&self) -> u8 {
        // Relaxed: a record more or less about the time of a reload changes nothing.
        self.shared.wanted.load(Ordering::Relaxed)
    }

    /// Hands a record over. Never blocks; what finds no room is dropped and counted.
    pub fn log(&self, record: impl Into<Box<Record>>) {
        if self.is_on() {
            self.shared.push(self.lane, record.into());
        }
    }
}

/// What requests, control and the thread share.
struct Shared {
    queue: Lanes,
    /// Given out so far. Relaxed: each only takes the next lane.
    handles: AtomicUsize,
    /// Held by the large ones among the waiting records. Relaxed: it bounds memory, and guards none.
    large_bytes: AtomicUsize,
    /// The thread is awake, or someone is waking it: nobody else need. See [`Shared::wake`].
    pending: AtomicBool,
    /// [`NOTHING`], [`RECORDS`] or [`AGENTS`]. Relaxed.
    wanted: AtomicU8,
    /// Set before the first [`Logger`] is given out.
    thread: OnceLock<Thread>,
    /// Taken by control, and by the thread once a turn; never by a request.
    orders: Mutex<Orders>,
    ended: Mutex<bool>,
    end: Condvar,
    gauge: Arc<Gauge>,
    metrics: Arc<Metrics>,
}

/// No records.
const NOTHING: u8 = 0;
/// Records.
const RECORDS: u8 = 1;
/// Records with what the client says of itself.
const AGENTS: u8 = 2;

impl Shared {
    fn push(&self, lane: usize, record: Box<Record>) {
        let large = large_bytes(&record);
        if large > 0
            && self.large_bytes.fetch_add(large, Ordering::Relaxed) + large > LARGE_BUDGET_BYTES
        {
            self.large_bytes.fetch_sub(large, Ordering::Relaxed);
            return self.overflow();
        }
        if self.queue.push(lane, record).is_err() {
            self.large_bytes.fetch_sub(large, Ordering::Relaxed);
            return self.overflow();
        }
        self.wake();
    }

    #[cold]
    fn overflow(&self) {
        self.gauge.overflow();
        self.metrics.access_log_dropped(1);
    }

    /// What is taken from the queue is not waiting any more.
    fn taken(&self, record: &Record) {
        let large = large_bytes(record);
        if large > 0 {
            self.large_bytes.fetch_sub(large, Ordering::Relaxed);
        }
    }

    /// Wakes the thread unless it is awake.
    ///
    /// Feared: a record is queued, the thread sees an empty queue and sleeps, and nobody wakes it. Here: queue, fence,
    /// look at `pending`. There ([`Writer::run`]): clear `pending`, fence, look at the queue. Of two such fences one
    /// is first, so that at least one side sees what the other did. A look before the swap keeps the flag's cache line
    /// shared among the workers of a busy proxy.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.pending.load(Ordering::Relaxed) && !self.pending.swap(true, Ordering::Relaxed) {
            self.unpark();
        }
    }

    fn order(&self, order: impl FnOnce(&mut Orders)) {
        order(&mut unpoisoned(&self.orders));
        self.unpark();
    }

    fn close(&self) {
        self.wanted.store(NOTHING, Ordering::Relaxed);
        self.order(|orders| orders.close = true);
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("waiting", &self.queue.len())
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

/// What the thread has to itself.
struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    style: Style,
    /// From which the next record is taken.
    lane: usize,
}

impl Writer {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _end = EndOnDrop(&shared);
        loop {
            let orders = std::mem::take(&mut *unpoisoned(&shared.orders));
            if self.turn(orders) == Turn::Last {
                return;
            }
            shared.pending.store(false, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if shared.queue.is_empty() {
                // An order given since the last look has left its token, and this returns at once.
                thread::park();
            }
            shared.pending.store(true, Ordering::Relaxed);
            if !shared.queue.is_filling() {
                thread::park_timeout(LINGER);
            }
        }
    }

    /// Writes what was logged before each order, carries it out, and writes the rest. At most a queueful each, so that
    /// orders are heard under any load.
    fn turn(&mut self, orders: Orders) -> Turn {
        let mut steps = orders.steps.into_iter();
        while let Some(step) = steps.next() {
            self.write(Some(&step.after));
            self.style = step.style.unwrap_or(self.style);
            if let Some(output) = step.output {
                self.sink.switch(output);
                let another = changes_output(steps.as_slice());
                let orders = unpoisoned(&self.shared.orders);
                let later = changes_output(&orders.steps);
                self.shared.gauge.set_impatient(another || later);
            } else if step.reopen {
                self.sink.reopen();
            }
        }
        self.write(None);
        self.sink.flush();
        self.sink.tell_of_overflow();
        if orders.close { Turn::Last } else { Turn::More }
    }

    fn write(&mut self, before: Option<&Marks>) {
        let shared = &self.shared;
        for _ in 0..QUEUE_RECORDS {
            if self.sink.is_given_up() {
                return;
            }
            let record = match before {
                Some(marks) => shared.queue.pop_before(marks, &mut self.lane),
                None => shared.queue.pop(&mut self.lane),
            };
            let Some(record) = record else {
                return;
            };
            shared.taken(&record);
            self.sink
                .push(|buffer| self.style.write_line(&record, buffer));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    More,
    Last,
}

/// Tells [`AccessLog::close`] that the thread has ended, by a panic too.
struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        *unpoisoned(&self.0.ended) = true;
        self.0.end.notify_all();
    }
}

/// The size that counts against [`LARGE_BUDGET_BYTES`].
fn large_bytes(record: &Record) -> usize {
    let bytes = record.text_bytes();
    if bytes > LARGE_BYTES { bytes } else { 0 }
}

fn wanted(config: &model::AccessLog) -> u8 {
    match (&config.output, config.format) {
        (LogOutput::Off, _) => NOTHING,
        (_, LogFormat::Json | LogFormat::Common) => RECORDS,
        (_, LogFormat::Ecs | LogFormat::Combined) => AGENTS,
    }
}

/// What these locks guard is whole between any two statements, so that a panic under them spoils nothing.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
