//! What the connections of a listener are accepted by.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use crate::tls::names::Names;
use crate::tls::spec::Spec;
use crate::tls::tickets::Tickets;
use crate::tls::versions::versions;

/// A protocol by its name (RFC 7301 §6).
pub type Protocol = &'static [u8];

/// What the connections of a listener are accepted by.
pub struct Server {
    spec: Arc<Spec>,
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    protocols: Vec<Protocol>,
}

impl Server {
    /// Makes it. It offers these protocols, the preferred one first.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn try_new(
        spec: Arc<Spec>,
        protocols: Vec<Protocol>,
        tickets: &mut Tickets,
    ) -> Result<Self, rustls::Error> {
        let resolver = Arc::new(Resolver {
            names: Names::new(
                spec.certificates
                    .iter()
                    .map(|certificate| certificate.names.iter().map(|name| &**name)),
            ),
            keys: spec
                .certificates
                .iter()
                .map(|certificate| Arc::clone(certificate.key()))
                .collect(),
        });
        let auth = spec.client_auth.as_deref();
        let verifier =
            auth.map_or_else(WebPkiClientVerifier::no_client_auth, |auth| auth.verifier());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(spec.min_version))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::<Resolver>::clone(&resolver));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.ticketer = tickets.of(auth)?;
        // One a handshake, as many as a client uses up that comes again; each costs both sides keys to be derived.
        config.send_tls13_tickets = 1;
        // Sessions are in tickets only.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            resolver,
            spec,
            protocols,
        })
    }

    /// What it offers.
    #[must_use]
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// What a handshake goes by.
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether a connection that asked for the name `asked` may carry requests for `host`: not where `host` is served here
    /// under another certificate.
    #[must_use]
    pub fn serves(&self, asked: Option<&str>, host: &str) -> bool {
        self.spec.certificates.len() == 1 || self.resolver.names.serves(asked, host)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Chooses a certificate by the name that a client asks for, and among several for that name by what it can verify.
#[derive(Debug)]
struct Resolver {
    names: Names,
    keys: Box<[Arc<CertifiedKey>]>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let seats = self.names.seats(hello.server_name());
        let can_verify = |seat: &&usize| {
            let schemes = hello.signature_schemes();
            self.keys[**seat].key.choose_scheme(schemes).is_some()
        };
        let seat = seats.iter().find(can_verify).or(seats.first())?;
        Some(Arc::clone(&self.keys[*seat]))
    }
}
