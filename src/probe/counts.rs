//! What the prober counts: results and durations a pool and probe, and how late it is.
//!
//! The prober's thread alone writes, anyone may read. Series go when their pool leaves the plan.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::change::ProbeKind;
use crate::metrics::cells::Durations;

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeResult {
    /// The endpoint gave the answer that was hoped for.
    Success,
    /// It did not.
    Failure,
    /// The probe could not be sent for a reason of this host's own (no file descriptor left, no local port): it says
    /// nothing about the endpoint and counts towards no threshold.
    Unknown,
}

impl ProbeResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Unknown];

    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }
}

/// One probe of one pool: `fiel_probes_total` is the sum of a result's buckets, `fiel_probe_duration_seconds` its
/// buckets.
#[derive(Debug, Default)]
pub struct Tally {
    success: Durations,
    failure: Durations,
    unknown: Durations,
}

impl Tally {
    /// The durations of the probes that ended so.
    #[must_use]
    pub fn of(&self, result: ProbeResult) -> &Durations {
        match result {
            ProbeResult::Success => &self.success,
            ProbeResult::Failure => &self.failure,
            ProbeResult::Unknown => &self.unknown,
        }
    }
}

/// A tally and whose it is.
#[derive(Clone, Debug)]
pub struct Series {
    /// The pool.
    pub pool: Arc<str>,
    /// The probe.
    pub probe: ProbeKind,
    /// What was counted.
    pub tally: Arc<Tally>,
}

type Tallies = BTreeMap<(Arc<str>, ProbeKind), Arc<Tally>>;

/// Everything that one prober counts.
#[derive(Debug)]
pub struct Counts {
    /// Held while a plan is taken over or a scrape lists the series, never while a probe is counted.
    tallies: Mutex<Tallies>,
    epoch: Instant,
    lag: Lag,
}

impl Counts {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tallies: Mutex::default(),
            epoch: Instant::now(),
            lag: Lag::default(),
        }
    }

    /// The series, sorted by pool and probe. A probe that serves several pools counts in each of them.
    #[must_use]
    pub fn series(&self) -> Vec<Series> {
        self.lock()
            .iter()
            .map(|((pool, probe), tally)| Series {
                pool: Arc::clone(pool),
                probe: *probe,
                tally: Arc::clone(tally),
            })
            .collect()
    }

    /// How late the latest probe of the last 10 to 20 seconds was sent, or is by now: `fiel_probe_lag_seconds`.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.lag.read(self.now())
    }

    /// The time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// The moment for a time since the beginning.
    pub(crate) fn moment(&self, since: Duration) -> Instant {
        self.epoch + since
    }

    /// A probe was sent.
    pub(crate) fn note_sent(&self, planned: Duration, sent: Duration) {
        self.lag.note(sent.saturating_sub(planned), sent);
    }

    /// The next probe is planned for then.
    pub(crate) fn note_next(&self, planned: Option<Duration>) {
        self.lag
            .next
            .store(planned.map_or(u64::MAX, nanos), Ordering::Relaxed);
    }

    /// The tally of a pool's probe, made at its first use.
    pub(crate) fn tally(&self, pool: &Arc<str>, kind: ProbeKind) -> Arc<Tally> {
        Arc::clone(self.lock().entry((Arc::clone(pool), kind)).or_default())
    }

    /// Forgets the tallies that do not belong any more.
    pub(crate) fn retain(&self, belongs: impl Fn(&str, ProbeKind) -> bool) {
        self.lock().retain(|(pool, kind), _| belongs(pool, *kind));
    }

    fn lock(&self) -> MutexGuard<'_, Tallies> {
        // Each change under it is one call on the map, so a panic leaves it whole.
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

/// The window over which the highest lag is shown; the one before is shown with it.
const WINDOW: Duration = Duration::from_secs(10);

/// The highest lag of this window and the one before, and what is planned next, so that a prober that has stopped
/// altogether shows too.
///
/// Relaxed everywhere: one writer, and a reader that catches the change of windows half-way is off by one window.
#[derive(Debug)]
struct Lag {
    window: AtomicU64,
    highest_nanos: AtomicU64,
    before_nanos: AtomicU64,
    /// `u64::MAX` for nothing.
    next: AtomicU64,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            window: AtomicU64::new(0),
            highest_nanos: AtomicU64::new(0),
            before_nanos: AtomicU64::new(0),
            next: AtomicU64::new(u64::MAX),
        }
    }
}

impl Lag {
    fn note(&self, lag: Duration, now: Duration) {
        let window = now.as_secs() / WINDOW.as_secs();
        let known = self.window.load(Ordering::Relaxed);
        if window != known {
            let last = if window == known + 1 {
                self.highest_nanos.load(Ordering::Relaxed)
            } else {
                0
            };
            self.before_nanos.store(last, Ordering::Relaxed);
            self.highest_nanos.store(0, Ordering::Relaxed);
            self.window.store(window, Ordering::Relaxed);
        }
        self.highest_nanos.fetch_max(nanos(lag), Ordering::Relaxed);
    }

    fn read(&self, now: Duration) -> Duration {
        let window = now.as_secs() / WINDOW.as_secs();
        let highest = self.highest_nanos.load(Ordering::Relaxed);
        let seen = match window.saturating_sub(self.window.load(Ordering::Relaxed)) {
            0 => highest.max(self.before_nanos.load(Ordering::Relaxed)),
            1 => highest,
            _ => 0,
        };
        let overdue = nanos(now).saturating_sub(self.next.load(Ordering::Relaxed));
        Duration::from_nanos(seen.max(overdue))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_highest_lag_shows_for_its_window_and_the_next_one() {
        let lag = Lag::default();
        lag.note(s(3), s(5));
        lag.note(s(1), s(6));
        assert_eq!(lag.read(s(9)), s(3));
        lag.note(s(1), s(12));
        assert_eq!(lag.read(s(13)), s(3));
        lag.note(s(2), s(21));
        assert_eq!(lag.read(s(22)), s(2));
        assert_eq!(lag.read(s(60)), Duration::ZERO);
    }

    #[test]
    fn what_is_overdue_shows_although_nothing_is_sent() {
        let lag = Lag::default();
        assert_eq!(lag.read(s(100)), Duration::ZERO);
        lag.next.store(nanos(s(40)), Ordering::Relaxed);
        assert_eq!(lag.read(s(39)), Duration::ZERO);
        assert_eq!(lag.read(s(100)), s(60));
    }

    #[test]
    fn series_go_with_their_pool() {
        let counts = Counts::new();
        let pool: Arc<str> = "shop".into();
        let tally = counts.tally(&pool, ProbeKind::Readiness);
        tally.of(ProbeResult::Success).observe(s(1));
        assert!(Arc::ptr_eq(
            &tally,
            &counts.tally(&pool, ProbeKind::Readiness)
        ));
        counts.tally(&"gone".into(), ProbeKind::Liveness);
        counts.retain(|pool, _| pool == "shop");
        let series = counts.series();
        assert_eq!(series.len(), 1);
        assert_eq!(
            (&series[0].pool, series[0].probe),
            (&pool, ProbeKind::Readiness)
        );
    }
}
