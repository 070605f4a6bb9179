//! Who sent a request, and how it came. What it says of others is read elsewhere.

use std::net::IpAddr;

use bytes::BytesMut;
use http::HeaderValue;

use crate::config::model::Claims;
use crate::header::network;

/// Who sent a request to this proxy. Made once for a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) address: Option<IpAddr>,
    pub(super) text: Option<HeaderValue>,
    pub(super) trust: Trust,
}

/// Whether what a peer says about clients is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is a proxy of ours (`trustedProxies`).
    Trusted,
    /// It may be anybody.
    Untrusted,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

impl Peer {
    /// The peer at this address, trusted as far as these claims go; one on a socket of this host has no address.
    #[must_use]
    pub fn new(address: Option<IpAddr>, claims: &Claims) -> Self {
        let address = address.map(|address| address.to_canonical());
        let is_anybody = claims.trusted.is_empty() && claims.hops.is_some();
        Self {
            address,
            text: address.map(written),
            trust: match is_anybody || network::holds(&claims.trusted, address) {
                true => Trust::Trusted,
                false => Trust::Untrusted,
            },
        }
    }

    /// Its address; IPv4 mapped into IPv6 is IPv4.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Its address as it is written in fields.
    pub(crate) fn text(&self) -> Option<&HeaderValue> {
        self.text.as_ref()
    }

    /// Whether it is believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }
}

/// An address as a value. Every connection has one, and most are of the old kind, for which formatting takes ten times as
/// long as writing four numbers.
pub(super) fn written(address: IpAddr) -> HeaderValue {
    let text = match address {
        IpAddr::V4(address) => {
            let mut text = BytesMut::with_capacity("255.255.255.255".len());
            for octet in address.octets() {
                if !text.is_empty() {
                    text.extend_from_slice(b".");
                }
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
            text.freeze()
        }
        IpAddr::V6(address) => address.to_string().into(),
    };
    HeaderValue::from_maybe_shared(text).expect("an address is digits, dots and colons")
}

impl Scheme {
    /// As it stands in a URI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn value(self) -> HeaderValue {
        self.field().clone()
    }

    /// As it stands in a field.
    pub(crate) fn field(self) -> &'static HeaderValue {
        static HTTP: HeaderValue = HeaderValue::from_static("http");
        static HTTPS: HeaderValue = HeaderValue::from_static("https");
        match self {
            Self::Http => &HTTP,
            Self::Https => &HTTPS,
        }
    }

    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let is = |scheme: Self| name.eq_ignore_ascii_case(scheme.as_str().as_bytes());
        [Self::Http, Self::Https].into_iter().find(|one| is(*one))
    }
}
