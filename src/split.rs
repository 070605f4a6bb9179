//! The shares of a route over its pools: whose turn it is, exactly, over all workers.

pub mod share;

use std::sync::Arc;

use crate::balance::rotation::{Rotation, Take};
use crate::config::model::PoolId;
use crate::metrics::Traffic;
use crate::pool::Standing;
use crate::units::Weight;

use share::effective;

/// The shares of a route at one moment.
#[derive(Debug)]
pub struct Split {
    entries: Box<[Entry]>,
    /// One entry a pool, and a last one for what nobody may take.
    rotation: Arc<Rotation>,
    /// The only entry that is ever chosen, if there is only one: then nothing shared is touched.
    only: Option<usize>,
}

/// One pool of a split.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pool, in the same snapshot.
    pub pool: PoolId,
    /// Its name, by which a newer snapshot knows it too.
    pub name: Arc<str>,
    /// Its configured weight.
    pub weight: Weight,
    /// It neither gives nor takes shares.
    pub strict: bool,
    /// The counters of the route with this pool.
    pub traffic: Arc<Traffic>,
}

/// Whose turn it is.
#[derive(Debug)]
pub enum Turn<'split> {
    /// This entry's; `position` is the slot in the route's schedule, where several entries share one.
    Entry {
        /// The entry.
        entry: &'split Entry,
        /// The slot of the schedule.
        position: Option<u64>,
    },
    /// The split is an old one: the newest snapshot has the one that counts on.
    Outdated,
    /// Nobody may take this request.
    Nobody {
        /// The slot of the schedule, where the refusal has its share in one.
        position: Option<u64>,
    },
}

impl Split {
    /// Builds a split over pools with these standings, carrying on where `previous` (of the same route) stands.
    #[must_use]
    pub fn build(entries: Box<[Entry]>, standings: &[Standing], previous: Option<&Self>) -> Self {
        let weights = chances(&entries, standings);
        let rotation = carry_on(&entries, &weights, previous);
        let mut choosable = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0);
        let only = match (entries.len(), choosable.next(), choosable.next()) {
            // A single pool needs no schedule. With several, even one that has it all for now keeps counting, so that
            // the others' return finds the count as it must be.
            (1, Some((0, _)), None) => Some(0),
            _ => None,
        };
        Self {
            entries,
            rotation,
            only,
        }
    }

    /// Whose turn the next request is. Each call is one request of the exact count.
    #[must_use]
    pub fn take(&self) -> Turn<'_> {
        if let Some(only) = self.only {
            return Turn::Entry {
                entry: &self.entries[only],
                position: None,
            };
        }
        match self.rotation.take() {
            Take::Picked(pick) => match self.entries.get(pick.entry) {
                Some(entry) => Turn::Entry {
                    entry,
                    position: Some(pick.position),
                },
                None => Turn::Nobody {
                    position: Some(pick.position),
                },
            },
            Take::Closed => Turn::Outdated,
            Take::Empty => Turn::Nobody { position: None },
        }
    }

    /// Its pools, in file order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The schedule; its last entry is what nobody may take.
    #[must_use]
    pub fn rotation(&self) -> &Arc<Rotation> {
        &self.rotation
    }

    /// How many requests each pool has been given since the route is there.
    #[must_use]
    pub fn assigned(&self) -> Vec<u64> {
        match self.only {
            Some(_) => self
                .entries
                .iter()
                .map(|entry| entry.traffic.picked_total())
                .collect(),
            None => self.rotation.assigned()[..self.entries.len()].to_vec(),
        }
    }
}

/// Each entry's chance to be chosen, and last what nobody may take.
fn chances(entries: &[Entry], standings: &[Standing]) -> Vec<u64> {
    let weights: Vec<Weight> = entries.iter().map(|entry| entry.weight).collect();
    let strict: Vec<bool> = entries.iter().map(|entry| entry.strict).collect();
    let takes = |standing: &Standing| match standing {
        // A pool without a verdict keeps its share: its requests wait for the first one.
        Standing::Able | Standing::Unjudged => true,
        Standing::LastResort | Standing::Unable => false,
    };
    let able: Vec<bool> = standings.iter().map(takes).collect();
    let placed = effective(&weights, &strict, &able);
    let mut chances = placed.entries;
    let mut refused = 0;
    for (entry, unplaced) in placed.unplaced.into_iter().enumerate() {
        match standings[entry] {
            // Its unready endpoints are tried for what is its own and nobody else takes, never for another's share.
            Standing::LastResort => chances[entry] += unplaced,
            Standing::Able | Standing::Unjudged | Standing::Unable => refused += unplaced,
        }
    }
    chances.push(refused);
    chances
}

fn carry_on(entries: &[Entry], weights: &[u64], previous: Option<&Split>) -> Arc<Rotation> {
    let Some(previous) = previous else {
        return Arc::new(Rotation::new(weights));
    };
    let mut origin: Vec<Option<usize>> = entries
        .iter()
        .map(|entry| {
            previous
                .entries
                .iter()
                .position(|old| old.name == entry.name)
        })
        .collect();
    origin.push(Some(previous.entries.len()));
    let in_place = origin.len() == previous.rotation.weights().len()
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
