//! fiel: a layer-7 load-balancing reverse proxy whose split is exact and which loses nothing entrusted to it.
//!
//! `ARCHITECTURE.md` has the map of the modules and what holds between them.

pub mod access_log;
pub mod admin;
pub mod balance;
pub mod body;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod header;
pub mod log;
pub mod metrics;
pub mod phase;
pub mod policy;
pub mod pool;
pub mod probe;
pub mod request;
mod response;
pub mod route;
pub mod snapshot;
pub mod split;
pub mod units;
mod upstream;

pub use request::Proxy;
