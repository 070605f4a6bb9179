//! Pools, their endpoints and their probes, as configured.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::location::Location;
use crate::tls;
use crate::units::Weight;

/// A pool: endpoints of one version of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name, unique.
    pub name: Arc<str>,
    /// The version of the service that its endpoints run; a label of metrics.
    pub version: Option<Arc<str>>,
    /// What was deployed, by whom and when; shown in the status.
    pub deployment: Option<Deployment>,
    /// How requests are spread over its endpoints.
    pub balance: Balance,
    /// Its endpoints, in file order, no address and no name with its port twice.
    pub endpoints: Vec<EndpointSpec>,
    /// What they speak.
    pub protocol: UpstreamProtocol,
    /// How connections to them are made and kept.
    pub connect: Connect,
    /// What they are secured by; `None` is in the clear.
    pub tls: Option<Arc<tls::Upstream>>,
    /// How endpoints are told who speaks to them through us; `None` is not at all.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Holds back traffic and the other probes until it has succeeded.
    pub startup_probe: Option<Probe>,
    /// Decides whether new requests are given.
    pub readiness_probe: Option<Probe>,
    /// Decides whether requests in flight are cut.
    pub liveness_probe: Option<Probe>,
    /// What happens to requests when no endpoint is ready.
    pub when_none_ready: WhenNoneReady,
    /// How long requests may go on at an endpoint that drains; `None` is to their end.
    pub drain_timeout: Option<Duration>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Octets.
    V2,
}

impl ProxyVersion {
    /// Its word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// How requests are spread over a pool's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, exact by weight.
    #[default]
    RoundRobin,
    /// To the least loaded per weight, over all workers.
    LeastRequest,
    /// To the less loaded of two drawn by weight.
    PowerOfTwo,
    /// Drawn by weight.
    Random,
    /// The same key to the same endpoint.
    RingHash(RingHash),
}

/// Consistent hashing with bounded loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingHash {
    /// Where the key is. Default the client's address.
    pub on: HashOn,
    /// How many times its share of the requests in flight an endpoint may have. Default 1.25; `None` is without bound.
    pub balance_factor: Option<Weight>,
}

/// Where the key of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address, behind trusted proxies.
    ClientIp,
    /// The canonical path, without the query.
    Path,
    /// The first field of this name, as the client sent it.
    Header(HeaderName),
    /// The first cookie of this name.
    Cookie(Arc<str>),
}

impl Balance {
    /// Its word in the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::RoundRobin => "roundRobin",
            Self::LeastRequest => "leastRequest",
            Self::PowerOfTwo => "powerOfTwo",
            Self::Random => "random",
            Self::RingHash(_) => "ringHash",
        }
    }
}

impl Default for RingHash {
    fn default() -> Self {
        Self {
            on: HashOn::ClientIp,
            balance_factor: Some(Weight::from_thousandths(1_250)),
        }
    }
}

/// What was deployed to a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Its commit.
    pub commit: Option<Arc<str>>,
    /// Who deployed it.
    pub by: Option<Arc<str>>,
    /// When, as written.
    pub at: Option<Arc<str>>,
}

/// One endpoint as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Where it answers. A name stands for all its addresses, which share the weight.
    pub address: Address,
    /// Its weight among the pool's endpoints. Default 1.
    pub weight: Weight,
    /// Where it runs; shown in the status.
    pub zone: Option<Arc<str>>,
    /// Used only while no other endpoint of the pool is ready.
    pub backup: bool,
}

impl EndpointSpec {
    /// Whether it is a unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.address, Address::At(Location::Unix(_)))
    }
}

/// Where an endpoint answers, as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// What it is already.
    At(Location),
    /// A host name with its port.
    Name {
        /// Lower-case. With a dot at its end it is absolute, else the search list of the system applies.
        host: Arc<str>,
        /// On each of its addresses.
        port: u16,
    },
}

impl Address {
    /// The host name, if it is one.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<str>> {
        match self {
            Self::Name { host, .. } => Some(host),
            Self::At(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(location) => location.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// What is spoken to a pool's endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge in the clear, by ALPN over TLS.
    Http2,
    /// What ALPN settles over TLS; HTTP/1.1 in the clear, where nothing settles it.
    Auto,
}

impl UpstreamProtocol {
    /// Its word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Auto => "auto",
        }
    }
}

/// How connections to a pool's endpoints are made and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// To make one. Default 1 s; `None` is no limit.
    pub timeout: Option<Duration>,
    /// How long an unused one is kept. Default 60 s; `None` is without end.
    pub keep_alive: Option<Duration>,
    /// Unused ones kept per worker and endpoint. Default 256; 0 keeps none.
    pub max_idle_per_worker: usize,
}

/// What happens to requests for a pool without a ready endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenNoneReady {
    /// Its share goes to the other pools of the split, or the request gets a 503.
    Fail,
    /// After that, its unready endpoints are tried.
    UseAll,
}

impl WhenNoneReady {
    /// Its word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::UseAll => "useAll",
        }
    }
}

/// A probe, with the fields and defaults of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What is done.
    pub action: ProbeAction,
    /// Before the first one. Default 0.
    pub initial_delay: Duration,
    /// From one to the next. Default 10 s, at least 100 ms.
    pub period: Duration,
    /// Until one counts as failed. Default 1 s.
    pub timeout: Duration,
    /// Successes in a row that make a verdict. Default 1.
    pub success_threshold: NonZeroU32,
    /// Failures in a row that make a verdict. Default 3.
    pub failure_threshold: NonZeroU32,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProbeAction {
    /// A GET request; 200 to 399 is success.
    HttpGet {
        /// In place of the endpoint's IP address.
        host: Option<IpAddr>,
        /// In place of the endpoint's port.
        port: Option<u16>,
        /// The path with its query. Default `/`.
        path: Arc<str>,
        /// Fields sent, in order; `Host` among them takes the place of the usual one.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Over what.
        scheme: ProbeScheme,
    },
    /// A connection; being accepted is success.
    TcpSocket {
        /// In place of the endpoint's IP address.
        host: Option<IpAddr>,
        /// In place of the endpoint's port.
        port: Option<u16>,
    },
    /// A call of gRPC's health protocol; that the service is serving is success.
    Grpc {
        /// In place of the endpoint's port.
        port: Option<u16>,
        /// The service that is asked about; empty for the endpoint as a whole.
        service: Arc<str>,
    },
    /// A program that runs beside fiel; exit status 0 is success.
    Exec {
        /// The program, looked for in `PATH` where it has no slash, and its arguments; never empty.
        command: Vec<Word>,
    },
}

/// Over what a probe speaks HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProbeScheme {
    /// In the clear.
    #[default]
    Http,
    /// Over TLS, whoever answers.
    Https,
    /// Over TLS as the pool speaks it.
    VerifiedHttps,
}

impl ProbeScheme {
    /// Its word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https | Self::VerifiedHttps => "HTTPS",
        }
    }
}

/// A word of a command line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Word {
    /// The word.
    pub text: Arc<str>,
    /// It came from the environment or stands where secrets do: it is not to be shown.
    pub is_secret: bool,
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_secret {
            true => f.write_str("Sensitive"),
            false => self.text.fmt(f),
        }
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(1)),
            keep_alive: Some(Duration::from_secs(60)),
            max_idle_per_worker: 256,
        }
    }
}

/// The ports of a pool that probes may name, while names are being resolved.
pub type NamedPorts = BTreeMap<Arc<str>, u16>;
