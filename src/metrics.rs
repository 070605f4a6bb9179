//! Every metric's name, help, labels and buckets, declared once; the handles that count; the text that is scraped.
//!
//! [`Metrics`] is one per process. It gives out handles by name and keeps only weak references to them: a snapshot
//! built for a reload gets the very same handle for a name that stays, so that its series go on, and when the last
//! snapshot, request and connection that knew a name have gone, its series are gone from the next scrape. The
//! `prometheus` crate's registry holds one collector, which sums the workers' counts when it is scraped. Imports
//! nothing of the crate; what is read from a snapshot (splits, endpoints) the caller of [`Metrics::text`] gathers.

mod abort;
pub mod cells;
pub mod families;
mod listener;
mod process;
mod text;
mod traffic;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

pub use abort::Abort;
pub use cells::WorkerId;
pub use listener::{Handshake, ListenerTraffic, Refusal};
pub use traffic::{PoolTraffic, Traffic};

pub(crate) use process::cpu_time;

use process::Process;
use text::Sheet;

/// The label value of a route or a pool where there is none.
pub const NONE: &str = "none";

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    registry: Registry,
    process: Process,
    /// Taken when a snapshot is built and by a scrape, which copies the handles out and reads them without it; never
    /// by a request.
    handles: Mutex<Handles>,
    // The ones below are seldom written and by anyone. Relaxed: each is read by itself, nothing hangs on their order.
    panics: AtomicU64,
    access_log_dropped: AtomicU64,
    reloads: [AtomicU64; Reload::ALL.len()],
    last_reload_failed: AtomicBool,
    /// Microseconds since 1970; 0 before the first.
    last_success_micros: AtomicU64,
    restart_needed: AtomicBool,
    certificate_faults: AtomicU64,
}

/// What came of a reload, as `fiel_config_reloads_total` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration is in force.
    Applied,
    /// It says what the old one said.
    Unchanged,
    /// It is wrong; the old one stays in force.
    Rejected,
}

impl Reload {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, Default)]
struct Handles {
    traffic: ByName<(Box<str>, Box<str>), Traffic>,
    pools: ByName<Box<str>, PoolTraffic>,
    listeners: ByName<Box<str>, ListenerTraffic>,
}

