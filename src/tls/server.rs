//! What the connections of a listener are accepted by.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WantsServerCert,
};
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};

use crate::tls::client_auth::ClientAuth;
use crate::tls::names::Names;
use crate::tls::spec::Spec;
use crate::tls::tickets::{OfClient, Tickets};
use crate::tls::until::Until;
use crate::tls::versions::versions;

/// A protocol by its name (RFC 7301 §6).
pub type Protocol = &'static [u8];

/// What the connections of a listener are accepted by.
pub struct Server {
    spec: Arc<Spec>,
    handshakes: Handshakes,
    resolver: Arc<Resolver>,
    protocols: Vec<Protocol>,
}

/// What handshakes go by.
enum Handshakes {
    /// All by the same.
    Alike(Arc<ServerConfig>),
    /// Each by its own, because what its client shows bounds the tickets that it gets. It is made in a few microseconds, of
    /// the hundreds that such a handshake takes.
    Apart {
        auth: Arc<ClientAuth>,
        builder: ConfigBuilder<ServerConfig, WantsVerifier>,
        tickets: Arc<dyn ProducesTickets>,
    },
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
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(spec.min_version))?;
        let tickets = tickets.of(spec.client_auth.as_deref())?;
        let handshakes = match &spec.client_auth {
            None => Handshakes::Alike(Arc::new(finished(
                builder.with_no_client_auth(),
                &resolver,
                &protocols,
                tickets,
            ))),
            Some(auth) => Handshakes::Apart {
                auth: Arc::clone(auth),
                builder,
                tickets,
            },
        };
        Ok(Self {
            handshakes,
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

    /// What one handshake goes by.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        match &self.handshakes {
            Handshakes::Alike(config) => Arc::clone(config),
            Handshakes::Apart {
                auth,
                builder,
                tickets,
            } => {
                let until = Arc::new(Until::default());
                let verifier = auth.verifier(Arc::clone(&until));
                let roots = Arc::clone(auth.roots());
                let tickets = OfClient::new(Arc::clone(tickets), roots, until);
                let builder = builder.clone().with_client_cert_verifier(verifier);
                let tickets = Arc::new(tickets);
                Arc::new(finished(builder, &self.resolver, &self.protocols, tickets))
            }
        }
    }

    /// Whether a connection that asked for the name `asked` may carry requests for `host`: not where `host` is served here
    /// under another certificate.
    #[must_use]
    pub fn serves(&self, asked: Option<&str>, host: &str) -> bool {
        self.spec.certificates.len() == 1 || self.resolver.names.serves(asked, host)
    }
}

fn finished(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    resolver: &Arc<Resolver>,
    protocols: &[Protocol],
    tickets: Arc<dyn ProducesTickets>,
) -> ServerConfig {
    let mut config = builder.with_cert_resolver(Arc::<Resolver>::clone(resolver));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.ticketer = tickets;
    // One a handshake, as many as a client uses up that comes again; each costs both sides keys to be derived.
    config.send_tls13_tickets = 1;
    // Sessions are in tickets only.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
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
