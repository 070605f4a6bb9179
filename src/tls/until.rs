//! How long what the client of one connection has shown is good: the first end of a certificate in its chain.
//!
//! The authorities above the chain have times of their own, which are told elsewhere (`roots.rs`).

use std::sync::atomic::{AtomicI64, Ordering};

use rustls::pki_types::{CertificateDer, UnixTime};

use crate::tls::certificate::last_second;
use crate::tls::roots::seconds;

/// The last second in which the chain of a client is good, since 1970; without an end until there is one.
///
/// It belongs to one handshake, which one thread at a time drives: it is an atomic because rustls shares what it asks.
#[derive(Debug)]
pub(super) struct Until(AtomicI64);

impl Default for Until {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Until {
    pub(super) fn second(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, second: i64) {
        self.0.store(second, Ordering::Relaxed);
    }

    /// Takes over from a chain that has been verified. What has run out in it was of no need to it: clients send along
    /// certificates that nobody asks for.
    pub(super) fn follows(
        &self,
        (first, rest): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        now: UnixTime,
    ) {
        let ends = std::iter::once(first).chain(rest).filter_map(last_second);
        let first_end = ends.filter(|end| *end >= seconds(now)).min();
        self.set(first_end.unwrap_or(i64::MAX));
    }
}
