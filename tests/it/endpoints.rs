//! Endpoints that are more than an address with a port: unix sockets, and those that are told who speaks to them.

mod announced;
mod proxy_protocol;
mod unix;

use crate::support::terms::Terms;

/// A listener `web`, and a route to a pool `shop` with these endpoints and these further keys.
fn pool(endpoints: &str, more: &[&str]) -> String {
    let pool = [&["connect: { timeout: 20s }"], more].concat();
    let terms = Terms {
        pool: &pool,
        ..Terms::default()
    };
    terms.configured(endpoints)
}
