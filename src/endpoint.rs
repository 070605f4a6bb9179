//! One endpoint: its identity, its state as the request path reads it, its requests in flight.
//!
//! An `Endpoint` outlives snapshots: a reload that keeps its pool's name and its address keeps the very same `Arc`.
//! Its weight, zone and role may change with a reload and therefore live in the pool, not here. Only `control` sets
//! the state; probes leave their last result for the status page.

pub mod liveness;
pub mod load;
pub mod state;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::change::{EndpointKey, ProbeKind};
use crate::location::Location;

pub use load::InFlight;
pub use state::{Health, Held, Probes, State};

/// One endpoint of one pool.
#[derive(Debug)]
pub struct Endpoint {
    key: EndpointKey,
    label: Arc<str>,
    /// Written by `control` before the snapshot that follows from it is published, read by workers when a try ends
    /// badly. Relaxed: it only sharpens a verdict, the snapshot is what orders.
    state: AtomicU8,
    in_flight: InFlight,
    history: Mutex<History>,
}

/// What the status page tells about an endpoint; no request reads it.
#[derive(Clone, Debug)]
pub struct History {
    /// When it came into its present state.
    pub since: SystemTime,
    /// Why.
    pub reason: Box<str>,
    /// The last probe of each kind.
    pub probes: Vec<ProbeReport>,
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeReport {
    /// Which one.
    pub probe: ProbeKind,
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether this one try succeeded.
    pub succeeded: bool,
    /// What came back: `HTTP 200`, `connection refused`, `timeout after 1s`.
    pub detail: Box<str>,
}

impl Endpoint {
    /// An endpoint that has just come into the configuration.
    #[must_use]
    pub fn new(key: EndpointKey, state: State, workers: usize, now: SystemTime) -> Self {
        let label = key.address.to_string().into();
        Self {
            key,
            label,
            state: AtomicU8::new(state as u8),
            in_flight: InFlight::new(workers),
            history: Mutex::new(History {
                since: now,
                reason: "configured".into(),
                probes: Vec::new(),
            }),
        }
    }

    /// Its pool and address.
    #[must_use]
    pub fn key(&self) -> &EndpointKey {
        &self.key
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> &Location {
        &self.key.address
    }

    /// Its address as text, made once.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> State {
        State::from_u8(self.state.load(Ordering::Relaxed))
    }

    /// Sets the state; only `control` does.
    pub fn set_state(&self, state: State, reason: &str, now: SystemTime) {
        self.state.store(state as u8, Ordering::Relaxed);
        let mut history = self.lock_history();
        history.since = now;
        history.reason = reason.into();
    }

    /// Leaves the result of a probe for the status page.
    pub fn report_probe(&self, report: ProbeReport) {
        let mut history = self.lock_history();
        match history
            .probes
            .iter_mut()
            .find(|known| known.probe == report.probe)
        {
            Some(known) => *known = report,
            None => history.probes.push(report),
        }
    }

    /// A copy of what the status page tells.
    #[must_use]
    pub fn history(&self) -> History {
        self.lock_history().clone()
    }

    /// Requests in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.sum()
    }

    /// The counts of them.
    #[must_use]
    pub fn load(&self) -> &InFlight {
        &self.in_flight
    }

    fn lock_history(&self) -> std::sync::MutexGuard<'_, History> {
        // A panic while it was held can only have left an old entry behind, which is still worth showing.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
