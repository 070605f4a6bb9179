//! A fiel in front of one pool, with the terms that a test is about.

use std::net::SocketAddr;

use super::endpoint::Endpoint;
use super::fiel::Fiel;

/// Lines of the configuration, each a key with a value on the same line; what is empty is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms<'a> {
    /// Keys of listener `web`.
    pub(crate) listener: &'a [&'a str],
    /// Keys of route `shop`.
    pub(crate) route: &'a [&'a str],
    /// Keys of pool `shop`.
    pub(crate) pool: &'a [&'a str],
}

impl Terms<'_> {
    /// Starts fiel in front of this endpoint.
    pub(crate) fn before(&self, endpoint: &Endpoint) -> Fiel {
        self.before_all(&[endpoint.address()])
    }

    /// Starts fiel in front of the endpoints at these addresses, with one worker, so that all connections to endpoints
    /// are shared.
    pub(crate) fn before_all(&self, endpoints: &[SocketAddr]) -> Fiel {
        let endpoints: Vec<String> = endpoints.iter().map(SocketAddr::to_string).collect();
        Fiel::start(&self.configured(&endpoints.join(", ")))
    }

    /// The configuration, with these endpoints as they stand between brackets.
    pub(crate) fn configured(&self, endpoints: &str) -> String {
        format!(
            "\
workers: 1
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - name: web
    bind: 127.0.0.1:0
{listener}routes:
  - name: shop
    split: [ {{ pool: shop, weight: 1 }} ]
{route}pools:
  shop:
{pool}    endpoints: [{endpoints}]
",
            listener = lines(self.listener),
            route = lines(self.route),
            pool = lines(self.pool),
        )
    }
}

fn lines(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("    {key}\n")).collect()
}

/// fiel in front of this endpoint, by its defaults.
pub(crate) fn before(endpoint: &Endpoint) -> Fiel {
    Terms::default().before(endpoint)
}

/// The same under these limits of its listener, as the inside of a map.
pub(crate) fn limited(limits: &str, endpoint: &Endpoint) -> Fiel {
    let limits = format!("limits: {{ {limits} }}");
    Terms {
        listener: &[&limits],
        ..Terms::default()
    }
    .before(endpoint)
}

/// The same with these timeouts of its route, as the inside of a map.
pub(crate) fn timed(timeouts: &str, endpoints: &[SocketAddr]) -> Fiel {
    let timeouts = format!("timeouts: {{ {timeouts} }}");
    Terms {
        route: &[&timeouts],
        ..Terms::default()
    }
    .before_all(endpoints)
}
