//! The keys within a pool.

use crate::config::keys::kind::{Keys, Words};

pub(crate) const DEPLOYMENT: Keys = Keys {
    kind: "deployment",
    works: &["commit", "by", "at"],
    later: &[],
};

pub(crate) const CONNECT: Keys = Keys {
    kind: "connect",
    works: &["timeout", "keepAlive", "maxIdlePerWorker"],
    later: &[],
};

pub(crate) const POOL_TLS: Keys = Keys {
    kind: "the tls of a pool",
    works: &[
        "serverName",
        "caFile",
        "certFile",
        "keyFile",
        "minVersion",
        "insecureSkipVerify",
    ],
    later: &[],
};

pub(crate) const PROXY_VERSION: Words = Words {
    works: &["off", "v1", "v2"],
    later: &[],
};
