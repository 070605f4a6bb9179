//! What the proxy itself says of a request, written behind the fields that came with it.
//!
//! A place in their map would cost each of these a hash, a search and a value to be dropped, and most requests meet nobody
//! behind the proxy's own rules who would look for them there. Where somebody does, or where what a trusted proxy has said is
//! to be kept, they are put into the map, by [`crate::header::forwarded::set`] and [`crate::header::via::append`].

use http::header::{HeaderName, VIA};
use http::{HeaderValue, Version};

use crate::header::forwarded::{
    Peer, Scheme, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
};
use crate::header::via;

/// The proxy's own fields of a request; none where the map has them.
#[derive(Clone, Debug, Default)]
pub struct Own(Option<Said>);

#[derive(Clone, Debug)]
struct Said {
    client: Option<HeaderValue>,
    scheme: Scheme,
    host: Option<HeaderValue>,
    received: Version,
}

impl Own {
    /// What is said of a request of this peer's, who is not trusted: how it came, for which host, in which version.
    pub(super) fn of(
        peer: &Peer,
        scheme: Scheme,
        host: Option<HeaderValue>,
        received: Version,
    ) -> Self {
        Self(Some(Said {
            client: peer.text().cloned(),
            scheme,
            host,
            received,
        }))
    }

    /// The fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let fields = self.0.as_ref().map(|said| {
            [
                (&X_FORWARDED_FOR, said.client.as_ref()),
                (&X_FORWARDED_PROTO, Some(said.scheme.field())),
                (&X_FORWARDED_HOST, said.host.as_ref()),
                (&VIA, Some(via::value(said.received))),
            ]
        });
        let fields = fields.into_iter().flatten();
        fields.filter_map(|(name, value)| Some((name, value?)))
    }
}
