//! The answers that a route gives by itself: a redirect, what the configuration says, or to an OPTIONS that may go no
//! further.

use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Response};

use crate::config::model::{HeaderEdits, Redirect, Respond};
use crate::error::Kind;
use crate::header;
use crate::request::asked::Asked;
use crate::request::context::Client;
use crate::response::Body;
use crate::route::rewrite::{self, Redirected};
use crate::snapshot::Spoken;

/// Sends the client elsewhere.
///
/// # Errors
/// The kind of the refusal, where the request holds what a `Location` may not.
pub(super) fn redirect(
    rule: &Redirect,
    edits: &HeaderEdits,
    head: &Parts,
    asked: &Asked<'_>,
    client: &Client,
) -> Result<Response<Body>, Kind> {
    let scheme = asked.heard.scheme(&head.headers, client.scheme);
    let location = rewrite::location(
        rule,
        &Redirected {
            scheme: scheme.as_str(),
            host: (!asked.host.is_empty()).then_some(asked.host),
            port: asked.port,
            path: &asked.path,
            query: head.uri.query(),
        },
    )?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = rule.status;
    answer.headers_mut().insert(LOCATION, location);
    header::edit::apply(answer.headers_mut(), edits);
    Ok(answer)
}

/// Answers what is configured.
pub(super) fn respond(rule: &Respond, spoken: &Spoken) -> Response<Body> {
    let mut answer = Response::new(match rule.body.is_empty() {
        true => Body::empty(),
        false => Body::full(spoken.body.clone()),
    });
    *answer.status_mut() = rule.status;
    if !rule.body.is_empty() {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, text);
    }
    header::edit::apply(answer.headers_mut(), &spoken.response);
    answer
}

/// Answers an OPTIONS in the endpoint's stead. What the resource allows only the endpoint knows: there is no `Allow`.
pub(super) fn options(edits: &HeaderEdits) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    header::edit::apply(answer.headers_mut(), edits);
    answer
}
