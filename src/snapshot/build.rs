//! Builds a snapshot, sharing with the one before whatever did not change.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::change::EndpointKey;
use crate::config::Config;
use crate::config::model;
use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::pool::{Entry as Candidate, Judged, KeySource, Pool, Roster, Standing};
use crate::route::Table;
use crate::snapshot::view::{RouteAction, RouteView, Snapshot};
use crate::snapshot::words::Words;
use crate::split::{Entry, Split};

/// What a build asks about endpoints; `control` keeps the answers.
pub trait Endpoints {
    /// Whom a pool consists of now.
    fn roster(&self, pool: &model::Pool) -> Arc<Roster>;
    /// The endpoint of this key, which keeps its identity over builds.
    fn endpoint(&self, key: &EndpointKey) -> Arc<Endpoint>;
    /// Whether any probe of this pool has come to a verdict.
    fn judged(&self, pool: &model::Pool) -> Judged;
}

/// Builds the snapshot of a configuration, after the one before it.
#[must_use]
pub fn whole(
    config: Arc<Config>,
    endpoints: &dyn Endpoints,
    metrics: &Metrics,
    previous: Option<&Snapshot>,
) -> Snapshot {
    let same_routes = previous.filter(|previous| matches_equal(&previous.config, &config));
    let table = match same_routes {
        Some(previous) => Arc::clone(&previous.table),
        None => Arc::new(Table::build(&config)),
    };
    let old_pools: FxHashMap<&str, &Arc<Pool>> = previous
        .map(|previous| {
            previous
                .pools
                .iter()
                .map(|pool| (&*pool.spec().name, pool))
                .collect()
        })
        .unwrap_or_default();
    let pools: Box<[Arc<Pool>]> = config
        .pools
        .iter()
        .map(|spec| {
            pool(
                spec,
                endpoints,
                metrics,
                old_pools.get(&*spec.name).copied(),
            )
        })
        .collect();
    let old_routes: FxHashMap<&str, &Arc<RouteView>> = previous
        .map(|previous| {
            previous
                .routes
                .iter()
                .map(|route| (&*route.spec.name, route))
                .collect()
        })
        .unwrap_or_default();
    let routes = config
        .routes
        .iter()
        .map(|spec| route(spec, &pools, metrics, old_routes.get(&*spec.name).copied()))
        .collect();
    Snapshot {
        generation: previous.map_or(1, |previous| previous.generation + 1),
        config,
        table,
        routes,
        pools,
        unrouted: metrics.traffic("none", "none"),
    }
}

/// Builds the snapshot that follows when endpoints of these pools changed their state, came or went: those pools, the
/// shares naming them where a pool's standing changed, nothing else.
#[must_use]
pub fn after_states(
    previous: &Snapshot,
    changed: &FxHashSet<usize>,
    endpoints: &dyn Endpoints,
    metrics: &Metrics,
) -> Snapshot {
    let mut pools = previous.pools.clone();
    let mut moved = FxHashSet::default();
    for &index in changed {
        let old = &previous.pools[index];
        let new = pool(old.spec(), endpoints, metrics, Some(old));
        if new.standing() != old.standing() {
            moved.insert(index);
        }
        pools[index] = new;
    }
    let mut routes = previous.routes.clone();
    if !moved.is_empty() {
        for view in &mut routes {
            let mut entries = view.splits().iter().flat_map(Split::entries);
            let names_moved = entries.any(|entry| moved.contains(&entry.pool.0));
            if names_moved {
                *view = route(&view.spec, &pools, metrics, Some(view));
            }
        }
    }
    Snapshot {
        generation: previous.generation + 1,
        config: Arc::clone(&previous.config),
        table: Arc::clone(&previous.table),
        routes,
        pools,
        unrouted: Arc::clone(&previous.unrouted),
    }
}

fn matches_equal(old: &Config, new: &Config) -> bool {
    old.routes.len() == new.routes.len()
        && old
            .routes
            .iter()
            .zip(&new.routes)
            .all(|(old, new)| old.matches == new.matches)
        && old.listeners.len() == new.listeners.len()
        && old
            .listeners
            .iter()
            .zip(&new.listeners)
            .all(|(old, new)| old.name == new.name)
}

