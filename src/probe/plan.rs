//! What is to be probed, and which of it is the same probing.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use http::header::HOST;
use http::uri::Authority;
use rustc_hash::FxHashMap;

use crate::change::ProbeKind;
use crate::config::model::{Probe, ProbeAction, ProbeScheme, ProxyVersion};
use crate::dial::Way;
use crate::endpoint::Endpoint;
use crate::header::proxy_protocol::encode;
use crate::location::Location;
use crate::tls::{MinVersion, Secure, Terms, Trust, Upstream};

/// Everything that is to be probed.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which new ones get their first probe.
    pub targets: Vec<Target>,
}

/// An endpoint and its probes.
///
/// One without any probe is worth listing: when a reload gives it a probe, it is known to have been in service.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whom the verdicts are about; each result is left there for the status.
    pub endpoint: Arc<Endpoint>,
    /// Its startup probe.
    pub startup: Option<Arc<Probe>>,
    /// Its readiness probe.
    pub readiness: Option<Arc<Probe>>,
    /// Its liveness probe.
    pub liveness: Option<Arc<Probe>>,
    /// How its pool speaks TLS, for probes that are told to.
    pub secure: Option<Secure>,
    /// How its pool tells who speaks through us: probes then say that nobody does.
    pub proxy_protocol: Option<ProxyVersion>,
}

impl Plan {
    /// The targets by what is the same probing, in the order of the plan.
    #[expect(
        clippy::mutable_key_type,
        reason = "what changes within is the memory of sessions, which no comparison looks at"
    )]
    pub(crate) fn grouped(&self) -> Vec<(Identity, Vec<Arc<Endpoint>>)> {
        let mut places: FxHashMap<Identity, usize> = FxHashMap::default();
        let mut groups: Vec<(Identity, Vec<Arc<Endpoint>>)> = Vec::new();
        for target in &self.targets {
            let endpoint = Arc::clone(&target.endpoint);
            let identity = Identity::of(target);
            match places.get(&identity) {
                Some(place) => groups[*place].1.push(endpoint),
                None => {
                    places.insert(identity.clone(), groups.len());
                    groups.push((identity, vec![endpoint]));
                }
            }
        }
        groups
    }
}

impl Target {
    /// The kinds of probe it has.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = ProbeKind> {
        let has = [&self.startup, &self.readiness, &self.liveness].map(Option::is_some);
        KINDS
            .into_iter()
            .zip(has)
            .filter_map(|(kind, has)| has.then_some(kind))
    }
}

/// The three kinds, in the order in which they come into play.
pub(crate) const KINDS: [ProbeKind; 3] = [
    ProbeKind::Startup,
    ProbeKind::Readiness,
    ProbeKind::Liveness,
];

/// What makes two targets one probing: the same probes of each kind, to the same address. Whatever the pools, it is
/// sent once; but a program is told its pool, and is run for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    startup: Option<Aim>,
    readiness: Option<Aim>,
    liveness: Option<Aim>,
}

/// A probe and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Aim {
    /// What is done, and when.
    pub(crate) probe: Arc<Probe>,
    /// Where to.
    pub(crate) to: Location,
    /// By what it is secured, if at all.
    pub(crate) secure: Option<Secure>,
    /// By what it says that it speaks for nobody.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
    /// The pool it is sent for, where it is told: then it is another probe for another pool.
    pub(crate) pool: Option<Arc<str>>,
}

impl Aim {
    /// How its connections are made.
    pub(crate) fn way(&self) -> Way {
        let opening = self.proxy_protocol.map(|version| encode(version, None));
        Way {
            to: self.to.clone(),
            opening: opening.map(Vec::into_boxed_slice),
            secure: self.secure.clone(),
        }
    }
}

impl Identity {
    /// The probing that a target asks for.
    pub(crate) fn of(target: &Target) -> Self {
        let address = target.endpoint.address();
        let pool = &target.endpoint.key().pool;
        let aim = |probe: &Option<Arc<Probe>>| {
            probe.as_ref().map(|probe| Aim {
                to: destination(&probe.action, address),
                secure: secure(&probe.action, target.secure.as_ref()),
                proxy_protocol: target.proxy_protocol,
                pool: matches!(probe.action, ProbeAction::Exec { .. }).then(|| Arc::clone(pool)),
                probe: Arc::clone(probe),
            })
        };
        Self {
            startup: aim(&target.startup),
            readiness: aim(&target.readiness),
            liveness: aim(&target.liveness),
        }
    }

    /// The probe of a kind.
    pub(crate) fn aim(&self, kind: ProbeKind) -> Option<&Aim> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
        }
    }
}

/// Where a probe goes: the endpoint, but for what the probe puts in its place.
fn destination(action: &ProbeAction, endpoint: &Location) -> Location {
    let (host, port) = match action {
        ProbeAction::HttpGet { host, port, .. } | ProbeAction::TcpSocket { host, port } => {
            (*host, port)
        }
        ProbeAction::Grpc { port, .. } => (None, port),
        ProbeAction::Exec { .. } => return endpoint.clone(),
    };
    let own = endpoint.ip();
    let host = host.or(own.map(|own| own.ip()));
    let port = port.or(own.map(|own| own.port()));
    match host.zip(port) {
        Some((host, port)) => SocketAddr::new(host, port).into(),
        // A unix socket has neither.
        None => endpoint.clone(),
    }
}

/// By what a probe is secured. As the kubelet does it, whoever answers is believed and is asked for the name that stands
/// in `Host`, if there is one; unless the probe is told to do as the pool does.
fn secure(action: &ProbeAction, of_pool: Option<&Secure>) -> Option<Secure> {
    static ANYBODY: LazyLock<Arc<Upstream>> = LazyLock::new(|| {
        let terms = Terms {
            server_name: None,
            trust: Trust::Anybody,
            certificate: None,
            min_version: MinVersion::V1_2,
            protocols: &[b"http/1.1"],
        };
        let made = Upstream::try_new(terms);
        Arc::new(made.expect("there is no store of authorities that could be missing"))
    });
    let ProbeAction::HttpGet {
        headers, scheme, ..
    } = action
    else {
        return None;
    };
    match scheme {
        ProbeScheme::Http => None,
        // Whatever the pool speaks: this is what a probe speaks.
        ProbeScheme::VerifiedHttps => of_pool.map(Secure::for_http1),
        ProbeScheme::Https => {
            let upstream = Arc::clone(&ANYBODY);
            let host = headers.iter().find(|(name, _)| *name == HOST);
            let host = host.and_then(|(_, value)| value.to_str().ok());
            let host = host.and_then(|host| host.parse::<Authority>().ok());
            let name = upstream.name_of(host.as_ref().map(Authority::host), None);
            Some(Secure { upstream, name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_default_to_the_endpoint() {
        let endpoint: SocketAddr = "10.0.0.1:8080".parse().unwrap();
        let cases = [
            (None, None, "10.0.0.1:8080"),
            (None, Some(9), "10.0.0.1:9"),
            (Some("10.0.0.2"), None, "10.0.0.2:8080"),
            (Some("::1"), Some(9), "[::1]:9"),
        ];
        for (host, port, expected) in cases {
            let action = ProbeAction::TcpSocket {
                host: host.map(|host: &str| host.parse().unwrap()),
                port,
            };
            let found = destination(&action, &endpoint.into());
            assert_eq!(found.to_string(), expected);
        }
    }
}
