//! Who plays in the demo: three endpoints of the stable version, one of the canary.

use std::net::SocketAddr;

/// Who an endpoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The pool that it stands in.
    pub(crate) pool: &'static str,
    /// The version that it says it runs.
    pub(crate) version: &'static str,
    /// Its number in the demo, from 1.
    pub(crate) number: u8,
}

/// All of them.
pub(crate) const CAST: [Identity; 4] = [stable(1), stable(2), stable(3), canary(4)];

/// An endpoint and where it answers.
pub(crate) type Placed = (Identity, SocketAddr);

/// The cast at these addresses, in order.
pub(crate) fn placed(addresses: &[SocketAddr]) -> Vec<Placed> {
    CAST.into_iter().zip(addresses.iter().copied()).collect()
}

const fn stable(number: u8) -> Identity {
    Identity {
        pool: "shop-v1",
        version: "v1",
        number,
    }
}

const fn canary(number: u8) -> Identity {
    Identity {
        pool: "shop-v2",
        version: "v2",
        number,
    }
}
