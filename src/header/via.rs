//! `Via`: each message that passes names the proxy (RFC 9110 §7.6.3).

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

static HTTP_10: HeaderValue = HeaderValue::from_static("1.0 fiel");
static HTTP_11: HeaderValue = HeaderValue::from_static("1.1 fiel");
static HTTP_2: HeaderValue = HeaderValue::from_static("2.0 fiel");

/// Adds the proxy after those that were passed before, with the version in which it received the message.
pub fn append(headers: &mut HeaderMap, received: Version) {
    headers.append(VIA, value(received).clone());
}

/// How the proxy names itself in a message that it received in this version.
pub(super) fn value(received: Version) -> &'static HeaderValue {
    match received {
        Version::HTTP_10 => &HTTP_10,
        Version::HTTP_2 => &HTTP_2,
        _ => &HTTP_11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::tests::fields;

    #[test]
    fn the_proxy_is_named_last_with_the_version_it_received() {
        let mut headers = fields(&[("via", "1.1 first")]);
        append(&mut headers, Version::HTTP_10);
        assert_eq!(
            headers,
            fields(&[("via", "1.1 first"), ("via", "1.0 fiel")])
        );
        append(&mut headers, Version::HTTP_11);
        assert_eq!(headers.get_all(VIA).iter().next_back().unwrap(), "1.1 fiel");
    }
}
