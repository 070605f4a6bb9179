//! The proxy without listeners, workers and control: for a program that has connections of its own, and for tests.
//!
//! Everything stays on the thread that makes a [`Local`]. Not here: reloads, probes, admin and signals, which
//! [`crate::run`] puts together.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::access_log::{AccessLog, Closed};
use crate::config::Config;
use crate::config::model::{Address, Listener, Pool};
use crate::control::Endpoints;
use crate::header::forwarded::Scheme;
use crate::metrics::{Metrics, WorkerId};
use crate::request::Proxy;
use crate::request::context::{Client, WorkerContext};
use crate::snapshot::{Store, build};

/// How often connections that nobody uses are looked after, at most.
const TICK: Duration = Duration::from_secs(1);

/// What makes a [`Proxy`] for each connection of a program's own.
///
/// It belongs to one thread, within a tokio `LocalSet` or a local runtime, and keeps the connections to endpoints that
/// its proxies leave behind. A configuration stays as it is given: nothing is reloaded. Probes are not run, so every
/// endpoint counts as ready, and names are not resolved, so endpoints have addresses. Of the listeners only the first one's terms
/// count; nothing is bound.
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::path::Path;
///
/// use fiel::body::RequestBody;
/// use http::Request;
/// use tower::ServiceExt;
///
/// # async fn answer(listener: tokio::net::TcpListener) {
/// #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// #     let (mut stream, _) = listener.accept().await.unwrap();
/// #     stream.read(&mut [0; 4096]).await.unwrap();
/// #     let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// #     stream.write_all(answer).await.unwrap();
/// # }
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # tokio::task::LocalSet::new().block_on(&runtime, async {
/// let endpoint = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let yaml = format!(
///     "accessLog: {{ output: off }}
/// listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
/// routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
/// pools: {{ app: {{ endpoints: [\"{}\"] }} }}
/// ",
///     endpoint.local_addr()?
/// );
/// # tokio::task::spawn_local(answer(endpoint));
/// let loaded = fiel::config::read(yaml.as_bytes(), "mine.yaml", Path::new("."), &|_| None)?;
/// let local = fiel::Local::try_new(loaded.config)?;
///
/// let proxy = local.proxy(Ipv4Addr::LOCALHOST.into());
/// let request = Request::get("/").header("host", "example.com").body(RequestBody::empty())?;
/// let answer = proxy.oneshot(request).await?;
///
/// assert_eq!(answer.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Local {
    context: Rc<WorkerContext>,
    listener: Arc<Listener>,
    access_log: AccessLog,
    tended: Cell<Instant>,
}

impl Local {
    /// Puts a configuration in force on this thread.
    ///
    /// # Errors
    /// When the access log cannot be opened, or when an endpoint has a name: nobody would resolve it.
    pub fn try_new(mut config: Config) -> io::Result<Self> {
        if let Some(name) = names(&config).next() {
            let error = format!("the endpoint {name} has a name, which needs the whole of fiel");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        for pool in &mut config.pools {
            if has_probes(pool) {
                let pool = Arc::make_mut(pool);
                pool.startup_probe = None;
                pool.readiness_probe = None;
                pool.liveness_probe = None;
            }
        }
        let config = Arc::new(config);
        let Some(listener) = config.listeners.first().cloned() else {
            let error = "a configuration has at least one listener";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        };
        let metrics = Metrics::new(1);
        let access_log = AccessLog::start(&config.access_log, Arc::clone(&metrics))?;
        let mut endpoints = Endpoints::new(1);
        endpoints.configure(&config, SystemTime::now());
        let first = build::whole(config, &endpoints, &metrics, None);
        let context = WorkerContext::new(
            WorkerId(0),
            Arc::new(Store::new(first, 1)),
            metrics,
            access_log.handle(),
            fastrand::u64(..),
        );
        Ok(Self {
            context: Rc::new(context),
            listener,
            access_log,
            tended: Cell::new(Instant::now()),
        })
    }

    /// The proxy for one connection of the client at this address.
    ///
    /// A connection has one request at a time: clones of a proxy share its timeouts. A request that may come beside
    /// another takes a proxy of its own. The answer to an upgrade is passed on, the tunnel behind it is not.
    #[must_use]
    pub fn proxy(&self, client: IpAddr) -> Proxy {
        let now = Instant::now();
        if now.duration_since(self.tended.get()) >= TICK {
            self.tended.set(now);
            self.context.upstreams.sweep(now);
        }
        let client = Client::new(Arc::clone(&self.listener), Some(client), Scheme::Http);
        Proxy::new(Rc::clone(&self.context), Rc::new(client))
    }

    /// What has been counted so far, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.context.metrics.text(Vec::new())
    }

    /// Ends with the access log written, where that takes at most so long. Blocks its thread.
    #[must_use]
    pub fn close(self, within: Duration) -> Closed {
        self.access_log.close(within)
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("listener", &self.listener.name)
            .finish_non_exhaustive()
    }
}

/// The endpoints that have names.
fn names(config: &Config) -> impl Iterator<Item = &Address> {
    let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
    let addresses = endpoints.map(|endpoint| &endpoint.address);
    addresses.filter(|address| address.host().is_some())
}

fn has_probes(pool: &Pool) -> bool {
    [
        &pool.startup_probe,
        &pool.readiness_probe,
        &pool.liveness_probe,
    ]
    .iter()
    .any(|probe| probe.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn names_are_refused_because_nobody_would_resolve_them() {
        let yaml = "listeners: [ { name: web, bind: 127.0.0.1:0 } ]
routes: [ { name: all, split: [ { pool: app } ] } ]
pools: { app: { endpoints: [ shop.internal:80 ] } }
";
        let loaded = crate::config::read(yaml.as_bytes(), "t.yaml", Path::new(""), &|_| None);

        let refused = Local::try_new(loaded.unwrap().config).unwrap_err();

        assert!(
            refused.to_string().contains("shop.internal:80"),
            "{refused}"
        );
    }
}
