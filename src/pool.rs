//! The endpoints of a pool as a snapshot has them: who may be chosen, by which balancer, and what happens when nobody
//! is ready.
//!
//! A `Pool` is immutable. When an endpoint changes, `snapshot/build.rs` makes a new one whose rotation carries on from
//! the old one's remainders; when nothing that matters to the choice changed, it is the very same rotation. How a balancer
//! goes on over a change is decided in `picker`, which one is asked is none of this file's concern.

mod key;
mod member;
mod picker;
mod roster;

use std::sync::Arc;

use crate::balance::loads::{Load, Loads};
use crate::balance::pick::{Picker, Wish};
use crate::balance::{pick, rotation::Rotation};
use crate::config::model;
use crate::endpoint::{Endpoint, State};
use crate::metrics::PoolTraffic;

pub use key::{KeySource, Keys};
pub use member::Member;
pub use roster::{Entry, Roster, Written};

use picker::Before;

/// The endpoints of a pool at one moment.
#[derive(Debug)]
pub struct Pool {
    spec: Arc<model::Pool>,
    traffic: Arc<PoolTraffic>,
    /// One entry a member.
    roster: Arc<Roster>,
    members: Box<[Member]>,
    /// One entry a member; who may not be chosen has weight 0 in it. Every pool has one, for these chances; only that
    /// of a pool that goes by turns is ever asked for one.
    rotation: Arc<Rotation>,
    picker: Picker,
    /// What a pool that goes by keys takes them from.
    key_source: Option<KeySource>,
    /// The only member that may be chosen, if there is only one: then nothing shared is touched.
    only: Option<usize>,
    standing: Standing,
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
            .map(|entry| Member::new(endpoint(entry), entry, roster.thousandths(entry)))
            .collect();
        let (weights, standing) = chances(&members, spec.when_none_ready, judged);
        let (rotation, picker) = picker::follow(
            &spec.balance,
            &members,
            &weights,
            previous.map(|previous| Before {
                members: &previous.members,
                rotation: &previous.rotation,
                picker: &previous.picker,
            }),
        );
        let key_source = match &spec.balance {
            model::Balance::RingHash(ring_hash) => Some(KeySource::new(ring_hash.on.clone())),
            _ => None,
        };
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
            picker,
            key_source,
            only,
            standing,
        }
    }

    /// Ends the counts that this pool carries on from the one before, once this one is published.
    pub fn start(&self) {
        if let Picker::RoundRobin(rotation) = &self.picker {
            rotation.start();
        }
    }

    /// The endpoint for the next first try, with a place claimed at it where the pool [claims](Self::claims).
    pub fn pick(&self, chance: &mut fastrand::Rng, keys: &Keys) -> Picked {
        if let Some(only) = self.only {
            if self.claims() {
                self.claim(only);
            }
            return Picked::Member(only);
        }
        let wish = self.wish(chance, keys);
        match self.picker.pick(self.rotation.weights(), self, wish) {
            pick::Picked::Entry(entry) => Picked::Member(entry),
            pick::Picked::Closed => Picked::Outdated,
            pick::Picked::Nobody => Picked::Nobody,
        }
    }

    /// An endpoint for a further try, one that is not in `tried` where there is such a one; claimed as by
    /// [`Pool::pick`]. Further tries are outside the exact order.
    pub fn pick_again(
        &self,
        tried: &[Arc<Endpoint>],
        chance: &mut fastrand::Rng,
        keys: &Keys,
    ) -> Option<&Arc<Endpoint>> {
        let was_tried = |entry: usize| {
            let endpoint = &self.members[entry].endpoint;
            tried.iter().any(|other| Arc::ptr_eq(other, endpoint))
        };
        let weights = self.rotation.weights();
        let other = self
            .picker
            .pick_except(weights, self, self.wish(chance, keys), was_tried)
            .or_else(|| {
                let wish = self.wish(chance, keys);
                self.picker.pick_except(weights, self, wish, |_| false)
            })?;
        Some(&self.members[other].endpoint)
    }

    /// Whether a pick takes a place in the count that all workers share. Whoever got it gives it back in the end.
    #[must_use]
    pub fn claims(&self) -> bool {
        self.picker.claims()
    }

    /// What requests bring along for this pool, if it goes by a key.
    #[must_use]
    pub fn key_source(&self) -> Option<&KeySource> {
        self.key_source.as_ref()
    }

    fn wish<'r>(&self, chance: &'r mut fastrand::Rng, keys: &Keys) -> Wish<'r> {
        let key = self.key_source.as_ref().and_then(|source| keys.of(source));
        Wish { chance, key }
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

impl Loads for Pool {
    fn load(&self, entry: usize) -> Load {
        let load = self.members[entry].endpoint.load();
        Load {
            claimed: load.claimed(),
            beside: match self.claims() {
                true => load.beside(),
                false => load.counted(),
            },
        }
    }

    fn try_claim(&self, entry: usize, seen: Load) -> bool {
        self.members[entry].endpoint.load().try_claim(seen.claimed)
    }

    fn claim(&self, entry: usize) {
        self.members[entry].endpoint.load().claim();
    }

    fn sum(&self) -> u64 {
        self.traffic.in_flight_now()
    }
}

#[cfg(test)]
mod tests;
