//! Accepting: one thread takes connections from every listening socket and hands each to the worker that has the
//! fewest. Where there is one worker only, that thread is its own.
//!
//! `SO_REUSEPORT` would let the kernel spread them by a hash that knows no load, and eight long-lived connections could
//! end 7:1 on two workers. What the hand-over costs is in BENCHMARKS.md. No request passes here.

mod accept;
mod desk;
pub(crate) mod proxy_protocol;
mod rush;
mod terms;

pub(crate) use accept::{Accepting, Acceptor, Bound};
pub(crate) use desk::{Desk, Handed, Place};
pub(crate) use terms::Terms;
