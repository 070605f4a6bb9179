//! Why somebody is not believed, in words that stay the same from one connection to the next, and name an authority where it is
//! its own time that is over.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use jiff::Timestamp;
use rustls::{CertificateError, Error};

use crate::tls::roots::{Roots, seconds};

/// An error of a session, in other words than its own.
#[derive(Debug)]
struct Reason {
    error: Error,
    words: String,
}

/// The same error, in better words where there are any: those of rustls tell the time that it is.
pub(super) fn explained(error: io::Error, roots: Option<&Roots>) -> io::Error {
    let Some(cause) = tls_error(&error) else {
        return error;
    };
    let whose = |authority: Option<&str>| match authority {
        Some(name) => format!("the certificate of the authority {name}"),
        None => "the certificate".to_owned(),
    };
    let words = match cause {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            let ended = roots.and_then(|roots| roots.ended(seconds(*not_after)));
            let whose = whose(ended.map(|authority| &*authority.name));
            format!("{whose} has expired on {}", moment(seconds(*not_after)))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            let ahead = roots.and_then(|roots| roots.ahead(seconds(*not_before)));
            let whose = whose(ahead.map(|authority| &*authority.name));
            let begin = moment(seconds(*not_before));
            format!("{whose} is not good before {begin}")
        }
        _ => return error,
    };
    let words = format!("invalid peer certificate: {words}");
    let error_of_tls = cause.clone();
    io::Error::new(
        error.kind(),
        Reason {
            error: error_of_tls,
            words,
        },
    )
}

/// What a session says to an error of its connection; none where it is not its own.
#[must_use]
pub fn tls_error(error: &io::Error) -> Option<&Error> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<Reason>() {
        Some(reason) => Some(&reason.error),
        None => inner.downcast_ref(),
    }
}

/// A second since 1970 as RFC 3339 writes it; as a number where there is no such year.
#[must_use]
pub fn moment(second: i64) -> String {
    match Timestamp::from_second(second) {
        Ok(at) => at.to_string(),
        Err(_) => format!("second {second} since 1970"),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl StdError for Reason {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}
