//! A client's connection: requests read and answers written over it, the limits of its listener, a graceful end.
//!
//! `task.rs` is the life of a connection, `exchange.rs` one request of HTTP/1 and its answer, `http2.rs` a connection that
//! speaks HTTP/2. While nothing is asked, all buffers are
//! given up and only the socket is kept, so that an idle connection costs little. Any tower service may be served; the
//! proxy is one.

mod arrival;
mod edge;
mod ending;
mod exchange;
mod handshake;
mod http2;
mod panics;
mod registry;
mod task;

pub(crate) use edge::Edge;
pub(crate) use handshake::Handshakes;
pub(crate) use registry::Registry;
pub(crate) use task::{Accepted, serve};
