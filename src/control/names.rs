//! What is known of every host name that endpoints are configured by, kept over reloads.
//!
//! The last good answer stays until there is another one, whatever is said meanwhile: a name server that fails, or that
//! denies a name it knew, takes no endpoint out of service. Probes do, if the endpoint has really gone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::change::{Outcome, Resolution};
use crate::config::Config;
use crate::control::report::NameReport;
use crate::discovery::Wanted;

/// Every name of the configuration in force.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<Arc<str>, Known>,
    /// Numbers followings.
    followings: u64,
}

#[derive(Debug)]
struct Known {
    following: u64,
    /// Whether its first answer, or the first failure to get one, is still to come.
    is_awaited: bool,
    report: NameReport,
}

/// What a resolution means for pools that have the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Nothing.
    Nothing,
    /// It is not waited for any more.
    NotAwaited,
    /// It has other addresses.
    Addresses,
}

impl Names {
    /// Takes up a configuration: names that stay keep their answers, others are forgotten.
    pub(crate) fn configure(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.known);
        for host in hosts(config) {
            if self.known.contains_key(host) {
                continue;
            }
            let known = before.remove(host).unwrap_or_else(|| {
                self.followings += 1;
                Known {
                    following: self.followings,
                    is_awaited: true,
                    report: NameReport::default(),
                }
            });
            self.known.insert(Arc::clone(host), known);
        }
    }

    /// What is to be asked for.
    pub(crate) fn wanted(&self, config: &Config) -> Wanted {
        let names = self.known.iter();
        Wanted {
            names: names
                .map(|(host, known)| (Arc::clone(host), known.following))
                .collect(),
            resolver: config.resolver.clone(),
        }
    }

    /// Takes in what came of asking for a name, and logs it where it is new.
    pub(crate) fn take(&mut self, resolution: Resolution, now: SystemTime) -> Learned {
        let Resolution {
            name,
            following,
            outcome,
        } = resolution;
        let Some(known) = self.known.get_mut(&name) else {
            return Learned::Nothing;
        };
        if known.following != following {
            return Learned::Nothing;
        }
        let was_awaited = std::mem::take(&mut known.is_awaited);
        let report = &mut known.report;
        let lookups = &mut report.lookups;
        let (count, problem) = match outcome {
            Outcome::Found {
                addresses,
                ttl,
                doubt,
            } => {
                lookups.found += 1;
                return known.found(&name, addresses, ttl, doubt, now, was_awaited);
            }
            Outcome::Missing(problem) => (Some(&mut lookups.missing), problem),
            Outcome::Failed(problem) => (Some(&mut lookups.failed), problem),
            Outcome::Late(problem) => (None, problem),
        };
        if let Some(count) = count {
            *count += 1;
        }
        if report.problem.as_deref() != Some(&*problem) {
            let kept = report.addresses.len();
            match kept {
                0 => tracing::warn!(%name, %problem, "Name has no addresses"),
                _ => tracing::warn!(%name, %problem, kept, "Name keeps its last addresses"),
            }
            report.problem = Some(problem);
        }
        match was_awaited {
            true => Learned::NotAwaited,
            false => Learned::Nothing,
        }
    }

    /// The addresses of a name by its last good answer.
    pub(crate) fn addresses(&self, host: &str) -> &[IpAddr] {
        let known = self.known.get(host);
        known.map_or(&[], |known| &known.report.addresses)
    }

    /// Whether the first answer for this name is still to come.
    pub(crate) fn is_awaited(&self, host: &str) -> bool {
        self.known.get(host).is_some_and(|known| known.is_awaited)
    }

    /// Whether the first answer for any name is still to come.
    pub(crate) fn any_awaited(&self) -> bool {
        self.known.values().any(|known| known.is_awaited)
    }

    /// What is told about all of them.
    pub(crate) fn report(&self) -> Arc<BTreeMap<Arc<str>, NameReport>> {
        let names = self.known.iter();
        let names = names.map(|(host, known)| (Arc::clone(host), known.report.clone()));
        Arc::new(names.collect())
    }
}

impl Known {
    fn found(
        &mut self,
        name: &str,
        addresses: Arc<[IpAddr]>,
        ttl: Option<std::time::Duration>,
        doubt: Option<Box<str>>,
        now: SystemTime,
        was_awaited: bool,
    ) -> Learned {
        let report = &mut self.report;
        let is_new = report.addresses != addresses;
        if is_new {
            let came = few(&addresses, &report.addresses);
            let left = few(&report.addresses, &addresses);
            let count = addresses.len();
            tracing::info!(%name, count, ?came, ?left, "Name has other addresses");
            report.addresses = addresses;
        } else if report.problem.is_some() && doubt.is_none() {
            tracing::info!(%name, "Name is answered again");
        }
        if let Some(doubt) = doubt
            .as_deref()
            .filter(|doubt| report.problem.as_deref() != Some(doubt))
        {
            tracing::warn!(%name, problem = doubt, "Name is answered in part");
        }
        report.problem = doubt;
        report.answered_at = Some(now);
        report.ttl = ttl;
        match (is_new, was_awaited) {
            (true, _) => Learned::Addresses,
            (false, true) => Learned::NotAwaited,
            (false, false) => Learned::Nothing,
        }
    }
}

/// Those of the first that are not among the others, as many as a line of a log can bear.
fn few(some: &[IpAddr], others: &[IpAddr]) -> Vec<IpAddr> {
    let is_new = |one: &&IpAddr| others.binary_search(one).is_err();
    some.iter().filter(is_new).take(16).copied().collect()
}

/// The host names of a configuration, those of several endpoints several times.
fn hosts(config: &Config) -> impl Iterator<Item = &Arc<str>> {
    let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
    endpoints.filter_map(|endpoint| endpoint.address.host())
}
