//! The orderly end: `/readyz` fails, connections are still accepted for a while, then what is under way may finish.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::change::{Change, ReloadCause};

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGTERM or SIGQUIT: the delay is kept.
    Orderly,
    /// SIGINT: somebody waits at a terminal, the delay is skipped.
    Prompt,
}

/// The signals that a proxy listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    reload: Signal,
    reopen: Signal,
    upgrade: Signal,
    file_size: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the runtime cannot.
    pub(crate) fn try_new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
            file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Passes on what signals ask of `control` until one asks for the end, or asks for it again.
    pub(crate) async fn ending(&mut self, changes: &mpsc::Sender<Change>) -> Ending {
        loop {
            let change = tokio::select! {
                _ = self.terminate.recv() => return Ending::Orderly,
                _ = self.quit.recv() => return Ending::Orderly,
                _ = self.interrupt.recv() => return Ending::Prompt,
                _ = self.reload.recv() => {
                    let cause = ReloadCause::Signal;
                    Change::Reload { cause, reply: None }
                }
                _ = self.reopen.recv() => Change::ReopenLogs,
                // A file as large as the system lets one be (`ulimit -f`) is an error of the write, which the access
                // log tells; left alone, the signal would end the process.
                _ = self.file_size.recv() => continue,
                _ = self.upgrade.recv() => {
                    tracing::warn!("SIGUSR2 is ignored: the upgrade in flight is not in this version");
                    continue;
                }
            };
            if changes.send(change).await.is_err() {
                tracing::error!("Control has ended, a signal could not be acted upon");
            }
        }
    }
}

/// Waits for at most so long, without end where the limit is zero; `None` when the time was over first.
pub(crate) async fn at_most<T>(limit: Duration, done: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() {
        return Some(done.await);
    }
    tokio::time::timeout(limit, done).await.ok()
}
