//! Files of certificates and authorities that change by themselves: read on a thread of their own, and what of them can be used
//! is put in force as a reload would, and nothing else is touched. What cannot is named, and the old one stays.

use std::sync::Arc;

use crate::config::Config;
use crate::control::certificates::{Of, Renewed};
use crate::control::held::Control;
use crate::control::reload::Moves;
use crate::snapshot::build;
use crate::socket::Seat;
use crate::tls::{Certificate, Spec, Upstream};

impl Control {
    /// Acts on files that were read again.
    pub(super) async fn renew_certificates(&mut self, renewed: Vec<Renewed>) {
        let before = self.store.newest();
        let mut config = Config::clone(&before.config);
        let mut faults = Vec::new();
        let mut told = Vec::new();
        for renewed in renewed {
            faults.extend(renewed.faults.iter().map(ToString::to_string));
            told.extend(take_up(&mut config, renewed.of));
        }
        self.metrics.certificate_faults(faults.len());
        self.board.update(|report| {
            // What was told before is still as it was.
            let known = &report.certificate_faults;
            for problem in faults.iter().filter(|fault| !known.contains(fault)) {
                tracing::error!(%problem, "Certificate cannot be taken up, the old one stays");
            }
            report.certificate_faults = faults;
        });
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
        let config = Arc::new(config);
        let next = build::whole(
            Arc::clone(&config),
            &self.endpoints,
            &self.metrics,
            Some(&before),
        );
        self.store.publish(next);
        self.prober.follow(self.endpoints.plan(&config));
        self.relocate(moves).await;
        for renewal in told {
            renewal.tell();
        }
    }
}

/// What has been renewed: as it was, and as it is.
enum Renewal {
    Listener(Arc<str>, Arc<Spec>, Arc<Spec>),
    Pool(Arc<str>, Arc<Upstream>, Arc<Upstream>),
}

/// Puts what was read into a configuration; none where it has it already, or no such part any more.
fn take_up(config: &mut Config, of: Of) -> Option<Renewal> {
    match of {
        Of::Listener(seat, spec) => {
            let mut all = config.listeners.iter_mut();
            let listener = all.find(|listener| Seat::of(listener) == seat)?;
            let old = Arc::clone(listener.tls.as_ref().filter(|old| **old != spec)?);
            Arc::make_mut(listener).tls = Some(Arc::clone(&spec));
            Some(Renewal::Listener(Arc::clone(&listener.name), old, spec))
        }
        Of::Pool(name, upstream) => {
            let pool = config.pools.iter_mut().find(|pool| pool.name == name)?;
            let old = Arc::clone(pool.tls.as_ref().filter(|old| **old != upstream)?);
            Arc::make_mut(pool).tls = Some(Arc::clone(&upstream));
            Some(Renewal::Pool(name, old, upstream))
        }
    }
}

impl Renewal {
    fn tell(&self) {
        match self {
            Self::Listener(listener, old, new) => {
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
            Self::Pool(pool, old, new) => {
                let (old, new) = (old.terms(), new.terms());
                if let Some(certificate) = &new.certificate
                    && old.certificate != new.certificate
                {
                    let (name, file) = (&certificate.name, certificate.cert_file.display());
                    tracing::info!(%pool, %name, %file, "Certificate is renewed");
                }
                if old.trust != new.trust {
                    tracing::info!(%pool, "Authorities for the certificates of endpoints are renewed");
                }
            }
        }
    }
}
