//! What may be told to `control`: ids and facts only.
//!
//! Probes, the admin address, signals and the file watcher never write what workers read. They send one of these, and
//! `control` alone builds and publishes what follows from it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::location::Location;

/// Which endpoint of which pool; stays the same over reloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// Where the endpoint answers.
    pub address: Location,
}

/// A fact for `control`.
#[derive(Debug)]
pub enum Change {
    /// A probe has come to a verdict, or to a new one.
    Verdict(Verdict),
    /// A name was asked for.
    Resolution(Resolution),
    /// Load the configuration again.
    Reload {
        /// Who asked.
        cause: ReloadCause,
        /// Whom to tell what came of it, once every worker reads the new one.
        reply: Option<oneshot::Sender<ReloadOutcome>>,
    },
    /// Drain an endpoint by hand, or end that.
    Drain {
        /// Which one.
        endpoint: EndpointKey,
        /// Begin or end.
        order: DrainOrder,
        /// Whom to tell whether there is such an endpoint.
        reply: oneshot::Sender<Found>,
    },
    /// Have clients go elsewhere, before the end that is to come: `/readyz` fails and answers ask to close, while
    /// connections are still accepted.
    Leave {
        /// Told when it has begun.
        reply: oneshot::Sender<()>,
    },
    /// Open the log files anew.
    ReopenLogs,
    /// Close every listening socket, after those who wait there have been taken. Probes go on to be acted upon, so
    /// that what is in flight at an endpoint that dies is given up; no configuration is loaded any more.
    StopAccepting {
        /// Told when all are closed.
        done: oneshot::Sender<()>,
    },
    /// End: nothing is built or published any more.
    End,
}

/// What a probe found out about an endpoint, after its thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whom it is about.
    pub endpoint: EndpointKey,
    /// Which probe came to it.
    pub probe: ProbeKind,
    /// What it says.
    pub finding: Finding,
    /// Why, for the log and the status: `HTTP 503`, `connection refused`.
    pub reason: Box<str>,
}

/// What came of asking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The host name.
    pub name: Arc<str>,
    /// Which following of it this belongs to: a name that leaves the configuration and comes back is another.
    pub following: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of asking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has these addresses.
    Found {
        /// Sorted, none twice; not empty.
        addresses: Arc<[IpAddr]>,
        /// How long the answer may be used; `None` when it does not come from DNS.
        ttl: Option<Duration>,
        /// What of the answer is missing and was taken over from the one before, if anything is.
        doubt: Option<Box<str>>,
    },
    /// Those who must know say that it has none: `NXDOMAIN`, `no A or AAAA records`.
    Missing(Box<str>),
    /// Nobody said anything of use: `SERVFAIL`, `no answer within 5s`.
    Failed(Box<str>),
    /// It has been asked for so long that it is no longer waited for. What comes of it is told later all the same.
    Late(Box<str>),
}

/// The three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Whether it has started.
    Startup,
    /// Whether it wants new requests.
    Readiness,
    /// Whether it is alive.
    Liveness,
}

impl ProbeKind {
    /// The word in metrics, logs and the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// What a verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The success threshold was reached.
    Passing,
    /// The failure threshold was reached, or the first probe of all failed.
    Failing,
}

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadCause {
    /// The file changed.
    File,
    /// A file of a certificate or of an authority changed: only these are read again.
    Certificate,
    /// SIGHUP.
    Signal,
    /// `POST /reload`.
    Admin,
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The new configuration is in force, but for these keys, which need a restart.
    Applied {
        /// Keys that keep their old value until a restart.
        restart_needed: Vec<String>,
    },
    /// Nothing differs, or only keys that keep their old value until a restart; the report names those.
    Unchanged,
    /// The old configuration stays; these are the problems, as `fiel check` prints them.
    Rejected {
        /// The whole report.
        problems: String,
    },
}

/// Begin or end draining by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOrder {
    /// Take no new requests.
    Begin,
    /// Take them again.
    End,
}

/// Whether what an order named exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does, and the order is carried out.
    Known,
    /// There is no such endpoint.
    Unknown,
}
