//! Equal weights, any number of entries: taking turns.
//!
//! With equal weights the earliest deadline is the largest credit, and a slot moves the one served behind all others as
//! soon as no two credits are more than one request apart. So the rule is a rotation in order of credit, after a lead
//! in which those get their extra slots who are owed more than one request more than the last. Without any credit it
//! is the order of the indices and needs no table.

use std::cmp::Reverse;

use super::claim::{Claim, ONE};

/// The sequence of equals.
#[derive(Debug)]
pub(crate) struct Turn {
    entries: u64,
    /// Who gets the slots before the rotation proper; nearly always empty.
    lead: Box<[u32]>,
    /// The rotation; empty when it is simply 0, 1, 2 and so on.
    order: Box<[u32]>,
}

/// Credits that are one request apart but for rounding do not make a lead: 2^-16 of a request.
const SLACK: i64 = 1 << 16;

impl Turn {
    /// Takes claims of equal weight; those of equal credit are served in the order given.
    pub(crate) fn new(claims: &[Claim]) -> Self {
        debug_assert!(!claims.is_empty());
        let entries = claims.len() as u64;
        let plain = (0..).zip(claims).all(|(index, claim)| claim.entry == index);
        if plain && claims.iter().all(|claim| claim.credit == claims[0].credit) {
            return Self {
                entries,
                lead: Box::default(),
                order: Box::default(),
            };
        }
        let last = claims.iter().map(|claim| claim.credit).min().unwrap_or(0);
        let mut lead = Vec::new();
        let mut order = Vec::with_capacity(claims.len());
        for claim in claims {
            let mut credit = claim.credit;
            while credit > last + ONE + SLACK {
                lead.push((Reverse(credit), claim.entry));
                credit -= ONE;
            }
            order.push((Reverse(credit), claim.entry));
        }
        // Stable, so that equal credits keep the order given.
        lead.sort_by_key(|&(credit, _)| credit);
        order.sort_by_key(|&(credit, _)| credit);
        let names = |list: Vec<(Reverse<i64>, u32)>| list.iter().map(|&(_, entry)| entry).collect();
        Self {
            entries,
            lead: names(lead),
            order: names(order),
        }
    }

    /// Who gets slot `n`, counted from 0.
    pub(crate) fn entry(&self, n: u64) -> u32 {
        let lead = self.lead.len() as u64;
        if n < lead {
            return self.lead[as_index(n)];
        }
        self.nth(as_index((n - lead) % self.entries))
    }

    /// How many of the first `n` slots each gets, as (entry, count); an entry may come up twice.
    pub(crate) fn counts(&self, n: u64) -> impl Iterator<Item = (u32, u64)> {
        let lead = self.lead.len() as u64;
        let led = self.lead[..as_index(n.min(lead))].iter();
        let rotated = n.saturating_sub(lead);
        let (full, partial) = (rotated / self.entries, rotated % self.entries);
        let turns = (0..self.entries)
            .map(move |rank| (self.nth(as_index(rank)), full + u64::from(rank < partial)));
        led.map(|&entry| (entry, 1)).chain(turns)
    }

    /// The entries after `n` slots, the one next due first.
    pub(crate) fn due(&self, n: u64) -> impl Iterator<Item = u32> {
        let rotated = n.saturating_sub(self.lead.len() as u64);
        let next = rotated % self.entries;
        (next..self.entries)
            .chain(0..next)
            .map(|rank| self.nth(as_index(rank)))
    }

    fn nth(&self, rank: usize) -> u32 {
        match self.order.get(rank) {
            Some(&entry) => entry,
            None => u32::try_from(rank).expect("entries are numbered in 32 bits"),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below a length in memory")]
fn as_index(n: u64) -> usize {
    n as usize
}
