//! How names of endpoints become addresses, as configured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How names of endpoints become addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The name servers. Default none: those of `resolv_conf`.
    pub servers: Vec<SocketAddr>,
    /// Which addresses of a name are used. Default all.
    pub family: Family,
    /// An answer is asked for again no sooner than this, however short its TTL. Default 1 s, at least 100 ms.
    pub min_ttl: Duration,
    /// And no later than this, however long its TTL. Default 5 min, at least `min_ttl`.
    pub max_ttl: Duration,
    /// Names that it holds are not asked for elsewhere. Default `/etc/hosts`.
    pub hosts_file: PathBuf,
    /// Name servers, search list and options. Default `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All of them.
    All,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            family: Family::All,
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            hosts_file: PathBuf::from("/etc/hosts"),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}
