//! The exact sequence: which entry gets slot after slot, so that every count stays next to its ideal at every prefix.
//!
//! This is the chairman assignment problem. R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32
//! (1980), proves: for k entries with weights `w` of sum `S` there is a sequence in which, after any number `n` of
//! slots, every entry's count differs from `n * w / S` by at most `1 - 1/(2k-2)`, and no smaller bound holds for all
//! weights. For two entries that is ½, and it is below 1 for every k. The proof is constructive: at slot `t` (from 1)
//! those entries are eligible whose credit `t * w / S - count` has reached `1/(2k-2)`, and of them the one is chosen
//! whose credit would first pass `1 - 1/(2k-2)` were it left waiting (the earliest deadline). Ties, which the theorem
//! leaves open, go to the lower index.
//!
//! Everything is integers. Three forms of the one rule live here, and tests hold them together:
//! - `Pair`, two entries: a closed form, one division for any slot;
//! - `Turn`, any number of equal weights: the rule is then plain rotation, one division for any slot;
//! - `Quota`, the rest: generated slot by slot, by a scan of few entries or two heaps over many.
//!
//! Each starts from claims, which may carry credit from an earlier sequence. The theorem speaks of a start without
//! credit. With two entries the bound of ½ survives any carried credit within ½, by the form of the rule; with more no
//! rule can promise it (an adversary that changes who may take part forces `H_k - 1`), but no entry's credit falls
//! below -1 and what is owed is served earliest deadline first.
//!
//! Not here: who shares a sequence, and what is carried from one to the next (`rotation`).

mod claim;
mod pair;
mod quota;
mod turn;

pub(crate) use claim::{Claim, ONE, reduce};
pub(crate) use pair::Pair;
pub(crate) use quota::Quota;
pub(crate) use turn::Turn;

#[cfg(test)]
mod tests;
