//! The switch to another protocol that a client has asked for, and what becomes of it where the two sides speak different
//! versions of HTTP.
//!
//! To everything between them a tunnel is asked for by `Upgrade` and begins with a 101. Over HTTP/2 a client asks for a
//! WebSocket by an extended CONNECT and is told 200 (RFC 8441), and there is no key: the one of a handshake over HTTP/1 is
//! made, and its answer looked at, by the proxy.

use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use crate::error::Kind;
use crate::header::hop;
use crate::header::websocket::{accept, is_websocket};
use crate::upstream::Switched;

/// A switch that was asked for.
pub(super) struct Switch {
    protocol: HeaderValue,
    /// Of the handshake for a WebSocket.
    key: Option<HeaderValue>,
    /// What the client speaks.
    client: Version,
}

impl Switch {
    /// What the head of a request asks for, whose `Upgrade` is a whole one.
    pub(super) fn to(protocol: &HeaderValue, headers: &HeaderMap, client: Version) -> Box<Self> {
        let key = is_websocket(protocol.as_bytes()).then(|| headers.get(SEC_WEBSOCKET_KEY));
        Box::new(Self {
            protocol: protocol.clone(),
            key: key.flatten().cloned(),
            client,
        })
    }

    /// The request goes out with these fields; a route may have set another key than the one that was made.
    pub(super) fn sends(&mut self, headers: &HeaderMap) {
        if self.client == Version::HTTP_2 && self.key.is_some() {
            self.key = headers.get(SEC_WEBSOCKET_KEY).cloned();
        }
    }

    /// Makes an endpoint's 101 the one for this client, or refuses it: it must switch to what was asked for (RFC 9110
    /// §7.8), and have read the key.
    pub(super) fn agreed(
        &self,
        headers: &mut HeaderMap,
        far: &Switched,
    ) -> Result<HeaderValue, Kind> {
        if !hop::switches_to(headers, &self.protocol) {
            return Err(Kind::MalformedResponse);
        }
        let Some(key) = &self.key else {
            return Ok(self.protocol.clone());
        };
        match (far, self.client == Version::HTTP_2) {
            // The client looks at it itself, or there was no key.
            (Switched::Line(_), false) | (Switched::Stream(_), true) => {}
            (Switched::Line(_), true) => {
                let mut said = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
                if said.next() != Some(&accept(key.as_bytes())) || said.next().is_some() {
                    return Err(Kind::UpgradeFailed);
                }
            }
            (Switched::Stream(_), false) => {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key.as_bytes()));
            }
        }
        Ok(self.protocol.clone())
    }

    /// Whether an answer without a switch would be taken for one: to a CONNECT each 2xx says that the tunnel is there (RFC
    /// 9110 §9.3.6).
    pub(super) fn is_mistaken_for(&self, status: StatusCode) -> bool {
        self.client == Version::HTTP_2 && status.is_success()
    }
}
