//! `Expect: 100-continue` (RFC 9110 §10.1.1): whether a client holds its body back.

use http::HeaderMap;
use http::header::EXPECT;

/// Whether the client waits for a 100. With another expectation it sends its body at once; of several lines the last
/// counts.
#[must_use]
pub fn is_continue(headers: &HeaderMap) -> bool {
    let last = headers.get_all(EXPECT).iter().next_back();
    last.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
