//! What the control task holds: everything that only it may change.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::access_log::AccessLog;
use crate::change::{Change, ReloadCause, ReloadOutcome};
use crate::config::{Config, Loaded, Problems};
use crate::control::certificates::{Renewed, Servers};
use crate::control::endpoints::Endpoints;
use crate::control::report::{Board, Settled};
use crate::discovery::Discovery;
use crate::listener::Acceptor;
use crate::metrics::Metrics;
use crate::phase::Phase;
use crate::probe::Prober;
use crate::snapshot::Store;
use crate::supervisor::Supervisor;

/// Reads what a configuration needs outside of `control`, or tells why it cannot. What it gives back takes that up,
/// once nothing else can fail.
pub(crate) type Admit = Box<dyn Fn(&Config) -> io::Result<Box<dyn FnOnce()>>>;

/// The control task.
pub(crate) struct Control {
    pub(crate) path: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) board: Board,
    pub(crate) endpoints: Endpoints,
    pub(crate) servers: Servers,
    /// None any more once the proxy drains.
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) prober: Prober,
    pub(crate) discovery: Discovery,
    pub(crate) access_log: AccessLog,
    /// Told when a configuration has come into force, with the files that it depends on.
    pub(crate) watched: watch::Sender<Vec<PathBuf>>,
    /// The same for the files of certificates and authorities.
    pub(crate) watched_certificates: watch::Sender<Vec<PathBuf>>,
    /// For what the admin address depends on, such as its token.
    pub(crate) admit: Admit,
    /// Whether probes have had their first say.
    pub(crate) settled: Settled,
    /// Where the process stands: an order may begin its leaving.
    pub(crate) phase: Arc<Phase>,
    /// Told when it serves, and when it reloads.
    pub(crate) supervisor: Rc<Supervisor>,
    pub(crate) changes: mpsc::Receiver<Change>,
}

/// What was read.
pub(super) enum Read {
    /// The whole configuration.
    Whole(Box<Loaded>),
    /// The files of certificates and authorities, of the configuration in force.
    Certificates(Vec<Renewed>),
}

/// What is being read on a thread of its own, and who waits for what comes of it.
pub(super) struct Reading {
    pub(super) result: oneshot::Receiver<Result<Read, Problems>>,
    pub(super) replies: Vec<oneshot::Sender<ReloadOutcome>>,
    pub(super) cause: ReloadCause,
}

impl Reading {
    /// Who asked, to be told by another reading.
    pub(super) fn who_asked(self) -> Vec<Asked> {
        let cause = self.cause;
        match self.replies.is_empty() {
            true => vec![(cause, None)],
            false => self
                .replies
                .into_iter()
                .map(|reply| (cause, Some(reply)))
                .collect(),
        }
    }
}

/// Who asked for a reload, and whom to tell what came of it.
pub(super) type Asked = (ReloadCause, Option<oneshot::Sender<ReloadOutcome>>);
