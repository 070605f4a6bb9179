//! Puts the proxy together: configuration, sockets, workers, control, admin, signals.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch as cell};
use tower::layer::util::Identity;
use tower::{Layer, Service};

use crate::access_log::{AccessLog, Closed};
use crate::admin::{self, Access, Admin, Rules};
use crate::body::RequestBody;
use crate::change::Change;
use crate::config::model::{Bind, Shutdown, SocketRights};
use crate::config::{self, Config, Loaded, Problems};
use crate::control::certificates::{Made, Servers, terms};
use crate::control::report::{Board, Report, Settled};
use crate::control::watch::{self, Seen};
use crate::control::{CHANGES, Control, Endpoints, reload};
use crate::discovery::Discovery;
use crate::listener::{Acceptor, Bound, Desk};
use crate::metrics::{Metrics, WorkerId};
use crate::phase::{Heartbeats, Phase, Stage};
use crate::probe::{Counts, Prober};
use crate::program;
use crate::request::Proxy;
use crate::shutdown::{Ending, Signals, at_most};
use crate::snapshot::{Store, build};
use crate::socket::Listening;
use crate::supervisor::Supervisor;
use crate::units::print_duration;
use crate::worker::{Cut, Worker};

/// How long the lines of the last requests may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(2);

/// Why the proxy did not come to run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(Problems),
    /// An address could not be had.
    #[error("could not bind {address}: {source}")]
    Bind {
        /// The address.
        address: Bind,
        /// The kernel's word.
        source: io::Error,
    },
    /// Something else that it needs could not be had.
    #[error("could not start {what}: {source}")]
    Start {
        /// What.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

/// Where a proxy that has come up listens.
#[derive(Clone, Debug)]
pub struct Running {
    /// The listeners' addresses, by name, in the order of the configuration.
    pub listeners: Vec<(Arc<str>, Bind)>,
    /// The admin address.
    pub admin: Bind,
}

/// Runs the proxy with the configuration at `path` until a signal ends it. `ready` is called once, when it serves.
///
/// # Errors
/// When it could not come up; nothing is left behind then.
pub fn run(path: &Path, ready: impl FnOnce(&Running)) -> Result<(), RunError> {
    run_with(path, Identity::new(), ready)
}

/// The same, with a layer of one's own around the whole path of every request.
///
/// # Errors
/// When it could not come up; nothing is left behind then.
pub fn run_with<L, B>(path: &Path, layer: L, ready: impl FnOnce(&Running)) -> Result<(), RunError>
where
    L: Layer<Proxy> + Clone + Send + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    <L::Service as Service<Request<RequestBody>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    run_until(path, layer, ready, pending())
}

/// The same, until `until` is over or a signal comes, whichever is first: either drains as SIGTERM does. Any signal to
/// end that comes after it ends the whole process at once.
///
/// # Errors
/// When it could not come up; nothing is left behind then.
pub fn run_until<L, B>(
    path: &Path,
    layer: L,
    ready: impl FnOnce(&Running),
    until: impl Future<Output = ()>,
) -> Result<(), RunError>
where
    L: Layer<Proxy> + Clone + Send + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    <L::Service as Service<Request<RequestBody>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let seen = Seen::now(path);
    let loaded = config::load(path).map_err(RunError::Config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(starting("the runtime"))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let house = House::build(path, seen, loaded, layer).await?;
        house.live(ready, until).await
    })
}

fn starting(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Start { what, source }
}

/// Everything that runs.
struct House {
    running: Running,
    store: Arc<Store>,
    phase: Arc<Phase>,
    workers: Vec<oneshot::Receiver<Cut>>,
    control: Control,
    changes: mpsc::Sender<Change>,
    signals: Signals,
    supervisor: Rc<Supervisor>,
}

