//! What a pool's connections to its endpoints are secured by.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::{ClientSessionMemoryCache, ClientSessionStore as _, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::tls::certificate::Certificate;
use crate::tls::fault::Fault;
use crate::tls::spec::{MinVersion, kept};
use crate::tls::trust::{Authorities, Believer, Trust};
use crate::tls::versions::versions;

/// Sessions with endpoints that are remembered: of 256 names, the oldest of which is forgotten first, rustls keeps eight each.
const SESSIONS: usize = 256 * 8;

const HTTP1: &[&[u8]] = &[b"http/1.1"];

/// What `tls` of a pool says, with what its files held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose certificate is wanted, in place of the endpoint's own name.
    pub server_name: Option<ServerName<'static>>,
    /// Whose certificates are good.
    pub trust: Trust,
    /// What is shown to endpoints that ask for a certificate.
    pub certificate: Option<Arc<Certificate>>,
    /// The least version that is spoken.
    pub min_version: MinVersion,
    /// The protocols that are offered (ALPN), the preferred one first.
    pub protocols: &'static [&'static [u8]],
}

/// What a pool's connections to its endpoints are secured by. Sessions are resumed within one of it and never by
/// another: who showed another certificate, or believed others, begins anew.
pub struct Upstream {
    terms: Terms,
    config: Arc<ClientConfig>,
    believer: Arc<Believer>,
    sessions: Arc<ClientSessionMemoryCache>,
    /// The stretch of time in which it was made, and all its sessions as long as that lasts.
    made_in: Option<usize>,
    /// The same with HTTP/1.1 offered and nothing else, made when somebody first asks for it.
    http1: OnceLock<Arc<Self>>,
}

impl Upstream {
    /// Makes it.
    ///
    /// # Errors
    /// Why the system's authorities cannot be used, where these are asked for.
    pub fn try_new(terms: Terms) -> Result<Self, String> {
        let believer = terms.trust.believer()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(terms.min_version))
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Believer>::clone(&believer));
        let mut config = match &terms.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let key = (**certificate.key()).clone();
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = terms.protocols.iter().map(|name| name.to_vec()).collect();
        let made_in = believer.stretch(UnixTime::now());
        let sessions = Arc::new(ClientSessionMemoryCache::new(SESSIONS));
        config.resumption = Resumption::store(Arc::<ClientSessionMemoryCache>::clone(&sessions));
        Ok(Self {
            terms,
            config: Arc::new(config),
            believer,
            sessions,
            made_in,
            http1: OnceLock::new(),
        })
    }

    /// The same with HTTP/1.1 offered and nothing else; sessions are resumed across both.
    #[must_use]
    pub fn for_http1(self: &Arc<Self>) -> Arc<Self> {
        if self.terms.protocols == HTTP1 {
            return Arc::clone(self);
        }
        Arc::clone(self.http1.get_or_init(|| {
            let mut config = (*self.config).clone();
            config.alpn_protocols = HTTP1.iter().map(|name| name.to_vec()).collect();
            Arc::new(Self {
                terms: Terms {
                    protocols: HTTP1,
                    ..self.terms.clone()
                },
                config: Arc::new(config),
                believer: Arc::clone(&self.believer),
                sessions: Arc::clone(&self.sessions),
                made_in: self.made_in,
                http1: OnceLock::new(),
            })
        }))
    }

    /// Looks at a session that is over with its handshake: one that was made before brings its certificates along unverified,
    /// and an authority may have run out since. Then all that is remembered of this name is forgotten, so that the next
    /// handshake is a whole one.
    ///
    /// # Errors
    /// Why the endpoint is not believed any more.
    pub fn look_again(
        &self,
        session: &ClientConnection,
        name: &ServerName<'static>,
    ) -> io::Result<()> {
        if session.handshake_kind() != Some(HandshakeKind::Resumed) {
            return Ok(());
        }
        let now = UnixTime::now();
        if self.believer.stretch(now) == self.made_in {
            return Ok(());
        }
        let chain = session.peer_certificates();
        let believed = self.believer.still_believes(chain, name, now);
        believed.map_err(|error| {
            self.sessions.remove_tls12_session(name);
            // As many as rustls keeps for one name, at the most.
            while self.sessions.take_tls13_ticket(name).is_some() {}
            self.explained(io::Error::new(io::ErrorKind::InvalidData, error))
        })
    }

    /// The same error of a handshake, in words that tell more of it where there are any.
    #[must_use]
    pub fn explained(&self, error: io::Error) -> io::Error {
        self.believer.explained(error)
    }

    /// What it was made from.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What a handshake goes by.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Whose certificate is wanted of an endpoint: what the configuration says, else the name that leads to it, else its
    /// address, which is verified as one and never sent (RFC 6066 §3).
    #[must_use]
    pub fn name_of(&self, host: Option<&str>, address: Option<IpAddr>) -> ServerName<'static> {
        let configured = self.terms.server_name.clone();
        let own = || host.and_then(server_name);
        configured.or_else(own).unwrap_or_else(|| {
            // A unix socket without a name of its own is not verified.
            let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            ServerName::IpAddress(address.into())
        })
    }

    /// The same from the same files, as they are now: what can be used of them, the rest as it was. Tells what could not.
    #[must_use]
    pub fn reload(self: &Arc<Self>) -> (Arc<Self>, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut terms = self.terms.clone();
        if let Trust::Authorities(old) = &self.terms.trust {
            let read = Authorities::load(&old.ca_file).map_err(|fault| faults.push(fault));
            terms.trust = Trust::Authorities(kept(old, read.ok()));
        }
        terms.certificate = self.terms.certificate.as_ref().map(|old| {
            let read = old.reload().map_err(|fault| faults.push(fault));
            kept(old, read.ok())
        });
        if terms == self.terms {
            return (Arc::clone(self), faults);
        }
        // The system's authorities were good when this was made, and are not read again.
        let made = Self::try_new(terms).map(Arc::new);
        (made.unwrap_or_else(|_| Arc::clone(self)), faults)
    }

    /// Every file that it comes from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let authorities = match &self.terms.trust {
            Trust::Authorities(authorities) => Some(&authorities.ca_file),
            Trust::System | Trust::Anybody => None,
        };
        let certificate = self.terms.certificate.iter();
        authorities
            .into_iter()
            .chain(certificate.flat_map(|one| one.files()))
    }
}

/// The name or the address that a certificate can be for; none where it can be for no such thing.
#[must_use]
pub fn server_name(text: &str) -> Option<ServerName<'static>> {
    // RFC 6066 §3: without the dot that makes it absolute.
    let text = text.strip_suffix('.').unwrap_or(text);
    ServerName::try_from(text.to_owned()).ok()
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        self.terms == other.terms
    }
}

impl Eq for Upstream {}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_offers_http_1_1_alone_is_made_once_for_a_pool() {
        let of = |protocols| {
            Arc::new(
                Upstream::try_new(Terms {
                    server_name: None,
                    trust: Trust::Anybody,
                    certificate: None,
                    min_version: MinVersion::V1_2,
                    protocols,
                })
                .unwrap(),
            )
        };
        let either = of(&[b"h2", b"http/1.1"]);

        let (one, other) = (either.for_http1(), either.for_http1());

        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.config().alpn_protocols, [b"http/1.1"]);
        assert_eq!(either.config().alpn_protocols.len(), 2);
        let alone = of(HTTP1);
        assert!(Arc::ptr_eq(&alone, &alone.for_http1()));
    }
}
