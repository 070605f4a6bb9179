//! `Config`: the configuration as fiel uses it. Names are resolved to ids, defaults are filled in, and a wrong state
//! cannot be written down: `check.rs` is the only way in, and it has refused what does not fit.
//!
//! `None` stands for "no limit" wherever the file may say `0`. Everything compares with `==`, so that a reload can
//! tell what stayed the same.

mod by_host;
mod edge;
mod id;
mod log;
mod pool;
mod protocols;
mod resolver;
mod retry;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use crate::tls;
use crate::units::Weight;

pub use by_host::PoolByHost;
pub use edge::{Bind, Claims, ForwardedFields, Peers, ProxyProtocol, SocketRights};
pub use id::{PoolId, RouteId};
pub use log::{AccessLog, LogFile, LogFormat, LogOutput};
pub use pool::{
    Address, Balance, Connect, Deployment, EndpointSpec, HashOn, NamedPorts, Pool, Probe,
    ProbeAction, ProbeScheme, ProxyVersion, RingHash, UpstreamProtocol, WhenNoneReady, Word,
};
pub use protocols::Protocols;
pub use resolver::{Family, Resolver};
pub use retry::Retry;

/// A whole, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Worker threads; `None` is `auto`, the cores that this process may use. Changing it needs a restart.
    pub workers: Option<NonZeroUsize>,
    /// Where this proxy runs; shown in the status.
    pub zone: Option<Arc<str>>,
    /// Which environment this is; shown in the status.
    pub environment: Option<Arc<str>>,
    /// What happens after SIGTERM.
    pub shutdown: Shutdown,
    /// The listeners, in file order; never empty.
    pub listeners: Vec<Arc<Listener>>,
    /// The routes, in file order; [`RouteId`] is the position.
    pub routes: Vec<Arc<Route>>,
    /// The pools, in file order; [`PoolId`] is the position.
    pub pools: Vec<Arc<Pool>>,
    /// How names of endpoints become addresses.
    pub resolver: Resolver,
    /// The admin addresses.
    pub admin: Admin,
    /// Where and how requests are logged.
    pub access_log: AccessLog,
    /// Up to how many endpoints have series of their own (`metrics.maxEndpoints`).
    pub max_endpoint_series: usize,
}

/// Series for more endpoints than this are off unless the file says otherwise.
pub const MAX_ENDPOINT_SERIES: usize = 1_000;

/// What happens after SIGTERM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long connections are still accepted while `/readyz` already fails. Default 0.
    pub delay: Duration,
    /// How long requests in flight may take to end afterwards. Default 25 s.
    pub drain: Duration,
}

/// One listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, unique.
    pub name: Arc<str>,
    /// Where it listens.
    pub bind: Bind,
    /// Who may connect to its socket, where that has a file.
    pub rights: Option<SocketRights>,
    /// Whose connections begin with who their client is.
    pub proxy_protocol: ProxyProtocol,
    /// What is spoken on it.
    pub protocols: Protocols,
    /// What a client's FIN means while it waits for an answer.
    pub half_close: HalfClose,
    /// What is believed of the fields that say who the client is.
    pub claims: Claims,
    /// The limits on its connections.
    pub limits: ListenerLimits,
    /// How it speaks TLS; `None` does not.
    pub tls: Option<Arc<tls::Spec>>,
}

/// What the half-close of a client means while it waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// The client has gone: what it waits for is cancelled.
    Cancel,
    /// The client only has nothing more to say: its answer is delivered.
    Deliver,
}

/// The limits of a listener's connections; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections open at once; further ones wait in the kernel's queue. Default 65,536.
    pub max_connections: Option<NonZeroUsize>,
    /// From a connection's begin to the end of its TLS handshake. Default 10 s.
    pub handshake_timeout: Option<Duration>,
    /// From the first octet of a request's head to its last. Default 10 s.
    pub header_timeout: Option<Duration>,
    /// Between two octets of a request's body. Default 30 s.
    pub body_idle_timeout: Option<Duration>,
    /// A connection without a request. Default 75 s.
    pub idle_timeout: Option<Duration>,
    /// Octets of a request's head. Default 32 KiB.
    pub max_header_bytes: Option<usize>,
    /// Fields of a request's head. Default 100.
    pub max_headers: Option<usize>,
    /// Octets of a request's target. Default 8 KiB.
    pub max_uri_bytes: Option<usize>,
    /// Octets of a request's body. Default none.
    pub max_body_bytes: Option<u64>,
    /// Requests of an HTTP/2 connection at once. Default 128.
    pub max_concurrent_streams: Option<usize>,
    /// How old a connection may grow before it is asked to close. Default none.
    pub max_connection_age: Option<Duration>,
}

/// A route: which requests it takes and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name, unique.
    pub name: Arc<str>,
    /// Which requests it takes.
    pub matches: Match,
    /// What becomes of them.
    pub action: Action,
    /// How long that may take.
    pub timeouts: Timeouts,
    /// What is tried again.
    pub retry: Retry,
    /// Octets of a request's body, in place of the listener's limit where set (`Some(None)` is no limit).
    pub max_body_bytes: Option<Option<u64>>,
    /// Forward the path as it was received, instead of the canonical one.
    pub path_as_received: bool,
    /// What of the target is rewritten.
    pub rewrite: Rewrite,
    /// Edits to the request's fields.
    pub request_headers: HeaderEdits,
    /// Edits to the response's fields.
    pub response_headers: HeaderEdits,
}

