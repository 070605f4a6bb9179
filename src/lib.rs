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
mod connection;
pub mod control;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod header;
mod listener;
pub mod log;
pub mod metrics;
pub mod phase;
pub mod policy;
pub mod pool;
pub mod probe;
pub mod request;
mod response;
pub mod route;
pub mod run;
mod shutdown;
pub mod snapshot;
pub mod socket;
pub mod split;
pub mod units;
mod upstream;
mod worker;

pub use request::Proxy;
