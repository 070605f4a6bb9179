//! One exact sequence over weighted entries, shared by all workers.
//!
//! [`Rotation::take`] gives each position of the sequence to exactly one taker: it looks up the entry of the present
//! position and then moves the position on by a compare-and-exchange, so no lock is held and nothing is counted twice.
//! When weights change, a new rotation follows the old one. Whoever starts it closes its predecessor at the position
//! that this has reached and takes over what every entry is owed, to the last fraction; takers that still hold the old
//! one learn that it is closed and read the newest snapshot again.
//!
//! Bounds are those of `apportion`: while weights stand still every entry is within 1 of its share at every prefix,
//! within ½ with two entries, and with two entries that holds over any changes of weights as well.
//!
//! The price of a take is one compare-and-exchange and at most two divisions or one look into a ring: 14 ns for one
//! entry or equals, 17 ns for two, 24 ns for three, 0.1 µs for 64, 0.3 µs for 10,000 unequal ones (`benches/pick.rs`).
//!
//! Not here: what an entry is and whether it is ready. An entry that may not be chosen has weight zero for as long.

mod ahead;
mod ledger;
mod plan;
mod position;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::ledger::{Account, Share, claims};
use self::plan::Plan;
use super::apportion::reduce;

/// What [`Rotation::take`] answers.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The slot is the caller's.
    Picked(Pick),
    /// A successor has taken over, and the newest snapshot holds it: read that again.
    Closed,
    /// No entry has a weight: there is nothing to choose from, and no slot was used.
    Empty,
}

/// One slot of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The index of the entry that gets it.
    pub entry: usize,
    /// Counted from 0 over this rotation and all its predecessors.
    pub position: u64,
}

/// How one entry stands, since it first took part in any of the rotations that followed each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    /// Slots it has got.
    pub assigned: u64,
    /// What exactness would have given it less what it got, in requests. Below 1 (½ with two entries) while the
    /// weights stand still.
    pub owed: f64,
}

impl Tally {
    /// What exactness would have given it: the sum of `slots * weight / sum` over all rotations. Near 2^53 slots the
    /// fraction is lost; [`Tally::owed`] keeps it.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.assigned as f64 + self.owed
    }
}

/// The sequence, its position, and what it took over.
///
/// Made cheaply and without looking at the predecessor; the sequence itself comes to be with [`Rotation::start`] or
/// the first [`Rotation::take`]. A rotation may have any number of successors made from it, but only one may be
/// started: the others are dropped without a trace.
#[derive(Debug)]
pub struct Rotation {
    /// Divided by what they have in common.
    weights: Box<[u64]>,
    /// The position within this rotation; `position` has its orderings.
    position: AtomicU64,
    /// Filled once, under the cell's brief lock; an acquiring load for every take after that.
    core: OnceLock<Core>,
    /// Until the core is there. Locked at the start and on dropping only.
    previous: Mutex<Option<Previous>>,
}

#[derive(Debug)]
struct Core {
    /// The global position of slot 0.
    start: u64,
    /// As they stood at the start; none when everything began with this rotation.
    accounts: Box<[Account]>,
    plan: Plan,
}

#[derive(Clone, Debug)]
struct Previous {
    rotation: Arc<Rotation>,
    origin: Arc<[Option<usize>]>,
}

impl Rotation {
    /// A rotation without a past. A weight of zero is never chosen; if all are, every take is [`Take::Empty`].
    ///
    /// Only the proportions of the weights matter. Up to a sum of 2^60, their common divisor taken out, they are kept
    /// exactly.
    #[must_use]
    pub fn new(weights: &[u64]) -> Self {
        Self::unstarted(weights, None)
    }

    /// The rotation that takes over from `previous`: entry `i` was entry `origin[i]` of that one, or is new (`None`)
    /// and is owed nothing. No two entries have the same origin.
    ///
    /// # Panics
    /// When there are not as many origins as weights.
    #[must_use]
    pub fn following(weights: &[u64], origin: &[Option<usize>], previous: Arc<Self>) -> Self {
        assert_eq!(weights.len(), origin.len(), "every entry has an origin");
        let previous = Previous {
            rotation: previous,
            origin: origin.into(),
        };
        Self::unstarted(weights, Some(previous))
    }

    /// Closes the predecessor at its present position and takes over its remainders; the second time it does nothing.
    ///
    /// Called right after the snapshot that holds this rotation is published, and not before: takers that find the
    /// predecessor closed look there. The first taker does it otherwise.
    pub fn start(&self) {
        self.core();
    }

    /// Takes the next slot.
    pub fn take(&self) -> Take {
        let core = self.core();
        let mut position = position::load(&self.position);
        while let Some(local) = position {
            let Some(entry) = core.plan.entry(local, &self.position) else {
                return Take::Empty;
            };
            match position::take(&self.position, local) {
                Ok(()) => {
                    core.plan.taken(local, &self.position);
                    return Take::Picked(Pick {
                        entry: entry as usize,
                        position: core.start + local,
                    });
                }
                Err(now) => position = now,
            }
        }
        Take::Closed
    }