/// Which requests a route takes: all that is given must hold; an empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// Names of listeners.
    pub listeners: Vec<Arc<str>>,
    /// Any of these hosts.
    pub hosts: Vec<HostPattern>,
    /// Any of these client networks.
    pub clients: Vec<IpNet>,
    /// A verified client certificate like this.
    pub client_cert: Option<ClientCert>,
    /// The canonical path.
    pub path: PathPattern,
    /// Any of these methods.
    pub methods: Vec<Method>,
    /// Every one of these fields has this value.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Every one of these query parameters has this value (after percent-decoding).
    pub query: Vec<(Arc<str>, Arc<str>)>,
}

/// A client certificate as a route asks for it. Both lists must hold where they are not empty; with both empty any that was
/// verified will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCert {
    /// It has any of these subjects, as RFC 4514 writes them.
    pub subjects: Vec<Arc<str>>,
    /// It has any of these alternative names.
    pub sans: Vec<tls::San>,
}

/// A host as a route asks for it, lower-case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This very host.
    Exact(Arc<str>),
    /// Any host with at least one more label before this suffix: `*.example.com` holds `example.com`.
    Wildcard(Arc<str>),
}

/// A path as a route asks for it, canonical.
#[derive(Clone, Debug, Default)]
pub enum PathPattern {
    /// Any path.
    #[default]
    Any,
    /// This very path.
    Exact(Arc<str>),
    /// This path and everything below it, on segment borders: `/api` takes `/api` and `/api/x`, not `/apix`.
    /// Without a trailing slash; `/` is [`PathPattern::Any`].
    Prefix(Arc<str>),
    /// The whole path matches this expression.
    Regex(Pattern),
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a == b,
            (Self::Any | Self::Exact(_) | Self::Prefix(_) | Self::Regex(_), _) => false,
        }
    }
}

/// A compiled regular expression, anchored at both ends, with its text as written.
#[derive(Clone)]
pub struct Pattern {
    /// The expression as the user wrote it.
    pub text: Arc<str>,
    /// Compiled from `^(?:text)$`.
    pub regex: regex::Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// What becomes of a route's requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// They go to one of these pools, by exact shares; never empty, never all of weight zero.
    Split(Vec<Share>),
    /// Each goes to the pool that its host names.
    PoolByHost(PoolByHost),
    /// They are sent elsewhere.
    Redirect(Redirect),
    /// They are answered at once.
    Respond(Respond),
}

/// One pool of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The pool.
    pub pool: PoolId,
    /// Its weight; the share is weight / sum.
    pub weight: Weight,
    /// It neither gives its share to others nor takes theirs when a pool has nothing ready.
    pub strict: bool,
}

impl Share {
    /// A pool that gets everything.
    #[must_use]
    pub fn whole(pool: PoolId) -> Self {
        Self {
            pool,
            weight: Weight::ONE,
            strict: false,
        }
    }
}

/// A redirect; what is `None` is taken from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// The host, with its port where one is meant.
    pub host: Option<Arc<str>>,
    /// The path.
    pub path: Option<Arc<str>>,
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: StatusCode,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// Its status. Default 200.
    pub status: StatusCode,
    /// Its body, text/plain unless `responseHeaders` say otherwise. Default empty.
    pub body: bytes::Bytes,
}

/// The clocks of a route; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's head read to the response's head, with all tries. Default 30 s.
    pub response: Option<Duration>,
    /// One try. Default none.
    pub try_timeout: Option<Duration>,
    /// No octet in either direction on a body. Default 5 min.
    pub idle: Option<Duration>,
    /// The same in a tunnel. Default as `idle`.
    pub tunnel: Option<Duration>,
    /// To the last octet of the response. Default none.
    pub total: Option<Duration>,
}

/// What of a request's target is rewritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Takes the place of the matched prefix (or of the whole path where no prefix was matched).
    pub prefix: Option<Arc<str>>,
    /// Takes the place of `Host`.
    pub host: Option<HeaderValue>,
}

/// Edits to fields: first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Takes the place of all fields of that name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Is put beside fields of that name.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Goes away.
    pub remove: Vec<HeaderName>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// The admin addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address of everything, or its socket. Default 127.0.0.1:9901.
    pub bind: Bind,
    /// Who may connect to its socket, where that is in the file system. By default only the process's own user.
    pub rights: Option<SocketRights>,
    /// The address of what may be read only. Off by default.
    pub read_bind: Option<SocketAddr>,
    /// The file that holds the token.
    pub token_file: Option<PathBuf>,
    /// Host names, beside loopback names and addresses, by which the admin address may be called.
    pub hosts: Vec<Arc<str>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            drain: Duration::from_secs(25),
        }
    }
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::new(65_536),
            handshake_timeout: Some(Duration::from_secs(10)),
            header_timeout: Some(Duration::from_secs(10)),
            body_idle_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(75)),
            max_header_bytes: Some(32 << 10),
            max_headers: Some(100),
            max_uri_bytes: Some(8 << 10),
            max_body_bytes: None,
            max_concurrent_streams: Some(128),
            max_connection_age: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            response: Some(Duration::from_secs(30)),
            try_timeout: None,
            idle: Some(Duration::from_secs(300)),
            tunnel: Some(Duration::from_secs(300)),
            total: None,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            bind: Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 9901))),
            rights: None,
            read_bind: None,
            token_file: None,
            hosts: Vec::new(),
        }
    }
}
