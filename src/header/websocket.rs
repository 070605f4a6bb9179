//! The handshake of the WebSocket protocol (RFC 6455 §4), as far as a proxy has to do it itself: over HTTP/2 there is none
//! (RFC 8441 §5), so that a side of HTTP/1 is given what the other one does not say.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// What the upgrade, and `:protocol`, calls it.
pub const WEBSOCKET: &str = "websocket";

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a protocol is this one; such names have no case (RFC 9110 §7.8).
#[must_use]
pub fn is_websocket(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

/// The key of a new handshake, by chance. It is no secret: it shows that the answer is to this very request.
#[must_use]
pub fn key(chance: u128) -> HeaderValue {
    value(&chance.to_be_bytes())
}

/// What an endpoint answers that has read this key.
#[must_use]
pub fn accept(key: &[u8]) -> HeaderValue {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    value(context.finish().as_ref())
}

fn value(octets: &[u8]) -> HeaderValue {
    // Base64 has no octets that a field may not have.
    HeaderValue::try_from(STANDARD.encode(octets)).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_standard() {
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_key_is_sixteen_octets() {
        let key = key(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        assert_eq!(key, "AQIDBAUGBwgJCgsMDQ4PEA==");
    }

    #[test]
    fn the_name_of_the_protocol_has_no_case() {
        assert!(is_websocket(b"WebSocket"));
        assert!(!is_websocket(b"websocket/13"));
    }
}