    /// How many slots have been taken from this rotation and all its predecessors. Starts it where nobody has.
    pub fn position(&self) -> u64 {
        self.core().start + position::local(&self.position)
    }

    /// The weights, divided by what they have in common.
    #[must_use]
    pub fn weights(&self) -> &[u64] {
        &self.weights
    }

    /// Whether it runs on these weights: the same proportions, entry by entry.
    #[must_use]
    pub fn runs_on(&self, weights: &[u64]) -> bool {
        *self.weights == *reduce(weights)
    }

    /// How every entry stands, all at the same position. Starts the rotation where nobody has.
    #[must_use]
    pub fn tally(&self) -> Vec<Tally> {
        let tally = |account: Account| Tally {
            assigned: account.assigned,
            owed: account.owed(),
        };
        self.accounts().1.into_iter().map(tally).collect()
    }

    /// The slots that each entry has got, as [`Rotation::tally`] has them.
    #[must_use]
    pub fn assigned(&self) -> Vec<u64> {
        self.tally().iter().map(|tally| tally.assigned).collect()
    }

    /// The slots that exactness would have given each entry, as [`Rotation::tally`] has them.
    #[must_use]
    pub fn expected(&self) -> Vec<f64> {
        self.tally().iter().map(Tally::expected).collect()
    }

    fn unstarted(weights: &[u64], previous: Option<Previous>) -> Self {
        Self {
            weights: reduce(weights),
            position: AtomicU64::new(0),
            core: OnceLock::new(),
            previous: Mutex::new(previous),
        }
    }

    fn core(&self) -> &Core {
        if let Some(core) = self.core.get() {
            return core;
        }
        // The oldest first, so that a chain of rotations that were never started is no recursion.
        let mut chain = Vec::new();
        let mut previous = self.previous();
        while let Some(Previous { rotation, .. }) = previous
            && rotation.core.get().is_none()
        {
            previous = rotation.previous();
            chain.push(rotation);
        }
        for rotation in chain.iter().rev() {
            rotation.settle();
        }
        self.settle()
    }

    fn settle(&self) -> &Core {
        let core = self.core.get_or_init(|| match self.previous() {
            None => Core::new(&self.weights, 0, Box::default(), None),
            Some(previous) => previous.hand_over(&self.weights),
        });
        // Only now, so that whoever saw no core has seen the predecessor. Dropped outside the lock.
        let previous = self.previous_slot().take();
        drop(previous);
        core
    }

    /// The position within this rotation, and the accounts by then.
    fn accounts(&self) -> (u64, Vec<Account>) {
        let core = self.core();
        let (local, counts) = core.plan.counts(self.weights.len(), &self.position);
        let sum = self.weights.iter().sum();
        let account = |(entry, (&weight, &got)): (usize, (&u64, &u64))| {
            let before = core.accounts.get(entry).copied().unwrap_or_default();
            before.after(Share { weight, sum }, local, got)
        };
        let entries = self.weights.iter().zip(&counts).enumerate();
        (local, entries.map(account).collect())
    }

    fn previous(&self) -> Option<Previous> {
        self.previous_slot().clone()
    }

    fn previous_slot(&self) -> std::sync::MutexGuard<'_, Option<Previous>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Previous {
    /// Closes the predecessor and carries its accounts over.
    fn hand_over(&self, weights: &[u64]) -> Core {
        let before = self.rotation.core();
        position::close(&self.rotation.position);
        let (local, accounts) = self.rotation.accounts();
        let carried = |origin: &Option<usize>| origin.and_then(|entry| accounts.get(entry));
        let accounts = self.origin.iter().map(carried);
        let accounts = accounts
            .map(|account| account.copied().unwrap_or_default())
            .collect();
        let due = before.plan.due(local).map(|due| self.order(due));
        Core::new(weights, before.start + local, accounts, due)
    }

    /// The entries in the order in which their origins are due; those that were not in turn come last.
    fn order(&self, due: impl Iterator<Item = u32>) -> Vec<usize> {
        let mut rank = vec![usize::MAX; self.rotation.weights.len()];
        for (place, entry) in due.enumerate() {
            rank[entry as usize] = place;
        }
        let mut order: Vec<usize> = (0..self.origin.len()).collect();
        order.sort_by_key(|&entry| {
            let origin = self.origin[entry].and_then(|origin| rank.get(origin));
            origin.copied().unwrap_or(usize::MAX)
        });
        order
    }
}

impl Core {
    fn new(weights: &[u64], start: u64, accounts: Box<[Account]>, due: Option<Vec<usize>>) -> Self {
        let claims = match due {
            Some(due) => claims(&accounts, weights, due.into_iter()),
            None => claims(&accounts, weights, 0..weights.len()),
        };
        Self {
            start,
            accounts,
            plan: Plan::new(&claims),
        }
    }
}

impl Drop for Rotation {
    /// Takes a chain of rotations that were never started apart one by one: dropped in each other, many thousand of
    /// them would exhaust the stack.
    fn drop(&mut self) {
        let mut next = self.previous_slot().take();
        while let Some(previous) = next {
            next = Arc::into_inner(previous.rotation)
                .and_then(|rotation| rotation.previous_slot().take());
        }
    }
}

#[cfg(test)]
mod tests;