impl House {
    async fn build<L, B>(
        path: &Path,
        seen: Seen,
        loaded: Loaded,
        layer: L,
    ) -> Result<Self, RunError>
    where
        L: Layer<Proxy> + Clone + Send + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error:
            Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // First, because a SIGHUP that nobody has taken over ends the process.
        let signals = Signals::try_new().map_err(starting("signal handling"))?;
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "Configuration is doubtful");
        }
        let now = SystemTime::now();
        let config = Arc::new(loaded.config);
        let mut servers = Servers::default();
        let made = servers.make(&config);
        let made = made.map_err(io::Error::other).map_err(starting("TLS"))?;
        let count = worker_count(&config);
        let metrics = Metrics::new(count);
        let bound = bind_all(&config, &made, &metrics)?;
        servers.follow(made);
        let (admin_socket, admin_address) =
            bind_admin(&config.admin.bind, config.admin.rights.as_ref())?;
        let read_socket = config.admin.read_bind.map(Bind::Tcp);
        let read_socket = read_socket.map(|address| bind_admin(&address, None));
        let read_socket = read_socket.transpose()?;
        let addresses: Vec<(Arc<str>, Bind)> = bound
            .iter()
            .map(|(bound, address)| (Arc::clone(&bound.terms.listener.name), address.clone()))
            .collect();
        metrics.configured(now);
        let access_log = AccessLog::start(&config.access_log, Arc::clone(&metrics))
            .map_err(starting("the access log"))?;
        let (changes, taken) = mpsc::channel(CHANGES);
        let mut endpoints = Endpoints::new(count);
        endpoints.configure(&config, now);
        let first = build::whole(Arc::clone(&config), &endpoints, &metrics, None);
        let store = Arc::new(Store::new(first, count));
        let phase = Arc::new(Phase::new());
        let heartbeats = Arc::new(Heartbeats::new(count));
        let (desk, inboxes) = Desk::new(count);
        let (mut acceptor, accepting) = Acceptor::new(desk);
        let mut accepting = Some(accepting);
        if count > 1
            && let Some(accepting) = accepting.take()
        {
            let started = acceptor.run_apart(accepting);
            started.map_err(starting("the acceptor"))?;
        }
        let mut workers = Vec::with_capacity(count);
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let worker = Worker {
                id: WorkerId(index),
                inbox,
                accepting: accepting.take(),
                store: Arc::clone(&store),
                metrics: Arc::clone(&metrics),
                logger: access_log.handle(),
                phase: Arc::clone(&phase),
                heartbeats: Arc::clone(&heartbeats),
                seed: fastrand::u64(..),
            };
            workers.push(worker.start(layer.clone()).map_err(starting("a worker"))?);
        }
        let counts = Arc::new(Counts::new());
        let prober = Prober::start(changes.clone(), Arc::clone(&counts), fastrand::u64(..))
            .map_err(starting("the prober"))?;
        prober.follow(endpoints.plan(&config));
        let discovery = Discovery::start(changes.clone(), fastrand::u64(..))
            .map_err(starting("the discovery of names"))?;
        discovery.follow(endpoints.wanted(&config));
        let settled = match endpoints.all_judged() {
            true => Settled::Yes,
            false => Settled::NotYet,
        };
        let board = Board::new(Report {
            hash: loaded.hash,
            loaded_at: now,
            redacted: Arc::new(loaded.redacted),
            last_error: None,
            certificate_faults: Vec::new(),
            restart_needed: Vec::new(),
            bound: addresses.iter().cloned().collect::<BTreeMap<_, _>>(),
            leaving: Vec::new(),
            held: BTreeMap::new(),
            names: endpoints.names(),
            settled,
        });
        for (bound, address) in bound {
            tracing::info!(listener = %bound.terms.listener.name, %address, "Listening");
            acceptor.listen(bound).await;
        }
        let admin = Arc::new(Admin {
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            probes: counts,
            board: board.clone(),
            phase: Arc::clone(&phase),
            heartbeats: Arc::clone(&heartbeats),
            changes: changes.clone(),
        });
        let (rules, followed) =
            cell::channel(Rules::read(&config.admin).map_err(starting("the admin address"))?);
        tracing::info!(address = %admin_address, "Admin listening");
        let access = Access::full(&admin_address, followed.clone());
        tokio::task::spawn_local(admin::serve(
            admin_socket,
            Arc::clone(&admin),
            access,
            pending::<()>(),
        ));
        if let Some((socket, address)) = read_socket {
            tracing::info!(%address, "Admin listening for reading");
            tokio::task::spawn_local(admin::serve(
                socket,
                admin,
                Access::read_only(followed),
                pending::<()>(),
            ));
        }
        let (watched, files) = cell::channel(loaded.files);
        tokio::task::spawn_local(watch::follow(seen, files, changes.clone()));
        let (watched_certificates, files) = cell::channel(config.certificate_files());
        tokio::task::spawn_local(watch::follow_certificates(files, changes.clone()));
        let supervisor = Rc::new(Supervisor::of_environment());
        tokio::task::spawn_local(Rc::clone(&supervisor).vouch(heartbeats));
        let control = Control {
            path: path.to_owned(),
            store: Arc::clone(&store),
            metrics,
            board,
            endpoints,
            servers,
            acceptor: Some(acceptor),
            prober,
            discovery,
            access_log,
            watched,
            watched_certificates,
            admit: Box::new(move |config| {
                let (rules, read) = (rules.clone(), Rules::read(&config.admin)?);
                Ok(Box::new(move || {
                    rules.send_replace(read);
                }))
            }),
            settled,
            phase: Arc::clone(&phase),
            supervisor: Rc::clone(&supervisor),
            changes: taken,
        };
        Ok(Self {
            running: Running {
                listeners: addresses,
                admin: admin_address,
            },
            store,
            phase,
            workers,
            control,
            changes,
            signals,
            supervisor,
        })
    }

    async fn live(
        self,
        ready: impl FnOnce(&Running),
        until: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let Self {
            running,
            store,
            phase,
            workers,
            control,
            changes,
            mut signals,
            supervisor,
        } = self;
        tracing::info!(workers = workers.len(), "Ready");
        ready(&running);
        tokio::task::spawn_local(program::shed_at_rests());
        let control = tokio::task::spawn_local(control.run());
        let ending = tokio::select! {
            ending = signals.ending(&changes) => ending,
            () = until => Ending::Orderly,
        };
        let mut shutdown = store.newest().config.shutdown.clone();
        if ending == Ending::Prompt {
            shutdown.delay = Duration::ZERO;
        }
        let limited = !shutdown.drain.is_zero();
        supervisor.stopping(limited.then(|| shutdown.delay + shutdown.drain + LOG_FLUSH));
        let end = end(&shutdown, &phase, workers, control, &changes);
        tokio::select! {
            () = end => Ok(()),
            _ = signals.ending(&changes) => {
                tracing::warn!("Second signal, ending at once");
                std::process::exit(0);
            }
        }
    }
}

