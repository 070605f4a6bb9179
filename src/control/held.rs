//! What the control task holds: everything that only it may change.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::access_log::AccessLog;
use crate::change::{Change, ReloadCause, ReloadOutcome};
use crate::config::{Config, Loaded, Problems};
use crate::control::endpoints::Endpoints;
use crate::control::report::Board;
use crate::listener::Acceptor;
use crate::metrics::Metrics;
use crate::probe::Prober;
use crate::snapshot::Store;
/// Takes up a part of a configuration that lives outside of `control`, or tells why it cannot.
pub(crate) type Admit = Box<dyn Fn(&Config) -> io::Result<()>>;

/// The control task.
pub(crate) struct Control {
    pub(crate) path: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) board: Board,
    pub(crate) endpoints: Endpoints,
    pub(crate) acceptor: Acceptor,
    pub(crate) prober: Prober,
    pub(crate) access_log: AccessLog,
    /// Told when a configuration has come into force, with the files that it depends on.
    pub(crate) watched: watch::Sender<Vec<PathBuf>>,
    /// Takes up what the admin address depends on, such as its token, or tells why it cannot.
    pub(crate) admit: Admit,
    pub(crate) changes: mpsc::Receiver<Change>,
}

/// A configuration that is being read on a thread of its own, and who waits for what comes of it.
pub(super) struct Reading {
    pub(super) result: oneshot::Receiver<Result<Box<Loaded>, Problems>>,
    pub(super) replies: Vec<oneshot::Sender<ReloadOutcome>>,
    pub(super) cause: ReloadCause,
}
