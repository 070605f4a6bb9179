//! The keys of session tickets, one set for each client-auth policy.
//!
//! A session that is taken up again brings its client's certificate along, which nobody verifies anew. So a ticket also says
//! which authorities were good when it was made, and how long the client's own chain is: where one has run out since, it is
//! no ticket, and a whole handshake decides. So a client that has a new certificate comes in with it, whatever it remembers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

use crate::tls::client_auth::ClientAuth;
use crate::tls::roots::{Roots, seconds};
use crate::tls::until::Until;

/// A policy: none, or whatever decides whom a client's certificate lets in.
type Policy = Option<Arc<[u8]>>;

/// Who makes and reads session tickets, by policy. It outlives reloads, so that sessions do.
#[derive(Default)]
pub struct Tickets(HashMap<Policy, Arc<dyn ProducesTickets>>);

impl Tickets {
    /// Who makes tickets under this policy, and reads those made under the same one; for a policy with client certificates
    /// by way of [`OfClient`] only.
    pub(super) fn of(
        &mut self,
        auth: Option<&ClientAuth>,
    ) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
        let policy = auth.map(|auth| Arc::clone(auth.policy()));
        if let Some(known) = self.0.get(&policy) {
            return Ok(Arc::clone(known));
        }
        let made = Ticketer::new()?;
        self.0.insert(policy, Arc::clone(&made));
        Ok(made)
    }

    /// Forgets the keys that no listener and no connection uses any more.
    pub fn forget_unused(&mut self) {
        self.0.retain(|_, ticketer| Arc::strong_count(ticketer) > 1);
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// The tickets of one connection whose client may show a certificate: they hold as long as its chain is good, and the
/// same authorities are.
#[derive(Debug)]
pub(super) struct OfClient {
    inner: Arc<dyn ProducesTickets>,
    /// Equal in all that share a policy.
    roots: Arc<Roots>,
    /// Known from the handshake, or from the ticket by which a session was taken up again.
    until: Arc<Until>,
}

impl OfClient {
    pub(super) fn new(
        inner: Arc<dyn ProducesTickets>,
        roots: Arc<Roots>,
        until: Arc<Until>,
    ) -> Self {
        Self {
            inner,
            roots,
            until,
        }
    }

    pub(super) fn seal(&self, plain: &[u8], now: UnixTime) -> Option<Vec<u8>> {
        let stretch = self.roots.stretch(now) as u64;
        let until = self.until.second();
        let terms = [stretch.to_be_bytes(), until.to_be_bytes()];
        self.inner.encrypt(&[plain, &terms.concat()].concat())
    }

    pub(super) fn open(&self, cipher: &[u8], now: UnixTime) -> Option<Vec<u8>> {
        let mut plain = self.inner.decrypt(cipher)?;
        let (rest, until) = plain.split_last_chunk()?;
        let (rest, stretch) = rest.split_last_chunk()?;
        let until = i64::from_be_bytes(*until);
        if u64::from_be_bytes(*stretch) != self.roots.stretch(now) as u64 || until < seconds(now) {
            return None;
        }
        self.until.set(until);
        plain.truncate(rest.len());
        Some(plain)
    }
}

impl ProducesTickets for OfClient {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, UnixTime::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, UnixTime::now())
    }
}
