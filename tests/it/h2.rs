//! HTTP/2 to clients: what a request and its answer become, what breaks the rules, what floods, and how connections end.
//!
//! The client is `support::frames`, which can say anything; curl, nghttp and h2load say what is right.

mod ends;
mod exchanges;
mod floods;
mod limits;
mod real;
mod rules;
mod smuggling;
mod ways;

use crate::support::client;
use crate::support::frames::{Came, Raw, get};
use crate::support::{Fiel, Scrape};

/// An answer of the endpoint called `app`.
fn app() -> Came {
    Came::Answer(200, b"app".to_vec())
}

/// Other connections go on, old and new.
#[track_caller]
fn assert_unharmed(fiel: &Fiel, other: &mut Raw, stream: u32) {
    other.request(stream, &get("/other", &[]));
    assert_eq!(other.outcome(stream), app());
    assert_eq!(client::get(fiel.address("web"), "/new").text(), "app");
}

/// How many connections were broken off for this reason.
fn wait_for_aborts(fiel: &Fiel, reason: &str, count: f64) {
    let series = format!("fiel_http2_aborts_total{{listener=\"web\",reason=\"{reason}\"}}");
    Scrape::wait_for(fiel, &[(&series, count)]);
}
