//! What listeners speak TLS by: made anew where their part of the configuration, or what its files hold, has changed.
//!
//! What pools speak it by is a part of the configuration itself.
//!
//! Here it is only made; `reload.rs` and `renewal.rs` put it in force.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::{Listener, Protocols};
use crate::listener::Terms;
use crate::metrics::Metrics;
use crate::socket::Seat;
use crate::tls::{Fault, Protocol, Server, Spec, Tickets, Upstream};

/// What each listener's connections are accepted by, and the keys of their tickets, which outlive it.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    by_seat: Made,
    tickets: Tickets,
}

/// By listener.
pub(crate) type Made = HashMap<Seat, Arc<Server>>;

impl Servers {
    /// What the listeners of a configuration are to be served by; what did not change is the very same. Not in force yet.
    ///
    /// # Errors
    /// Every listener for which nothing can be made, a line each.
    pub(crate) fn make(&mut self, config: &Config) -> Result<Made, String> {
        let mut made = Made::new();
        let mut problems = String::new();
        for listener in &config.listeners {
            let Some(spec) = &listener.tls else { continue };
            let seat = Seat::of(listener);
            let known = self.by_seat.get(&seat);
            let protocols = offered(listener.protocols);
            let is_same =
                |server: &&Arc<Server>| server.spec() == spec && server.protocols() == protocols;
            if let Some(same) = known.filter(is_same) {
                made.insert(seat, Arc::clone(same));
                continue;
            }
            match Server::try_new(Arc::clone(spec), protocols, &mut self.tickets) {
                Ok(server) => {
                    made.insert(seat, Arc::new(server));
                }
                Err(error) => problems.push_str(&format!(
                    "error: listener \"{}\": could not prepare TLS: {error}\n",
                    listener.name
                )),
            }
        }
        match problems.is_empty() {
            true => Ok(made),
            false => Err(problems),
        }
    }

    /// Takes up what was made.
    pub(crate) fn follow(&mut self, made: Made) {
        self.by_seat = made;
        self.tickets.forget_unused();
    }
}

/// What is offered by ALPN, the preferred one first.
fn offered(protocols: Protocols) -> Vec<Protocol> {
    let http2 = protocols.http2.then_some(&b"h2"[..]);
    let http1 = protocols.http1.then_some(&b"http/1.1"[..]);
    http2.into_iter().chain(http1).collect()
}

/// The terms of a listener.
pub(crate) fn terms(listener: &Arc<Listener>, made: &Made, metrics: &Metrics) -> Terms {
    Terms {
        tls: made.get(&Seat::of(listener)).map(Arc::clone),
        traffic: metrics.listener(&listener.name),
        listener: Arc::clone(listener),
    }
}

/// What came of reading the files of a listener or a pool again.
pub(super) struct Renewed {
    pub(super) of: Of,
    pub(super) faults: Vec<Fault>,
}

/// Whose files, and what they hold now.
pub(super) enum Of {
    Listener(Seat, Arc<Spec>),
    Pool(Arc<str>, Arc<Upstream>),
}

/// Reads the files of every listener and every pool again.
pub(super) fn read_again(config: &Config) -> Vec<Renewed> {
    let listeners = config.listeners.iter();
    let with_tls = listeners.filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    let listeners = with_tls.map(|(listener, spec)| {
        let (spec, faults) = spec.reload();
        let of = Of::Listener(Seat::of(listener), Arc::new(spec));
        Renewed { of, faults }
    });
    let pools = config.pools.iter();
    let with_tls = pools.filter_map(|pool| Some((pool, pool.tls.as_ref()?)));
    let pools = with_tls.map(|(pool, upstream)| {
        let (upstream, faults) = upstream.reload();
        let of = Of::Pool(Arc::clone(&pool.name), upstream);
        Renewed { of, faults }
    });
    listeners.chain(pools).collect()
}
