//! A client's HTTP/1 connection: hyper on a socket of our own, the limits of its listener, a graceful end.
//!
//! hyper parses and frames; what it would answer to an unreadable head is swallowed and answered here, under the
//! request's terms (`edge.rs`). While nothing is asked, hyper's state is taken down and only the socket is kept
//! (`task.rs`), so that an idle connection costs little. Any tower service may be served; the proxy is one.

mod edge;
mod panics;
mod task;

pub(crate) use edge::Edge;
pub(crate) use task::{Registry, serve};
