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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(endpoints: &str) -> Config {
        let yaml = format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ {endpoints} ] }} }}
"
        );
        let read = crate::config::read(yaml.as_bytes(), "t.yaml", Path::new(""), &|_| None);
        read.unwrap_or_else(|problems| panic!("{problems}")).config
    }

    fn told(following: u64, outcome: Outcome) -> Resolution {
        Resolution {
            name: "shop".into(),
            following,
            outcome,
        }
    }

    fn found(last: u8) -> Outcome {
        Outcome::Found {
            addresses: [[10, 0, 0, last].into()].into(),
            ttl: None,
            doubt: None,
        }
    }

    fn failed() -> Outcome {
        Outcome::Failed("SERVFAIL".into())
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn a_name_is_awaited_until_its_first_answer_or_failure() {
        for (outcome, learned) in [
            (found(1), Learned::Addresses),
            (failed(), Learned::NotAwaited),
            (Outcome::Late("no answer yet".into()), Learned::NotAwaited),
        ] {
            let mut names = Names::default();
            names.configure(&config("shop:80, shop:81, other:80"));
            assert!(names.is_awaited("shop"));

            assert_eq!(names.take(told(1, outcome.clone()), NOW), learned);

            assert!(!names.is_awaited("shop") && names.any_awaited());
            assert_eq!(names.take(told(1, outcome), NOW), Learned::Nothing);
        }
    }

    #[test]
    fn the_last_good_answer_stays_whatever_fails_and_the_next_takes_its_place() {
        let mut names = Names::default();
        names.configure(&config("shop:80"));
        names.take(told(1, found(1)), NOW);

        for outcome in [failed(), Outcome::Missing("NXDOMAIN".into())] {
            assert_eq!(names.take(told(1, outcome), NOW), Learned::Nothing);
        }

        assert_eq!(names.addresses("shop"), [IpAddr::from([10, 0, 0, 1])]);
        let report = names.report()["shop"].clone();
        assert_eq!(report.problem.as_deref(), Some("NXDOMAIN"));
        let lookups = report.lookups;
        assert_eq!((lookups.found, lookups.missing, lookups.failed), (1, 1, 1));
        assert_eq!(names.take(told(1, found(2)), NOW), Learned::Addresses);
        assert_eq!(names.addresses("shop"), [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(names.report()["shop"].problem, None);
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_a_name_that_stays_and_forgets_one_that_goes() {
        let mut names = Names::default();
        names.configure(&config("shop:80"));
        names.take(told(1, found(1)), NOW);

        let more = config("other:80, shop:80");
        names.configure(&more);
        assert_eq!(names.wanted(&more).names["shop"], 1);
        assert_eq!(names.addresses("shop").len(), 1);
        names.configure(&config("other:80"));
        assert_eq!(names.addresses("shop").len(), 0);
        names.configure(&more);

        // What was still under way for the one that went is about nobody.
        assert_eq!(names.take(told(1, found(1)), NOW), Learned::Nothing);
        assert!(names.is_awaited("shop"));
        assert_eq!(names.wanted(&more).names["shop"], 3);
        assert_eq!(names.take(told(3, found(1)), NOW), Learned::Addresses);
    }
}
