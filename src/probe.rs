//! Probes: when they are sent, how, and what they amount to.
//!
//! One prober a process, on a thread and a runtime of its own, so that neither traffic nor a slow reload delays a
//! probe and no probe costs the request path anything. It is told what to probe by a [`Plan`] and tells `control` each
//! [`Verdict`](crate::change::Verdict); it never writes what workers read. It relies on `probe/rounds.rs` for the loop
//! and on the pure `probe/{schedule,verdict}.rs` for what is decided in it. What a verdict does to an endpoint's state
//! is decided in `endpoint/state.rs`, how many may be dead in `endpoint/liveness.rs`.

mod answer;
mod ask;
mod counts;
mod exec;
mod grpc;
mod http;
mod plan;
mod rounds;
mod schedule;
mod subject;
mod tcp;
mod verdict;
mod within;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::change::Change;
use rounds::Rounds;

pub use counts::{Counts, ProbeResult, Series, Tally};
pub use plan::{Plan, Target};

/// The name of the prober's thread.
pub const THREAD: &str = "fiel-probe";

/// The name of the threads that start the programs of `exec` probes, which would hold up the others by a millisecond
/// each. They are there only while needed.
const EXEC_THREAD: &str = "fiel-probe-exec";

/// How many of these there are at most.
const EXEC_THREADS: usize = 2;

/// The handle of the prober; dropping it ends the probing and waits for the thread, which ends at once.
#[derive(Debug)]
pub struct Prober {
    /// `None` only while it is being dropped.
    plans: Option<watch::Sender<Arc<Plan>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Starts the thread, with nothing to probe yet. The seed decides how probes are spread over their periods.
    ///
    /// Verdicts go to `changes`. When nobody takes them there, probing goes on until some thousands wait, then it
    /// waits too.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn start(
        changes: mpsc::Sender<Change>,
        counts: Arc<Counts>,
        seed: u64,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name(EXEC_THREAD)
            .max_blocking_threads(EXEC_THREADS)
            .build()?;
        let (plans, plans_taken) = watch::channel(Arc::default());
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                runtime.block_on(Rounds::new(ask::ask, changes, counts, seed).run(plans_taken));
                // Without waiting for a program that is just being started; it is killed when it is.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            plans: Some(plans),
            thread: Some(thread),
        })
    }

    /// Probes by this plan from now on; returns at once. Of plans that come in quick succession the last one counts.
    ///
    /// A target that both plans have, with the same endpoint and the same probes, keeps its place in the schedule, its
    /// counted results and its probe in flight: nothing is sent because of the change. One whose probes have changed
    /// keeps what was found and is probed anew. The probe in flight of one that is gone is dropped.
    pub fn follow(&self, plan: Plan) {
        let told = self
            .plans
            .as_ref()
            .is_some_and(|plans| plans.send(Arc::new(plan)).is_ok());
        if !told {
            tracing::error!("Prober has stopped, endpoints keep their states");
        }
    }

    /// Whether its thread runs. It ends by itself only by a defect.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        drop(self.plans.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!("Prober panicked");
        }
    }
}

#[cfg(test)]
mod tests;
