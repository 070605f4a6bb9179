//! Whose certificates endpoints may show: those of the system's authorities, of a file's, or anybody's.
//!
//! The system's store is read once, when a configuration first asks for it, and never on a worker.
//!
//! A certificate that stands in the file itself is good although it signed itself as an authority: `openssl req -x509`
//! makes such ones, and who names one here means this very endpoint. Its name and its time are looked at all the same.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::tls::certificate::Authority;
use crate::tls::fault::{Fault, Part};
use crate::tls::reason::explained;
use crate::tls::roots::{InTime, Roots, seconds};

/// Whose certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this system trusts.
    System,
    /// Those of these authorities.
    Authorities(Arc<Authorities>),
    /// Anybody's: whoever answers is believed.
    Anybody,
}

/// Authorities, from a file.
#[derive(Clone)]
pub struct Authorities {
    /// Where they were read.
    pub ca_file: PathBuf,
    believer: Arc<Believer>,
}

impl Trust {
    /// What decides it.
    ///
    /// # Errors
    /// Why the system's authorities cannot be used.
    pub(super) fn believer(&self) -> Result<Arc<Believer>, &'static str> {
        Ok(match self {
            Self::System => Arc::clone(system()?),
            Self::Authorities(authorities) => Arc::clone(&authorities.believer),
            Self::Anybody => Arc::new(Believer::of(Whom::Anybody)),
        })
    }
}

/// Who believes in the system's authorities.
fn system() -> Result<&'static Arc<Believer>, &'static str> {
    static SYSTEM: OnceLock<Result<Arc<Believer>, String>> = OnceLock::new();
    let believer = SYSTEM.get_or_init(|| {
        let read = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some stores hold certificates that are no good; the others are.
        let good = read.certs.into_iter();
        let good: Vec<_> = good.filter(|one| roots.add(one.clone()).is_ok()).collect();
        if good.is_empty() {
            let is_named =
                ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| std::env::var_os(name).is_some());
            let why = match read.errors.first() {
                Some(error) => format!(": {error}"),
                None if is_named.contains(&true) => {
                    ": there is no certificate in what SSL_CERT_FILE and SSL_CERT_DIR name"
                        .to_owned()
                }
                None => String::new(),
            };
            return Err(format!("the system has no store of authorities{why}"));
        }
        let made = in_time(Roots::of(good));
        let made =
            made.map_err(|error| format!("the system's authorities cannot be used: {error}"))?;
        Ok(Arc::new(Believer::of(Whom::Signed(made))))
    });
    believer.as_ref().map_err(String::as_str)
}

fn in_time(
    roots: Roots,
) -> Result<InTime<WebPkiServerVerifier>, rustls::client::VerifierBuilderError> {
    InTime::try_new(Arc::new(roots), |store| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build()
    })
}

impl Authorities {
    /// Reads authorities.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn load(ca: &Path) -> Result<Self, Fault> {
        let made = in_time(Roots::load(ca)?).map_err(|error| {
            Fault::new(Part::Authorities, ca, format!("cannot be used: {error}"))
        })?;
        Ok(Self {
            ca_file: ca.to_owned(),
            believer: Arc::new(Believer::of(Whom::SignedOrNamed(made))),
        })
    }

    /// What is known of each, in file order.
    #[must_use]
    pub fn known(&self) -> &[Authority] {
        self.believer.roots().map_or(&[], Roots::authorities)
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        let given = |one: &Self| {
            one.believer
                .roots()
                .map(|roots| roots.certificates().to_vec())
        };
        self.ca_file == other.ca_file && given(self) == given(other)
    }
}

impl Eq for Authorities {}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// Who decides whether an endpoint is believed. Whoever it is must have the key of the certificate that is shown.
#[derive(Debug)]
pub(super) struct Believer {
    whom: Whom,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Whom {
    Anybody,
    /// Whom an authority vouches for.
    Signed(InTime<WebPkiServerVerifier>),
    /// The same, and whose certificate stands among those of the authorities.
    SignedOrNamed(InTime<WebPkiServerVerifier>),
}

impl Believer {
    fn of(whom: Whom) -> Self {
        let provider = aws_lc_rs::default_provider();
        Self {
            whom,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn roots(&self) -> Option<&Roots> {
        match &self.whom {
            Whom::Anybody => None,
            Whom::Signed(in_time) | Whom::SignedOrNamed(in_time) => Some(in_time.roots()),
        }
    }

    /// In which stretch of time this lies, if there are any: in one stretch the same authorities are good.
    pub(super) fn stretch(&self, now: UnixTime) -> Option<usize> {
        self.roots().map(|roots| roots.stretch(now))
    }

    /// Looks at a chain again with which a session was made before.
    pub(super) fn still_believes(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let (first, rest) = chain
            .and_then(<[_]>::split_first)
            .ok_or(Error::NoCertificatesPresented)?;
        self.verify_server_cert(first, rest, name, &[], now)
            .map(drop)
    }

    /// Why somebody is not believed, in words for the log.
    pub(super) fn explained(&self, error: io::Error) -> io::Error {
        explained(error, self.roots())
    }
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (in_time, named) = match &self.whom {
            Whom::Anybody => return Ok(ServerCertVerified::assertion()),
            Whom::Signed(in_time) => (in_time, &[][..]),
            Whom::SignedOrNamed(in_time) => (in_time, in_time.roots().certificates()),
        };
        let verified = in_time.verify(now, (certificate, intermediates), |verifier| {
            verifier.verify_server_cert(certificate, intermediates, name, ocsp, now)
        });
        if verified.is_ok() || !named.contains(certificate) {
            return verified;
        }
        if !Authority::of(certificate).is_good(seconds(now)) {
            let why = in_time.roots().blame(now, &[certificate]);
            return why.map_or(verified, Err);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
