//! Which of the fields that the rules look at a message has: found in one pass over its names, where a lookup for each
//! would cost more than all the rest of the rules.

use http::HeaderMap;
use http::header::HeaderName;

/// A set of such fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present(u16);

impl Present {
    /// `Connection`.
    pub const CONNECTION: Self = Self(1);
    /// `Content-Length`.
    pub const CONTENT_LENGTH: Self = Self(1 << 1);
    /// `Content-Type`.
    pub const CONTENT_TYPE: Self = Self(1 << 10);
    /// `Expect`.
    pub const EXPECT: Self = Self(1 << 2);
    /// `Keep-Alive`.
    pub const KEEP_ALIVE: Self = Self(1 << 3);
    /// `Proxy-Authenticate`.
    pub const PROXY_AUTHENTICATE: Self = Self(1 << 4);
    /// `Proxy-Authorization`.
    pub const PROXY_AUTHORIZATION: Self = Self(1 << 5);
    /// `Proxy-Connection`.
    pub const PROXY_CONNECTION: Self = Self(1 << 6);
    /// `TE`.
    pub const TE: Self = Self(1 << 7);
    /// `Transfer-Encoding`.
    pub const TRANSFER_ENCODING: Self = Self(1 << 8);
    /// `Upgrade`.
    pub const UPGRADE: Self = Self(1 << 9);
    /// `Host`.
    pub const HOST: Self = Self(1 << 11);
    /// `X-Request-Id`.
    pub const X_REQUEST_ID: Self = Self(1 << 12);

    /// All of those that are removed for one connection's sake.
    pub(super) const HOP_BY_HOP: Self = Self(
        Self::CONNECTION.0
            | Self::KEEP_ALIVE.0
            | Self::PROXY_AUTHENTICATE.0
            | Self::PROXY_AUTHORIZATION.0
            | Self::PROXY_CONNECTION.0
            | Self::TE.0
            | Self::UPGRADE.0,
    );

    /// What is here.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            present.note(name);
        }
        present
    }

    /// Adds a field.
    pub fn note(&mut self, name: &HeaderName) {
        let field = match name.as_str() {
            "connection" => Self::CONNECTION,
            "content-length" => Self::CONTENT_LENGTH,
            "content-type" => Self::CONTENT_TYPE,
            "expect" => Self::EXPECT,
            "host" => Self::HOST,
            "keep-alive" => Self::KEEP_ALIVE,
            "proxy-authenticate" => Self::PROXY_AUTHENTICATE,
            "proxy-authorization" => Self::PROXY_AUTHORIZATION,
            "proxy-connection" => Self::PROXY_CONNECTION,
            "te" => Self::TE,
            "transfer-encoding" => Self::TRANSFER_ENCODING,
            "upgrade" => Self::UPGRADE,
            "x-request-id" => Self::X_REQUEST_ID,
            _ => return,
        };
        self.0 |= field.0;
    }

    /// Whether this field is here.
    #[must_use]
    pub fn has(self, field: Self) -> bool {
        self.0 & field.0 != 0
    }

    /// Whether any of these fields is here.
    #[must_use]
    pub(super) fn has_any(self, fields: Self) -> bool {
        self.0 & fields.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, SERVER, TE, TRANSFER_ENCODING, UPGRADE,
    };

    use super::*;
    use crate::header::ids::X_REQUEST_ID;

    #[test]
    fn each_field_is_found_by_its_own_name_and_by_no_other() {
        let fields = [
            (CONNECTION, Present::CONNECTION),
            (CONTENT_LENGTH, Present::CONTENT_LENGTH),
            (CONTENT_TYPE, Present::CONTENT_TYPE),
            (EXPECT, Present::EXPECT),
            (HeaderName::from_static("keep-alive"), Present::KEEP_ALIVE),
            (PROXY_AUTHENTICATE, Present::PROXY_AUTHENTICATE),
            (PROXY_AUTHORIZATION, Present::PROXY_AUTHORIZATION),
            (
                HeaderName::from_static("proxy-connection"),
                Present::PROXY_CONNECTION,
            ),
            (TE, Present::TE),
            (TRANSFER_ENCODING, Present::TRANSFER_ENCODING),
            (UPGRADE, Present::UPGRADE),
            (HOST, Present::HOST),
            (X_REQUEST_ID.clone(), Present::X_REQUEST_ID),
        ];
        for (name, _) in &fields {
            let mut headers = HeaderMap::new();
            headers.insert(SERVER, HeaderValue::from_static("a"));
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
            let present = Present::of(&headers);
            for (other, field) in &fields {
                assert_eq!(present.has(*field), name == other, "{name}: {other}");
            }
        }
    }
}
