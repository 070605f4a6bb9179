//! What listeners speak TLS by: made anew where their part of the configuration, or what its files hold, has changed.
//!
//! Files that change by themselves are read on a thread of their own; what of them can be used is put in force as a reload
//! would, and nothing else is touched. What cannot is named, and the old one stays.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::Listener;
use crate::control::held::Control;
use crate::control::reload::Moves;
use crate::listener::Terms;
use crate::snapshot::build;
use crate::socket::Seat;
use crate::tls::{Certificate, Fault, Server, Spec, Tickets};

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
            if let Some(same) = known.filter(|server| server.spec() == spec) {
                made.insert(seat, Arc::clone(same));
                continue;
            }
            match Server::try_new(Arc::clone(spec), &mut self.tickets) {
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

/// The terms of a listener.
pub(crate) fn terms(listener: &Arc<Listener>, made: &Made) -> Terms {
    Terms {
        tls: made.get(&Seat::of(listener)).map(Arc::clone),
        listener: Arc::clone(listener),
    }
}

/// What came of reading a listener's files again.
pub(super) struct Renewed {
    seat: Seat,
    spec: Arc<Spec>,
    faults: Vec<Fault>,
}

/// Reads the files of every listener again.
pub(super) fn read_again(config: &Config) -> Vec<Renewed> {
    let listeners = config.listeners.iter();
    let with_tls = listeners.filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    with_tls
        .map(|(listener, spec)| {
            let (spec, faults) = spec.reload();
            Renewed {
                seat: Seat::of(listener),
                spec: Arc::new(spec),
                faults,
            }
        })
        .collect()
}

impl Control {
    /// Acts on files that were read again.
    pub(super) async fn renew_certificates(&mut self, renewed: Vec<Renewed>) {
        let before = self.store.newest();
        let mut config = Config::clone(&before.config);
        let mut faults = Vec::new();
        let mut told = Vec::new();
        for Renewed {
            seat,
            spec,
            faults: of_one,
        } in renewed
        {
            faults.extend(of_one.iter().map(ToString::to_string));
            let all = &mut config.listeners;
            let Some(listener) = all.iter_mut().find(|listener| Seat::of(listener) == seat) else {
                continue;
            };
            let Some(old) = listener.tls.as_ref().filter(|old| **old != spec) else {
                continue;
            };
            told.push((
                Arc::clone(&listener.name),
                Arc::clone(old),
                Arc::clone(&spec),
            ));
            Arc::make_mut(listener).tls = Some(spec);
        }
        for problem in &faults {
            tracing::error!(%problem, "Certificate cannot be taken up, the old one stays");
        }
        self.board
            .update(|report| report.certificate_faults = faults);
        if told.is_empty() {
            return;
        }
        let made = self.servers.make(&config);
        let moves = made.and_then(|made| {
            let moves = Moves::between(&before.config, &config, &made)?;
            Ok((made, moves))
        });
        let (made, moves) = match moves {
            Ok(prepared) => prepared,
            Err(problems) => {
                tracing::error!(%problems, "Certificates cannot be taken up, the old ones stay");
                return;
            }
        };
        self.servers.follow(made);
        let next = build::whole(
            Arc::new(config),
            &self.endpoints,
            &self.metrics,
            Some(&before),
        );
        self.store.publish(next);
        self.relocate(moves).await;
        for (listener, old, new) in told {
            tell(&listener, &old, &new);
        }
    }
}

fn tell(listener: &str, old: &Spec, new: &Spec) {
    let pairs = old.certificates.iter().zip(&new.certificates);
    for (_, certificate) in pairs.filter(|(old, new)| old != new) {
        let Certificate {
            name, cert_file, ..
        } = &**certificate;
        let file = cert_file.display();
        tracing::info!(%listener, %name, %file, "Certificate is renewed");
    }
    if old.client_auth != new.client_auth {
        tracing::info!(%listener, "Authorities for client certificates are renewed");
    }
}
