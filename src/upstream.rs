//! A worker's connections to endpoints: made, looked at before use, kept while unused, cut when their endpoint dies.
//!
//! Everything here belongs to one worker and stays on its thread. A connection is driven by whoever uses it, in the
//! same task as the client's connection; an unused one is driven by nobody and looked at when it is wanted.

mod answer;
mod attempt;
mod basis;
mod carrier;
mod connect;
mod engaged;
mod freshness;
mod http2;
mod idle;
mod io;
mod line;
mod opening;
mod outbound;
mod speaks;
mod switched;

pub(crate) use attempt::{Answer, Attempt, AttemptFailure};
pub(crate) use carrier::{Carrier, Drive};
pub(crate) use engaged::{Engaged, Entry};
pub(crate) use freshness::Freshness;
pub(crate) use idle::Upstreams;
pub(crate) use line::Hears;
pub(crate) use outbound::{BodySlot, Hold, Outbound};
pub(crate) use switched::Switched;
