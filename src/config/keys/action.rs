//! The keys of what becomes of a route's requests.

use crate::config::keys::kind::{Keys, Words};

pub(crate) const SHARE: Keys = Keys {
    kind: "an entry of a split",
    works: &["pool", "weight", "strict"],
    later: &[],
};

pub(crate) const POOL_BY_HOST: Keys = Keys {
    kind: "poolByHost",
    works: &["suffixes"],
    later: &[],
};

pub(crate) const REDIRECT: Keys = Keys {
    kind: "redirect",
    works: &["scheme", "host", "path", "status"],
    later: &[],
};

pub(crate) const SCHEME: Words = Words {
    works: &["http", "https"],
    later: &[],
};

pub(crate) const RESPOND: Keys = Keys {
    kind: "respond",
    works: &["status", "body"],
    later: &[],
};
