//! A worker: one thread, one runtime, its clients' connections and its own connections to endpoints.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tokio::net::UnixStream;
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tower::{Layer, Service};

use crate::access_log::Logger;
use crate::body::RequestBody;
use crate::clock;
use crate::config::model::{Bind, Listener};
use crate::connection::{Accepted, Edge, Handshakes, Registry, serve};
use crate::header::forwarded::Scheme;
use crate::header::proxy_protocol::Origin;
use crate::listener::{Accepting, Handed, Place, Terms};
use crate::metrics::{Metrics, WorkerId};
use crate::phase::{Heartbeats, Phase, Stage};
use crate::request::Proxy;
use crate::request::context::{Client, WorkerContext};
use crate::snapshot::{Store, View};
use crate::socket::Taken;
use crate::wire::Socket;

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
    /// Starts the worker's thread, which ends with the phase and tells what it had to cut. The layer is put around the
    /// proxy of every connection, or stream of one.
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
        tokio::task::spawn_local(clock::keep());
        let hall = Rc::new(Hall {
            layer: Rc::new(layer),
            context: Rc::clone(&context),
            registry: Rc::default(),
            handshakes: Rc::default(),
            guests: Rc::new(Guests {
                present: Cell::new(0),
                last_left: Notify::new(),
                metrics: Arc::clone(&self.metrics),
            }),
        });
        if let Some(accepting) = self.accepting.take() {
            let hall = Rc::clone(&hall);
            tokio::task::spawn_local(accepting.run_here(move |handed| hall.take_in(handed)));
        }
        let (registry, guests) = (&hall.registry, &hall.guests);
        let mut published = self.store.follow();
        let mut stages = self.phase.follow();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        context.follow();
        let mut config = Arc::clone(&context.reader.newest().config);
        let mut accepting = true;
        loop {
            tokio::select! {
                // Whoever waits beside the first is taken along: a turn of this loop asks all of its sources.
                handed = self.inbox.recv(), if accepting => {
                    accepting = handed.is_some();
                    let mut next = handed;
                    while let Some(handed) = next {
                        hall.take_in(handed);
                        next = self.inbox.try_recv().ok();
                    }
                },
                () = guests.last_left.notified(), if !accepting => {}
                changed = published.changed() => {
                    if changed.is_ok() {
                        published.mark_unchanged();
                        guard(&self.metrics, || {
                            context.follow();
                            let view = context.reader.newest();
                            // Most snapshots tell of endpoints alone, and connections are many.
                            if !Arc::ptr_eq(&config, &view.config) {
                                config = Arc::clone(&view.config);
                                registry.retire(|listener| is_gone(listener, &view));
                            }
                        });
                    }
                }
                stage = next_stage(&mut stages) => match stage {
                    Stage::Running => {}
                    Stage::Delaying => context.closing.set(true),
                    Stage::Draining => {
                        context.closing.set(true);
                        guard(&self.metrics, || context.upstreams.close_unused());
                        registry.end_all();
                    }
                    Stage::Ending => {
                        context.cutting.set(true);
                        break;
                    }
                },
                _ = ticks.tick() => {
                    guard(&self.metrics, || self.tick(&context));
                }
            }
            let drained = !accepting && guests.present.get() == 0;
            if drained && self.phase.stage() >= Stage::Draining {
                break;
            }
        }
        self.heartbeats.end(self.id.0);
        Cut {
            busy: registry.busy(),
        }
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

/// Gives a connection to this thread's runtime.
fn taken_up(taken: Taken) -> io::Result<Socket> {
    match taken {
        Taken::Tcp(tcp) => Ok(Socket::accepted(tcp)),
        Taken::Unix(unix) => UnixStream::from_std(unix).map(Socket::Unix),
    }
}

/// The address of ours by which a connection came. The kernel is asked only where it alone knows, and whether or not some
/// endpoint is told: one may be after a reload.
fn reached(taken: &Taken, bind: &Bind) -> Option<SocketAddr> {
    let (Taken::Tcp(tcp), Some(bound)) = (taken, bind.tcp()) else {
        return None;
    };
    match bound.ip().is_unspecified() || bound.port() == 0 {
        true => Some(tcp.local_addr().unwrap_or(bound)),
        false => Some(bound),
    }
}

/// Does what concerns one connection or all: a panic in it, of a layer or of our own, must not end the worker.
fn guard(metrics: &Metrics, work: impl FnOnce()) {
    // What is borrowed is given back by the panic; a table that misses an entry means a connection made anew.
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        metrics.panicked();
        tracing::error!("Worker panicked and goes on");
    }
}

/// Where connections are taken in: what each of them needs.
struct Hall<L> {
    layer: Rc<L>,
    context: Rc<WorkerContext>,
    registry: Rc<Registry>,
    handshakes: Rc<Handshakes>,
    guests: Rc<Guests>,
}

/// The tasks of a worker's connections. Nobody waits for each of them: they only are to be gone in the end.
struct Guests {
    present: Cell<usize>,
    last_left: Notify,
    metrics: Arc<Metrics>,
}

/// One connection's task, while it lives.
struct Guest(Rc<Guests>);

impl Guest {
    fn arrives(guests: &Rc<Guests>) -> Self {
        guests.present.set(guests.present.get() + 1);
        Self(Rc::clone(guests))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let guests = &self.0;
        guests.present.set(guests.present.get() - 1);
        if std::thread::panicking() {
            // A panic of a connection's task ends that connection only.
            guests.metrics.panicked();
            tracing::error!("Connection panicked");
        }
        if guests.present.get() == 0 {
            guests.last_left.notify_one();
        }
    }
}

impl<L, B> Hall<L>
where
    L: Layer<Proxy> + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    <L::Service as Service<Request<RequestBody>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Serves a connection in a task of its own.
    fn take_in(&self, handed: Handed) {
        guard(&self.guests.metrics, || {
            if let Some(serving) = self.serve(handed) {
                drop(tokio::task::spawn_local(serving));
            }
        });
    }

    /// Serves a connection, with the layer around the proxy of each of its exchanges that may go on beside others.
    fn serve(&self, handed: Handed) -> Option<impl Future<Output = ()> + use<L, B>> {
        let Handed {
            taken,
            peer,
            terms:
                Terms {
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
        let tls = tls.map(|server| (server, Rc::clone(&self.handshakes)));
        let address = peer.map(|peer| peer.ip());
        let client = Rc::new(Client::new(listener, address, scheme));
        let destination = reached(&taken, &client.listener.bind);
        let ends = peer.zip(destination);
        client.came_by(ends.map(|(source, destination)| Origin {
            source,
            destination,
        }));
        // One that waited at a listener that has gone meanwhile.
        let is_gone = is_gone(&client.listener, &self.context.reader.newest());
        client.closing.set(is_gone);
        let edge = Edge::new(client, self.context.worker, traffic);
        let context = Rc::clone(&self.context);
        let (layer, worker) = (Rc::clone(&self.layer), Rc::clone(&context));
        let service_of = move |client: &Rc<Client>| {
            layer.layer(Proxy::new(Rc::clone(&worker), Rc::clone(client)))
        };
        // Held to the end, whatever that is.
        let held: (Place, Guest) = (place, Guest::arrives(&self.guests));
        match taken_up(taken) {
            Ok(socket) => {
                let accepted = Accepted { socket, tls };
                Some(serve(
                    accepted,
                    &edge,
                    service_of,
                    context,
                    &self.registry,
                    held,
                ))
            }
            Err(error) => {
                tracing::warn!(%error, "Connection could not be taken up");
                None
            }
        }
    }
}