/// Brings everything to its orderly end.
async fn end(
    shutdown: &Shutdown,
    phase: &Phase,
    workers: Vec<oneshot::Receiver<Cut>>,
    control: tokio::task::JoinHandle<AccessLog>,
    changes: &mpsc::Sender<Change>,
) {
    tracing::info!(
        delay = print_duration(shutdown.delay),
        drain = print_duration(shutdown.drain),
        "Draining"
    );
    phase.enter(Stage::Delaying);
    // An order to drain may have begun it before.
    tokio::time::sleep(shutdown.delay.saturating_sub(phase.leaving_for())).await;
    let (done, stopped) = oneshot::channel();
    // Control may have ended by a defect, which leaves nobody to tell, and has closed the sockets.
    changes.send(Change::StopAccepting { done }).await.ok();
    stopped.await.ok();
    phase.enter(Stage::Draining);
    let mut ended = std::pin::pin!(all_ended(workers));
    if at_most(shutdown.drain, ended.as_mut()).await.is_none() {
        phase.enter(Stage::Ending);
        let cut = ended.await;
        tracing::warn!(
            connections = cut,
            "Time to drain is over, what was under way is cut"
        );
    }
    changes.send(Change::End).await.ok();
    let access_log = control.await.ok();
    if access_log.is_some_and(|log| log.close(LOG_FLUSH) == Closed::CutShort) {
        tracing::warn!("Last lines of the access log could not be written in time");
    }
    tracing::info!("Ended");
}

/// Waits until every worker has ended; how many connections they cut.
async fn all_ended(workers: Vec<oneshot::Receiver<Cut>>) -> usize {
    let mut busy = 0;
    for worker in workers {
        // A worker that panicked tells nothing.
        busy += worker.await.unwrap_or_default().busy;
    }
    busy
}

fn bind_all(
    config: &Config,
    made: &Made,
    metrics: &Metrics,
) -> Result<Vec<(Bound, Bind)>, RunError> {
    config
        .listeners
        .iter()
        .map(|listener| {
            reload::bind(terms(listener, made, metrics)).map_err(|source| RunError::Bind {
                address: listener.bind.clone(),
                source,
            })
        })
        .collect()
}

/// An admin address that listens, and where it does.
fn bind_admin(
    address: &Bind,
    rights: Option<&SocketRights>,
) -> Result<(AsyncFd<Listening>, Bind), RunError> {
    admin::bind(address, rights).map_err(|source| RunError::Bind {
        address: address.clone(),
        source,
    })
}

/// As configured, or the cores that this process may use: the scheduler's mask and the cgroup's quota both count.
fn worker_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    config.workers.unwrap_or_else(cores).get()
}
