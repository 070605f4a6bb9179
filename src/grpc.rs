//! What gRPC says in the fields of HTTP: which requests are calls, how they ended, how long they may take.
//!
//! Nothing here reads what a message says: calls are streamed as they come, like any request. Who answers a failure with which
//! status is decided in `response/local_reply.rs`; the health protocol's messages live with its probe.

mod code;
mod message;
mod messages;
mod timeout;

use http::header::HeaderValue;
use http::{HeaderMap, HeaderName};

pub use code::Code;
pub use message::escape;
pub use messages::Messages;
pub use timeout::{parse_timeout, print_timeout};

/// How a call ended: a [`Code`], in the trailers, or in the head where there is nothing else.
pub static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What there is to say about it.
pub static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How long a call may take, from its client's point of view.
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The `Content-Type` of an answer to a call.
pub static CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether a message of this `Content-Type` belongs to a call: `application/grpc`, with a format behind a plus sign or
/// parameters behind a semicolon. gRPC-Web is another protocol, which its own proxies translate.
#[must_use]
pub fn is_grpc(content_type: &HeaderValue) -> bool {
    let octets = content_type.as_bytes();
    let usual = CONTENT_TYPE.as_bytes();
    let Some((media_type, rest)) = octets.split_at_checked(usual.len()) else {
        return false;
    };
    media_type.eq_ignore_ascii_case(usual) && matches!(rest, [] | [b'+' | b';' | b' ' | b'\t', ..])
}

/// How a call ended, as far as these fields say so: those of trailers, or of a head without them.
#[must_use]
pub fn status(fields: &HeaderMap) -> Option<Code> {
    fields
        .get(&GRPC_STATUS)
        .map(|value| Code::parse(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_media_type_of_grpc_makes_a_call() {
        let cases = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc+json", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc ; x=1", true),
            ("Application/gRPC", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc-web-text", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("application/grp", false),
            ("text/application/grpc", false),
            ("", false),
        ];
        for (content_type, expected) in cases {
            let value = HeaderValue::from_static(content_type);
            assert_eq!(is_grpc(&value), expected, "{content_type}");
        }
    }

    #[test]
    fn a_status_is_read_from_whatever_fields_have_it() {
        let mut fields = HeaderMap::new();
        assert_eq!(status(&fields), None);
        fields.insert(&GRPC_STATUS, HeaderValue::from_static("14"));
        assert_eq!(status(&fields), Some(Code::Unavailable));
        fields.insert(&GRPC_STATUS, HeaderValue::from_static("fine"));
        assert_eq!(status(&fields), Some(Code::Unknown));
    }
}
