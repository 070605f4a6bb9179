//! Two entries: any slot by one division.
//!
//! With two entries the rule is: the first gets the slot whenever its credit has reached ½. Its count after `n` slots
//! is then `floor(n * w / S + credit + 1/2)`, as long as the credit it brought lies within ½. Credit beyond that (from
//! a sequence over more entries) is first worked off by a run of slots for the one that is owed.

use super::claim::{Claim, ONE};

/// The sequence of two entries.
#[derive(Debug)]
pub(crate) struct Pair {
    entries: [u32; 2],
    /// The first entry's weight.
    weight: u64,
    sum: u64,
    /// `floor((credit + 1/2) * S)`: `n * w` is whole, so the floor loses nothing.
    offset: i64,
    /// So many slots go to `leader` before the closed form holds.
    lead: u64,
    leader: usize,
}

impl Pair {
    pub(crate) fn new(first: Claim, second: Claim) -> Self {
        let sum = first.weight + second.weight;
        let scaled = i128::from(sum) * (i128::from(first.credit) + i128::from(ONE / 2));
        let offset = scaled.div_euclid(i128::from(ONE));
        let offset = i64::try_from(offset).expect("credits are bounded by the ledger");
        // Too much credit: the first slot count m at which floor((m * w + offset) / S) has come down to m. Too little:
        // the first at which it has come up to zero.
        let (lead, leader) = match u64::try_from(offset) {
            Ok(offset) if offset >= sum => ((offset - sum) / second.weight + 1, 0),
            Ok(_) => (0, 0),
            Err(_) => (offset.unsigned_abs().div_ceil(first.weight), 1),
        };
        Self {
            entries: [first.entry, second.entry],
            weight: first.weight,
            sum,
            offset,
            lead,
            leader,
        }
    }

    /// Who gets slot `n`, counted from 0.
    pub(crate) fn entry(&self, n: u64) -> u32 {
        if n < self.lead {
            return self.entries[self.leader];
        }
        // Slot n raises floor((n * w + offset) / S) exactly when the remainder is within w of S.
        let product = n.checked_mul(self.weight);
        let remainder = match product.and_then(|product| product.checked_add_signed(self.offset)) {
            Some(scaled) => scaled % self.sum,
            None => {
                let remainder = self.scaled(n).rem_euclid(i128::from(self.sum));
                u64::try_from(remainder).expect("a remainder is below its divisor")
            }
        };
        self.entries[usize::from(remainder < self.sum - self.weight)]
    }

    /// How many of the first `n` slots each of the two gets.
    pub(crate) fn counts(&self, n: u64) -> [(u32, u64); 2] {
        let first = if n < self.lead {
            if self.leader == 0 { n } else { 0 }
        } else {
            let count = self.scaled(n).div_euclid(i128::from(self.sum));
            u64::try_from(count).expect("past the lead the count is between 0 and n")
        };
        [(self.entries[0], first), (self.entries[1], n - first)]
    }

    fn scaled(&self, n: u64) -> i128 {
        i128::from(n) * i128::from(self.weight) + i128::from(self.offset)
    }
}