fn pool(
    spec: &Arc<model::Pool>,
    endpoints: &dyn Endpoints,
    metrics: &Metrics,
    previous: Option<&Arc<Pool>>,
) -> Arc<Pool> {
    let endpoint = |candidate: &Candidate| {
        endpoints.endpoint(&EndpointKey {
            pool: Arc::clone(&spec.name),
            address: candidate.address.clone(),
        })
    };
    let built = Pool::build(
        Arc::clone(spec),
        endpoints.roster(spec),
        endpoint,
        endpoints.judged(spec),
        metrics.pool(&spec.name),
        previous.map(|previous| &**previous),
    );
    match previous {
        Some(previous) if same_pool(previous, &built) => Arc::clone(previous),
        _ => Arc::new(built),
    }
}

fn same_pool(old: &Pool, new: &Pool) -> bool {
    old.spec() == new.spec()
        && old.roster() == new.roster()
        && old.standing() == new.standing()
        && Arc::ptr_eq(old.rotation(), new.rotation())
        && old
            .members()
            .iter()
            .zip(new.members())
            .all(|(old, new)| old.state == new.state)
}

fn route(
    spec: &Arc<model::Route>,
    pools: &[Arc<Pool>],
    metrics: &Metrics,
    previous: Option<&Arc<RouteView>>,
) -> Arc<RouteView> {
    let action = match &spec.action {
        model::Action::Split(shares) => {
            let previous = previous.and_then(|previous| previous.split());
            RouteAction::Split(split(spec, shares, pools, metrics, previous))
        }
        model::Action::PoolByHost(by_host) => {
            let mut before: FxHashMap<&str, &Split> = FxHashMap::default();
            if let Some(previous) = previous
                && let RouteAction::ByHost(splits) = &previous.action
            {
                for split in splits {
                    let names = split.entries().iter().map(|entry| (&*entry.name, split));
                    before.extend(names);
                }
            }
            let each = by_host.pools.iter().map(|&pool| {
                let previous = before.get(&*pools[pool.0].spec().name).copied();
                split(spec, &[model::Share::whole(pool)], pools, metrics, previous)
            });
            RouteAction::ByHost(each.collect())
        }
        model::Action::Redirect(_) | model::Action::Respond(_) => RouteAction::Answer,
    };
    let key_sources = key_sources(&action, pools);
    if let Some(previous) = previous
        && previous.spec == *spec
        && previous.key_sources == key_sources
        && same_splits(&previous.action, &action)
    {
        return Arc::clone(previous);
    }
    Arc::new(RouteView {
        spec: Arc::clone(spec),
        action,
        traffic: metrics.traffic(&spec.name, "none"),
        key_sources,
        words: Words::new(spec, metrics.workers()),
    })
}

fn split(
    spec: &model::Route,
    shares: &[model::Share],
    pools: &[Arc<Pool>],
    metrics: &Metrics,
    previous: Option<&Split>,
) -> Split {
    let entries: Box<[Entry]> = shares
        .iter()
        .map(|share| {
            let name = Arc::clone(&pools[share.pool.0].spec().name);
            Entry {
                pool: share.pool,
                weight: share.weight,
                strict: share.strict,
                traffic: metrics.traffic(&spec.name, &name),
                name,
            }
        })
        .collect();
    let standings: Vec<Standing> = shares
        .iter()
        .map(|share| pools[share.pool.0].standing())
        .collect();
    Split::build(entries, &standings, previous)
}

fn key_sources(action: &RouteAction, pools: &[Arc<Pool>]) -> Box<[KeySource]> {
    let mut sources: Vec<KeySource> = Vec::new();
    let entries = action.splits().iter().flat_map(Split::entries);
    for source in entries.filter_map(|entry| pools[entry.pool.0].key_source()) {
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    sources.into()
}

fn same_splits(old: &RouteAction, new: &RouteAction) -> bool {
    let (old, new) = (old.splits(), new.splits());
    let mut pairs = old.iter().zip(new);
    old.len() == new.len() && pairs.all(|(old, new)| Arc::ptr_eq(old.rotation(), new.rotation()))
}
