//! HTTP/2 to endpoints: what is shared and what is not, what goes through, what is tried again, and endpoints that misbehave.

mod hostile;
mod messages;
mod retries;
mod secured;
mod sharing;

use std::net::SocketAddr;

use crate::support::Fiel;
use crate::support::terms::Terms;

/// One worker in front of these endpoints, which speak HTTP/2 by prior knowledge.
fn before(endpoints: &[SocketAddr]) -> Fiel {
    before_on(&[], &[], endpoints)
}

/// The same with further keys of the route and the pool.
fn before_on(route: &[&str], pool: &[&str], endpoints: &[SocketAddr]) -> Fiel {
    let pool = [&["protocol: http2"], pool].concat();
    let terms = Terms {
        route,
        pool: &pool,
        ..Terms::default()
    };
    terms.before_all(endpoints)
}
