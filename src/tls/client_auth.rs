//! Whom a listener lets in by a certificate of their own: its authorities, what they have revoked, and whether it must be.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::tls::certificate::Authority;
use crate::tls::fault::{Fault, Part, read};

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without a good one there is no connection.
    Require,
    /// It may have none; one that it shows must be good.
    Optional,
}

/// Which clients' certificates are good.
#[derive(Clone)]
pub struct ClientAuth {
    /// The authorities.
    pub ca_file: PathBuf,
    /// What they have revoked.
    pub crl_file: Option<PathBuf>,
    /// Whether a client must have one.
    pub mode: Mode,
    /// Which of the authorities runs out first.
    pub first_to_end: Option<Authority>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// The mode and all that the files hold. Equal only where whoever is let in by one is let in by the other.
    policy: Arc<[u8]>,
}

impl ClientAuth {
    /// Reads authorities and revocations.
    ///
    /// Where there are revocations, every certificate of a chain is looked up in them, and one whose issuer has no list there
    /// is refused. A list that is out of date still counts: it knows more than none.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(ca: &Path, crl: Option<&Path>, mode: Mode) -> Result<Self, Fault> {
        let of_ca = |what: &str| Fault::new(Part::Authorities, ca, what);
        let text = read(Part::Authorities, ca)?;
        let authorities = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| of_ca(&format!("is no PEM: {error}")))?;
        if authorities.is_empty() {
            return Err(of_ca("holds no certificate"));
        }
        let first_to_end = Authority::first_to_end(&authorities);
        let mut policy = vec![mode as u8];
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            push(&mut policy, &authority);
            roots
                .add(authority)
                .map_err(|error| of_ca(&format!("holds a certificate that is broken: {error}")))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if mode == Mode::Optional {
            verifier = verifier.allow_unauthenticated();
        }
        if let Some(crl) = crl {
            let of_crl = |what: &str| Fault::new(Part::Revocations, crl, what);
            let text = read(Part::Revocations, crl)?;
            let lists = CertificateRevocationListDer::pem_slice_iter(&text)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| of_crl(&format!("is no PEM: {error}")))?;
            if lists.is_empty() {
                return Err(of_crl("holds no revocation list"));
            }
            policy.push(1);
            for list in &lists {
                push(&mut policy, list);
            }
            verifier = verifier.with_crls(lists);
        }
        let verifier = verifier.build().map_err(|error| match crl {
            Some(crl) => Fault::new(Part::Revocations, crl, format!("cannot be used: {error}")),
            None => of_ca(&format!("cannot be used: {error}")),
        })?;
        Ok(Self {
            ca_file: ca.to_owned(),
            crl_file: crl.map(Path::to_owned),
            mode,
            first_to_end,
            verifier,
            policy: policy.into(),
        })
    }

    /// The same from the same files, as they are now.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn reload(&self) -> Result<Self, Fault> {
        Self::load(&self.ca_file, self.crl_file.as_deref(), self.mode)
    }

    /// Whether both are the same in the configuration, whatever the files hold.
    #[must_use]
    pub fn is_called_as(&self, other: &Self) -> bool {
        self.mode == other.mode && self.ca_file == other.ca_file && self.crl_file == other.crl_file
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// By which sessions are kept apart.
    pub(super) fn policy(&self) -> &Arc<[u8]> {
        &self.policy
    }

    /// The files that it comes from.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.ca_file).chain(&self.crl_file)
    }
}

/// With its length, so that no two lists of parts are written alike.
fn push(policy: &mut Vec<u8>, part: &[u8]) {
    policy.extend_from_slice(&(part.len() as u64).to_be_bytes());
    policy.extend_from_slice(part);
}

impl PartialEq for ClientAuth {
    fn eq(&self, other: &Self) -> bool {
        self.is_called_as(other) && self.policy == other.policy
    }
}

impl Eq for ClientAuth {}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("ca_file", &self.ca_file)
            .field("crl_file", &self.crl_file)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
