//! Where the process stands between start and exit, as every part may read it and wait for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Running,
    /// SIGTERM has come, or an order to drain: it goes on accepting, `/readyz` fails, answers ask clients to close.
    Delaying,
    /// It accepts nothing new; what is under way goes on.
    Draining,
    /// What is still under way is cut.
    Ending,
}

/// The writing side; there is one.
#[derive(Debug)]
pub struct Phase {
    sender: watch::Sender<Stage>,
    /// When it last was running.
    left: OnceLock<Instant>,
}

impl Phase {
    /// Begins as running.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sender: watch::Sender::new(Stage::Running),
            left: OnceLock::new(),
        }
    }

    /// Moves on; a phase never goes back.
    pub fn enter(&self, stage: Stage) {
        if stage > Stage::Running {
            self.left.get_or_init(Instant::now);
        }
        self.sender.send_if_modified(|now| {
            let later = stage > *now;
            if later {
                *now = stage;
            }
            later
        });
    }

    /// For how long it has not been running any more.
    #[must_use]
    pub fn leaving_for(&self) -> Duration {
        self.left.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// The present stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.sender.borrow()
    }

    /// A reader that can wait for the next stage. The present one counts as a next one too: who begins to read only
    /// after a change, as a thread that the system was slow to start, must not wait for another.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Stage> {
        let mut reader = self.sender.subscribe();
        reader.mark_changed();
        reader
    }
}

impl Default for Phase {
    fn default() -> Self {
        Self::new()
    }
}

/// A worker that has not turned its loop for longer than this is stuck.
const STUCK: Duration = Duration::from_secs(15);

/// When each worker last turned its loop, for `/livez`.
#[derive(Debug)]
pub struct Heartbeats {
    /// Seconds since the process began, one a worker. Relaxed: a reader only compares it with the present time.
    beats: Box<[AtomicU64]>,
    began: Instant,
}

impl Heartbeats {
    /// For so many workers, all alive now.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            beats: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            began: Instant::now(),
        }
    }

    /// A worker is alive; called about once a second.
    pub fn beat(&self, worker: usize) {
        self.beats[worker].store(self.began.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// A worker has come to its end in order; it is missed no longer.
    pub fn end(&self, worker: usize) {
        self.beats[worker].store(u64::MAX, Ordering::Relaxed);
    }

    /// How long the worker that has not turned its loop for longest has not, where that is too long.
    #[must_use]
    pub fn stuck(&self) -> Option<Duration> {
        Some(self.longest_silence()).filter(|silence| *silence > STUCK)
    }

    /// The longest time that any worker has not turned its loop.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        let now = self.began.elapsed().as_secs();
        let oldest = self
            .beats
            .iter()
            .map(|beat| beat.load(Ordering::Relaxed))
            .min();
        Duration::from_secs(now.saturating_sub(oldest.unwrap_or(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_comes_late_is_told_the_present_stage() {
        let phase = Phase::new();
        phase.enter(Stage::Draining);

        let mut late = phase.follow();

        let told = tokio::time::timeout(Duration::from_secs(1), late.changed()).await;
        assert!(matches!(told, Ok(Ok(()))), "{told:?}");
        assert_eq!(*late.borrow_and_update(), Stage::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_has_ended_is_not_missed_and_one_that_is_stuck_is() {
        let beats = Heartbeats::new(2);
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(beats.stuck(), Some(Duration::from_secs(16)));

        beats.end(0);
        beats.beat(1);
        assert_eq!(beats.stuck(), None);
        tokio::time::advance(Duration::from_secs(16)).await;
        assert_eq!(beats.stuck(), Some(Duration::from_secs(16)));
        beats.end(1);
        assert_eq!(beats.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_it_is_leaving_counts_from_the_first_word_of_it() {
        let phase = Phase::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(phase.leaving_for(), Duration::ZERO);
        for stage in [Stage::Delaying, Stage::Delaying, Stage::Draining] {
            phase.enter(stage);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(phase.leaving_for(), Duration::from_secs(3));
    }

    #[test]
    fn a_phase_never_goes_back() {
        let phase = Phase::new();
        phase.enter(Stage::Ending);
        phase.enter(Stage::Delaying);
        assert_eq!(phase.stage(), Stage::Ending);
    }
}
