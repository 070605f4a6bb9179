//! fiel: a layer-7 load-balancing reverse proxy whose split is exact and which loses nothing entrusted to it.
//!
//! `ARCHITECTURE.md` has the map of the modules and what holds between them.

pub mod change;
pub mod config;
pub mod endpoint;
pub mod error;
pub mod metrics;
pub mod probe;
pub mod units;
