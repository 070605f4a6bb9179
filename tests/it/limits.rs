//! Chapters 2 and 3: the limits of a listener, and what is refused before anything of it reaches an endpoint.

use crate::support::Endpoint;
use crate::support::client::Response;

mod connections;
mod heads;
mod sizes;
mod times;

/// An answer of fiel's own: status, class of the failure, and the request's id in a short text.
#[track_caller]
fn assert_refusal(answer: &Response, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let told = format!("fiel; error={error}");
    assert_eq!(answer.header("proxy-status"), Some(told.as_str()));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(
        answer.text().contains("\nrequest id: "),
        "{}",
        answer.text()
    );
    assert_eq!(answer.cut_short, None);
}

/// Nothing of a request came to the endpoint.
#[track_caller]
fn assert_untouched(endpoint: &Endpoint) {
    assert_eq!(endpoint.requests().len(), 0, "{:?}", endpoint.requests());
    assert_eq!(endpoint.connections(), 0);
}
