//! What `control` tells about itself: for the admin address, the status and the metrics. No request reads it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::config::model::Bind;
use crate::endpoint::Endpoint;

/// The present standing of the control side, shared with whoever shows it.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Report>>);

/// What is told.
#[derive(Clone, Debug)]
pub struct Report {
    /// A short hash of the configuration in force.
    pub hash: String,
    /// When it came into force.
    pub loaded_at: SystemTime,
    /// The configuration in force, defaults filled in, secrets left out.
    pub redacted: Arc<serde_json::Value>,
    /// Why the last reload was rejected, if it was.
    pub last_error: Option<Rejected>,
    /// Files of certificates that changed and cannot be used, so that what was read before stays.
    pub certificate_faults: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub restart_needed: Vec<String>,
    /// The addresses on which listeners are bound, by the listener's name.
    pub bound: BTreeMap<Arc<str>, Bind>,
    /// Endpoints that have left the configuration and still have requests in flight.
    pub leaving: Vec<Arc<Endpoint>>,
    /// How many endpoints of a pool fail liveness and are held as unready, by the pool's name; zeros are left out.
    pub held: BTreeMap<Arc<str>, usize>,
    /// What is known of each host name that endpoints are configured by.
    pub names: Arc<BTreeMap<Arc<str>, NameReport>>,
    /// Whether every probed endpoint has had its first verdict and every name its first answer, or has had time for it.
    pub settled: Settled,
}

/// What is known of a host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameReport {
    /// Its addresses by the last good answer, sorted; empty while there was none.
    pub addresses: Arc<[IpAddr]>,
    /// When the last good answer came.
    pub answered_at: Option<SystemTime>,
    /// How long that may be used, by its TTL; `None` when it does not come from DNS.
    pub ttl: Option<Duration>,
    /// Why the last asking brought no good answer, or not a whole one.
    pub problem: Option<Box<str>>,
    /// How often it was asked for, by what came of it.
    pub lookups: Lookups,
}

/// How often a name was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// With an answer.
    pub found: u64,
    /// Told that there is no address.
    pub missing: u64,
    /// With nothing of use.
    pub failed: u64,
}

/// A configuration that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// When.
    pub at: SystemTime,
    /// All its problems, as `fiel check` prints them.
    pub problems: Arc<str>,
}

/// Whether probes have had their first say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every probed endpoint has had its first verdict and every name its first answer, or 5 s have passed.
    Yes,
    /// Some are still without one.
    NotYet,
}

impl Board {
    /// Begins with a report.
    #[must_use]
    pub fn new(report: Report) -> Self {
        Self(Arc::new(Mutex::new(report)))
    }

    /// A copy of what is told now.
    #[must_use]
    pub fn read(&self) -> Report {
        self.lock().clone()
    }

    /// Changes what is told; only `control` does.
    pub(super) fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        // A report half updated by a panic is still the best there is to show.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
