//! Which form of the sequence serves a set of claims, and one way to ask them all.

use std::sync::atomic::AtomicU64;

use super::ahead::Ahead;
use crate::balance::apportion::{Claim, Pair, Quota, Turn};

/// The sequence of one rotation.
#[derive(Debug)]
pub(super) enum Plan {
    /// No entry has a weight.
    Empty,
    /// One entry has a weight and gets everything.
    Single(u32),
    /// Two entries: a closed form.
    Pair(Pair),
    /// Equal weights: a closed form.
    Turn(Turn),
    /// All else: generated ahead of the position.
    Ahead(Box<Ahead>),
}

impl Plan {
    pub(super) fn new(claims: &[Claim]) -> Self {
        match *claims {
            [] => Self::Empty,
            [only] => Self::Single(only.entry),
            // By index, as ties are decided.
            [a, b] if a.entry < b.entry => Self::Pair(Pair::new(a, b)),
            [a, b] => Self::Pair(Pair::new(b, a)),
            [first, ..] if claims.iter().all(|claim| claim.weight == first.weight) => {
                Self::Turn(Turn::new(claims))
            }
            _ => {
                let mut claims = claims.to_vec();
                claims.sort_unstable_by_key(|claim| claim.entry);
                Self::Ahead(Box::new(Ahead::new(Quota::new(&claims))))
            }
        }
    }

    /// Who gets the slot at `local`, the position within this rotation; `None` when nobody has a weight.
    ///
    /// With [`Plan::Ahead`] the answer counts only if `position` still was `local` afterwards.
    pub(super) fn entry(&self, local: u64, position: &AtomicU64) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::Single(entry) => Some(*entry),
            Self::Pair(pair) => Some(pair.entry(local)),
            Self::Turn(turn) => Some(turn.entry(local)),
            Self::Ahead(ahead) => Some(ahead.entry(local, position)),
        }
    }

    /// To be called when the slot at `local` is taken.
    pub(super) fn taken(&self, local: u64, position: &AtomicU64) {
        if let Self::Ahead(ahead) = self {
            ahead.taken(local, position);
        }
    }

    /// The position within this rotation, and how many slots each of `entries` has got by then.
    pub(super) fn counts(&self, entries: usize, position: &AtomicU64) -> (u64, Vec<u64>) {
        let mut counts = vec![0; entries];
        let local = || super::position::local(position);
        let mut add = |(entry, count): (u32, u64)| counts[entry as usize] += count;
        let local = match self {
            Self::Empty => 0,
            Self::Single(entry) => {
                let local = local();
                add((*entry, local));
                local
            }
            Self::Pair(pair) => {
                let local = local();
                pair.counts(local).into_iter().for_each(add);
                local
            }
            Self::Turn(turn) => {
                let local = local();
                turn.counts(local).for_each(add);
                local
            }
            Self::Ahead(ahead) => return ahead.counts(counts, position),
        };
        (local, counts)
    }

    /// Those with a weight, next due first, where the sequence is a rotation of equals.
    pub(super) fn due(&self, local: u64) -> Option<impl Iterator<Item = u32>> {
        match self {
            Self::Turn(turn) => Some(turn.due(local)),
            Self::Empty | Self::Single(_) | Self::Pair(_) | Self::Ahead(_) => None,
        }
    }
}
