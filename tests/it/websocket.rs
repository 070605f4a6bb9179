//! WebSockets over both versions of HTTP, one bridged to the other (RFC 6455, RFC 8441); and events that nothing holds back.

mod bridges;
mod browser;
mod events;
mod life;
mod rules;
mod secured;

use std::net::SocketAddr;

use crate::support::Fiel;
use crate::support::terms::Terms;
use crate::support::websocket::Http;

/// All ways through.
const WAYS: [(Http, Http); 4] = [
    (Http::One, Http::One),
    (Http::Two, Http::One),
    (Http::One, Http::Two),
    (Http::Two, Http::Two),
];

/// In front of an endpoint that speaks this.
fn before(endpoint: SocketAddr, http: Http, route: &[&str]) -> Fiel {
    let pool: &[&str] = match http {
        Http::One => &[],
        Http::Two => &["protocol: http2"],
    };
    let terms = Terms {
        route,
        pool,
        ..Terms::default()
    };
    terms.before_all(&[endpoint])
}
