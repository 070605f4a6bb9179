//! The one swap, each worker's cached way to read what it holds, and a wake-up for those who wait for the next.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Cache};
use tokio::sync::watch;

use crate::metrics::cells::WorkerId;
use crate::snapshot::view::{Snapshot, View};

/// Holds the newest snapshot.
#[derive(Debug)]
pub struct Store {
    current: Arc<ArcSwap<Snapshot>>,
    published: watch::Sender<u64>,
    /// The generation that each worker last said it reads. Written by the worker (Release), read by `control`
    /// (Acquire) before it answers that a reload is in force everywhere.
    read_by: Box<[AtomicU64]>,
    acknowledged: watch::Sender<()>,
}

impl Store {
    /// Begins with a first snapshot, for so many workers.
    #[must_use]
    pub fn new(first: Snapshot, workers: usize) -> Self {
        let generation = first.generation;
        Self {
            current: Arc::new(ArcSwap::from_pointee(first)),
            published: watch::Sender::new(generation),
            read_by: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            acknowledged: watch::Sender::new(()),
        }
    }

    /// Publishes a snapshot, then ends the counts that it carries on from older ones. In this order, so that whoever
    /// meets an ended count finds its successor published.
    pub fn publish(&self, next: Snapshot) {
        let next = Arc::new(next);
        let before = self.current.swap(Arc::clone(&next));
        for (index, pool) in next.pools.iter().enumerate() {
            let kept = before
                .pools
                .get(index)
                .is_some_and(|old| Arc::ptr_eq(old, pool));
            if !kept {
                pool.start();
            }
        }
        for (index, route) in next.routes.iter().enumerate() {
            let kept = before
                .routes
                .get(index)
                .is_some_and(|old| Arc::ptr_eq(old, route));
            if let (false, Some(split)) = (kept, route.split()) {
                split.rotation().start();
            }
        }
        self.published.send_replace(next.generation);
    }

    /// The newest snapshot.
    #[must_use]
    pub fn newest(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Wakes at each publication.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// A worker says which generation it reads.
    pub fn acknowledge(&self, worker: WorkerId, generation: u64) {
        self.read_by[worker.0].store(generation, Ordering::Release);
        self.acknowledged.send_replace(());
    }

    /// Waits until every worker reads this generation or a later one.
    pub async fn read_everywhere(&self, generation: u64) {
        let mut acknowledged = self.acknowledged.subscribe();
        while self
            .read_by
            .iter()
            .any(|read| read.load(Ordering::Acquire) < generation)
        {
            if acknowledged.changed().await.is_err() {
                return;
            }
        }
    }

    /// A worker's own way to read.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let mut cache = Cache::new(Arc::clone(&self.current));
        let view = Rc::new(Arc::clone(cache.load()));
        Reader {
            cached: RefCell::new(Cached { cache, view }),
        }
    }
}

/// Reads the newest snapshot for one worker: one relaxed load and a comparison while nothing is published.
#[derive(Debug)]
pub struct Reader {
    cached: RefCell<Cached>,
}

#[derive(Debug)]
struct Cached {
    cache: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    view: View,
}

impl Reader {
    /// The newest snapshot.
    #[must_use]
    pub fn newest(&self) -> View {
        let cached = &mut *self.cached.borrow_mut();
        let newest = cached.cache.load();
        if !Arc::ptr_eq(newest, &cached.view) {
            cached.view = Rc::new(Arc::clone(newest));
        }
        Rc::clone(&cached.view)
    }
}
