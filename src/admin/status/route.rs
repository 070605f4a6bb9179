//! A route in the status: what it takes, and how exactly its split is kept.

use serde::Serialize;
use serde_json::Value;

use crate::admin::ratio::Ratio;
use crate::admin::scrape::assigned_of;
use crate::admin::status::print::number;
use crate::admin::summary;
use crate::config::model::{Action, PoolByHost};
use crate::snapshot::view::RouteView;
use crate::split::Split;

/// A route, what it takes, and the exact state of its split.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Route<'a> {
    name: &'a str,
    #[serde(rename = "match")]
    matches: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<Vec<Share<'a>>>,
    /// Requests that the split has placed, with those that nobody could take.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// The pools that hosts stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_by_host: Option<Vec<Named<'a>>>,
}

#[derive(Serialize)]
struct Named<'a> {
    pool: &'a str,
    hosts: Vec<&'a str>,
    assigned: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Share<'a> {
    pool: &'a str,
    weight: Value,
    strict: bool,
    /// As configured, as a fraction in lowest terms and as a number.
    share: String,
    share_ratio: f64,
    /// With what pools without a ready endpoint have given away.
    effective_share: String,
    effective_share_ratio: f64,
    assigned: u64,
    /// What exactness would have given: `assigned` differs from it by less than 1.
    expected: f64,
}

/// A route as it stands.
pub(crate) fn route(view: &RouteView) -> Route<'_> {
    let split = view.split();
    Route {
        name: &view.spec.name,
        matches: summary::words(&view.spec),
        action: match view.spec.action {
            Action::Split(_) => "split",
            Action::PoolByHost(_) => "poolByHost",
            Action::Redirect(_) => "redirect",
            Action::Respond(_) => "respond",
        },
        split: split.map(shares),
        position: split.map(position),
        pool_by_host: match &view.spec.action {
            Action::PoolByHost(by_host) => Some(named(by_host, view.splits())),
            Action::Split(_) | Action::Redirect(_) | Action::Respond(_) => None,
        },
    }
}

fn named<'a>(by_host: &'a PoolByHost, splits: &'a [Split]) -> Vec<Named<'a>> {
    let entries = splits.iter().flat_map(Split::entries);
    let mut named: Vec<Named<'_>> = entries
        .map(|entry| Named {
            pool: &entry.name,
            hosts: Vec::new(),
            assigned: entry.traffic.picked_total(),
        })
        .collect();
    for (host, &position) in &by_host.hosts {
        named[position].hosts.push(host);
    }
    for one in &mut named {
        one.hosts.sort_unstable_by_key(|host| (host.len(), *host));
    }
    named
}

/// A single pool has no schedule that would count for it.
fn position(split: &Split) -> u64 {
    match split.entries() {
        [only] => only.traffic.picked_total(),
        _ => split.rotation().position(),
    }
}

fn shares(split: &Split) -> Vec<Share<'_>> {
    let configured: Vec<u64> = split
        .entries()
        .iter()
        .map(|entry| entry.weight.thousandths())
        .collect();
    let counts: Vec<(u64, f64)> = match split.entries() {
        [_] => assigned_of(split)
            .into_iter()
            .map(|assigned| (assigned, assigned as f64))
            .collect(),
        _ => split
            .rotation()
            .tally()
            .iter()
            .map(|tally| (tally.assigned, tally.expected()))
            .collect(),
    };
    let entries = split.entries().iter().zip(counts).enumerate();
    entries
        .map(|(index, (entry, (assigned, expected)))| {
            let share = Ratio::of(&configured, index);
            let effective = Ratio::of(split.rotation().weights(), index);
            Share {
                pool: &entry.name,
                weight: number(entry.weight),
                strict: entry.strict,
                share: share.to_string(),
                share_ratio: share.as_f64(),
                effective_share: effective.to_string(),
                effective_share_ratio: effective.as_f64(),
                assigned,
                expected,
            }
        })
        .collect()
}
