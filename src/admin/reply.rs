//! What every answer of the admin address has in common.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::metrics;

/// An answer; it is whole before the first octet is sent.
pub(crate) type Reply = Response<Full<Bytes>>;

/// The page has neither scripts nor styles nor pictures, may not be framed, and sends nothing.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Words, with a newline behind them where there is none.
pub(crate) fn text(status: StatusCode, words: impl Into<String>) -> Reply {
    let mut words = words.into();
    if !words.ends_with('\n') {
        words.push('\n');
    }
    of_type(status, "text/plain; charset=utf-8", words)
}

/// JSON, laid out for people as well.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_string_pretty(value) {
        Ok(printed) => of_type(status, "application/json", printed + "\n"),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer could not be printed: {error}"),
        ),
    }
}

/// The text of a scrape.
pub(crate) fn scrape(printed: String) -> Reply {
    of_type(StatusCode::OK, metrics::CONTENT_TYPE, printed)
}

/// A web page.
pub(crate) fn page(html: String) -> Reply {
    let mut reply = of_type(StatusCode::OK, "text/html; charset=utf-8", html);
    reply
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    reply
}

/// A path that exists, asked for by the wrong method (RFC 9110 §15.5.6).
pub(crate) fn wrong_method(allowed: &'static str) -> Reply {
    let words = format!("only {allowed} here");
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, words);
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// The token is missing or wrong (RFC 6750 §3).
pub(crate) fn unauthorized(words: &str) -> Reply {
    let mut reply = text(StatusCode::UNAUTHORIZED, words);
    let challenge = HeaderValue::from_static("Bearer realm=\"fiel\"");
    reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    reply
}

/// Not now, but soon.
pub(crate) fn later(words: &str) -> Reply {
    let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, words);
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn of_type(status: StatusCode, content_type: &'static str, content: String) -> Reply {
    let mut reply = Response::new(Full::from(content));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}
