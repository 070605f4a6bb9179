//! Whom a listener lets in by a certificate of their own: its authorities, what they have revoked, and whether it must be.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::tls::certificate::Authority;
use crate::tls::fault::{Fault, Part, read};
use crate::tls::reason::explained;
use crate::tls::roots::{InTime, Roots};
use crate::tls::until::Until;

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without a good one there is no connection.
    Require,
    /// It may have none; one that it shows must be good.
    Optional,
}

impl Mode {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Optional => "optional",
        }
    }
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
    in_time: Arc<InTime<dyn ClientCertVerifier>>,
    /// A digest of the mode and all that the files hold. Equal only where whoever is let in by one is let in by the other.
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
        let roots = Roots::load(ca)?;
        let mut policy = digest::Context::new(&digest::SHA256);
        policy.update(&[mode as u8]);
        for authority in roots.certificates() {
            push(&mut policy, authority);
        }
        let mut lists = Vec::new();
        if let Some(crl) = crl {
            let of_crl = |what: &str| Fault::new(Part::Revocations, crl, what);
            let text = read(Part::Revocations, crl)?;
            lists = CertificateRevocationListDer::pem_slice_iter(&text)
                .collect::<Result<_, _>>()
                .map_err(|error| of_crl(&format!("is no PEM: {error}")))?;
            if lists.is_empty() {
                return Err(of_crl("holds no revocation list"));
            }
            policy.update(&[1]);
            for list in &lists {
                push(&mut policy, list);
            }
        }
        let made = InTime::try_new(Arc::new(roots), move |store| {
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
            let verifier = verifier.with_crls(lists.iter().cloned());
            match mode {
                Mode::Optional => verifier.allow_unauthenticated(),
                Mode::Require => verifier,
            }
            .build()
        });
        let in_time = made.map_err(|error| {
            let (part, path) = crl.map_or((Part::Authorities, ca), |crl| (Part::Revocations, crl));
            Fault::new(part, path, format!("cannot be used: {error}"))
        })?;
        Ok(Self {
            ca_file: ca.to_owned(),
            crl_file: crl.map(Path::to_owned),
            mode,
            in_time: Arc::new(in_time),
            policy: policy.finish().as_ref().into(),
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

    /// What is known of each authority, in file order.
    #[must_use]
    pub fn known(&self) -> &[Authority] {
        self.roots().authorities()
    }

    /// Who decides whether the client of one connection is let in, and tells for how long.
    pub(super) fn verifier(&self, until: Arc<Until>) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Gate {
            in_time: Arc::clone(&self.in_time),
            until,
        })
    }

    /// Its authorities.
    pub(super) fn roots(&self) -> &Arc<Roots> {
        self.in_time.roots()
    }

    /// Why somebody is not let in, in words for the log.
    pub(super) fn explained(&self, error: io::Error) -> io::Error {
        explained(error, Some(self.roots()))
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
fn push(policy: &mut digest::Context, part: &[u8]) {
    policy.update(&(part.len() as u64).to_be_bytes());
    policy.update(part);
}

/// Who decides whether a client is let in.
#[derive(Debug)]
struct Gate {
    in_time: Arc<InTime<dyn ClientCertVerifier>>,
    until: Arc<Until>,
}

impl ClientCertVerifier for Gate {
    fn client_auth_mandatory(&self) -> bool {
        self.in_time.all().client_auth_mandatory()
    }

    /// Those that have run out too: who has a certificate of theirs is better told that than that it has none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.in_time.all().root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = (certificate, intermediates);
        let verified = self.in_time.verify(now, chain, |verifier| {
            verifier.verify_client_cert(certificate, intermediates, now)
        })?;
        self.until.follows(chain, now);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.in_time.all();
        verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.in_time.all();
        verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.in_time.all().supported_verify_schemes()
    }
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
