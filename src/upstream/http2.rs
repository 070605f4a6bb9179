//! HTTP/2 to endpoints (RFC 9113), on the `h2` crate: few connections, each with many requests at once.
//!
//! A worker has its own connections to each endpoint, and each connection a task of its own that reads and writes for
//! all of its streams; a request's stream is polled by whoever serves the request, as a line of HTTP/1 is. What `h2` leaves
//! to its user is here: who gets which connection (`pool.rs`), when a silent one is dead (`pace.rs`), and what an
//! endpoint may do that costs it nothing and others much (`watch.rs`).
//!
//! No request waits for another's end: where all connections are full, one more is made. So there are never more of
//! them than requests in flight, as with HTTP/1.

mod connection;
mod fault;
mod head;
mod pace;
mod place;
mod pool;
mod stream;
mod tunnel;
mod watch;

pub(super) use connection::ALPN;
pub(super) use place::{Got, Place, Placed, Ticket};
pub(super) use pool::Pool;
pub(crate) use stream::Stream;
pub(super) use tunnel::Tunnel;
