//! Authorities, each believed for as long as its own certificate is good.
//!
//! webpki takes an authority for a name with a key, and never looks at its time (RFC 5280 §6.1 leaves that to whoever
//! configures it). OpenSSL does, and so do nginx, HAProxy and Envoy: what ran out is not believed, whoever signed it. So it
//! is here, also for what runs out while it is in use, without a lock and at the price of two comparisons: time falls into
//! stretches in which the same authorities are good, and each has a verifier of its own, made when somebody first asks in it.
//!
//! Not here: whom the verifiers are for (`trust.rs`, `client_auth.rs`).

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::VerifierBuilderError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::certificate::Authority;
use crate::tls::fault::{Fault, Part, read};

/// Authorities, with the times at which one begins or ceases to be good.
pub(super) struct Roots {
    certificates: Box<[CertificateDer<'static>]>,
    authorities: Box<[Authority]>,
    /// The first second of each stretch but the first, ascending.
    turns: Box<[i64]>,
    /// The seconds in which all are good; none where they never are.
    whole: RangeInclusive<i64>,
}

impl Roots {
    /// Reads authorities from a file in PEM.
    pub(super) fn load(ca: &Path) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new(Part::Authorities, ca, what);
        let text = read(Part::Authorities, ca)?;
        let given = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(&format!("is no PEM: {error}")))?;
        if given.is_empty() {
            return Err(fault("holds no certificate"));
        }
        let mut roots = RootCertStore::empty();
        for one in &given {
            roots
                .add(one.clone())
                .map_err(|error| fault(&format!("holds a certificate that is broken: {error}")))?;
        }
        Ok(Self::of(given))
    }

    /// These, all of which can be used.
    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        let authorities: Box<[_]> = certificates.iter().map(Authority::of).collect();
        let begins = authorities.iter().map(|one| one.not_before);
        let over = authorities
            .iter()
            .map(|one| one.not_after.saturating_add(1));
        let mut turns: Vec<i64> = begins.clone().chain(over).collect();
        turns.sort_unstable();
        turns.dedup();
        let last = authorities.iter().map(|one| one.not_after).min();
        Self {
            whole: begins.max().unwrap_or(i64::MIN)..=last.unwrap_or(i64::MAX),
            certificates: certificates.into(),
            authorities,
            turns: turns.into(),
        }
    }

    /// What is known of each, in file order.
    pub(super) fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// Their certificates, in file order.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether all are good at this time.
    pub(super) fn are_whole(&self, now: UnixTime) -> bool {
        self.whole.contains(&seconds(now))
    }

    /// The number of the stretch in which this time lies. In one stretch the same authorities are good.
    pub(super) fn stretch(&self, now: UnixTime) -> usize {
        let now = seconds(now);
        self.turns.partition_point(|turn| *turn <= now)
    }

    /// Whose time is over with this second.
    pub(super) fn ended(&self, not_after: i64) -> Option<&Authority> {
        let mut all = self.authorities.iter();
        all.find(|one| one.not_after == not_after)
    }

    /// Whose time begins with this second.
    pub(super) fn ahead(&self, not_before: i64) -> Option<&Authority> {
        let mut all = self.authorities.iter();
        all.find(|one| one.not_before == not_before)
    }

    fn store(&self, is_wanted: impl Fn(&Authority) -> bool) -> RootCertStore {
        let mut store = RootCertStore::empty();
        let all = self.certificates.iter().zip(&self.authorities);
        store.add_parsable_certificates(
            all.filter(|(_, authority)| is_wanted(authority))
                .map(|(certificate, _)| certificate.clone()),
        );
        store
    }

    /// Why a chain is not believed that would be if all were good for ever: by the first authority that is not good and that
    /// something of the chain names as its issuer.
    pub(super) fn blame(&self, now: UnixTime, chain: &[&CertificateDer<'_>]) -> Option<Error> {
        let is_named = |authority: &CertificateDer<'_>| {
            let Ok((_, own)) = X509Certificate::from_der(authority) else {
                return false;
            };
            chain.iter().any(|one| {
                let parsed = X509Certificate::from_der(one);
                parsed.is_ok_and(|(_, one)| one.issuer().as_raw() == own.subject().as_raw())
            })
        };
        let at = seconds(now);
        let mut all = self.certificates.iter().zip(&self.authorities);
        let (_, guilty) =
            all.find(|(certificate, authority)| !authority.is_good(at) && is_named(certificate))?;
        let second = |second: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(second).unwrap_or(0)))
        };
        let why = match at < guilty.not_before {
            true => CertificateError::NotValidYetContext {
                time: now,
                not_before: second(guilty.not_before),
            },
            false => CertificateError::ExpiredContext {
                time: now,
                not_after: second(guilty.not_after),
            },
        };
        Some(why.into())
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots")
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}

/// Since 1970.
pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// How a verifier is made for some of the authorities.
type Make<V> =
    dyn Fn(RootCertStore) -> Result<Arc<V>, VerifierBuilderError> + Send + Sync + 'static;

/// Verifiers by the authorities that are good at the time of asking.
pub(super) struct InTime<V: ?Sized> {
    roots: Arc<Roots>,
    /// By all of them.
    all: Arc<V>,
    /// By those that are good in each stretch; none where nobody is.
    by_stretch: Box<[OnceLock<Option<Arc<V>>>]>,
    make: Box<Make<V>>,
}

impl<V: ?Sized> InTime<V> {
    /// Makes the first of them, so that what cannot be used is known at once.
    pub(super) fn try_new(
        roots: Arc<Roots>,
        make: impl Fn(RootCertStore) -> Result<Arc<V>, VerifierBuilderError> + Send + Sync + 'static,
    ) -> Result<Self, VerifierBuilderError> {
        Ok(Self {
            all: make(roots.store(|_| true))?,
            by_stretch: (0..=roots.turns.len()).map(|_| OnceLock::new()).collect(),
            roots,
            make: Box::new(make),
        })
    }

    pub(super) fn roots(&self) -> &Arc<Roots> {
        &self.roots
    }

    /// By all authorities, good or not: for what does not depend on them.
    pub(super) fn all(&self) -> &V {
        &self.all
    }

    /// What `ask` has to say of a chain, the first of it in front, by those that are good now.
    pub(super) fn verify<T>(
        &self,
        now: UnixTime,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        ask: impl Fn(&V) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.roots.are_whole(now) {
            return ask(&self.all);
        }
        let unknown = Error::from(CertificateError::UnknownIssuer);
        let told = match self.good_at(now) {
            Some(good) => ask(good),
            None => Err(unknown.clone()),
        };
        match told {
            Err(error) if error == unknown && ask(&self.all).is_ok() => {
                let (first, rest) = chain;
                let chain: Vec<_> = std::iter::once(first).chain(rest).collect();
                Err(self.roots.blame(now, &chain).unwrap_or(error))
            }
            told => told,
        }
    }

    fn good_at(&self, now: UnixTime) -> Option<&V> {
        let made = self.by_stretch[self.roots.stretch(now)].get_or_init(|| {
            let now = seconds(now);
            let store = self.roots.store(|authority| authority.is_good(now));
            // It could be made of all of them: what is missing is somebody who is good.
            (self.make)(store).ok()
        });
        made.as_deref()
    }
}

impl<V: ?Sized> fmt::Debug for InTime<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTime")
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
