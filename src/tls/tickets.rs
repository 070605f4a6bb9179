//! The keys of session tickets, one set for each client-auth policy.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::tls::client_auth::ClientAuth;

/// A policy: none, or whatever decides whom a client's certificate lets in.
type Policy = Option<Arc<[u8]>>;

/// Who makes and reads session tickets, by policy. It outlives reloads, so that sessions do.
#[derive(Default)]
pub struct Tickets(HashMap<Policy, Arc<dyn ProducesTickets>>);

impl Tickets {
    /// Who makes tickets under this policy, and reads those made under the same one.
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
