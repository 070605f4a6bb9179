//! Who is chosen next: the algorithms that spread requests over entries.
//!
//! The exact one is [`rotation::Rotation`]: one sequence for all workers, which splits of a route use over their
//! pools and weighted round robin over a pool's endpoints. The others, one a file, serve pools alone; [`pick`] is the one
//! way to ask any of them. Nothing here knows what an entry is, what the time is, or whether an entry is ready: weights,
//! loads, chance and keys come in, entries come out.

pub mod apportion;
pub mod least_request;
pub mod loads;
pub mod pick;
pub mod power_of_two;
pub mod random;
pub mod ring_hash;
pub mod rotation;

pub use rotation::{Pick, Rotation, Take, Tally};
