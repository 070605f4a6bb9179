//! The metrics that are not counted but read: off the snapshot, off what `control` reports, off what the prober counts.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use prometheus::proto::MetricFamily;

use crate::admin::ratio::Ratio;
use crate::change::EndpointKey;
use crate::control::report::Report;
use crate::endpoint::{Endpoint, State};
use crate::metrics::cells::RequestBounds;
use crate::metrics::families;
use crate::probe::{Counts, ProbeResult};
use crate::snapshot::view::Snapshot;
use crate::split::Split;
use crate::tls::{Authority, Trust};

/// What a label says where there is no such thing.
const NONE: &str = "none";

/// All of them, for [`Metrics::text`](crate::metrics::Metrics::text).
pub(crate) fn families(snapshot: &Snapshot, report: &Report, probes: &Counts) -> Vec<MetricFamily> {
    let mut families = splits(snapshot);
    families.extend(pools(snapshot, report));
    families.extend(endpoints(snapshot, report));
    families.extend(names(snapshot, report));
    families.extend(certificates(snapshot));
    families.extend(probing(probes));
    families
}

fn splits(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let (mut weight, mut effective, mut assigned) = (Vec::new(), Vec::new(), Vec::new());
    let routes = snapshot.routes.iter();
    for (route, split) in
        routes.flat_map(|route| route.splits().iter().map(move |split| (route, split)))
    {
        let configured: Vec<u64> = split
            .entries()
            .iter()
            .map(|entry| entry.weight.thousandths())
            .collect();
        let counts = assigned_of(split);
        for (index, entry) in split.entries().iter().enumerate() {
            let labels = [&*route.spec.name, &*entry.name];
            weight.push((labels, Ratio::of(&configured, index).as_f64()));
            let in_force = Ratio::of(split.rotation().weights(), index);
            effective.push((labels, in_force.as_f64()));
            assigned.push((labels, counts[index] as f64));
        }
    }
    vec![
        families::SPLIT_WEIGHT.with(weight),
        families::SPLIT_EFFECTIVE.with(effective),
        families::SPLIT_ASSIGNED.with(assigned),
    ]
}

/// What each entry has been given. A single pool has no schedule that would count for it, ready or not.
pub(crate) fn assigned_of(split: &Split) -> Vec<u64> {
    match split.entries() {
        [only] => vec![only.traffic.picked_total()],
        _ => split.assigned(),
    }
}

fn pools(snapshot: &Snapshot, report: &Report) -> Vec<MetricFamily> {
    let mut states: BTreeMap<&str, [u64; State::ALL.len()]> = BTreeMap::new();
    for pool in &snapshot.pools {
        states.entry(&pool.spec().name).or_default();
    }
    for endpoint in all(snapshot, report) {
        states.entry(&endpoint.key().pool).or_default()[endpoint.state() as usize] += 1;
    }
    let states = states.iter().flat_map(|(&pool, counts)| {
        State::ALL.map(|state| ([pool, state.word()], counts[state as usize] as f64))
    });
    let held = snapshot.pools.iter().map(|pool| {
        let name = &pool.spec().name;
        let held = report.held.get(name).copied().unwrap_or_default();
        ([&**name], held as f64)
    });
    let versions = snapshot.pools.iter().map(|pool| {
        let spec = pool.spec();
        ([&*spec.name, spec.version.as_deref().unwrap_or("")], 1.0)
    });
    vec![
        families::POOL_ENDPOINTS.with(states),
        families::POOL_LIVENESS_HELD.with(held),
        families::POOL_INFO.with(versions),
    ]
}

/// Files with more authorities than this are lists of public ones, which no reader of these metrics could renew.
const MOST_AUTHORITIES: usize = 32;

fn certificates(snapshot: &Snapshot) -> Vec<MetricFamily> {
    // A pair for each kind of key is for one name: what runs out first counts.
    let mut ends: BTreeMap<[&str; 2], i64> = BTreeMap::new();
    // An authority is renewed by another of its name beside it: what runs out last counts.
    let mut authorities: BTreeMap<[&str; 3], i64> = BTreeMap::new();
    let mut shown = Vec::new();
    for listener in &snapshot.config.listeners {
        let Some(spec) = &listener.tls else {
            continue;
        };
        for certificate in &spec.certificates {
            let end = certificate.not_after;
            let known = ends.entry([&listener.name, &certificate.name]);
            known
                .and_modify(|known| *known = end.min(*known))
                .or_insert(end);
        }
        let auth = spec.client_auth.iter();
        let known = auth.map(|auth| auth.known());
        for one in known.filter(|all| all.len() <= MOST_AUTHORITIES).flatten() {
            last(&mut authorities, [&listener.name, NONE, &one.name], one);
        }
    }
    for pool in &snapshot.pools {
        let spec = pool.spec();
        let Some(terms) = spec.tls.as_ref().map(|tls| tls.terms()) else {
            continue;
        };
        if let Some(certificate) = &terms.certificate {
            let labels = [&*spec.name, &*certificate.name];
            shown.push((labels, certificate.not_after as f64));
        }
        if let Trust::Authorities(trusted) = &terms.trust
            && trusted.known().len() <= MOST_AUTHORITIES
        {
            for one in trusted.known() {
                last(&mut authorities, [NONE, &spec.name, &one.name], one);
            }
        }
    }
    let authorities = authorities.into_iter();
    vec![
        families::CERTIFICATE_NOT_AFTER
            .with(ends.into_iter().map(|(labels, end)| (labels, end as f64))),
        families::POOL_CERTIFICATE_NOT_AFTER.with(shown),
        families::AUTHORITY_NOT_AFTER.with(authorities.map(|(labels, end)| (labels, end as f64))),
    ]
}

