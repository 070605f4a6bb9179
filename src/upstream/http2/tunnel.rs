//! A stream to an endpoint that has become a tunnel (RFC 8441). It keeps its room on the connection.

use std::fmt;

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use crate::upstream::http2::place::Place;
use crate::wire::Duplex;

/// The endpoint's side of a tunnel.
pub(crate) struct Tunnel {
    // Dropped before the place, so that the connection knows of the end when another is given the room.
    pub(crate) duplex: Duplex,
    place: Place,
}

impl Tunnel {
    pub(super) fn over(send: SendStream<Bytes>, receive: RecvStream, place: Place) -> Box<Self> {
        Box::new(Self {
            duplex: Duplex::new(send, receive),
            place,
        })
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
