//! What `listeners[].tls` says, with what the files held.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::tls::certificate::Certificate;
use crate::tls::client_auth::ClientAuth;
use crate::tls::fault::Fault;

/// The least version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2
    #[default]
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its certificates, in file order; never empty. The first is for whom no other is.
    pub certificates: Vec<Arc<Certificate>>,
    /// The least version that is spoken.
    pub min_version: MinVersion,
    /// Whom it lets in by certificates of their own; `None` asks for none.
    pub client_auth: Option<Arc<ClientAuth>>,
}

impl MinVersion {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl Spec {
    /// The same from the same files, as they are now: what can be used of them, the rest as it was. Tells what could not.
    #[must_use]
    pub fn reload(&self) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let certificates = self.certificates.iter().map(|old| {
            let read = old.reload().map_err(|fault| faults.push(fault));
            kept(old, read.ok())
        });
        let certificates = certificates.collect();
        let client_auth = self.client_auth.as_ref().map(|old| {
            let read = old.reload().map_err(|fault| faults.push(fault));
            kept(old, read.ok())
        });
        let renewed = Self {
            certificates,
            min_version: self.min_version,
            client_auth,
        };
        (renewed, faults)
    }

    /// The same error of a handshake, in words that tell more of it where there are any.
    #[must_use]
    pub fn explained(&self, error: io::Error) -> io::Error {
        match &self.client_auth {
            Some(auth) => auth.explained(error),
            None => error,
        }
    }

    /// Every file that it comes from.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter().flat_map(|one| one.files());
        let authorities = self.client_auth.iter().flat_map(|auth| auth.files());
        certificates.chain(authorities)
    }
}

/// The old one where nothing new was read.
pub(super) fn kept<T: PartialEq>(old: &Arc<T>, read: Option<T>) -> Arc<T> {
    match read {
        Some(new) if new != **old => Arc::new(new),
        _ => Arc::clone(old),
    }
}
