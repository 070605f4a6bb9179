//! A worker: one thread, one runtime, its clients' connections and its own connections to endpoints.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tower::{Layer, Service};

use crate::access_log::Logger;
use crate::body::RequestBody;
use crate::config::model::Listener;
use crate::connection::{Accepted, Edge, Handshakes, Registry, serve};
use crate::header::forwarded::Scheme;
use crate::listener::{Accepting, Handed, Place, Terms};
use crate::metrics::{Metrics, WorkerId};
use crate::phase::{Heartbeats, Phase, Stage};
use crate::request::Proxy;
use crate::request::context::{Client, WorkerContext};
use crate::snapshot::{Store, View};

/// How often a worker looks after its unused connections and says that it is alive.
const TICK: Duration = Duration::from_secs(1);

/// What a worker is given.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) inbox: mpsc::Receiver<Handed>,
    /// What accepts, where it has no thread of its own: with several workers one of them would be at it while its
    /// connections wait, with one nothing is gained by a hop.
    pub(crate) accepting: Option<Accepting>,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) logger: Logger,
    pub(crate) phase: Arc<Phase>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) seed: u64,
}

/// What was still under way when a worker ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Connections in the middle of a request or a tunnel.
    pub(crate) busy: usize,
}

impl Worker {
    /// Starts the worker's thread, which ends with the phase and tells what it had to cut. The layer is put around the proxy of every connection, or stream of one.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub(crate) fn start<L, B>(self, layer: L) -> io::Result<oneshot::Receiver<Cut>>
    where
        L: Layer<Proxy> + Send + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error:
            Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = bytes::Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (ended, outcome) = oneshot::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name(format!("fiel-worker-{}", self.id.0))
            .spawn(move || {
                // A local runtime belongs to the thread that makes it, and is a little cheaper than a `LocalSet`.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                match runtime {
                    Ok(runtime) => {
                        started.send(Ok(())).ok();
                        let cut = runtime.block_on(self.run(layer));
                        // What is cut is logged when it is dropped, and who waits for the end closes the log.
                        drop(runtime);
                        // Whoever waited for it may have given up.
                        ended.send(cut).ok();
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            })?;
        // A thread that ends without a word has panicked.
        start
            .recv()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(outcome)
    }

    async fn run<L, B>(mut self, layer: L) -> Cut
    where
        L: Layer<Proxy> + 'static,
        L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        <L::Service as Service<Request<RequestBody>>>::Error:
            Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = bytes::Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let context = Rc::new(WorkerContext::new(
            self.id,
            Arc::clone(&self.store),
            Arc::clone(&self.metrics),
            self.logger.clone(),
            self.seed,
        ));
        let layer = Rc::new(layer);
        let registry = Rc::new(Registry::default());
        let handshakes = Rc::new(Handshakes::default());
        if let Some(accepting) = self.accepting.take() {
            tokio::task::spawn_local(accepting.run());
        }
        let mut connections = JoinSet::new();
        let mut published = self.store.follow();
        let mut stages = self.phase.follow();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        context.follow();
        let mut accepting = true;
        loop {
            tokio::select! {
                // Whoever waits beside the first is taken along: a turn of this loop asks all of its sources.
                handed = self.inbox.recv(), if accepting => {
                    accepting = handed.is_some();
                    let mut next = handed;
                    while let Some(handed) = next {
                        let welcomed = self.guard(|| {
                            welcome(handed, &layer, &context, &registry, &handshakes)
                        });
                        if let Some(connection) = welcomed {
                            connections.spawn_local(connection);
                        }
                        next = self.inbox.try_recv().ok();
                    }
                },
                Some(ended) = connections.join_next() => {
                    let mut next = Some(ended);
                    while let Some(ended) = next {
                        self.look_at(ended);
                        next = connections.try_join_next();
                    }
                }
                changed = published.changed() => {
                    if changed.is_ok() {
                        published.mark_unchanged();
                        self.guard(|| {
                            context.follow();
                            let view = context.reader.newest();
                            registry.retire(|listener| is_gone(listener, &view));
                        });
                    }
                }
                stage = next_stage(&mut stages) => match stage {
                    Stage::Running => {}
                    Stage::Delaying => context.closing.set(true),
                    Stage::Draining => {
                        context.closing.set(true);
                        self.guard(|| context.upstreams.close_unused());
                        registry.end_all();
                    }
                    Stage::Ending => {
                        context.cutting.set(true);
                        break;
                    }
                },
                _ = ticks.tick() => {
                    self.guard(|| self.tick(&context));
                }
            }
            let drained = !accepting && connections.is_empty();
            if drained && self.phase.stage() >= Stage::Draining {
                break;
            }
        }
        Cut {
            busy: registry.busy(),
        }
    }

    /// A panic of a connection's task ends that connection only.
    fn look_at(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            self.metrics.panicked();
            tracing::error!("Connection panicked");
        }
    }

    /// Does what concerns one connection or all: a panic in it, of a layer or of our own, must not end the worker.
    fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        // What is borrowed is given back by the panic; a table that misses an entry means a connection made anew.
        let done = catch_unwind(AssertUnwindSafe(work));
        if done.is_err() {
            self.metrics.panicked();
            tracing::error!("Worker panicked and goes on");
        }
        done.ok()
    }

    fn tick(&self, context: &WorkerContext) {
        self.heartbeats.beat(self.id.0);
        let now = Instant::now();
        context.upstreams.sweep(now);
        context.upstreams.bound_drains(now);
    }
}

async fn next_stage(stages: &mut watch::Receiver<Stage>) -> Stage {
    if stages.changed().await.is_err() {
        // Nobody can end the process in order any more.
        return Stage::Ending;
    }
    *stages.borrow_and_update()
}

/// Whether the configuration in force no longer has this listener, or has it elsewhere.
fn is_gone(listener: &Listener, view: &View) -> bool {
    let mut present = view.config.listeners.iter();
    !present.any(|one| one.name == listener.name && one.bind == listener.bind)
}

/// Serves a connection, with the layer around the proxy of each of its exchanges that may go on beside others.
fn welcome<L, B>(
    handed: Handed,
    layer: &Rc<L>,
    context: &Rc<WorkerContext>,
    registry: &Rc<Registry>,
    handshakes: &Rc<Handshakes>,
) -> impl Future<Output = ()> + use<L, B>
where
    L: Layer<Proxy> + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    <L::Service as Service<Request<RequestBody>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Handed {
        tcp,
        peer,
        terms: Terms {
            listener,
            tls,
            traffic,
        },
        place,
    } = handed;
    let scheme = match tls {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    let tls = tls.map(|server| (server, Rc::clone(handshakes)));
    let client = Rc::new(Client::new(listener, peer, scheme));
    // One that waited at a listener that has gone meanwhile.
    let is_gone = is_gone(&client.listener, &context.reader.newest());
    client.closing.set(is_gone);
    let edge = Edge::new(client, context.worker, traffic);
    let (context, registry) = (Rc::clone(context), Rc::clone(registry));
    let (layer, worker) = (Rc::clone(layer), Rc::clone(&context));
    let service_of =
        move |client: &Rc<Client>| layer.layer(Proxy::new(Rc::clone(&worker), Rc::clone(client)));
    async move {
        let _place: Place = place;
        match TcpStream::from_std(tcp) {
            Ok(tcp) => {
                let accepted = Accepted { tcp, tls };
                serve(accepted, edge, service_of, context, registry).await;
            }
            Err(error) => tracing::warn!(%error, "Connection could not be taken up"),
        }
    }
}
