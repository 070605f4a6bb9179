//! A route's shares over its pools.
//!
//! [`share`] says which weights are in force, given what is ready.

pub mod share;
