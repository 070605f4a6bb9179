//! A client's HTTP/2 connection: its streams served beside each other, its limits, its graceful end (RFC 9113).
//!
//! `task.rs` is the life of the connection behind its `greeting.rs`, on the `h2` crate; `stream.rs` one stream with its request and `answer.rs` what
//! is written to it. `admit.rs` makes a request's head one that can go on over HTTP/1, or refuses it. `pipe.rs` is the
//! socket under `h2`, where octets are counted and `watch.rs` looks at the heads of frames, for the floods that `h2` has
//! no limit for; `outlet.rs` bounds what waits to be written. Streams are futures of the connection's own task: `seats.rs` polls those
//! that `bell.rs` was rung for, and what they have written by the end of a turn goes out together.
//!
//! Routing, endpoints and answers are those of HTTP/1: each stream asks a service of its own. CONNECT is refused as HTTP/1's
//! is, but for WebSockets (RFC 8441): such a stream goes on as the upgrade of HTTP/1, and becomes a tunnel (`tunnel.rs`).

mod admit;
mod answer;
mod bell;
mod greeting;
mod outlet;
mod pipe;
mod seats;
mod shared;
mod stream;
mod task;
mod tunnel;
mod watch;

pub(super) use task::serve;
