//! What a sequence is made from: entries with their weights and the credit they bring along.

/// One request, in the fixed point of credits: 2^-32.
pub(crate) const ONE: i64 = 1 << 32;

/// The sum of a sequence's weights stays at or below this, so that every product below fits into 128 bits.
const MAX_SUM: u128 = 1 << 60;

/// One entry's right to slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The entry's index, as it comes out of the sequence.
    pub(crate) entry: u32,
    /// Above zero; the sum over all claims is at most 2^60.
    pub(crate) weight: u64,
    /// What the entry is owed (or, below zero, has had too much) at the start, in units of 2^-32 of a request. The
    /// sum over all claims is zero, but for rounding.
    pub(crate) credit: i64,
}

/// Divides the weights by what they have in common, which makes every product smaller and changes no share.
///
/// Where the sum is beyond 2^60 even so (no configuration reaches it: 10,000 entries of the largest weight make 2^54),
/// the weights are rounded to that resolution; what was above zero stays above zero.
pub(crate) fn reduce(weights: &[u64]) -> Box<[u64]> {
    let common = weights
        .iter()
        .fold(0, |common, &weight| gcd(common, weight));
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let reduced = |weight: u64| {
        if common == 0 {
            return 0;
        }
        let exact = weight / common;
        if sum / u128::from(common) <= MAX_SUM {
            return exact;
        }
        // Half of the room, as every weight that would round to zero is raised to one.
        let rounded = u128::from(weight) * (MAX_SUM / 2) / sum;
        u64::try_from(rounded).map_or(exact, |rounded| rounded.max(exact.min(1)))
    };
    weights.iter().map(|&weight| reduced(weight)).collect()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
