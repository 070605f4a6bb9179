//! Who is chosen next: the algorithms that spread requests over entries.
//!
//! The exact one is [`rotation::Rotation`]: one sequence for all workers, which splits of a route use over their
//! pools and weighted round robin over a pool's endpoints. Nothing here knows what an entry is, what the time is, or
//! whether an entry is ready: weights come in, entries come out.

pub mod apportion;
pub mod rotation;

pub use rotation::{Pick, Rotation, Take, Tally};
