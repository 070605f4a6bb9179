//! What a listener has towards its clients.

use crate::config::keys::kind::{Keys, Words};

pub(crate) const SOCKET_RIGHTS: Keys = Keys {
    kind: "the unix of a listener",
    works: &["mode", "owner", "group"],
    later: &[],
};

pub(crate) const ADMIN_RIGHTS: Keys = Keys {
    kind: "the unix of admin",
    ..SOCKET_RIGHTS
};

pub(crate) const PROXY_PROTOCOL: Keys = Keys {
    kind: "proxyProtocol",
    works: &["from"],
    later: &[],
};

pub(crate) const FORWARDED: Words = Words {
    works: &["xForwarded", "rfc7239", "both"],
    later: &[],
};

pub(crate) const HALF_CLOSE: Words = Words {
    works: &["cancel", "deliver"],
    later: &[],
};
