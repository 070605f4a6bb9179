//! fiel: a layer-7 load-balancing reverse proxy whose split is exact and which loses nothing entrusted to it.
//!
//! `ARCHITECTURE.md` has the map of the modules and what holds between them.

pub mod access_log;
pub mod balance;
pub mod change;
pub mod cli;
pub mod config;
pub mod endpoint;
pub mod error;
pub mod log;
pub mod header;
pub mod metrics;
pub mod route;
pub mod split;
pub mod probe;
pub mod units;
