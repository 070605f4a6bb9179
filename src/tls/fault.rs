//! What is wrong with a file of a certificate, a key, an authority; and how such a file is read.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// No file is read beyond this; lists of revocations may be long.
const MAX_BYTES: u64 = 64 << 20;

/// Which of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `certFile`
    Certificate,
    /// `keyFile`
    Key,
    /// `ocspFile`
    Ocsp,
    /// `caFile`
    Authorities,
    /// `crlFile`
    Revocations,
}

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of the files.
    pub part: Part,
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong, as it stands behind its name.
    pub what: String,
}

impl Fault {
    pub(super) fn new(part: Part, path: &Path, what: impl Into<String>) -> Self {
        Self {
            part,
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// How to mend it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self.part {
            Part::Certificate => {
                "give the certificate in PEM, and behind it those that lead to its authority"
            }
            Part::Key => "give the key of this very certificate in PEM: PKCS#8, PKCS#1 or SEC1",
            Part::Ocsp => "give an OCSP response in DER, as in: openssl ocsp … -respout FILE",
            Part::Authorities => "give the certificates of the authorities in PEM",
            Part::Revocations => "give revocation lists of these authorities in PEM",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Certificate => "certFile",
            Part::Key => "keyFile",
            Part::Ocsp => "ocspFile",
            Part::Authorities => "caFile",
            Part::Revocations => "crlFile",
        };
        write!(f, "the {part} \"{}\" {}", self.path.display(), self.what)
    }
}

impl std::error::Error for Fault {}

/// What a file holds.
pub(super) fn read(part: Part, path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |what: &str| Fault::new(part, path, what);
    let seen = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fault("is not there"),
        _ => fault(&format!("cannot be read: {error}")),
    })?;
    // A pipe would keep us waiting.
    if !seen.is_file() {
        return Err(fault("is no file"));
    }
    if seen.len() > MAX_BYTES {
        return Err(fault("is larger than 64MiB"));
    }
    fs::read(path).map_err(|error| fault(&format!("cannot be read: {error}")))
}
