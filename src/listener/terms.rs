//! By what terms a listener's connections are served: its part of the configuration, and what its handshakes go by.

use std::sync::Arc;

use crate::config::model::Listener;
use crate::metrics::ListenerTraffic;
use crate::tls::Server;

/// What a connection keeps of its listener.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) listener: Arc<Listener>,
    /// Where it speaks TLS.
    pub(crate) tls: Option<Arc<Server>>,
    /// What is counted of it, for as long as it is there, whether it has connections or not.
    pub(crate) traffic: Arc<ListenerTraffic>,
}
