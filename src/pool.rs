//! The endpoints of a pool as a snapshot has them: who may be chosen, in which exact order, and what happens when
//! nobody is ready.
//!
//! A `Pool` is immutable. When an endpoint changes, `snapshot/build.rs` makes a new one whose rotation carries on from
//! the old one's remainders; when nothing that matters to the choice changed, it is the very same rotation.

mod roster;

use std::sync::Arc;

use crate::balance::rotation::{Rotation, Take};
use crate::config::model;
use crate::endpoint::{Endpoint, State};
use crate::metrics::PoolTraffic;

pub use roster::{Entry, Roster, Written};

/// The endpoints of a pool at one moment.
#[derive(Debug)]
pub struct Pool {
    spec: Arc<model::Pool>,
    traffic: Arc<PoolTraffic>,
    /// One entry a member.
    roster: Arc<Roster>,
    members: Box<[Member]>,
    /// One entry a member; who may not be chosen has weight 0 in it.
    rotation: Arc<Rotation>,
    /// The only member that may be chosen, if there is only one: then nothing shared is touched.
    only: Option<usize>,
    standing: Standing,
}

/// One endpoint of a pool.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its weight, in a unit of the pool's own: only proportions matter.
    pub weight: u64,
    /// Whether it is used only while no other is ready.
    pub backup: bool,
    /// Its state when the pool was built.
    pub state: State,
}

/// What a pool can do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has endpoints that are ready.
    Able,
    /// No probe has come to a verdict yet: a request waits for the first.
    Unjudged,
    /// None is ready, but the unready ones may be tried when nobody else takes the request (`useAll`).
    LastResort,
    /// Nobody may take a request.
    Unable,
}

/// What a pick comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picked {
    /// The member with this place in [`Pool::members`] takes the request.
    Member(usize),
    /// The pool is an old one: the newest snapshot has the one that counts on.
    Outdated,
    /// Nobody may take it.
    Nobody,
}

impl Pool {
    /// Builds a pool, carrying on where `previous` (the pool of the same name) stands. `endpoint` gives the endpoint of
    /// an entry of the roster, as it stands.
    #[must_use]
    pub fn build(
        spec: Arc<model::Pool>,
        roster: Arc<Roster>,
        endpoint: impl Fn(&Entry) -> Arc<Endpoint>,
        judged: Judged,
        traffic: Arc<PoolTraffic>,
        previous: Option<&Self>,
    ) -> Self {
        let members: Box<[Member]> = roster
            .entries()
            .iter()
            .map(|entry| Member::new(endpoint(entry), entry))
            .collect();
        let (weights, standing) = chances(&members, spec.when_none_ready, judged);
        let rotation = carry_on(&members, &weights, previous);
        let mut choosable = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0);
        let only = match (choosable.next(), choosable.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        };
        Self {
            spec,
            traffic,
            roster,
            members,
            rotation,
            only,
            standing,
        }
    }

    /// The endpoint for the next first try.
    #[must_use]
    pub fn pick(&self) -> Picked {
        if let Some(only) = self.only {
            return Picked::Member(only);
        }
        match self.rotation.take() {
            Take::Picked(pick) => Picked::Member(pick.entry),
            Take::Closed => Picked::Outdated,
            Take::Empty => Picked::Nobody,
        }
    }

    /// An endpoint for a further try, one that is not in `tried` where there is such a one. Further tries are outside
    /// the exact order; they are looked for from `from` on, which spreads them.
    #[must_use]
    pub fn pick_again(&self, tried: &[Arc<Endpoint>], from: usize) -> Option<&Arc<Endpoint>> {
        let weights = self.rotation.weights();
        let count = self.members.len();
        let mut known = None;
        for step in 0..count {
            let index = (from + step) % count;
            if weights[index] == 0 {
                continue;
            }
            let endpoint = &self.members[index].endpoint;
            if !tried.iter().any(|other| Arc::ptr_eq(other, endpoint)) {
                return Some(endpoint);
            }
            known = Some(endpoint);
        }
        known
    }

    /// What it can do for a request.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Its configuration.
    #[must_use]
    pub fn spec(&self) -> &Arc<model::Pool> {
        &self.spec
    }

    /// Its counters.
    #[must_use]
    pub fn traffic(&self) -> &Arc<PoolTraffic> {
        &self.traffic
    }

    /// Whom it consists of; its entries are those of [`Pool::members`].
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Its endpoints, in file order, those of a name by their address.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The order in which they are chosen.
    #[must_use]
    pub fn rotation(&self) -> &Arc<Rotation> {
        &self.rotation
    }
}

impl Member {
    fn new(endpoint: Arc<Endpoint>, entry: &Entry) -> Self {
        Self {
            state: endpoint.state(),
            endpoint,
            weight: entry.weight,
            backup: entry.backup,
        }
    }
}

/// Whether any probe of a pool has come to a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// At least one has, or there is nothing to probe.
    Yes,
    /// None has.
    NotYet,
}

/// Each member's chance to be chosen, and what that makes of the pool.
fn chances(
    members: &[Member],
    when_none_ready: model::WhenNoneReady,
    judged: Judged,
) -> (Vec<u64>, Standing) {
    let of = |wanted: State, backup: bool| -> Vec<u64> {
        members
            .iter()
            .map(
                |member| match member.state == wanted && member.backup == backup {
                    true => member.weight,
                    false => 0,
                },
            )
            .collect()
    };
    let any = |weights: &[u64]| weights.iter().any(|weight| *weight > 0);
    for backup in [false, true] {
        let ready = of(State::Ready, backup);
        if any(&ready) {
            return (ready, Standing::Able);
        }
    }
    if judged == Judged::NotYet {
        return (vec![0; members.len()], Standing::Unjudged);
    }
    if when_none_ready == model::WhenNoneReady::UseAll {
        for backup in [false, true] {
            let unready = of(State::Unready, backup);
            if any(&unready) {
                return (unready, Standing::LastResort);
            }
        }
    }
    (vec![0; members.len()], Standing::Unable)
}

fn carry_on(members: &[Member], weights: &[u64], previous: Option<&Pool>) -> Arc<Rotation> {
    let Some(previous) = previous else {
        return Arc::new(Rotation::new(weights));
    };
    let old: rustc_hash::FxHashMap<*const Endpoint, usize> = previous
        .members
        .iter()
        .enumerate()
        .map(|(index, member)| (Arc::as_ptr(&member.endpoint), index))
        .collect();
    let origin: Vec<Option<usize>> = members
        .iter()
        .map(|member| old.get(&Arc::as_ptr(&member.endpoint)).copied())
        .collect();
    let in_place = origin.len() == previous.members.len()
        && origin
            .iter()
            .enumerate()
            .all(|(index, old)| *old == Some(index));
    if in_place && previous.rotation.runs_on(weights) {
        return Arc::clone(&previous.rotation);
    }
    Arc::new(Rotation::following(
        weights,
        &origin,
        Arc::clone(&previous.rotation),
    ))
}

#[cfg(test)]
mod tests;
