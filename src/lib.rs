//! fiel: a layer-7 load-balancing reverse proxy whose split is exact and which loses nothing entrusted to it.
//!
//! Most users run the binary; its README has the configuration. In a program of one's own the whole path is a tower
//! service, [`Proxy`], and [`run::run_with`] puts a layer around it for every connection, over HTTP/2 for every stream:
//!
//! ```no_run
//! use http::Request;
//! use tower::ServiceBuilder;
//!
//! let layer = ServiceBuilder::new().map_request(|mut request: Request<_>| {
//!     request.headers_mut().remove("x-debug");
//!     request
//! });
//! fiel::run::run_with("fiel.yaml".as_ref(), layer, |running| {
//!     println!("listening on {:?}", running.listeners);
//! })?;
//! # Ok::<(), fiel::run::RunError>(())
//! ```
//!
//! It blocks until a signal ends it, and drains as `fiel run` does; [`run::run_until`] ends when you want it to. [`Local`]
//! makes a [`Proxy`] for connections that are not fiel's. `examples/embed` has a layer that answers by itself.
//! `ARCHITECTURE.md` has the map of the modules and what holds between them; [`request`] is the page to read first.

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
mod delegate;
pub mod dial;
pub mod discovery;
pub mod endpoint;
pub mod error;
pub mod grpc;
pub mod header;
mod listener;
pub mod local;
pub mod location;
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
mod supervisor;
pub mod tls;
pub mod units;
mod upstream;
mod wire;
mod worker;

pub use local::Local;
pub use request::{Proxy, ResponseBody, ResponseFuture};
