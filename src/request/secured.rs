//! What the requests of a TLS connection have in common: the name it was made for, who its client is, and which requests
//! do not belong on it (RFC 9110 §15.5.20).

use std::cell::Cell;
use std::sync::Arc;

use crate::config::model::Listener;
use crate::snapshot::Snapshot;
use crate::tls::{Identity, Server, Spec};

/// A TLS connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Secured {
    server: Arc<Server>,
    /// The name that the client asked for.
    name: Option<Box<str>>,
    pub(crate) identity: Option<Identity>,
    /// The snapshot for which the policy was looked at last, and whether it is another one by now.
    looked: Cell<(u64, bool)>,
}

impl Secured {
    pub(crate) fn new(server: Arc<Server>, name: Option<&str>, identity: Option<Identity>) -> Self {
        Self {
            server,
            name: name.map(Box::from),
            identity,
            looked: Cell::new((0, false)),
        }
    }

    /// Whether a request for this host belongs on another connection: the host is served here under another certificate than
    /// this connection's, or the listener lets clients in by another policy than when this one came.
    ///
    /// A renewed certificate, or other authorities in the same file, are no other policy: old connections go on.
    pub(crate) fn misdirects(&self, host: &str, listener: &Listener, snapshot: &Snapshot) -> bool {
        if self.looked.get().0 != snapshot.generation {
            let is_other = self.is_under_another_policy(listener, snapshot);
            self.looked.set((snapshot.generation, is_other));
        }
        self.looked.get().1 || !self.server.serves(self.name.as_deref(), host)
    }

    fn is_under_another_policy(&self, listener: &Listener, snapshot: &Snapshot) -> bool {
        let mut all = snapshot.config.listeners.iter();
        let same = all.find(|one| one.name == listener.name && one.bind == listener.bind);
        // Where the listener has gone, or speaks no TLS any more, its connections end by themselves.
        let Some(now) = same.and_then(|listener| listener.tls.as_deref()) else {
            return false;
        };
        !is_same_policy(self.server.spec(), now)
    }
}

fn is_same_policy(then: &Spec, now: &Spec) -> bool {
    match (&then.client_auth, &now.client_auth) {
        (None, None) => true,
        (Some(then), Some(now)) => then.is_called_as(now),
        (None, Some(_)) | (Some(_), None) => false,
    }
}
