//! Files of certificates and authorities that change by themselves: read on a thread of their own, and what of them can be used
//! is put in force as a reload would, and nothing else is touched. What cannot is named, and the old one stays.

use std::sync::Arc;

use crate::config::Config;
use crate::control::certificates::Renewed;
use crate::control::held::Control;
use crate::control::reload::Moves;
use crate::snapshot::build;
use crate::socket::Seat;
use crate::tls::{Certificate, Spec};

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
            let moves = Moves::between(&before.config, &config, &made, &self.metrics)?;
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
