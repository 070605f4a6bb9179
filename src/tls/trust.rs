//! Whose certificates endpoints may show: those of the system's authorities, of a file's, or anybody's.
//!
//! The system's store is read once, when a configuration first asks for it, and never on a worker.
//!
//! A certificate that stands in the file itself is good although it signed itself as an authority: `openssl req -x509`
//! makes such ones, and who names one here means this very endpoint. Its name and its time are looked at all the same.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::certificate::Authority;
use crate::tls::fault::{Fault, Part, read};

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
    /// Which of them runs out first.
    pub first_to_end: Option<Authority>,
    given: Box<[CertificateDer<'static>]>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// What decides it.
    ///
    /// # Errors
    /// Why the system's authorities cannot be used.
    pub(super) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, &'static str> {
        Ok(match self {
            Self::System => Arc::<WebPkiServerVerifier>::clone(system()?),
            Self::Authorities(authorities) => Arc::new(Given(Arc::clone(authorities))),
            Self::Anybody => Arc::new(Anybody(Arc::new(aws_lc_rs::default_provider()))),
        })
    }
}

/// The verifier by the system's authorities.
fn system() -> Result<&'static Arc<WebPkiServerVerifier>, &'static str> {
    static SYSTEM: OnceLock<Result<Arc<WebPkiServerVerifier>, String>> = OnceLock::new();
    let verifier = SYSTEM.get_or_init(|| {
        let read = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some stores hold certificates that are no good; the others are.
        let (added, _) = roots.add_parsable_certificates(read.certs);
        if added == 0 {
            let why = read.errors.first().map(|error| format!(": {error}"));
            return Err(format!(
                "the system has no store of authorities{}",
                why.unwrap_or_default()
            ));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| format!("the system's authorities cannot be used: {error}"))
    });
    verifier.as_ref().map_err(String::as_str)
}

impl Authorities {
    /// Reads authorities.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn load(ca: &Path) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new(Part::Authorities, ca, what);
        let text = read(Part::Authorities, ca)?;
        let given = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Box<[_]>, _>>()
            .map_err(|error| fault(&format!("is no PEM: {error}")))?;
        if given.is_empty() {
            return Err(fault("holds no certificate"));
        }
        let mut roots = RootCertStore::empty();
        for authority in &given {
            roots
                .add(authority.clone())
                .map_err(|error| fault(&format!("holds a certificate that is broken: {error}")))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| fault(&format!("cannot be used: {error}")))?;
        Ok(Self {
            ca_file: ca.to_owned(),
            first_to_end: Authority::first_to_end(&given),
            given,
            verifier,
        })
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.ca_file == other.ca_file && self.given == other.given
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

/// Believes in a file's authorities, and in the certificates that stand there themselves.
#[derive(Debug)]
struct Given(Arc<Authorities>);

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = &self.0.verifier;
        let verified = verifier.verify_server_cert(certificate, intermediates, name, ocsp, now);
        if verified.is_ok() || !self.0.given.contains(certificate) {
            return verified;
        }
        if !is_in_its_time(certificate, now) {
            return verified;
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.0.verifier;
        verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.0.verifier;
        verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.verifier.supported_verify_schemes()
    }
}

fn is_in_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

/// Believes anybody; but whoever it is must have the key of the certificate that is shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
