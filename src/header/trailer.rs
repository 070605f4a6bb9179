//! Fields that may not come behind a body (RFC 9110 §6.5.1): those that say where a message ends, whom it is for, who
//! sent it or what it means, which have been decided by then.
//!
//! Some endpoints read trailers as if they had stood in the head: what a client may not claim there it may not claim
//! here. Whether trailers are passed on at all (`Trailer`, `TE`) is decided where they are written.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    WWW_AUTHENTICATE,
};
use smallvec::SmallVec;

use crate::header::forwarded::{is_claim, is_framing_twin};
use crate::header::hop::PROXY_CONNECTION;
use crate::header::ids::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};
use crate::header::keep_alive::KEEP_ALIVE;

/// Removes what may not come behind a body, in either direction and whoever sent it.
pub fn strip(trailers: &mut HeaderMap) {
    let doomed: SmallVec<[HeaderName; 2]> = trailers
        .keys()
        .filter(|name| !may_trail(name))
        .cloned()
        .collect();
    for name in &doomed {
        trailers.remove(name);
    }
}

fn may_trail(name: &HeaderName) -> bool {
    let framing = [&CONTENT_LENGTH, &TRANSFER_ENCODING, &TRAILER];
    let connection = [&CONNECTION, &PROXY_CONNECTION, &KEEP_ALIVE, &TE, &UPGRADE];
    let routing = [&HOST, &MAX_FORWARDS, &VIA, &FORWARDED, &EXPECT];
    let credentials = [
        &AUTHORIZATION,
        &COOKIE,
        &SET_COOKIE,
        &WWW_AUTHENTICATE,
        &PROXY_AUTHENTICATE,
        &PROXY_AUTHORIZATION,
    ];
    let content = [
        &CACHE_CONTROL,
        &CONTENT_ENCODING,
        &CONTENT_RANGE,
        &CONTENT_TYPE,
    ];
    let ids = [&X_REQUEST_ID, &TRACEPARENT, &TRACESTATE];
    let is_listed = framing.contains(&name)
        || connection.contains(&name)
        || routing.contains(&name)
        || credentials.contains(&name)
        || content.contains(&name)
        || ids.contains(&name);
    let octets = name.as_str().as_bytes();
    !is_listed && !is_claim(octets) && !is_framing_twin(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::tests::fields;

    #[test]
    fn what_was_decided_with_the_head_cannot_come_behind_the_body() {
        let mut trailers = fields(&[
            ("content-length", "1"),
            ("host", "evil"),
            ("authorization", "a"),
            ("proxy-connection", "a"),
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-for", "8.8.8.8"),
            ("x_real_ip", "9.9.9.9"),
            ("content_length", "1"),
            ("forwarded", "for=9.9.9.9"),
            ("x-request-id", "a"),
        ]);
        strip(&mut trailers);
        assert_eq!(trailers, HeaderMap::new());
    }

    #[test]
    fn other_trailers_stay() {
        let usual = [
            ("grpc-status", "0"),
            ("grpc-message", "ok"),
            ("content-digest", "a"),
            ("server-timing", "a"),
            ("authentication-info", "a"),
        ];
        let mut trailers = fields(&usual);
        strip(&mut trailers);
        assert_eq!(trailers, fields(&usual));
    }
}