impl Metrics {
    /// Nothing counted yet, by so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            let registry = Registry::new();
            registry
                .register(Box::new(Summed(Weak::clone(this))))
                .expect("the first collector of a registry clashes with none");
            Self {
                workers,
                registry,
                process: Process::of_this(),
                handles: Mutex::default(),
                panics: AtomicU64::default(),
                access_log_dropped: AtomicU64::default(),
                reloads: Default::default(),
                last_reload_failed: AtomicBool::default(),
                last_success_micros: AtomicU64::default(),
                restart_needed: AtomicBool::default(),
                certificate_faults: AtomicU64::default(),
            }
        })
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// The handle of a route and a pool; [`NONE`] stands for either where there is none.
    pub fn traffic(&self, route: &str, pool: &str) -> Arc<Traffic> {
        self.with_handles(|handles| {
            handles
                .traffic
                .get_or_make((route.into(), pool.into()), || {
                    Traffic::new(route, pool, self.workers)
                })
        })
    }

    /// The handle of a pool.
    pub fn pool(&self, pool: &str) -> Arc<PoolTraffic> {
        self.with_handles(|handles| {
            handles
                .pools
                .get_or_make(pool.into(), || PoolTraffic::new(pool, self.workers))
        })
    }

    /// The handle of a listener.
    pub fn listener(&self, listener: &str) -> Arc<ListenerTraffic> {
        self.with_handles(|handles| {
            handles.listeners.get_or_make(listener.into(), || {
                ListenerTraffic::new(listener, self.workers)
            })
        })
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// So many lines will be missing from the access log.
    pub fn access_log_dropped(&self, lines: u64) {
        self.access_log_dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// A configuration was read when the process started. No reload, but the first success.
    pub fn configured(&self, at: SystemTime) {
        let micros = at
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        self.last_success_micros.store(micros, Ordering::Relaxed);
        self.last_reload_failed.store(false, Ordering::Relaxed);
    }

    /// A reload has ended so.
    pub fn reloaded(&self, outcome: Reload, at: SystemTime) {
        self.reloads[outcome as usize].fetch_add(1, Ordering::Relaxed);
        match outcome {
            Reload::Applied | Reload::Unchanged => self.configured(at),
            Reload::Rejected => self.last_reload_failed.store(true, Ordering::Relaxed),
        }
    }

    /// So many changed keys keep their old value until a restart.
    pub fn waiting_for_restart(&self, keys: usize) {
        self.restart_needed.store(keys > 0, Ordering::Relaxed);
    }

    /// So many files of certificates have changed and cannot be used.
    pub fn certificate_faults(&self, files: usize) {
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        self.certificate_faults.store(files, Ordering::Relaxed);
    }

    /// The text of a scrape (of type [`CONTENT_TYPE`]), with `more` that the caller has gathered from the snapshot by
    /// [`Family::with`](families::Family::with). Families come by name.
    #[must_use]
    pub fn text(&self, more: Vec<MetricFamily>) -> String {
        let mut sheet = Sheet::default();
        let counted = self.registry.gather();
        counted
            .into_iter()
            .chain(more)
            .for_each(|family| sheet.merge(family));
        sheet.print()
    }

    /// Sums what all workers have counted.
    fn gather(&self, sheet: &mut Sheet) {
        let (traffic, pools, listeners) = self.with_handles(|handles| {
            (
                handles.traffic.living(),
                handles.pools.living(),
                handles.listeners.living(),
            )
        });
        traffic.iter().for_each(|handle| handle.gather(sheet));
        pools.iter().for_each(|handle| handle.gather(sheet));
        listeners.iter().for_each(|handle| handle.gather(sheet));
        for worker in 0..self.workers {
            let counts = listeners
                .iter()
                .map(|handle| handle.of_worker(WorkerId(worker)));
            let (opened, closed) = counts.fold((0, 0), |(opened, closed), of| {
                (opened + of.0, closed + of.1)
            });
            let labels = [&*worker.to_string()];
            sheet.level(&families::WORKER_CONNECTIONS, &labels, opened, closed);
        }
        self.gather_own(sheet);
        self.process.gather(sheet);
    }

    fn gather_own(&self, sheet: &mut Sheet) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let flag = |flag: &AtomicBool| u64::from(flag.load(Ordering::Relaxed));
        sheet.count(&families::PANICS, &[], read(&self.panics));
        let dropped = read(&self.access_log_dropped);
        sheet.count(&families::ACCESS_LOG_DROPPED, &[], dropped);
        for outcome in Reload::ALL {
            let count = read(&self.reloads[outcome as usize]);
            sheet.count(&families::CONFIG_RELOADS, &[outcome.word()], count);
        }
        let successful = 1 - flag(&self.last_reload_failed);
        sheet.count(&families::CONFIG_LAST_RELOAD_SUCCESSFUL, &[], successful);
        let success_seconds = read(&self.last_success_micros) as f64 / 1e6;
        sheet.add(&families::CONFIG_LAST_RELOAD_SUCCESS, &[], success_seconds);
        let restart = flag(&self.restart_needed);
        sheet.count(&families::CONFIG_RESTART_NEEDED, &[], restart);
        let faults = read(&self.certificate_faults);
        sheet.count(&families::TLS_CERTIFICATE_FAULTS, &[], faults);
        sheet.count(&families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    }

    fn with_handles<R>(&self, read: impl FnOnce(&mut Handles) -> R) -> R {
        // A panic under the lock leaves at worst a handle that was not entered.
        read(&mut self.handles.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one collector of the registry: sums the cells when it is asked. It describes nothing beforehand, because names
/// come and go with the configuration.
struct Summed(Weak<Metrics>);

impl Collector for Summed {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sheet = Sheet::default();
        if let Some(metrics) = self.0.upgrade() {
            metrics.gather(&mut sheet);
        }
        sheet.into_families()
    }
}

/// Handles by name, as long as someone holds them.
#[derive(Debug)]
struct ByName<K, T> {
    handles: BTreeMap<K, Weak<T>>,
    /// At this size the dead are cleared away, so that a process that is never scraped does not collect them.
    clear_at: usize,
}

impl<K, T> Default for ByName<K, T> {
    fn default() -> Self {
        Self {
            handles: BTreeMap::new(),
            clear_at: 64,
        }
    }
}

impl<K: Ord, T> ByName<K, T> {
    fn get_or_make(&mut self, name: K, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(living) = self.handles.get(&name).and_then(Weak::upgrade) {
            return living;
        }
        if self.handles.len() >= self.clear_at {
            self.handles.retain(|_, handle| handle.strong_count() > 0);
            self.clear_at = 2 * self.handles.len() + 64;
        }
        let made = Arc::new(make());
        self.handles.insert(name, Arc::downgrade(&made));
        made
    }

    fn living(&mut self) -> Vec<Arc<T>> {
        let mut living = Vec::with_capacity(self.handles.len());
        self.handles.retain(|_, handle| {
            let held = handle.upgrade();
            let lives = held.is_some();
            living.extend(held);
            lives
        });
        living
    }
}

#[cfg(test)]
mod tests;
