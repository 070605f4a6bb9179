//! A certificate with its chain and its key, read from files, and what of it is needed before a handshake: its names and
//! how long it is good.

use std::fmt;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::fault::{Fault, Part, read};

/// A certificate, its chain and its key.
#[derive(Clone)]
pub struct Certificate {
    /// Where it was read.
    pub cert_file: PathBuf,
    /// Where its key was read.
    pub key_file: PathBuf,
    /// Where the answer of its authority that is stapled to it was read.
    pub ocsp_file: Option<PathBuf>,
    /// The host names that it is for, in lower case, the first of them first; a wildcard begins with `*.`.
    pub names: Vec<Arc<str>>,
    /// What it is called in metrics and messages: its first name, or what else tells it from others.
    pub name: Arc<str>,
    /// The first second of its time, since 1970.
    pub not_before: i64,
    /// The last second of its time, since 1970.
    pub not_after: i64,
    key: Arc<CertifiedKey>,
    /// Tells what the files held from what they held at another time.
    content: u64,
}

impl Certificate {
    /// Reads a certificate with its key, which must be its own.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(cert: &Path, key: &Path, ocsp: Option<&Path>) -> Result<Self, Fault> {
        let of_cert = |what: &str| Fault::new(Part::Certificate, cert, what);
        let of_key = |what: &str| Fault::new(Part::Key, key, what);
        let cert_text = read(Part::Certificate, cert)?;
        let chain = CertificateDer::pem_slice_iter(&cert_text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| of_cert(&format!("is no PEM: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(of_cert("holds no certificate"));
        };
        let known =
            Known::of(first).ok_or_else(|| of_cert("holds a certificate that is broken"))?;
        let key_text = read(Part::Key, key)?;
        let private = PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound if is_encrypted(&key_text) => {
                of_key("holds a key under a password, which nobody could type")
            }
            rustls::pki_types::pem::Error::NoItemsFound => of_key("holds no private key"),
            error => of_key(&format!("is no PEM: {error}")),
        })?;
        let made = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        let mut certified = made.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => of_key(&format!(
                "is not the key of the certificate in \"{}\"",
                cert.display()
            )),
            error => of_key(&format!("holds a key that cannot be used: {error}")),
        })?;
        let mut content = std::hash::DefaultHasher::new();
        content.write(&cert_text);
        content.write(&key_text);
        if let Some(ocsp) = ocsp {
            let answer = read(Part::Ocsp, ocsp)?;
            if !is_good_answer(&answer) {
                let what = "holds no successful OCSP response in DER";
                return Err(Fault::new(Part::Ocsp, ocsp, what));
            }
            content.write(&answer);
            certified.ocsp = Some(answer);
        }
        let name = known.names.first().cloned().or(known.other);
        let by_file = || cert.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            cert_file: cert.to_owned(),
            key_file: key.to_owned(),
            ocsp_file: ocsp.map(Path::to_owned),
            name: name.unwrap_or_else(|| Arc::from(by_file())),
            names: known.names,
            not_before: known.not_before,
            not_after: known.not_after,
            key: Arc::new(certified),
            content: content.finish(),
        })
    }

    /// The same from the same files, as they are now.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn reload(&self) -> Result<Self, Fault> {
        Self::load(&self.cert_file, &self.key_file, self.ocsp_file.as_deref())
    }

    /// What a handshake signs with.
    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The files that it comes from.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert_file, &self.key_file]
            .into_iter()
            .chain(&self.ocsp_file)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.cert_file == other.cert_file
            && self.key_file == other.key_file
            && self.ocsp_file == other.ocsp_file
            && self.content == other.content
            && self.key.cert == other.key.cert
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("cert_file", &self.cert_file)
            .finish_non_exhaustive()
    }
}

/// What is known of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its common name, or its first host name.
    pub name: Arc<str>,
    /// The first second of its time, since 1970.
    pub not_before: i64,
    /// The last second of its time, since 1970.
    pub not_after: i64,
}

impl Authority {
    /// Without limits where its own cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let known = Known::of(certificate);
        let (not_before, not_after) = known.as_ref().map_or((i64::MIN, i64::MAX), |known| {
            (known.not_before, known.not_after)
        });
        let name = known.and_then(|known| known.other.or_else(|| known.names.first().cloned()));
        Self {
            name: name.unwrap_or_else(|| Arc::from("without a name")),
            not_before,
            not_after,
        }
    }

    /// Whether this second is one of its time.
    #[must_use]
    pub fn is_good(&self, second: i64) -> bool {
        (self.not_before..=self.not_after).contains(&second)
    }
}

/// The last second of a certificate's time, since 1970; none where it cannot be read.
pub(super) fn last_second(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// What a certificate says of itself.
struct Known {
    names: Vec<Arc<str>>,
    other: Option<Arc<str>>,
    not_before: i64,
    not_after: i64,
}

impl Known {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let common = parsed
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .last();
        let alternatives = parsed.subject_alternative_name().ok()?;
        let mut names = Vec::new();
        for name in alternatives.iter().flat_map(|all| &all.value.general_names) {
            if let GeneralName::DNSName(name) = name {
                let name: Arc<str> = name.to_ascii_lowercase().into();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        // Clients have long ceased to look there (RFC 9525 §2), but where there is nothing else it is what is meant.
        if alternatives.is_none()
            && let Some(common) = common.filter(|name| is_host(name))
        {
            names.push(common.to_ascii_lowercase().into());
        }
        Some(Self {
            names,
            other: common.map(Arc::from),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

fn is_host(name: &str) -> bool {
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'*');
    name.contains('.') && name.bytes().all(is_part)
}

fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("ENCRYPTED")
}

/// Whether this begins as an OCSPResponse with the status `successful` does, and is as long as it says (RFC 6960 §4.2.1);
/// clients look at the rest.
fn is_good_answer(answer: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    const SUCCESSFUL: [u8; 3] = [0x0a, 1, 0];
    let [SEQUENCE, first, rest @ ..] = answer else {
        return false;
    };
    let (length, inside) = match first {
        0..=0x7f => (usize::from(*first), rest),
        _ => {
            let Some((octets, inside)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
                return false;
            };
            if octets.len() > 4 {
                return false;
            }
            let add = |sum: usize, octet: &u8| sum << 8 | usize::from(*octet);
            (octets.iter().fold(0, add), inside)
        }
    };
    inside.len() == length && inside.starts_with(&SUCCESSFUL) && length > SUCCESSFUL.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_successful_ocsp_response_is_stapled() {
        let answer = include_bytes!("../../config/tls/site.ocsp");
        assert!(is_good_answer(answer));
        assert!(!is_good_answer(&answer[..answer.len() - 1]));
        assert!(!is_good_answer(b""));
        // `tryLater`
        assert!(!is_good_answer(&[0x30, 3, 0x0a, 1, 3]));
        assert!(!is_good_answer(b"-----BEGIN OCSP RESPONSE-----"));
    }
}