fn last<'a>(ends: &mut BTreeMap<[&'a str; 3], i64>, labels: [&'a str; 3], one: &Authority) {
    let known = ends.entry(labels).or_insert(one.not_after);
    *known = one.not_after.max(*known);
}

/// Nothing above `metrics.maxEndpoints` endpoints in all: some of them would be no use.
fn endpoints(snapshot: &Snapshot, report: &Report) -> Vec<MetricFamily> {
    // One that left and came back may stand in both places, and a series twice would spoil the whole scrape.
    let endpoints: BTreeMap<&EndpointKey, &Endpoint> = all(snapshot, report)
        .map(|endpoint| (endpoint.key(), endpoint))
        .rev()
        .collect();
    if endpoints.len() > snapshot.config.max_endpoint_series {
        return Vec::new();
    }
    let each = |family: &'static families::Family, value: fn(&Endpoint) -> f64| {
        family.with(endpoints.values().map(|endpoint| {
            let labels = [&*endpoint.key().pool, &**endpoint.label()];
            (labels, value(endpoint))
        }))
    };
    vec![
        each(&families::ENDPOINT_READY, |endpoint| {
            f64::from(u8::from(endpoint.state() == State::Ready))
        }),
        each(&families::ENDPOINT_LIVE, |endpoint| {
            f64::from(u8::from(endpoint.state() != State::Dead))
        }),
        each(&families::ENDPOINT_IN_FLIGHT, |endpoint| {
            endpoint.in_flight() as f64
        }),
    ]
}

/// Those of the configuration, and those that have left it and still hold requests.
fn all<'a>(
    snapshot: &'a Snapshot,
    report: &'a Report,
) -> impl DoubleEndedIterator<Item = &'a Endpoint> {
    let members = snapshot.pools.iter().flat_map(|pool| pool.members());
    members
        .map(|member| &*member.endpoint)
        .chain(report.leaving.iter().map(|endpoint| &**endpoint))
}

/// Nothing above `metrics.maxEndpoints` names, which is a bound for these too.
fn names(snapshot: &Snapshot, report: &Report) -> Vec<MetricFamily> {
    let names = &report.names;
    if names.len() > snapshot.config.max_endpoint_series {
        return Vec::new();
    }
    let addresses = names
        .iter()
        .map(|(name, known)| ([&**name], known.addresses.len() as f64));
    let lookups = names.iter().flat_map(|(name, known)| {
        let counts = known.lookups;
        [
            ([&**name, "found"], counts.found as f64),
            ([&**name, "missing"], counts.missing as f64),
            ([&**name, "failed"], counts.failed as f64),
        ]
    });
    let answered = names.iter().filter_map(|(name, known)| {
        let since = known.answered_at?.duration_since(UNIX_EPOCH).ok()?;
        Some(([&**name], since.as_secs_f64()))
    });
    vec![
        families::NAME_ADDRESSES.with(addresses),
        families::NAME_LOOKUPS.with(lookups),
        families::NAME_LAST_SUCCESS.with(answered),
    ]
}

fn probing(probes: &Counts) -> Vec<MetricFamily> {
    let series = probes.series();
    let ended: Vec<_> = series
        .iter()
        .flat_map(|one| {
            ProbeResult::ALL.map(|result| {
                let labels = [&*one.pool, one.probe.word(), result.word()];
                (labels, one.tally.of(result).read())
            })
        })
        .collect();
    let counts = ended
        .iter()
        .map(|(labels, durations)| (labels, durations.count() as f64));
    let counts = families::PROBES.with(counts);
    // Sixteen lines each: only for what has happened.
    let happened = ended
        .into_iter()
        .filter(|(_, durations)| durations.count() > 0);
    vec![
        counts,
        families::PROBE_DURATION.with_durations::<RequestBounds, _, _>(happened),
        families::PROBE_LAG.with([([""; 0], probes.lag().as_secs_f64())]),
    ]
}
