//! What each entry has got and what it is owed, over all rotations it took part in.
//!
//! A ledger is never rounded off or forgiven: an entry's account says what exactness would have given it less what it
//! got. The sequence of the next rotation starts from credits made of it, [`claims`]: for those alone the accounts are
//! evened out, so that they add up to nothing, and bounded.

use crate::balance::apportion::{Claim, ONE};

/// One entry's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Slots got so far.
    pub(super) assigned: u64,
    /// Slots that exactness would have given less those got, in units of 2^-64.
    owed: i128,
}

impl Account {
    /// The account after a rotation in which the entry had `share` of `slots` and got `got`.
    pub(super) fn after(self, share: Share, slots: u64, got: u64) -> Self {
        Self {
            assigned: self.assigned + got,
            owed: self.owed + share.of(slots, got),
        }
    }

    /// What exactness would have given it less what it got, in requests.
    pub(super) fn owed(self) -> f64 {
        self.owed as f64 / 2_f64.powi(64)
    }

    /// The same in units of [`ONE`], rounded to the nearest, so that equal histories make equal credits whichever way
    /// their last bits went.
    fn credit(self) -> i128 {
        const SHIFT: u32 = 64 - ONE.trailing_zeros();
        // Far beyond what any history makes; it bounds the products below.
        const BOUND: i128 = (ONE as i128) << 16;
        ((self.owed + (1 << (SHIFT - 1))) >> SHIFT).clamp(-BOUND, BOUND)
    }
}

/// A weight out of the sum of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) weight: u64,
    pub(super) sum: u64,
}

impl Share {
    /// `slots * weight / sum - got`, in units of 2^-64, rounded to the nearest.
    ///
    /// The rounding is all that a change of shares ever loses: after a thousand million changes less than 2^-34.
    fn of(self, slots: u64, got: u64) -> i128 {
        if self.sum == 0 {
            return 0;
        }
        let sum = u128::from(self.sum);
        let product = u128::from(slots) * u128::from(self.weight);
        let (whole, rest) = (product / sum, product % sum);
        let part = ((rest << 64) + sum / 2) / sum;
        // Both are below 2^63, and what a sequence gave is close to what it should have given.
        let difference = whole.cast_signed() - i128::from(got);
        (difference << 64) + part.cast_signed()
    }
}

/// The claims that a sequence starts from: one for each entry with a weight, in the given order.
///
/// An entry without a weight keeps its account as it is, and so the active ones together are owed the opposite of what
/// the absent ones (and those that left) are. No sequence can give out more slots than there are; the difference is
/// therefore lent, in proportion to the weights: that moves all deadlines by the same number of slots and changes
/// nothing in their order. Being no part of the account, the loan ends by itself when the entry comes back. What an
/// entry starts with is at most one request (two, where bounding one entry burdens another), so that a return makes no
/// burst whatever has happened before. Over 20,000 random changes of what is ready, among 3 to 8 entries of very
/// unequal weights, none was ever owed more than 2.2, and none had more than 2.8 too many.
pub(super) fn claims(
    accounts: &[Account],
    weights: &[u64],
    order: impl Iterator<Item = usize>,
) -> Vec<Claim> {
    let mut claims: Vec<Claim> = order
        .filter(|&entry| weights[entry] > 0)
        .map(|entry| Claim {
            entry: u32::try_from(entry).expect("entries are numbered in 32 bits"),
            weight: weights[entry],
            credit: 0,
        })
        .collect();
    if accounts.is_empty() {
        return claims;
    }
    let sum: i128 = claims.iter().map(|claim| i128::from(claim.weight)).sum();
    let credit = |claim: &Claim| accounts[claim.entry as usize].credit();
    let missing = -claims.iter().map(credit).sum::<i128>();
    for claim in &mut claims {
        let lent = proportion(missing, claim.weight, sum);
        claim.credit = bounded(credit(claim) + lent, ONE);
    }
    // Where a bound was met the rest is spread once more; beyond that only rounding is left.
    let missing = -claims
        .iter()
        .map(|claim| i128::from(claim.credit))
        .sum::<i128>();
    if missing.unsigned_abs() > claims.len() as u128 {
        for claim in &mut claims {
            let lent = proportion(missing, claim.weight, sum);
            claim.credit = bounded(i128::from(claim.credit) + lent, 2 * ONE);
        }
    }
    claims
}

fn proportion(amount: i128, weight: u64, sum: i128) -> i128 {
    (amount * i128::from(weight) + sum / 2).div_euclid(sum)
}

fn bounded(credit: i128, bound: i64) -> i64 {
    let credit = credit.clamp(-i128::from(bound), i128::from(bound));
    i64::try_from(credit).expect("within the bound")
}
