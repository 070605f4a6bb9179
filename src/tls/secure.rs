//! By what a session with one endpoint is made: its pool's settings, and the name that its certificate must be for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::tls::upstream::Upstream;

/// By what a session with an endpoint is made.
#[derive(Clone)]
pub struct Secure {
    /// The pool's settings.
    pub upstream: Arc<Upstream>,
    /// Whose certificate is wanted, and which name is asked for (none, where it is an address).
    pub name: ServerName<'static>,
}

impl Secure {
    /// The same with HTTP/1.1 offered and nothing else.
    #[must_use]
    pub fn for_http1(&self) -> Self {
        Self {
            upstream: self.upstream.for_http1(),
            name: self.name.clone(),
        }
    }
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && (Arc::ptr_eq(&self.upstream, &other.upstream) || self.upstream == other.upstream)
    }
}

impl Eq for Secure {}

impl Hash for Secure {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
