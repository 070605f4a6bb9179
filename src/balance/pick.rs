//! Which algorithm chooses among the endpoints of a pool, and the one question that all of them answer.
//!
//! An entry is a place in the pool; one of weight zero is never chosen. Loads come from the pool, chance and key from the
//! request.

use std::sync::Arc;

use crate::balance::least_request::LeastRequest;
use crate::balance::loads::Loads;
use crate::balance::power_of_two;
use crate::balance::random::Random;
use crate::balance::ring_hash::RingHash;
use crate::balance::rotation::{Rotation, Take};

/// An algorithm with its state.
#[derive(Debug)]
pub enum Picker {
    /// Exact by weight.
    RoundRobin(Arc<Rotation>),
    /// The least loaded over all workers.
    LeastRequest(LeastRequest),
    /// The less loaded of two drawn by weight.
    PowerOfTwo(Random),
    /// Drawn by weight.
    Random(Random),
    /// By a key of the request.
    RingHash(RingHash),
}

/// What a request brings to a pick.
#[derive(Debug)]
pub struct Wish<'r> {
    /// The worker's source of chance.
    pub chance: &'r mut fastrand::Rng,
    /// The hash of what the pool goes by; without one, a random key stands in.
    pub key: Option<u64>,
}

/// What a pick comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picked {
    /// This entry, with a place claimed at it where the picker [claims](Picker::claims).
    Entry(usize),
    /// A successor has taken over: the newest snapshot has it.
    Closed,
    /// There is nobody to choose.
    Nobody,
}

impl Picker {
    /// Whether every pick claims a place at its entry's [`Loads`].
    #[must_use]
    pub fn claims(&self) -> bool {
        match self {
            Self::LeastRequest(_) => true,
            Self::RingHash(ring_hash) => ring_hash.claims(),
            Self::RoundRobin(_) | Self::PowerOfTwo(_) | Self::Random(_) => false,
        }
    }

    /// The entry of a request's first try.
    pub fn pick(&self, weights: &[u64], loads: &impl Loads, wish: Wish<'_>) -> Picked {
        match self {
            Self::RoundRobin(rotation) => match rotation.take() {
                Take::Picked(pick) => Picked::Entry(pick.entry),
                Take::Closed => Picked::Closed,
                Take::Empty => Picked::Nobody,
            },
            _ => match self.pick_except(weights, loads, wish, |_| false) {
                Some(entry) => Picked::Entry(entry),
                None => Picked::Nobody,
            },
        }
    }

    /// The entry of a further try, among those that are not barred. Outside the exact order, from a random place on,
    /// where that is what the pool goes by.
    pub fn pick_except(
        &self,
        weights: &[u64],
        loads: &impl Loads,
        wish: Wish<'_>,
        is_barred: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let Wish { chance, key } = wish;
        match self {
            Self::RoundRobin(_) => {
                let from = match weights.len() {
                    0 => return None,
                    count => chance.usize(..count),
                };
                let mut around = (from..weights.len()).chain(0..from);
                around.find(|&entry| weights[entry] > 0 && !is_barred(entry))
            }
            Self::LeastRequest(least) => least.pick(loads, chance, is_barred),
            Self::PowerOfTwo(random) => {
                power_of_two::pick(random, weights, loads, chance, is_barred)
            }
            Self::Random(random) => random.draw_except(chance, is_barred),
            Self::RingHash(ring_hash) => {
                let key = key.unwrap_or_else(|| chance.u64(..));
                ring_hash.pick(key, weights, loads, is_barred)
            }
        }
    }
}
