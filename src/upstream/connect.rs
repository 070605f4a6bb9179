//! What a connection to an endpoint is made by, and what its failure is called.

use std::cell::RefCell;
use std::io;

use rustls::Error as TlsError;

use crate::dial::Failure;
use crate::error::{Error, Kind, Progress};
use crate::location::Location;
use crate::pool::Pool;
use crate::tls::{Secure, tls_error};

/// By what the pool of an endpoint has its sessions made; none where it speaks in the clear.
pub(super) fn secure(pool: &Pool, address: &Location) -> Option<Secure> {
    pool.spec().tls.as_ref()?;
    let mut entries = pool.roster().entries().iter();
    let entry = entries.find(|entry| entry.address == *address)?;
    entry.secure(pool.spec())
}

/// What the failure to make a connection is called.
pub(super) fn called(failure: Failure) -> Error {
    let kind = match &failure {
        Failure::TooLate => Kind::ConnectTimeout,
        Failure::Socket(error) => match error.kind() {
            // A unix socket is refused by not being there.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Kind::ConnectRefused,
            io::ErrorKind::TimedOut => Kind::ConnectTimeout,
            _ => Kind::ConnectFailed,
        },
        Failure::Handshake(error) => match tls_fault(error) {
            Some(kind) => kind,
            // It breaks off as soon as it is spoken to.
            None => Kind::TlsProtocol,
        },
    };
    Error::because(kind, Progress::NothingSent, failure.into_io())
}

/// What an error of a TLS session is called; none if it is no such.
pub(super) fn tls_fault(error: &io::Error) -> Option<Kind> {
    Some(match tls_error(error)? {
        TlsError::InvalidCertificate(_)
        | TlsError::InvalidCertRevocationList(_)
        | TlsError::NoCertificatesPresented
        | TlsError::UnsupportedNameType => Kind::TlsCertificate,
        TlsError::AlertReceived(_) => Kind::TlsAlert,
        _ => Kind::TlsProtocol,
    })
}

/// Why no session with an endpoint comes about, as it was told last: each reason is worth a line once, not one a request.
#[derive(Debug, Default)]
pub(super) struct Trouble(RefCell<Option<Box<str>>>);

impl Trouble {
    /// Tells of a failure.
    pub(super) fn tell(&self, pool: &str, endpoint: &str, failure: &Failure) {
        let Failure::Handshake(error) = failure else {
            return;
        };
        let error = error.to_string();
        let mut told = self.0.borrow_mut();
        if told.as_deref() != Some(&*error) {
            tracing::warn!(%pool, %endpoint, %error, "TLS handshake with an endpoint fails");
            *told = Some(error.into());
        }
    }

    /// A session has come about.
    pub(super) fn is_over(&self, pool: &str, endpoint: &str) {
        if self.0.take().is_some() {
            tracing::info!(%pool, %endpoint, "TLS handshake with an endpoint succeeds again");
        }
    }
}
