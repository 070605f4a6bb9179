//! Discovery: names of endpoints to their addresses, and when these change.
//!
//! One a process, on a thread and a runtime of its own, so that a name server that is slow or silent holds up neither
//! a request nor a start nor a reload. It is told which names to follow by [`Wanted`] and tells `control` what came of
//! each asking as a [`Resolution`](crate::change::Resolution); it never writes what workers read. `discovery/rounds.rs`
//! has the loop, `ask.rs` one asking; what is decided in them is pure: when to ask again (`schedule.rs`), what the
//! hosts file and resolv.conf say (`hosts.rs`, `resolv_conf.rs`).
//!
//! What an answer does to a pool is decided in `pool/roster.rs`, how long the last good one is kept in
//! `control/names.rs`. `docs/names.md` tells users all of it.

mod answer;
mod ask;
mod hosts;
mod resolv_conf;
mod rounds;
mod schedule;
mod system;
mod wanted;

use std::io;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::change::Change;
use rounds::Rounds;

pub use wanted::Wanted;

/// The name of the thread.
pub const THREAD: &str = "fiel-names";

/// The handle of the discovery; dropping it ends it and waits for the thread, which ends at once.
#[derive(Debug)]
pub struct Discovery {
    /// `None` only while it is being dropped.
    wanted: Option<watch::Sender<Wanted>>,
    thread: Option<JoinHandle<()>>,
}

impl Discovery {
    /// Starts the thread, with nothing to ask for yet. The seed decides how askings are spread over time.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub fn start(changes: mpsc::Sender<Change>, seed: u64) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (wanted, wanted_taken) = watch::channel(Wanted::default());
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || runtime.block_on(Rounds::new(changes, seed).run(wanted_taken)))?;
        Ok(Self {
            wanted: Some(wanted),
            thread: Some(thread),
        })
    }

    /// Follows these names from now on; returns at once. Of several in quick succession the last one counts.
    ///
    /// A name that stays keeps its place in the schedule; a new one is asked for at once. Where the resolver's settings
    /// differ, all are.
    pub fn follow(&self, wanted: Wanted) {
        let told = self
            .wanted
            .as_ref()
            .is_some_and(|wanted_sender| wanted_sender.send(wanted).is_ok());
        if !told {
            tracing::error!("Discovery has stopped, names keep their addresses");
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

impl Drop for Discovery {
    fn drop(&mut self) {
        drop(self.wanted.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(_)) = ended {
            tracing::error!("Discovery panicked");
        }
    }
}
